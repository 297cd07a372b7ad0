package retain_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/retain"
)

// unused expires what nobody pulled for two days, and keepTwo all but the two newest.
const (
	unused  = `{"rules":[{"rulePriority":4,"selection":{"tagStatus":"any","countType":"sinceImagePulled","countUnit":"days","countNumber":2},"action":{"type":"expire"}}]}`
	keepTwo = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":2},"action":{"type":"expire"}}]}`
	archive = `{"rules":[{"rulePriority":3,"selection":{"tagStatus":"any","countType":"sinceImagePushed","countUnit":"days","countNumber":1},"action":{"type":"transition","targetStorageClass":"archive"}}]}`
)

// changes is what was told of images that went.
type changes struct {
	mu  sync.Mutex
	all []string
}

func (c *changes) add(one retain.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, fmt.Sprintf("%s %s %v %t", one.Repository, one.Digest, one.Tags, one.Archived))
}

// lives runs policies on w's rows, now and never again by itself.
func (w *world) lives(untagged int) *retain.Lifecycle {
	w.t.Helper()
	w.log = &bytes.Buffer{}
	l := retain.RunLifecycle(retain.LifecycleOptions{DB: w.db, Every: 100_000 * hour, Untagged: untagged, Logger: slog.New(slog.NewTextHandler(w.log, nil)), Changed: w.changes.add})
	w.t.Cleanup(l.Close)
	for l.Totals().Last.IsZero() { // the run at the start is over before the test goes on
		runtime.Gosched()
	}
	return l
}

func (w *world) run(l *retain.Lifecycle, at time.Time) {
	w.t.Helper()
	w.must(l.Run(w.t.Context(), at))
}

// put stores a manifest called s that names children, or is about subject.
func (w *world) put(repo, tag, s string, at time.Time, subject string, children ...string) digest.Digest {
	w.t.Helper()
	m := &oci.Manifest{Raw: []byte(s), Descriptor: oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: digest.FromString(s), Size: int64(len(s))}}
	var e oci.Edges
	for _, c := range children {
		e.List = append(e.List, oci.Edge{Kind: oci.EdgeChild, Descriptor: oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: digest.FromString(c)}})
	}
	if subject != "" {
		e.List = append(e.List, oci.Edge{Kind: oci.EdgeSubject, Descriptor: oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: digest.FromString(subject)}})
	}
	_, err := w.db.PutManifest(w.t.Context(), repo, m, e, tag, at)
	w.must(err)
	return m.Digest
}

