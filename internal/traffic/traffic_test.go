package traffic_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/rule"
	"github.com/weir-registry/weir/internal/traffic"
)

// table is an Index in memory.
type table struct {
	mu      sync.Mutex
	rows    map[rule.TrafficRow]rule.Traffic // by time and prefix
	fail    error
	reads   int
	dropped time.Time
}

func (x *table) AddTraffic(_ context.Context, rows []rule.TrafficRow) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.fail != nil {
		return x.fail
	}
	if x.rows == nil {
		x.rows = map[rule.TrafficRow]rule.Traffic{}
	}
	for _, r := range rows {
		k := rule.TrafficRow{At: r.At, Prefix: r.Prefix}
		x.rows[k] = x.rows[k].Plus(r.Traffic)
	}
	return nil
}

func (x *table) Traffic(_ context.Context, since time.Time, step time.Duration) (all []rule.TrafficRow, _ error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.reads++
	for k, t := range x.rows {
		if !k.At.Before(since) {
			all = append(all, rule.TrafficRow{At: k.At.Truncate(step), Prefix: k.Prefix, Traffic: t})
		}
	}
	return all, x.fail
}

func (x *table) DropTraffic(_ context.Context, before time.Time) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.dropped = before
	return nil
}

func (x *table) breaks(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.fail = err
}

func (x *table) has(t *testing.T, what string, want map[rule.TrafficRow]rule.Traffic) {
	t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	if d := cmp.Diff(want, x.rows); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// pass lets time pass, in a bubble.
func pass(d time.Duration) { <-time.After(d) }

func report(t *testing.T, c *traffic.Counter) *traffic.Report {
	t.Helper()
	r, err := c.Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestHours: what is counted belongs to its hour, is written every minute and at the end of
// the hour, and is in the report before.
func TestHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // time begins at midnight UTC, 2000-01-01
		x := &table{}
		c := traffic.Run(traffic.Options{Index: x})
		pass(59*time.Minute + 30*time.Second)
		hour := time.Now().UTC().Truncate(time.Hour)
		c.Pulled("hub", true)
		c.Pulled("hub", false)
		c.Served("hub", true, 100)
		c.Served("hub", false, 50)
		c.Served("hub", true, 0)
		c.Received("hub", 70)
		c.Received("none", 0)
		c.Pulled("", true)
		first := rule.Traffic{Pulls: 2, Hits: 1, Bytes: 150, HitBytes: 100, Upstream: 70}
		x.has(t, "before its minute is over", nil)
		r := report(t, c)
		if d := cmp.Diff(map[string]traffic.RuleTraffic{
			"hub": {Day: first, Month: first}, "": {Day: rule.Traffic{Pulls: 1, Hits: 1}, Month: rule.Traffic{Pulls: 1, Hits: 1}},
		}, r.Rules); d != "" {
			t.Errorf("rules (-want +got):\n%s", d)
		}
		if last := r.Hours[traffic.Hours-1]; last.At != hour || last.Pulls != 3 || len(r.Hours) != traffic.Hours {
			t.Errorf("the present hour %+v", last)
		}
		if last := r.Days[traffic.Days-1]; last.Pulls != 3 || len(r.Days) != traffic.Days {
			t.Errorf("the present day %+v", last)
		}

		pass(30 * time.Second) // to the end of the hour
		synctest.Wait()
		rows := map[rule.TrafficRow]rule.Traffic{{At: hour, Prefix: "hub"}: first, {At: hour}: {Pulls: 1, Hits: 1}}
		x.has(t, "at the end of the hour", rows)
		c.Pulled("hub", true)
		pass(time.Minute)
		synctest.Wait()
		rows[rule.TrafficRow{At: hour.Add(time.Hour), Prefix: "hub"}] = rule.Traffic{Pulls: 1, Hits: 1}
		x.has(t, "in the next", rows)
		r = report(t, c)
		if n := len(r.Hours); r.Hours[n-2].Pulls != 3 || r.Hours[n-1].Pulls != 1 || r.Rules["hub"].Day.Pulls != 3 {
			t.Errorf("the report after it: %+v, %+v", r.Hours[n-2:], r.Rules)
		}
		x.mu.Lock()
		if x.dropped.IsZero() {
			t.Error("nothing was removed")
		}
		x.mu.Unlock()

		pass(24 * time.Hour)
		r = report(t, c)
		if r.Rules["hub"].Day != (rule.Traffic{}) || r.Rules["hub"].Month.Pulls != 3 || r.Days[traffic.Days-2].Pulls != 4 {
			t.Errorf("a day later: %+v", r.Rules)
		}
		c.Pulled("hub", true)
		c.Close()
		rows[rule.TrafficRow{At: hour.Add(25 * time.Hour), Prefix: "hub"}] = rule.Traffic{Pulls: 1, Hits: 1}
		x.has(t, "after the end", rows)
	})
}

