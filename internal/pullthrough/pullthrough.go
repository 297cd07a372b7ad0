// Package pullthrough is the heart of weir: it answers for a rule's repositories
// from what is held, and from the upstream where something is missing or a tag's
// last check no longer counts.
//
// It guarantees:
//   - One upstream transfer of a blob per (upstream host, digest) at a time,
//     whatever the number of clients; each reads what has arrived at its own pace,
//     and a client that leaves stops nothing.
//   - Bytes are never answered as whole unless they have their digest: one chunk
//     of a blob, the last as a rule, is withheld from everybody until the digest
//     holds, and a blob of one chunk until then altogether. Ranges carry bytes as
//     the upstream sent them, unless the rule says verify_ranges.
//   - A range far ahead of what has arrived does not wait for what is between, and
//     is asked for once, whatever the number of clients.
//   - A repository serves a blob only after this rule's upstream answered for it
//     there with this rule's credential, or if the bytes are public.
//   - A held tag is served whatever the upstream does, within Options.Wait.
//   - Bytes are durable in the store before a row says so.
//   - Lists, of tags and of referrers, tell what there is and give nobody a right to it.
//
// It does not authorize: registry does, before it calls. It does not evict.
package pullthrough

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/blob"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

// Source says where an answer came from.
type Source string

const (
	Hit   Source = "hit"   // held, and its check counts
	Miss  Source = "miss"  // fetched for this request
	Join  Source = "join"  // fetched for another request that this one joined
	Stale Source = "stale" // held, but its check no longer counts and could not be renewed
)

// Upstream is one upstream registry as a rule reaches it. Its errors are
// *errs.Error with the codes UpstreamUnreachable, UpstreamTimeout, UpstreamFailed,
// UpstreamDenied, UpstreamRateLimited, ManifestUnknown, BlobUnknown, RangeInvalid
// and Unsupported.
type Upstream interface {
	// Head asks what ref is. The digest is "" if the upstream does not say.
	Head(ctx context.Context, repo string, ref oci.Reference) (oci.Descriptor, error)
	// Manifest returns a manifest whose bytes have its digest.
	Manifest(ctx context.Context, repo string, ref oci.Reference) (*oci.Manifest, error)
	// Blob opens n bytes (n < 0: all) from offset. The body begins at start, which
	// is 0 where the upstream ignores ranges; total is -1 if it is not told.
	Blob(ctx context.Context, repo string, d digest.Digest, offset, n int64) (body io.ReadCloser, start, total int64, err error)
	// Tags returns all tags in order. With an error that came after the first of them,
	// or errs.LimitExceeded, what came before it.
	Tags(ctx context.Context, repo string) ([]string, error) // errs.RepoUnknown
	// Referrers returns what its API lists about a manifest. Without the API it is
	// errs.Unsupported.
	Referrers(ctx context.Context, repo string, d digest.Digest) ([]oci.Referrer, error)
}

