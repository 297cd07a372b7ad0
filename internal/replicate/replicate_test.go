package replicate_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/replicate"
	"github.com/weir-registry/weir/internal/rule"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
)

// whole says whether a registry has an image with all that it names.
func whole(r *upstreamtest.Registry, repo string, img upstreamtest.Image) bool {
	ok := r.Has(repo, string(img.Digest))
	for d := range img.Blobs() {
		ok = ok && r.Has(repo, string(d))
	}
	for _, child := range img.Children {
		ok = ok && whole(r, repo, child)
	}
	return ok
}

// requests of a registry with one of the methods.
func requests(r *upstreamtest.Registry, methods ...string) (n int) {
	for _, q := range r.Log() {
		for _, m := range methods {
			if q.Method == m && strings.HasPrefix(q.Path, "/v2/") {
				n++
			}
		}
	}
	return n
}

// TestCopies: what is pushed is at both destinations with all that it names, once.
func TestCopies(t *testing.T) {
	for _, auth := range []upstreamtest.Auth{upstreamtest.Open, upstreamtest.Basic, upstreamtest.Token} {
		in(t, upstreamtest.Options{Auth: auth, Users: map[string]string{user: secret}}, func(t *testing.T, w *world) {
			img := upstreamtest.NewIndex(1, 3, 70_000, 100)
			w.push("team/app", img, "v1", "latest")
			if took := w.drained(); took > time.Second {
				t.Errorf("took %s", took)
			}
			for repo, r := range map[string]*upstreamtest.Registry{"team/app": w.east, "copies/of/team/app": w.west} {
				if !whole(r, repo, img) || r.Tagged(repo, "v1") != img.Digest || r.Tagged(repo, "latest") != img.Digest {
					t.Errorf("%s: %s is not whole", auth, repo)
				}
				if n := r.Uploads(); n > 0 {
					t.Errorf("%d uploads are left", n)
				}
			}
			if got := w.status("team/app", img); got != "east COMPLETE, west COMPLETE" {
				t.Error(got)
			}
			if got := w.status("team/app", img.Children[2]); got != "east COMPLETE, west COMPLETE" {
				t.Errorf("child: %s", got)
			}
			blobs := 0
			for _, q := range w.east.Log() {
				if q.Method == "PUT" && strings.Contains(q.Path, "/blobs/") && q.Status == 201 {
					blobs++
				}
			}
			if want := 3 * 3; blobs != want {
				t.Errorf("%s: %d blobs were sent, want %d", auth, blobs, want)
			}
			// Another repository, the same layers: none of them is sent again.
			w.east.Forget()
			w.push("team/other", img.Children[0], "v1")
			w.drained()
			if !whole(w.east, "team/other", img.Children[0]) || requests(w.east, "PUT") != 1 || requests(w.east, "POST") != 3 {
				t.Errorf("mounts: %q", w.east.Requests())
			}
			stats, err := w.r.Stats(t.Context())
			w.must(err)
			if s := stats[0]; s.Host != "east.test" || s.Done != 6 || s.Failed+s.Postponed != 0 || s.Waiting != 0 || s.Bytes < 3*70_100 {
				t.Errorf("%+v", s)
			}
			for _, line := range []string{w.log.String(), fmt.Sprint(w.east.Requests())} {
				if strings.Contains(line, secret) {
					t.Error("the secret is told")
				}
			}
		})
	}
}

