package blob

import (
	"fmt"
	"io"
	"io/fs"
	"syscall"
)

const (
	// markEvery is how many bytes a process that dies may lose of a spool with holes.
	markEvery = 16 << 20
	// takeSize is how much Take reads at once, in bytes.
	takeSize = 256 << 10
)

// Ahead makes the spool fit for bytes that come before their turn: it writes down
// how many came in turn, which is all that a process that starts after this one
// died goes on with. It is to return before the first WriteAt begins, and is called
// once; the spool's writer may write meanwhile, and no more than that.
func (sp *Spool) Ahead() error { return sp.mark(sp.Size()) }

// WriteAt brings bytes of the blob before their turn, behind Size. They are neither
// hashed nor in Size until Take reaches them. Every byte has one writer: what WriteAt
// is bringing, or has brought, is not written again, or what was hashed would not be
// what is stored. It is safe for concurrent use, and to be over before Reset, MoveTo,
// Close and Abort. The bytes that it says were written were, if it fails too.
func (sp *Spool) WriteAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > sp.Room() {
		return 0, fmt.Errorf("spool of %s: nothing is reserved at %d: %w", sp.key, off, syscall.ENOSPC)
	}
	return sp.f.WriteAt(p, off)
}

// Room returns up to which byte room is reserved.
func (sp *Spool) Room() int64 { return sp.limit.Load() }

// Take appends the n bytes behind Size that WriteAt brought: it hashes them as they
// are in the file. What it took before an error stays.
func (sp *Spool) Take(n int64) error {
	if sp.done {
		return fmt.Errorf("spool of %s: %w", sp.key, fs.ErrClosed)
	}
	buf := make([]byte, min(n, takeSize))
	for n > 0 {
		p := buf[:min(n, int64(len(buf)))]
		at := sp.Size()
		if k, err := sp.f.ReadAt(p, at); k < len(p) {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("spool of %s: %w", sp.key, err)
		}
		sp.hash.Write(p)
		sp.size.Store(at + int64(len(p)))
		n -= int64(len(p))
	}
	sp.remark()
	return nil
}

// remark keeps the sidecar of a spool with holes near to Size. That it could not be
// written costs a resume some bytes and nothing else.
func (sp *Spool) remark() {
	if at := sp.sound.Load(); at >= 0 && sp.Size()-at >= markEvery {
		_ = sp.mark(sp.Size())
	}
}

// mark says in the sidecar that the first n bytes came, and nothing of those behind.
func (sp *Spool) mark(n int64) error {
	c := sidecar{sp.key.Host, sp.key.Digest, sp.want, sp.s.boot, &n}
	if err := sp.s.replaceSidecar(sp.name, c); err != nil {
		return fmt.Errorf("spool of %s: %w", sp.key, err)
	}
	sp.sound.Store(n)
	return nil
}
