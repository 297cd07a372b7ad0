package blob

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"sync/atomic"
	"syscall"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/vfs"
)

// Upload is a blob that a client is sending, open for one request. One goroutine
// uses it; Size is for any.
type Upload struct {
	u      *Uploads
	id     string
	name   string
	f      vfs.File
	alg    digest.Algorithm
	hash   hash.Hash     // of the bytes below size
	aim    digest.Digest // "" before Aim
	synced bool          // the file's name is durable
	done   bool          // closed, aborted or moved

	size, limit, backed atomic.Int64 // as Spool's
}

// ID returns what the upload was opened as.
func (up *Upload) ID() string { return up.id }

// Size returns how many bytes have come, durable or not.
func (up *Upload) Size() int64 { return up.size.Load() }

func (up *Upload) owed() int64 {
	return max(0, up.limit.Load()-max(up.size.Load(), up.backed.Load()))
}

// Reserve sees to room for n more bytes. Errors: errs.StorageFull.
func (up *Upload) Reserve(n int64) error {
	limit := up.Size() + n
	if limit <= up.limit.Load() {
		return nil
	}
	if err := up.u.room(up, limit-max(up.Size(), up.backed.Load())); err != nil {
		return err
	}
	up.limit.Store(limit)
	err := up.f.Allocate(limit)
	switch {
	case err == nil:
		up.backed.Store(limit)
	case errors.Is(err, errors.ErrUnsupported): // then the promise is all there is
	case errors.Is(err, syscall.ENOSPC):
		up.limit.Store(up.Size())
		return up.noRoom(err)
	default:
		return fmt.Errorf("upload %s: %w", up.id, err)
	}
	return nil
}

func (up *Upload) noRoom(cause error) error {
	return errs.Wrap(errs.StorageFull, cause, "no room for upload %s: the data folder's file system is full", up.id)
}

// Write appends p. The bytes that it says were written are hashed and in Size, if it
// fails too. Errors: errs.StorageFull.
func (up *Upload) Write(p []byte) (n int, err error) {
	at := up.Size()
	if at+int64(len(p)) > up.limit.Load() {
		if err := up.Reserve(int64(len(p)) + step); err != nil {
			if err = up.Reserve(int64(len(p))); err != nil { // the last of it may fit
				return 0, err
			}
		}
	}
	n, err = up.f.WriteAt(p, at)
	up.hash.Write(p[:n])
	up.size.Store(at + int64(n))
	if errors.Is(err, syscall.ENOSPC) {
		err = up.noRoom(err)
	}
	return n, err
}

// Holds says whether the bytes from at to the end are those of r, to its end.
func (up *Upload) Holds(at int64, r io.Reader) (bool, error) {
	mine := io.NewSectionReader(up.f, at, up.Size()-at)
	a, b := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(r, a)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return false, err
		}
		m, merr := io.ReadFull(mine, b)
		if merr != nil && merr != io.EOF && merr != io.ErrUnexpectedEOF {
			return false, fmt.Errorf("upload %s: %w", up.id, merr)
		}
		if !bytes.Equal(a[:n], b[:m]) {
			return false, nil
		}
		if err != nil {
			return true, nil
		}
	}
}

// Save makes the bytes that have come durable and returns the state to go on from.
func (up *Upload) Save() (UploadState, error) {
	if up.done {
		return UploadState{}, fmt.Errorf("upload %s: %w", up.id, fs.ErrClosed)
	}
	if err := up.f.Sync(); err != nil {
		return UploadState{}, fmt.Errorf("upload %s: %w", up.id, err)
	}
	if !up.synced {
		if err := up.u.fs.SyncDir(up.u.dir); err != nil {
			return UploadState{}, fmt.Errorf("upload %s: %w", up.id, err)
		}
		up.synced = true
	}
	m, ok := up.hash.(encoding.BinaryMarshaler)
	if !ok {
		return UploadState{}, fmt.Errorf("the state of %s cannot be kept: %w", up.alg, errors.ErrUnsupported)
	}
	state, err := m.MarshalBinary()
	if err != nil {
		return UploadState{}, fmt.Errorf("the state of %s: %w", up.alg, err)
	}
	return UploadState{Size: up.Size(), Algorithm: up.alg, Hash: state}, nil
}

// Rewind goes back to an earlier state: what was written later is cut off.
func (up *Upload) Rewind(s UploadState) error {
	h, err := s.restore()
	if err != nil {
		return fmt.Errorf("upload %s: %w", up.id, err)
	}
	if err := up.f.Truncate(s.Size); err != nil {
		return fmt.Errorf("upload %s: %w", up.id, err)
	}
	up.alg, up.hash = s.Algorithm, h
	up.size.Store(s.Size)
	up.limit.Store(s.Size)
	up.backed.Store(0)
	return nil
}

// Aim says what the bytes are to be. They are hashed anew if what was hashed has
// another algorithm. Errors: errs.DigestInvalid.
func (up *Upload) Aim(d digest.Digest) error {
	if _, err := oci.ParseDigest(string(d)); err != nil {
		return err
	}
	up.aim = d
	if d.Algorithm() == up.alg {
		return nil
	}
	h := oci.NewHash(d)
	if _, err := io.Copy(h, io.NewSectionReader(up.f, 0, up.Size())); err != nil {
		return fmt.Errorf("upload %s: %w", up.id, err)
	}
	up.alg, up.hash = d.Algorithm(), h
	return nil
}

// Digest implements Arrival: it returns what Aim was told.
func (up *Upload) Digest() digest.Digest { return up.aim }

// Verified implements Arrival.
func (up *Upload) Verified() bool { return up.alg == up.aim.Algorithm() && oci.SumIs(up.hash, up.aim) }

// MoveTo implements Arrival.
func (up *Upload) MoveTo(newname string) error {
	if up.done {
		return fmt.Errorf("upload %s: %w", up.id, fs.ErrClosed)
	}
	if !up.Verified() {
		return errs.New(errs.DigestMismatch, "the %d bytes of upload %s do not have digest %s", up.Size(), up.id, up.aim)
	}
	err := up.f.Truncate(up.Size()) // this also gives back blocks beyond the end
	if err == nil {
		err = up.f.Sync()
	}
	if err == nil {
		err = up.u.fs.Rename(up.name, newname)
	}
	if err != nil {
		return fmt.Errorf("upload %s: %w", up.id, err)
	}
	up.done = true
	_ = up.f.Close() // the bytes are where they belong
	up.u.release(up.id)
	return nil
}

// Close puts the upload away for a later Open. It does nothing to one that is done
// with.
func (up *Upload) Close() error {
	if up.done {
		return nil
	}
	up.done = true
	err := errors.Join(up.f.Truncate(up.Size()), up.f.Close())
	up.u.release(up.id)
	if err != nil {
		return fmt.Errorf("upload %s: %w", up.id, err)
	}
	return nil
}

// Abort implements Arrival: it removes the upload.
func (up *Upload) Abort() error {
	if up.done {
		return nil
	}
	up.done = true
	err := errors.Join(up.f.Close(), up.u.fs.Remove(up.name))
	up.u.release(up.id)
	if err != nil {
		return fmt.Errorf("upload %s: %w", up.id, err)
	}
	return nil
}
