package meta_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/lifecycle"
	"github.com/weir-registry/weir/internal/meta"
)

const day = 24 * time.Hour

// expiry is a policy that expires all images that its words select.
func expiry(selection string) string {
	return `{"rules":[{"rulePriority":7,"selection":{` + selection + `},"action":{"type":"expire"}}]}`
}

var (
	keepOne = expiry(`"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1`)
	unused  = expiry(`"tagStatus":"any","countType":"sinceImagePulled","countUnit":"days","countNumber":1`)
)

// evaluate is a batch of all that a policy does to r at at.
func evaluate(t *testing.T, db *meta.DB, policy string, at time.Time) meta.LifecycleBatch {
	t.Helper()
	p := must(lifecycle.Parse(policy, false))(t)
	facts := must(db.Facts(t.Context(), "r"))(t)
	return meta.LifecycleBatch{Repository: "r", Policy: policy, Facts: facts, Marks: p.Evaluate(facts.Images, at), At: at}
}

// called is what things with these digests are called, in order.
func called(digests []digest.Digest, all ...string) []string {
	found := []string{}
	for _, d := range digests {
		i := slices.IndexFunc(all, func(s string) bool { return name(s) == d })
		if i < 0 {
			found = append(found, string(d))
			continue
		}
		found = append(found, all[i])
	}
	slices.Sort(found)
	return found
}

var everything = []string{"m1", "m2", "m3", "idx", "amd", "arm", "sig", "sigsig", "other"}

// held are the manifests of r, archived ones with a star.
func held(t *testing.T, db *meta.DB) []string {
	t.Helper()
	found := []string{}
	for _, m := range first(db.Images(t.Context(), "r", meta.Which{}, "", 1000))(t) {
		s := called([]digest.Digest{m.Digest}, everything...)[0]
		if m.Archived {
			s += "*"
		}
		found = append(found, s)
	}
	slices.Sort(found)
	return found
}

func testPolicies(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	_, err := db.LifecyclePolicy(ctx, "r")
	wantCode(t, "no repository", errs.RepoUnknown, err)
	wantCode(t, "put, no repository", errs.RepoUnknown, db.PutLifecyclePolicy(ctx, "r", keepOne))
	own(t, db, "r", "other")
	_, err = db.LifecyclePolicy(ctx, "r")
	wantCode(t, "no policy", errs.LifecycleUnknown, err)
	_, err = db.DeleteLifecyclePolicy(ctx, "r")
	wantCode(t, "no policy to delete", errs.LifecycleUnknown, err)
	text := " \t" + keepOne + "\x00\xff"
	check(t, db.PutLifecyclePolicy(ctx, "r", text))
	diff(t, "as it was put", meta.LifecyclePolicy{Text: text}, must(db.LifecyclePolicy(ctx, "r"))(t))
	check(t, db.EvaluatedLifecycle(ctx, "r", keepOne, at(1)))
	check(t, db.EvaluatedLifecycle(ctx, "r", text, at(3)))
	check(t, db.EvaluatedLifecycle(ctx, "r", text, at(2)))
	diff(t, "evaluated", meta.LifecyclePolicy{Text: text, Evaluated: at(3)}, must(db.LifecyclePolicy(ctx, "r"))(t))
	check(t, db.PutLifecyclePolicy(ctx, "r", unused))
	diff(t, "a new one was not evaluated", meta.LifecyclePolicy{Text: unused}, must(db.LifecyclePolicy(ctx, "r"))(t))
	putManifest(t, db, "cached", "", 0, "m1")
	all := []meta.Lifecycle{{Repository: "cached", Cached: true}, {Repository: "r", Policy: unused}}
	diff(t, "lifecycles", all, must(db.Lifecycles(ctx, "", 9))(t))
	diff(t, "by pages", all[1:], must(db.Lifecycles(ctx, "cached", 1))(t))
	diff(t, "deleted", meta.LifecyclePolicy{Text: unused}, must(db.DeleteLifecyclePolicy(ctx, "r"))(t))
	_, err = db.LifecyclePolicy(ctx, "r")
	wantCode(t, "after the deletion", errs.LifecycleUnknown, err)

	check(t, db.CreateRepository(ctx, meta.Repository{Name: "made", Created: at(0), LifecyclePolicy: unused}))
	diff(t, "made with one", unused, must(db.LifecyclePolicy(ctx, "made"))(t).Text)
	must(db.DeleteRepository(ctx, "made", false))(t)
	own(t, db, "made")
	_, err = db.LifecyclePolicy(ctx, "made")
	wantCode(t, "made anew", errs.LifecycleUnknown, err)
}