// has compares the manifests of a repository, of those called all, archived ones with a
// star.
func (w *world) has(what, repo string, all []string, want ...string) {
	w.t.Helper()
	got := []string{}
	for _, s := range all {
		m, err := w.db.Image(w.t.Context(), repo, digest.FromString(s))
		if errs.CodeOf(err) == errs.ManifestUnknown {
			continue
		}
		w.must(err)
		if m.Archived {
			s += "*"
		}
		got = append(got, s)
	}
	if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
		w.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func (w *world) own(repo, policy string) {
	w.t.Helper()
	w.must(w.db.CreateRepository(w.t.Context(), meta.Repository{Name: repo, Created: now}))
	if policy != "" {
		w.must(w.db.PutLifecyclePolicy(w.t.Context(), repo, policy))
	}
}

// TestLifecycle: policies of all repositories are applied, what went is told, and goes
// from the disk by the sweep.
func TestLifecycle(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	l := w.lives(0)
	w.own("own", unused)
	w.own("none", "")
	w.own("archive", archive)
	names := []string{"old", "pulled", "tagged"}
	for _, repo := range []string{"own", "none", "archive"} {
		w.put(repo, "", "old", now, "")
		w.put(repo, "", "pulled", now, "")
		w.put(repo, "v1", "tagged", now, "")
	}
	w.db.Touch("own", "", digest.FromString("pulled"), now.Add(2*day))
	w.run(l, now.Add(2*day))
	w.has("not two days", "own", names, names...)
	w.run(l, now.Add(3*day))
	w.has("by its policy", "own", names, "pulled")
	w.has("without one", "none", names, names...)
	w.has("archived", "archive", names, "old*", "pulled*", "tagged*")
	p, err := w.db.LifecyclePolicy(ctx, "own")
	w.must(err)
	if !p.Evaluated.Equal(now.Add(3 * day)) {
		t.Errorf("evaluated at %s", p.Evaluated)
	}
	events, err := w.db.LifecycleEvents(ctx, "own", 0, 10)
	w.must(err)
	if len(events) != 2 || events[0].Priority != 4 {
		t.Errorf("events %+v", events)
	}
	if got := l.Totals(); got.Expired != 2 || got.Archived != 3 || got.Last.IsZero() {
		t.Errorf("totals %+v", got)
	}
	l.Close()
	var told []string
	for _, s := range []string{"old", "pulled", "tagged"} {
		tags := map[string]string{"tagged": "[v1]"}[s]
		if tags == "" {
			tags = "[]"
		}
		told = append(told, fmt.Sprintf("archive %s %s true", digest.FromString(s), tags))
		if s != "pulled" {
			told = append(told, fmt.Sprintf("own %s %s false", digest.FromString(s), tags))
		}
	}
	slices.Sort(told)
	slices.Sort(w.changes.all)
	if diff := cmp.Diff(told, w.changes.all); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	line := fmt.Sprintf("msg=lifecycle action=expire repository=own digest=%s tags=[v1] rule=4", digest.FromString("tagged"))
	if !strings.Contains(w.log.String(), line) {
		t.Errorf("no line %q in\n%s", line, w.log)
	}
}

// TestUntagged: what tags of the cache left goes after a time, with what only it
// names; what somebody pulls by digest stays, and so does what is one's own.
func TestUntagged(t *testing.T) {
	w := newWorld(t)
	l := w.lives(30)
	names := []string{"idx1", "amd1", "shared", "idx2", "sig1", "byDigest", "used"}
	fill := func(repo string) {
		w.put(repo, "", "amd1", now, "")
		w.put(repo, "", "shared", now, "")
		w.put(repo, "latest", "idx1", now, "", "amd1", "shared")
		w.put(repo, "", "sig1", now, "idx1")
		w.put(repo, "", "byDigest", now, "")
		w.put(repo, "x", "used", now, "")
		w.put(repo, "x", "idx2", now.Add(day), "", "shared")
		w.put(repo, "latest", "idx2", now.Add(day), "")
	}
	fill("cached")
	w.own("own", "")
	fill("own")
	fill("policed")
	w.must(w.db.PutLifecyclePolicy(t.Context(), "policed", strings.Replace(unused, `":2}`, `":9999}`, 1)))
	w.db.Touch("cached", "", digest.FromString("used"), now.Add(9*day))
	w.run(l, now.Add(30*day))
	w.has("not 30 days", "cached", names, names...)
	w.run(l, now.Add(31*day))
	w.has("after 30 days", "cached", names, "shared", "idx2", "byDigest", "used")
	w.has("own", "own", names, names...)
	w.has("with a policy of its own", "policed", names, names...)
	w.run(l, now.Add(40*day))
	w.has("after more", "cached", names, "shared", "idx2", "byDigest")
	l.Close()

	never := w.lives(0)
	w.put("other", "t", "idx1", now, "")
	w.put("other", "t", "idx2", now, "")
	w.run(never, now.Add(1000*day))
	w.has("never", "other", names, "idx1", "idx2")
}

// pushed is put of a push, of a manifest that names children.
func (w *world) pushed(repo, tag, s string, at time.Time, children ...string) {
	w.t.Helper()
	p := meta.Push{Repository: repo, Manifest: &oci.Manifest{Raw: []byte(s), Descriptor: oci.Descriptor{Digest: digest.FromString(s)}}, At: at}
	for _, c := range children {
		p.Edges.List = append(p.Edges.List, oci.Edge{Kind: oci.EdgeChild, Descriptor: oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: digest.FromString(c)}})
	}
	if tag != "" {
		p.Tags = []string{tag}
	}
	w.must(w.db.PutImage(w.t.Context(), p))
}

