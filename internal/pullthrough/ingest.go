package pullthrough

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/blob"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/rule"
)

const (
	// chunk is what is withheld of a full answer until its digest holds, in bytes.
	chunk = 64 << 10
	// readSize is how much is read from an upstream at once, in bytes.
	readSize = 256 << 10
	// maxTries is how often in a row a transfer is opened again without a byte.
	maxTries = 5
	// maxPause is the longest that a 429 holds up a transfer that has begun.
	maxPause = 30 * time.Second
	// mismatchFor is how long an upstream's wrong bytes are remembered.
	mismatchFor = time.Minute
)

var (
	errStalled = errors.New("no byte within the stall time")
	errShort   = errors.New("the body ended early")
	errNoSpool = errors.New("no room for a spool") // readers go straight to the upstream
	errFrozen  = errors.New("the spool takes no more")
	errTooLong = errors.New("the body goes on after the blob's end")
)

// ingest is one blob on its way in from one upstream host. One goroutine, run,
// writes; readers follow the spool at their own offsets.
type ingest struct {
	c        *Cache
	r        *rule.Rule
	repo     string // the cached repository that it was first asked for
	upRepo   string // and what the upstream calls it
	d        digest.Digest
	key      blob.Key
	since    time.Time
	public   bool // fetched without a credential
	declared bool // size is a manifest's word
	release  func()

	spool     *blob.Spool  // set before written, started and whole tell of it
	slots     *slots       // of its host, like spool
	fit       func() error // makes the spool fit for pieces, once; like spool
	ahead     context.Context
	stop      context.CancelFunc // ends ahead, which all pieces have
	fetching  sync.WaitGroup
	restarted bool // run's own

	mu      sync.Mutex
	changed chan struct{} // closed at the next change; nil while nobody waits
	started bool          // the upstream has answered for upRepo
	size    int64         // -1 while it is not known
	written int64
	epoch   int // counts starts from byte 0 after bytes had been visible
	done    bool
	whole   bool      // the digest holds
	err     error     // why the ingest ended, if not whole
	frozen  hash.Hash // state at written, if the spool takes no more
	repos   map[string]struct{}
	clients map[string]int // that wait for it or follow it, by repository
	meter   meter          // of what the upstream sends

	pieces   []*piece // that come ahead of written: in order, apart from each other
	noPieces bool     // no more are begun
	failed   int      // pieces
	veil     int64    // 0: where it is at first
}

// join returns the running ingest of d from the rule's upstream, or starts one.
// release, if not nil, gives back a slot that the caller holds for it.
func (c *Cache) join(r *rule.Rule, repo string, d digest.Digest, size int64, release func()) (in *ingest, lead bool) {
	key := blob.Key{Host: r.Upstream, Digest: d}
	c.mu.Lock()
	defer c.mu.Unlock()
	if in := c.ingests[key]; in != nil {
		return in, false
	}
	in = &ingest{
		c: c, r: r, repo: repo, upRepo: r.UpstreamRepository(repo), d: d, key: key, public: r.Account() == "",
		since: time.Now(), declared: size >= 0, size: size, release: release, repos: map[string]struct{}{repo: {}},
	}
	c.ingests[key] = in
	c.spawn(in.run)
	return in, true
}

// sameSource says whether the upstream's answer to this ingest is also its answer
// to the rule and repository.
func (in *ingest) sameSource(r *rule.Rule, upRepo string) bool {
	return in.upRepo == upRepo && in.r.Account() == r.Account() && in.r.Upstream == r.Upstream
}

// grant lets repo link the blob once it is stored.
func (in *ingest) grant(repo string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.repos[repo] = struct{}{}
}

func (in *ingest) update(f func()) {
	in.mu.Lock()
	f()
	if in.changed != nil {
		close(in.changed)
		in.changed = nil
	}
	in.mu.Unlock()
}

// change returns a channel that is closed at the next change. in.mu is held.
func (in *ingest) change() <-chan struct{} {
	if in.changed == nil {
		in.changed = make(chan struct{})
	}
	return in.changed
}

func (in *ingest) run(ctx context.Context) {
	in.slots = in.c.slotsOf(in.r.Upstream)
	if in.release == nil {
		if in.slots.acquire(ctx, false) != nil {
			in.end(errs.New(errs.Unavailable, "weir is shutting down"))
			return
		}
		in.release = in.slots.release
	}
	defer in.release()
	in.update(func() { in.meter.start(time.Now()) })
	if in.adopt(ctx) {
		return
	}
	sp, err := in.c.Spools.Open(in.key, in.size)
	if err != nil {
		in.c.Logger.Warn("blob passes through without being kept", "digest", in.d, "upstream", in.r.Upstream, "error", err)
		in.end(errNoSpool)
		return
	}
	in.spool, in.fit = sp, sync.OnceValue(sp.Ahead)
	in.ahead, in.stop = context.WithCancel(ctx)
	in.update(func() { in.written = sp.Size() })
	err = in.transfer(ctx)
	if err == nil {
		in.update(func() { in.whole, in.size = true, sp.Size() })
		in.stopPieces()
		in.store(ctx)
		return
	}
	in.stopPieces()
	in.give(ctx, err)
}

