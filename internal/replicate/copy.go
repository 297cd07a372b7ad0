package replicate

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/upstream"
)

const (
	// depth is how many indexes may be nested in an index that is copied.
	depth = 8
	// sources is how many repositories are looked at for one that has a blob there.
	sources = 16
)

// copying is one copy on its way.
type copying struct {
	r    *Replicator
	d    *destination
	c    meta.Copy
	seen map[string]bool // digests that are there
	sent int64
}

// run brings the image to the destination: blobs, then children, then the manifest,
// which goes on until put ends, even if ctx does: nobody knows what becomes of one that
// is left. Copies under one name wait for each other. Errors: errStale,
// errs.BlobUnknown for what is missing here, errs.Unsupported for indexes that are nested
// too deeply, and upstream's.
func (k *copying) run(ctx, put context.Context) error {
	// The queue has one copy under a name, but not the one that was on its way when the
	// tag was deleted, if it was pushed anew.
	leave, err := k.d.turn(ctx, k.d.name(k.c.Repository)+":"+k.c.Name)
	if err != nil {
		return err
	}
	defer leave()
	if err := k.current(ctx); err != nil {
		return err
	}
	m, err := k.r.o.DB.Manifest(ctx, k.c.Repository, k.c.Digest)
	if errs.CodeOf(err) == errs.ManifestUnknown {
		return errStale
	}
	if err != nil {
		return err
	}
	ref := oci.Reference{Tag: k.c.Tag()}
	if ref.Tag == "" {
		ref.Digest = m.Digest
	}
	there, err := k.d.Push.Head(ctx, k.d.name(k.c.Repository), ref)
	if err != nil || there == m.Digest {
		return err
	}
	if err := k.parts(ctx, m, ref.Tag != "", 0); err != nil {
		return err
	}
	// What was sent may have taken long.
	if err := k.r.o.DB.RenewCopy(ctx, k.c, time.Now().Add(lease)); err != nil {
		if errs.CodeOf(err) == errs.Conflict {
			return errLost
		}
		return err
	}
	if err := k.current(ctx); err != nil {
		return err
	}
	return k.d.Push.PutManifest(put, k.d.name(k.c.Repository), ref, m)
}

// current returns errStale if the tag is not the image's any more.
func (k *copying) current(ctx context.Context) error {
	tag := k.c.Tag()
	if tag == "" {
		return nil
	}
	t, err := k.r.o.DB.Tag(ctx, k.c.Repository, tag)
	if errs.CodeOf(err) == errs.ManifestUnknown || err == nil && t.Digest != k.c.Digest {
		return errStale
	}
	return err
}

// parts brings what a manifest names. An image that is there by its digest has all of
// that; an index may have been pushed before its children.
func (k *copying) parts(ctx context.Context, m *oci.Manifest, ask bool, level int) error {
	e, err := m.Edges()
	if err != nil {
		return err
	}
	if ask && !e.Index {
		there, err := k.d.Push.Head(ctx, k.d.name(k.c.Repository), oci.Reference{Digest: m.Digest})
		if err != nil || there == m.Digest {
			return err
		}
	}
	for _, x := range e.Blobs() {
		if err := k.blob(ctx, x); err != nil {
			return err
		}
	}
	for _, x := range e.Children() {
		if k.seen[string(x.Digest)] {
			continue
		}
		if err := k.child(ctx, x.Digest, level+1); err != nil {
			return err
		}
		k.seen[string(x.Digest)] = true
	}
	return nil
}

