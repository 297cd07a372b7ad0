package auth_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/auth"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/seal"
)

const account = "123456789012"

// policies gives ann what one may do with the managed policy of this name.
func policies(name string) func(context.Context, string) ([]iam.Policy, error) {
	p, ok := iam.Managed(name)
	return func(_ context.Context, principal string) ([]iam.Policy, error) {
		if !ok || principal != "ann" {
			return nil, nil
		}
		return []iam.Policy{p}, nil
	}
}

// issuer is an Auth with a key of ann's.
func issuer(t testing.TB, db *rows, keys *seal.Keys, k meta.Key) *auth.Auth {
	t.Helper()
	k.ID, k.Principal, k.Active = "AKIAANN", "ann", true
	k.Sealed = keys.Seal([]byte("secret"), []byte("access key AKIAANN"))
	if err := db.PutKey(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	return auth.New(db, keys, auth.Options{Registry: account, ARN: arn, Policies: policies("AmazonEC2ContainerRegistryReadOnly")})
}

// token logs in with the key's secret and returns a token's password.
func token(t testing.TB, a *auth.Auth) (password string, expires time.Time) {
	t.Helper()
	c, err := a.Basic(t.Context(), home, "AKIAANN", "secret")
	if err != nil {
		t.Fatal(err)
	}
	text, expires, err := a.Token(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	user, password, _ := strings.Cut(string(plain), ":")
	if user != auth.TokenUser || len(text) >= 1024 || strings.Contains(password, "secret") {
		t.Errorf("the token is %q", plain)
	}
	return password, expires
}

// TestToken: it is its access key's, for 12 hours.
func TestToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := issuer(t, &rows{}, newKeys(t), meta.Key{})
		password, expires := token(t, a)
		if want := time.Now().Add(12 * time.Hour); !expires.Equal(want) {
			t.Errorf("expires %s, want %s", expires, want)
		}
		c, err := a.Basic(t.Context(), home, "AWS", password)
		if err != nil {
			t.Fatal(err)
		}
		want, err := a.Basic(t.Context(), home, "AKIAANN", "secret")
		if d := cmp.Diff(want, c, cmp.Comparer(func(a, b iam.Context) bool { return a == b })); err != nil || d != "" {
			t.Errorf("%v, the caller is (-by secret, +by token):\n%s", err, d)
		}
		if err := c.Allowed(iam.BatchGetImage, arn("x")); err != nil || c.Account != account {
			t.Errorf("of account %s: %v", c.Account, err)
		}
		if c.Allowed("ecr:PutImage", arn("x")) == nil {
			t.Error("allowed more than the policy says")
		}
		<-time.After(time.Until(expires) - time.Second)
		if _, err := a.Basic(t.Context(), home, "AWS", password); err != nil {
			t.Errorf("before it expires: %v", err)
		}
		<-time.After(time.Second)
		_, err = a.Basic(t.Context(), home, "AWS", password)
		if e := errs.As(err); e == nil || e.Code != errs.Denied || e.Msg != "Your authorization token has expired. Reauthenticate and try again." {
			t.Errorf("after it expired: %v", err)
		}
	})
}

// TestTokenAndKey: a token is nothing without its access key.
func TestTokenAndKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, keys := &rows{}, newKeys(t)
		a := issuer(t, db, keys, meta.Key{Expires: time.Now().Add(time.Hour + 300*time.Millisecond)})
		password, expires := token(t, a)
		if want := time.Now().Add(time.Hour); !expires.Equal(want) {
			t.Errorf("expires %s, but its key does so at %s", expires, want)
		}
		login := func() error {
			_, err := a.Basic(t.Context(), home, "AWS", password)
			return err
		}
		if err := login(); err != nil {
			t.Fatal(err)
		}
		const words = "the access key that this authorization token was made for is not active any more"
		k := db.m["AKIAANN"]
		k.Active = false
		db.m[k.ID] = k
		if err := login(); errs.CodeOf(err) != errs.Unauthenticated || errs.As(err).Msg != words {
			t.Errorf("with its key inactive: %v", err)
		}
		k.Active = true
		db.m[k.ID] = k
		if err := login(); err != nil {
			t.Errorf("with its key active again: %v", err)
		}
		delete(db.m, k.ID)
		if err := login(); errs.CodeOf(err) != errs.Unauthenticated || errs.As(err).Msg != words {
			t.Errorf("with its key deleted: %v", err)
		}
		db.err = errors.New("disk on fire")
		if err := login(); err == nil || errs.CodeOf(err) != errs.Internal {
			t.Errorf("with the storage failing: %v, want an internal error", err)
		}
	})
}