// adopt ends an ingest whose bytes are in the store by now: another ended between
// the request's look at the row and this one's start, or the process died between
// the store's commit and the row. It says whether it did.
func (in *ingest) adopt(ctx context.Context) bool {
	if _, err := in.c.Store.Stat(ctx, in.d); err != nil {
		return false
	}
	if err := in.c.Index.Claim(ctx, in.d, time.Now()); err != nil {
		in.end(err)
		return true
	}
	// Again: the sweep may have had it until now.
	size, err := in.c.Store.Stat(ctx, in.d)
	if err != nil || in.size >= 0 && size != in.size {
		return false // not there, or not what is asked for
	}
	row, err := in.c.Index.Blob(ctx, in.repo, in.d)
	if err == nil && row.Held && row.Linked {
		in.end(nil)
		return true
	}
	if err == nil && !row.Public {
		err = in.proof(ctx)
	}
	if err == nil {
		in.link(func() {
			err = in.c.Index.PutBlob(context.WithoutCancel(ctx), in.d, size, in.public, in.granted(nil), time.Now())
		})
	}
	in.end(err)
	return true
}

// proof asks the upstream for one byte: its answer is the repository's right.
func (in *ingest) proof(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, in.c.Check)
	defer cancel()
	body, _, _, err := in.c.Upstream(in.r).Blob(ctx, in.upRepo, in.d, 0, 1)
	if err == nil {
		body.Close()
	} else if errs.CodeOf(err) == errs.RangeInvalid {
		err = nil // there, and empty
	}
	err = timedOut(err, in.r)
	in.c.note(in.r, in.asked(), false, false, err)
	return err
}

// give ends an ingest that came to nothing, keeping what may still be of use.
func (in *ingest) give(ctx context.Context, err error) {
	sp := in.spool
	drop := sp.Size() == 0
	switch {
	case errors.Is(err, errFrozen):
		drop = true
		if h, herr := sp.Hash(); herr != nil {
			err = herr
		} else {
			in.update(func() { in.frozen = h })
		}
		in.c.Logger.Error("spool takes no more; its readers go on by themselves", "digest", in.d, "offset", sp.Size(), "error", err)
	case errs.CodeOf(err) == errs.DigestMismatch:
		e := errs.Wrap(errs.UpstreamFailed, err, "%s sent bytes for %s that do not have this digest", in.r.Upstream, in.d)
		in.c.answers.put(mismatchKey(in.key), answer{err: e}, mismatchFor)
		err, drop = e, true
	case errors.Is(err, errTooLong):
		in.c.answers.put(in.asked(), answer{err: errs.As(err)}, mismatchFor)
		drop = true
	case ctx.Err() != nil:
		err = errs.New(errs.Unavailable, "weir is shutting down")
	case errs.CodeOf(err) == errs.BlobUnknown || errs.CodeOf(err) == errs.UpstreamDenied:
		drop = true
	}
	var cerr error
	if drop {
		cerr = sp.Abort()
	} else {
		cerr = sp.Close()
	}
	if cerr != nil {
		in.c.Logger.Error("spool not put away", "digest", in.d, "error", cerr)
	}
	in.end(err)
}

// asked is the reference that the upstream's answers to this ingest are about.
func (in *ingest) asked() refKey { return refKey{in.r.Prefix, in.repo, blobRef(in.d)} }

func mismatchKey(k blob.Key) refKey { return refKey{"", k.Host, string(k.Digest)} }

// end makes the ingest's result known; nobody joins it after.
func (in *ingest) end(err error) {
	in.c.mu.Lock()
	delete(in.c.ingests, in.key)
	in.c.mu.Unlock()
	in.update(func() { in.done, in.err = true, err })
}

// store puts the whole blob into the store, then the rows. Readers have their
// bytes by now, whatever comes of it.
func (in *ingest) store(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	err := in.c.Index.Claim(ctx, in.d, time.Now())
	if err == nil {
		err = in.c.Store.Commit(ctx, in.spool)
	}
	if err != nil {
		if aerr := in.spool.Abort(); aerr != nil {
			err = errors.Join(err, aerr)
		}
		in.end(nil)
		in.c.Logger.Error("blob not stored", "digest", in.d, "upstream", in.r.Upstream, "error", err)
		return
	}
	in.link(func() { in.note(ctx) })
}