// TestUntaggedPushed: a repository of the cache that somebody pushed to loses nothing
// without a policy, as no upstream has what was pushed; also if the push comes in the
// middle of a run.
func TestUntaggedPushed(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	l := w.lives(30)
	names := []string{"theirs", "mine1", "mine2", "mine3", "moved"}
	w.put("cached", "up", "theirs", now, "")
	w.put("cached", "up", "moved", now.Add(hour), "")
	facts, err := w.db.Facts(ctx, "cached")
	w.must(err)
	w.pushed("cached", "mine", "mine1", now)
	w.pushed("cached", "mine", "mine2", now.Add(hour))
	w.pushed("cached", "rm", "mine3", now)
	_, err = w.db.DeleteTag(ctx, "cached", "rm", now.Add(hour))
	w.must(err)
	w.run(l, now.Add(400*day))
	w.has("pushed here", "cached", names, names...)
	_, err = w.db.ApplyLifecycle(ctx, meta.LifecycleBatch{Repository: "cached", Facts: facts, At: now})
	if errs.CodeOf(err) != errs.Conflict {
		t.Errorf("a run that began before the push: %v", err)
	}
	w.must(w.db.PutLifecyclePolicy(ctx, "cached", unused))
	w.run(l, now.Add(400*day))
	w.has("with a policy", "cached", names)
}

// TestUntaggedFollow: what is about an image that a tag left is as good as the image: the
// image stays with it while it has a tag, is the last whole image of one, or is pulled.
func TestUntaggedFollow(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	l := w.lives(30)
	names := []string{"old", "sbom", "sig", "new"}
	at := now.Add(40 * day)
	for _, repo := range []string{"tagged", "pulled", "none"} {
		w.put(repo, "latest", "old", now, "")
		w.put(repo, "", "sbom", now, "old")
		w.put(repo, "", "sig", now, "sbom")
		w.put(repo, "latest", "new", now.Add(day), "")
	}
	w.put("tagged", "chart", "sig", now, "sbom")
	w.db.Touch("pulled", "", digest.FromString("sbom"), at.Add(-29*day))
	w.run(l, at)
	w.has("about it, with a tag", "tagged", names, names...)
	w.has("about it, and pulled", "pulled", names, names...)
	w.has("neither", "none", names, "new")
	w.run(l, at.Add(2*day))
	w.has("not pulled any more", "pulled", names, "new")

	// The tag is of what is not whole, and what it was is about the image.
	w.put("whole", "latest", "old", now, "")
	w.put("whole", "latest", "new", now, "")
	m, e := image("layer")
	e.List = append(e.List, oci.Edge{Kind: oci.EdgeSubject, Descriptor: oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: digest.FromString("old")}})
	_, err := w.bring("whole", "layer", now)
	w.must(err)
	_, err = w.db.PutManifest(ctx, "whole", m, e, "att", now)
	w.must(err)
	torn, e := image("layer", "not here")
	_, err = w.db.PutManifest(ctx, "whole", torn, e, "att", now)
	w.must(err)
	w.run(l, at)
	if _, err := w.db.Image(ctx, "whole", m.Digest); err != nil {
		t.Error(err)
	}
	w.has("about it, and the last whole one of a tag", "whole", names, "old", "new")
}

// TestUntaggedChildren: what an index named that a tag left goes when its own time is over,
// if it did not go with the index: it was pulled later, or the run was ended.
func TestUntaggedChildren(t *testing.T) {
	w := newWorld(t)
	l := w.lives(30)
	names := []string{"amd", "arm", "inner", "idx", "part", "att", "new", "byDigest", "other"}
	w.put("cached", "", "amd", now, "")
	w.put("cached", "", "arm", now, "")
	w.put("cached", "", "inner", now, "", "arm")
	w.put("cached", "latest", "idx", now, "", "amd", "inner")
	w.put("cached", "", "part", now, "")
	w.put("cached", "", "att", now, "idx", "part") // an index about it
	w.put("cached", "latest", "new", now.Add(day), "")
	w.put("cached", "", "byDigest", now, "")
	w.put("cached", "", "other", now, "", "byDigest")
	w.db.Touch("cached", "", digest.FromString("amd"), now.Add(5*day))
	w.db.Touch("cached", "", digest.FromString("inner"), now.Add(7*day))
	w.run(l, now.Add(31*day))
	w.has("pulled later than the index", "cached", names, "amd", "arm", "inner", "part", "new", "byDigest", "other")
	w.run(l, now.Add(34*day))
	w.has("what was about the index", "cached", names, "amd", "arm", "inner", "new", "byDigest", "other")
	w.run(l, now.Add(36*day))
	w.has("one's time is over", "cached", names, "arm", "inner", "new", "byDigest", "other")
	w.run(l, now.Add(38*day))
	w.has("the other's", "cached", names, "new", "byDigest", "other")

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := retain.RunLifecycle(retain.LifecycleOptions{DB: w.db, Every: 100_000 * hour, Untagged: 30,
		Changed: func(retain.Change) { cancel() }, Logger: slog.New(slog.DiscardHandler)})
	defer ended.Close()
	var children []string
	for i := range 200 {
		children = append(children, fmt.Sprint("child", i))
		w.put("many", "", children[i], now, "")
	}
	w.put("many", "latest", "idx", now, "", children...)
	w.put("many", "latest", "new", now.Add(day), "")
	if err := ended.Run(ctx, now.Add(40*day)); err == nil {
		t.Error("the run was not ended")
	}
	if images, _, err := w.db.Images(t.Context(), "many", meta.Which{}, "", 300); err != nil || len(images) < 100 {
		t.Errorf("%d images in the middle of it, %v", len(images), err)
	}
	w.run(l, now.Add(41*day))
	w.has("after the next run", "many", append(children, "idx", "new"), "new")
}

