// Package replicate copies images that were pushed here to other registries: what
// package meta has queued, each to its destination, until it is there or has been tried
// for too long.
//
// It guarantees:
//   - What is queued is copied, or has failed with a reason, whatever ends this process
//     or the other end in between: a copy is over only when the destination has said
//     that it has the manifest, and the manifest is sent last.
//   - Only what the repository may serve is sent: naming a digest in a manifest sends
//     nobody's bytes anywhere.
//   - Under one name at a destination one copy is made at a time, and what the tag is
//     here is looked at before: the newest is copied last. Where several processes share
//     the database, that is not so of a tag that is deleted and pushed again while its
//     old image's manifest is being sent.
//   - Destinations do not wait for each other. One that is away is asked by one copy at a
//     time, at growing pauses; one that says when it wants to be asked again is not asked
//     before.
//   - A clock that was wrong, and is put right, neither keeps a copy from being made nor has
//     one given up that was not tried for long.
//   - Memory does not depend on the size of what is copied: blobs are read from the
//     store as they are sent.
//
// Not guaranteed: that a copy is made once. After a crash it is looked for again, and
// what is there is not sent again.
package replicate

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/blob"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/rule"
	"github.com/weir-registry/weir/internal/upstream"
)

const (
	// lease is how long a copy stays claimed after the process that makes it has died,
	// where another may have the database, too.
	lease = time.Minute
	// look is how often there is a look at the queue where nothing said that there is
	// something.
	look = time.Minute
	// firstPause comes after the first failure, and each next is twice as long.
	firstPause = time.Second
	// awayPause is the longest pause of a destination that is away, copyPause that of a
	// copy that is refused.
	awayPause, copyPause = time.Minute, 15 * time.Minute
	// tooFar is more than any pause: who is to be asked after more than a day is not.
	tooFar = 25 * time.Hour
	// page is how many copies are given up at once.
	page = 100
)

// Destination is a registry that images are copied to.
type Destination struct {
	rule.Destination
	Host   string // for metrics and the log
	Prefix string // goes before the repositories' names there; "": nothing
	Push   *upstream.Pusher
}

// Options of a Replicator. DB and Store are required.
type Options struct {
	DB           *meta.DB
	Store        blob.Store
	Destinations []Destination

	Copies int           // that are made at a time to each destination; 0: 4
	GiveUp time.Duration // how long after its push a copy is tried, at least; 0: 7 days
	Logger *slog.Logger  // nil: slog.Default()

	// Ended is told of each copy that is there, and of each that is given up. It returns
	// at once; nil: nobody is told.
	Ended func(Outcome)
}

// Outcome is how a copy ended.
type Outcome struct {
	To         rule.Destination
	Repository string // here
	There      string // its name at the destination
	Tag        string // "": the copy has none
	Digest     digest.Digest
	Failed     bool
}

// Replicator makes copies until Close. It is safe for use by many goroutines.
type Replicator struct {
	o      Options
	all    []*destination
	queues sparing[[]meta.ReplicationQueue] // which are counted row by row
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// Run returns a Replicator that copies what is queued. Where the database is this
// process's alone, no other may have a Replicator on it.
func Run(o Options) *Replicator {
	o.Copies = cmp.Or(o.Copies, 4)
	o.GiveUp = cmp.Or(o.GiveUp, 7*24*time.Hour)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Ended == nil {
		o.Ended = func(Outcome) {}
	}
	r := &Replicator{o: o}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	if err := o.DB.FreeCopies(ctx, time.Now()); err != nil {
		o.Logger.Error("copies that were on their way at a crash wait for a minute", "error", err)
	}
	for _, d := range o.Destinations {
		x := &destination{Destination: d, wake: make(chan struct{}, o.Copies), uploads: map[string]chan struct{}{}}
		r.all = append(r.all, x)
		for range o.Copies {
			r.wg.Go(func() { r.work(ctx, x) })
		}
	}
	r.wg.Go(func() { r.keepHouse(ctx) })
	o.DB.OnQueued(r.wake)
	return r
}

// Close ends the copies that are being made, which are made anew by the next Replicator,
// and waits for that.
func (r *Replicator) Close() {
	r.o.DB.OnQueued(func() {})
	r.cancel()
	r.wg.Wait()
}

// wake has all destinations look at their queues.
func (r *Replicator) wake() {
	for _, d := range r.all {
		d.wakeUp()
	}
}

// destination is a Destination with what is known of it.
type destination struct {
	Destination
	wake                          chan struct{}
	done, postponed, failed, sent atomic.Uint64
	last                          atomic.Pointer[lastFailure] // nil: the last copy is there, or none was tried

	mu      sync.Mutex
	fails   int       // in a row, of the destination itself
	until   time.Time // it is left alone
	probing bool      // one copy asks it again

	uploads map[string]chan struct{} // by repository and tag or digest; closed at the end
}

// name is a repository's name there.
func (d *destination) name(repo string) string { return path.Join(d.Prefix, repo) }

func (d *destination) wakeUp() {
	for range cap(d.wake) {
		select {
		case d.wake <- struct{}{}:
		default:
			return
		}
	}
}

// enter returns how long the destination is to be left alone, 0 if a copy may be made
// to it now: then leave is to be called. early is what ends that time sooner.
func (d *destination) enter() (wait time.Duration, early <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if wait := time.Until(d.until); wait > 0 {
		return wait, nil
	}
	if d.fails > 0 && d.probing {
		return look, d.wake
	}
	d.probing = d.fails > 0
	return 0, nil
}

// leave takes in how a copy went: well, or with an error of the destination itself, or
// neither. It returns until when the destination is left alone, the zero time if it is
// not.
func (d *destination) leave(well bool, away error) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.probing = false
	switch {
	case well:
		if d.fails > 0 {
			d.fails = 0
			d.wakeUp()
		}
	case away != nil:
		d.fails++
		wait := pause(d.fails, awayPause)
		if e := errs.As(away); e != nil {
			wait = max(wait, e.RetryAfter)
		}
		if until := time.Now().Add(wait); until.After(d.until) {
			d.until = until
		}
		return d.until
	}
	return time.Time{}
}

