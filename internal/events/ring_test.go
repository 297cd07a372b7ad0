package events_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/weir-registry/weir/internal/events"
)

// TestLast: the last 500 events are remembered, newest first, with nobody to have them.
func TestLast(t *testing.T) {
	e, _ := begin(t, nil)
	if got := e.Last(); len(got) != 0 {
		t.Errorf("before the first: %v", got)
	}
	tags := func(n int) {
		t.Helper()
		for i, v := range e.Last() {
			if want := fmt.Sprint(n - i); v.Detail.(events.Image).Tag != want || v.Kind != events.ImageAction || v.ID == "" || v.At.IsZero() {
				t.Fatalf("the %d. of the last is %+v, want tag %s", i+1, v, want)
			}
		}
	}
	for n := range 1234 {
		number(e, n+1)
		if n == 2 || n == 499 || n == 500 || n == 998 {
			tags(n + 1)
			if got := len(e.Last()); got != min(n+1, 500) {
				t.Errorf("after %d: %d are remembered", n+1, got)
			}
		}
	}
	tags(1234)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for n := range 100 {
				number(e, n)
				e.Last()
			}
		})
	}
	all.Wait()
}
