// Package auth says who is asking: by access key (as a password, or as the secret
// of a signature that the caller verifies), by a registry token that was made for
// an access key, by the session of a person who signed in with one, or by network where anonymous pull is configured. It does not
// decide what somebody may do, but for one thing that only it does: who may have a
// token.
//
// Guarantees: a secret and a token's signature are compared in constant time, and
// an unknown access key is refused in the same words as a wrong secret; who guesses
// a secret is slowed down per (access key, address), which never locks the root key
// out; a token, a download URL or a session is nothing without its access key, which is looked at each time;
// headers about the client's address count only if a trusted proxy sent them.
package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"time"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/seal"
)

// Keys is where access keys are kept: *meta.DB.
type Keys interface {
	Key(ctx context.Context, id string) (meta.Key, error) // an error matching fs.ErrNotExist if there is none
	PutKey(ctx context.Context, k meta.Key) error
}

// AnonymousRule lets a network pull without an access key.
type AnonymousRule struct {
	CIDRs        []netip.Prefix
	Repositories []string // cached names, with * (which crosses /) and ?
}

// Options of an Auth. ARN is required.
type Options struct {
	Registry       string // its ID: the account that callers are of, and the only one that tokens are for
	Anonymous      []AnonymousRule
	TrustedProxies []netip.Prefix           // whose X-Forwarded-For and X-Forwarded-Proto count
	ARN            func(repo string) string // the Amazon resource name of a repository, or of a pattern of them

	// Policies returns what a principal may do; it is asked for each request. nil:
	// nobody but root may do anything.
	Policies func(ctx context.Context, principal string) ([]iam.Policy, error)
}

// Auth finds out who is asking. It is safe for concurrent use.
type Auth struct {
	rows      Keys
	keys      *seal.Keys
	signing   []byte // of tokens
	downloads []byte // signs download URLs
	sessions  []byte // signs those of people who are signed in
	signedOut ended
	registry  string
	policies  func(ctx context.Context, principal string) ([]iam.Policy, error)
	anonymous []anonymousRule
	trusted   []netip.Prefix
	guesses   guesses
}

// New returns an Auth.
func New(rows Keys, keys *seal.Keys, o Options) *Auth {
	a := &Auth{
		rows: rows, keys: keys, signing: keys.Derive("registry tokens"), downloads: keys.Derive("download URLs"), sessions: keys.Derive("sessions"),
		registry: o.Registry, policies: o.Policies, trusted: o.TrustedProxies,
	}
	for _, r := range o.Anonymous {
		arns := make([]string, len(r.Repositories))
		for i, p := range r.Repositories {
			arns[i] = o.ARN(p)
		}
		a.anonymous = append(a.anonymous, anonymousRule{r.CIDRs, iam.PullPolicy(arns...)})
	}
	return a
}

// CreateRoot makes the registry's root access key if it has none. The key's ID
// follows from the registry's, so that there is one whoever is first. The secret
// is "" unless the key was created. Errors: that of Keys, and seal.ErrOtherKeys
// if the root key cannot be opened with this keys file.
func (a *Auth) CreateRoot(ctx context.Context, registryID string) (id, secret string, created bool, err error) {
	sum := sha256.Sum256([]byte("weir root access key of " + registryID))
	id = "AKIA" + base32.StdEncoding.EncodeToString(sum[:10])
	k, err := a.rows.Key(ctx, id)
	if err == nil {
		_, err = a.open(k)
		return id, "", false, err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", "", false, err
	}
	var random [25]byte
	rand.Read(random[:]) // never fails
	secret = base32.StdEncoding.EncodeToString(random[:])
	err = a.rows.PutKey(ctx, meta.Key{
		ID: id, Principal: "root", Root: true, Active: true,
		Sealed: a.keys.Seal([]byte(secret), sealContext(id)), Created: time.Now(),
	})
	if err != nil {
		return "", "", false, err
	}
	return id, secret, true, nil
}

// sealContext binds a sealed secret to its access key.
func sealContext(id string) []byte { return []byte("access key " + id) }

func (a *Auth) open(k meta.Key) (string, error) {
	secret, err := a.keys.Open(k.Sealed, sealContext(k.ID))
	if err != nil {
		return "", fmt.Errorf("secret of access key %s: %w", k.ID, err)
	}
	return string(secret), nil
}

