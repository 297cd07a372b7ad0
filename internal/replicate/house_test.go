package replicate_test

import (
	"testing"
	"time"

	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/replicate"
	"github.com/weir-registry/weir/internal/rule"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
)

// TestClockWasAhead: what was pushed, tried or claimed while the clock was years ahead is
// copied when it is right, and is given up a week after.
func TestClockWasAhead(t *testing.T) {
	in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
		w.r.Close()
		tried, img := upstreamtest.NewImage(1, 10), upstreamtest.NewImage(2, 10)
		w.rules()
		w.push("other", img)
		w.rules(rule.ReplicationRule{Destinations: []rule.Destination{east}})
		w.push("app", tried, "v1")
		ahead := time.Now().Add(3 * 365 * 24 * time.Hour)
		c, ok, err := w.db.ClaimCopy(t.Context(), east, "x", ahead, ahead.Add(time.Minute))
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		w.must(w.db.PostponeCopy(t.Context(), c, ahead.Add(time.Minute), "DestinationUnreachable", "x"))
		e, err := img.Manifest.Edges()
		w.must(err)
		w.must(w.db.PutImage(t.Context(), meta.Push{Repository: "other", Manifest: &img.Manifest, Edges: e, Tags: []string{"v1"}, At: ahead}))
		w.east.Script(upstreamtest.Fault{Path: "/other/", Status: 400})
		w.options.GiveUp = 12 * time.Hour
		w.r = replicate.Run(w.options)
		w.until("the copy", func() bool { return whole(w.east, "app", tried) })
		w.until("the other's try", func() bool { return requests(w.east, "HEAD") > 1 })
		<-time.After(13 * time.Hour)
		if got := w.status("other", img); got != "east FAILED DestinationRefused" {
			t.Error(got)
		}
	})
}

// TestClockWasBehind: what seems to wait for years is tried before it is given up.
func TestClockWasBehind(t *testing.T) {
	in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
		w.r.Close()
		img := upstreamtest.NewImage(1, 10)
		w.rules()
		w.push("app", img)
		w.rules(rule.ReplicationRule{Destinations: []rule.Destination{east}})
		e, err := img.Manifest.Edges()
		w.must(err)
		w.must(w.db.PutImage(t.Context(), meta.Push{Repository: "app", Manifest: &img.Manifest, Edges: e, Tags: []string{"v1"}, At: time.Now().Add(-20 * 365 * 24 * time.Hour)}))
		w.east.Script(upstreamtest.Fault{Status: 503})
		w.r = replicate.Run(w.options)
		<-time.After(30 * time.Minute)
		w.east.Script()
		w.until("the copy", func() bool { return w.status("app", img) == "east COMPLETE" })
		if !whole(w.east, "app", img) {
			t.Error("not there")
		}
	})
}

// TestLimit: what is given up is so by a clock that went as it goes for an hour.
func TestLimit(t *testing.T) {
	const week = 7 * 24 * time.Hour
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := replicate.Limit(week, start)
	run, jump := time.Duration(0), time.Duration(0) // how long it runs, and what the clock jumped
	look := func(what string, late time.Duration) {
		t.Helper()
		run += time.Minute
		now := start.Add(run + jump)
		if got := now.Add(-week).Sub(at(now, run)); got != late {
			t.Fatalf("%s after %s: %s late, want %s", what, run, got, late)
		}
	}
	for range 59 {
		if now := start.Add(run); !at(now, run).IsZero() {
			t.Fatalf("something is given up after %s", run)
		}
		run += time.Minute
	}
	for range 3 * 60 {
		jump += time.Second
		look("a clock that is almost right", 0)
	}
	jump += 8 * 24 * time.Hour
	for range 59 {
		look("a jump ahead", 8*24*time.Hour)
	}
	look("an hour after it", 0)
	jump += 8 * 24 * time.Hour
	for range 30 {
		look("another", 8*24*time.Hour)
	}
	jump -= 8 * 24 * time.Hour
	for range 100 {
		look("put right", 0)
	}
	jump -= 8 * 24 * time.Hour
	look("put back", 0)
}
