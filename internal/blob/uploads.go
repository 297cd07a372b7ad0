package blob

import (
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/vfs"
)

// UploadsOptions says where uploads are.
type UploadsOptions struct {
	FS  vfs.FS
	Dir string // in FS; made if it is not there
	// KeepFree is SpoolsOptions': uploads may use half of what ingests leave free,
	// so that a full cache does not end pushes.
	KeepFree func(total int64) int64
}

// Uploads is the folder of blobs that clients are sending. What a client was told
// that weir has of one is in an UploadState, which its owner keeps as durably as the
// bytes are: after a crash of any kind Open goes on from there. It is safe for
// concurrent use; no lock is held across I/O.
type Uploads struct {
	fs       vfs.FS
	dir      string
	keepFree func(total int64) int64

	mu   sync.Mutex
	open map[string]*Upload
}

// UploadState is an upload as of its last Save. The zero state with an algorithm is a
// new upload's.
type UploadState struct {
	Size      int64            // bytes that are durable
	Algorithm digest.Algorithm // of Hash: digest.SHA256 or SHA512
	Hash      []byte           // the hash's state after Size bytes; nil: none yet
}

// OpenUploads opens the folder. Files of uploads that nobody knows any more stay
// until Sift.
func OpenUploads(o UploadsOptions) (*Uploads, error) {
	u := &Uploads{fs: o.FS, dir: o.Dir, keepFree: o.KeepFree, open: map[string]*Upload{}}
	if u.keepFree == nil {
		u.keepFree = func(total int64) int64 { return max(total/10, 2<<30) }
	}
	if err := u.fs.MkdirAll(u.dir, 0o700); err != nil {
		return nil, fmt.Errorf("upload folder: %w", err)
	}
	if err := u.fs.SyncDir("."); err != nil {
		return nil, fmt.Errorf("upload folder: %w", err)
	}
	return u, nil
}

// Sift removes the files of all uploads that are neither open nor known.
func (u *Uploads) Sift(known func(id string) bool) error {
	entries, err := u.fs.ReadDir(u.dir)
	if err != nil {
		return fmt.Errorf("upload folder: %w", err)
	}
	for _, e := range entries {
		if known(e.Name()) {
			continue
		}
		if err := u.Remove(e.Name(), func() error { return nil }); err != nil && errs.CodeOf(err) != errs.UploadInvalid {
			return err
		}
	}
	return nil
}

// Open opens an upload as it was at its last Save, which state tells, once nobody else
// can open it; what was written later is cut off. One Upload of an id is open at a
// time. Errors: errs.UploadInvalid if another is, errs.UploadUnknown if the bytes are
// gone, state's.
func (u *Uploads) Open(id string, state func() (UploadState, error)) (*Upload, error) {
	up := &Upload{u: u, name: u.dir + "/" + id, id: id}
	if err := u.claim(up); err != nil {
		return nil, err
	}
	s, err := state()
	if err == nil {
		err = up.start(s)
	}
	if err != nil {
		if up.f != nil {
			err = errors.Join(err, up.f.Close())
		}
		u.release(id)
		return nil, err
	}
	return up, nil
}

// Remove removes an upload's bytes, if there are any, once forget, which its owner
// forgets it by, has returned nil. Nobody can open it meanwhile. Errors:
// errs.UploadInvalid if it is open, forget's.
func (u *Uploads) Remove(id string, forget func() error) error {
	up := &Upload{u: u, name: u.dir + "/" + id, id: id}
	if err := u.claim(up); err != nil {
		return err
	}
	defer u.release(id)
	if err := forget(); err != nil {
		return err
	}
	if err := u.fs.Remove(up.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("upload %s: %w", id, err)
	}
	return nil
}

// Active returns how many uploads are being written to and how many bytes they have.
func (u *Uploads) Active() (n int, bytes int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, up := range u.open {
		n++
		bytes += up.Size()
	}
	return n, bytes
}

func (u *Uploads) claim(up *Upload) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.open[up.id] != nil {
		return errs.New(errs.UploadInvalid, "another request is writing to upload %s; it goes on from where that one ends", up.id)
	}
	u.open[up.id] = up
	return nil
}

func (u *Uploads) release(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.open, id)
}

// room says whether need more bytes of up fit beside what other uploads were
// promised and what is to be kept free.
func (u *Uploads) room(up *Upload, need int64) error {
	free, total, err := u.fs.Space()
	if err != nil {
		return fmt.Errorf("free space: %w", err)
	}
	var others int64
	u.mu.Lock()
	for _, o := range u.open {
		if o != up {
			others += o.owed()
		}
	}
	u.mu.Unlock()
	if keep := u.keepFree(total) / 2; free-keep-others < need {
		return full("upload "+up.id, need, free, total, keep, others)
	}
	return nil
}

// start opens the file and brings file and hash to a state.
func (up *Upload) start(s UploadState) (err error) {
	if up.f, err = up.u.fs.OpenFile(up.name, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		if errors.Is(err, syscall.ENOSPC) {
			return up.noRoom(err)
		}
		return fmt.Errorf("upload %s: %w", up.id, err)
	}
	info, err := up.f.Stat()
	if err != nil {
		return fmt.Errorf("upload %s: %w", up.id, err)
	}
	if info.Size() < s.Size {
		return errs.New(errs.UploadUnknown, "the bytes of upload %s are gone; start again", up.id)
	}
	return up.Rewind(s)
}

// restore returns the hash of a state.
func (s UploadState) restore() (hash.Hash, error) {
	h := oci.NewHash(digest.NewDigestFromEncoded(s.Algorithm, ""))
	if s.Hash == nil {
		return h, nil
	}
	m, ok := h.(encoding.BinaryUnmarshaler)
	if !ok {
		return nil, fmt.Errorf("%s cannot go on from a state: %w", s.Algorithm, errors.ErrUnsupported)
	}
	return h, m.UnmarshalBinary(s.Hash)
}
