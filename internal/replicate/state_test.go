package replicate_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/replicate"
	"github.com/weir-registry/weir/internal/rule"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
)

// TestStates: why copies wait is told while they do, with those of a destination that
// nothing is known of.
func TestStates(t *testing.T) {
	in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
		north := rule.Destination{Region: "north", RegistryID: "3"}
		w.rules(rule.ReplicationRule{Destinations: []rule.Destination{east, north}})
		states := func(want ...replicate.State) {
			t.Helper()
			got, err := w.r.States(t.Context())
			w.must(err)
			for i := range got {
				if got[i].Failure != "" && time.Since(got[i].FailedAt) > time.Hour || (got[i].Failure == "") != got[i].FailedAt.IsZero() {
					t.Errorf("failed at %s", got[i].FailedAt)
				}
				got[i].FailedAt = time.Time{}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("states (-want +got):\n%s", diff)
			}
		}
		states(replicate.State{Destination: east, Known: true}, replicate.State{Destination: west, Known: true})
		w.east.Script(upstreamtest.Fault{Method: "POST", Status: http.StatusServiceUnavailable})
		start := time.Now().UTC()
		w.push("app", upstreamtest.NewImage(1, 10), "v1")
		<-time.After(3 * time.Hour)
		states(replicate.State{Destination: east, Known: true, Waiting: 1, Oldest: start, Failure: "DestinationUnreachable"},
			replicate.State{Destination: west, Known: true}, replicate.State{Destination: north, Waiting: 1, Oldest: start})
		w.east.Script()
		<-time.After(3 * time.Hour)
		states(replicate.State{Destination: east, Known: true}, replicate.State{Destination: west, Known: true}, replicate.State{Destination: north, Waiting: 1, Oldest: start})
	})
}
