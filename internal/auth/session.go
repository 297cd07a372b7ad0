package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
)

// How long a person stays signed in.
const (
	SessionIdle = time.Hour      // without a request
	SessionLife = 12 * time.Hour // whatever they do
)

// sessionRenew is how old a session's value gets before a request has a new one.
const sessionRenew = 5 * time.Minute

// maxSignedOut is how many sessions that people ended are remembered at a time.
const maxSignedOut = 100_000

// Session is a person who is signed in with an access key.
type Session struct {
	Caller iam.Caller
	Form   string // what the forms of the session carry, so that no other page can send them

	// Renewed is the value that the session goes on with from now on, "" for the one that
	// it came with.
	Renewed string
}

// SignIn begins a session with an access key's ID and secret, for requests from remote, and
// returns the value that stands for it. It ends after SessionIdle without a request,
// after SessionLife, by SignOut, and when the access key does not count any more. The value
// holds on every node that has the keys file. Errors: as Basic, which a registry token is
// an error of here.
func (a *Auth) SignIn(r *http.Request, id, secret string) (value string, err error) {
	if id == TokenUser {
		return "", errs.New(errs.Unauthenticated, "people sign in with an access key; a registry token is for container clients")
	}
	c, err := a.Basic(r.Context(), a.Address(r), id, secret)
	if err != nil {
		return "", err
	}
	now := time.Now()
	return a.sessionValue(c.KeyID, rand.Text(), now, now), nil
}

// sessionValue signs a session as it is at now. No part has a dot in it.
func (a *Auth) sessionValue(keyID, nonce string, began, now time.Time) string {
	until := now.Add(SessionIdle)
	if end := began.Add(SessionLife); end.Before(until) {
		until = end
	}
	v := strings.Join([]string{keyID, nonce, strconv.FormatInt(began.Unix(), 10), strconv.FormatInt(until.Unix(), 10)}, ".")
	return v + "." + a.sessionSum("value", v)
}

// sessionSum is what only this registry can make of a text.
func (a *Auth) sessionSum(what, text string) string {
	h := hmac.New(sha256.New, a.sessions)
	h.Write([]byte(a.registry + "\n" + what + "\n" + text))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// Session returns the session that a value stands for. Errors: errs.Unauthenticated if it
// was not made here, is over or ended, or its access key does not count any more.
func (a *Auth) Session(r *http.Request, value string) (Session, error) {
	v, ok := a.readSession(value)
	now := time.Now()
	switch {
	case !ok:
		return Session{}, errs.New(errs.Unauthenticated, "you are not signed in")
	case !now.Before(v.until) || a.signedOut.has(v.nonce):
		return Session{}, errs.New(errs.Unauthenticated, "you are signed out: sign in again")
	}
	c, err := a.keyCaller(r.Context(), v.keyID)
	if err != nil {
		return Session{}, err
	}
	c.Context = a.Context(r)
	s := Session{Caller: c, Form: a.sessionSum("form", v.nonce)}
	if v.until.Sub(now) < SessionIdle-sessionRenew && v.until.Before(v.began.Add(SessionLife)) {
		s.Renewed = a.sessionValue(v.keyID, v.nonce, v.began, now)
	}
	return s, nil
}

// keyCaller returns whose access key it is, if it counts.
func (a *Auth) keyCaller(ctx context.Context, id string) (iam.Caller, error) {
	k, err := a.active(ctx, id)
	if err != nil {
		return iam.Caller{}, err
	}
	return a.caller(ctx, k)
}

// SignOut ends the session that a value stands for, on this node, whatever values it had.
// A value that stands for none is nothing to end.
func (a *Auth) SignOut(value string) {
	if v, ok := a.readSession(value); ok {
		a.signedOut.add(v.nonce, time.Now())
	}
}

type sessionParts struct {
	keyID, nonce string
	began, until time.Time
}

func (a *Auth) readSession(value string) (v sessionParts, ok bool) {
	parts := strings.Split(value, ".")
	if len(value) > 400 || len(parts) != 5 {
		return v, false
	}
	want := a.sessionSum("value", strings.Join(parts[:4], "."))
	if subtle.ConstantTimeCompare([]byte(parts[4]), []byte(want)) != 1 {
		return v, false
	}
	began, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return v, false
	}
	until, err := strconv.ParseInt(parts[3], 10, 64)
	return sessionParts{parts[0], parts[1], time.Unix(began, 0), time.Unix(until, 0)}, err == nil
}

// ended remembers sessions that people ended, until no value of theirs would count anyway.
type ended struct {
	mu sync.Mutex
	at map[string]time.Time // by nonce
}

func (e *ended) has(nonce string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, ok := e.at[nonce]
	return ok
}

func (e *ended) add(nonce string, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.at == nil {
		e.at = map[string]time.Time{}
	}
	if len(e.at) >= maxSignedOut {
		for n, at := range e.at {
			if now.Sub(at) > SessionIdle {
				delete(e.at, n)
			}
		}
	}
	for n := range e.at { // any, should there be so many in an hour
		if len(e.at) < maxSignedOut {
			break
		}
		delete(e.at, n)
	}
	e.at[nonce] = now
}
