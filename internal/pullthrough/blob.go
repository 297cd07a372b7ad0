package pullthrough

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/blob"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/rule"
)

// Sink takes a blob's bytes. Flush sends what the sink holds back.
type Sink interface {
	io.Writer
	Flush()
}

// Blob is a blob that a client may have, held or still arriving. Close it.
type Blob struct {
	Size   int64 // -1 while it arrives and nobody has said
	Source Source
	Kept   bool // its bytes were here when it was asked for, be it because of another repository

	c    *Cache
	s    Scope
	r    *rule.Rule // of s
	repo string     // of s
	d    digest.Digest

	held blob.Reader // the stored blob
	in   *ingest     // or an ingest to follow
	left func()      // says that it is not followed any more; nil: none is
	rd   blob.Reader // by a position of its own
	seen bool        // bytes of epoch have been sent
	of   int         // epoch
	mem  []byte      // or a small blob, verified; neither: straight from the upstream
}

// Blob opens a blob of a rule's repository for reading. It returns when the first
// byte may be sent: the upstream has answered for this repository, and a blob of
// at most 64 KiB has its digest by then. Errors: as Manifest, with
// errs.BlobUnknown.
func (c *Cache) Blob(ctx context.Context, s Scope, d digest.Digest) (*Blob, error) {
	b := &Blob{Size: -1, c: c, s: s, r: s.Rule, repo: s.Repository, d: d}
	row, ok, err := c.openHeld(ctx, b)
	if b.Kept = ok; ok || err != nil {
		return b, err
	}
	if err := c.refusedBlob(s, d); err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		in, lead := c.join(b.r, b.repo, d, row.Size, nil)
		b.in, b.Source, b.Size, b.left = in, source(lead), row.Size, in.follow(b.repo)
		if try == 0 {
			c.blobAsked(ctx, s, d)
		}
		if err = b.allow(ctx); err == nil {
			err = b.ready(ctx)
		}
		if err == nil {
			return b, nil
		}
		b.Close()
		if lead || try == 2 || ctx.Err() != nil || in.sameSource(b.r, b.r.UpstreamRepository(b.repo)) {
			return nil, err
		}
		// What another repository's ingest came to is no answer for this one.
	}
}

// openHeld opens the blob if its bytes are here and the repository may have them.
func (c *Cache) openHeld(ctx context.Context, b *Blob) (row rule.Blob, ok bool, err error) {
	row, err = c.Index.Blob(ctx, b.repo, b.d)
	if err != nil || !row.Held {
		return row, false, err
	}
	b.Source = Hit
	if !row.Linked {
		b.Source = Miss
		if err := c.link(ctx, b.s, b.d, row); err != nil {
			return row, false, err
		}
	}
	b.held, err = c.Store.Open(ctx, b.d)
	if errors.Is(err, fs.ErrNotExist) {
		c.Logger.Error("blob is gone from the store; it is fetched again", "digest", b.d)
		return row, false, c.Index.DropBlob(ctx, b.d)
	}
	if err != nil {
		return row, false, err
	}
	b.Size = b.held.Size()
	return row, true, nil
}

// link lets a repository serve bytes that are here because of another one, if
// anybody may have them or this rule's upstream says so.
func (c *Cache) link(ctx context.Context, s Scope, d digest.Digest, row rule.Blob) error {
	if s.Rule.Upstream == "" { // no rule's: pushes and mounts link, and nothing else does
		return errs.New(errs.BlobUnknown, "blob %s is not in %s", d, s.Repository)
	}
	if !row.Public {
		if err := c.refusedBlob(s, d); err != nil {
			return err
		}
		if _, err := c.prove(ctx, s, d); err != nil {
			return err
		}
	}
	_, err := c.Index.Link(ctx, s.Repository, d, time.Now())
	return err
}

// refusedBlob returns why a blob is not asked for upstream.
func (c *Cache) refusedBlob(s Scope, d digest.Digest) error {
	if off := c.off(s); off != nil {
		return notHeld(errs.BlobUnknown, "blob "+string(d), off)
	}
	for _, key := range []refKey{s.blobKey(d), mismatchKey(blob.Key{Host: s.Rule.Upstream, Digest: d})} {
		if err := c.answered(s.Rule, key); err != nil {
			return err
		}
	}
	if err := c.paths.justFailed(s.Rule.Upstream); err != nil {
		return err
	}
	return nil
}

// prove asks the rule's upstream whether it gives this repository the blob, by
// one byte of it, and returns the size that it tells (-1: none). HEAD would be
// cheaper, but is broken on public.ecr.aws.
func (c *Cache) prove(ctx context.Context, s Scope, d digest.Digest) (int64, error) {
	r, repo, key := s.Rule, s.Repository, s.blobKey(d)
	if size, ok := c.sizes.get(key); ok {
		return size, nil
	}
	f, _ := c.proofs.join(c, key, func(ctx context.Context) (int64, error) {
		if size, ok := c.sizes.get(key); ok {
			return size, nil // another proof ended since this one was found to be needed
		}
		ctx, cancel := context.WithTimeout(ctx, c.Check)
		defer cancel()
		body, _, total, err := c.Upstream(r).Blob(ctx, r.UpstreamRepository(repo), d, 0, 1)
		if errs.CodeOf(err) == errs.RangeInvalid {
			total, err = 0, nil // there, and empty
		} else if err == nil {
			// To the end of one byte, so that the connection can be used again.
			_, _ = io.CopyN(io.Discard, body, 2)
			body.Close()
		}
		err = timedOut(err, r)
		c.note(r, key, false, false, err)
		if err == nil {
			c.sizes.put(key, total)
		}
		return total, err
	})
	return f.wait(ctx)
}

