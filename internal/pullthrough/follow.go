package pullthrough

import (
	"bytes"
	"context"
	"errors"
	"hash"
	"io"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
)

// errStartedOver ends answers that carry bytes of a first try that was wrong.
var errStartedOver = errs.New(errs.UpstreamFailed, "the upstream's bytes were wrong; the blob starts over")

// visible returns up to where a reader at off may be given bytes: all that are
// there, but for the veil; none of an answer that ends at end before the blob does
// if it is to be verified. in.mu is held.
func (in *ingest) visible(off, end int64, verify bool) int64 {
	switch {
	case in.whole:
		return in.size
	case in.size < 0:
		return in.written - chunk
	case verify && end >= 0 && end < in.size:
		return 0
	}
	if verify { // whoever else has had the tail: none of it, and no pieces, before the digest holds
		return min(in.written, in.veilAt(), in.size-chunk)
	}
	limit := in.written
	if p := in.pieceAt(off); p != nil && off >= limit {
		limit = p.pos
	}
	if veil := in.veilAt(); off < veil+chunk {
		limit = min(limit, veil)
	}
	return limit
}

// WriteRange writes the bytes [start, end) to w while they arrive; end -1 is the
// blob's end. It flushes before it waits. If it returns an error, what was
// written is to be broken off, never ended: bytes are missing, or were wrong.
func (b *Blob) WriteRange(ctx context.Context, w Sink, start, end int64) error {
	if end >= 0 && b.Size >= 0 && end >= b.Size {
		end = -1
	}
	switch {
	case b.held != nil:
		return b.writeHeld(w, start, end)
	case b.mem != nil:
		if end < 0 {
			end = int64(len(b.mem))
		}
		_, err := w.Write(b.mem[start:end])
		return err
	case b.rd == nil:
		return b.pass(ctx, w, start, end, nil, nil)
	}
	if _, err := b.rd.Seek(start, io.SeekStart); err != nil {
		return err
	}
	if start > 0 || end >= 0 { // a part: all parts of an answer are of one epoch
		b.in.mu.Lock()
		if !b.seen {
			b.seen, b.of = true, b.in.epoch
		}
		b.in.mu.Unlock()
	}
	for off := start; ; {
		limit, err := b.wait(ctx, w, off, end)
		switch {
		case err == io.EOF:
			return nil
		case errors.Is(err, errFrozen):
			return b.passOn(ctx, w, off, end)
		case err != nil:
			return err
		}
		n, err := io.Copy(w, &io.LimitedReader{R: b.rd, N: limit - off})
		off += n
		if err == nil && off < limit {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
}

func (b *Blob) writeHeld(w Sink, start, end int64) error {
	if end < 0 {
		end = b.Size
	}
	if _, err := b.held.Seek(start, io.SeekStart); err != nil {
		return err
	}
	n, err := io.Copy(w, &io.LimitedReader{R: b.held, N: end - start})
	if err == nil && n < end-start {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// wait returns up to where bytes after off may be written, io.EOF when all have
// been, errFrozen when the spool gives no more.
func (b *Blob) wait(ctx context.Context, w Sink, off, end int64) (int64, error) {
	in := b.in
	flushed := false
	for {
		in.mu.Lock()
		if b.seen && b.of != in.epoch {
			in.mu.Unlock()
			return 0, errStartedOver
		}
		limit := in.visible(off, end, b.r.VerifyRanges)
		if end >= 0 {
			limit = min(limit, end)
		}
		over := (in.whole || in.size > 0) && off >= in.size || end >= 0 && off >= end
		frozen, done, err := in.frozen != nil, in.done, in.err
		var changed <-chan struct{}
		var ahead *piece
		if limit > off {
			b.seen, b.of = true, in.epoch
		} else if !over && !frozen && !done {
			if !b.r.VerifyRanges {
				ahead = in.plan(off, end)
			}
			changed = in.change()
		}
		in.mu.Unlock()
		if ahead != nil {
			in.c.spawn(func(context.Context) { in.fetch(ahead) })
		}
		switch {
		case over:
			return 0, io.EOF
		case limit > off:
			return limit, nil
		case frozen:
			return 0, errFrozen
		case done && err != nil:
			return 0, err
		case done:
			return 0, io.ErrUnexpectedEOF
		case !flushed:
			w.Flush()
			flushed = true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// passOn goes on where a frozen spool ended: by the reader's own Range, and for an
// answer to the blob's end that is not ahead of it with a clone of the hash and the
// spool's last bytes still withheld.
func (b *Blob) passOn(ctx context.Context, w Sink, off, end int64) error {
	b.in.mu.Lock()
	h, at := b.in.frozen, b.in.written
	if c, ok := h.(hash.Cloner); ok {
		var err error
		if h, err = c.Clone(); err != nil {
			b.in.mu.Unlock()
			return err
		}
	}
	b.in.mu.Unlock()
	if end >= 0 || off > at {
		return b.pass(ctx, w, off, end, nil, nil)
	}
	// With pieces ahead a reader may be far behind; only the last chunk is held back.
	if n := at - chunk - off; n > 0 {
		if _, err := io.CopyN(w, b.rd, n); err != nil {
			return err
		}
		off += n
	}
	held := make([]byte, at-off)
	if _, err := io.ReadFull(b.rd, held); err != nil {
		return err
	}
	return b.pass(ctx, w, at, -1, h, held)
}

// direct prepares an answer straight from the upstream: there is no room.
func (b *Blob) direct(ctx context.Context) error {
	b.Source, b.in = Miss, nil
	if b.Size < 0 || b.Size > chunk {
		size, err := b.c.prove(ctx, b.s, b.d)
		if err != nil {
			return err
		}
		if size >= 0 && b.Size >= 0 && size != b.Size {
			return errs.New(errs.UpstreamFailed, "%s says that %s has %d bytes, but its manifest says %d", b.r.Upstream, b.d, size, b.Size)
		}
		b.Size = max(b.Size, size)
	}
	if b.Size > chunk || b.Size < 0 {
		return nil
	}
	var buf buffer
	if err := b.pass(ctx, &buf, 0, -1, nil, nil); err != nil {
		return err
	}
	if b.mem = buf.Bytes(); b.mem == nil {
		b.mem = []byte{}
	}
	return nil
}

type buffer struct{ bytes.Buffer }

func (*buffer) Flush() {}

// pass copies [start, end) from the upstream to w without keeping it. If it goes
// to the blob's end from its beginning, or goes on after bytes that h has seen,
// the last chunk is withheld until the digest holds; held is what h has seen and
// w has not.
func (b *Blob) pass(ctx context.Context, w Sink, start, end int64, h hash.Hash, held []byte) error {
	if h == nil && start == 0 && end < 0 {
		h = oci.NewHash(b.d)
	}
	n := int64(-1)
	if end >= 0 {
		if b.r.VerifyRanges {
			return errs.New(errs.StorageFull, "there is no room to hold blob %s, and its rule wants ranges verified", b.d)
		}
		n = end - start
	}
	body, at, _, err := b.c.Upstream(b.r).Blob(ctx, b.r.UpstreamRepository(b.repo), b.d, start, n)
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err := io.CopyN(io.Discard, body, start-at); err != nil {
		return err
	}
	if h == nil {
		var src io.Reader = body
		if n >= 0 {
			src = io.LimitReader(body, n)
		}
		got, err := io.Copy(w, src)
		if want := b.Size - start; n < 0 {
			n = want
		}
		if err == nil && got < n {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	return b.passVerified(w, body, h, held)
}

func (b *Blob) passVerified(w Sink, body io.Reader, h hash.Hash, held []byte) error {
	buf := make([]byte, chunk)
	for {
		n, err := body.Read(buf)
		h.Write(buf[:n])
		held = append(held, buf[:n]...)
		if out := len(held) - chunk; out > 0 {
			if _, err := w.Write(held[:out]); err != nil {
				return err
			}
			held = held[:copy(held, held[out:])]
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if !oci.SumIs(h, b.d) {
		return errs.New(errs.UpstreamFailed, "%s sent bytes for %s that do not have this digest", b.r.Upstream, b.d)
	}
	_, err := w.Write(held)
	return err
}
