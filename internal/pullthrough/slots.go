package pullthrough

import (
	"context"
	"slices"
	"sync"
)

// reserved is how many transfers of a host prefetch leaves to waiting clients.
const reserved = 2

// slots bounds the transfers of one upstream host. Clients that wait come first.
type slots struct {
	mu         sync.Mutex
	free       int
	demand     []chan struct{}
	background []chan struct{}
}

func (c *Cache) slotsOf(host string) *slots {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.slots[host]
	if s == nil {
		s = &slots{free: c.Connections}
		c.slots[host] = s
	}
	return s
}

// acquire takes a slot; background is work that no client waits for.
func (s *slots) acquire(ctx context.Context, background bool) error {
	got := make(chan struct{})
	s.mu.Lock()
	if background {
		s.background = append(s.background, got)
	} else {
		s.demand = append(s.demand, got)
	}
	s.grant()
	s.mu.Unlock()
	select {
	case <-got:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-got: // granted meanwhile
		s.free++
		s.grant()
	default:
		gone := func(ch chan struct{}) bool { return ch == got }
		s.demand = slices.DeleteFunc(s.demand, gone)
		s.background = slices.DeleteFunc(s.background, gone)
	}
	return context.Cause(ctx)
}

// spare takes a slot for bytes ahead of a transfer, if nobody waits for one and one
// is left then.
func (s *slots) spare() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free < 2 || len(s.demand) > 0 {
		return false
	}
	s.free--
	return true
}

func (s *slots) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free++
	s.grant()
}

func (s *slots) grant() {
	for s.free > 0 && len(s.demand) > 0 {
		s.free--
		close(s.demand[0])
		s.demand = s.demand[1:]
	}
	for s.free > reserved && len(s.demand) == 0 && len(s.background) > 0 {
		s.free--
		close(s.background[0])
		s.background = s.background[1:]
	}
}