// TestLastWhole: the last whole image of a tag whose newer one is not whole stays.
func TestLastWhole(t *testing.T) {
	w := newWorld(t)
	l := w.lives(30)
	whole, err := w.push("cached", now, "layer")
	w.must(err)
	m, e := image("layer")
	_, err = w.db.PutManifest(t.Context(), "cached", m, e, "latest", now)
	w.must(err)
	torn, e := image("layer", "not here")
	_, err = w.db.PutManifest(t.Context(), "cached", torn, e, "latest", now.Add(day))
	w.must(err)
	tag, err := w.db.Tag(t.Context(), "cached", "latest")
	w.must(err)
	if tag.Digest != torn.Digest || tag.Complete != whole {
		t.Fatalf("tag %+v", tag)
	}
	w.run(l, now.Add(99*day))
	if _, err := w.db.Image(t.Context(), "cached", whole); err != nil {
		t.Error(err)
	}
	_, err = w.bring("cached", "not here", now.Add(99*day))
	w.must(err)
	w.run(l, now.Add(100*day))
	if _, err := w.db.Image(t.Context(), "cached", whole); errs.CodeOf(err) != errs.ManifestUnknown {
		t.Errorf("it is still there: %v", err)
	}
}

// TestServed: an image of the cache that was pulled within the hour stays, whatever its
// policy counts, since its client may not have its layers yet.
func TestServed(t *testing.T) {
	w := newWorld(t)
	l := w.lives(0)
	names := []string{"a", "b", "c", "d"}
	for i, s := range names {
		w.put("cached", s, s, now.Add(time.Duration(i)*time.Minute), "")
	}
	w.must(w.db.PutLifecyclePolicy(t.Context(), "cached", keepTwo))
	at := now.Add(2 * hour)
	w.db.Touch("cached", "a", digest.FromString("a"), at.Add(-hour+time.Second))
	w.run(l, at)
	w.has("within the hour", "cached", names, "a", "c", "d")
	w.run(l, at.Add(2*time.Second))
	w.has("after it", "cached", names, "c", "d")

	w.put("cached", "", "sig", now, "c")
	w.put("cached", "e", "e", now.Add(hour), "")
	w.db.Touch("cached", "", digest.FromString("sig"), at)
	w.run(l, at.Add(time.Minute))
	w.has("what is about it", "cached", []string{"c", "d", "e", "sig"}, "c", "d", "e", "sig")
	w.run(l, at.Add(2*hour))
	w.has("an hour later", "cached", []string{"c", "d", "e", "sig"}, "d", "e")

	// An index stays, so what it names does, and counting again makes nothing of it.
	w.put("index", "", "amd", now, "")
	w.put("index", "", "idx", now, "", "amd")
	w.put("index", "x", "x", now.Add(time.Minute), "")
	w.put("index", "y", "y", now.Add(time.Minute), "")
	w.must(w.db.PutLifecyclePolicy(t.Context(), "index", keepTwo))
	w.db.Touch("index", "", digest.FromString("idx"), at)
	before := w.db.Queries()
	w.run(l, at.Add(time.Minute))
	w.has("an index", "index", []string{"amd", "idx", "x", "y"}, "amd", "idx", "x", "y")
	if n := w.db.Queries() - before; n > 60 {
		t.Errorf("%d statements", n)
	}
}

