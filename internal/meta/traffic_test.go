package meta_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

func testTraffic(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	day := time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)
	row := func(at time.Time, prefix string, n int64) rule.TrafficRow {
		return rule.TrafficRow{At: at, Prefix: prefix, Traffic: rule.Traffic{Pulls: n, Hits: n / 2, Bytes: 10 * n, HitBytes: 5 * n, Upstream: 3 * n}}
	}
	diff(t, "none", 0, len(must(db.Traffic(ctx, time.Time{}, time.Hour))(t)))
	check(t, db.AddTraffic(ctx, nil))
	check(t, db.AddTraffic(ctx, []rule.TrafficRow{row(day.Add(5*time.Minute), "hub", 2), row(day.Add(59*time.Minute), "hub", 4), row(day, "", 8)}))
	check(t, db.AddTraffic(ctx, []rule.TrafficRow{row(day.Add(time.Hour), "hub", 1<<40), row(day.Add(-time.Minute), "Zoo/ä", 16)}))

	before, later := day.Add(-time.Hour), day.Add(time.Hour)
	diff(t, "hours", []rule.TrafficRow{row(before, "Zoo/ä", 16), row(day, "", 8), row(day, "hub", 6), row(later, "hub", 1<<40)},
		must(db.Traffic(ctx, time.Time{}, time.Hour))(t))
	diff(t, "since", []rule.TrafficRow{row(later, "hub", 1<<40)}, must(db.Traffic(ctx, day.Add(time.Second), 0))(t))
	diff(t, "days", []rule.TrafficRow{row(day.AddDate(0, 0, -1), "Zoo/ä", 16), row(day, "", 8), row(day, "hub", 1<<40+6)},
		must(db.Traffic(ctx, time.Time{}, 24*time.Hour))(t))

	for _, bad := range []rule.TrafficRow{row(day, "\xff", 1), row(day, "a\x00", 1), row(day, "a", -1)} {
		if err := db.AddTraffic(ctx, []rule.TrafficRow{row(day, "a", 1), bad}); errs.CodeOf(err) != errs.ParamInvalid {
			t.Errorf("%q %d: %v", bad.Prefix, bad.Pulls, err)
		}
	}
	check(t, db.DropTraffic(ctx, day.Add(time.Minute)))
	diff(t, "what is left", []rule.TrafficRow{row(later, "hub", 1<<40)}, must(db.Traffic(ctx, time.Time{}, time.Hour))(t))
}

// testTrafficTogether: what several processes add at once is all there.
func testTrafficTogether(t *testing.T, o meta.Options) {
	dbs := []*meta.DB{open(t, o)}
	if o.Path == "" {
		dbs = append(dbs, open(t, o), open(t, o))
	}
	hour := time.Date(2026, 11, 27, 21, 0, 0, 0, time.UTC)
	var all sync.WaitGroup
	for n := range 60 {
		all.Go(func() {
			err := dbs[n%len(dbs)].AddTraffic(t.Context(), []rule.TrafficRow{{At: hour, Prefix: "hub", Traffic: rule.Traffic{Pulls: 1, Bytes: 10}}})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	diff(t, "the sum", []rule.TrafficRow{{At: hour, Prefix: "hub", Traffic: rule.Traffic{Pulls: 60, Bytes: 600}}},
		must(dbs[0].Traffic(t.Context(), time.Time{}, time.Hour))(t))
}

func testHeld(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	held := func(what string, blobs, bytes int64) {
		t.Helper()
		diff(t, what, meta.Held{Blobs: blobs, Bytes: bytes}, must(db.Held(ctx))(t))
	}
	held("nothing", 0, 0)
	for n, name := range []string{"a", "b"} {
		d := digest.FromString(name)
		check(t, db.Claim(ctx, d, at(1)))
		held("what is claimed", int64(n), int64(n)*100)
		check(t, db.PutBlob(ctx, d, int64(n+1)*100, false, []string{"r"}, at(1)))
	}
	held("both", 2, 300)
	check(t, db.DropBlob(ctx, digest.FromString("a")))
	held("one", 1, 200)
}

// testTagsWith: the tags of images that have a blob, by their index too, and no others.
func testTagsWith(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	layer := digest.FromString("layer")
	put := func(repo, tag, raw string, edges ...oci.Edge) digest.Digest {
		t.Helper()
		m := &oci.Manifest{Raw: []byte(raw)}
		m.Digest, m.Size, m.MediaType = digest.FromString(raw), int64(len(raw)), oci.MediaTypeManifest
		must(db.PutManifest(ctx, repo, m, oci.Edges{List: edges}, tag, at(1)))(t)
		return m.Digest
	}
	edge := func(kind oci.EdgeKind, d digest.Digest) oci.Edge {
		e := oci.Edge{Kind: kind}
		e.Digest = d
		return e
	}
	one := put("r", "b", "one", edge(oci.EdgeLayer, layer), edge(oci.EdgeConfig, digest.FromString("config")))
	put("r", "a", "index", edge(oci.EdgeChild, one))
	put("r", "other", "two", edge(oci.EdgeLayer, digest.FromString("another")))
	put("r", "about", "three", edge(oci.EdgeSubject, one))
	put("s", "elsewhere", "one", edge(oci.EdgeLayer, layer))
	diff(t, "both", []string{"a", "b"}, must(db.TagsWith(ctx, "r", layer, 10))(t))
	diff(t, "one", []string{"b"}, must(db.TagsWith(ctx, "r", layer, 1))(t))
	diff(t, "elsewhere", []string{"elsewhere"}, must(db.TagsWith(ctx, "s", layer, 10))(t))
	shared := digest.FromString("shared")
	for i := range 40 {
		platform := put("m", "", fmt.Sprint("platform", i), edge(oci.EdgeLayer, shared))
		put("m", fmt.Sprintf("v%02d", i), fmt.Sprint("index of ", i), edge(oci.EdgeChild, platform))
	}
	if tags := must(db.TagsWith(ctx, "m", shared, 3))(t); len(tags) != 3 {
		t.Errorf("of a layer that many platforms have: %v", tags)
	}
	diff(t, "of nothing", 0, len(must(db.TagsWith(ctx, "r", digest.FromString("x"), 10))(t)))
	if _, err := db.TagsWith(ctx, "R", layer, 1); errs.CodeOf(err) != errs.NameInvalid {
		t.Error(err)
	}
}
