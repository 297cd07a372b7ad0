package blob

import (
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/vfs"
)

// Spool is a blob on its way in: a file that grows at its end. One goroutine
// writes: Write, Take, Reset, Hash, Verified, MoveTo, Close and Abort are its own.
// Key, Size, Room and Reader are for any goroutine, at any time; Ahead and WriteAt
// bring bytes that come before their turn.
//
// Nothing is synced while bytes arrive. The bytes below Size are what was written
// and hashed; of those, nothing is known to be right until Verified says so.
type Spool struct {
	s    *Spools
	key  Key
	name string    // of the file, until MoveTo
	want int64     // the blob's size, -1: not known
	f    vfs.File  // nil before open
	hash hash.Hash // of the bytes below size
	done bool      // closed, aborted or moved

	size   atomic.Int64
	limit  atomic.Int64             // room that was promised, in bytes
	backed atomic.Int64             // of it, what has blocks
	names  atomic.Pointer[[]string] // where the file is, or is about to be; nil: out of reach
	sound  atomic.Int64             // what the sidecar says of it, for a file with holes; -1: nothing
}

// Key returns what the spool was opened for.
func (sp *Spool) Key() Key { return sp.key }

// Digest implements Arrival: it returns the key's.
func (sp *Spool) Digest() digest.Digest { return sp.key.Digest }

// Size returns how many bytes have come. It only falls at Reset.
func (sp *Spool) Size() int64 { return sp.size.Load() }

// open opens the file, with what is left of it, and sees to its room.
func (sp *Spool) open(left bool, want int64) error {
	sp.want = max(want, -1)
	if left && !sp.resume(want) {
		sp.forget()
	}
	limit := want
	if want < 0 {
		limit = sp.Size() + step
	}
	err := sp.begin(limit, want)
	if errors.Is(err, syscall.ENOSPC) && sp.s.giveUp(0) {
		err = sp.begin(limit, want)
	}
	if errors.Is(err, syscall.ENOSPC) && errs.CodeOf(err) != errs.StorageFull {
		err = sp.fullNow(err)
	}
	if err != nil {
		return err
	}
	sp.names.Store(&[]string{sp.name})
	return nil
}

// resume hashes what is left of a spool, and says whether it is of use.
func (sp *Spool) resume(want int64) bool {
	c, err := sp.s.readSidecar(sp.name)
	if err != nil || want >= 0 && c.Size >= 0 && c.Size != want {
		return false
	}
	if sp.f, err = sp.s.fs.OpenFile(sp.name, os.O_RDWR, 0); err != nil {
		return false
	}
	sp.want = max(sp.want, c.Size)
	if c.Sound != nil { // behind it may be holes
		info, err := sp.f.Stat()
		if err != nil || info.Size() < *c.Sound || sp.f.Truncate(*c.Sound) != nil {
			return false
		}
		sp.sound.Store(*c.Sound)
	}
	n, err := io.CopyBuffer(sp.hash, struct{ io.Reader }{sp.f}, make([]byte, 1<<20))
	sp.size.Store(n)
	return err == nil && (want < 0 || n <= want)
}

// forget is the end of a resume that failed. The files go before room is asked for:
// they have some.
func (sp *Spool) forget() {
	if sp.f != nil {
		_ = sp.f.Close() // it is made anew
		sp.f = nil
	}
	_ = sp.s.remove(sp.name) // what is in the way is truncated
	sp.hash.Reset()
	sp.size.Store(0)
	sp.sound.Store(-1)
}

func (sp *Spool) begin(limit, want int64) error {
	if err := sp.s.reserve(sp, limit); err != nil {
		return err
	}
	if sp.f == nil {
		c := sidecar{sp.key.Host, sp.key.Digest, sp.want, sp.s.boot, nil}
		if err := sp.s.writeSidecar(sp.name, c); err != nil {
			return fmt.Errorf("spool of %s: %w", sp.key, err)
		}
		f, err := sp.s.fs.OpenFile(sp.name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return fmt.Errorf("spool of %s: %w", sp.key, err)
		}
		sp.f = f
	}
	return sp.allocate()
}

// Write appends p. The bytes that it says were written are hashed and in Size, if
// it fails too; the spool keeps them and can be written again. The error matches
// syscall.ENOSPC when the disk is full, or would be filled beyond what is to be
// kept free.
func (sp *Spool) Write(p []byte) (n int, err error) {
	if sp.done {
		return 0, fmt.Errorf("spool of %s: %w", sp.key, fs.ErrClosed)
	}
	at := sp.size.Load()
	if end := at + int64(len(p)); end > sp.limit.Load() {
		if err := sp.grow(end + step); err != nil {
			return 0, err
		}
	}
	n, err = sp.f.WriteAt(p, at)
	sp.hash.Write(p[:n])
	sp.size.Store(at + int64(n))
	sp.remark()
	return n, err
}

