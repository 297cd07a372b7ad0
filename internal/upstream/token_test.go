package upstream_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/rule"
	"github.com/weir-registry/weir/internal/upstream"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
)

func (w *world) manifest(t *testing.T) {
	t.Helper()
	if _, err := w.up.Manifest(t.Context(), "app", tag); err != nil {
		t.Error(err)
	}
}

// A token is renewed at 80 % of its life: 60 s where the realm does not say.
func TestTokenExpiry(t *testing.T) {
	for _, test := range []struct {
		name string
		life time.Duration
		last time.Duration // at which the token is still used
	}{
		{"a minute by default", 0, 47 * time.Second},
		{"three seconds", 3 * time.Second, 2 * time.Second},
		{"twelve hours", 12 * time.Hour, 9 * time.Hour},
		{"a year counts as twelve hours", 365 * 24 * time.Hour, 9 * time.Hour},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, upstreamtest.Options{Auth: upstreamtest.Token, TokenLife: test.life}, func(t *testing.T, w *world) {
				w.connect(t, upstream.Host{}, nil)
				w.manifest(t)
				w.reg.Forget()
				<-time.After(test.last)
				w.manifest(t)
				w.requests(t, "GET /v2/app/manifests/v1 token")
				<-time.After(test.last/4 + time.Second)
				w.manifest(t)
				w.requests(t, "GET /token repository:app:pull", "GET /v2/app/manifests/v1 token")
			})
		})
	}
}

func TestOneTokenForAll(t *testing.T) {
	in(t, upstreamtest.Options{Auth: upstreamtest.Token, TokenLife: time.Hour}, func(t *testing.T, w *world) {
		w.connect(t, upstream.Host{}, nil)
		w.reg.Push("first", "v1", w.img)
		if _, err := w.up.Manifest(t.Context(), "first", tag); err != nil {
			t.Fatal(err)
		}
		w.reg.Forget()
		w.reg.Script(upstreamtest.Fault{Path: "/token", Delay: time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { // the one that begins leaves; the others have the token all the same
			if _, err := w.up.Manifest(ctx, "app", tag); !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled: %v", err)
			}
		})
		<-time.After(100 * time.Millisecond)
		for range 20 {
			wg.Go(func() { w.manifest(t) })
		}
		<-time.After(100 * time.Millisecond)
		cancel()
		wg.Wait()
		tokens := 0
		for _, q := range w.reg.Requests() {
			if strings.HasPrefix(q, "GET /token") {
				tokens++
			}
		}
		if all := len(w.reg.Requests()); tokens != 1 || all != 21 {
			t.Errorf("%d token requests of %d", tokens, all)
		}
	})
}

// A token that is refused early is replaced once, also in the middle of a blob.
func TestFreshToken(t *testing.T) {
	for _, test := range []struct {
		name   string
		quirks []upstreamtest.Quirk
	}{
		{"401", nil},
		{"403", []upstreamtest.Quirk{upstreamtest.ExpiredForbidden}},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, upstreamtest.Options{Auth: upstreamtest.Token, TokenLife: time.Hour, Quirks: test.quirks}, func(t *testing.T, w *world) {
				w.connect(t, upstream.Host{}, nil)
				w.manifest(t)
				w.reg.Revoke()
				w.reg.Forget()
				w.manifest(t)
				w.requests(t, "GET /v2/app/manifests/v1 token", "GET /token repository:app:pull", "GET /v2/app/manifests/v1 token")

				w.reg.Revoke()
				d, layer := w.layer(0)
				b, start, total, err := w.read(t.Context(), d, 60_000, -1)
				if err != nil || start != 60_000 || total != 100_000 || string(b) != string(layer[60_000:]) {
					t.Errorf("%d bytes from %d of %d, %v", len(b), start, total, err)
				}
				w.requests(t, "GET /v2/app/blobs/LAYER0 bytes=60000- token", "GET /token repository:app:pull", "GET /v2/app/blobs/LAYER0 bytes=60000- token")
			})
		})
	}
}

// All that have the same refused token share its successor.
func TestFreshTokenIsShared(t *testing.T) {
	in(t, upstreamtest.Options{Auth: upstreamtest.Token, TokenLife: time.Hour}, func(t *testing.T, w *world) {
		w.connect(t, upstream.Host{}, nil)
		w.manifest(t)
		w.reg.Revoke()
		w.reg.Forget()
		w.reg.Script(upstreamtest.Fault{Delay: time.Second})
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { w.manifest(t) })
		}
		wg.Wait()
		if n := len(w.reg.Requests()); n != 21 {
			t.Errorf("%d requests, want 10 refused, 1 token, 10 answered: %q", n, w.reg.Requests())
		}
	})
}

