package pullthrough

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

// blobAsked takes note that a client waits for a cold blob. By a config it shows which
// image it goes on with, of several whose manifests it read. A layer starts the
// prefetch of its image: of those that have it, the one that a client was given last,
// or whose config it asked for. Tools that only read manifests and configs start nothing.
func (c *Cache) blobAsked(ctx context.Context, s Scope, d digest.Digest) {
	repo := s.Repository
	if s.Rule.Prefetch != rule.PrefetchLayer {
		return
	}
	var parents []digest.Digest
	kinds, err := c.Index.EdgeKinds(ctx, repo, d)
	if err == nil && len(kinds) > 0 {
		parents, err = c.Index.Parents(ctx, repo, d)
	}
	switch {
	case err != nil:
		c.Logger.Error("no prefetch", "repository", repo, "digest", d, "error", err)
	case slices.Contains(kinds, oci.EdgeConfig):
		c.recent.chosen(repo, parents)
	case slices.Contains(kinds, oci.EdgeLayer):
		c.prefetch(s, parents)
	}
}

// prefetch fetches what the manifest served last of those given names and is not
// here, once.
func (c *Cache) prefetch(s Scope, manifests []digest.Digest) {
	repo := s.Repository
	if c.off(s) != nil {
		return
	}
	d, ok := c.recent.start(repo, manifests)
	if !ok {
		return
	}
	c.spawn(func(ctx context.Context) {
		m, err := c.Index.Manifest(ctx, repo, d)
		var edges oci.Edges
		if err == nil {
			edges, err = m.Edges()
		}
		if err != nil {
			c.Logger.Error("no prefetch", "repository", repo, "digest", d, "error", err)
			return
		}
		for _, e := range edges.Blobs() {
			c.spawn(func(ctx context.Context) { c.prefetchBlob(ctx, s, e) })
		}
	})
}

// prefetchBlob fetches one blob when no client waits for the slot that it needs.
func (c *Cache) prefetchBlob(ctx context.Context, s Scope, e oci.Edge) {
	r, repo, slot := s.Rule, s.Repository, c.slotsOf(s.Rule.Upstream)
	if slot.acquire(ctx, true) != nil {
		return
	}
	row, err := c.Index.Blob(ctx, repo, e.Digest)
	if err != nil || row.Held && row.Linked || c.refusedBlob(s, e.Digest) != nil {
		slot.release()
		return
	}
	if kinds, err := c.Index.EdgeKinds(ctx, repo, e.Digest); err != nil || len(kinds) == 0 {
		slot.release()
		return // the image was deleted meanwhile
	}
	if row.Held {
		defer slot.release()
		if err := c.link(ctx, s, e.Digest, row); err != nil {
			c.Logger.Info("not prefetched", "repository", repo, "digest", e.Digest, "error", err)
		}
		return
	}
	in, lead := c.join(r, repo, e.Digest, e.Size, slot.release)
	if lead {
		return
	}
	slot.release()
	b := Blob{c: c, s: s, r: r, repo: repo, d: e.Digest, in: in}
	if err := b.allow(ctx); err != nil {
		c.Logger.Info("not prefetched", "repository", repo, "digest", e.Digest, "error", err)
	}
}