// testFacts: all that rules go by, whatever the pages, with pulls that are not written.
func testFacts(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	putBlob(t, db, "c", 0, "r")
	putBlob(t, db, "l", 0, "r")
	putManifest(t, db, "r", "", 1, "amd", "config c", "layer l")
	putManifest(t, db, "r", "v2", 2, "idx", "child amd linux/amd64", "child gone linux/arm64")
	putManifest(t, db, "r", "v1", 3, "idx")
	putManifest(t, db, "r", "", 4, "sig", "subject idx")
	must(db.SetArchived(ctx, "r", name("sig"), true, at(5)))(t)
	db.Touch("r", "", name("idx"), at(60))
	check(t, push(t, db, "r", "amd", nil))                                 // again, at second 1
	wantCode(t, "there", errs.ImageExists, strict(t, db, "r", "idx", nil)) // also at second 1
	db.Needed("r", name("sig"), at(61))
	db.Served("r", name("idx"), at(62)) // which is nothing to policies
	want := []lifecycle.Image{
		{Digest: name("amd"), Pushed: at(1), Pulled: at(1), Needed: at(1)},
		{Digest: name("idx"), Pushed: at(2), Pulled: at(60), Needed: at(1), Tags: []string{"v1", "v2"}, Children: []digest.Digest{name("amd"), name("gone")}},
		{Digest: name("sig"), Pushed: at(4), Pulled: at(4), Needed: at(61), Subject: name("idx"), Archived: true, Moved: at(5)},
	}
	got := must(db.Facts(ctx, "r"))(t).Images
	slices.SortFunc(got, func(a, b lifecycle.Image) int { return a.Pushed.Compare(b.Pushed) })
	diff(t, "facts", want, got)
	putManifest(t, db, "r", "v1", 6, "m1")
	left := must(db.Left(ctx, "r"))(t)
	diff(t, "left by tags", []bool{true, false, false}, []bool{left[name("idx")], left[name("amd")], left[name("m1")]})
	diff(t, "of nothing", 0, len(must(db.Facts(ctx, "none"))(t).Images))
	_, err := db.Facts(ctx, "R")
	wantCode(t, "malformed", errs.NameInvalid, err)
}

// testManyFacts: what is read of a large repository is read by pages, without the
// manifests themselves.
func testManyFacts(t *testing.T, o meta.Options) {
	db := open(t, o)
	own(t, db, "r")
	const n = 10_000
	tx := must(db.Pool().BeginTx(t.Context(), nil))(t)
	filler := strings.Repeat("x", 3000)
	for i := range n {
		_, err := tx.ExecContext(t.Context(), `INSERT INTO manifests (repository, digest, media_type, stored_at, pulled_at, raw) VALUES ('r', $1, $2, $3, $3, $4)`,
			string(name(fmt.Sprint(i))), []byte("m"), int64(i+1), []byte(filler))
		check(t, err)
	}
	check(t, tx.Commit())
	before := db.Queries()
	facts := must(db.Facts(t.Context(), "r"))(t)
	diff(t, "images", n, len(facts.Images))
	if reads := db.Queries() - before; reads < n/1000*3 || reads > n/1000*3+5 {
		t.Errorf("%d statements for %d images: pages have 1000", reads, n)
	}
	for _, s := range meta.Statements() {
		if strings.Contains(s, "FROM manifests m LEFT JOIN storage") && strings.Contains(s, "raw") {
			t.Errorf("facts are read with the manifests: %s", s)
		}
	}
}

