// Package traffic counts what clients are given and what upstreams send, by rule, and
// keeps it by hours for Kept, whatever becomes of the process.
//
// It guarantees:
//   - Counting waits for nothing and looks at no database: it is a few additions.
//   - What was counted is in the database a minute later, and when Close returns; a process
//     that dies loses what is not. What the database does not take now is added later.
//   - Several processes may count for one database.
//
// What belongs to an hour is exact to the moment at which the counts are taken, and an
// answer counts when it is over. Rules are told apart by their prefixes: a rule that is made
// anew goes on with the numbers of the one before.
package traffic

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-registry/weir/internal/rule"
)

const (
	// Kept is how long an hour is kept.
	Kept = 32 * 24 * time.Hour
	// every is how often what was counted is written.
	every = time.Minute
	// readEvery is how often a Report reads the database, for what others added.
	readEvery = 5 * time.Minute
	// sweepEvery is how often hours that are too old are removed.
	sweepEvery = time.Hour
	// limit is how long the last write may take when weir ends.
	limit = 5 * time.Second
)

// Index is what keeps the hours: *meta.DB.
type Index interface {
	AddTraffic(ctx context.Context, rows []rule.TrafficRow) error
	Traffic(ctx context.Context, since time.Time, step time.Duration) ([]rule.TrafficRow, error)
	DropTraffic(ctx context.Context, before time.Time) error
}

// Options of a Counter. Index is required.
type Options struct {
	Index  Index
	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: slog.Default()
}

// Counter counts until Close. It is safe for use by many goroutines.
type Counter struct {
	o      Options
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu    sync.Mutex                        // of who adds a rule
	rules atomic.Pointer[map[string]*tally] // never changed in place

	turn    chan struct{}        // holds one: the right to what follows, and to the database
	began   time.Time            // when what is counted now began to be
	pending map[key]rule.Traffic // taken, and not in the database yet
	known   *kept                // nil: it is to be read again
	failing bool                 // it was said
}

// key is a row.
type key struct {
	hour   time.Time
	prefix string
}

// tally is what was counted for a rule and not taken yet.
type tally struct{ pulls, hits, bytes, hitBytes, upstream atomic.Int64 }

func (t *tally) look() rule.Traffic {
	return rule.Traffic{Pulls: t.pulls.Load(), Hits: t.hits.Load(), Bytes: t.bytes.Load(), HitBytes: t.hitBytes.Load(), Upstream: t.upstream.Load()}
}

func (t *tally) take() rule.Traffic {
	return rule.Traffic{Pulls: t.pulls.Swap(0), Hits: t.hits.Swap(0), Bytes: t.bytes.Swap(0), HitBytes: t.hitBytes.Swap(0), Upstream: t.upstream.Swap(0)}
}

// Run returns a Counter that writes what it counts. Close it.
func Run(o Options) *Counter {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	c := &Counter{o: o, turn: make(chan struct{}, 1), pending: map[key]rule.Traffic{}, began: o.Now()}
	c.rules.Store(&map[string]*tally{})
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	c.wg.Go(func() { c.run(ctx) })
	return c
}

// Close writes what was counted and ends. What is counted after it is lost.
func (c *Counter) Close() {
	c.cancel()
	c.wg.Wait()
}

// of returns the tally of a rule.
func (c *Counter) of(prefix string) *tally {
	if t := (*c.rules.Load())[prefix]; t != nil {
		return t
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	old := *c.rules.Load()
	if t := old[prefix]; t != nil {
		return t
	}
	all := maps.Clone(old)
	all[prefix] = new(tally)
	c.rules.Store(&all)
	return all[prefix]
}

// Pulled counts an image that a client was given; hit says that it was held.
func (c *Counter) Pulled(prefix string, hit bool) {
	t := c.of(prefix)
	t.pulls.Add(1)
	if hit {
		t.hits.Add(1)
	}
}

// Served counts bytes of a manifest or a blob that a client was given; hit says that it
// was held.
func (c *Counter) Served(prefix string, hit bool, bytes int64) {
	if bytes <= 0 {
		return
	}
	t := c.of(prefix)
	t.bytes.Add(bytes)
	if hit {
		t.hitBytes.Add(bytes)
	}
}

// Received counts bytes of a manifest or a blob that a rule's upstream sent.
func (c *Counter) Received(prefix string, bytes int64) {
	if bytes > 0 {
		c.of(prefix).upstream.Add(bytes)
	}
}

// run writes every minute, and at the end of each hour.
func (c *Counter) run(ctx context.Context) {
	var swept time.Time
	for {
		now := c.o.Now()
		hour := now.Truncate(time.Hour).Add(time.Hour)
		timer := time.NewTimer(min(every, hour.Sub(now)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			last, cancel := context.WithTimeout(context.Background(), limit)
			defer cancel()
			c.flush(last)
			return
		}
		c.flush(ctx)
		if now = c.o.Now(); now.Sub(swept) >= sweepEvery {
			swept = now
			if err := c.o.Index.DropTraffic(ctx, now.Add(-Kept)); err != nil && ctx.Err() == nil {
				c.o.Logger.Error("old traffic is not removed; it is tried again", "error", err)
			}
		}
	}
}

// flush writes what was counted, and what could not be written before.
func (c *Counter) flush(ctx context.Context) {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	c.take()
	if len(c.pending) == 0 {
		return
	}
	var rows []rule.TrafficRow
	for k, t := range c.pending {
		rows = append(rows, rule.TrafficRow{At: k.hour, Prefix: k.prefix, Traffic: t})
	}
	sortRows(rows) // in one order everywhere, so that two processes do not wait for each other
	if err := c.o.Index.AddTraffic(ctx, rows); err != nil {
		if !c.failing {
			c.o.Logger.Error("traffic is not written; it is tried again every minute", "error", err)
		}
		c.failing = true
		return
	}
	c.failing = false
	clear(c.pending)
	if c.known != nil && c.began.Sub(c.known.at) > readEvery {
		c.known = nil // nobody looks any more
	}
	if c.known != nil {
		c.known.hours, c.known.days = append(c.known.hours, rows...), append(c.known.days, rows...)
	}
}

// take moves what was counted to the hour in which counting it began. The caller has the
// turn.
func (c *Counter) take() {
	now := c.o.Now()
	hour := c.began.UTC().Truncate(time.Hour)
	for prefix, t := range *c.rules.Load() {
		if n := t.take(); n != (rule.Traffic{}) {
			k := key{hour, prefix}
			c.pending[k] = c.pending[k].Plus(n)
		}
	}
	maps.DeleteFunc(c.pending, func(k key, _ rule.Traffic) bool { return now.Sub(k.hour) > Kept })
	c.began = now
}
