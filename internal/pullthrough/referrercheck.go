package pullthrough

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

// theirReferrers returns what the upstream lists about subject, which is the caller's,
// and how it was come by. An error says that neither subject nor anything about it is
// held.
func (c *Cache) theirReferrers(ctx context.Context, s Scope, subject digest.Digest) ([]oci.Referrer, ReferrerList, error) {
	r, repo := s.Rule, s.Repository
	kept, err := c.Index.Referrers(ctx, repo, subject)
	if err != nil {
		return nil, ReferrerList{}, err
	}
	key := s.key(referrersRef(subject))
	if kept.Checked.IsZero() {
		kept.Checked = c.empties.get(key)
	}
	if off := c.off(s); off != nil {
		l := ReferrerList{Source: Hit, Age: age(kept.Checked)}
		if errs.CodeOf(off) != errs.ManifestUnknown {
			l.Warning = heldOnly(off)
		}
		return kept.List, l, nil
	}
	if c.freshReferrers(r, kept) {
		return kept.List, ReferrerList{Source: Hit, Age: age(kept.Checked)}, nil
	}
	known := !kept.Checked.IsZero()
	if !known {
		if known, err = c.heldAbout(ctx, repo, subject); err != nil {
			return nil, ReferrerList{}, err
		}
	}
	if !known {
		if err := c.refusedList(s, key); err != nil {
			return nil, ReferrerList{}, err
		}
		f, lead := c.checkReferrers(s, subject, 0)
		now, err := f.wait(ctx)
		return slices.Clone(now.List), ReferrerList{Source: source(lead), Age: age(now.Checked)}, err
	}
	now, src, err := c.renewReferrers(ctx, s, subject, !kept.Checked.IsZero())
	if ctx.Err() != nil {
		return nil, ReferrerList{}, context.Cause(ctx)
	}
	if err != nil {
		c.rules.stale(r.Prefix)
		return kept.List, ReferrerList{Source: Stale, Age: age(kept.Checked), Warning: notRenewed(err)}, nil
	}
	return slices.Clone(now.List), ReferrerList{Source: src, Age: age(now.Checked)}, nil
}

func notRenewed(err error) string {
	why := "the upstream could not be asked"
	if e := errs.As(err); e != nil {
		why = e.Msg
	}
	return "what is listed may be old, or not all there is: " + why
}

// referrersRef sets what there is about a manifest apart from the manifest.
func referrersRef(d digest.Digest) string { return "referrers " + string(d) }

func age(checked time.Time) time.Duration {
	if checked.IsZero() {
		return -1
	}
	return max(0, time.Since(checked))
}

func (c *Cache) freshReferrers(r *rule.Rule, kept rule.Referrers) bool {
	return r.Fresh(kept.Checked, time.Now())
}

// heldAbout says whether subject, or anything about it, is held.
func (c *Cache) heldAbout(ctx context.Context, repo string, subject digest.Digest) (bool, error) {
	_, err := c.Index.Manifest(ctx, repo, subject)
	if err == nil || errs.CodeOf(err) != errs.ManifestUnknown {
		return err == nil, err
	}
	about, err := c.Index.Referring(ctx, repo, subject, "", 1)
	if err == nil && len(about) == 0 {
		about, err = c.fallback(ctx, repo, subject)
	}
	return len(about) > 0, err
}

// renewReferrers checks what there is about a subject of which something is held. The
// error is why what is known has to do. checked says that there was a check before:
// else a client waits as long as for what is not held, since nothing is known yet.
func (c *Cache) renewReferrers(ctx context.Context, s Scope, subject digest.Digest, checked bool) (rule.Referrers, Source, error) {
	host := s.Rule.Upstream
	if err := c.notNowList(s, s.key(referrersRef(subject))); err != nil {
		c.probe(host, func(ctx context.Context) error {
			f, _ := c.checkReferrers(s, subject, 0)
			_, err := f.wait(ctx)
			return err
		})
		return rule.Referrers{}, Stale, err
	}
	pause, ok := c.budgets.take(host)
	if !ok {
		return rule.Referrers{}, Stale, errs.New(errs.RateLimited, "many checks are due at once")
	}
	f, lead := c.checkReferrers(s, subject, pause)
	if pause > 0 {
		return rule.Referrers{}, Stale, errs.New(errs.RateLimited, "many checks are due at once; this one is made in %s", pause.Round(time.Second))
	}
	wait := c.Wait
	if !checked {
		wait = min(listWait, c.Check)
	}
	now, done, err := f.waitUntil(ctx, wait)
	if !done {
		// Not the host's fault: these may be several requests, one after the other.
		return rule.Referrers{}, Stale, errs.New(errs.UpstreamTimeout, "%s has not answered within %s", host, wait)
	}
	return now, source(lead), err
}