func testApply(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	own(t, db, "r")
	putManifest(t, db, "r", "", 1, "amd", "config c")
	putManifest(t, db, "r", "old", 2, "idx", "child amd linux/amd64")
	putManifest(t, db, "r", "", 3, "sig", "subject idx")
	putManifest(t, db, "r", "", 4, "sigsig", "subject sig")
	putManifest(t, db, "r", "v1", 5, "m1")
	check(t, db.PutLifecyclePolicy(ctx, "r", keepOne))
	b := evaluate(t, db, keepOne, at(10))
	done := must(db.ApplyLifecycle(ctx, b))(t)
	diff(t, "what is left", []string{"m1"}, held(t, db))
	diff(t, "spared", 0, done.Spared)
	want := []meta.LifecycleEvent{
		{N: 1, Digest: name("sigsig"), Subject: name("idx"), Pushed: at(4)},
		{N: 2, Digest: name("sig"), Subject: name("idx"), Pushed: at(3)},
		{N: 3, Digest: name("idx"), Tags: []string{"old"}, Pushed: at(2)},
		{N: 4, Digest: name("amd"), Pushed: at(1)},
	}
	for i := range want {
		want[i].At, want[i].Action, want[i].Priority = at(10), lifecycle.Expire, 7
	}
	diff(t, "events", want, done.Events)
	slices.Reverse(want)
	diff(t, "events in the database", want[:3], must(db.LifecycleEvents(ctx, "r", 0, 3))(t))
	diff(t, "the rest of them", want[3:], must(db.LifecycleEvents(ctx, "r", 2, 3))(t))
	moves := must(db.History(ctx, "r", "old", 9))(t)
	if len(moves) != 2 || moves[0].To != "" {
		t.Errorf("history of the tag: %v", moves)
	}
	diff(t, "applied again", meta.LifecycleDone{Spared: 2}, must(db.ApplyLifecycle(ctx, b))(t))
}

// testApplyRechecks: whatever changed since the facts were read saves an image.
func testApplyRechecks(t *testing.T, o meta.Options) {
	ctx := t.Context()
	later := at(0).Add(9 * day)
	for what, change := range map[string]struct {
		policy string
		f      func(db *meta.DB) error
		left   []string
	}{
		"nothing":         {unused, func(*meta.DB) error { return nil }, []string{}},
		"a tag came":      {unused, func(db *meta.DB) error { putManifest(t, db, "r", "new", 99, "m1"); return nil }, []string{"m1"}},
		"a tag went":      {unused, func(db *meta.DB) error { _, err := db.DeleteTag(ctx, "r", "v2", later); return err }, []string{"m2"}},
		"a tag moved":     {unused, func(db *meta.DB) error { putManifest(t, db, "r", "v2", 99, "m3"); return nil }, []string{"m2", "m3"}},
		"a pull":          {unused, func(db *meta.DB) error { db.Touch("r", "", name("m3"), later); return nil }, []string{"m3"}},
		"it was needed":   {unused, func(db *meta.DB) error { db.Needed("r", name("m3"), later); return nil }, []string{"m3"}},
		"it was given":    {unused, func(db *meta.DB) error { db.Served("r", name("m3"), later); return nil }, []string{}},
		"pushed again":    {unused, func(db *meta.DB) error { return push(t, db, "r", "m2", nil) }, []string{"m2"}},
		"an index came":   {unused, func(db *meta.DB) error { putManifest(t, db, "r", "", 99, "idx", "child m1 linux/amd64"); return nil }, []string{"idx", "m1"}},
		"it is archived":  {unused, func(db *meta.DB) error { _, err := db.SetArchived(ctx, "r", name("m1"), true, later); return err }, []string{"m1*"}},
		"it is gone":      {unused, func(db *meta.DB) error { _, err := db.DeleteManifest(ctx, "r", name("m1"), later); return err }, []string{}},
		"of three, one":   {keepOne, func(*meta.DB) error { return nil }, []string{"m3"}},
		"the newest went": {keepOne, func(db *meta.DB) error { _, err := db.DeleteManifest(ctx, "r", name("m3"), later); return err }, []string{"m1", "m2"}},
		"its tag went":    {keepOne, func(db *meta.DB) error { _, err := db.DeleteTag(ctx, "r", "v3", later); return err }, []string{"m1", "m2", "m3"}},
		"one came":        {keepOne, func(db *meta.DB) error { putManifest(t, db, "r", "", 99, "other"); return nil }, []string{"m1", "m2", "m3", "other"}},
	} {
		db := open(t, o)
		_, err := db.DeleteRepository(ctx, "r", true)
		if err != nil && errs.CodeOf(err) != errs.RepoUnknown {
			t.Fatal(err)
		}
		own(t, db, "r")
		for i := range 3 {
			putManifest(t, db, "r", fmt.Sprint("v", i+1), i+1, fmt.Sprint("m", i+1))
		}
		check(t, db.PutLifecyclePolicy(ctx, "r", change.policy))
		b := evaluate(t, db, change.policy, later)
		check(t, change.f(db))
		must(db.ApplyLifecycle(ctx, b))(t)
		diff(t, what, change.left, held(t, db))
	}

	db := open(t, o)
	must(db.DeleteRepository(ctx, "r", true))(t)
	own(t, db, "r")
	putManifest(t, db, "r", "", 1, "m1")
	check(t, db.PutLifecyclePolicy(ctx, "r", unused))
	b := evaluate(t, db, unused, later)
	b.Spare = at(0)
	diff(t, "used a moment ago", 1, must(db.ApplyLifecycle(ctx, b))(t).Spared)
	b.Spare = time.Time{}
	check(t, db.PutLifecyclePolicy(ctx, "r", keepOne))
	_, err := db.ApplyLifecycle(ctx, b)
	wantCode(t, "another policy", errs.Conflict, err)
	must(db.DeleteLifecyclePolicy(ctx, "r"))(t)
	_, err = db.ApplyLifecycle(ctx, b)
	wantCode(t, "no policy", errs.Conflict, err)
	b.Policy = ""
	if events := must(db.ApplyLifecycle(ctx, b))(t).Events; len(events) == 0 {
		t.Error("without a policy, weir's own did nothing")
	}
	must(db.DeleteRepository(ctx, "r", true))(t)
	_, err = db.ApplyLifecycle(ctx, b)
	wantCode(t, "no repository", errs.RepoUnknown, err)
}

