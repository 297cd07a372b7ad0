package pullthrough

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

// Answer is a manifest and how it was come by.
type Answer struct {
	*oci.Manifest
	Source  Source
	Age     time.Duration // since the tag's last check that counts; -1 for a digest, or if there was none
	Warning string        // why what is served may be old; "" if it is not
}

// Manifest answers for a tag or a digest of a rule's repository. Errors: what the
// upstream's answer means (see Upstream), errs.ManifestUnknown where nothing is
// held and the upstream is not to be asked, or the context's.
func (c *Cache) Manifest(ctx context.Context, s Scope, ref oci.Reference) (Answer, error) {
	if ref.Digest != "" {
		return c.byDigest(ctx, s, ref.Digest)
	}
	return c.byTag(ctx, s, ref.Tag)
}

// Pulled says that a client was given the manifest, not only told of it: it
// counts as a pull, unless the scope says that it does not, and may start the prefetch of its layers.
// It returns whether the manifest had come for nobody before: the first pull of what came,
// for a HEAD a moment before it, say, is one that needed the upstream.
func (c *Cache) Pulled(s Scope, ref oci.Reference, m *oci.Manifest) (first bool) {
	switch {
	case !s.Unnoted:
		c.Index.Touch(s.Repository, ref.Tag, m.Digest, time.Now())
	case s.Own:
		c.Index.Served(s.Repository, m.Digest, time.Now())
	default: // in which pulls keep images for an hour that are to go
		c.Index.Needed(s.Repository, m.Digest, time.Now())
	}
	c.recent.served(s.Repository, m.Digest)
	if s.Rule.Prefetch == rule.PrefetchManifest {
		c.prefetch(s, []digest.Digest{m.Digest})
	}
	return c.unpulled.take(served{s.Repository, m.Digest})
}

func (c *Cache) byTag(ctx context.Context, s Scope, tag string) (Answer, error) {
	r, repo := s.Rule, s.Repository
	t, err := c.Index.Tag(ctx, repo, tag)
	if errs.CodeOf(err) == errs.ManifestUnknown {
		return c.coldTag(ctx, s, tag)
	}
	if err != nil {
		return Answer{}, err
	}
	if s.Own {
		return c.answer(ctx, repo, t.Digest, t, Hit, "")
	}
	if c.off(s) != nil {
		return c.whole(ctx, repo, tag, t, Hit, "")
	}
	if !c.due(r, tag, t) {
		return c.answer(ctx, repo, t.Digest, t, Hit, orphanWarning(r, t))
	}
	return c.staleTag(ctx, r, repo, tag, t)
}

// due says whether a held tag is to be checked: its last check does not count any
// more; or it names an image that is not whole here while an older one is, and
// the upstream has not been heard of a moment ago. A pull of that image needs the
// upstream anyway, and better the older image than half of the newer one.
func (c *Cache) due(r *rule.Rule, tag string, t rule.Tag) bool {
	if r.IsFixed(tag) {
		return false
	}
	torn := t.Complete != "" && t.Complete != t.Digest
	return !r.Fresh(t.Checked, time.Now()) || torn && !c.paths.inContact(r.Upstream)
}

// Fresh says whether a pull of a held tag would ask the upstream nothing now.
func (c *Cache) Fresh(r *rule.Rule, tag string, t rule.Tag) bool { return !c.due(r, tag, t) }

func orphanWarning(r *rule.Rule, t rule.Tag) string {
	if !t.Orphaned {
		return ""
	}
	return fmt.Sprintf("%s no longer has this tag; this is the copy that weir kept", r.Upstream)
}

// coldTag fetches a tag that is not held.
func (c *Cache) coldTag(ctx context.Context, s Scope, tag string) (Answer, error) {
	r, repo := s.Rule, s.Repository
	if off := c.off(s); off != nil {
		return Answer{}, notHeld(errs.ManifestUnknown, repo+":"+tag, off)
	}
	if err := c.refused(r, s.key(tag)); err != nil {
		return Answer{}, err
	}
	f, lead := c.checkDue(r, repo, tag, 0)
	o, err := f.wait(ctx)
	if err != nil {
		return Answer{}, err
	}
	m := o.manifest
	if m == nil { // the tag came to be held meanwhile, and the flight was a check of it
		if m, err = c.Index.Manifest(ctx, repo, o.digest); err != nil {
			return Answer{}, err
		}
	}
	return Answer{Manifest: m, Source: source(lead), Age: time.Since(o.at)}, nil
}