// TestOthersTokens: a token counts only where it was made.
func TestOthersTokens(t *testing.T) {
	db, keys := &rows{}, newKeys(t)
	password, _ := token(t, issuer(t, db, keys, meta.Key{}))
	o := auth.Options{Registry: account, ARN: arn}
	tests := []struct {
		name     string
		a        *auth.Auth
		password string
		words    string // for the log; "": it is taken
	}{
		{"another process", auth.New(db, keys, o), password, ""},
		{"another registry", auth.New(db, keys, auth.Options{Registry: "111111111111", ARN: arn}), password, "the token is for registry 123456789012"},
		{"another keys file", auth.New(db, newKeys(t), o), password, "signed with another keys file"},
		{"no signature", auth.New(db, keys, o), password[:strings.LastIndexByte(password, '.')], "was changed"},
		{"empty signature", auth.New(db, keys, o), password[:strings.LastIndexByte(password, '.')+1], "was changed"},
		{"empty", auth.New(db, keys, o), "", "no registry token"},
		{"dots", auth.New(db, keys, o), "....", "was changed"},
		{"the access key's secret", auth.New(db, keys, o), "secret", "no registry token"},
		{"very long", auth.New(db, keys, o), strings.Repeat("a.", 100_000), "too long"},
		{"twice", auth.New(db, keys, o), password + password, "was changed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := tt.a.Basic(t.Context(), home, "AWS", tt.password)
			if tt.words == "" {
				if err != nil || c.Name != "ann" {
					t.Errorf("%+v, %v", c, err)
				}
				return
			}
			if errs.CodeOf(err) != errs.Unauthenticated || errs.As(err).Msg != "incorrect username or password" || !strings.Contains(err.Error(), tt.words) {
				t.Errorf("%v, want %q", err, tt.words)
			}
			if c.Name != "" || len(tt.password) > 10 && strings.Contains(err.Error(), tt.password) {
				t.Errorf("refused as %v, but the caller is %+v", err, c)
			}
		})
	}
	a := auth.New(db, keys, o)
	for range 50 { // one user name is everybody's: nobody is locked out by others
		if _, err := a.Basic(t.Context(), home, "AWS", "x"); errs.CodeOf(err) != errs.Unauthenticated {
			t.Fatal(err)
		}
	}
	if _, err := a.Basic(t.Context(), home, "AWS", password); err != nil {
		t.Errorf("after wrong ones: %v", err)
	}
}

// TestWhoMayHaveAToken: whom a policy lets, and who has an access key.
func TestWhoMayHaveAToken(t *testing.T) {
	a := issuer(t, &rows{}, newKeys(t), meta.Key{})
	full, _ := iam.Managed("AmazonEC2ContainerRegistryFullAccess")
	tests := []struct {
		name string
		c    iam.Caller
		code errs.Code
	}{
		{"nobody", iam.Caller{}, errs.Unauthenticated},
		{"without a policy", iam.Caller{Name: "ann", KeyID: "AKIAANN"}, errs.Denied},
		{"with one for repositories only", iam.Caller{Name: "ann", KeyID: "AKIAANN", Policies: []iam.Policy{iam.PullPolicy("*")}}, errs.Denied},
		{"anonymous", iam.Caller{Name: "anonymous", Anonymous: true, Policies: []iam.Policy{full}}, errs.Denied},
		{"with a key that is gone", iam.Caller{Name: "ann", KeyID: "AKIAGONE", Policies: []iam.Policy{full}}, errs.Unauthenticated},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if token, _, err := a.Token(t.Context(), tt.c); errs.CodeOf(err) != tt.code || err == nil || token != "" {
				t.Errorf("%q, %v, want %v", token, err, tt.code)
			}
		})
	}
}

