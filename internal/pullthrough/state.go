package pullthrough

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"
)

// State is what a Cache is at, for those who watch over it.
type State struct {
	Ingests   int             // blobs on their way in
	Upstreams []UpstreamState // that were asked, by host
	Rules     []RuleState     // that were used, by prefix
}

// UpstreamState is what the memories have of an upstream host.
type UpstreamState struct {
	Host    string
	Away    bool // its path is open: held tags are served without asking it
	Limited bool // it wants no manifests asked for, with one of its credentials
}

// RuleState counts for a rule since the Cache was made.
type RuleState struct {
	Prefix  string
	Stale   uint64    // held tags served although their check no longer counts
	Checked time.Time // when its upstream last answered for a manifest; zero: not yet
}

// State returns what the cache is at.
func (c *Cache) State() State {
	c.mu.Lock()
	s := State{Ingests: len(c.ingests)}
	c.mu.Unlock()
	limited := c.quotas.hosts()
	c.paths.mu.Lock()
	for host, p := range c.paths.m {
		s.Upstreams = append(s.Upstreams, UpstreamState{host, p.fails >= strikes, limited[host]})
	}
	c.paths.mu.Unlock()
	c.rules.mu.Lock()
	for _, r := range c.rules.m {
		s.Rules = append(s.Rules, *r)
	}
	c.rules.mu.Unlock()
	slices.SortFunc(s.Upstreams, func(a, b UpstreamState) int { return cmp.Compare(a.Host, b.Host) })
	slices.SortFunc(s.Rules, func(a, b RuleState) int { return cmp.Compare(a.Prefix, b.Prefix) })
	return s
}

// hosts returns the upstream hosts whose quota is used up, with any credential.
func (q *quotas) hosts() map[string]bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := map[string]bool{}
	for key, x := range q.m {
		if host, _, _ := strings.Cut(key, " "); time.Now().Before(x.until) {
			all[host] = true
		}
	}
	return all
}

// rules counts by rule. There are as many as somebody made.
type rules struct {
	mu sync.Mutex
	m  map[string]*RuleState
}

func (r *rules) get(prefix string) *RuleState {
	if r.m == nil {
		r.m = map[string]*RuleState{}
	}
	if r.m[prefix] == nil {
		r.m[prefix] = &RuleState{Prefix: prefix}
	}
	return r.m[prefix]
}

func (r *rules) stale(prefix string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.get(prefix).Stale++
}

func (r *rules) checked(prefix string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.get(prefix).Checked = time.Now()
}