func source(lead bool) Source {
	if lead {
		return Miss
	}
	return Join
}

// refused returns what the memories say of a request for something not held: the
// answer of seconds ago, a used-up quota, or a way that failed just now.
func (c *Cache) refused(r *rule.Rule, key refKey) error {
	if err := c.answered(r, key); err != nil {
		return err
	}
	if err := c.quotas.exceeded(quotaKey(r), false); err != nil {
		return err
	}
	if err := c.paths.justFailed(r.Upstream); err != nil {
		return err
	}
	return nil
}

// staleTag checks a held tag, and serves what is held if that takes too long or
// comes to nothing.
func (c *Cache) staleTag(ctx context.Context, r *rule.Rule, repo, tag string, t rule.Tag) (Answer, error) {
	key := refKey{r.Prefix, repo, tag}
	if err := c.notNow(r, key); err != nil {
		c.probe(r.Upstream, func(ctx context.Context) error {
			f, _ := c.checkDue(r, repo, tag, 0)
			_, err := f.wait(ctx)
			return err
		})
		return c.stale(ctx, r, repo, tag, err)
	}
	pause, ok := c.budgets.take(r.Upstream)
	if !ok {
		return c.stale(ctx, r, repo, tag, errs.New(errs.RateLimited, "many tags are due for a check at once"))
	}
	f, _ := c.checkDue(r, repo, tag, pause)
	if pause > 0 {
		return c.stale(ctx, r, repo, tag, errs.New(errs.RateLimited, "many tags are due for a check at once; this one is checked in %s", pause.Round(time.Second)))
	}
	o, done, err := f.waitUntil(ctx, c.Wait)
	switch {
	case !done:
		late := errs.New(errs.UpstreamTimeout, "%s has not answered within %s", r.Upstream, c.Wait)
		f.late.Do(func() { c.paths.failed(r.Upstream, late) })
		return c.stale(ctx, r, repo, tag, late)
	case ctx.Err() != nil:
		return Answer{}, context.Cause(ctx)
	case err != nil:
		return c.stale(ctx, r, repo, tag, err)
	}
	if t, err = c.Index.Tag(ctx, repo, tag); err != nil {
		return Answer{}, err
	}
	src := Hit
	if o.moved {
		src = Miss
	}
	return c.answer(ctx, repo, t.Digest, t, src, orphanWarning(r, t))
}

// notNow returns why a held tag is not checked although it is due.
func (c *Cache) notNow(r *rule.Rule, key refKey) error {
	if err := c.paths.open(r.Upstream); err != nil {
		return err
	}
	if err := c.quotas.exceeded(quotaKey(r), true); err != nil {
		return err
	}
	return c.answered(r, key)
}

// stale serves a held tag whose check was not made or failed with err.
func (c *Cache) stale(ctx context.Context, r *rule.Rule, repo, tag string, err error) (Answer, error) {
	c.rules.stale(r.Prefix)
	t, terr := c.Index.Tag(ctx, repo, tag) // the check may have changed it
	if terr != nil {
		return Answer{}, terr
	}
	msg := "the upstream could not be asked"
	if e := errs.As(err); e != nil {
		msg = e.Msg
	}
	if t.Orphaned && errs.CodeOf(err) == errs.ManifestUnknown {
		msg = orphanWarning(r, t)
	}
	return c.whole(ctx, repo, tag, t, Stale, msg)
}

// whole serves a tag while the upstream is away: the image that it was when it
// last was offline-ready, if what it is now is not.
func (c *Cache) whole(ctx context.Context, repo, tag string, t rule.Tag, src Source, warning string) (Answer, error) {
	d := t.Digest
	if t.Complete != "" && t.Complete != d {
		missing, err := c.Index.Missing(ctx, repo, d, t.Complete)
		if err != nil {
			return Answer{}, err
		}
		if len(missing) > 0 {
			c.Logger.Warn("serving the last whole image", "repository", repo, "tag", tag, "digest", t.Complete, "moved_to", d, "missing", len(missing))
			d = t.Complete
			warning = fmt.Sprintf("the tag has moved to %s, which is not whole here; this is the last whole image: %s", t.Digest, warning)
		}
	}
	return c.answer(ctx, repo, d, t, src, warning)
}