// TestNeeded: what is pushed again, or was told to a push, stays until the index can have
// come that names it, and what was given where that is no pull until its platform or its
// layers were; neither is younger, or pulled, for that.
func TestNeeded(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	l := w.lives(30)
	names := []string{"amd", "told", "sig", "idx"}
	w.own("r", strings.Replace(strings.Replace(unused, "sinceImagePulled", "sinceImagePushed", 1), `"any"`, `"untagged"`, 1))
	for _, s := range names[:3] {
		w.pushed("r", "", s, now)
	}
	w.put("r", "", "other", now, "")
	w.put("r", "", "otherSig", now, "other")
	at := now.Add(9 * day)
	w.pushed("r", "", "amd", at)
	w.db.Needed("r", digest.FromString("told"), at)
	w.pushed("r", "", "otherSig", at)
	w.run(l, at.Add(hour-time.Second))
	w.has("within the hour", "r", append(names, "other", "otherSig"), "amd", "told", "other", "otherSig")
	m, err := w.db.Image(ctx, "r", digest.FromString("amd"))
	w.must(err)
	if !m.Stored.Equal(now) || !m.Pulled.Equal(now) {
		t.Errorf("pushed at %s and pulled at %s, not %s", m.Stored, m.Pulled, now)
	}
	w.pushed("r", "v1", "idx", at.Add(hour), "amd")
	w.run(l, at.Add(2*hour))
	w.has("after it", "r", append(names, "other", "otherSig"), "amd", "idx")

	w.put("cached", "", "amd", now, "")
	w.put("cached", "latest", "idx", now, "", "amd")
	w.put("cached", "latest", "new", now.Add(day), "")
	at = now.Add(40 * day)
	w.db.Needed("cached", digest.FromString("idx"), at)
	w.run(l, at.Add(time.Second))
	w.has("given a second ago", "cached", names, "amd", "idx")
	w.run(l, at.Add(hour))
	w.has("an hour later", "cached", names)
}

// TestManyFollow: what is about an image goes in several transactions, and all of it
// before the image.
func TestManyFollow(t *testing.T) {
	w := newWorld(t)
	l := w.lives(0)
	w.own("r", unused)
	w.put("r", "v1", "m", now, "")
	names := []string{"m"}
	for i := range 1300 {
		s := fmt.Sprint("sig", i)
		w.put("r", "", s, now, "m")
		names = append(names, s)
	}
	w.run(l, now.Add(3*day))
	w.has("after the run", "r", names)
	events, err := w.db.LifecycleEvents(t.Context(), "r", 0, 2000)
	w.must(err)
	if len(events) != 1000 || events[0].Digest != digest.FromString("m") || events[1].Subject != events[0].Digest {
		t.Errorf("%d events, the last %+v", len(events), events[0])
	}
	if n := l.Totals().Expired; n != 1301 {
		t.Errorf("%d expired", n)
	}
}

// TestManyFollowSpared: an image stays if one of very many that are about it is pulled
// while the others go.
func TestManyFollowSpared(t *testing.T) {
	w := newWorld(t)
	w.own("r", unused)
	var about []digest.Digest
	for i := range 1300 {
		about = append(about, w.put("r", "", fmt.Sprint("sig", i), now, "m"))
	}
	w.put("r", "v1", "m", now, "")
	slices.Sort(about) // the first batch has the last 512
	l := w.lives(0)
	w.run(l, now) // none is that old, and the run at the start is over
	pulled := sync.OnceFunc(func() { w.db.Touch("r", "", about[500], now.Add(3*day)) })
	l.LifecycleOptions.Changed = func(retain.Change) { pulled() }
	w.run(l, now.Add(3*day))
	w.has("the image", "r", []string{"m"}, "m")
	if _, err := w.db.Image(t.Context(), "r", about[500]); err != nil {
		t.Error(err)
	}
	if n := l.Totals().Expired; n != 512 {
		t.Errorf("%d expired", n)
	}
}

// TestBadPolicy: one repository that cannot be dealt with does not keep the others.
func TestBadPolicy(t *testing.T) {
	w := newWorld(t)
	l := w.lives(0)
	w.own("a", "{}")
	w.own("b", unused)
	w.put("b", "t", "m", now, "")
	before := l.Totals().Last
	err := l.Run(t.Context(), now.Add(9*day))
	if errs.CodeOf(err) != errs.ParamInvalid || !strings.Contains(err.Error(), "repository a: ") {
		t.Errorf("error %v", err)
	}
	w.has("the other one", "b", []string{"m"})
	if l.Totals().Last != before {
		t.Error("a run that failed counts as the last")
	}
}