// TestRequests pins what a copy of an image costs, and what one that is there does.
func TestRequests(t *testing.T) {
	in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
		img := upstreamtest.NewImage(1, 100)
		w.rules(rule.ReplicationRule{Destinations: []rule.Destination{east}})
		w.push("app", img, "v1")
		w.drained()
		config, layer := digest.FromBytes(img.Config), digest.FromBytes(img.Layers[0])
		want := []string{"HEAD manifests/v1", "HEAD manifests/" + string(img.Digest)}
		for _, d := range []digest.Digest{config, layer} {
			want = append(want, "HEAD blobs/"+string(d), "POST blobs/uploads/", "PUT blobs/uploads/ID")
		}
		want = append(want, "PUT manifests/v1")
		var got []string
		for _, s := range w.east.Requests() {
			s = strings.Replace(s, "/v2/app/", "", 1)
			if before, _, ok := strings.Cut(s, "PUT blobs/uploads/"); ok && before == "" {
				s = "PUT blobs/uploads/ID"
			}
			got = append(got, s)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
		w.east.Forget()
		w.put("app", img.Manifest, "v1")
		w.put("app", img.Manifest, "v2")
		w.drained()
		if diff := cmp.Diff([]string{"HEAD /v2/app/manifests/" + string(img.Digest), "HEAD /v2/app/manifests/v1", "HEAD /v2/app/manifests/v2", "PUT /v2/app/manifests/v2"}, sorted(w.east.Requests())); diff != "" {
			t.Errorf("again (-want +got):\n%s", diff)
		}
	})
}

// TestQuirks: copies come to registries as odd as real ones are.
func TestQuirks(t *testing.T) {
	for _, q := range upstreamtest.Quirks() {
		t.Run(string(q), func(t *testing.T) {
			o := upstreamtest.Options{Auth: upstreamtest.Token, Users: map[string]string{user: secret}, Quirks: []upstreamtest.Quirk{q}}
			in(t, o, func(t *testing.T, w *world) {
				img := upstreamtest.NewIndex(1, 2, 70_000, 100)
				w.push("team/app", img, "v1")
				w.drained()
				w.push("team/app", img, "v2")
				w.drained()
				if !whole(w.east, "team/app", img) || w.east.Tagged("team/app", "v1") != img.Digest || w.east.Tagged("team/app", "v2") != img.Digest {
					t.Errorf("not whole\n%s", w.log.String())
				}
				if strings.Contains(w.log.String(), "copy failed") {
					t.Errorf("tried again:\n%s", w.log.String())
				}
			})
		})
	}
}

// TestTagMoves: what a tag was while the line was down is not copied any more.
func TestTagMoves(t *testing.T) {
	in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
		w.Down(syscall.ENETUNREACH)
		var last upstreamtest.Image
		for i := range 5 {
			last = upstreamtest.NewImage(uint64(i), 100+i)
			w.push("app", last, "v1")
			<-time.After(time.Minute)
		}
		w.Down(nil)
		w.drained()
		if !whole(w.east, "app", last) || w.east.Tagged("app", "v1") != last.Digest {
			t.Error("the newest is not there")
		}
		for i := range 4 {
			old := upstreamtest.NewImage(uint64(i), 100+i)
			if w.east.Has("app", string(old.Digest)) || w.status("app", old) != "" {
				t.Errorf("image %d: %s", i, w.status("app", old))
			}
		}
	})
	// The tag moves while its image is being sent.
	in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
		w.rules(rule.ReplicationRule{Destinations: []rule.Destination{east}})
		w.east.Script(upstreamtest.Fault{Method: "PUT", Path: "/blobs/", Delay: 10 * time.Second})
		a, b := upstreamtest.NewImage(1, 100), upstreamtest.NewImage(2, 100)
		w.push("app", a, "v1")
		<-time.After(5 * time.Second)
		w.push("app", b, "v1")
		w.drained()
		if w.east.Has("app", string(a.Digest)) || w.east.Tagged("app", "v1") != b.Digest {
			t.Error("the older was copied, or the newer was not")
		}
		if w.status("app", a) != "" || w.status("app", b) != "east COMPLETE" {
			t.Errorf("%q, %q", w.status("app", a), w.status("app", b))
		}
	})
}