// pause is how long to wait after n failures.
func pause(n int, most time.Duration) time.Duration {
	return min(firstPause<<min(n-1, 20), most)
}

// work makes one copy after the other.
func (r *Replicator) work(ctx context.Context, d *destination) {
	for ctx.Err() == nil {
		if wait, early := d.enter(); wait > 0 {
			sleep(ctx, wait, early)
			continue
		}
		c, wait, err := r.next(ctx, d)
		if err == nil && wait == 0 {
			r.copy(ctx, d, c)
			continue
		}
		d.leave(false, nil)
		if err != nil && ctx.Err() == nil {
			r.o.Logger.Error("replication queue cannot be read; trying again", "destination", d.Host, "error", err)
		}
		sleep(ctx, wait, d.wake)
	}
}

// next claims a copy, or returns how long to wait until there may be one.
func (r *Replicator) next(ctx context.Context, d *destination) (c meta.Copy, wait time.Duration, err error) {
	due, err := r.o.DB.NextCopy(ctx, d.Destination.Destination)
	if err != nil {
		return meta.Copy{}, 5 * time.Second, err
	}
	now := time.Now()
	switch {
	case due.IsZero():
		return meta.Copy{}, look, nil
	case due.After(now):
		return meta.Copy{}, min(due.Sub(now), look), nil
	}
	c, ok, err := r.o.DB.ClaimCopy(ctx, d.Destination.Destination, rand.Text(), now, now.Add(lease))
	switch {
	case err != nil:
		return meta.Copy{}, 5 * time.Second, err
	case !ok: // another was faster
		return meta.Copy{}, time.Millisecond, nil
	}
	return c, 0, nil
}

func sleep(ctx context.Context, wait time.Duration, wake <-chan struct{}) {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-wake:
	case <-ctx.Done():
	}
}

// The causes of the end of a copy that is not over.
var (
	errLost  = errors.New("another has the copy, or it is not wanted any more")
	errStale = errors.New("the tag is another image's")
)

// copy makes a copy, while its claim lasts, and says how it went.
func (r *Replicator) copy(ctx context.Context, d *destination, c meta.Copy) {
	start := time.Now()
	within, cancel := context.WithCancelCause(ctx)
	var beats sync.WaitGroup
	beats.Go(func() { r.beat(within, cancel, c) })
	k := &copying{r: r, d: d, c: c, seen: map[string]bool{}}
	err := k.run(within, ctx)
	if cause := context.Cause(within); cause == errLost {
		err = cause
	}
	cancel(nil)
	beats.Wait()
	if err == nil {
		r.o.Logger.Info("replicated", "repository", c.Repository, "name", c.Name, "digest", c.Digest, "destination", d.Host, "bytes", k.sent, "ms", time.Since(start).Milliseconds())
	}
	if err := r.settle(ctx, d, c, err); err != nil {
		r.o.Logger.Error("how a copy went cannot be stored; it is looked for again", "repository", c.Repository, "name", c.Name, "destination", d.Host, "error", err)
	}
}