func TestDenied(t *testing.T) {
	wrong := func(context.Context) (string, string, error) { return user, "not-" + secret, nil }
	users := map[string]string{user: secret}
	for _, test := range []struct {
		name  string
		opts  upstreamtest.Options
		cred  upstream.Credential
		repo  string
		fault upstreamtest.Fault
		words []string
		want  []string
		login error // why it is not of what was asked for; nil: it may be
	}{
		{
			name: "unknown repository at Docker Hub", opts: upstreamtest.Options{Auth: upstreamtest.Token, Quirks: []upstreamtest.Quirk{upstreamtest.UnknownDenied}},
			repo: "nosuch", words: []string{"401", "authentication required"},
			want: []string{"GET /v2/nosuch/manifests/v1", "GET /token repository:nosuch:pull", "GET /v2/nosuch/manifests/v1 token"},
		},
		{
			name: "wrong password", opts: upstreamtest.Options{Auth: upstreamtest.Token, Users: users}, cred: wrong,
			repo: "app", words: []string{"token for repository:app:pull", "auth.registry.test", "incorrect username or password"},
			want:  []string{"GET /v2/app/manifests/v1", "GET /token repository:app:pull basic"},
			login: errs.ErrNoLogin,
		},
		{
			name: "wrong password, Basic", opts: upstreamtest.Options{Auth: upstreamtest.Basic, Users: users}, cred: wrong,
			repo: "app", words: []string{"401"},
			want:  []string{"GET /v2/app/manifests/v1", "GET /v2/app/manifests/v1 basic"},
			login: errs.ErrNoLogin,
		},
		{
			name: "Basic without a credential", opts: upstreamtest.Options{Auth: upstreamtest.Basic, Users: users},
			repo: "app", words: []string{"401"},
			want:  []string{"GET /v2/app/manifests/v1"},
			login: errs.ErrNoLogin,
		},
		{
			name: "anonymous credential", opts: upstreamtest.Options{Auth: upstreamtest.Token, Users: users},
			cred: func(context.Context) (string, string, error) { return "", "", nil },
			repo: "app", words: []string{"401"},
			want:  []string{"GET /v2/app/manifests/v1", "GET /token repository:app:pull"},
			login: errs.ErrNoLogin,
		},
		{
			name: "unreadable credential", opts: upstreamtest.Options{Auth: upstreamtest.Token, Users: users},
			cred: func(context.Context) (string, string, error) { return "", "", errors.New("no such file") },
			repo: "app", words: []string{"credential cannot be read"},
			want:  []string{"GET /v2/app/manifests/v1"},
			login: errs.ErrNoCredential,
		},
		{
			name: "403 with its reason", repo: "app",
			fault: upstreamtest.Fault{Status: 403, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"errors":[{"code":"DENIED","message":"blocked in your\ncountry"}]}`},
			words: []string{"403", "blocked in your country"},
			want:  []string{"GET /v2/app/manifests/v1"},
		},
		{
			name: "401 without a challenge", repo: "app", fault: upstreamtest.Fault{Status: 401},
			words: []string{"401"},
			want:  []string{"GET /v2/app/manifests/v1"},
			login: errs.ErrNoLogin,
		},
		{
			name: "the token is quoted", opts: upstreamtest.Options{Auth: upstreamtest.Token}, repo: "app",
			fault: upstreamtest.Fault{Path: "/token", Status: 403, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"details":"no: cm9ib3Q6czNjcmV0LW9mLXRoZS1yb2JvdA== ` + secret + `"}`},
			cred:  credential,
			words: []string{"no: *** ***"},
			want:  []string{"GET /v2/app/manifests/v1", "GET /token repository:app:pull basic"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, test.opts, func(t *testing.T, w *world) {
				w.reg.Script(test.fault)
				up := w.connect(t, upstream.Host{Realms: []string{w.site.Realm}}, test.cred)
				_, err := up.Manifest(t.Context(), test.repo, tag)
				w.fails(t, err, errs.UpstreamDenied, test.words...)
				w.requests(t, test.want...)
				for _, login := range []error{errs.ErrNoLogin, errs.ErrNoCredential} {
					if is := errors.Is(err, login); is != (test.login == login) {
						t.Errorf("%v: %t", login, is)
					}
				}
			})
		})
	}
}