// allow waits for the upstream's word that this repository may have what the
// ingest brings: its answer to the ingest itself, if that was asked for the same
// repository with the same credential or with none; else a proof.
func (b *Blob) allow(ctx context.Context) error {
	same := b.in.sameSource(b.r, b.r.UpstreamRepository(b.repo))
	if same || b.in.public {
		// ready waits for the ingest's answer before the first byte.
		b.in.grant(b.repo)
		return nil
	}
	if _, err := b.c.prove(ctx, b.s, b.d); err != nil {
		return err
	}
	b.in.grant(b.repo)
	return nil
}

// ready waits until the first byte may be sent.
func (b *Blob) ready(ctx context.Context) error {
	in := b.in
	for {
		in.mu.Lock()
		size, err, done, frozen := in.size, in.err, in.done, in.frozen != nil
		first := in.whole || in.started && in.visible(0, -1, false) > 0
		changed := in.change()
		in.mu.Unlock()
		switch {
		case errors.Is(err, errNoSpool) || frozen:
			return b.direct(ctx)
		case done && err == nil:
			return b.reopen(ctx)
		case done:
			return err
		case first:
			if size >= 0 && b.Size >= 0 && size != b.Size {
				return errs.New(errs.UpstreamFailed, "%s has %d bytes, but its manifest here says %d", b.d, size, b.Size)
			}
			b.Size = max(b.Size, size)
			if b.rd, err = in.spool.Reader(); err == nil {
				return nil
			}
			// It has just ended, which the next change tells; or there are too many
			// open files, which may be better by then.
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// reopen opens what came into the store while this request waited.
func (b *Blob) reopen(ctx context.Context) error {
	src := b.Source
	_, ok, err := b.c.openHeld(ctx, b)
	b.Source = src
	if err == nil && !ok {
		return b.direct(ctx) // it could not be stored
	}
	return err
}

// Verified waits until all bytes are here and have the digest. After it, Size is known.
func (b *Blob) Verified(ctx context.Context) error {
	if b.mem != nil || b.held != nil {
		return nil
	}
	if b.in == nil {
		return errs.New(errs.StorageFull, "there is no room to hold blob %s, and it cannot be verified on its way", b.d)
	}
	for {
		b.in.mu.Lock()
		whole, done, err, size := b.in.whole, b.in.done, b.in.err, b.in.size
		changed := b.in.change()
		b.in.mu.Unlock()
		switch {
		case whole:
			b.Size = size
			return nil
		case done && err != nil:
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Close gives back what the blob holds.
func (b *Blob) Close() error {
	var err error
	if b.held != nil {
		err = b.held.Close()
	}
	if b.rd != nil {
		err = errors.Join(err, b.rd.Close())
	}
	if b.left != nil {
		b.left()
		b.left = nil
	}
	return err
}

// BlobInfo is what HEAD tells of a blob.
type BlobInfo struct {
	Size   int64 // -1: the upstream does not say
	Source Source
}

// StatBlob tells a blob's size if a client that asked for it would get it, and
// downloads nothing. Errors: as Blob.
func (c *Cache) StatBlob(ctx context.Context, s Scope, d digest.Digest) (BlobInfo, error) {
	row, err := c.Index.Blob(ctx, s.Repository, d)
	if err != nil {
		return BlobInfo{}, err
	}
	if row.Held {
		src := Hit
		if !row.Linked {
			src = Miss
			if err := c.link(ctx, s, d, row); err != nil {
				return BlobInfo{}, err
			}
		}
		return BlobInfo{row.Size, src}, nil
	}
	if err := c.refusedBlob(s, d); err != nil {
		return BlobInfo{}, err
	}
	src := Join
	size, err := c.arriving(ctx, s, d)
	if err == nil && size < 0 {
		src = Miss
		size, err = c.prove(ctx, s, d)
	}
	if err != nil {
		return BlobInfo{}, err
	}
	if size >= 0 && row.Size >= 0 && size != row.Size {
		return BlobInfo{}, errs.New(errs.UpstreamFailed, "%s says that %s has %d bytes, but its manifest says %d", s.Rule.Upstream, d, size, row.Size)
	}
	return BlobInfo{max(size, row.Size), src}, nil
}

// arriving returns the size of a blob that is on its way in for this repository's
// own upstream repository, -1 if none is or it has no answer yet.
func (c *Cache) arriving(ctx context.Context, s Scope, d digest.Digest) (int64, error) {
	c.mu.Lock()
	in := c.ingests[blob.Key{Host: s.Rule.Upstream, Digest: d}]
	c.mu.Unlock()
	if in == nil || !in.sameSource(s.Rule, s.Rule.UpstreamRepository(s.Repository)) {
		return -1, nil
	}
	for {
		in.mu.Lock()
		started, done, err, size := in.started || in.whole, in.done, in.err, in.size
		changed := in.change()
		in.mu.Unlock()
		switch {
		case errors.Is(err, errNoSpool):
			return -1, nil
		case done && err != nil:
			return -1, err
		case started || done:
			return size, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return -1, context.Cause(ctx)
		}
	}
}
