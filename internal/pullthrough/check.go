package pullthrough

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

// checkKey is one check of a tag: a check on demand sees through a fixed tag,
// others do not.
type checkKey struct {
	refKey
	demand bool
}

// outcome is what a check found. It is applied by then.
type outcome struct {
	manifest *oci.Manifest // where it was fetched
	digest   digest.Digest
	moved    bool
	blocked  bool // the upstream's tag is another, but the tag is fixed here
	at       time.Time
}

// deniedPause is how long a 401 or 403 lets a held tag be.
const deniedPause = 5 * time.Minute

// checkDue joins the check of a tag that is not held or due, or starts it after pause.
func (c *Cache) checkDue(r *rule.Rule, repo, tag string, pause time.Duration) (f *flight[outcome], lead bool) {
	return c.checks.join(c, checkKey{refKey{r.Prefix, repo, tag}, false}, func(ctx context.Context) (outcome, error) {
		return c.check(ctx, r, repo, tag, false, pause)
	})
}

// CheckNow asks the upstream what a tag is, whatever its window says, and applies
// the answer. It obeys the quota memory and the held-only switches. Errors: as
// Manifest, and errs.Unsupported while the upstream is switched off.
func (c *Cache) CheckNow(ctx context.Context, s Scope, tag string) (CheckResult, error) {
	r, repo := s.Rule, s.Repository
	if off := c.off(s); errs.CodeOf(off) == errs.ManifestUnknown {
		return CheckResult{}, errs.New(errs.Unsupported, "the tag was not checked: %v", off)
	} else if off != nil {
		return CheckResult{}, off
	}
	t, err := c.Index.Tag(ctx, repo, tag)
	held := err == nil
	if !held && errs.CodeOf(err) != errs.ManifestUnknown {
		return CheckResult{}, err
	}
	if err := c.quotas.exceeded(quotaKey(r), held); err != nil {
		return CheckResult{}, err
	}
	f, _ := c.checks.join(c, checkKey{s.key(tag), true}, func(ctx context.Context) (outcome, error) {
		return c.check(ctx, r, repo, tag, true, 0)
	})
	o, err := f.wait(ctx)
	if err != nil {
		return CheckResult{}, err
	}
	return CheckResult{Digest: o.digest, Was: t.Digest, Moved: o.moved, Blocked: o.blocked, At: o.at}, nil
}

// CheckResult is what a check on demand found.
type CheckResult struct {
	Digest  digest.Digest // what the upstream says that the tag is
	Was     digest.Digest // what it was here before; "" if it was not held
	Moved   bool
	Blocked bool // the tag never changes here (a pattern of the rule), so it was left
	At      time.Time
}

// check asks the upstream what a tag is and applies the answer, after pause. Unless
// it is on demand, it asks nothing if another check has ended since somebody saw
// the need for this one.
func (c *Cache) check(ctx context.Context, r *rule.Rule, repo, tag string, demand bool, pause time.Duration) (outcome, error) {
	if pause > 0 {
		wait := time.NewTimer(pause)
		defer wait.Stop()
		select {
		case <-ctx.Done():
			return outcome{}, context.Cause(ctx)
		case <-wait.C:
		}
	}
	ctx, cancel := context.WithTimeout(ctx, c.Check)
	defer cancel()
	t, err := c.Index.Tag(ctx, repo, tag)
	if errs.CodeOf(err) == errs.ManifestUnknown {
		m, err := c.fetch(ctx, r, repo, oci.Reference{Tag: tag}, tag)
		if errs.CodeOf(err) == errs.TagImmutable {
			return c.overtaken(ctx, r, repo, tag)
		}
		if err != nil {
			return outcome{}, err
		}
		return outcome{manifest: m, digest: m.Digest, moved: true, at: time.Now()}, nil
	}
	if err != nil {
		return outcome{}, err
	}
	if !demand && !c.due(r, tag, t) {
		return outcome{digest: t.Digest, at: t.Checked}, nil
	}
	o, err := c.ask(ctx, r, repo, tag, t)
	if err != nil {
		c.apply(context.WithoutCancel(ctx), r, repo, tag, t, err)
	}
	return o, err
}

