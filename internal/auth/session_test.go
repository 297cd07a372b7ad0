package auth_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-registry/weir/internal/auth"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/meta"
)

func request(t *testing.T) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://weir.test/console/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.RemoteAddr = "192.0.2.7:1234"
	return r
}

// signIn begins a session of ann's.
func signIn(t *testing.T, a *auth.Auth) string {
	t.Helper()
	value, err := a.SignIn(request(t), "AKIAANN", "secret")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(value, "secret") {
		t.Errorf("the value is %q", value)
	}
	return value
}

func wantSession(t *testing.T, what string, a *auth.Auth, value string, code errs.Code) auth.Session {
	t.Helper()
	s, err := a.Session(request(t), value)
	if got := errs.CodeOf(err); err != nil && got != code || err == nil && code != errs.Internal {
		t.Errorf("%s: %v, want %v", what, err, code)
	}
	return s
}

// TestSession: it goes on while there are requests, for so long and no longer.
func TestSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := issuer(t, &rows{}, newKeys(t), meta.Key{})
		value := signIn(t, a)
		s := wantSession(t, "at once", a, value, errs.Internal)
		if s.Caller.Name != "ann" || s.Caller.KeyID != "AKIAANN" || len(s.Caller.Policies) != 1 || s.Renewed != "" || s.Form == "" || s.Caller.Context.SourceIP.String() != "192.0.2.7" {
			t.Errorf("%+v", s)
		}
		other := wantSession(t, "another", a, signIn(t, a), errs.Internal)
		if other.Form == s.Form {
			t.Error("two sessions have the same forms")
		}
		form, end := s.Form, time.Now().Add(auth.SessionLife)
		for time.Until(end) > auth.SessionIdle {
			<-time.After(50 * time.Minute)
			if s = wantSession(t, "within the hour", a, value, errs.Internal); s.Renewed == "" || s.Form != form {
				t.Fatalf("%+v", s)
			}
			value = s.Renewed
		}
		<-time.After(time.Until(end) - time.Second)
		if s = wantSession(t, "shortly before the end", a, value, errs.Internal); s.Renewed != "" {
			t.Errorf("it is renewed beyond its end: %+v", s)
		}
		<-time.After(time.Second)
		wantSession(t, "after 12 hours", a, value, errs.Unauthenticated)

		value = signIn(t, a)
		<-time.After(auth.SessionIdle)
		wantSession(t, "after an hour without a request", a, value, errs.Unauthenticated)
	})
}

// TestSignOut: a session that was ended is over under all of its values, and others go on.
func TestSignOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := issuer(t, &rows{}, newKeys(t), meta.Key{})
		first, other := signIn(t, a), signIn(t, a)
		<-time.After(10 * time.Minute)
		second := wantSession(t, "later", a, first, errs.Internal).Renewed
		a.SignOut(second)
		a.SignOut("what is none")
		wantSession(t, "its first value", a, first, errs.Unauthenticated)
		wantSession(t, "its second value", a, second, errs.Unauthenticated)
		wantSession(t, "another session", a, other, errs.Internal)
	})
}

// TestSessionValues: only values that were made here for an access key that counts.
func TestSessionValues(t *testing.T) {
	db, keys := &rows{}, newKeys(t)
	a := issuer(t, db, keys, meta.Key{})
	value := signIn(t, a)
	for i := range value {
		changed := value[:i] + string(value[i]^1) + value[i+1:]
		wantSession(t, "changed at "+value[i:], a, changed, errs.Unauthenticated)
	}
	for _, v := range []string{"", ".", "....", value + ".", value[1:], strings.Repeat("a", 1<<20)} {
		wantSession(t, "nonsense", a, v, errs.Unauthenticated)
	}
	wantSession(t, "with another keys file", issuer(t, db, newKeys(t), meta.Key{}), value, errs.Unauthenticated)

	a = issuer(t, db, keys, meta.Key{})
	wantSession(t, "after a restart", a, value, errs.Internal)
	k, err := db.Key(t.Context(), "AKIAANN")
	if err != nil {
		t.Fatal(err)
	}
	k.Active = false
	if err := db.PutKey(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	wantSession(t, "the key is off", a, value, errs.Unauthenticated)
}

func TestSignInRefused(t *testing.T) {
	a := issuer(t, &rows{}, newKeys(t), meta.Key{})
	password, _ := token(t, a)
	for _, c := range [][2]string{{"AKIAANN", "wrong"}, {"AKIANOBODY", "secret"}, {"AWS", password}, {"", ""}} {
		if v, err := a.SignIn(request(t), c[0], c[1]); v != "" || errs.CodeOf(err) != errs.Unauthenticated {
			t.Errorf("%s: %q, %v", c[0], v, err)
		}
	}
}
