package blob

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/vfs"
)

const (
	// keepFor is how long a spool that nobody has open waits for a resume.
	keepFor = 24 * time.Hour
	// step is how much room at once a spool of unknown size reserves, in bytes.
	step = 64 << 20
)

// Key is an ingest's identity: two hosts may bring one digest at once, so that a
// bad one harms nobody who asked the other.
type Key struct {
	Host   string
	Digest digest.Digest
}

func (k Key) String() string { return fmt.Sprintf("%s from %s", k.Digest, k.Host) }

// SpoolsOptions says where spools are.
type SpoolsOptions struct {
	FS     vfs.FS
	Dir    string // in FS; made if it is not there
	BootID string // the running kernel's; "": nothing left behind is resumed
	// KeepFree returns how many bytes of a file system of total bytes spools leave
	// free. nil: 10 %, at least 2 GiB.
	KeepFree func(total int64) int64
}

// Spools is the folder of blobs that are arriving, and the promise of room for
// them. It is safe for concurrent use; no lock is held across I/O.
type Spools struct {
	fs       vfs.FS
	dir      string
	boot     string
	keepFree func(total int64) int64

	mu   sync.Mutex
	open map[Key]*Spool    // nil: what was kept of it is being removed
	kept map[Key]time.Time // nobody has it open; when it was last written
}

// OpenSpools opens the folder. Of what an earlier process left there, it keeps
// spools of this boot that were written within 24 hours and know what they are.
// All else is removed: bytes that were never synced may have become zeros when the
// power went.
func OpenSpools(o SpoolsOptions) (*Spools, error) {
	s := &Spools{
		fs: o.FS, dir: o.Dir, boot: o.BootID, keepFree: o.KeepFree,
		open: map[Key]*Spool{}, kept: map[Key]time.Time{},
	}
	if s.keepFree == nil {
		s.keepFree = func(total int64) int64 { return max(total/10, 2<<30) }
	}
	if err := s.fs.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("spool folder: %w", err)
	}
	if err := s.sift(); err != nil {
		return nil, fmt.Errorf("spool folder: %w", err)
	}
	return s, nil
}

// sift fills kept and removes every file that is not of a kept spool.
func (s *Spools) sift() error {
	entries, err := s.fs.ReadDir(s.dir)
	if err != nil {
		return err
	}
	good := map[string]bool{}
	for _, e := range entries {
		k, at, ok := s.leftover(e)
		if !ok {
			continue
		}
		s.kept[k] = at
		good[s.name(k)], good[sidecarOf(s.name(k))] = true, true
	}
	for _, e := range entries {
		name := s.dir + "/" + e.Name()
		if e.IsDir() || good[name] {
			continue
		}
		if err := s.fs.Remove(name); err != nil {
			return err
		}
	}
	return nil
}

// Open makes a spool, or opens again what an earlier one of this key left: then
// its bytes are hashed anew and Size is not 0. size is the blob's in bytes, -1 if
// nobody knows.
//
// It reserves room first: the blob must fit beside what other open spools still
// need and what is to be kept free. Where it does not, left spools that nobody has
// open are given up for it. Errors: errs.StorageFull, errs.DigestInvalid; an
// untyped one if a spool of this key is open.
func (s *Spools) Open(k Key, size int64) (*Spool, error) {
	if _, err := oci.ParseDigest(string(k.Digest)); err != nil {
		return nil, err
	}
	s.giveUp(keepFor)
	sp := &Spool{s: s, key: k, name: s.name(k), hash: oci.NewHash(k.Digest)}
	sp.sound.Store(-1)
	left, err := s.claim(sp)
	if err != nil {
		return nil, err
	}
	if err := sp.open(left, size); err != nil {
		return nil, errors.Join(err, sp.Abort())
	}
	return sp, nil
}

// claim makes sp the one open spool of its key. left says that files of it may be there.
func (s *Spools) claim(sp *Spool) (left bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.open[sp.key]; taken {
		return false, fmt.Errorf("spool of %s is open already", sp.key)
	}
	_, left = s.kept[sp.key]
	delete(s.kept, sp.key)
	s.open[sp.key] = sp
	return left, nil
}

// release ends a key's claim; its files stay for a later Open if keep is true.
func (s *Spools) release(k Key, keep bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, k)
	if keep {
		s.kept[k] = time.Now()
	}
}

// giveUp removes what was last written at least age ago and nobody has open.
func (s *Spools) giveUp(age time.Duration) (some bool) {
	s.mu.Lock()
	var old []Key
	for k, at := range s.kept {
		if time.Since(at) >= age {
			old = append(old, k)
			delete(s.kept, k)
			s.open[k] = nil
		}
	}
	s.mu.Unlock()
	for _, k := range old {
		// What cannot be removed now is by OpenSpools.
		_ = s.remove(s.name(k))
		s.release(k, false)
	}
	return len(old) > 0
}

// remove removes a spool's files, the sidecar last: without one, bytes are garbage.
func (s *Spools) remove(name string) error {
	var failed error
	for _, n := range []string{name, sidecarOf(name)} {
		if err := s.fs.Remove(n); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// Active returns how many spools are open and how many bytes have come into them.
func (s *Spools) Active() (n int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sp := range s.open {
		if sp != nil {
			n++
			bytes += sp.Size()
		}
	}
	return n, bytes
}