// A credential goes to realms that are known, and a refusal says what to write where.
func TestRealm(t *testing.T) {
	const elsewhere = "https://auth.elsewhere.test/token"
	for _, test := range []struct {
		name   string
		realm  string
		cred   upstream.Credential
		host   upstream.Host
		code   errs.Code // errs.Internal: it works
		words  []string
		listed []string // Hosts, where it works
	}{
		{name: "elsewhere, anonymous", realm: elsewhere, listed: []string{"auth.elsewhere.test:443"}},
		{
			name: "elsewhere, with a credential", realm: elsewhere + "?account=x", cred: credential, code: errs.UpstreamDenied,
			words: []string{elsewhere, `"registry.test": {realms: ["` + elsewhere + `"]}`},
		},
		{name: "elsewhere, configured", realm: elsewhere, cred: credential, host: upstream.Host{Realms: []string{elsewhere + "/"}}, listed: []string{"auth.elsewhere.test:443"}},
		{name: "same host, another path", realm: elsewhere, cred: credential, host: upstream.Host{Realms: []string{"https://auth.elsewhere.test/other"}}, code: errs.UpstreamDenied},
		{name: "allowed host is not a realm", realm: elsewhere, cred: credential, host: upstream.Host{AllowHosts: []string{"auth.elsewhere.test"}}, code: errs.UpstreamDenied},
		{name: "own host", realm: "https://registry.test/token", cred: credential},
		{name: "own host, TLS forgotten", realm: "http://registry.test/token", cred: credential},
		{name: "own host, other port", realm: "https://registry.test:8443/token", cred: credential, code: errs.UpstreamDenied},
		{name: "without TLS", realm: "http://auth.elsewhere.test/token", code: errs.UpstreamFailed, words: []string{"TLS", "auth.elsewhere.test:80"}},
		{name: "loopback", realm: "https://127.0.0.1/token", code: errs.UpstreamFailed, words: []string{"loopback"}},
		{name: "no URL", realm: "https://%zz/?" + secret, code: errs.UpstreamFailed},
		{name: "no scheme", realm: "auth.elsewhere.test", code: errs.UpstreamFailed},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, upstreamtest.Options{Auth: upstreamtest.Token}, func(t *testing.T, w *world) {
				w.Serve("auth.elsewhere.test:443", w.reg)
				w.reg.SetRealm(test.realm)
				if test.cred != nil {
					w.reg.SetUser(user, secret)
				}
				up := w.connect(t, test.host, test.cred)
				_, err := up.Manifest(t.Context(), "app", tag)
				if test.code == errs.Internal {
					if err != nil {
						t.Error(err)
					}
					if got := strings.Join(up.Hosts(), " "); got != strings.Join(test.listed, " ") {
						t.Errorf("hosts %q", got)
					}
					return
				}
				w.fails(t, err, test.code, test.words...)
				if test.code == errs.UpstreamDenied && !errors.Is(err, errs.ErrNoLogin) {
					t.Errorf("%v: may be of what was asked for", err)
				}
				for _, q := range w.reg.Log() {
					if q.Auth != "" {
						t.Errorf("%s: sent %s", q, q.Auth)
					}
				}
			})
		})
	}
}

// What realms answer.
func TestTokenAnswers(t *testing.T) {
	json := http.Header{"Content-Type": {"application/json"}}
	for _, test := range []struct {
		name  string
		fault upstreamtest.Fault
		code  errs.Code
		words []string
	}{
		{"page", upstreamtest.HTML(), errs.UpstreamFailed, []string{"not a token"}},
		{"nothing", upstreamtest.Fault{Status: 200, Header: json, Body: "{}"}, errs.UpstreamFailed, []string{"no token"}},
		{"a token with a line break", upstreamtest.Fault{Status: 200, Header: json, Body: `{"token":"token-\r\nX: y"}`}, errs.UpstreamFailed, []string{"no token"}},
		{"not found", upstreamtest.Fault{Status: 404}, errs.UpstreamFailed, []string{"404"}},
		{"too many", upstreamtest.Fault{Status: 429, Header: http.Header{"Retry-After": {"7"}}}, errs.UpstreamRateLimited, []string{"429"}},
		{"away", upstreamtest.Fault{Status: 503}, errs.UpstreamUnreachable, []string{"503"}},
		{"late", upstreamtest.Fault{Status: 504}, errs.UpstreamTimeout, []string{"504"}},
		{"hanging", upstreamtest.Fault{Hang: true}, errs.UpstreamTimeout, []string{"token for repository:app:pull"}},
		{"cut", upstreamtest.Fault{Cut: true, At: 5}, errs.UpstreamUnreachable, []string{"auth.registry.test"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, upstreamtest.Options{Auth: upstreamtest.Token}, func(t *testing.T, w *world) {
				test.fault.Path = "/token"
				w.reg.Script(test.fault)
				w.connect(t, upstream.Host{}, nil)
				begin := time.Now()
				_, err := w.up.Manifest(t.Context(), "app", tag)
				w.fails(t, err, test.code, append(test.words, "token for repository:app:pull")...)
				if took := time.Since(begin); took > 10*time.Second {
					t.Errorf("took %s", took)
				}
				w.reg.Script()
				w.manifest(t) // no failure is remembered
			})
		})
	}
}