// FuzzToken: no token but those that were made is taken.
func FuzzToken(f *testing.F) {
	a := issuer(f, &rows{}, newKeys(f), meta.Key{})
	password, _ := token(f, a)
	for i := range len(password) {
		f.Add(password[:i], i, byte(1))
	}
	f.Add(password+"\n", 0, byte(0x20))
	f.Fuzz(func(t *testing.T, s string, i int, flip byte) {
		changed := []byte(password)
		if flip != 0 {
			changed[uint(i)%uint(len(changed))] ^= flip
		}
		for _, p := range []string{s, string(changed), string(changed) + s, s + string(changed)} {
			if c, err := a.Basic(t.Context(), home, "AWS", p); (err == nil) != (p == password) {
				t.Fatalf("%q: %+v, %v", p, c, err)
			}
		}
	})
}

// TestPoliciesFail: a caller without the policies that deny is worse than none.
func TestPoliciesFail(t *testing.T) {
	db, keys := &rows{}, newKeys(t)
	password, _ := token(t, issuer(t, db, keys, meta.Key{}))
	broken := func(context.Context, string) ([]iam.Policy, error) { return nil, errors.New("disk on fire") }
	a := auth.New(db, keys, auth.Options{Registry: account, ARN: arn, Policies: broken})
	put(t, db, keys, meta.Key{ID: "AKIAROOT", Principal: "root", Root: true, Active: true}, "secret")
	for _, login := range [][2]string{{"AKIAANN", "secret"}, {"AWS", password}} {
		if c, err := a.Basic(t.Context(), home, login[0], login[1]); err == nil || errs.CodeOf(err) != errs.Internal || c.Name != "" {
			t.Errorf("%s: %+v, %v", login[0], c, err)
		}
	}
	if _, c, err := a.Secret(t.Context(), "AKIAANN"); err == nil || c.Name != "" {
		t.Errorf("Secret: %+v, %v", c, err)
	}
	if c, err := a.Basic(t.Context(), home, "AKIAROOT", "secret"); err != nil || !c.Root {
		t.Errorf("root: %+v, %v", c, err)
	}
}

func TestContext(t *testing.T) {
	a := auth.New(&rows{}, newKeys(t), auth.Options{ARN: arn, TrustedProxies: prefixes("10.0.0.0/24")})
	tests := []struct {
		name, peer string
		tls        bool
		header     http.Header
		addr       string
		want       bool // TLS
	}{
		{"plain", "192.0.2.7:1", false, nil, "192.0.2.7", false},
		{"encrypted", "192.0.2.7:1", true, nil, "192.0.2.7", true},
		{"a stranger says so", "192.0.2.7:1", false, http.Header{"X-Forwarded-Proto": {"https"}}, "192.0.2.7", false},
		{"a proxy says so", "10.0.0.5:1", false, http.Header{"X-Forwarded-Proto": {"HTTPS"}, "X-Forwarded-For": {"192.0.2.9"}}, "192.0.2.9", true},
		{"a proxy says no", "10.0.0.5:1", true, http.Header{"X-Forwarded-Proto": {"http"}}, "10.0.0.5", false},
		{"a proxy does not say", "10.0.0.5:1", true, nil, "10.0.0.5", true},
		{"a proxy says it twice", "10.0.0.5:1", false, http.Header{"X-Forwarded-Proto": {"https", "http"}}, "10.0.0.5", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: tt.peer, Header: tt.header}
			if tt.tls {
				r.TLS = &tls.ConnectionState{}
			}
			before := time.Now()
			c := a.Context(r)
			if c.SourceIP.String() != tt.addr || c.TLS != tt.want || c.Time.Before(before) || c.Time.After(time.Now()) {
				t.Errorf("context is %+v", c)
			}
		})
	}
}

func BenchmarkToken(b *testing.B) {
	a := issuer(b, &rows{}, newKeys(b), meta.Key{})
	password, _ := token(b, a)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Basic(b.Context(), home, "AWS", password); err != nil {
			b.Fatal(err)
		}
	}
}
