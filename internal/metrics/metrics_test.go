package metrics_test

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/metrics"
	"github.com/weir-registry/weir/internal/pullthrough"
	"github.com/weir-registry/weir/internal/upstream"
)

func sources() metrics.Sources {
	at := time.Date(2026, 11, 25, 9, 0, 0, 5e8, time.UTC)
	return metrics.Sources{
		Upstreams: func() []upstream.Stats {
			return []upstream.Stats{
				{Host: "a.test", Bytes: 100, Counts: []upstream.Count{{Kind: "blob", Class: "ok", N: 3}, {Kind: "token", Class: "denied", N: 1}}, Remaining: 0, Limit: 100},
				{Host: "b.test:5000", Remaining: -1, Limit: -1},
			}
		},
		CopiedBy: func() []upstream.Stats {
			return []upstream.Stats{{Host: "b.example", Counts: []upstream.Count{{Kind: "push", Class: "server_error", N: 8}, {Kind: "token", Class: "ok", N: 2}}}}
		},
		Cache: func() pullthrough.State {
			return pullthrough.State{
				Ingests:   2,
				Upstreams: []pullthrough.UpstreamState{{Host: "a.test", Away: true}, {Host: "b.test:5000", Limited: true}},
				Rules:     []pullthrough.RuleState{{Prefix: "a", Stale: 7, Checked: at}, {Prefix: "b"}},
			}
		},
		Spools:    func() (int, int64) { return 1, 50 },
		Disk:      func() (int64, int64, error) { return 10, 1000, nil },
		KeepFree:  func(total int64) int64 { return total / 10 },
		Swept:     func() metrics.Swept { return metrics.Swept{Blobs: 3, Bytes: 4096, Last: at} },
		Lifecycle: func() metrics.Lifecycle { return metrics.Lifecycle{Expired: 6, Archived: 2, Last: at} },
		Events: func() []metrics.EventSink {
			return []metrics.EventSink{{Sink: "log", Sent: 5}, {Sink: "hooks.test", Sent: 2, Failed: 4, Dropped: 1, Waiting: 3}}
		},
		Replicated: func() ([]metrics.Replicated, error) {
			return []metrics.Replicated{{Host: "b.example", Done: 4, Postponed: 2, Failed: 1, Bytes: 77, Waiting: 3, Oldest: at}, {Host: "c.example"}}, nil
		},
		Expires: func() time.Time { return at },
	}
}

// scrape returns what /metrics has of weir's own.
func scrape(t *testing.T, m *metrics.Metrics) []string {
	t.Helper()
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if rec.Code != http.StatusOK {
		t.Fatalf("status %d: %s", rec.Code, rec.Body)
	}
	var all []string
	for line := range strings.Lines(rec.Body.String()) {
		if strings.HasPrefix(line, "weir_") {
			all = append(all, strings.TrimSpace(line))
		}
	}
	if !strings.Contains(rec.Body.String(), "\ngo_goroutines ") || !strings.Contains(rec.Body.String(), "\nprocess_open_fds ") {
		t.Error("nothing of the process")
	}
	return all
}

