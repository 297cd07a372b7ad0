package pullthrough

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

// Explanation says why a reference is answered as it is.
type Explanation struct {
	Repository string // the cached repository
	Reference  string
	Rule       string // prefix
	Upstream   string // host/repository there
	HeldOnly   string // why the upstream is never asked; "" if it is

	Held     bool
	Digest   digest.Digest // what is served; "" if nothing is held
	Complete digest.Digest // the last whole image of the tag
	Missing  []oci.Edge    // what is not here of Digest; empty: offline-ready
	Fresh    bool
	Fixed    bool
	Orphaned bool
	Checked  time.Time // last check that counts; zero: none, or a digest
	Next     time.Time // when a pull checks again; zero: never
	Away     string    // why the upstream is not asked just now; "" if it is
	History  []rule.Move

	Archived string // why it is not pulled all the same; "" if it is. Whoever asks the cache fills it in
}

// Explain tells what is known of a reference, without asking the upstream.
func (c *Cache) Explain(ctx context.Context, s Scope, ref oci.Reference) (Explanation, error) {
	r, repo := s.Rule, s.Repository
	x := Explanation{Repository: repo, Reference: ref.String(), Rule: r.Prefix, Upstream: r.Upstream + "/" + r.UpstreamRepository(repo)}
	if off := c.off(s); off != nil {
		x.HeldOnly = off.Error()
	}
	if err := c.notNow(r, s.key(ref.String())); err != nil {
		x.Away = err.Error()
	}
	d := ref.Digest
	if ref.Tag != "" {
		t, err := c.Index.Tag(ctx, repo, ref.Tag)
		if errs.CodeOf(err) == errs.ManifestUnknown {
			return x, nil
		}
		if err != nil {
			return x, err
		}
		d, x.Complete, x.Orphaned, x.Checked = t.Digest, t.Complete, t.Orphaned, t.Checked
		x.Fixed, x.Fresh = r.IsFixed(ref.Tag), !c.due(r, ref.Tag, t)
		if r.Window != rule.Never && !x.Fixed && x.HeldOnly == "" && !t.Checked.IsZero() {
			x.Next = t.Checked.Add(r.Window)
		}
		if x.History, err = c.Index.History(ctx, repo, ref.Tag, 10); err != nil {
			return x, err
		}
	}
	if _, err := c.Index.Manifest(ctx, repo, d); err != nil {
		if errs.CodeOf(err) == errs.ManifestUnknown {
			return x, nil
		}
		return x, err
	}
	x.Held, x.Digest = true, d
	var err error
	x.Missing, err = c.Index.Missing(ctx, repo, d, x.Complete)
	return x, err
}
