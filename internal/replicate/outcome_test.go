package replicate_test

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
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

// TestFailures: each way to fail has its word in the end.
func TestFailures(t *testing.T) {
	answers := func(status int) func(*world) {
		return func(w *world) { w.east.Script(upstreamtest.Fault{Method: "POST", Status: status}) }
	}
	img := upstreamtest.NewImage(1, 10)
	for word, fail := range map[string]func(*world){
		"DestinationUnreachable":        answers(http.StatusServiceUnavailable),
		"DestinationTimeout":            answers(http.StatusGatewayTimeout),
		"DestinationThrottled":          answers(http.StatusTooManyRequests),
		"DestinationAccessDenied":       answers(http.StatusForbidden),
		"DestinationRepositoryNotFound": answers(http.StatusNotFound),
		"DestinationRefused":            answers(http.StatusInsufficientStorage),
		"ContentMissing": func(w *world) {
			w.must(w.db.DropBlob(w.t.Context(), digest.FromBytes(img.Layers[0])))
		},
		"InternalError": func(w *world) {
			m := oci.Manifest{Raw: []byte("{"), Descriptor: oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: digest.FromString("{"), Size: 1}}
			w.must(w.db.PutImage(w.t.Context(), meta.Push{Repository: "app", Manifest: &m, Tags: []string{"v1"}, At: time.Now()}))
		},
	} {
		in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
			w.rules(rule.ReplicationRule{Destinations: []rule.Destination{east}})
			w.r.Close()
			w.options.GiveUp = time.Hour
			w.push("app", img, "v1")
			fail(w)
			w.r = replicate.Run(w.options)
			<-time.After(2 * time.Hour)
			got := w.outcomes.take()
			if len(got) != 1 || !got[0].Failed {
				t.Fatalf("%s: %+v\n%s", word, got, w.log.String())
			}
			all, err := w.db.ReplicationStatuses(t.Context(), "app", got[0].Digest)
			w.must(err)
			if len(all) != 1 || all[0].Failure != word || all[0].Reason == "" {
				t.Errorf("%s: %+v", word, all)
			}
		})
	}
}

// TestNested: what an index names, twice or deep within, is copied once, and what is nested
// too deeply is no copy that is complete.
func TestNested(t *testing.T) {
	for deep, want := range map[int]int{9: 2 + 1 + 9, 10: 0} {
		in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
			w.rules()
			img := upstreamtest.NewImage(1, 10)
			w.push("app", img)
			chain := []oci.Manifest{img.Manifest}
			for range deep {
				last := chain[len(chain)-1]
				entry := fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, last.MediaType, last.Digest, len(last.Raw))
				raw := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s,%s]}`, oci.MediaTypeIndex, entry, entry)
				m := oci.Manifest{Raw: []byte(raw), Descriptor: oci.Descriptor{MediaType: oci.MediaTypeIndex, Digest: digest.FromString(raw), Size: int64(len(raw))}}
				chain = append(chain, m)
			}
			for _, m := range chain[:deep] {
				w.put("app", m)
			}
			w.rules(rule.ReplicationRule{Destinations: []rule.Destination{east}})
			w.put("app", chain[deep], "v1")
			<-time.After(10 * time.Second)
			for i, m := range chain {
				if has := w.east.Has("app", string(m.Digest)); has != (want > 0) {
					t.Errorf("of %d, index %d from within: %t", deep, i, has)
				}
			}
			if n := requests(w.east, "PUT"); n != want {
				t.Errorf("of %d: %d bodies, want %d", deep, n, want)
			}
			all, err := w.db.ReplicationStatuses(t.Context(), "app", chain[deep].Digest)
			w.must(err)
			if len(all) != 1 || (want == 0) != (all[0].Failure != "" || all[0].Waiting) {
				t.Errorf("of %d: %+v", deep, all)
			}
			if want == 0 && !strings.Contains(w.log.String(), "failure=ContentUnsupported") {
				t.Errorf("of %d:\n%s", deep, w.log.String())
			}
		})
	}
}
