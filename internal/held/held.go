// Package held knows how many blobs are held and how many bytes they have, without counting
// them for each who asks: that reads a row for each.
//
// It guarantees: nobody who asks waits for the counting; it is done only while somebody
// asks, and takes no more than a small part of one CPU, however many blobs there are.
package held

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// every is how often it is counted, while somebody asks.
	every = 30 * time.Second
	// cost is how many times as long as the counting took it is not done again.
	cost = 200
)

// Count is what was counted.
type Count struct {
	Blobs, Bytes int64
	At           time.Time // zero: not yet
}

// Counter counts until Close. It is safe for use by many goroutines.
type Counter struct {
	count  func(context.Context) (blobs, bytes int64, err error)
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	last   Count
	next   time.Time // from when it is counted again
	busy   bool
	closed bool
}

// New returns a Counter that counts by count. Close it.
func New(count func(context.Context) (blobs, bytes int64, err error), log *slog.Logger) *Counter {
	c := &Counter{count: count, log: log}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// Close ends a count that is under way.
func (c *Counter) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.wg.Wait()
}

// Held returns what was counted last, and has it counted again if that is a while ago.
func (c *Counter) Held() Count {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.busy && !c.closed && !time.Now().Before(c.next) {
		c.busy = true
		c.wg.Go(c.run)
	}
	return c.last
}

func (c *Counter) run() {
	start := time.Now()
	blobs, bytes, err := c.count(c.ctx)
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy, c.next = false, now.Add(max(every, cost*now.Sub(start)))
	switch {
	case err == nil:
		c.last = Count{blobs, bytes, now}
	case c.ctx.Err() == nil:
		c.log.Error("what is held is not counted; it is tried again", "error", err)
	}
}
