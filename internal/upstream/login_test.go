package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/upstream"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
)

// changing is a credential that tests change.
type changing struct {
	secret string
	err    error
	reads  int
}

func (c *changing) read(context.Context) (string, string, error) {
	c.reads++
	return user, c.secret, c.err
}

// A rotated secret is used by the very next request, and no token of the old one.
func TestRotatedSecret(t *testing.T) {
	for _, auth := range []upstreamtest.Auth{upstreamtest.Token, upstreamtest.Basic} {
		t.Run(string(auth), func(t *testing.T) {
			in(t, upstreamtest.Options{Auth: auth, TokenLife: time.Hour, Users: map[string]string{user: secret}}, func(t *testing.T, w *world) {
				c := &changing{secret: secret}
				w.connect(t, upstream.Host{Realms: []string{w.site.Realm}}, c.read)
				w.reg.Push("other", "v1", w.img)
				w.manifest(t)
				if _, err := w.up.Manifest(t.Context(), "other", tag); err != nil {
					t.Fatal(err)
				}
				w.reg.Forget()
				w.manifest(t)
				kept := map[upstreamtest.Auth][]string{
					upstreamtest.Token: {"GET /v2/app/manifests/v1 token"},
					upstreamtest.Basic: {"GET /v2/app/manifests/v1 basic"},
				}[auth]
				w.requests(t, kept...)

				// The old secret and its token are still good there, and are not used.
				c.secret = "other-" + secret
				_, err := w.up.Manifest(t.Context(), "app", tag)
				w.fails(t, err, errs.UpstreamDenied, "401")
				w.reg.SetUser(user, c.secret)
				w.reg.Forget()
				w.manifest(t)
				if _, err := w.up.Manifest(t.Context(), "other", tag); err != nil {
					t.Error(err)
				}
				w.manifest(t)
				fresh := map[upstreamtest.Auth][]string{
					upstreamtest.Token: {
						"GET /token repository:app:pull basic", "GET /v2/app/manifests/v1 token",
						"GET /token repository:other:pull basic", "GET /v2/other/manifests/v1 token",
						"GET /v2/app/manifests/v1 token",
					},
					upstreamtest.Basic: {"GET /v2/app/manifests/v1 basic", "GET /v2/other/manifests/v1 basic", "GET /v2/app/manifests/v1 basic"},
				}[auth]
				w.requests(t, fresh...)

				// A secret that is gone sends nothing, whatever tokens there are.
				c.err = errs.New(errs.SecretUnknown, "the secret x is marked for deletion")
				_, err = w.up.Manifest(t.Context(), "app", tag)
				w.fails(t, err, errs.UpstreamDenied, "its credential cannot be read: the secret x is marked for deletion")
				c.err = errors.New("row 7")
				if _, err = w.up.Manifest(t.Context(), "app", tag); errs.As(err).Msg != "registry.test: manifest app:v1: its credential cannot be read" {
					t.Errorf("message %q", errs.As(err).Msg)
				}
				w.requests(t)
			})
		})
	}
}

// A refused login is read once more, for what made it may make another.
func TestOnRefused(t *testing.T) {
	in(t, upstreamtest.Options{Auth: upstreamtest.Basic, Users: map[string]string{user: secret}}, func(t *testing.T, w *world) {
		c := &changing{secret: secret}
		told := 0
		w.connect(t, upstream.Host{}, c.read)
		w.up.OnRefused(func() { told++; c.secret = "next-" + secret })
		w.manifest(t)
		w.reg.SetUser(user, "next-"+secret)
		w.reg.Forget()
		w.manifest(t)
		w.requests(t, "GET /v2/app/manifests/v1 basic", "GET /v2/app/manifests/v1 basic")
		w.reg.SetUser(user, "unknown")
		_, err := w.up.Manifest(t.Context(), "app", tag)
		w.fails(t, err, errs.UpstreamDenied, "401", "authentication required")
		w.requests(t, "GET /v2/app/manifests/v1 basic")
		if told != 2 {
			t.Errorf("told %d times", told)
		}
	})
}

