package events

import (
	"sync"
	"time"
)

// remembered is how many events Last knows.
const remembered = 500

// Event is something that was emitted.
type Event struct {
	ID        string
	At        time.Time
	Kind      string // ImageAction and the others
	Detail    any    // an Image, a PullThrough or a Replication
	Resources []string
}

// ring has the last events.
type ring struct {
	mu   sync.Mutex
	all  []Event // in a circle when it is full
	next int     // the place of the next one
}

func (r *ring) put(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) < remembered {
		r.all = append(r.all, e)
		return
	}
	r.all[r.next] = e
	r.next = (r.next + 1) % remembered
}

// Last returns the last events since the Emitter was made, newest first: 500 at most. They
// are remembered whether or not somebody is to have them.
func (e *Emitter) Last() []Event {
	e.last.mu.Lock()
	defer e.last.mu.Unlock()
	n := len(e.last.all)
	all := make([]Event, n)
	for i := range all {
		all[i] = e.last.all[(e.last.next+2*n-1-i)%n]
	}
	return all
}
