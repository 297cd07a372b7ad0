package pullthrough

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/weir-registry/weir/internal/errs"
)

const (
	// far is how much bytes must be ahead of what has arrived to be asked for by a
	// request of their own, and how many must have come that way for the transfer to
	// leave them out, at the cost of a connection.
	far = 4 << 20
	// pieceSize is the most that one request ahead asks for, in bytes. Clients that
	// fetch in parallel ask for all that follows and leave in the middle of it
	// (containerd), or for scattered small ranges (lazy pullers).
	pieceSize = 8 << 20
	// maxPieces bounds how many pieces an ingest may have.
	maxPieces = 1024
)

// errOthers ends an attempt whose next bytes came, or come, as a piece.
var errOthers = errors.New("the next bytes come by a request of their own")

// piece is the bytes [start, end) of a blob, which come into the spool before their
// turn: some client waits for them far ahead of what has arrived. Its ingest's mu
// guards it. Every byte of a spool has one writer, the transfer or a piece.
type piece struct {
	start, end int64
	pos        int64 // up to where the bytes are in the spool
	started    bool  // the upstream answered. Before that the transfer may take over
	dropped    bool  // it has: nothing is to be written

	size   int64 // of the blob
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// plan returns a piece to fetch for a reader that waits at off of a range to end,
// nil where it is to wait for what is on its way. in.mu is held.
func (in *ingest) plan(off, end int64) *piece {
	if end < 0 {
		end = in.size
	}
	if in.noPieces || !in.started || in.size < 0 || off >= end || off < in.written+far || len(in.pieces) >= maxPieces {
		return nil
	}
	i := in.pieceFrom(off)
	if i < len(in.pieces) {
		if in.pieces[i].start <= off {
			return nil
		}
		end = min(end, in.pieces[i].start)
	}
	end = min(end, off+pieceSize, in.spool.Room())
	veil, ok := in.veilBeside(off, end)
	if !ok {
		end = min(end, veil)
	}
	if off >= end || in.c.rangeless.is(in.r.Upstream) || !in.slots.spare() {
		return nil
	}
	in.veil = veil
	ctx, cancel := context.WithCancelCause(in.ahead)
	p := &piece{start: off, end: end, pos: off, size: in.size, ctx: ctx, cancel: cancel}
	in.pieces = slices.Insert(in.pieces, i, p)
	in.fetching.Add(1)
	return p
}

// pieceFrom returns the index of the first piece that ends behind off. in.mu is held.
func (in *ingest) pieceFrom(off int64) int {
	i := slices.IndexFunc(in.pieces, func(p *piece) bool { return p.end > off })
	if i < 0 {
		return len(in.pieces)
	}
	return i
}

// pieceAt returns the piece that has off, nil if none does. in.mu is held.
func (in *ingest) pieceAt(off int64) *piece {
	if i := in.pieceFrom(off); i < len(in.pieces) && in.pieces[i].start <= off {
		return in.pieces[i]
	}
	return nil
}

// The veil is one chunk of the blob that nobody is given before the digest holds, so
// that no answers together are a whole blob with wrong bytes: the blob's last, until
// a client asks for that one far ahead of its turn.

// veilAt returns where the veil begins. in.mu is held, and size is known.
func (in *ingest) veilAt() int64 {
	if in.veil > 0 {
		return in.veil
	}
	return in.size - chunk
}

// veilBeside returns where the veil may be while [start, end) is given out: where it
// is, or the last place of which nobody has been given bytes yet. If there is none,
// ok is false and the veil stays. in.mu is held.
func (in *ingest) veilBeside(start, end int64) (at int64, ok bool) {
	at = in.veilAt()
	if end <= at || start >= at+chunk {
		return at, true
	}
	top := in.size
	given := func(from, to int64) bool {
		if top-to >= chunk {
			return true
		}
		top = min(top, from)
		return false
	}
	asked := false
	for _, p := range slices.Backward(in.pieces) {
		if !asked && p.end <= start {
			if asked = true; given(start, end) {
				return top - chunk, true
			}
		}
		if given(p.start, p.end) {
			return top - chunk, true
		}
	}
	if !asked && given(start, end) || top-in.written >= chunk {
		return top - chunk, true
	}
	return at, false
}

// fetch brings a piece.
func (in *ingest) fetch(p *piece) {
	defer in.fetching.Done()
	defer in.slots.release()
	defer p.cancel(nil)
	err := in.fill(p)
	in.update(func() {
		i := slices.Index(in.pieces, p)
		if i < 0 {
			return // the transfer has all of it, or took over
		}
		p.end = p.pos // the rest is somebody else's
		if err != nil {
			in.c.Logger.Info("range ahead not fetched", "digest", in.d, "upstream", in.r.Upstream, "from", p.start, "to", p.end, "error", err)
			in.failed++
			in.noPieces = in.noPieces || in.failed >= maxTries || p.pos == p.start
		}
		if p.pos == p.start {
			in.pieces = slices.Delete(in.pieces, i, i+1)
		}
	})
}

func (in *ingest) fill(p *piece) error {
	watch := time.AfterFunc(in.c.Stall, func() { p.cancel(errStalled) })
	defer watch.Stop()
	body, start, total, err := in.c.Upstream(in.r).Blob(p.ctx, in.upRepo, in.d, p.start, p.end-p.start)
	if err != nil {
		return err
	}
	defer body.Close()
	if start != p.start {
		in.c.rangeless.put(in.r.Upstream)
		return errs.New(errs.UpstreamFailed, "%s answered a range of %s from byte %d with one from byte %d", in.r.Upstream, in.d, p.start, start)
	}
	if total >= 0 && total != p.size {
		return errs.New(errs.UpstreamFailed, "%s says that %s has %d bytes, and said %d before", in.r.Upstream, in.d, total, p.size)
	}
	if err := in.fit(); err != nil {
		return err
	}
	dropped := false
	in.update(func() { p.started, dropped = true, p.dropped })
	if dropped {
		return nil
	}
	buf := make([]byte, readSize)
	for pos := p.start; pos < p.end; {
		n, err := body.Read(buf[:min(readSize, p.end-pos)])
		if n > 0 {
			watch.Reset(in.c.Stall)
			var werr error
			n, werr = in.spool.WriteAt(buf[:n], pos)
			pos += int64(n)
			in.update(func() {
				p.pos = pos
				in.meter.add(int64(n), time.Now())
			})
			if werr != nil {
				return werr
			}
		}
		switch {
		case pos == p.end:
		case err == io.EOF:
			return errShort
		case err != nil:
			return err
		}
	}
	// To the end of its bytes, so that the connection can be used again.
	_, _ = io.CopyN(io.Discard, body, 1)
	return nil
}

// stopPieces ends what is fetched ahead; nothing is written by it afterwards.
func (in *ingest) stopPieces() {
	in.mu.Lock()
	in.noPieces = true
	in.mu.Unlock()
	in.stop()
	in.fetching.Wait()
}

// take appends the pieces that begin where the spool ends, and waits for the bytes
// of those that have begun to come. It is run's own, as is what calls it.
func (in *ingest) take(ctx context.Context) error {
	for {
		off := in.spool.Size()
		in.mu.Lock()
		p := in.pieceAt(off)
		if p != nil && !p.started {
			p.dropped = true
			p.cancel(nil)
			i := slices.Index(in.pieces, p)
			in.pieces = slices.Delete(in.pieces, i, i+1)
			p = nil
		}
		var n int64
		var changed <-chan struct{}
		if p != nil {
			if n = min(p.pos-off, readSize); n == 0 {
				changed = in.change()
			}
		}
		in.mu.Unlock()
		if p == nil {
			return nil
		}
		if n > 0 {
			err := in.spool.Take(n)
			in.arrived(0)
			if err != nil {
				return fmt.Errorf("%w: %w", errFrozen, err)
			}
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// arrived tells of the spool's bytes, n of which the upstream has just sent, and forgets
// the pieces that are among them.
func (in *ingest) arrived(n int) {
	now := time.Now()
	in.update(func() {
		if n > 0 {
			in.meter.add(int64(n), now)
		}
		in.written = in.spool.Size()
		in.pieces = slices.Delete(in.pieces, 0, in.pieceFrom(in.written))
	})
}

// gap returns up to which byte the transfer is to ask for those from off: to the
// blob's end, or to where so many came, or come, ahead that they are worth leaving
// out.
func (in *ingest) gap(off int64) int64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	for i := in.pieceFrom(off); i < len(in.pieces); i++ {
		if p := in.pieces[i]; p.start >= off && in.stretch(i)-p.start >= far {
			return p.start
		}
	}
	return in.size
}

// stretch returns where the pieces end that have begun to come and of which the i-th is
// the first. in.mu is held.
func (in *ingest) stretch(i int) int64 {
	end := in.pieces[i].start
	for _, p := range in.pieces[i:] {
		if p.start != end || !p.started {
			break
		}
		end = p.end
	}
	return end
}

// next returns how many bytes from off are the transfer's to bring, and how many
// behind those come as pieces.
func (in *ingest) next(off int64) (own, others int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	i := in.pieceFrom(off)
	if i == len(in.pieces) {
		return readSize, 0
	}
	p := in.pieces[i]
	return max(p.start-off, 0), in.stretch(i) - max(p.start, off)
}
