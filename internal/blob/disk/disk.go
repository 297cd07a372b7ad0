// Package disk is a blob.Store in a folder: blobs/sha256/ab/<hex>, other
// algorithms beside. The file "format" says which version of this layout it has.
//
// A blob's file is synced before it gets its name, and the folder after, so a name
// in blobs/ is a whole blob also after a crash. A blob is gone for good when Delete
// returns.
package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/blob"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/vfs"
)

const root = "blobs"

// Store is a blob.Store in an FS. It may share the FS with the spools and others.
type Store struct {
	fs vfs.FS

	mu   sync.Mutex
	dirs map[string]struct{} // folders whose own names are durable
}

var _ blob.Store = (*Store)(nil)

// Open opens the store in fsys and makes what is missing. It refuses a layout that
// is newer than it knows, and a folder that it cannot write.
func Open(fsys vfs.FS) (*Store, error) {
	if err := checkFormat(fsys); err != nil {
		return nil, err
	}
	s := &Store{fs: fsys, dirs: map[string]struct{}{}}
	// A process that died may have made folders and not synced them: these names
	// count as durable only after this.
	for _, dir := range []string{root, root + "/sha256", root + "/sha512"} {
		if err := s.ensure(dir); err != nil {
			return nil, unwritable(err)
		}
	}
	return s, nil
}

// ensure makes a folder, durably; its parent is durable.
func (s *Store) ensure(dir string) error {
	s.mu.Lock()
	_, ok := s.dirs[dir]
	s.mu.Unlock()
	if ok {
		return nil
	}
	if err := s.fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := s.fs.SyncDir(path.Dir(dir)); err != nil {
		return err
	}
	s.mu.Lock()
	s.dirs[dir] = struct{}{}
	s.mu.Unlock()
	return nil
}

// name returns a blob's file.
func name(d digest.Digest) (string, error) {
	if _, err := oci.ParseDigest(string(d)); err != nil {
		return "", err
	}
	hex := d.Encoded()
	return root + "/" + d.Algorithm().String() + "/" + hex[:2] + "/" + hex, nil
}

// Open implements blob.Store.
func (s *Store) Open(ctx context.Context, d digest.Digest) (blob.Reader, error) {
	n, err := s.name(ctx, d)
	if err != nil {
		return nil, err
	}
	f, err := s.fs.Open(n)
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", d, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("blob %s: %w", d, err), f.Close())
	}
	return blob.NewReader(f, info.Size()), nil
}

func (s *Store) name(ctx context.Context, d digest.Digest) (string, error) {
	if err := context.Cause(ctx); err != nil {
		return "", err
	}
	return name(d)
}

// Stat implements blob.Store.
func (s *Store) Stat(ctx context.Context, d digest.Digest) (int64, error) {
	n, err := s.name(ctx, d)
	if err != nil {
		return 0, err
	}
	info, err := s.fs.Stat(n)
	if err != nil {
		return 0, fmt.Errorf("blob %s: %w", d, err)
	}
	return info.Size(), nil
}

// Commit implements blob.Store.
func (s *Store) Commit(ctx context.Context, a blob.Arrival) error {
	d := a.Digest()
	n, err := s.name(ctx, d)
	if err != nil {
		return err
	}
	if !a.Verified() {
		return errs.New(errs.DigestMismatch, "the %d bytes of %s do not have this digest", a.Size(), d)
	}
	if err := s.ensure(path.Dir(n)); err != nil {
		return fmt.Errorf("blob %s: %w", d, err)
	}
	info, err := s.fs.Stat(n)
	there := err == nil && info.Size() == a.Size() // else it is damaged, and is replaced
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("blob %s: %w", d, err)
	}
	if !there {
		if err := a.MoveTo(n); err != nil {
			return fmt.Errorf("blob %s: %w", d, err)
		}
	}
	// Also if it was there: who moved it may not have come to this, or died before.
	if err := s.fs.SyncDir(path.Dir(n)); err != nil {
		return fmt.Errorf("blob %s: %w", d, err)
	}
	if there {
		return a.Abort()
	}
	return nil
}

// Delete implements blob.Store.
func (s *Store) Delete(ctx context.Context, d digest.Digest) error {
	n, err := s.name(ctx, d)
	if err != nil {
		return err
	}
	if err := s.fs.Remove(n); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("blob %s: %w", d, err)
	}
	// Also if it was not there: who removed it may not have come to this.
	if err := s.fs.SyncDir(path.Dir(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("blob %s: %w", d, err)
	}
	return nil
}

// All implements blob.Store. Files with other names than blobs have are passed over.
func (s *Store) All(ctx context.Context) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
			dir := root + "/" + alg.String()
			subs, err := s.fs.ReadDir(dir)
			if err != nil {
				yield(blob.Info{}, err)
				return
			}
			for _, sub := range subs {
				if sub.IsDir() && !s.list(ctx, alg, dir+"/"+sub.Name(), yield) {
					return
				}
			}
		}
	}
}

// list yields the blobs of one folder, and says whether to go on.
func (s *Store) list(ctx context.Context, alg digest.Algorithm, dir string, yield func(blob.Info, error) bool) bool {
	err := context.Cause(ctx)
	var entries []fs.DirEntry
	if err == nil {
		entries, err = s.fs.ReadDir(dir)
	}
	if err != nil {
		yield(blob.Info{}, err)
		return false
	}
	for _, e := range entries {
		d := digest.NewDigestFromEncoded(alg, e.Name())
		if n, err := name(d); err != nil || n != dir+"/"+e.Name() || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		switch {
		case errors.Is(err, fs.ErrNotExist): // deleted meanwhile
		case err != nil:
			yield(blob.Info{}, err)
			return false
		case !yield(blob.Info{Digest: d, Size: info.Size(), ModTime: info.ModTime()}, nil):
			return false
		}
	}
	return true
}