// note writes the rows of a blob that is in the store.
func (in *ingest) note(ctx context.Context) {
	linked := in.granted(nil)
	err := in.c.Index.PutBlob(ctx, in.d, in.size, in.public, linked, time.Now())
	in.end(nil)
	if err != nil {
		in.c.Logger.Error("blob not stored", "digest", in.d, "upstream", in.r.Upstream, "error", err)
		return
	}
	for _, repo := range in.granted(linked) {
		if _, err := in.c.Index.Link(ctx, repo, in.d, time.Now()); err != nil {
			in.c.Logger.Error("blob not linked", "digest", in.d, "repository", repo, "error", err)
		}
	}
}

// granted returns the repositories that may have the blob, but for those in not.
func (in *ingest) granted(not []string) []string {
	in.mu.Lock()
	defer in.mu.Unlock()
	var repos []string
next:
	for repo := range in.repos {
		for _, n := range not {
			if n == repo {
				continue next
			}
		}
		repos = append(repos, repo)
	}
	return repos
}

// transfer fills the spool until the digest holds. It opens the upstream again,
// by Range at the offset reached, as long as that brings bytes.
func (in *ingest) transfer(ctx context.Context) error {
	for tries := 0; ; {
		before := in.spool.Size()
		ended, err := in.attempt(ctx)
		if errors.Is(err, errOthers) {
			continue
		}
		if ended {
			if in.spool.Verified() {
				return nil
			}
			err = errs.New(errs.DigestMismatch, "%d bytes from %s do not have digest %s", in.spool.Size(), in.r.Upstream, in.d)
			if in.restarted {
				return err
			}
			in.restarted = true
			in.c.Logger.Warn("wrong bytes; starting the blob over", "digest", in.d, "upstream", in.r.Upstream, "error", err)
			if err := in.startOver(); err != nil {
				return err
			}
			continue
		}
		if fatal(err) || ctx.Err() != nil || !in.hasStarted() {
			return err
		}
		if in.spool.Size() > before {
			tries = 0
		}
		if tries++; tries >= maxTries {
			return err
		}
		if e := errs.As(err); e != nil && before < in.spool.Size() { // else it was noted
			in.c.accounts.told(quotaKey(in.r), in.asked(), e)
		}
		in.c.Logger.Info("resuming blob", "digest", in.d, "upstream", in.r.Upstream, "offset", in.spool.Size(), "try", tries, "error", err)
		pause := time.NewTimer(between(tries, err))
		select {
		case <-ctx.Done():
			pause.Stop()
			return context.Cause(ctx)
		case <-pause.C:
		}
	}
}

// between is how long to wait before the next try: longer each time, and as long as
// a 429 says, within reason.
func between(tries int, err error) time.Duration {
	pause := time.Duration(tries*tries-1) * time.Second / 2
	if e := errs.As(err); e != nil {
		pause = max(pause, min(e.RetryAfter, maxPause))
	}
	return pause
}

// fatal says whether opening the upstream again cannot help.
func fatal(err error) bool {
	return errs.CodeOf(err) == errs.Internal || errors.Is(err, errTooLong)
}

func (in *ingest) hasStarted() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.started
}

// startOver empties the spool and forgets what the upstream said of the size. Who
// has had bytes of it is cut off.
func (in *ingest) startOver() error {
	in.stopPieces()
	if err := in.spool.Reset(); err != nil {
		return fmt.Errorf("start a spool over: %w", err)
	}
	in.update(func() {
		in.epoch++
		in.written, in.pieces, in.veil = 0, nil, 0
		if !in.declared {
			in.size = -1
		}
	})
	return nil
}