// TestTagComesBack: a tag that is deleted and pushed anew while its old image's manifest
// is under way is the new one's in the end.
func TestTagComesBack(t *testing.T) {
	for _, delay := range []time.Duration{15 * time.Second, 2 * time.Minute} {
		in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
			w.rules(rule.ReplicationRule{Destinations: []rule.Destination{east}})
			w.east.Script(upstreamtest.Fault{Method: "PUT", Path: "/manifests/", Times: 1, Delay: delay})
			a, b := upstreamtest.NewImage(1, 10), upstreamtest.NewImage(2, 10)
			w.push("app", a, "v1")
			<-time.After(3 * time.Second)
			_, err := w.db.DeleteTag(t.Context(), "app", "v1", time.Now())
			w.must(err)
			w.push("app", b, "v1")
			w.until("the new one", func() bool { return w.status("app", b) == "east COMPLETE" })
			var put []int
			for _, q := range w.east.Log() {
				if q.Method == "PUT" && strings.Contains(q.Path, "/manifests/") {
					put = append(put, q.Status)
				}
			}
			if got := w.east.Tagged("app", "v1"); got != b.Digest || !slices.Equal(put, []int{201, 201}) {
				t.Errorf("%s: the tag is the old image's: %t; answers: %v", delay, got == a.Digest, put)
			}
		})
	}
}

// TestAway: a destination that is away is asked now and then, by one copy, and costs the
// other nothing; when it is back, everything goes there at once.
func TestAway(t *testing.T) {
	faults := map[string]upstreamtest.Fault{
		"503":     {Status: 503},
		"hanging": {Hang: true},
		"429":     {Status: 429},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
				w.east.Script(fault)
				for i := range 20 {
					w.push(fmt.Sprint("app", i), upstreamtest.NewImage(uint64(i), 10), "v1")
				}
				w.until("the other has all", func() bool { return requests(w.west, "PUT") == 20*3 })
				<-time.After(time.Hour)
				if n := len(w.east.Log()); n < 50 || n > 100 {
					t.Errorf("asked %d times in an hour", n)
				}
				w.east.Script()
				w.east.Release()
				if took := w.drained(); took > 2*time.Minute {
					t.Errorf("all there after %s", took)
				}
				if n := requests(w.east, "PUT"); n != 20*3 {
					t.Errorf("%d bodies", n)
				}
			})
		})
	}
}

// TestUnfinishedAnswers: answers that do not end hold no copy up for good.
func TestUnfinishedAnswers(t *testing.T) {
	in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
		w.rules(rule.ReplicationRule{Destinations: []rule.Destination{east}})
		w.east.Script(upstreamtest.Fault{Method: "POST", Times: 4, Status: 500, Body: `{"a":"b"}`, Header: http.Header{"Content-Type": {"application/json"}}, Stall: true, Length: 100})
		for i := range 5 {
			w.push(fmt.Sprint("app", i), upstreamtest.NewImage(uint64(i), 10), "v1")
		}
		if took := w.drained(); took > 5*time.Minute {
			t.Errorf("took %s", took)
		}
	})
}

// TestPages: where a proxy answers everything with a page, nothing is taken to be there.
func TestPages(t *testing.T) {
	in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
		w.rules(rule.ReplicationRule{Destinations: []rule.Destination{east}})
		w.east.Script(upstreamtest.HTML())
		img := upstreamtest.NewImage(1, 10)
		w.push("app", img, "v1")
		<-time.After(time.Minute)
		if got := w.status("app", img); got != "east IN_PROGRESS" {
			t.Error(got)
		}
		w.east.Script()
		w.drained()
		if !whole(w.east, "app", img) {
			t.Errorf("not there, and the status is %s\n%s", w.status("app", img), w.log.String())
		}
	})
}