// beat renews the claim until ctx ends.
func (r *Replicator) beat(ctx context.Context, cancel context.CancelCauseFunc, c meta.Copy) {
	t := time.NewTicker(lease / 3)
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			if err := r.o.DB.RenewCopy(ctx, c, now.Add(lease)); errs.CodeOf(err) == errs.Conflict {
				cancel(errLost)
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// settle stores how a copy went.
func (r *Replicator) settle(ctx context.Context, d *destination, c meta.Copy, err error) error {
	over := ctx.Err() != nil
	ctx = context.WithoutCancel(ctx)
	switch {
	case err == nil, errors.Is(err, errStale):
		d.leave(true, nil)
		stored := r.o.DB.EndCopy(ctx, c, err != nil, time.Now())
		if errs.CodeOf(stored) == errs.Conflict {
			return nil // who has the claim tells of the copy, or nobody wants it any more
		}
		d.last.Store(nil)
		if err == nil && stored == nil {
			d.done.Add(1)
			r.o.Ended(Outcome{To: c.To, Repository: c.Repository, There: d.name(c.Repository), Tag: c.Tag(), Digest: c.Digest})
		}
		return stored
	case errors.Is(err, errLost):
		d.leave(false, nil)
		return nil
	case over:
		d.leave(false, nil)
		return r.o.DB.PostponeCopy(ctx, c, time.Now(), "", "")
	}
	d.postponed.Add(1)
	var due time.Time
	if away(err) {
		due = d.leave(false, err)
	} else {
		d.leave(true, nil) // it answers
		due = time.Now().Add(pause(c.Attempts, copyPause))
	}
	word, reason := failure(err)
	d.last.Store(&lastFailure{word, time.Now()})
	r.o.Logger.Warn("copy failed; it is tried again", "repository", c.Repository, "name", c.Name, "digest", c.Digest, "destination", d.Host,
		"attempt", c.Attempts, "failure", word, "again", due.Format(time.RFC3339), "error", err)
	return r.o.DB.PostponeCopy(ctx, c, due, word, reason)
}

// away says whether it is the destination that failed, and not this copy: a login that
// fails does so for all.
func away(err error) bool {
	switch errs.CodeOf(err) {
	case errs.UpstreamUnreachable, errs.UpstreamTimeout, errs.UpstreamRateLimited:
		return true
	}
	return errors.Is(err, errs.ErrNoLogin) || errors.Is(err, errs.ErrNoCredential)
}

// failure is an error as it is told for good: a word, and a reason without secrets.
func failure(err error) (word, reason string) {
	word = "InternalError"
	switch errs.CodeOf(err) {
	case errs.UpstreamUnreachable:
		word = "DestinationUnreachable"
	case errs.UpstreamTimeout:
		word = "DestinationTimeout"
	case errs.UpstreamRateLimited:
		word = "DestinationThrottled"
	case errs.UpstreamDenied:
		word = "DestinationAccessDenied"
	case errs.RepoUnknown:
		word = "DestinationRepositoryNotFound"
	case errs.UpstreamFailed:
		word = "DestinationRefused"
	case errs.BlobUnknown:
		word = "ContentMissing"
	case errs.Unsupported:
		word = "ContentUnsupported"
	}
	if e := errs.As(err); e != nil {
		return word, e.Msg
	}
	return word, "internal error"
}

// Stats is what was copied to a host since the process started, and what waits for it.
type Stats struct {
	Host                    string // "": of no destination that is configured
	Done, Postponed, Failed uint64 // copies; a copy may be postponed often
	Bytes                   uint64 // of blobs that were sent
	Waiting                 int64
	Oldest                  time.Time // when the oldest that waits was pushed; zero: nothing waits
}

// Stats returns them by host, in the order of the destinations. What waits may be what was
// waiting a little earlier.
func (r *Replicator) Stats(ctx context.Context) ([]Stats, error) {
	var all []Stats
	of := func(host string) *Stats {
		for i := range all {
			if all[i].Host == host {
				return &all[i]
			}
		}
		all = append(all, Stats{Host: host})
		return &all[len(all)-1]
	}
	hosts := map[rule.Destination]string{}
	for _, d := range r.all {
		hosts[d.Destination.Destination] = d.Host
		s := of(d.Host)
		s.Done += d.done.Load()
		s.Postponed += d.postponed.Load()
		s.Failed += d.failed.Load()
		s.Bytes += d.sent.Load()
	}
	queues, err := r.waiting(ctx)
	for _, q := range queues {
		s := of(hosts[q.To])
		s.Waiting += q.Length
		if s.Oldest.IsZero() || q.Oldest.Before(s.Oldest) {
			s.Oldest = q.Oldest
		}
	}
	return all, err
}