// TestFailure: what the database does not take is added when it does, once, to its hour.
func TestFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &table{fail: errors.New("no room")}
		c := traffic.Run(traffic.Options{Index: x})
		hour := time.Now().UTC().Truncate(time.Hour)
		c.Pulled("hub", true)
		pass(90 * time.Minute)
		c.Pulled("hub", false)
		if _, err := c.Report(t.Context()); err == nil {
			t.Error("a report without the database")
		}
		x.breaks(nil)
		if r := report(t, c); r.Rules["hub"].Day != (rule.Traffic{Pulls: 2, Hits: 1}) {
			t.Errorf("what waits is in the report: %+v", r.Rules)
		}
		pass(time.Minute)
		c.Close()
		x.has(t, "in the end", map[rule.TrafficRow]rule.Traffic{
			{At: hour, Prefix: "hub"}:                {Pulls: 1, Hits: 1},
			{At: hour.Add(time.Hour), Prefix: "hub"}: {Pulls: 1},
		})
	})
}

// TestReportReadsLittle: looking often reads the database once in some minutes, and misses
// nothing that was counted here.
func TestReportReadsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &table{}
		c := traffic.Run(traffic.Options{Index: x})
		defer c.Close()
		for n := range 100 {
			c.Pulled("hub", true)
			if r := report(t, c); r.Rules["hub"].Month.Pulls != int64(n)+1 || r.Rules["hub"].Day.Pulls != int64(n)+1 {
				t.Fatalf("after %d pulls: %+v", n+1, r.Rules)
			}
			pass(2 * time.Second)
		}
		if x.reads != 2 {
			t.Errorf("%d reads", x.reads)
		}
		other := traffic.Run(traffic.Options{Index: x})
		other.Pulled("hub", true)
		other.Close()
		pass(5 * time.Minute)
		if r := report(t, c); r.Rules["hub"].Month.Pulls != 101 {
			t.Errorf("with another's: %+v", r.Rules)
		}
	})
}

// TestAllocations: counting for a rule that is known allocates nothing.
func TestAllocations(t *testing.T) {
	c := traffic.Run(traffic.Options{Index: &table{}})
	defer c.Close()
	n := testing.AllocsPerRun(100, func() {
		c.Pulled("hub", true)
		c.Served("hub", true, 10)
		c.Received("hub", 10)
	})
	if n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestDatabase: the sums of a real database, over a restart, by two who count together.
func TestDatabase(t *testing.T) {
	open := func() *meta.DB {
		db, err := meta.Open(t.Context(), meta.Options{Path: filepath.Join(t.TempDir(), "weir.db")})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	}
	db := open()
	now := func() time.Time { return time.Date(2026, 11, 27, 21, 10, 0, 0, time.UTC) }
	for range 2 {
		one, two := traffic.Run(traffic.Options{Index: db, Now: now}), traffic.Run(traffic.Options{Index: db, Now: now})
		var all sync.WaitGroup
		for n := range 1000 {
			all.Go(func() { []*traffic.Counter{one, two}[n%2].Pulled("hub", n%4 == 0) })
		}
		all.Wait()
		one.Close()
		two.Close()
	}
	c := traffic.Run(traffic.Options{Index: db, Now: now})
	defer c.Close()
	r := report(t, c)
	want := rule.Traffic{Pulls: 2000, Hits: 500}
	if r.Rules["hub"].Day != want || r.Rules["hub"].Month != want || r.Hours[traffic.Hours-1].Traffic != want || r.Days[traffic.Days-1].Traffic != want {
		t.Errorf("got %+v", r.Rules)
	}
}
