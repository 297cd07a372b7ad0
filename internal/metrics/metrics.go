// Package metrics shows what weir does in Prometheus's text format. The other
// packages count for themselves and know nothing of Prometheus; at a scrape this one
// asks them what they are at.
//
// It guarantees: labels are the host of an upstream or a webhook, a rule's prefix, or words out of a
// short list, never a repository, a tag or a caller, so their number stays small;
// what is counted for each request looks nothing up. docs/metrics.md has every
// metric; a test compares.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/weir-registry/weir/internal/pullthrough"
	"github.com/weir-registry/weir/internal/upstream"
)

// Sources are what is asked at a scrape. All but Expires are required.
type Sources struct {
	Upstreams  func() []upstream.Stats
	CopiedBy   func() []upstream.Stats // of where copies go
	Cache      func() pullthrough.State
	Spools     func() (n int, bytes int64)
	Disk       func() (free, total int64, err error)
	KeepFree   func(total int64) int64
	Swept      func() Swept
	Lifecycle  func() Lifecycle
	Replicated func() ([]Replicated, error)
	Events     func() []EventSink
	Expires    func() time.Time // of the TLS certificate; nil: there is none
}

// Swept is what the sweep has removed since the process started.
type Swept struct {
	Blobs int
	Bytes int64
	Last  time.Time // when a sweep last did all it should; zero: none did
}

// EventSink is what became of the events for one of those who are to have them.
type EventSink struct {
	Sink                  string // "log", or a webhook's host
	Sent, Failed, Dropped uint64
	Waiting               int
}

// Replicated is what was copied to a host since the process started, and what waits for
// it.
type Replicated struct {
	Host                    string // "": of no destination that is configured
	Done, Postponed, Failed uint64
	Bytes                   uint64
	Waiting                 int64
	Oldest                  time.Time // when the oldest that waits was pushed; zero: nothing waits
}

// Lifecycle is what lifecycle policies have done since the process started.
type Lifecycle struct {
	Expired, Archived int
	Last              time.Time // when a run last did all it should; zero: none did
}

// Metrics are a weir's. It is safe for use by many goroutines.
type Metrics struct {
	registry *prometheus.Registry
	served   served
}

// served counts the answers of /v2/, by what an answer may be.
type served struct {
	answers [6]prometheus.Counter // by the hundreds of the status
	bySource
}

// bySource has one of each for every pullthrough.Source.
type bySource struct{ hit, miss, join, stale source }

type source struct{ answers, bytes prometheus.Counter }

// New returns the metrics of sources, and of the process.
func New(s Sources) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "weir_requests_total",
		Help: "Requests of container clients that were answered, by class of the status.",
	}, []string{"class"})
	for i, class := range []string{"", "1xx", "2xx", "3xx", "4xx", "5xx"} {
		if class != "" {
			m.served.answers[i] = requests.WithLabelValues(class)
		}
	}
	answers := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "weir_served_total",
		Help: "Manifests and blobs that clients were given, by where they came from.",
	}, []string{"source"})
	bytes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "weir_served_bytes_total",
		Help: "Bytes of manifests and blobs that clients were given, by where they came from.",
	}, []string{"source"})
	of := func(name pullthrough.Source) source {
		return source{answers.WithLabelValues(string(name)), bytes.WithLabelValues(string(name))}
	}
	m.served.bySource = bySource{of(pullthrough.Hit), of(pullthrough.Miss), of(pullthrough.Join), of(pullthrough.Stale)}
	m.registry.MustRegister(requests, answers, bytes, newCollector(s),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Served counts one answer of /v2/: the source that it names ("" for none), its
// status and the bytes of its body.
func (m *Metrics) Served(from string, status int, bytes int64) {
	if class := status / 100; class > 0 && class < len(m.served.answers) {
		m.served.answers[class].Inc()
	}
	var s source
	switch pullthrough.Source(from) {
	case pullthrough.Hit:
		s = m.served.hit
	case pullthrough.Miss:
		s = m.served.miss
	case pullthrough.Join:
		s = m.served.join
	case pullthrough.Stale:
		s = m.served.stale
	default:
		return
	}
	if status < http.StatusBadRequest {
		s.answers.Inc()
		s.bytes.Add(float64(bytes))
	}
}

// Handler answers a scrape. Who may ask is the caller's to say.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 20 * time.Second})
}
