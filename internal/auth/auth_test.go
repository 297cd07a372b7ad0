package auth_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-registry/weir/internal/auth"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/seal"
	"github.com/weir-registry/weir/internal/vfs/vfstest"
)

// rows is access keys in memory.
type rows struct {
	mu  sync.Mutex
	m   map[string]meta.Key
	err error
}

func (r *rows) Key(_ context.Context, id string) (meta.Key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k, ok := r.m[id]
	if r.err != nil {
		return meta.Key{}, r.err
	}
	if !ok {
		return meta.Key{}, fmt.Errorf("access key %s: %w", id, fs.ErrNotExist)
	}
	return k, nil
}

func (r *rows) PutKey(_ context.Context, k meta.Key) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.m == nil {
		r.m = map[string]meta.Key{}
	}
	r.m[k.ID] = k
	return r.err
}

func newKeys(t testing.TB) *seal.Keys {
	t.Helper()
	keys, err := seal.Open(vfstest.NewMem(nil), "keys")
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func arn(repo string) string { return "arn:aws:ecr:local:123456789012:repository/" + repo }

var home = netip.MustParseAddr("192.0.2.1")

func TestRoot(t *testing.T) {
	db, keys := &rows{}, newKeys(t)
	a := auth.New(db, keys, auth.Options{ARN: arn})
	id, secret, created, err := a.CreateRoot(t.Context(), "123456789012")
	if err != nil || !created {
		t.Fatalf("created %v, error %v", created, err)
	}
	if !regexp.MustCompile(`^AKIA[A-Z2-7]{16}$`).MatchString(id) || !regexp.MustCompile(`^[A-Z2-7]{40}$`).MatchString(secret) {
		t.Errorf("ID %q or secret of %d characters is not as AWS's", id, len(secret))
	}
	if strings.Contains(string(db.m[id].Sealed), secret) {
		t.Error("the row has the secret in it")
	}
	c, err := a.Basic(t.Context(), home, id, secret)
	if err != nil || !c.Root || c.Name != "root" || c.KeyID != id || c.Anonymous {
		t.Errorf("login is %+v, %v", c, err)
	}
	again, s2, created, err := a.CreateRoot(t.Context(), "123456789012")
	if again != id || s2 != "" || created || err != nil {
		t.Errorf("second time: %q, secret %q, created %v, %v", again, s2, created, err)
	}
	if got, c, err := a.Secret(t.Context(), id); got != secret || !c.Root || err != nil {
		t.Errorf("Secret: right %v, %+v, %v", got == secret, c, err)
	}
	other := auth.New(db, newKeys(t), auth.Options{ARN: arn})
	if _, _, _, err := other.CreateRoot(t.Context(), "123456789012"); !errors.Is(err, seal.ErrOtherKeys) {
		t.Errorf("with another keys file: %v, want %v", err, seal.ErrOtherKeys)
	}
	if _, err := other.Basic(t.Context(), home, id, secret); errs.CodeOf(err) != errs.Internal {
		t.Errorf("login with another keys file: %v, want an internal error", err)
	}
}

// put stores a key with a secret and returns its ID.
func put(t *testing.T, db *rows, keys *seal.Keys, k meta.Key, secret string) {
	t.Helper()
	k.Sealed = keys.Seal([]byte(secret), []byte("access key "+k.ID))
	if err := db.PutKey(t.Context(), k); err != nil {
		t.Fatal(err)
	}
}

func TestBasic(t *testing.T) {
	db, keys := &rows{}, newKeys(t)
	put(t, db, keys, meta.Key{ID: "AKIAUSER", Principal: "ann", Active: true}, "right")
	put(t, db, keys, meta.Key{ID: "AKIALATER", Principal: "ann", Active: true, Expires: time.Now().Add(time.Hour)}, "right")
	put(t, db, keys, meta.Key{ID: "AKIAOFF", Principal: "ann"}, "right")
	put(t, db, keys, meta.Key{ID: "AKIAOLD", Principal: "ann", Active: true, Expires: time.Now().Add(-time.Second)}, "right")
	put(t, db, keys, meta.Key{ID: "AKIAEMPTY", Principal: "ann", Active: true}, "")
	moved := db.m["AKIAUSER"]
	moved.ID, moved.Root = "AKIAMOVED", true
	db.m["AKIAMOVED"] = moved
	a := auth.New(db, keys, auth.Options{ARN: arn})
	tests := []struct {
		name, id, secret string
		code             errs.Code // Internal with ok: none
		ok               bool
	}{
		{name: "right", id: "AKIAUSER", secret: "right", ok: true},
		{name: "not expired", id: "AKIALATER", secret: "right", ok: true},
		{name: "wrong", id: "AKIAUSER", secret: "wrong", code: errs.Unauthenticated},
		{name: "empty secret", id: "AKIAUSER", code: errs.Unauthenticated},
		{name: "longer", id: "AKIAUSER", secret: "right ", code: errs.Unauthenticated},
		{name: "unknown key", id: "AKIANOBODY", secret: "right", code: errs.Unauthenticated},
		{name: "unknown key, empty secret", id: "AKIANOBODY", code: errs.Unauthenticated},
		{name: "no key", secret: "right", code: errs.Unauthenticated},
		{name: "inactive", id: "AKIAOFF", secret: "right", code: errs.Unauthenticated},
		{name: "inactive, empty secret", id: "AKIAOFF", code: errs.Unauthenticated},
		{name: "expired", id: "AKIAOLD", secret: "right", code: errs.Unauthenticated},
		{name: "other case", id: "akiauser", secret: "right", code: errs.Unauthenticated},
		{name: "sealed text of another row", id: "AKIAMOVED", secret: "right", code: errs.Internal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := a.Basic(t.Context(), home, tt.id, tt.secret)
			if (err == nil) != tt.ok || !tt.ok && errs.CodeOf(err) != tt.code {
				t.Fatalf("%+v, %v; want ok %v, code %v", c, err, tt.ok, tt.code)
			}
			if tt.ok {
				if c.Name != "ann" || c.Root || c.Allowed(iam.BatchGetImage, arn("x")) == nil {
					t.Errorf("caller is %+v", c)
				}
				return
			}
			if tt.code == errs.Unauthenticated && errs.As(err).Msg != "incorrect username or password" {
				t.Errorf("refused in other words: %q", errs.As(err).Msg)
			}
			if tt.secret != "" && strings.Contains(err.Error(), tt.secret+"\"") {
				t.Error("the error has the password in it")
			}
			if c.Name != "" || c.Root {
				t.Errorf("refused, but the caller is %+v", c)
			}
		})
	}
}

