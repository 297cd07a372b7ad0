// Package ecrlogin logs in to private registries of Amazon ECR with AWS credentials:
// those of the SDK's default chain (environment, shared files, container or instance
// role), or of a role that they may assume. A registry gives a password for twelve
// hours; this package keeps one for each Login and asks for another before it ends.
//
// It speaks to AWS's own services by the SDK, whose settings are the usual ones:
// AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL_ECR, AWS_ENDPOINT_URL_STS, AWS_CA_BUNDLE,
// HTTPS_PROXY. Endpoints come from there and from no stranger.
//
// It guarantees that no password, key or token is in an error of it, and that a
// password that is still good serves while AWS does not answer.
package ecrlogin

import (
	"context"
	"encoding/base64"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

const (
	patience = 30 * time.Second // for AWS's answer, with the SDK's retries
	pause    = time.Minute      // between two questions that nothing but the first one's failure calls for
	margin   = time.Minute      // a password is not used so near its end
)

// Options of a Login. The zero value takes everything from the default chain.
type Options struct {
	Host   string           // of the registry; its region is in it where it is one of Amazon's own
	Role   string           // ARN of a role to assume; "": none
	Logger *slog.Logger     // nil: slog.Default()
	Now    func() time.Time // nil: time.Now
}

// Login is the login to one registry. It is safe for use by many goroutines.
type Login struct {
	o    Options
	turn chan struct{} // holds one: the right to ask AWS

	mu   sync.Mutex
	held password
	next time.Time // when asking makes sense again after a failure
}

// password is what ECR gave. The zero value is none.
type password struct {
	user, secret string
	given, ends  time.Time
}

// renew is when another is asked for: with two hours of twelve left.
func (p password) renew() time.Time { return p.given.Add(p.ends.Sub(p.given) / 6 * 5) }

// New returns a Login. It asks nothing yet.
func New(o Options) *Login {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Login{o: o, turn: make(chan struct{}, 1)}
}

// Credential returns user name and password: those that are held, or such that AWS is
// asked for now. Errors: errs.UpstreamDenied, in words, with what AWS or the SDK says.
func (l *Login) Credential(ctx context.Context) (username, secret string, err error) {
	p, due := l.look()
	good := p.secret != "" && l.o.Now().Before(p.ends.Add(-margin))
	if good && !due {
		return p.user, p.secret, nil
	}
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	default:
		if good {
			return p.user, p.secret, nil // somebody is asking for the next one
		}
		select {
		case l.turn <- struct{}{}:
			defer func() { <-l.turn }()
		case <-ctx.Done():
			return "", "", ctx.Err()
		}
	}
	if now, due := l.look(); !due && now.secret != "" {
		return now.user, now.secret, nil // asked for while this one waited
	}
	fresh, err := l.ask(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.held = fresh
		return fresh.user, fresh.secret, nil
	}
	if !good {
		return "", "", err
	}
	l.next = l.o.Now().Add(pause)
	l.o.Logger.Warn("no new login at ECR; the old one still holds", "upstream", l.o.Host, "until", p.ends, "error", err)
	return p.user, p.secret, nil
}

// look returns the password that is held, and whether another has to be asked for.
func (l *Login) look() (p password, due bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.o.Now()
	return l.held, l.held.secret == "" || !now.Before(l.held.ends.Add(-margin)) || !now.Before(l.held.renew()) && !now.Before(l.next)
}

// Refused tells that the registry does not take the password. It is forgotten, unless
// it is so young that another would be refused, too.
func (l *Login) Refused() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.o.Now().Sub(l.held.given) >= pause {
		l.held = password{}
	}
}

// ask asks ECR for a password, with credentials that are read anew: those in files may
// have been rotated.
func (l *Login) ask(ctx context.Context) (password, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := l.load(ctx)
	if err != nil {
		return password{}, err
	}
	if l.o.Role != "" {
		role := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(c), l.o.Role, func(o *stscreds.AssumeRoleOptions) { o.RoleSessionName = "weir" })
		c.Credentials = aws.NewCredentialsCache(role)
	}
	given := l.o.Now()
	out, err := ecr.NewFromConfig(c).GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return password{}, l.words("get an authorization token from ECR", err)
	}
	if len(out.AuthorizationData) == 0 || out.AuthorizationData[0].ExpiresAt == nil {
		return password{}, l.nonsense()
	}
	data := out.AuthorizationData[0]
	plain, err := base64.StdEncoding.DecodeString(aws.ToString(data.AuthorizationToken))
	user, secret, ok := strings.Cut(string(plain), ":")
	if err != nil || !ok || secret == "" {
		return password{}, l.nonsense()
	}
	return password{user, secret, given, *data.ExpiresAt}, nil
}

// load reads what the SDK is told: the environment, the shared files, and the
// registry's region. It asks nobody.
func (l *Login) load(ctx context.Context) (aws.Config, error) {
	var options []func(*config.LoadOptions) error
	if region, fips := regionOf(l.o.Host); region != "" {
		options = append(options, config.WithRegion(region))
		if fips {
			options = append(options, config.WithUseFIPSEndpoint(aws.FIPSEndpointStateEnabled))
		}
	}
	c, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Config{}, l.words("read the AWS configuration", err)
	}
	return c, nil
}

// host is the form of ECR's own hosts, with FIPS and region.
var host = regexp.MustCompile(`^\d{12}\.dkr[.-]ecr(-fips)?\.([a-z0-9][a-z0-9-]*)\.(?:amazonaws\.|on\.)`)

// regionOf returns the region in one of ECR's own host names, "" where there is none.
func regionOf(name string) (region string, fips bool) {
	m := host.FindStringSubmatch(name)
	if m == nil {
		return "", false
	}
	return m[2], m[1] != ""
}
