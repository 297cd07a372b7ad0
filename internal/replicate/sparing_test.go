package replicate_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-registry/weir/internal/replicate"
)

// TestSparing: an answer that takes long is given for longer, one that takes no time is not
// given again, and an error neither.
func TestSparing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, takes := 0, time.Duration(0)
		var fails error
		get := replicate.Sparing(func() (int, error) {
			asked++
			<-time.After(takes)
			return asked, fails
		})
		want := func(what string, n int, failed error) {
			t.Helper()
			if got, err := get(); got != n || err != failed {
				t.Errorf("%s: answer %d, %v, want %d", what, got, err, n)
			}
		}
		want("first", 1, nil)
		want("at once", 2, nil)
		takes = time.Second
		want("slow", 3, nil)
		for range 100 {
			want("again", 3, nil)
		}
		<-time.After(19 * time.Second)
		want("later", 3, nil)
		<-time.After(time.Second)
		fails = errors.New("no")
		want("failed", 4, fails)
		want("failed again", 5, fails)
		fails = nil
		want("well", 6, nil)
		want("well again", 6, nil)
	})
}