func TestStorageFails(t *testing.T) {
	db := &rows{err: errors.New("disk on fire")}
	a := auth.New(db, newKeys(t), auth.Options{ARN: arn})
	if _, err := a.Basic(t.Context(), home, "AKIA", "x"); err == nil || errs.CodeOf(err) != errs.Internal {
		t.Errorf("Basic: %v, want an internal error: a login must not look wrong because of it", err)
	}
	if _, _, _, err := a.CreateRoot(t.Context(), "123456789012"); err == nil {
		t.Error("CreateRoot: no error")
	}
}

func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, keys := &rows{}, newKeys(t)
		put(t, db, keys, meta.Key{ID: "AKIAUSER", Principal: "ann", Active: true}, "right")
		put(t, db, keys, meta.Key{ID: "AKIAROOT", Principal: "root", Root: true, Active: true}, "right")
		a := auth.New(db, keys, auth.Options{ARN: arn})
		far := netip.MustParseAddr("198.51.100.9")
		login := func(from netip.Addr, id, secret string, want errs.Code) *errs.Error {
			t.Helper()
			_, err := a.Basic(t.Context(), from, id, secret)
			if got := errs.CodeOf(err); got != want {
				t.Errorf("%s with %s from %s: %v, want %v", id, secret, from, err, want)
			}
			return errs.As(err)
		}
		for range 10 {
			login(home, "AKIAUSER", "wrong", errs.Unauthenticated)
			login(home, "AKIAROOT", "wrong", errs.Unauthenticated)
			login(home, "AKIANOBODY", "wrong", errs.Unauthenticated)
		}
		e := login(home, "AKIAUSER", "right", errs.RateLimited)
		if e.RetryAfter <= 0 || e.RetryAfter > 6*time.Second {
			t.Errorf("RetryAfter is %v", e.RetryAfter)
		}
		login(home, "AKIANOBODY", "wrong", errs.RateLimited)
		login(home, "AKIAROOT", "wrong", errs.RateLimited)
		login(home, "AKIAROOT", "right", errs.Internal) // no error: root is not locked out
		login(far, "AKIAUSER", "right", errs.Internal)  // nor is anybody elsewhere
		login(home, "AKIAUSER", "right", errs.RateLimited)
		<-time.After(e.RetryAfter)
		login(home, "AKIAUSER", "right", errs.Internal)
		for range 10 {
			login(home, "AKIAUSER", "wrong", errs.Unauthenticated)
		}
		login(home, "AKIAUSER", "right", errs.RateLimited)
		// Others that guess do not make weir remember without end, nor forget at once.
		for i := range 5000 {
			login(far, fmt.Sprint("AKIA", i), "wrong", errs.Unauthenticated)
		}
		<-time.After(time.Minute)
		login(home, "AKIAUSER", "right", errs.Internal)
	})
}