// TestWrongCredential: a login that fails is that of the destination, and not tried with
// each image; a right that is missing in one repository is not.
func TestWrongCredential(t *testing.T) {
	many := func(w *world) {
		w.rules(rule.ReplicationRule{Destinations: []rule.Destination{east}})
		for i := range 200 {
			w.push(fmt.Sprint("app", i), upstreamtest.NewImage(uint64(i), 10), "v1")
		}
		<-time.After(time.Hour)
	}
	few := func(w *world) {
		w.t.Helper()
		if n, lines := len(w.east.Log()), strings.Count(w.log.String(), "\n"); n > 600 || lines > 80 {
			w.t.Errorf("%d requests in an hour, %d lines of log", n, lines)
		}
	}
	for _, auth := range []upstreamtest.Auth{upstreamtest.Basic, upstreamtest.Token} {
		in(t, upstreamtest.Options{Auth: auth, Users: map[string]string{user: "another"}}, func(t *testing.T, w *world) {
			many(w)
			few(w)
			w.east.SetUser(user, secret)
			w.drained()
		})
	}
	in(t, upstreamtest.Options{Auth: upstreamtest.Token, Users: map[string]string{user: secret}}, func(t *testing.T, w *world) {
		w.noCredential = errors.New("no such file")
		many(w)
		if n := len(w.east.Log()); n > 300 {
			t.Errorf("%d requests in an hour", n)
		}
		few(w)
		w.noCredential = nil
		w.drained()
	})
	for name, fault := range map[string]upstreamtest.Fault{
		"403":              {Path: "/bad/", Status: 403},
		"401 with a token": {Path: "/bad/", Status: 401, Header: http.Header{"Www-Authenticate": {`Bearer realm="https://auth.east.test/token",service="upstreamtest",error="insufficient_scope"`}}},
	} {
		in(t, upstreamtest.Options{Auth: upstreamtest.Token, Users: map[string]string{user: secret}}, func(t *testing.T, w *world) {
			w.rules(rule.ReplicationRule{Destinations: []rule.Destination{east}})
			w.east.Script(fault)
			w.push("bad", upstreamtest.NewImage(1, 10), "v1")
			<-time.After(6 * time.Hour)
			w.east.Forget()
			good := upstreamtest.NewImage(2, 10)
			w.push("good", good, "v1")
			<-time.After(time.Second)
			if got := w.status("good", good); got != "east COMPLETE" {
				t.Errorf("%s: the good one: %s", name, got)
			}
		})
	}
}

// TestRetryAfter: a destination that says when is not asked before.
func TestRetryAfter(t *testing.T) {
	in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
		w.east.Script(upstreamtest.Fault{Method: "POST", Times: 1, Status: 429, Header: http.Header{"Retry-After": {"1800"}}})
		start := time.Now()
		for i := range 10 {
			w.push(fmt.Sprint("app", i), upstreamtest.NewImage(uint64(i), 10), "v1")
		}
		<-time.After(10 * time.Second)
		w.east.Forget()
		w.until("asked again", func() bool { return len(w.east.Log()) > 0 })
		if after := time.Since(start); after < 1800*time.Second || after > 1830*time.Second {
			t.Errorf("after %s", after)
		}
		w.drained()
	})
}