// ask finds out by HEAD whether a held tag is what it was, and by GET where HEAD
// does not tell or the tag has moved.
func (c *Cache) ask(ctx context.Context, r *rule.Rule, repo, tag string, t rule.Tag) (outcome, error) {
	now, err := c.head(ctx, r, repo, tag)
	denied := errs.CodeOf(err) == errs.UpstreamDenied
	if err != nil && !denied {
		return outcome{}, err
	}
	if now == "" && r.IsFixed(tag) {
		return outcome{}, errs.New(errs.Unsupported, "%s does not say by HEAD what %s is, and the tag never changes here", r.Upstream, tag)
	}
	if now != t.Digest && r.IsFixed(tag) {
		c.Logger.Warn("move of a fixed tag blocked", "repository", repo, "tag", tag, "digest", t.Digest, "upstream_digest", now)
		return outcome{digest: now, blocked: true, at: time.Now()}, nil
	}
	at := time.Now()
	if now == t.Digest {
		return outcome{digest: t.Digest, at: at}, c.Index.CheckTag(context.WithoutCancel(ctx), repo, tag, at, false)
	}
	m, err := c.fetch(ctx, r, repo, oci.Reference{Tag: tag}, tag)
	if errs.CodeOf(err) == errs.TagImmutable {
		return c.overtaken(ctx, r, repo, tag)
	}
	if err != nil {
		return outcome{}, err
	}
	if denied {
		c.heads.put(r.Upstream) // it refuses HEAD, not us
	}
	return outcome{manifest: m, digest: m.Digest, moved: m.Digest != t.Digest, at: time.Now()}, nil
}

// overtaken is the outcome where the tag became another image's, for good, while the
// upstream was asked: what it is now stands.
func (c *Cache) overtaken(ctx context.Context, r *rule.Rule, repo, tag string) (outcome, error) {
	t, err := c.Index.Tag(context.WithoutCancel(ctx), repo, tag)
	if err != nil {
		return outcome{}, err
	}
	c.Logger.Warn("move of an immutable tag blocked", "repository", repo, "tag", tag, "digest", t.Digest, "upstream", r.Upstream)
	return outcome{digest: t.Digest, blocked: true, at: t.Checked}, nil
}

// head returns the upstream's digest of a tag, "" if HEAD does not tell there. A
// refusal is not remembered: some upstreams refuse only HEAD, and a GET tells.
func (c *Cache) head(ctx context.Context, r *rule.Rule, repo, tag string) (digest.Digest, error) {
	if c.heads.is(r.Upstream) {
		return "", nil
	}
	if err := c.quotas.exceeded(quotaKey(r), true); err != nil {
		return "", err
	}
	ref := oci.Reference{Tag: tag}
	desc, err := c.Upstream(r).Head(ctx, r.UpstreamRepository(repo), ref)
	err = timedOut(err, r)
	switch errs.CodeOf(err) {
	case errs.Unsupported:
		c.heads.put(r.Upstream)
		return "", nil
	case errs.UpstreamDenied:
		return "", err
	}
	c.note(r, refKey{r.Prefix, repo, tag}, true, true, err)
	c.failed(r, repo, ref, err)
	return desc.Digest, err
}

// apply records a failed check of a held tag, as far as it tells anything.
func (c *Cache) apply(ctx context.Context, r *rule.Rule, repo, tag string, t rule.Tag, err error) {
	if errors.Is(err, context.Canceled) && errs.As(err) == nil {
		return // weir is ending
	}
	now := time.Now()
	var put error
	switch errs.CodeOf(err) {
	case errs.ManifestUnknown:
		put = c.Index.CheckTag(ctx, repo, tag, now, true)
	case errs.UpstreamDenied:
		if r.Window != rule.Never && !r.IsFixed(tag) {
			put = c.Index.CheckTag(ctx, repo, tag, now.Add(min(deniedPause, r.Window)-r.Window), t.Orphaned)
		}
	}
	if put != nil {
		c.Logger.Error("check of a tag not recorded", "repository", repo, "tag", tag, "error", put)
	}
	c.Logger.Warn("check failed", "repository", repo, "tag", tag, "upstream", r.Upstream, "code", errs.CodeOf(err).String(), "error", err)
}
