package replicate

import (
	"context"
	"slices"
	"time"

	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/rule"
)

// lastFailure is how a copy failed: a word, as in the status of its image.
type lastFailure struct {
	word string
	at   time.Time
}

// State is how it stands with the copies to a destination.
type State struct {
	rule.Destination
	Known   bool // it is among the Options' Destinations
	Waiting int64
	Oldest  time.Time // when the oldest that waits was pushed; zero: nothing waits

	// How the last copy failed that this process tried, and when; "": it did not.
	Failure  string
	FailedAt time.Time
}

// States returns those of the Options' Destinations, in their order, and others for which
// something waits. What waits may be what was waiting a little earlier.
func (r *Replicator) States(ctx context.Context) ([]State, error) {
	var all []State
	for _, d := range r.all {
		s := State{Destination: d.Destination.Destination, Known: true}
		if f := d.last.Load(); f != nil {
			s.Failure, s.FailedAt = f.word, f.at
		}
		all = append(all, s)
	}
	queues, err := r.waiting(ctx)
	if err != nil {
		return nil, err
	}
	for _, q := range queues {
		i := slices.IndexFunc(all, func(s State) bool { return s.Destination == q.To })
		if i < 0 {
			i = len(all)
			all = append(all, State{Destination: q.To})
		}
		all[i].Waiting, all[i].Oldest = q.Length, q.Oldest
	}
	return all, nil
}

// waiting returns the queues that are not empty, as they are or were a little earlier.
func (r *Replicator) waiting(ctx context.Context) ([]meta.ReplicationQueue, error) {
	return r.queues.get(func() ([]meta.ReplicationQueue, error) { return r.o.DB.ReplicationQueues(ctx) })
}
