// Package blob keeps content by its digest. Store is where whole blobs are;
// Spools is where a blob arrives from an upstream, as a Spool that one writes and any
// number read; Uploads is where clients send one, in as many requests as they like.
//
// Guarantees: what Commit returned for is durable and has its digest; a Store has
// a blob whole or not at all, also after a crash. A blob is keyed by the digest it
// was asked under: the same bytes under sha256 and sha512 are two blobs. What an
// Upload's Save returned for is there after a crash too.
// Not guaranteed: that stored bytes are still right when they are read (a disk may
// rot); that a spool outlives the machine's power.
package blob

import (
	"context"
	"io"
	"iter"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/vfs"
)

// Store has whole blobs. It is safe for concurrent use. All methods refuse a
// malformed digest with errs.DigestInvalid, and a context that has ended.
type Store interface {
	// Open opens a blob for reading. The error matches fs.ErrNotExist if it is not
	// there. The reader outlives the blob's deletion.
	Open(ctx context.Context, d digest.Digest) (Reader, error)
	// Stat returns a blob's size in bytes. Errors: as Open.
	Stat(ctx context.Context, d digest.Digest) (size int64, err error)
	// Commit takes an arrival's bytes in under its digest; they are durable when it
	// returns. If the blob is there already the arrival is aborted. After success
	// the arrival is done with; after an error it is still open, and the caller's to
	// abort. Errors: errs.DigestMismatch if it is not Verified.
	Commit(ctx context.Context, a Arrival) error
	// Delete removes a blob, nil if it is not there. It stays away after a crash too.
	// A Delete and a Commit of one blob at a time are the caller's to keep apart.
	Delete(ctx context.Context, d digest.Digest) error
	// All yields every blob once, in no order that means anything, and those that
	// come and go meanwhile or not. It ends after the first error.
	All(ctx context.Context) iter.Seq2[Info, error]
}

// Arrival is a blob that has arrived, in a file of its own that can go to a Store: a
// Spool or an Upload.
type Arrival interface {
	// Digest returns what the bytes are to be.
	Digest() digest.Digest
	// Size returns how many bytes there are.
	Size() int64
	// Verified says whether the bytes have the digest.
	Verified() bool
	// MoveTo makes the bytes durable and gives their file to a Store in the same FS,
	// under newname, which it replaces. The Store still has to sync newname's folder.
	// After success the arrival is done with; after an error it is as it was.
	// Errors: errs.DigestMismatch if it is not Verified.
	MoveTo(newname string) error
	// Abort removes the bytes. It does nothing to an arrival that is done with.
	Abort() error
}

// Info is what a Store tells of a blob.
type Info struct {
	Digest  digest.Digest
	Size    int64 // bytes
	ModTime time.Time
}

// Reader reads a blob, or what has come of it, by a position of its own. ReadAt is
// safe for concurrent use. On the real disk it is a syscall.Conn too, so that the
// kernel can send it to a socket.
type Reader interface {
	io.ReadSeekCloser
	io.ReaderAt
	// Size returns the blob's bytes, of a spool those that have come so far.
	Size() int64
}

// NewReader returns f as a Reader for a Store. Closing it closes f.
func NewReader(f vfs.File, size int64) Reader {
	return newReader(f, func() int64 { return size })
}

// reader shows the reading half of a file.
type reader struct {
	f    vfs.File
	size func() int64
}

// connReader is a reader of a file that has a descriptor.
type connReader struct {
	reader
	syscall.Conn
}

func newReader(f vfs.File, size func() int64) Reader {
	if c, ok := f.(syscall.Conn); ok {
		return &connReader{reader{f, size}, c}
	}
	return &reader{f, size}
}

func (r *reader) Read(p []byte) (int, error)                { return r.f.Read(p) }
func (r *reader) ReadAt(p []byte, off int64) (int, error)   { return r.f.ReadAt(p, off) }
func (r *reader) Seek(off int64, whence int) (int64, error) { return r.f.Seek(off, whence) }
func (r *reader) Close() error                              { return r.f.Close() }
func (r *reader) Size() int64                               { return r.size() }
