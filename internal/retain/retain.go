// Package retain removes what nothing needs any more, by a sweep every so often:
// uploads that nobody goes on with; repositories' rights to blobs that no manifest of
// theirs names; and the bytes of blobs that no repository has.
//
// It guarantees:
//   - What a manifest names and its repository may serve stays, and so does what a
//     push that is on its way counts on, for Options.Idle.
//   - A client that reads a blob reads it to its end. A client that got a manifest
//     less than Options.Grace ago gets its blobs, though the manifest was deleted.
//   - No row says "held" of a blob whose bytes are gone: a row is going first, then
//     the bytes go, durably, then the row. A commit or a mount that meets a row that is
//     going waits for that or stores the bytes again (see meta.DB.Claim).
//   - What a crash leaves of all this, the next sweep removes; the first one begins
//     with the process.
//
// It does not make room: what is linked stays, however full the disk is. One process
// at a time may sweep a database.
package retain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/blob"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/meta"
)

const (
	// page is how many rows are looked at in one read.
	page = 1000
	// batch is how many blobs go at a time: so many a claim may have to wait for.
	batch = 32
)

// Options of a Sweeper. DB and Store are required.
type Options struct {
	DB      *meta.DB
	Store   blob.Store
	Uploads *blob.Uploads // nil: there are none

	Every  time.Duration // 0: 1 h
	Grace  time.Duration // how long what nothing links stays after it was stored, or pulled; 0: 1 h
	Idle   time.Duration // how long an upload, or a blob that came and is not named yet, waits for its push; 0: 24 h
	Logger *slog.Logger  // nil: slog.Default()
}

// Swept is what sweeps removed.
type Swept struct {
	Uploads int
	Links   int   // of repositories to blobs
	Blobs   int   // with the bytes
	Bytes   int64 // of the blobs
}

func (s *Swept) add(o Swept) {
	s.Uploads += o.Uploads
	s.Links += o.Links
	s.Blobs += o.Blobs
	s.Bytes += o.Bytes
}

// Totals is what has happened since the process started.
type Totals struct {
	Swept
	Last time.Time // when the last sweep that did all it should was done; zero: none was
}

// Sweeper sweeps until Close. It is safe for use by many goroutines.
type Sweeper struct {
	Options
	turn   chan struct{} // holds one: the right to sweep
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	totals Totals
}

// Run returns a Sweeper that sweeps now, and again every Options.Every.
func Run(o Options) *Sweeper {
	if o.Every == 0 {
		o.Every = time.Hour
	}
	if o.Grace == 0 {
		o.Grace = time.Hour
	}
	if o.Idle == 0 {
		o.Idle = 24 * time.Hour
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s := &Sweeper{Options: o, turn: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.wg.Go(func() { s.run(ctx) })
	return s
}

// Close ends a sweep that is running, soon, and waits for that. Sweep is not to be
// called after it.
func (s *Sweeper) Close() {
	s.cancel()
	s.wg.Wait()
}

func (s *Sweeper) run(ctx context.Context) {
	ticker := time.NewTicker(s.Every)
	defer ticker.Stop()
	for {
		_, err := s.Sweep(ctx, time.Now())
		if err != nil && ctx.Err() == nil {
			s.Logger.Error("sweep failed; the next one goes on with it", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// Totals returns what was removed since the process started.
func (s *Sweeper) Totals() Totals {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.totals
}

// Sweep removes what nothing needs at now, and says what. One sweep runs at a time. An
// error does not keep it from the rest.
func (s *Sweeper) Sweep(ctx context.Context, now time.Time) (swept Swept, err error) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return Swept{}, context.Cause(ctx)
	}
	defer func() { <-s.turn }()
	begun := time.Now()
	uploads, uerr := s.uploads(ctx, now)
	links, lerr := s.links(ctx, now)
	blobs, berr := s.blobs(ctx, now)
	swept.add(uploads)
	swept.add(links)
	swept.add(blobs)
	err = errors.Join(uerr, lerr, berr)
	s.mu.Lock()
	s.totals.add(swept)
	if err == nil {
		s.totals.Last = time.Now()
	}
	s.mu.Unlock()
	s.Logger.Info("swept", "uploads", swept.Uploads, "links", swept.Links, "blobs", swept.Blobs, "bytes", swept.Bytes,
		"took", time.Since(begun).Round(time.Millisecond))
	return swept, err
}

// uploads removes those that nobody goes on with. One that somebody does is skipped.
func (s *Sweeper) uploads(ctx context.Context, now time.Time) (swept Swept, err error) {
	before := now.Add(-s.Idle)
	for more := s.Uploads != nil; more; {
		idle, err := s.DB.IdleUploads(ctx, before, page)
		if err != nil {
			return swept, err
		}
		more = false
		for _, u := range idle {
			err := s.Uploads.Remove(u.ID, func() error { return s.DB.DropUpload(ctx, u.ID, before) })
			switch errs.CodeOf(err) {
			case errs.UploadInvalid, errs.UploadUnknown:
				continue
			}
			if err != nil {
				return swept, err
			}
			swept.Uploads++
			more = len(idle) == page
		}
	}
	return swept, nil
}

// links drops the links that no manifest names.
func (s *Sweeper) links(ctx context.Context, now time.Time) (swept Swept, err error) {
	for after := (meta.Link{}); ; {
		n, last, err := s.DB.SweepLinks(ctx, after, page, now.Add(-s.Idle), now.Add(-s.Grace))
		swept.Links += n
		if err != nil || last == (meta.Link{}) {
			return swept, err
		}
		after = last
	}
}

// blobs removes the blobs that nothing links.
func (s *Sweeper) blobs(ctx context.Context, now time.Time) (swept Swept, err error) {
	before := now.Add(-s.Grace)
	for after := digest.Digest(""); ; {
		found, last, uerr := s.DB.Unlinked(ctx, after, page, before, before)
		if uerr != nil {
			return swept, errors.Join(err, uerr)
		}
		for some := range slices.Chunk(found, batch) {
			if ctx.Err() != nil {
				return swept, errors.Join(err, context.Cause(ctx))
			}
			removed, rerr := s.remove(ctx, some, before)
			swept.add(removed)
			err = errors.Join(err, rerr)
		}
		if after = last; after == "" {
			return swept, err
		}
	}
}

// remove removes those of a few blobs that are still to go. Once they are going it
// does not stop before they are gone, because others wait for that.
func (s *Sweeper) remove(ctx context.Context, some []digest.Digest, before time.Time) (Swept, error) {
	ctx = context.WithoutCancel(ctx)
	going, err := s.DB.Going(ctx, some, before, before)
	if err != nil {
		return Swept{}, err
	}
	var swept Swept
	var gone []digest.Digest
	for _, d := range going {
		size, serr := s.Store.Stat(ctx, d)
		switch derr := s.Store.Delete(ctx, d); {
		case derr != nil:
			err = errors.Join(err, fmt.Errorf("sweep: %w", derr)) // it stays going: the next sweep tries again
			continue
		case serr == nil:
			swept.Blobs++
			swept.Bytes += size
		case !errors.Is(serr, fs.ErrNotExist):
			swept.Blobs++
		}
		gone = append(gone, d)
	}
	return swept, errors.Join(err, s.DB.Gone(ctx, gone))
}