// child brings a manifest that an index names. One that is not here is left out: the
// destination says whether it takes the index without it.
func (k *copying) child(ctx context.Context, d digest.Digest, level int) error {
	m, err := k.r.o.DB.Manifest(ctx, k.c.Repository, d)
	if errs.CodeOf(err) == errs.ManifestUnknown {
		return nil
	}
	if err != nil {
		return err
	}
	name, ref := k.d.name(k.c.Repository), oci.Reference{Digest: d}
	there, err := k.d.Push.Head(ctx, name, ref)
	if err != nil {
		return err
	}
	e, err := m.Edges()
	if err != nil || there == d && !e.Index {
		return err
	}
	if e.Index && level > depth {
		return errs.New(errs.Unsupported, "more than %d indexes are nested in it, and an image without what they name is no copy", depth)
	}
	if err := k.parts(ctx, m, false, level); err != nil || there == d {
		return err
	}
	return k.d.Push.PutManifest(ctx, name, ref, m)
}

// blob brings a blob that the repository here may serve. Copies that need the same one
// at the same place wait for the first.
func (k *copying) blob(ctx context.Context, x oci.Edge) error {
	if k.seen[string(x.Digest)] {
		return nil
	}
	row, err := k.r.o.DB.Blob(ctx, k.c.Repository, x.Digest)
	if err != nil {
		return err
	}
	if !row.Linked || !row.Held {
		if x.Foreign() {
			return nil // it may be absent there too
		}
		return errs.New(errs.BlobUnknown, "blob %s is not in repository %s any more: push it again", x.Digest, k.c.Repository)
	}
	name := k.d.name(k.c.Repository)
	leave, err := k.d.turn(ctx, name+"@"+string(x.Digest))
	if err != nil {
		return err
	}
	defer leave()
	there, err := k.d.Push.HasBlob(ctx, name, x.Digest, row.Size)
	if err != nil {
		return err
	}
	if !there {
		if err := k.send(ctx, name, x.Digest, row.Size); err != nil {
			return err
		}
	}
	k.seen[string(x.Digest)] = true
	return nil
}

// turn waits until nobody else of this process brings the same to the same place.
func (d *destination) turn(ctx context.Context, what string) (leave func(), err error) {
	for {
		d.mu.Lock()
		other := d.uploads[what]
		if other == nil {
			mine := make(chan struct{})
			d.uploads[what] = mine
			d.mu.Unlock()
			return func() {
				d.mu.Lock()
				delete(d.uploads, what)
				d.mu.Unlock()
				close(mine)
			}, nil
		}
		d.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (k *copying) send(ctx context.Context, name string, d digest.Digest, size int64) error {
	from, err := k.elsewhere(ctx, d)
	if err != nil {
		return err
	}
	sent, err := k.d.Push.PushBlob(ctx, name, upstream.BlobPush{
		Digest: d, Size: size, From: from,
		Open: func(offset, n int64) (io.ReadCloser, error) { return k.open(ctx, d, offset, n) },
	})
	k.sent += sent
	k.d.sent.Add(uint64(sent))
	return err
}

// open opens a part of a blob of the store.
func (k *copying) open(ctx context.Context, d digest.Digest, offset, n int64) (io.ReadCloser, error) {
	f, err := k.r.o.Store.Open(ctx, d)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errs.Wrap(errs.BlobUnknown, err, "the bytes of blob %s are not here any more: push it again", d)
	}
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, offset, n), f}, nil
}

// elsewhere returns another repository that the destination may have the blob in: one
// that has it here and is copied there too. "": there is none.
func (k *copying) elsewhere(ctx context.Context, d digest.Digest) (string, error) {
	repos, err := k.r.o.DB.LinkedIn(ctx, d, sources)
	if err != nil || len(repos) < 2 {
		return "", err
	}
	rules, err := k.r.o.DB.Replication(ctx)
	if err != nil {
		return "", err
	}
	for _, repo := range repos {
		if repo == k.c.Repository || !slices.Contains(rules.Of(repo), k.c.To) {
			continue
		}
		access, err := k.r.o.DB.Access(ctx, repo)
		if err != nil {
			return "", err
		}
		if access.Kind == meta.Own {
			return k.d.name(repo), nil
		}
	}
	return "", nil
}