func (c *Cache) answer(ctx context.Context, repo string, d digest.Digest, t rule.Tag, src Source, warning string) (Answer, error) {
	m, err := c.Index.Manifest(ctx, repo, d)
	if err != nil {
		return Answer{}, fmt.Errorf("manifest of a held tag: %w", err)
	}
	age := time.Duration(-1)
	if !t.Checked.IsZero() {
		age = max(0, time.Since(t.Checked))
	}
	return Answer{Manifest: m, Source: src, Age: age, Warning: warning}, nil
}

// byDigest answers for a digest, which is never checked once it is held.
func (c *Cache) byDigest(ctx context.Context, s Scope, d digest.Digest) (Answer, error) {
	r, repo := s.Rule, s.Repository
	m, err := c.Index.Manifest(ctx, repo, d)
	if err == nil {
		return Answer{Manifest: m, Source: Hit, Age: -1}, nil
	}
	if errs.CodeOf(err) != errs.ManifestUnknown {
		return Answer{}, err
	}
	if off := c.off(s); off != nil {
		return Answer{}, notHeld(errs.ManifestUnknown, repo+"@"+string(d), off)
	}
	key := s.key(string(d))
	if err := c.refused(r, key); err != nil {
		return Answer{}, err
	}
	f, lead := c.fetches.join(c, key, func(ctx context.Context) (*oci.Manifest, error) {
		ctx, cancel := context.WithTimeout(ctx, c.Check)
		defer cancel()
		if m, err := c.Index.Manifest(ctx, repo, d); err == nil {
			return m, nil // another fetch ended since this one was found to be needed
		}
		m, err := c.fetch(ctx, r, repo, oci.Reference{Digest: d}, "")
		return m, timedOut(err, r)
	})
	m, err = f.wait(ctx)
	return Answer{Manifest: m, Source: source(lead), Age: -1}, err
}

// fetch gets a manifest from the upstream and stores it; tag is what it becomes, if any.
// What came of it is told to Imported.
func (c *Cache) fetch(ctx context.Context, r *rule.Rule, repo string, ref oci.Reference, tag string) (*oci.Manifest, error) {
	if err := c.quotas.exceeded(quotaKey(r), false); err != nil {
		return nil, err
	}
	key := refKey{r.Prefix, repo, ref.String()}
	m, err := c.Upstream(r).Manifest(ctx, r.UpstreamRepository(repo), ref)
	var edges oci.Edges
	if err == nil {
		if edges, err = m.Edges(); err != nil {
			e := errs.Wrap(errs.UpstreamFailed, err, "%s sent a manifest for %s that cannot be used", r.Upstream, ref)
			e.Unnamed = r.Upstream + " sent a manifest that cannot be used"
			err = e
		}
	}
	if err = timedOut(err, r); err != nil {
		c.note(r, key, true, false, err)
		c.failed(r, repo, ref, err)
		return nil, err
	}
	c.note(r, key, true, false, nil)
	now := time.Now()
	// What the upstream sent is stored even if the check's own time is over.
	moved, err := c.Index.PutManifest(context.WithoutCancel(ctx), repo, m, edges, tag, now)
	if err != nil {
		c.failed(r, repo, ref, err)
		return nil, err
	}
	if moved || tag == "" {
		c.unpulled.put(served{repo, m.Digest})
		c.Imported(Import{Rule: r, Repository: repo, Reference: ref, Digest: m.Digest})
	}
	if moved {
		c.Logger.Info("tag moved", "repository", repo, "tag", tag, "digest", m.Digest, "upstream", r.Upstream)
	}
	return m, nil
}

// failed tells Imported of a reference that the upstream was asked for in vain. That weir
// is ending is no failure, nor is a tag that stays because it is immutable.
func (c *Cache) failed(r *rule.Rule, repo string, ref oci.Reference, err error) {
	if e := errs.As(err); e != nil && e.Code != errs.TagImmutable {
		c.Imported(Import{Rule: r, Repository: repo, Reference: ref, Err: e})
	}
}

// timedOut gives a deadline of the cache's own the upstream's name.
func timedOut(err error, r *rule.Rule) error {
	if errors.Is(err, context.DeadlineExceeded) && errs.As(err) == nil {
		return errs.Wrap(errs.UpstreamTimeout, err, "%s did not answer in time", r.Upstream)
	}
	return err
}