// Index is what the cache remembers. Every write is durable when it returns.
type Index interface {
	Tag(ctx context.Context, repo, tag string) (rule.Tag, error)                       // errs.ManifestUnknown
	Manifest(ctx context.Context, repo string, d digest.Digest) (*oci.Manifest, error) // errs.ManifestUnknown
	PutManifest(ctx context.Context, repo string, m *oci.Manifest, e oci.Edges, tag string, at time.Time) (moved bool, err error)
	CheckTag(ctx context.Context, repo, tag string, checked time.Time, orphaned bool) error
	Blob(ctx context.Context, repo string, d digest.Digest) (rule.Blob, error)
	// Claim comes before every commit to the store, PutBlob after it.
	Claim(ctx context.Context, d digest.Digest, at time.Time) error
	PutBlob(ctx context.Context, d digest.Digest, size int64, public bool, repos []string, at time.Time) error
	Link(ctx context.Context, repo string, d digest.Digest, at time.Time) (bool, error)
	DropBlob(ctx context.Context, d digest.Digest) error
	Parents(ctx context.Context, repo string, d digest.Digest) ([]digest.Digest, error)
	EdgeKinds(ctx context.Context, repo string, d digest.Digest) ([]oci.EdgeKind, error)
	Missing(ctx context.Context, repo string, d, like digest.Digest) ([]oci.Edge, error)
	History(ctx context.Context, repo, tag string, limit int) ([]rule.Move, error)
	Touch(repo, tag string, d digest.Digest, at time.Time)
	// In place of Touch where a pull is not to count: Needed in repositories of the cache.
	Served(repo string, d digest.Digest, at time.Time)
	Needed(repo string, d digest.Digest, at time.Time)

	Tags(ctx context.Context, repo, after string, limit int) ([]string, error) // errs.RepoUnknown
	Referrers(ctx context.Context, repo string, subject digest.Digest) (rule.Referrers, error)
	PutReferrers(ctx context.Context, repo string, subject digest.Digest, list []oci.Referrer, at time.Time) error
	CheckReferrers(ctx context.Context, repo string, subject digest.Digest, checked time.Time) error
	Referring(ctx context.Context, repo string, subject, after digest.Digest, limit int) ([]digest.Digest, error)
}

// Options of a Cache. Index, Store, Spools and Upstream are required.
type Options struct {
	Index    Index
	Store    blob.Store
	Spools   *blob.Spools
	Upstream func(*rule.Rule) Upstream

	// Login tells one credential of a rule from another: what an upstream refused is
	// asked again with the next one. It is called where a refusal is remembered; nil:
	// credentials do not change.
	Login func(context.Context, *rule.Rule) string

	// Imported is told what came of each manifest that the upstream was asked for, and
	// that is new or failed. It returns at once; nil: nobody is told.
	Imported func(Import)

	HeldOnly    bool          // no upstream is asked, whatever the rules say
	Wait        time.Duration // how long a client waits for the check of a held tag; 0: 2 s
	Check       time.Duration // how long a check may take, and a client waits for what is not held; 0: 25 s, as containerd waits 30
	Stall       time.Duration // an upstream body without a byte for so long is opened again; 0: 30 s
	Connections int           // blob transfers per upstream host; 0: 16
	Logger      *slog.Logger  // nil: slog.Default()
}

// Import is a manifest that an upstream was asked for: one that was not held, or that a
// tag has moved to.
type Import struct {
	Rule       *rule.Rule
	Repository string
	Reference  oci.Reference
	Digest     digest.Digest // "" where it failed
	Err        error         // an *errs.Error; nil: it is here
}

