package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"

	"github.com/weir-registry/weir/internal/config"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/pullthrough"
	"github.com/weir-registry/weir/internal/rule"
	"github.com/weir-registry/weir/internal/upstream"
	"github.com/weir-registry/weir/internal/upstream/ecrlogin"
)

// upstreams has one upstream.Registry for each host and account that a rule names,
// whichever rule asks first.
type upstreams struct {
	client      *upstream.Client
	credentials map[string]config.Credential
	heldOnly    bool
	log         *slog.Logger

	// secret reads the credential in a secret, by its ARN. It is to be set before the
	// first request.
	secret func(ctx context.Context, arn string) (username, accessToken string, err error)

	mu sync.Mutex
	m  map[upstreamKey]*upstream.Registry
}

type upstreamKey struct {
	host, account string
	kind          rule.Kind
}

func newUpstreams(c *config.Config, version string, log *slog.Logger) (*upstreams, error) {
	return upstreamsOf(c, c.Upstreams, version, log)
}

// upstreamsOf is newUpstreams with other ways to hosts than those under upstreams.
func upstreamsOf(c *config.Config, ways map[string]config.Upstream, version string, log *slog.Logger) (*upstreams, error) {
	hosts := make(map[string]upstream.Host, len(ways))
	for name, u := range ways {
		h := upstream.Host{Endpoints: u.Endpoints, Proxy: u.Proxy, AllowHosts: u.AllowHosts, Realms: u.Realms}
		if u.CAFile != "" {
			pem, err := os.ReadFile(u.CAFile)
			if err != nil {
				return nil, fmt.Errorf("upstreams.%s.ca_file: %w", name, err)
			}
			h.CA = pem
		}
		hosts[name] = h
	}
	client, err := upstream.New(upstream.Options{Hosts: hosts, UserAgent: "weir/" + version, Logger: log})
	if err != nil {
		return nil, err
	}
	return &upstreams{client: client, credentials: c.Credentials, heldOnly: c.HeldOnly, log: log, m: map[upstreamKey]*upstream.Registry{}}, nil
}

// of returns the registry that a rule's upstream is.
func (u *upstreams) of(r *rule.Rule) pullthrough.Upstream { return u.registry(r) }

// login tells the credentials of a rule that people change from each other. The password
// of an ECR is weir's own affair, and asking for one would ask AWS.
func (u *upstreams) login(ctx context.Context, r *rule.Rule) string {
	if r.Credential == "" {
		return ""
	}
	return u.registry(r).CredentialSum(ctx)
}

func (u *upstreams) registry(r *rule.Rule) *upstream.Registry {
	u.mu.Lock()
	defer u.mu.Unlock()
	k := upstreamKey{r.Upstream, r.Account(), r.Kind}
	if u.m[k] == nil {
		u.m[k] = u.connect(r)
	}
	return u.m[k]
}

// connect makes a rule's upstream, with its credential: that of a secret, one of the
// configuration, the machine's own at an ECR, or none.
func (u *upstreams) connect(r *rule.Rule) *upstream.Registry {
	switch {
	case strings.HasPrefix(r.Credential, "arn:"):
		return u.client.Registry(r.Upstream, r.Kind, func(ctx context.Context) (string, string, error) {
			return u.secret(ctx, r.Credential)
		})
	case r.Credential != "":
		c := u.credentials[r.Credential]
		return u.client.Registry(r.Upstream, r.Kind, func(context.Context) (string, string, error) { return c.Read() })
	case r.Kind == rule.ECR:
		login := ecrlogin.New(ecrlogin.Options{Host: r.Upstream, Role: r.CustomRole, Logger: u.log})
		reg := u.client.Registry(r.Upstream, r.Kind, login.Credential)
		reg.OnRefused(login.Refused)
		return reg
	}
	return u.client.Registry(r.Upstream, r.Kind, nil)
}

// check asks a rule's upstream whether it can be reached and takes the rule's
// credential. The error's message says in words what is wrong.
func (u *upstreams) check(ctx context.Context, r *rule.Rule) error {
	if u.heldOnly || r.Off {
		return errs.New(errs.UpstreamUnreachable, "%s is never asked: held_only is set for it in the configuration", r.Upstream)
	}
	return u.registry(r).Login(ctx)
}

// egress returns where a rule's upstream has weir go. It asks nobody.
func (u *upstreams) egress(ctx context.Context, r *rule.Rule) ([]rule.Egress, error) {
	all, err := u.client.Egress(r.Upstream, r.Kind)
	if err != nil || r.Kind != rule.ECR || r.Credential != "" {
		return all, err
	}
	login, err := ecrlogin.New(ecrlogin.Options{Host: r.Upstream, Role: r.CustomRole, Logger: u.log}).Egress(ctx)
	return append(all, login...), err
}

func (u *upstreams) close() error {
	u.client.Close()
	return nil
}