func (sp *Spool) grow(limit int64) error {
	err := sp.s.reserve(sp, limit)
	if errs.CodeOf(err) == errs.StorageFull {
		// A write that fails is a fault, whatever its reason.
		return fmt.Errorf("%v: %w", errs.As(err).Msg, syscall.ENOSPC)
	}
	if err != nil {
		return err
	}
	return sp.allocate()
}

// Reset goes back to byte 0. Readers stay open and see the bytes that come then;
// who has read some before must not go on. No WriteAt may be under way.
func (sp *Spool) Reset() error {
	if sp.sound.Load() >= 0 {
		if err := sp.mark(0); err != nil {
			return err
		}
	}
	sp.size.Store(0)
	sp.hash.Reset()
	sp.backed.Store(0)
	if err := sp.f.Truncate(0); err != nil {
		return fmt.Errorf("spool of %s: %w", sp.key, err)
	}
	return sp.allocate()
}

// Hash returns a copy of the hash of the bytes so far, for one who goes on by
// itself.
func (sp *Spool) Hash() (hash.Hash, error) {
	c, ok := sp.hash.(hash.Cloner)
	if !ok {
		return nil, fmt.Errorf("hash of %s cannot be copied: %w", sp.key.Digest, errors.ErrUnsupported)
	}
	h, err := c.Clone()
	if err != nil {
		return nil, fmt.Errorf("hash of %s: %w", sp.key.Digest, err)
	}
	return h, nil
}

// Verified says whether the bytes so far have the digest.
func (sp *Spool) Verified() bool { return oci.SumIs(sp.hash, sp.key.Digest) }

// Reader opens the file once more, at byte 0. The reader lives by itself: Commit,
// Abort and a deletion of the stored blob do not touch it. Bytes at and after Size
// are not to be read yet. Errors: one that matches fs.ErrClosed after Close and
// Abort.
func (sp *Spool) Reader() (Reader, error) {
	for {
		names := sp.names.Load()
		if names == nil {
			return nil, fmt.Errorf("spool of %s: %w", sp.key, fs.ErrClosed)
		}
		f, err := openFirst(sp.s.fs, *names)
		if sp.names.Load() == names {
			if err != nil {
				return nil, fmt.Errorf("spool of %s: %w", sp.key, err)
			}
			return newReader(f, sp.Size), nil
		}
		// The file went elsewhere, and its name may be another's by now.
		if err == nil {
			_ = f.Close() // nothing was done with it
		}
	}
}

func openFirst(fsys vfs.FS, names []string) (f vfs.File, err error) {
	for _, name := range names {
		f, err = fsys.Open(name)
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return f, err
}

// MoveTo implements Arrival.
func (sp *Spool) MoveTo(newname string) error {
	if sp.done {
		return fmt.Errorf("spool of %s: %w", sp.key, fs.ErrClosed)
	}
	if !sp.Verified() {
		return errs.New(errs.DigestMismatch, "the %d bytes of %s do not have this digest", sp.Size(), sp.key)
	}
	// This also gives back blocks beyond the end.
	if err := sp.f.Truncate(sp.Size()); err != nil {
		return fmt.Errorf("spool of %s: %w", sp.key, err)
	}
	if err := sp.f.Sync(); err != nil {
		return fmt.Errorf("spool of %s: %w", sp.key, err)
	}
	old := sp.names.Load()
	sp.names.Store(&[]string{sp.name, newname})
	if err := sp.s.fs.Rename(sp.name, newname); err != nil {
		sp.names.Store(old)
		return fmt.Errorf("spool of %s: %w", sp.key, err)
	}
	sp.names.Store(&[]string{newname})
	sp.done = true
	// The bytes are where they belong. A sidecar that stays is removed by OpenSpools.
	_ = sp.f.Close()
	_ = sp.s.fs.Remove(sidecarOf(sp.name))
	sp.s.release(sp.key, false)
	return nil
}

// Close puts the spool away for a later Open. It does nothing to one that is done
// with.
func (sp *Spool) Close() error {
	if sp.done {
		return nil
	}
	sp.done = true
	sp.names.Store(nil)
	err := errors.Join(sp.f.Truncate(sp.Size()), sp.f.Close())
	if sp.sound.Load() >= 0 {
		err = errors.Join(err, sp.mark(sp.Size()))
	}
	sp.s.release(sp.key, true)
	if err != nil {
		return fmt.Errorf("spool of %s: %w", sp.key, err)
	}
	return nil
}

// Abort removes the spool. It does nothing to one that is done with.
func (sp *Spool) Abort() error {
	if sp.done {
		return nil
	}
	sp.done = true
	sp.names.Store(nil)
	var err error
	if sp.f != nil {
		err = sp.f.Close()
	}
	err = errors.Join(err, sp.s.remove(sp.name))
	sp.s.release(sp.key, false)
	if err != nil {
		return fmt.Errorf("spool of %s: %w", sp.key, err)
	}
	return nil
}