// TestRefused: an image that a destination refuses keeps no other from it, is tried at
// growing pauses, and has failed after a week.
func TestRefused(t *testing.T) {
	in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
		w.rules(rule.ReplicationRule{Destinations: []rule.Destination{east}})
		bad, good := upstreamtest.NewImage(1, 10), upstreamtest.NewImage(2, 10)
		w.east.Script(upstreamtest.Fault{Method: "PUT", Path: "/bad/manifests/", Status: 400, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"errors":[{"code":"X","message":"not this one"}]}`})
		w.push("bad", bad, "v1")
		w.push("good", good, "v1")
		w.until("the good one", func() bool { return w.status("good", good) == "east COMPLETE" })
		<-time.After(6*24*time.Hour + 23*time.Hour)
		if got := w.status("bad", bad); got != "east IN_PROGRESS" {
			t.Error(got)
		}
		n := requests(w.east, "PUT")
		if n < 600 || n > 800 {
			t.Errorf("%d bodies in a week", n)
		}
		<-time.After(2 * time.Hour)
		if got := w.status("bad", bad); got != "east FAILED DestinationRefused" {
			t.Error(got)
		}
		all, err := w.db.ReplicationStatuses(t.Context(), "bad", bad.Digest)
		w.must(err)
		if !strings.Contains(all[0].Reason, "not this one") || !strings.Contains(w.log.String(), "not this one") {
			t.Errorf("%q", all[0].Reason)
		}
		w.east.Script()
		w.put("bad", bad.Manifest, "v1")
		w.drained()
		if got := w.status("bad", bad); got != "east COMPLETE" {
			t.Error(got)
		}
		stats, err := w.r.Stats(t.Context())
		w.must(err)
		if s := stats[0]; s.Done != 2 || s.Failed != 1 || s.Postponed < 600 {
			t.Errorf("%+v", s)
		}
	})
}

// TestRefusedMeanwhile: what is pushed while the old image of its tag is refused does not
// wait out the old one's pause.
func TestRefusedMeanwhile(t *testing.T) {
	in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
		w.rules(rule.ReplicationRule{Destinations: []rule.Destination{east}})
		w.east.Script(upstreamtest.Fault{Method: "PUT", Path: "/manifests/", Status: http.StatusBadRequest, Delay: 5 * time.Second})
		w.push("app", upstreamtest.NewImage(1, 10), "v1")
		<-time.After(6 * time.Hour)
		n := len(w.east.Log())
		w.until("an attempt", func() bool { return len(w.east.Log()) > n })
		<-time.After(time.Second) // it is not answered yet
		img := upstreamtest.NewImage(2, 10)
		w.push("app", img, "v1")
		<-time.After(time.Second)
		w.east.Script()
		if took := w.until("the new one", func() bool { return w.status("app", img) == "east COMPLETE" }); took > 10*time.Second {
			t.Errorf("the new one took %s", took)
		}
	})
}

// TestUnmapped: what waits for a destination that nothing is known of fails in the end.
func TestUnmapped(t *testing.T) {
	in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
		w.rules(rule.ReplicationRule{Destinations: []rule.Destination{{Region: "north", RegistryID: "3"}}})
		img := upstreamtest.NewImage(1, 10)
		w.push("app", img, "v1")
		stats, err := w.r.Stats(t.Context())
		w.must(err)
		if s := stats[len(stats)-1]; s.Host != "" || s.Waiting != 1 {
			t.Errorf("%+v", stats)
		}
		<-time.After(8 * 24 * time.Hour)
		if got := w.status("app", img); got != "north FAILED "+meta.NotTried {
			t.Error(got)
		}
	})
}

// TestRestart: a copy that ends in the middle, with its process or without it, is made.
func TestRestart(t *testing.T) {
	in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
		w.rules(rule.ReplicationRule{Destinations: []rule.Destination{east}})
		w.east.Script(upstreamtest.Fault{Method: "PUT", Path: "/blobs/", Skip: 1, Hang: true})
		img := upstreamtest.NewImage(1, 5<<20, 100)
		w.push("app", img, "v1")
		synctest.Wait()
		w.r.Close()
		w.east.Script()
		w.east.Release()
		w.r = replicate.Run(w.options)
		if took := w.drained(); took > time.Second || !whole(w.east, "app", img) {
			t.Errorf("after %s", took)
		}

		// Whoever had it is gone without a word.
		w.r.Close()
		w.push("app", upstreamtest.NewImage(2, 100), "v2")
		now := time.Now()
		if _, ok, err := w.db.ClaimCopy(t.Context(), east, "dead", now, now.Add(time.Minute)); !ok || err != nil {
			t.Fatal(ok, err)
		}
		w.r = replicate.Run(w.options)
		if took := w.drained(); took > time.Second {
			t.Errorf("after %s", took)
		}
	})
}

// TestLong: a copy that takes longer than a claim lasts is made once.
func TestLong(t *testing.T) {
	in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
		w.rules(rule.ReplicationRule{Destinations: []rule.Destination{east}})
		w.east.Script(upstreamtest.Fault{Method: "PUT", Path: "/blobs/", Delay: 4 * time.Minute})
		img := upstreamtest.NewImage(1, 100)
		w.push("app", img, "v1")
		w.drained()
		if n := requests(w.east, "PUT"); n != 3 || !whole(w.east, "app", img) {
			t.Errorf("%d bodies", n)
		}
		// One that is deleted meanwhile ends.
		other := upstreamtest.NewImage(2, 100)
		w.push("app", other, "v2")
		<-time.After(time.Minute)
		_, err := w.db.DeleteManifest(t.Context(), "app", other.Digest, time.Now())
		w.must(err)
		<-time.After(time.Hour)
		if w.east.Has("app", string(other.Digest)) {
			t.Error("a deleted image was copied")
		}
	})
}

// TestOnlyLinked: naming a digest sends nobody's bytes anywhere, and what is not here any
// more is said to be missing.
func TestOnlyLinked(t *testing.T) {
	in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
		w.rules(rule.ReplicationRule{Destinations: []rule.Destination{east}, Filters: []string{"mine"}})
		const data = "the layer of corp/secret"
		w.bring("corp/secret", []byte(data))
		config := upstreamtest.NewImage(1).Config
		_ = w.db.CreateRepository(t.Context(), meta.Repository{Name: "mine/x", Created: time.Now()})
		w.bring("mine/x", config)
		stolen := digest.FromString(data)
		raw := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},"subject":{"mediaType":%q,"digest":%q,"size":1},"layers":[{"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar","digest":%q,"size":%d}]}`,
			oci.MediaTypeManifest, digest.FromBytes(config), len(config), oci.MediaTypeManifest, stolen, stolen, len(data))
		m := oci.Manifest{Raw: []byte(raw), Descriptor: oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: digest.FromString(raw), Size: int64(len(raw))}}
		w.put("mine/x", m, "v1")
		w.drained()
		if w.east.Tagged("mine/x", "v1") != m.Digest || w.east.Has("mine/x", string(stolen)) {
			t.Error("the manifest is not there, or the bytes are")
		}

		img := upstreamtest.NewImage(2, 100)
		w.east.Script(upstreamtest.Fault{Method: "POST", Status: 503})
		w.push("mine/y", img, "v1")
		synctest.Wait()
		w.must(w.store.Delete(t.Context(), digest.FromBytes(img.Layers[0])))
		w.east.Script()
		w.until("missing", func() bool { return strings.Contains(w.log.String(), "ContentMissing") })
		if got := w.status("mine/y", img); got != "east IN_PROGRESS" {
			t.Error(got)
		}
	})
}