// checkReferrers joins the check of what there is about subject, or starts it after
// pause.
func (c *Cache) checkReferrers(s Scope, subject digest.Digest, pause time.Duration) (f *flight[rule.Referrers], lead bool) {
	r, repo, key := s.Rule, s.Repository, s.key(referrersRef(subject))
	return c.refers.join(c, key, func(ctx context.Context) (rule.Referrers, error) {
		if err := sleep(ctx, pause); err != nil {
			return rule.Referrers{}, err
		}
		ctx, cancel := context.WithTimeout(ctx, c.Check)
		defer cancel()
		kept, err := c.Index.Referrers(ctx, repo, subject)
		if err != nil || c.freshReferrers(r, kept) { // another check ended since this one was found to be needed
			return kept, err
		}
		list, err := c.askReferrers(ctx, s, subject)
		ctx = context.WithoutCancel(ctx)
		if err != nil {
			c.referrersFailed(ctx, s, subject, kept, err)
			return kept, err
		}
		return c.keepReferrers(ctx, s, subject, kept, list)
	})
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// askReferrers asks the upstream's API, and where it has none, or says so by a refusal,
// for the fallback tag's index.
func (c *Cache) askReferrers(ctx context.Context, s Scope, subject digest.Digest) ([]oci.Referrer, error) {
	r, key := s.Rule, s.key(referrersRef(subject))
	name := r.UpstreamRepository(s.Repository)
	list, err := c.Upstream(r).Referrers(ctx, name, subject)
	if code := errs.CodeOf(err); code != errs.Unsupported && code != errs.UpstreamDenied {
		err = timedOut(err, r)
		c.noteList(s, key, len(list) > 0, err)
		return list, err
	}
	if err := c.quotas.exceeded(quotaKey(r), false); err != nil {
		c.answers.put(key, answer{err: errs.As(err)}, 10*time.Second) // or each request would ask the API first
		return nil, err
	}
	m, err := c.Upstream(r).Manifest(ctx, name, oci.Reference{Tag: oci.FallbackTag(subject)})
	err = timedOut(err, r)
	if errs.CodeOf(err) == errs.ManifestUnknown {
		c.note(r, key, true, false, nil) // which is an answer
		return nil, nil
	}
	c.note(r, key, true, false, err)
	if err != nil {
		return nil, err
	}
	list, _ = oci.ParseReferrers(m.Raw) // of what is no index there are none
	return list, nil
}

// keepReferrers keeps the upstream's answer. That there is nothing about something that
// is not held itself takes no row: anybody may ask for that, as often as they like.
func (c *Cache) keepReferrers(ctx context.Context, s Scope, subject digest.Digest, kept rule.Referrers, list []oci.Referrer) (rule.Referrers, error) {
	now := rule.Referrers{List: list, Checked: time.Now()}
	if len(list) == 0 && kept.Checked.IsZero() {
		held, err := c.heldAbout(ctx, s.Repository, subject)
		if err != nil {
			return now, err
		}
		if !held {
			c.empties.put(s.key(referrersRef(subject)), now.Checked)
			return now, nil
		}
	}
	return now, c.Index.PutReferrers(ctx, s.Repository, subject, list, now.Checked)
}

// referrersFailed records a failed check, as far as it tells anything.
func (c *Cache) referrersFailed(ctx context.Context, s Scope, subject digest.Digest, kept rule.Referrers, err error) {
	if errors.Is(err, context.Canceled) && errs.As(err) == nil {
		return // weir is ending
	}
	r := s.Rule
	if errs.CodeOf(err) == errs.UpstreamDenied && r.Window != rule.Never && !kept.Checked.IsZero() {
		checked := time.Now().Add(min(deniedPause, r.Window) - r.Window)
		if perr := c.Index.CheckReferrers(ctx, s.Repository, subject, checked); perr != nil {
			c.Logger.Error("check of referrers not recorded", "repository", s.Repository, "digest", subject, "error", perr)
		}
	}
	c.Logger.Warn("check of referrers failed", "repository", s.Repository, "digest", subject, "upstream", r.Upstream, "code", errs.CodeOf(err).String(), "error", err)
}

// empties remembers for a minute that there is nothing about a manifest that is not
// held, and when that was said.
type empties struct {
	mu sync.Mutex
	m  map[refKey]time.Time
}

func (e *empties) put(key refKey, at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.m = bounded(e.m, func(at time.Time) bool { return time.Since(at) >= listFor })
	e.m[key] = at
}

func (e *empties) get(key refKey) time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	if at := e.m[key]; time.Since(at) < listFor {
		return at
	}
	delete(e.m, key)
	return time.Time{}
}