// active returns an access key that counts. Errors: errs.Unauthenticated.
func (a *Auth) active(ctx context.Context, id string) (meta.Key, error) {
	k, err := a.rows.Key(ctx, id)
	if errors.Is(err, fs.ErrNotExist) {
		// Not with err, which has the whole of what may be a secret.
		return meta.Key{}, errs.Wrap(errs.Unauthenticated, fmt.Errorf("access key %q: %w", clip(id), fs.ErrNotExist), "the access key does not exist")
	}
	if err != nil {
		return meta.Key{}, err
	}
	if !k.Active || !k.Expires.IsZero() && !time.Now().Before(k.Expires) {
		return meta.Key{}, errs.New(errs.Unauthenticated, "the access key is not active any more")
	}
	return k, nil
}

// caller returns whose key it is, with what they may do.
func (a *Auth) caller(ctx context.Context, k meta.Key) (iam.Caller, error) {
	c := iam.Caller{Name: k.Principal, KeyID: k.ID, Account: a.registry, Root: k.Root}
	if k.Root || a.policies == nil {
		return c, nil
	}
	var err error
	if c.Policies, err = a.policies(ctx, k.Principal); err != nil {
		return iam.Caller{}, fmt.Errorf("policies of %s: %w", k.Principal, err)
	}
	return c, nil
}

// Secret returns an access key's secret and whose it is, for the verification of
// a signature; the caller has no Context yet. Errors: errs.Unauthenticated if there
// is no such key or it does not count any more.
func (a *Auth) Secret(ctx context.Context, id string) (secret string, caller iam.Caller, err error) {
	k, err := a.active(ctx, id)
	if err != nil {
		return "", iam.Caller{}, err
	}
	if secret, err = a.open(k); err != nil {
		return "", iam.Caller{}, err
	}
	if caller, err = a.caller(ctx, k); err != nil {
		return "", iam.Caller{}, err
	}
	return secret, caller, nil
}

// Basic returns who asks with an access key's ID and secret, or as TokenUser with
// a registry token; the caller has no Context yet. remote is where from. Errors:
// errs.Unauthenticated; errs.RateLimited after too many wrong secrets; errs.Denied
// if a token is over.
func (a *Auth) Basic(ctx context.Context, remote netip.Addr, id, secret string) (iam.Caller, error) {
	if id == TokenUser {
		return a.token(ctx, remote, secret)
	}
	at := guess{clip(id), remote} // what a stranger sends may be long
	wait := a.guesses.wait(at)
	want := ""
	k, err := a.active(ctx, id)
	if err == nil {
		want, err = a.open(k)
	}
	if err != nil && errs.CodeOf(err) != errs.Unauthenticated {
		return iam.Caller{}, err
	}
	if wait > 0 && !k.Root {
		return iam.Caller{}, tooMany(wait)
	}
	got, should := sha256.Sum256([]byte(secret)), sha256.Sum256([]byte(want))
	if same := subtle.ConstantTimeCompare(got[:], should[:]) == 1; err == nil && same {
		a.guesses.forget(at)
		return a.caller(ctx, k)
	}
	if wait > 0 {
		return iam.Caller{}, tooMany(wait)
	}
	a.guesses.wrong(at)
	if err == nil {
		err = errors.New("the secret is wrong")
	}
	return iam.Caller{}, incorrect(fmt.Errorf("access key %q from %s: %w", clip(id), remote, err))
}

// incorrect refuses a login in the same words whatever is wrong; cause is for the log.
func incorrect(cause error) error {
	return errs.Wrap(errs.Unauthenticated, cause, "incorrect username or password")
}

func tooMany(wait time.Duration) error {
	return &errs.Error{Code: errs.RateLimited, Msg: "too many logins with a wrong password from this address; try again later", RetryAfter: wait}
}

// clip keeps what a stranger sent short enough to be kept or logged. What is longer than an
// access key's ID may be a secret, sent in its place, and little of it is kept.
func clip(s string) string {
	if len(s) > 20 {
		return s[:8] + "..."
	}
	return s
}