// Registries whose challenge is built in are asked with a token from the first request on.
func TestKnownRealms(t *testing.T) {
	for _, test := range []struct {
		kind  rule.Kind
		realm string // host
		cred  upstream.Credential
		want  string
	}{
		{rule.DockerHub, "auth.docker.io", nil, "/token repository:library/app:pull"},
		{rule.DockerHub, "auth.docker.io", credential, "/token repository:library/app:pull basic"},
		{rule.GitHub, "ghcr.io", credential, "/token repository:library/app:pull basic"},
		{rule.GitLab, "gitlab.com", credential, "/jwt/auth repository:library/app:pull basic"},
		{rule.ECRPublic, "public.ecr.aws", nil, "/token/ repository:library/app:pull"},
		{rule.Chainguard, "cgr.dev", nil, "/token repository:library/app:pull"},
	} {
		name := string(test.kind) + " " + strconv.FormatBool(test.cred != nil)
		t.Run(name, func(t *testing.T) {
			in(t, upstreamtest.Options{Auth: upstreamtest.Token}, func(t *testing.T, w *world) {
				host := test.kind.FixedHost()
				w.reg.Push("library/app", "v1", w.img)
				w.Serve(host+":443", w.reg)
				if test.realm != host {
					w.Serve(test.realm+":443", w.reg)
				}
				if test.cred != nil {
					w.reg.SetUser(user, secret)
				}
				w.opts.Hosts = map[string]upstream.Host{host: {CA: w.CA(), Proxy: "direct"}}
				c, err := upstream.New(w.opts)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if _, err := c.Registry(host, test.kind, test.cred).Manifest(t.Context(), "library/app", tag); err != nil {
					t.Fatal(err)
				}
				w.requests(t, "GET "+test.want, "GET /v2/library/app/manifests/v1 token")
			})
		})
	}
}

// Amazon ECR is asked with Basic from the first request on.
func TestECRIsBasic(t *testing.T) {
	in(t, upstreamtest.Options{Auth: upstreamtest.Basic, Users: map[string]string{user: secret}}, func(t *testing.T, w *world) {
		const host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
		w.Serve(host+":443", w.reg)
		w.opts.Hosts = map[string]upstream.Host{host: {CA: w.CA(), Proxy: "direct"}}
		c, err := upstream.New(w.opts)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Registry(host, rule.ECR, credential).Manifest(t.Context(), "app", tag); err != nil {
			t.Fatal(err)
		}
		w.requests(t, "GET /v2/app/manifests/v1 basic")
	})
}

// A registry that sends back what it was sent does not get it into a log.
func TestEchoedSecrets(t *testing.T) {
	for _, auth := range []upstreamtest.Auth{upstreamtest.Token, upstreamtest.Basic} {
		t.Run(string(auth), func(t *testing.T) {
			in(t, upstreamtest.Options{Auth: auth, Users: map[string]string{user: secret}}, func(t *testing.T, w *world) {
				w.Serve("registry.test:443", http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
					said := req.Header.Get("Authorization")
					if said == "" || req.URL.Path == "/token" {
						w.reg.ServeHTTP(rw, req)
						return
					}
					conn, _, err := rw.(http.Hijacker).Hijack()
					if err != nil {
						t.Error(err)
						return
					}
					defer conn.Close()
					io.WriteString(conn, "HTTP/1.1 "+strings.Fields(said)[1]+"\r\n\r\n")
				}))
				w.connect(t, upstream.Host{Realms: []string{w.site.Realm}}, credential)
				_, err := w.up.Manifest(t.Context(), "app", tag)
				w.fails(t, err, errs.UpstreamUnreachable, "malformed HTTP", "***")
			})
		})
	}
}

// After Close nothing is asked any more.
func TestClosed(t *testing.T) {
	in(t, upstreamtest.Options{Auth: upstreamtest.Token}, func(t *testing.T, w *world) {
		w.connect(t, upstream.Host{}, nil)
		w.reg.Script(upstreamtest.Fault{Path: "/token", Hang: true})
		time.AfterFunc(time.Second, w.client.Close)
		if _, err := w.up.Manifest(t.Context(), "app", tag); !errors.Is(err, context.Canceled) {
			t.Errorf("closed meanwhile: %v", err)
		}
		if _, err := w.up.Manifest(t.Context(), "app", tag); !errors.Is(err, context.Canceled) {
			t.Errorf("closed: %v", err)
		}
	})
}
