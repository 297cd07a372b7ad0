package admin

import (
	"context"
	"sync"
	"time"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
)

// Space is what is held, and how much room there is for more.
type Space struct {
	Blobs, Bytes int64     // that are held
	Counted      time.Time // when these were
	Free, Total  int64     // bytes of the disk, now
	Keep         int64     // so many bytes are kept free: with less, new blobs pass through
}

// Full says that new blobs are not kept.
func (s Space) Full() bool { return s.Free < s.Keep }

// Counting what is held reads a row for each blob, so it is not done for each who asks: at
// most once in countEvery, and in countCost times as long as it took.
const (
	countEvery = 30 * time.Second
	countCost  = 200
)

// held remembers what was counted.
type held struct {
	mu     sync.Mutex
	turn   chan struct{} // holds one: the right to count
	space  Space
	next   time.Time // from when it is counted again
	counts bool      // space has something
}

// Space returns what is held, as it was counted lately, and the room that there is now.
// Action: weir:GetMetrics. Errors: errs.Unsupported where the disk is not known.
func (a *Admin) Space(ctx context.Context, c iam.Caller) (Space, error) {
	if err := c.Allowed(getMetrics, anything); err != nil {
		return Space{}, err
	}
	if a.o.Disk == nil {
		return Space{}, errs.New(errs.Unsupported, "this weir does not know its disk")
	}
	s, err := a.heldNow(ctx)
	if err != nil {
		return Space{}, err
	}
	s.Free, s.Total, s.Keep, err = a.o.Disk()
	return s, err
}

// heldNow counts if it is time to and nobody else does. The first one has to wait.
func (a *Admin) heldNow(ctx context.Context) (Space, error) {
	h := &a.held
	for {
		h.mu.Lock()
		s, due, counts := h.space, !a.o.Now().Before(h.next), h.counts
		h.mu.Unlock()
		if counts && !due {
			return s, nil
		}
		if counts {
			select {
			case h.turn <- struct{}{}:
			default:
				return s, nil
			}
		} else {
			select {
			case h.turn <- struct{}{}:
			case <-ctx.Done():
				return s, context.Cause(ctx)
			}
		}
		err := a.count(ctx)
		<-h.turn
		if err != nil {
			return Space{}, err
		}
	}
}

// count counts, unless somebody has done so meanwhile. The caller has the turn.
func (a *Admin) count(ctx context.Context) error {
	h := &a.held
	h.mu.Lock()
	due := !a.o.Now().Before(h.next)
	h.mu.Unlock()
	if !due {
		return nil
	}
	start := time.Now()
	n, err := a.o.DB.Held(ctx)
	if err != nil {
		return err
	}
	took := time.Since(start)
	h.mu.Lock()
	defer h.mu.Unlock()
	now := a.o.Now()
	h.space, h.counts, h.next = Space{Blobs: n.Blobs, Bytes: n.Bytes, Counted: now}, true, now.Add(max(countEvery, countCost*took))
	return nil
}
