package replicate_test

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/replicate"
	"github.com/weir-registry/weir/internal/rule"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
)

// outcomes is what was told of copies.
type outcomes struct {
	mu  sync.Mutex
	all []replicate.Outcome
}

func (o *outcomes) add(one replicate.Outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, one)
}

// take returns what was told since the last call, by destination and tag.
func (o *outcomes) take() []replicate.Outcome {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.all
	o.all = nil
	slices.SortFunc(all, func(a, b replicate.Outcome) int {
		return cmp.Or(cmp.Compare(a.To.Region, b.To.Region), cmp.Compare(a.Tag, b.Tag))
	})
	return all
}

// TestOutcomes: each copy is told once, when it is there or given up.
func TestOutcomes(t *testing.T) {
	in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
		want := func(what string, want ...replicate.Outcome) {
			t.Helper()
			if diff := gocmp.Diff(want, w.outcomes.take()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		img, bad := upstreamtest.NewImage(1, 10), upstreamtest.NewImage(2, 10)
		w.push("team/app", img, "v1")
		w.drained()
		one := replicate.Outcome{To: east, Repository: "team/app", There: "team/app", Tag: "v1", Digest: img.Digest}
		other := one
		other.To, other.There = west, "copies/of/team/app"
		want("a tag, to two", one, other)
		w.push("team/app", bad)
		w.drained()
		one.Tag, one.Digest, other.Tag, other.Digest = "", bad.Digest, "", bad.Digest
		want("a digest, to two", one, other)

		w.rules(rule.ReplicationRule{Destinations: []rule.Destination{east}})
		w.east.Script(upstreamtest.Fault{Method: "PUT", Path: "/bad/manifests/", Status: http.StatusBadRequest})
		w.push("bad", bad, "v1")
		<-time.After(6 * 24 * time.Hour)
		want("while it is tried")
		<-time.After(2 * 24 * time.Hour)
		want("given up", replicate.Outcome{To: east, Repository: "bad", There: "bad", Tag: "v1", Digest: bad.Digest, Failed: true})
	})
}

// TestNoOutcome: of a copy whose tag was deleted, or that another has, nothing is told.
func TestNoOutcome(t *testing.T) {
	for what, lose := range map[string]func(*world){
		"deleted": func(w *world) {
			_, err := w.db.DeleteTag(w.t.Context(), "app", "v1", time.Now())
			w.must(err)
		},
		"another has it": func(w *world) {
			later := time.Now().Add(time.Hour)
			_, ok, err := w.db.ClaimCopy(w.t.Context(), east, "another", later, later.Add(time.Hour))
			w.must(err)
			if !ok {
				w.t.Error("it cannot be claimed")
			}
		},
	} {
		in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
			w.rules(rule.ReplicationRule{Destinations: []rule.Destination{east}})
			w.east.Script(upstreamtest.Fault{Method: "PUT", Path: "/manifests/", Delay: 10 * time.Second})
			img := upstreamtest.NewImage(1, 10)
			w.push("app", img, "v1")
			<-time.After(5 * time.Second)
			lose(w)
			<-time.After(30 * time.Minute)
			if !whole(w.east, "app", img) {
				t.Errorf("%s: it is not there", what)
			}
			if told := w.outcomes.take(); len(told) > 0 {
				t.Errorf("%s: %+v", what, told)
			}
			stats, err := w.r.Stats(t.Context())
			w.must(err)
			if stats[0].Done != 0 || strings.Contains(w.log.String(), "cannot be stored") {
				t.Errorf("%s: %+v\n%s", what, stats[0], w.log.String())
			}
		})
	}
}
