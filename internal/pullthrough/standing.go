package pullthrough

import (
	"errors"
	"sync"
	"time"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/rule"
)

// accounts remembers for people, by host and credential, what came of requests. Nothing is
// decided by it.
type accounts struct {
	mu sync.Mutex
	m  map[string]account
}

type account struct {
	fails   int    // in a row, of any of its requests
	of      refKey // the last of them that was answered with an error or nonsense
	since   time.Time
	refused time.Time // since when the credential is
	failed  time.Time
	err     *errs.Error
}

// ok says that a request was answered, by what it asked for or by that there is no such
// thing.
func (a *accounts) ok(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if x, was := a.m[key]; was && (x.fails > 0 || !x.refused.IsZero()) {
		x.fails, x.of, x.since, x.refused = 0, refKey{}, time.Time{}, time.Time{}
		a.m[key] = x
	}
}

func (a *accounts) failed(key string, of refKey, err *errs.Error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.m == nil {
		a.m = map[string]account{}
	}
	x, now := a.m[key], time.Now()
	x.err, x.failed = err.WithoutName(), now
	switch {
	case err.Code == errs.UpstreamRateLimited: // it has a memory of its own
	case err.Code == errs.UpstreamFailed && x.of == of: // which may be of it alone
	case err.Code != errs.UpstreamDenied:
		if err.Code == errs.UpstreamFailed {
			x.of = of
		}
		if x.fails++; x.fails == 1 {
			x.since = now
		}
	case x.refused.IsZero():
		x.refused = now
	}
	a.m[key] = x
}

// told takes in what came of a request for something, nil or an error of Upstream's.
func (a *accounts) told(key string, of refKey, err *errs.Error) {
	if err == nil {
		a.ok(key)
		return
	}
	switch err.Code {
	case errs.UpstreamDenied:
		// Else it may be of one image alone: some upstreams say so of every name that they lack.
		if errors.Is(err, errs.ErrNoLogin) || errors.Is(err, errs.ErrNoCredential) {
			a.failed(key, of, err)
		}
	case errs.UpstreamUnreachable, errs.UpstreamTimeout, errs.UpstreamFailed, errs.UpstreamRateLimited:
		a.failed(key, of, err)
	case errs.ManifestUnknown, errs.BlobUnknown, errs.RepoUnknown, errs.RangeInvalid:
		a.ok(key)
	}
}

// LoggedIn takes in that a rule's upstream was just reached, and took the rule's credential
// if it has one.
func (c *Cache) LoggedIn(r *rule.Rule) {
	c.paths.ok(r.Upstream)
	c.accounts.ok(quotaKey(r))
}

// Standing tells how things stand with a rule's upstream. Its quota is not known here.
func (c *Cache) Standing(r *rule.Rule) rule.Standing {
	var s rule.Standing
	key := quotaKey(r)
	c.accounts.mu.Lock()
	a := c.accounts.m[key]
	c.accounts.mu.Unlock()
	s.Refused, s.Failed = a.refused, a.failed
	if a.fails >= strikes {
		s.Failing = a.since
	}
	if a.err != nil {
		s.Failure = a.err.Msg
	}

	c.paths.mu.Lock()
	if p := c.paths.m[r.Upstream]; p != nil {
		s.Answered = p.contact
		if p.fails >= strikes && (s.Failing.IsZero() || p.since.Before(s.Failing)) {
			s.Failing = p.since
		}
		if p.err != nil && s.Failed.Before(p.failed) { // of a rule with another credential
			s.Failed, s.Failure = p.failed, p.err.Msg
		}
	}
	c.paths.mu.Unlock()

	c.quotas.mu.Lock()
	defer c.quotas.mu.Unlock()
	if q, ok := c.quotas.m[key]; ok && time.Now().Before(q.until) {
		s.Limited, s.Limit = q.until, q.err.Msg
	}
	return s
}
