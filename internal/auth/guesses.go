package auth

import (
	"net/netip"
	"sync"
	"time"
)

// How many wrong secrets one address may try for one access key at once, how long
// it takes to get one of these back, and how many such pairs are remembered.
const (
	burst  = 10
	refill = 6 * time.Second
	pairs  = 4096
)

// guess is who guesses whose secret. It is a pair because one address may be a
// whole network behind NAT, and one key may be guessed from anywhere.
type guess struct {
	id   string
	addr netip.Addr
}

// guesses is a token bucket for each pair that guessed wrong. The zero value has
// none. A pair that is dropped for room begins anew.
type guesses struct {
	mu sync.Mutex
	m  map[guess]bucket
}

// bucket has wrong tokens out of burst; they come back one per refill after at.
type bucket struct {
	wrong int
	at    time.Time
}

func (b bucket) now() bucket {
	back := int(time.Since(b.at) / refill)
	if back >= b.wrong {
		return bucket{at: time.Now()}
	}
	return bucket{b.wrong - back, b.at.Add(time.Duration(back) * refill)}
}

// wait returns how long the pair has to wait before it may try; 0: it may.
func (g *guesses) wait(at guess) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	b, ok := g.m[at]
	if !ok {
		return 0
	}
	if b = b.now(); b.wrong < burst {
		return 0
	}
	return refill - time.Since(b.at)
}

func (g *guesses) wrong(at guess) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.m == nil {
		g.m = map[guess]bucket{}
	}
	b, ok := g.m[at]
	if !ok {
		g.room()
		b.at = time.Now()
	}
	b = b.now()
	b.wrong++
	g.m[at] = b
}

// room drops pairs that have all their tokens back, and failing that any one. mu
// is held.
func (g *guesses) room() {
	if len(g.m) < pairs {
		return
	}
	for at, b := range g.m {
		if b.now().wrong == 0 {
			delete(g.m, at)
		}
	}
	for at := range g.m {
		if len(g.m) < pairs {
			return
		}
		delete(g.m, at)
	}
}

func (g *guesses) forget(at guess) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.m, at)
}