func TestScrape(t *testing.T) {
	m := metrics.New(sources())
	m.Served("hit", 200, 1000)
	m.Served("hit", 206, 24)
	m.Served("stale", 200, 5)
	m.Served("miss", 502, 77)
	m.Served("", 401, 9)
	m.Served("", 499, 0)
	m.Served("unheard of", 0, 1)
	want := []string{
		"weir_disk_free_bytes 10",
		"weir_disk_keep_free_bytes 100",
		"weir_disk_size_bytes 1000",
		`weir_event_failures_total{sink="hooks.test"} 4`,
		`weir_event_failures_total{sink="log"} 0`,
		`weir_events_total{result="lost",sink="hooks.test"} 1`,
		`weir_events_total{result="lost",sink="log"} 0`,
		`weir_events_total{result="sent",sink="hooks.test"} 2`,
		`weir_events_total{result="sent",sink="log"} 5`,
		`weir_events_waiting{sink="hooks.test"} 3`,
		`weir_events_waiting{sink="log"} 0`,
		"weir_ingest_active 2",
		"weir_lifecycle_archived_total 2",
		"weir_lifecycle_expired_total 6",
		"weir_lifecycle_last_timestamp_seconds 1.7955972005e+09",
		`weir_replication_bytes_total{host="b.example"} 77`,
		`weir_replication_bytes_total{host="c.example"} 0`,
		`weir_replication_copies_total{host="b.example",outcome="done"} 4`,
		`weir_replication_copies_total{host="b.example",outcome="failed"} 1`,
		`weir_replication_copies_total{host="b.example",outcome="postponed"} 2`,
		`weir_replication_copies_total{host="c.example",outcome="done"} 0`,
		`weir_replication_copies_total{host="c.example",outcome="failed"} 0`,
		`weir_replication_copies_total{host="c.example",outcome="postponed"} 0`,
		`weir_replication_oldest_timestamp_seconds{host="b.example"} 1.7955972005e+09`,
		`weir_replication_queue_length{host="b.example"} 3`,
		`weir_replication_queue_length{host="c.example"} 0`,
		`weir_replication_requests_total{class="ok",host="b.example",kind="token"} 2`,
		`weir_replication_requests_total{class="server_error",host="b.example",kind="push"} 8`,
		`weir_requests_total{class="1xx"} 0`,
		`weir_requests_total{class="2xx"} 3`,
		`weir_requests_total{class="3xx"} 0`,
		`weir_requests_total{class="4xx"} 2`,
		`weir_requests_total{class="5xx"} 1`,
		`weir_rule_last_answer_timestamp_seconds{rule="a"} 1.7955972005e+09`,
		`weir_served_bytes_total{source="hit"} 1024`,
		`weir_served_bytes_total{source="join"} 0`,
		`weir_served_bytes_total{source="miss"} 0`,
		`weir_served_bytes_total{source="stale"} 5`,
		`weir_served_total{source="hit"} 2`,
		`weir_served_total{source="join"} 0`,
		`weir_served_total{source="miss"} 0`,
		`weir_served_total{source="stale"} 1`,
		"weir_spool_bytes 50",
		"weir_spool_files 1",
		`weir_stale_served_total{rule="a"} 7`,
		`weir_stale_served_total{rule="b"} 0`,
		"weir_sweep_last_timestamp_seconds 1.7955972005e+09",
		"weir_swept_blobs_total 3",
		"weir_swept_bytes_total 4096",
		"weir_tls_expires_timestamp_seconds 1.7955972e+09",
		`weir_upstream_breaker_state{host="a.test"} 1`,
		`weir_upstream_breaker_state{host="b.test:5000"} 0`,
		`weir_upstream_bytes_total{host="a.test"} 100`,
		`weir_upstream_bytes_total{host="b.test:5000"} 0`,
		`weir_upstream_quota_limit{host="a.test"} 100`,
		`weir_upstream_quota_remaining{host="a.test"} 0`,
		`weir_upstream_rate_limited{host="a.test"} 0`,
		`weir_upstream_rate_limited{host="b.test:5000"} 1`,
		`weir_upstream_requests_total{class="denied",host="a.test",kind="token"} 1`,
		`weir_upstream_requests_total{class="ok",host="a.test",kind="blob"} 3`,
	}
	if diff := cmp.Diff(want, scrape(t, m)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestScrapeLess has no TLS, and a disk that does not say how full it is.
func TestScrapeLess(t *testing.T) {
	s := sources()
	s.Expires = nil
	s.Disk = func() (int64, int64, error) { return 0, 0, errors.New("no") }
	for _, line := range scrape(t, metrics.New(s)) {
		if strings.HasPrefix(line, "weir_tls") || strings.HasPrefix(line, "weir_disk") {
			t.Errorf("%s", line)
		}
	}
}

// TestManual compares docs/metrics.md with what there is: its table has each metric
// and no other, and its alerts use none that is not there.
func TestManual(t *testing.T) {
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	is := map[string]bool{}
	for _, line := range scrape(t, metrics.New(sources())) {
		name, _, _ := strings.Cut(line, " ")
		name, _, _ = strings.Cut(name, "{")
		is[name] = true
	}
	metric := regexp.MustCompile(`\bweir_[a-z_]+\b`)
	table := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		first, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		for _, name := range metric.FindAllString(line, -1) {
			if !is[name] {
				t.Errorf("the manual has %s, which is not there", name)
			}
		}
		if strings.HasPrefix(line, "| `weir_") {
			for _, name := range metric.FindAllString(first, -1) {
				table[name] = true
			}
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(is)), slices.Sorted(maps.Keys(table))); diff != "" {
		t.Errorf("the manual's table (-want +got):\n%s", diff)
	}
	if n := strings.Count(string(text), "- alert: "); n != 6 {
		t.Errorf("%d alerts", n)
	}
}
