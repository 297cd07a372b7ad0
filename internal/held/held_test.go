package held_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-registry/weir/internal/held"
)

// TestHeld: nobody waits, and what takes long is done rarely, and only while somebody asks.
func TestHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, takes, fails := int64(0), time.Second, error(nil)
		c := held.New(func(ctx context.Context) (int64, int64, error) {
			n++
			select {
			case <-time.After(takes):
				return n, 10 * n, fails
			case <-ctx.Done():
				return 0, 0, ctx.Err()
			}
		}, slog.New(slog.DiscardHandler))
		wait := func(d time.Duration) {
			<-time.After(d)
			synctest.Wait()
		}
		if got := c.Held(); got != (held.Count{}) {
			t.Errorf("before the first count: %+v", got)
		}
		c.Held()
		wait(takes)
		first := held.Count{Blobs: 1, Bytes: 10, At: time.Now()}
		for range 100 {
			if got := c.Held(); got != first {
				t.Fatalf("within the time that it costs: %+v, want %+v", got, first)
			}
			wait(takes)
		}
		wait(1000 * time.Second)
		if n != 1 {
			t.Errorf("it was counted %d times with nobody asking", n)
		}
		if got := c.Held(); got != first {
			t.Errorf("it waits: %+v", got)
		}
		wait(takes)
		second := held.Count{Blobs: 2, Bytes: 20, At: time.Now()}
		if got := c.Held(); got != second {
			t.Errorf("then: %+v, want %+v", got, second)
		}
		fails = errors.New("broken")
		wait(time.Hour)
		c.Held()
		wait(time.Minute)
		if got := c.Held(); got != second || n != 3 {
			t.Errorf("after a failure: %+v", got)
		}
		takes = 24 * time.Hour
		wait(time.Hour)
		c.Held()
		c.Close() // which does not wait a day
		if c.Held() != second || n > 4 {
			t.Errorf("after the end: %d counts", n)
		}
	})
}