// attempt opens the upstream once and reads what it gives. ended is true when all
// bytes are in the spool, right or wrong.
func (in *ingest) attempt(ctx context.Context) (ended bool, err error) {
	if err := in.take(ctx); err != nil {
		return false, err
	}
	if in.spool.Size() == in.size && in.hasStarted() {
		return true, nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(in.c.Stall, func() { cancel(errStalled) })
	defer watch.Stop()

	off, n := in.spool.Size(), int64(-1)
	until := in.gap(off)
	if until == off && off > 0 && off < in.size {
		return false, errOthers
	}
	proof := in.size >= 0 && off == in.size && off > 0
	switch {
	case proof: // all bytes are here, from before a restart: only the upstream's word is missing
		off, n = 0, 1
	case in.size >= 0 && (off > 0 || until < in.size):
		n = until - off // some registries refuse a range without an end
	}
	body, start, total, err := in.c.Upstream(in.r).Blob(ctx, in.upRepo, in.d, off, n)
	if err != nil {
		return false, in.refused(ctx, off, err)
	}
	defer body.Close()
	in.c.paths.ok(in.r.Upstream)
	in.c.accounts.ok(quotaKey(in.r))
	if err := in.begin(off, start, total); err != nil {
		return false, err
	}
	if proof {
		return true, nil
	}
	return in.copy(ctx, watch, body, off-start, until)
}

// refused handles an upstream that did not open the blob.
func (in *ingest) refused(ctx context.Context, off int64, err error) error {
	if cause := context.Cause(ctx); cause == errStalled {
		err = errs.Wrap(errs.UpstreamTimeout, cause, "%s sent nothing for %s", in.r.Upstream, in.d)
	}
	if errs.CodeOf(err) == errs.RangeInvalid && off > 0 {
		if serr := in.startOver(); serr != nil {
			return serr
		}
		return err
	}
	in.c.note(in.r, in.asked(), false, false, err)
	return err
}

// begin takes in what the upstream says of the body that it opened. If that is not
// what the spool holds a part of, it is an error, after which another attempt may
// do better.
func (in *ingest) begin(off, start, total int64) error {
	if start != 0 && start != off {
		return errs.New(errs.UpstreamFailed, "%s answered a range of %s from byte %d with one from byte %d", in.r.Upstream, in.d, off, start)
	}
	in.mu.Lock()
	size := in.size
	in.mu.Unlock()
	other := total >= 0 && size >= 0 && total != size
	if other && in.declared {
		return errs.New(errs.UpstreamFailed, "%s says that %s has %d bytes, but its manifest says %d", in.r.Upstream, in.d, total, size)
	}
	if other || total >= 0 && off > total {
		in.update(func() { in.started = true })
		if err := in.startOver(); err != nil {
			return err
		}
		return errs.New(errs.UpstreamFailed, "%s says that %s has %d bytes, and said something else before", in.r.Upstream, in.d, total)
	}
	in.update(func() {
		in.started = true
		if total >= 0 {
			in.size = total
		}
	})
	return nil
}

// copy writes the body to the spool, after skipping what the spool has; until is
// where the body ends, if that is before the blob does. Bytes that came ahead are
// taken from there: a few are read past in the body, for many it is left.
func (in *ingest) copy(ctx context.Context, watch *time.Timer, body io.Reader, skip, until int64) (ended bool, err error) {
	buf := make([]byte, readSize)
	for {
		own, others := in.next(in.spool.Size())
		if own == 0 {
			if others >= far {
				return false, errOthers
			}
			watch.Stop()
			before := in.spool.Size()
			if err := in.take(ctx); err != nil {
				return false, err
			}
			skip += in.spool.Size() - before
			if in.spool.Size() == in.size {
				return true, nil
			}
			watch.Reset(in.c.Stall)
			continue
		}
		if skip > 0 {
			own = skip
		}
		n, rerr := body.Read(buf[:min(own, readSize)])
		if n > 0 {
			watch.Reset(in.c.Stall)
		}
		fresh := buf[:n]
		if skip > 0 {
			skip -= int64(n)
			fresh = nil
		}
		if len(fresh) > 0 {
			if in.size >= 0 && in.spool.Size()+int64(len(fresh)) > in.size {
				return false, errs.Wrap(errs.UpstreamFailed, errTooLong, "%s sent more than the %d bytes of %s", in.r.Upstream, in.size, in.d)
			}
			_, werr := in.spool.Write(fresh)
			in.arrived(len(fresh))
			if werr != nil {
				return false, fmt.Errorf("%w: %w", errFrozen, werr)
			}
		}
		if in.size >= 0 && in.spool.Size() == in.size {
			return true, nil
		}
		switch {
		case rerr == io.EOF && in.size < 0:
			return true, nil
		case rerr == io.EOF && in.spool.Size() == until:
			return false, errOthers
		case rerr == io.EOF:
			return false, errs.Wrap(errs.UpstreamUnreachable, errShort, "%s sent %d of the %d bytes of %s", in.r.Upstream, in.spool.Size(), in.size, in.d)
		case rerr != nil && context.Cause(ctx) == errStalled:
			return false, errs.Wrap(errs.UpstreamTimeout, errStalled, "%s stopped at byte %d of %s", in.r.Upstream, in.spool.Size(), in.d)
		case rerr != nil:
			return false, errs.Wrap(errs.UpstreamUnreachable, rerr, "%s broke off at byte %d of %s", in.r.Upstream, in.spool.Size(), in.d)
		}
	}
}