// testCountRechecks: what a rule that counts images went by is looked at again, also where as
// many images came as left, and whatever the clock says.
func testCountRechecks(t *testing.T, o meta.Options) {
	ctx := t.Context()
	const (
		untagged = `"tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":1`
		tagged   = `"tagStatus":"tagged","tagPrefixList":["p"],"countType":"imageCountMoreThan","countNumber":1`
	)
	gone := func(db *meta.DB, s string) { must(db.DeleteManifest(ctx, "r", name(s), at(9)))(t) }
	for what, change := range map[string]struct {
		selection string
		f         func(db *meta.DB)
		left      []string
	}{
		"nothing":              {untagged, func(*meta.DB) {}, []string{"m2"}},
		"nothing, tagged":      {tagged, func(*meta.DB) {}, []string{"m2"}},
		"a swap":               {untagged, func(db *meta.DB) { gone(db, "m2"); putManifest(t, db, "r", "new", 9, "other") }, []string{"m1", "other"}},
		"one got a tag":        {untagged, func(db *meta.DB) { putManifest(t, db, "r", "new", 9, "m2") }, []string{"m1", "m2"}},
		"one was pushed":       {untagged, func(db *meta.DB) { check(t, push(t, db, "r", "m2", nil, "new")) }, []string{"m1", "m2"}},
		"one was archived":     {untagged, func(db *meta.DB) { must(db.SetArchived(ctx, "r", name("m2"), true, at(9)))(t) }, []string{"m1", "m2*"}},
		"a tag went long ago":  {tagged, func(db *meta.DB) { must(db.DeleteTag(ctx, "r", "p2", at(-9999)))(t) }, []string{"m1", "m2"}},
		"a tag moved long ago": {tagged, func(db *meta.DB) { putManifest(t, db, "r", "p2", -9999, "other", "subject m2") }, []string{"m1", "m2", "other"}},
		"another policy meanwhile": {untagged, func(db *meta.DB) {
			must(db.DeleteLifecyclePolicy(ctx, "r"))(t)
			gone(db, "m2")
			check(t, db.PutLifecyclePolicy(ctx, "r", expiry(untagged)))
		}, []string{"m1"}},
		"a change that changes nothing": {untagged, func(db *meta.DB) {
			putManifest(t, db, "r", "", 9, "m2")
			db.Touch("r", "", name("m2"), at(9))
			own(t, db, "r2")
			putManifest(t, db, "r2", "v1", 9, "m1")
			must(db.DeleteRepository(ctx, "r2", true))(t)
		}, []string{"m2"}},
	} {
		db := open(t, o)
		if _, err := db.DeleteRepository(ctx, "r", true); err != nil && errs.CodeOf(err) != errs.RepoUnknown {
			t.Fatal(err)
		}
		own(t, db, "r")
		tags := [2]string{}
		if change.selection == tagged {
			tags = [2]string{"p1", "p2"}
		}
		check(t, db.PutLifecyclePolicy(ctx, "r", expiry(change.selection)))
		putManifest(t, db, "r", tags[0], 1, "m1")
		putManifest(t, db, "r", tags[1], 2, "m2")
		b := evaluate(t, db, expiry(change.selection), at(10))
		change.f(db)
		for range 2 { // what is stale stays so
			must(db.ApplyLifecycle(ctx, b))(t)
		}
		diff(t, what, change.left, held(t, db))
	}
}

