package ecrlogin_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/upstream/ecrlogin"
)

// cloud is AWS on loopback: ECR and STS, which count passwords and roles.
type cloud struct {
	mu       sync.Mutex
	now      time.Time
	log      []string // operation, access key, region and service of the signature
	fail     string   // answers instead of a password
	answered int
	hold     chan struct{} // if not nil, closed to let answers go
}

var signed = regexp.MustCompile(`Credential=(\w+)/\d+/([a-z0-9-]+)/(\w+)/aws4_request`)

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	by := signed.FindStringSubmatch(r.Header.Get("Authorization"))
	if by == nil {
		http.Error(w, "not signed", 400)
		return
	}
	if strings.HasPrefix(string(body), "Action=AssumeRole&") {
		c.log = append(c.log, "AssumeRole "+strings.Join(by[1:], " "))
		fmt.Fprintf(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
			<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>session</SessionToken><Expiration>%s</Expiration>
			</Credentials></AssumeRoleResult></AssumeRoleResponse>`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		return
	}
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	c.log = append(c.log, op+" "+strings.Join(by[1:], " "))
	if c.fail != "" {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, c.fail)
		return
	}
	if c.hold != nil {
		c.mu.Unlock()
		<-c.hold
		c.mu.Lock()
	}
	c.answered++
	token := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "AWS:password-%d", c.answered))
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	fmt.Fprintf(w, `{"authorizationData":[{"authorizationToken":%q,"expiresAt":%d,"proxyEndpoint":"https://x"}]}`, token, c.now.Add(12*time.Hour).Unix())
}

func (c *cloud) clock() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *cloud) set(fail string, forward time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail, c.now = fail, c.now.Add(forward)
}

func (c *cloud) asked(t *testing.T, want ...string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if diff := cmp.Diff(want, c.log); diff != "" {
		t.Errorf("asked AWS (-want +got):\n%s", diff)
	}
	c.log = nil
}

// environment is a machine with an access key and AWS at another place.
func environment(t *testing.T) *cloud {
	t.Helper()
	c := &cloud{now: time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)}
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	for k, v := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIAMACHINE", "AWS_SECRET_ACCESS_KEY": "secret-of-the-machine", "AWS_SESSION_TOKEN": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": filepath.Join(t.TempDir(), "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(t.TempDir(), "none"),
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "", "AWS_WEB_IDENTITY_TOKEN_FILE": "",
		"AWS_ENDPOINT_URL_ECR": srv.URL, "AWS_ENDPOINT_URL_STS": srv.URL, "AWS_MAX_ATTEMPTS": "1",
	} {
		t.Setenv(k, v)
	}
	return c
}

const registry = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"

func (c *cloud) login(host, role string) *ecrlogin.Login {
	return ecrlogin.New(ecrlogin.Options{Host: host, Role: role, Now: c.clock, Logger: slog.New(slog.DiscardHandler)})
}

func credential(t *testing.T, l *ecrlogin.Login) string {
	t.Helper()
	user, secret, err := l.Credential(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return user + ":" + secret
}

const eu = "GetAuthorizationToken AKIAMACHINE eu-west-1 ecr"

// A password is kept for ten of its twelve hours; where AWS is away then, for the rest.
func TestRenewal(t *testing.T) {
	c := environment(t)
	l := c.login(registry, "")
	for _, step := range []struct {
		name    string
		forward time.Duration
		fail    string
		want    string // "": an error
		asked   []string
	}{
		{"first", 0, "", "AWS:password-1", []string{eu}},
		{"again", 0, "", "AWS:password-1", nil},
		{"just before ten hours", 10*time.Hour - time.Second, "", "AWS:password-1", nil},
		{"ten hours, AWS away", time.Second, "{}", "AWS:password-1", []string{eu}},
		{"a moment later", time.Second, "{}", "AWS:password-1", nil},
		{"a minute later", time.Minute, "{}", "AWS:password-1", []string{eu}},
		{"AWS is back", time.Minute, "", "AWS:password-2", []string{eu}},
		{"twelve hours, AWS away", 12*time.Hour - 30*time.Second, "{}", "", []string{eu}},
		{"and still", 0, "{}", "", []string{eu}},
		{"AWS is back", 0, "", "AWS:password-3", []string{eu}},
	} {
		c.set(step.fail, step.forward)
		user, secret, err := l.Credential(t.Context())
		if step.want == "" && errs.CodeOf(err) != errs.UpstreamDenied || step.want != "" && (err != nil || user+":"+secret != step.want) {
			t.Errorf("%s: %s:%s, %v", step.name, user, secret, err)
		}
		c.asked(t, step.asked...)
	}
}

func TestRefused(t *testing.T) {
	c := environment(t)
	l := c.login(registry, "")
	credential(t, l)
	l.Refused() // a right that is missing, rather
	if got := credential(t, l); got != "AWS:password-1" {
		t.Error(got)
	}
	c.set("", time.Minute)
	l.Refused()
	if got := credential(t, l); got != "AWS:password-2" {
		t.Error(got)
	}
}

// Whoever wants the first password waits for one question; who leaves ends it for
// himself alone.
func TestOneQuestion(t *testing.T) {
	c := environment(t)
	c.hold = make(chan struct{})
	l := c.login(registry, "")
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if user, secret, err := l.Credential(t.Context()); err != nil || user+secret != "AWSpassword-1" {
				t.Errorf("%s:%s, %v", user, secret, err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := l.Credential(ctx); err == nil {
		t.Error("a cancelled one has a password")
	}
	close(c.hold)
	wg.Wait()
	if c.answered != 1 {
		t.Errorf("%d passwords", c.answered)
	}
}

func TestRoleAndRegion(t *testing.T) {
	for _, test := range []struct {
		name, host, region, role string
		want                     []string
	}{
		{"region of the host", registry, "us-east-1", "", []string{eu}},
		{"other partition", "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "", "", []string{"GetAuthorizationToken AKIAMACHINE cn-north-1 ecr"}},
		{"dual stack", "123456789012.dkr-ecr.eu-west-1.on.aws", "", "", []string{eu}},
		{"region of the environment", "weir.corp:5000", "local", "", []string{"GetAuthorizationToken AKIAMACHINE local ecr"}},
		{"role", registry, "", "arn:aws:iam::222222222222:role/pull", []string{"AssumeRole AKIAMACHINE eu-west-1 sts", "GetAuthorizationToken ASIAROLE eu-west-1 ecr"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := environment(t)
			t.Setenv("AWS_REGION", test.region)
			if got := credential(t, c.login(test.host, test.role)); got != "AWS:password-1" {
				t.Error(got)
			}
			c.asked(t, test.want...)
		})
	}
}

func TestWords(t *testing.T) {
	const machine = "cannot get an authorization token from ECR with the AWS credentials of this machine"
	for _, test := range []struct {
		name string
		env  map[string]string
		host string
		role string
		fail string
		want string
	}{
		{
			name: "no credentials", env: map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
			want: machine + ": there are none in the environment, the shared files, or the container's or the instance's role",
		},
		{name: "no region", host: "weir.corp:5000", env: map[string]string{"AWS_ENDPOINT_URL_ECR": ""}, want: machine + ": no region: set AWS_REGION"},
		{
			name: "refused", role: "arn:aws:iam::1:role/r", fail: `{"__type":"UnrecognizedClientException","message":"The security token included in the request is invalid."}`,
			want: machine + " and the role arn:aws:iam::1:role/r: UnrecognizedClientException: The security token included in the request is invalid.",
		},
		{
			name: "signature", fail: `{"__type":"InvalidSignatureException","message":"The request signature does not match.\n\nThe Canonical String was 'secret-of-the-machine'"}`,
			want: machine + ": InvalidSignatureException: The request signature does not match.",
		},
		{name: "no profile", env: map[string]string{"AWS_PROFILE": "nobody"}, want: "cannot read the AWS configuration with the AWS credentials of this machine: failed to get shared config profile, nobody"},
		{name: "FIPS", host: "123456789012.dkr.ecr-fips.us-east-2.amazonaws.com", want: "FIPS and custom endpoint are not supported"},
		{name: "away", env: map[string]string{"AWS_ENDPOINT_URL_ECR": "http://127.0.0.1:1"}, want: "connection refused"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := environment(t)
			for k, v := range test.env {
				t.Setenv(k, v)
			}
			c.fail = test.fail
			host := test.host
			if host == "" {
				host = registry
			}
			_, _, err := c.login(host, test.role).Credential(t.Context())
			e := errs.As(err)
			if e == nil || e.Code != errs.UpstreamDenied || !strings.HasPrefix(e.Msg, test.want) && !strings.HasSuffix(e.Msg, test.want) {
				t.Fatalf("%v\nwant %s", err, test.want)
			}
			if strings.Contains(err.Error(), "secret-of") {
				t.Errorf("tells: %v", err)
			}
		})
	}
}

// An answer that is none.
func TestNonsense(t *testing.T) {
	for _, body := range []string{
		`{}`, `{"authorizationData":[]}`, `{"authorizationData":[{"authorizationToken":"!","expiresAt":1}]}`,
		`{"authorizationData":[{"authorizationToken":"QVdT","expiresAt":1}]}`, `{"authorizationData":[{"authorizationToken":"QVdTOng="}]}`,
	} {
		environment(t)
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }))
		t.Setenv("AWS_ENDPOINT_URL_ECR", srv.URL)
		_, _, err := ecrlogin.New(ecrlogin.Options{Host: registry}).Credential(t.Context())
		srv.Close()
		if errs.CodeOf(err) != errs.UpstreamDenied || !strings.Contains(err.Error(), "no authorization token") {
			t.Errorf("%s: %v", body, err)
		}
	}
}