// TestShared: copies that need the same blob at the same place send it once.
func TestShared(t *testing.T) {
	in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
		w.rules(rule.ReplicationRule{Destinations: []rule.Destination{east}})
		w.east.Script(upstreamtest.Fault{Method: "PUT", Path: "/blobs/", Delay: time.Second})
		img := upstreamtest.NewImage(1, 1000)
		w.push("app", img, "a", "b", "c", "d")
		w.drained()
		if n := requests(w.east, "POST"); n != 2 {
			t.Errorf("%d uploads", n)
		}
	})
}

// TestMany: a thousand that wait go one after the other, four at a time.
func TestMany(t *testing.T) {
	in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
		w.rules(rule.ReplicationRule{Destinations: []rule.Destination{east}})
		w.east.Script(upstreamtest.Fault{Method: "PUT", Path: "/manifests/", Delay: time.Second})
		img := upstreamtest.NewImage(1, 10)
		var tags []string
		for i := range 1000 {
			tags = append(tags, fmt.Sprint("t", i))
		}
		w.push("app", img, tags...)
		if took := w.drained(); took < 250*time.Second || took > 260*time.Second {
			t.Errorf("took %s", took)
		}
		if n := requests(w.east, "PUT"); n != 1002 {
			t.Errorf("%d bodies", n)
		}
	})
}

func sorted(all []string) []string {
	slices.Sort(all)
	return all
}