// TestBeside runs policies beside pushes, pulls and deletions: nothing that was pushed or
// pulled after a run began to go by its facts is gone, and no tag leads nowhere.
func TestBeside(t *testing.T) {
	w := newWorld(t)
	l := w.lives(0)
	w.own("r", keepTwo)
	ctx := t.Context()
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := l.Run(ctx, now.Add(hour)); err != nil {
				t.Error(err)
			}
		}
	})
	for writer := range 3 {
		wg.Go(func() {
			for i := range 40 {
				s := fmt.Sprintf("%d-%d", writer, i)
				m := &oci.Manifest{Raw: []byte(s), Descriptor: oci.Descriptor{Digest: digest.FromString(s)}}
				tag := fmt.Sprint("t", (writer+i)%5)
				if err := w.db.PutImage(ctx, meta.Push{Repository: "r", Manifest: m, Tags: []string{tag}, At: now.Add(time.Duration(i) * time.Second)}); err != nil {
					t.Error(err)
				}
				w.db.Touch("r", tag, m.Digest, now.Add(time.Minute))
				if i%7 == 0 {
					if _, err := w.db.DeleteTag(ctx, "r", tag, now); err != nil && errs.CodeOf(err) != errs.ManifestUnknown {
						t.Error(err)
					}
				}
			}
			if writer == 0 {
				close(stop)
			}
		})
	}
	wg.Wait()
	w.run(l, now.Add(hour))
	images, _, err := w.db.Images(ctx, "r", meta.Which{}, "", 100)
	w.must(err)
	if len(images) != 2 {
		t.Errorf("%d images are left of a policy that keeps two", len(images))
	}
	tags, err := w.db.Tags(ctx, "r", "", 100)
	w.must(err)
	for _, tag := range tags {
		row, err := w.db.Tag(ctx, "r", tag)
		w.must(err)
		if !slices.ContainsFunc(images, func(m meta.Image) bool { return m.Digest == row.Digest }) {
			t.Errorf("tag %s is of an image that is gone", tag)
		}
	}
}

// busy is a context in whose time things happen whenever somebody looks whether it is over.
type busy struct {
	context.Context
	happen func()
}

func (b busy) Err() error {
	b.happen()
	return b.Context.Err()
}

// TestBusyRepository: a rule that counts images comes to its end in a repository in which
// something changes between each evaluation and what is done about it, for a while.
func TestBusyRepository(t *testing.T) {
	w := newWorld(t)
	l := w.lives(0)
	w.own("r", keepTwo)
	for i := range 5 {
		w.put("r", "", fmt.Sprint("m", i), now.Add(time.Duration(i)*time.Second), "")
	}
	var mu sync.Mutex // the database looks at contexts in goroutines of its own
	changes := 0
	w.must(l.Run(busy{t.Context(), func() {
		mu.Lock()
		defer mu.Unlock()
		if changes < 20 {
			changes++
			w.pushed("r", fmt.Sprint("t", changes), "m4", now)
		}
	}}, now.Add(hour)))
	w.has("in the end", "r", []string{"m0", "m1", "m2", "m3", "m4"}, "m3", "m4")
	mu.Lock()
	defer mu.Unlock()
	if changes != 20 {
		t.Errorf("%d changes", changes)
	}
}

// TestLifecycleEvery: the first run is at the start, and then there is one every so
// often, until Close, which ends a run between two batches.
func TestLifecycleEvery(t *testing.T) {
	w := newWorld(t)
	w.own("r", unused)
	// Of the bubble's time, in which it is 2000.
	old := time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 200 {
		w.put("r", "", fmt.Sprint("m", i), old, "")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	synctest.Test(t, func(t *testing.T) {
		l := retain.RunLifecycle(retain.LifecycleOptions{DB: w.db, Every: hour, Logger: slog.New(slog.DiscardHandler)})
		synctest.Wait()
		if n := l.Totals().Expired; n != 200 {
			t.Errorf("%d expired at the start", n)
		}
		first := l.Totals().Last
		<-time.After(hour + time.Minute)
		synctest.Wait()
		if again := l.Totals().Last; again.Sub(first) != hour {
			t.Errorf("runs at %s and %s", first, again)
		}
		if err := l.Run(ended, time.Now()); err == nil {
			t.Error("a run whose time is over")
		}
		l.Close()
		last := l.Totals().Last
		<-time.After(3 * hour)
		if l.Totals().Last != last {
			t.Error("a run after Close")
		}
	})
}