// testFollowRechecks: what came to something that is about an image, or about that, since
// the facts were read saves them all.
func testFollowRechecks(t *testing.T, o meta.Options) {
	ctx := t.Context()
	later := at(0).Add(9 * day)
	for what, change := range map[string]struct {
		f    func(db *meta.DB) error
		left []string
	}{
		"nothing":        {func(*meta.DB) error { return nil }, []string{}},
		"a tag came":     {func(db *meta.DB) error { putManifest(t, db, "r", "new", 99, "sigsig"); return nil }, []string{"m1", "sig", "sigsig"}},
		"a tag went":     {func(db *meta.DB) error { _, err := db.DeleteTag(ctx, "r", "sig", later); return err }, []string{"m1", "sig", "sigsig"}},
		"a pull":         {func(db *meta.DB) error { db.Touch("r", "", name("sigsig"), later); return nil }, []string{"m1", "sig", "sigsig"}},
		"it is archived": {func(db *meta.DB) error { _, err := db.SetArchived(ctx, "r", name("sigsig"), true, later); return err }, []string{"m1", "sig", "sigsig*"}},
		"it is gone":     {func(db *meta.DB) error { _, err := db.DeleteManifest(ctx, "r", name("sigsig"), later); return err }, []string{"m1", "sig"}},
	} {
		db := open(t, o)
		_, err := db.DeleteRepository(ctx, "r", true)
		if err != nil && errs.CodeOf(err) != errs.RepoUnknown {
			t.Fatal(err)
		}
		own(t, db, "r")
		putManifest(t, db, "r", "v1", 1, "m1")
		putManifest(t, db, "r", "sig", 2, "sig", "subject m1")
		putManifest(t, db, "r", "", 3, "sigsig", "subject sig")
		check(t, db.PutLifecyclePolicy(ctx, "r", unused))
		b := evaluate(t, db, unused, later)
		b.Spare = at(3)
		check(t, change.f(db))
		must(db.ApplyLifecycle(ctx, b))(t)
		diff(t, what, change.left, held(t, db))
	}

	// weir's own rule; the evaluation leaves these out, and so does this.
	for what, of := range map[string]struct {
		tag   string
		spare time.Time
		left  []string
	}{
		"no tag":       {"", at(3), []string{}},
		"a tag":        {"sigsig", at(3), []string{"m1", "sig", "sigsig"}},
		"a new pull":   {"", at(2), []string{"m1", "sig", "sigsig"}},
		"the last one": {"moves", at(3), []string{"m1", "other", "sig", "sigsig"}},
	} {
		db := open(t, o)
		must(db.DeleteRepository(ctx, "r", true))(t)
		putManifest(t, db, "r", "", 1, "m1")
		putManifest(t, db, "r", "", 2, "sig", "subject m1")
		putManifest(t, db, "r", of.tag, 3, "sigsig", "subject sig")
		if of.tag == "moves" { // to what is not whole
			putManifest(t, db, "r", of.tag, 3, "other", "layer nowhere")
		}
		b := evaluate(t, db, unused, later)
		b.Policy, b.Spare = "", of.spare
		b.Marks = slices.DeleteFunc(b.Marks, func(m lifecycle.Mark) bool { return m.Image.Digest != name("m1") })
		must(db.ApplyLifecycle(ctx, b))(t)
		diff(t, what, of.left, held(t, db))
	}
}

func testEventsBounded(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	own(t, db, "r")
	check(t, db.PutLifecyclePolicy(ctx, "r", unused))
	for i := range 1010 {
		putManifest(t, db, "r", "", 1, fmt.Sprint(i))
	}
	b := evaluate(t, db, unused, at(0).Add(9*day))
	diff(t, "events told", 1010, len(must(db.ApplyLifecycle(ctx, b))(t).Events))
	events := must(db.LifecycleEvents(ctx, "r", 0, 5000))(t)
	diff(t, "events kept", []int64{1000, 1010, 11}, []int64{int64(len(events)), events[0].N, events[len(events)-1].N})
}