func TestLogin(t *testing.T) {
	users := map[string]string{user: secret}
	wrong := func(context.Context) (string, string, error) { return user, "not-" + secret, nil }
	away := func(err error) func(context.Context, string, string) (net.Conn, error) {
		return func(context.Context, string, string) (net.Conn, error) { return nil, err }
	}
	for _, test := range []struct {
		name  string
		opts  upstreamtest.Options
		cred  upstream.Credential
		host  upstream.Host
		fault upstreamtest.Fault
		dial  func(context.Context, string, string) (net.Conn, error)
		dns   error
		code  errs.Code // errs.Internal: all is well
		words []string
		want  []string
	}{
		{name: "open", want: []string{"GET /v2/"}},
		{name: "open, and any login", cred: credential, want: []string{"GET /v2/", "GET /v2/ basic"}},
		{name: "anonymous token", opts: upstreamtest.Options{Auth: upstreamtest.Token}, want: []string{"GET /v2/", "GET /token"}},
		{
			name: "no anonymous token without a repository", opts: upstreamtest.Options{Auth: upstreamtest.Token},
			fault: upstreamtest.Fault{Path: "/token", Status: 401}, want: []string{"GET /v2/", "GET /token"},
		},
		{
			name: "realm away", opts: upstreamtest.Options{Auth: upstreamtest.Token}, fault: upstreamtest.Fault{Path: "/token", Status: 503},
			code: errs.UpstreamUnreachable, words: []string{"login without a credential", "auth.registry.test", "503"}, want: []string{"GET /v2/", "GET /token"},
		},
		{
			name: "token", opts: upstreamtest.Options{Auth: upstreamtest.Token, Users: users}, cred: credential,
			want: []string{"GET /v2/", "GET /token basic", "GET /v2/ token"},
		},
		{
			name: "token, wrong password", opts: upstreamtest.Options{Auth: upstreamtest.Token, Users: users}, cred: wrong,
			code: errs.UpstreamDenied, words: []string{`login as "robot"`, "auth.registry.test", "401", "incorrect username or password"},
			want: []string{"GET /v2/", "GET /token basic"},
		},
		{
			name: "token that is not taken", opts: upstreamtest.Options{Auth: upstreamtest.Token, Users: users}, cred: credential,
			fault: upstreamtest.Fault{Path: "/token", Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"token":"x"}`},
			code:  errs.UpstreamDenied, words: []string{`login as "robot"`, "401"}, want: []string{"GET /v2/", "GET /token basic", "GET /v2/ token"},
		},
		{
			name: "unknown realm", opts: upstreamtest.Options{Auth: upstreamtest.Token, Users: users}, cred: credential,
			host: upstream.Host{Realms: []string{"https://elsewhere.test/token"}},
			code: errs.UpstreamDenied, words: []string{"https://auth.registry.test/token", "realms"}, want: []string{"GET /v2/"},
		},
		{
			name: "basic", opts: upstreamtest.Options{Auth: upstreamtest.Basic, Users: users}, cred: credential,
			want: []string{"GET /v2/", "GET /v2/ basic"},
		},
		{
			name: "basic, wrong password", opts: upstreamtest.Options{Auth: upstreamtest.Basic, Users: users}, cred: wrong,
			code: errs.UpstreamDenied, words: []string{`login as "robot": 401`, "authentication required"}, want: []string{"GET /v2/", "GET /v2/ basic"},
		},
		{
			name: "basic without a credential", opts: upstreamtest.Options{Auth: upstreamtest.Basic, Users: users},
			code: errs.UpstreamDenied, words: []string{"wants a user name and a password"}, want: []string{"GET /v2/"},
		},
		{
			name: "secret missing", cred: func(context.Context) (string, string, error) {
				return "", "", errs.New(errs.SecretUnknown, "there is no secret x")
			},
			code: errs.UpstreamDenied, words: []string{"registry.test: login: its credential cannot be read: there is no secret x"},
		},
		{name: "no registry", fault: upstreamtest.Fault{Status: 404}, code: errs.UpstreamFailed, words: []string{"404 Not Found"}, want: []string{"GET /v2/"}},
		{name: "401 without a challenge", fault: upstreamtest.Fault{Status: 401}, code: errs.UpstreamDenied, words: []string{"401"}, want: []string{"GET /v2/"}},
		{name: "too many", fault: upstreamtest.Fault{Status: 429}, code: errs.UpstreamRateLimited, words: []string{"429"}, want: []string{"GET /v2/"}},
		{name: "refused", dial: away(syscall.ECONNREFUSED), code: errs.UpstreamUnreachable, words: []string{"connection refused"}},
		{name: "cut", dial: away(io.EOF), code: errs.UpstreamUnreachable, words: []string{"no connection"}},
		{name: "no such name", dns: &net.DNSError{IsNotFound: true}, code: errs.UpstreamUnreachable, words: []string{"no such host in DNS"}},
		{name: "no DNS", dns: &net.DNSError{IsTimeout: true}, code: errs.UpstreamUnreachable, words: []string{"DNS does not answer"}},
		{name: "hanging", fault: upstreamtest.Fault{Hang: true}, code: errs.UpstreamTimeout, words: []string{"no answer within 20s"}, want: []string{"GET /v2/"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, test.opts, func(t *testing.T, w *world) {
				if test.fault.Status != 0 || test.fault.Hang {
					w.reg.Script(test.fault)
				}
				if test.dial != nil {
					w.opts.Dial = test.dial
				}
				if test.dns != nil {
					w.opts.Resolve = func(context.Context, string) ([]netip.Addr, error) { return nil, test.dns }
				}
				if test.host.Realms == nil {
					test.host.Realms = []string{w.site.Realm}
				}
				up := w.connect(t, test.host, test.cred)
				err := up.Login(t.Context())
				if test.code != errs.Internal {
					w.fails(t, err, test.code, test.words...)
				} else if err != nil {
					t.Error(err)
				}
				w.requests(t, test.want...)
			})
		})
	}
}

// A login never takes a token that is there already: it might be good while the
// password is not any more.
func TestLoginAsksAnew(t *testing.T) {
	in(t, upstreamtest.Options{Auth: upstreamtest.Token, TokenLife: time.Hour, Users: map[string]string{user: secret}}, func(t *testing.T, w *world) {
		w.connect(t, upstream.Host{Realms: []string{w.site.Realm}}, credential)
		w.manifest(t)
		w.reg.SetUser(user, "another")
		w.fails(t, w.up.Login(t.Context()), errs.UpstreamDenied, `login as "robot"`, "incorrect")
		w.manifest(t) // with its token, which the upstream still takes
	})
}

// A login that is led elsewhere keeps its credential to itself.
func TestLoginElsewhere(t *testing.T) {
	for _, cred := range []upstream.Credential{nil, credential} {
		t.Run(fmt.Sprint(cred != nil), func(t *testing.T) {
			in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
				other := upstreamtest.New(upstreamtest.Options{Auth: upstreamtest.Basic, Users: map[string]string{user: secret}})
				other.On(w.Network, "other.test")
				w.reg.Script(upstreamtest.Fault{Status: 307, Header: http.Header{"Location": {"https://other.test/v2/"}}})
				err := w.connect(t, upstream.Host{}, cred).Login(t.Context())
				if cred == nil && err != nil {
					t.Error(err)
				}
				if cred != nil {
					w.fails(t, err, errs.UpstreamDenied, "other.test", "does not go")
				}
				for _, q := range other.Log() {
					if q.Auth != "" {
						t.Errorf("%s: sent %s", q, q.Auth)
					}
				}
			})
		})
	}
}
