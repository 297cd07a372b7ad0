package pullthrough

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// Arrival is a blob on its way in.
type Arrival struct {
	Digest   digest.Digest
	Upstream string         // host
	Clients  map[string]int // how many wait for it or follow it, by repository that gets it; 0: it is fetched ahead
	Size     int64          // -1: not known yet
	Arrived  int64          // bytes that are here
	Rate     float64        // bytes in a second, over the last few
	Since    time.Time
	Queued   bool // it waits for a connection: as many transfers as there may be are under way
}

// Arriving tells what is on its way in, the oldest first.
func (c *Cache) Arriving() []Arrival {
	c.mu.Lock()
	all := make([]*ingest, 0, len(c.ingests))
	for _, in := range c.ingests {
		all = append(all, in)
	}
	c.mu.Unlock()
	arrivals := make([]Arrival, 0, len(all))
	for _, in := range all {
		arrivals = append(arrivals, in.arrival(time.Now()))
	}
	slices.SortFunc(arrivals, func(a, b Arrival) int {
		return cmp.Or(a.Since.Compare(b.Since), strings.Compare(string(a.Digest), string(b.Digest)))
	})
	return arrivals
}

func (in *ingest) arrival(now time.Time) Arrival {
	in.mu.Lock()
	defer in.mu.Unlock()
	a := Arrival{
		Digest: in.d, Upstream: in.r.Upstream, Clients: maps.Clone(in.clients), Size: in.size, Arrived: in.written,
		Rate: in.meter.rate(now), Since: in.since, Queued: in.meter.marks[0].at.IsZero() && !in.done,
	}
	if a.Clients == nil {
		a.Clients = map[string]int{}
	}
	for repo := range in.repos {
		a.Clients[repo] += 0
	}
	for _, p := range in.pieces {
		a.Arrived += p.pos - max(p.start, in.written)
	}
	return a
}

// follow counts a client of repo among those who wait, until the function that it returns
// is called.
func (in *ingest) follow(repo string) (leave func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.clients == nil {
		in.clients = map[string]int{}
	}
	in.clients[repo]++
	return func() {
		in.mu.Lock()
		defer in.mu.Unlock()
		if in.clients[repo]--; in.clients[repo] == 0 {
			delete(in.clients, repo)
		}
	}
}

// meter measures how many bytes come in a second, over the last one to two meterSteps.
type meter struct {
	total int64
	last  time.Time // when the last bytes came
	marks [2]mark   // what had come at two moments; the first is zero before the start
}

type mark struct {
	at    time.Time
	total int64
}

const (
	meterStep = 2 * time.Second
	meterStop = 4 * time.Second // without a byte for so long, nothing comes
)

func (m *meter) start(now time.Time) { m.marks = [2]mark{{now, m.total}, {now, m.total}} }

func (m *meter) add(n int64, now time.Time) {
	m.total += n
	m.last = now
	if now.Sub(m.marks[1].at) >= meterStep {
		m.marks = [2]mark{m.marks[1], {now, m.total}}
	}
}

func (m *meter) rate(now time.Time) float64 {
	since := now.Sub(m.marks[0].at)
	if m.marks[0].at.IsZero() || now.Sub(m.last) > meterStop || since <= 0 {
		return 0
	}
	return float64(m.total-m.marks[0].total) / max(since.Seconds(), 0.1)
}