func testPreviews(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	_, err := db.Preview(ctx, "r", at(0))
	wantCode(t, "no repository", errs.RepoUnknown, err)
	own(t, db, "r")
	_, err = db.Preview(ctx, "r", at(0))
	wantCode(t, "no preview", errs.PreviewUnknown, err)
	check(t, db.StartPreview(ctx, "r", unused, at(1)))
	wantCode(t, "two at once", errs.PreviewRunning, db.StartPreview(ctx, "r", unused, at(2)))
	diff(t, "in progress", meta.Preview{Text: unused, Status: meta.PreviewInProgress, Started: at(1)}, must(db.Preview(ctx, "r", at(2)))(t))
	results := []meta.PreviewResult{
		{Digest: name("m1"), Tags: []string{"a", "b"}, Pushed: at(1), Action: lifecycle.Expire, Priority: 2},
		{Digest: name("m2"), Pushed: at(2), Archived: true, Action: lifecycle.Expire, Priority: 3},
		{Digest: name("m3"), Pushed: at(2), Action: lifecycle.Transition, Priority: 1},
	}
	slices.SortFunc(results, func(a, b meta.PreviewResult) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
	check(t, db.AddPreviewResults(ctx, "r", at(1), results[:1]))
	check(t, db.AddPreviewResults(ctx, "r", at(1), results[1:]))
	wantCode(t, "another one's", errs.Conflict, db.AddPreviewResults(ctx, "r", at(0), results))
	ended := meta.Preview{Text: unused, Status: meta.PreviewComplete, Started: at(1), Expire: 2, Archive: 1}
	check(t, db.EndPreview(ctx, "r", ended))
	wantCode(t, "ended twice", errs.Conflict, db.EndPreview(ctx, "r", ended))
	check(t, db.Close())
	db = open(t, o)
	diff(t, "complete", ended, must(db.Preview(ctx, "r", at(2)))(t))
	var got []meta.PreviewResult
	for after := digest.Digest(""); len(got) < 3; after = got[len(got)-1].Digest {
		got = append(got, must(db.PreviewResults(ctx, "r", "", after, 1))(t)...)
	}
	diff(t, "results", results, got)
	diff(t, "tagged", 1, len(must(db.PreviewResults(ctx, "r", meta.TaggedImages, "", 9))(t)))
	diff(t, "untagged", 2, len(must(db.PreviewResults(ctx, "r", meta.UntaggedImages, "", 9))(t)))
	diff(t, "one", &results[1], must(db.PreviewResult(ctx, "r", results[1].Digest))(t))
	if p := must(db.PreviewResult(ctx, "r", name("x")))(t); p != nil {
		t.Errorf("result for what stays: %v", p)
	}
	diff(t, "expired", meta.PreviewExpired, must(db.Preview(ctx, "r", at(2).Add(day)))(t).Status)
	diff(t, "nothing is old", 0, must(db.DropPreviews(ctx, at(0).Add(6*day), 9))(t))
	check(t, db.StartPreview(ctx, "r", keepOne, at(9)))
	check(t, db.EndPreview(ctx, "r", meta.Preview{Status: meta.PreviewFailed, Started: at(9)}))
	diff(t, "failed", meta.Preview{Text: keepOne, Status: meta.PreviewFailed, Started: at(9)}, must(db.Preview(ctx, "r", at(10)))(t))
	check(t, db.StartPreview(ctx, "r", keepOne, at(20)))
	diff(t, "left by a crash", meta.PreviewFailed, must(db.Preview(ctx, "r", at(321)))(t).Status)
	check(t, db.StartPreview(ctx, "r", unused, at(400)))
	diff(t, "an old one", 1, must(db.DropPreviews(ctx, at(0).Add(8*day), 9))(t))
	_, err = db.Preview(ctx, "r", at(401))
	wantCode(t, "dropped", errs.PreviewUnknown, err)
}

// testLifecycleTogether: a run beside pushes, pulls and moves of tags removes nothing
// that was in use when it was removed.
func testLifecycleTogether(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := pair(t, o)
	own(t, db[0], "r")
	check(t, db[0].PutLifecyclePolicy(ctx, "r", unused))
	later := at(0).Add(9 * day)
	for i := range rounds {
		old, fresh := fmt.Sprint("old", i), fmt.Sprint("fresh", i)
		putManifest(t, db[0], "r", fmt.Sprint("t", i), 1, old)
		putManifest(t, db[0], "r", fmt.Sprint("u", i), 1, fresh)
		b := evaluate(t, db[0], unused, later)
		var done meta.LifecycleDone
		m, e := manifest(t, old)
		together(t,
			func() (err error) {
				done, err = db[0].ApplyLifecycle(ctx, b)
				return err
			},
			func() error { // the tag comes to the old image
				_, err := db[1].PutManifest(ctx, "r", m, e, fmt.Sprint("u", i), later)
				return err
			},
		)
		tag := must(db[1].Tag(ctx, "r", fmt.Sprint("u", i)))(t)
		diff(t, "the tag that was pushed", name(old), tag.Digest)
		if _, err := db[1].Manifest(ctx, "r", tag.Digest); err != nil {
			t.Errorf("round %d: a tag is of an image that is gone: %v (%d events)", i, err, len(done.Events))
		}
	}
	// Two runs do nothing twice.
	b := evaluate(t, db[0], unused, later.Add(9*day))
	other := evaluate(t, db[1], unused, later.Add(9*day))
	var done [2]meta.LifecycleDone
	together(t,
		func() (err error) { done[0], err = db[0].ApplyLifecycle(ctx, b); return err },
		func() (err error) { done[1], err = db[1].ApplyLifecycle(ctx, other); return err },
	)
	if n := len(done[0].Events) + len(done[1].Events); n != len(b.Marks) {
		t.Errorf("%d events for %d marks", n, len(b.Marks))
	}
}

func testArchive(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	own(t, db, "r")
	put := func() {
		putManifest(t, db, "r", "", 1, "amd", "config c", "layer l1", "layer l2")
		putManifest(t, db, "r", "arm", 2, "arm", "config c2", "layer l1")
		putManifest(t, db, "r", "v1", 3, "idx", "child amd linux/amd64", "child arm linux/arm64")
		putManifest(t, db, "r", "", 4, "sig", "subject idx")
		putManifest(t, db, "r", "", 5, "sigsig", "subject sig")
	}
	put()
	diff(t, "no archive", false, must(db.DescribeRepository(ctx, "r"))(t).Archives)
	_, err := db.SetArchived(ctx, "r", name("amd"), true, at(9))
	wantCode(t, "a part of an index", errs.StorageUnsupported, err)
	_, err = db.SetArchived(ctx, "r", name("none"), true, at(9))
	wantCode(t, "not there", errs.ManifestUnknown, err)
	_, err = db.SetArchived(ctx, "none", name("none"), true, at(9))
	wantCode(t, "no repository", errs.RepoUnknown, err)

	got := must(db.SetArchived(ctx, "r", name("idx"), true, at(10)))(t)
	diff(t, "archived", meta.Storage{Archived: true, ArchivedAt: at(10)}, got.Storage)
	diff(t, "tags stay", []string{"v1"}, got.Tags)
	diff(t, "all that goes with it", []string{"amd*", "arm", "idx*", "sig*", "sigsig*"}, held(t, db))
	diff(t, "an archive", true, must(db.DescribeRepository(ctx, "r"))(t).Archives)
	for s, want := range map[string]bool{"idx": true, "amd": true, "arm": false, "none": false} {
		diff(t, s+" is archived", want, must(db.Archived(ctx, "r", name(s)))(t))
	}
	for s, want := range map[string]bool{"l2": true, "c": true, "l1": false, "c2": false, "none": false} {
		diff(t, "blob "+s+" is archived", want, must(db.InArchive(ctx, "r", name(s)))(t))
	}
	diff(t, "again", got, must(db.SetArchived(ctx, "r", name("idx"), true, at(11)))(t))

	which := func(w meta.Which) []string {
		var images, ids []digest.Digest
		for _, m := range first(db.Images(ctx, "r", w, "", 99))(t) {
			images = append(images, m.Digest)
		}
		for _, id := range first(db.ImageIDs(ctx, "r", w, meta.ImageID{}, 99))(t) {
			ids = append(ids, id.Digest)
		}
		diff(t, "names and images", called(images, everything...), called(ids, everything...))
		return called(images, everything...)
	}
	diff(t, "active ones", []string{"arm"}, which(meta.Which{Status: meta.ActiveImages}))
	diff(t, "archived ones", []string{"amd", "idx", "sig", "sigsig"}, which(meta.Which{Status: meta.ArchivedImages}))
	diff(t, "archived and tagged ones", []string{"idx"}, which(meta.Which{Tagged: meta.TaggedImages, Status: meta.ArchivedImages}))

	check(t, db.Close())
	db = open(t, o)
	diff(t, "after a restart", got, must(db.Image(ctx, "r", name("idx")))(t))
	got = must(db.SetArchived(ctx, "r", name("idx"), false, at(20)))(t)
	diff(t, "restored", meta.Storage{ArchivedAt: at(10), ActivatedAt: at(20)}, got.Storage)
	diff(t, "all that goes with it", []string{"amd", "arm", "idx", "sig", "sigsig"}, held(t, db))
	diff(t, "idx is archived", false, must(db.Archived(ctx, "r", name("idx")))(t))

	// What comes from an upstream leaves the archive as it is; a push brings it back.
	must(db.SetArchived(ctx, "r", name("idx"), true, at(30)))(t)
	put()
	diff(t, "put again by a pull", []string{"amd*", "arm", "idx*", "sig*", "sigsig*"}, held(t, db))
	diff(t, "a tag that is not there", false, putManifest(t, db, "r", "v2", 31, "idx"))
	_, err = db.Tag(ctx, "r", "v2")
	wantCode(t, "nor is it then", errs.ManifestUnknown, err)
	diff(t, "nor does it change anything", []string{"amd*", "arm", "idx*", "sig*", "sigsig*"}, held(t, db))
	diff(t, "a tag of another's", true, putManifest(t, db, "r", "arm", 32, "idx"))
	diff(t, "brings it out", []string{"amd", "arm", "idx", "sig", "sigsig"}, held(t, db))
	diff(t, "and is its", name("idx"), must(db.Tag(ctx, "r", "arm"))(t).Digest)
	must(db.SetArchived(ctx, "r", name("idx"), true, at(33)))(t)
	m, e := manifest(t, "idx", "child amd linux/amd64", "child arm linux/arm64")
	check(t, db.PutImage(ctx, meta.Push{Repository: "r", Manifest: m, Edges: e, At: at(40)}))
	diff(t, "pushed again", []string{"amd", "arm", "idx", "sig", "sigsig"}, held(t, db))
	putManifest(t, db, "r", "arm", 41, "arm")
	must(db.SetArchived(ctx, "r", name("idx"), true, at(50)))(t)
	must(db.DeleteManifest(ctx, "r", name("idx"), at(51)))(t)
	diff(t, "deleted", []string{"amd*", "arm", "sig*", "sigsig*"}, held(t, db))
	must(db.DeleteRepository(ctx, "r", true))(t)
}

// testArchiveTogether: what is pushed while it is archived ends where the last of the
// two put it, with all that goes with it.
func testArchiveTogether(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := pair(t, o)
	own(t, db[0], "r")
	for i := range rounds {
		idx, child := fmt.Sprint("idx", i), fmt.Sprint("child", i)
		putManifest(t, db[0], "r", "", 1, child)
		putManifest(t, db[0], "r", idx, 1, idx, "child "+child+" linux/amd64")
		m, e := manifest(t, idx, "child "+child+" linux/amd64")
		together(t,
			func() error { _, err := db[0].SetArchived(ctx, "r", name(idx), true, at(2)); return err },
			func() error {
				return db[1].PutImage(ctx, meta.Push{Repository: "r", Manifest: m, Edges: e, Tags: []string{idx}, At: at(3)})
			},
		)
		diff(t, "index and child", must(db[0].Archived(ctx, "r", name(idx)))(t), must(db[1].Archived(ctx, "r", name(child)))(t))
	}
}

// testInterruptedRun ends the process after every batch, or before it: the next run
// goes on, and no index is ever without what it names.
func testInterruptedRun(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	own(t, db, "r")
	check(t, db.PutLifecyclePolicy(ctx, "r", unused))
	for i := range 20 {
		putManifest(t, db, "r", "", i, fmt.Sprint("child", i))
		putManifest(t, db, "r", "", i, fmt.Sprint("index", i), fmt.Sprintf("child child%d linux/amd64", i))
	}
	later := at(0).Add(9 * day)
	for n := 0; ; n++ {
		b := evaluate(t, db, unused, later)
		if len(b.Marks) == 0 {
			break
		}
		if n > 90 {
			t.Fatal("it comes to no end")
		}
		b.Marks = b.Marks[:1]
		run, cut := context.WithCancel(ctx)
		if n%2 == 1 {
			cut() // before it began
		}
		_, err := db.ApplyLifecycle(run, b)
		cut()
		if err != nil && n%2 == 0 {
			t.Fatal(err)
		}
		check(t, db.Close())
		db = open(t, o)
		for _, m := range must(db.Facts(ctx, "r"))(t).Images {
			for _, child := range m.Children {
				if _, err := db.Manifest(ctx, "r", child); err != nil {
					t.Errorf("an index is without its child: %v", err)
				}
			}
		}
	}
	events := must(db.LifecycleEvents(ctx, "r", 0, 99))(t)
	seen := map[digest.Digest]bool{}
	for _, e := range events {
		seen[e.Digest] = true
	}
	diff(t, "each once", []int{40, 40}, []int{len(events), len(seen)})
}
