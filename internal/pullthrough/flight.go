package pullthrough

import (
	"context"
	"sync"
	"time"
)

// flight is one piece of work that any number of requests wait for.
type flight[T any] struct {
	done    chan struct{}
	started time.Time
	late    sync.Once // the first waiter that gave up has said so
	val     T
	err     error
}

// flights collapses equal work. The zero value is ready.
type flights[K comparable, T any] struct {
	mu sync.Mutex
	m  map[K]*flight[T]
}

// join returns the running flight of key, or starts work on a goroutine of the
// cache's own, so that a client that leaves stops nothing. lead is true for the
// caller that started it.
func (fs *flights[K, T]) join(c *Cache, key K, work func(context.Context) (T, error)) (f *flight[T], lead bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.m[key]; f != nil {
		return f, false
	}
	if fs.m == nil {
		fs.m = map[K]*flight[T]{}
	}
	f = &flight[T]{done: make(chan struct{}), started: time.Now()}
	fs.m[key] = f
	c.spawn(func(ctx context.Context) {
		f.val, f.err = work(ctx)
		fs.mu.Lock()
		delete(fs.m, key)
		fs.mu.Unlock()
		close(f.done)
	})
	return f, true
}

// wait returns the flight's result, or the context's error.
func (f *flight[T]) wait(ctx context.Context) (T, error) {
	select {
	case <-f.done:
		return f.val, f.err
	case <-ctx.Done():
		var zero T
		return zero, context.Cause(ctx)
	}
}

// waitUntil is wait that gives up d after the flight's start; ok is false then.
func (f *flight[T]) waitUntil(ctx context.Context, d time.Duration) (val T, ok bool, err error) {
	select {
	case <-f.done:
		return f.val, true, f.err
	default:
	}
	left := time.NewTimer(d - time.Since(f.started))
	defer left.Stop()
	select {
	case <-f.done:
		return f.val, true, f.err
	case <-ctx.Done():
		return val, true, context.Cause(ctx)
	case <-left.C:
		return val, false, nil
	}
}