// Cache serves rules' repositories. It is safe for use by many goroutines.
type Cache struct {
	Options
	checks  flights[checkKey, outcome]
	fetches flights[refKey, *oci.Manifest]
	proofs  flights[refKey, int64]
	lists   lists
	empties empties
	listing flights[refKey, tagList]
	refers  flights[refKey, rule.Referrers]
	paths   paths
	quotas  quotas
	listed  quotas // of lists
	answers answers
	sizes   sizes
	heads   hosts // that answer GET but not HEAD

	rangeless hosts // that answer a range of a blob by all of it

	accounts accounts
	budgets  budgets
	recent   recent
	unpulled unpulled
	rules    rules

	mu      sync.Mutex
	ingests map[blob.Key]*ingest
	linking map[*ingest]chan struct{} // that write links: closed when they have
	slots   map[string]*slots         // by upstream host

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// refKey is one reference under one rule: a tag, a manifest's digest, or blobRef.
type refKey struct{ prefix, repo, ref string }

// blobRef sets a blob apart from a manifest of the same digest.
func blobRef(d digest.Digest) string { return "blob " + string(d) }

// New returns a Cache that works until Close.
func New(o Options) *Cache {
	if o.Wait == 0 {
		o.Wait = 2 * time.Second
	}
	if o.Check == 0 {
		o.Check = 25 * time.Second
	}
	if o.Stall == 0 {
		o.Stall = 30 * time.Second
	}
	if o.Connections == 0 {
		o.Connections = 16
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Imported == nil {
		o.Imported = func(Import) {}
	}
	if o.Login == nil {
		o.Login = func(context.Context, *rule.Rule) string { return "" }
	}
	c := &Cache{Options: o, ingests: map[blob.Key]*ingest{}, linking: map[*ingest]chan struct{}{}, slots: map[string]*slots{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// Close ends what runs in the background and waits for it. Blobs that are still
// arriving are kept for a later process to resume.
func (c *Cache) Close() {
	c.cancel()
	c.wg.Wait()
}

// spawn runs f until it returns; its context ends with the cache.
func (c *Cache) spawn(f func(context.Context)) {
	c.wg.Go(func() { f(c.ctx) })
}

// Scope is a repository under its rule, for one caller.
type Scope struct {
	Rule       *rule.Rule
	Repository string // as rule.Set.Match returned it
	// Own says that pushes made the repository: a tag is what it was pushed as, whole
	// or not.
	Own bool
	// Unnoted says that this caller's pulls change no pull times.
	Unnoted bool
	// NoUpstream is why this caller may have what is held, but may not make weir
	// ask the upstream; nil if it may. It is returned where that would be needed.
	NoUpstream error
}

func (s Scope) key(ref string) refKey { return refKey{s.Rule.Prefix, s.Repository, ref} }

func (s Scope) blobKey(d digest.Digest) refKey { return s.key(blobRef(d)) }

// off says why the upstream is not to be asked, nil if it is.
func (c *Cache) off(s Scope) error {
	switch {
	case c.HeldOnly:
		return errs.New(errs.ManifestUnknown, "weir serves only what it holds (held_only)")
	case s.Rule.Off:
		return errs.New(errs.ManifestUnknown, "rule %s serves only what is held (held_only)", s.Rule.Prefix)
	}
	return s.NoUpstream
}

// notHeld is the answer for something that is not here and may not be asked for.
func notHeld(code errs.Code, what string, off error) error {
	if errs.CodeOf(off) != errs.ManifestUnknown {
		return off
	}
	return errs.New(code, "%s is not held here, and %v", what, off)
}

// quotaKey is what an upstream counts requests by.
func quotaKey(r *rule.Rule) string { return r.Upstream + " " + r.Account() }

// answered returns what the rule's upstream said of the reference a moment ago, nil
// if it is to be asked.
func (c *Cache) answered(r *rule.Rule, key refKey) error {
	a, ok := c.answers.get(key)
	if !ok || a.err.Code == errs.UpstreamDenied && a.login != c.Login(c.ctx, r) {
		return nil
	}
	return a.err
}

// note remembers what an attempt at the rule's upstream told about the way there,
// the quota and the reference. counted is false for blobs, which no quota counts.
func (c *Cache) note(r *rule.Rule, key refKey, counted, head bool, err error) {
	e := errs.As(err)
	if err == nil || e != nil {
		c.accounts.told(quotaKey(r), key, e)
	}
	if err == nil {
		if counted {
			c.rules.checked(r.Prefix)
		}
		c.paths.ok(r.Upstream)
		c.answers.drop(key)
		return
	}
	if e == nil {
		return // weir's own fault, or the end of the process
	}
	switch e.Code {
	case errs.UpstreamUnreachable, errs.UpstreamTimeout:
		c.paths.failed(r.Upstream, e)
		return
	case errs.UpstreamRateLimited:
		if counted {
			c.quotas.limited(quotaKey(r), head, e)
		}
	case errs.UpstreamDenied:
		c.answers.put(key, answer{err: e, login: c.Login(c.ctx, r)}, 30*time.Second)
	case errs.ManifestUnknown, errs.BlobUnknown, errs.RepoUnknown:
		c.answers.put(key, answer{err: e}, 10*time.Second)
	case errs.UpstreamFailed:
		c.answers.put(key, answer{err: e}, 5*time.Second)
	}
	c.paths.ok(r.Upstream)
}
