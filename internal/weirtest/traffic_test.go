package weirtest_test

import (
	"io"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/rule"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
	"github.com/weir-registry/weir/internal/weirtest"
)

// pullAll pulls an image as a client does, and returns how many bytes came.
func pullAll(t *testing.T, s *weirtest.Server, repo, tag string, img upstreamtest.Image) (n int64) {
	t.Helper()
	read := func(path string) {
		t.Helper()
		resp := s.Do(http.MethodGet, "/v2/"+repo+path, nil)
		defer resp.Body.Close()
		got, err := io.Copy(io.Discard, resp.Body)
		if n += got; err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", path, resp.Status, err)
		}
	}
	s.Do(http.MethodHead, "/v2/"+repo+"/manifests/"+tag, nil).Body.Close()
	read("/manifests/" + tag)
	for d := range img.Blobs() {
		read("/blobs/" + string(d))
	}
	for d := range img.Blobs() { // what has come to its end may still be on its way into the store
		eventually(t, string(d)+" is held", s, func() bool {
			resp := s.Do(http.MethodHead, "/v2/"+repo+"/blobs/"+string(d), nil)
			resp.Body.Close()
			return resp.Header.Get("X-Weir-Cache") == "hit"
		})
	}
	return n
}

// TestTraffic: what clients were given and what came for it is counted once, by rule, over
// restarts; what is pushed here is no rule's.
func TestTraffic(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{})
	site := up.Listen(t)
	img := upstreamtest.NewImage(1, 100_000, 300)
	up.Push("app", "v1", img)
	settings := weirtest.Settings(site, "prefetch: off", "")
	s := weirtest.Start(t, settings)

	manifest := int64(len(img.Raw))
	one := pullAll(t, s, "up/app", "v1", img)
	pullAll(t, s, "up/app", "v1", img)
	call(t, s, "CreateRepository", `{"repositoryName":"team/app"}`)
	pushImage(t, s, "team/app", "v1", img)
	pullAll(t, s, "team/app", "v1", img)
	if code := status(s, "/v2/up/app/manifests/none"); code != http.StatusNotFound {
		t.Errorf("a tag that is not there: %d", code)
	}
	s.Restart(settings)
	pullAll(t, s, "up/app", "v1", img)
	site.URL = "http://127.0.0.1:1" // nobody is there: what is held is given, however old
	s.Restart(weirtest.Settings(site, "window: 0s", ""))
	pullAll(t, s, "up/app", "v1", img)
	s.Stop()

	db, err := meta.Open(t.Context(), meta.Options{Path: filepath.Join(s.Folder, "data", "weir.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Traffic(t.Context(), time.Now().Add(-2*time.Hour), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]rule.Traffic{}
	for _, r := range rows {
		got[r.Prefix] = got[r.Prefix].Plus(r.Traffic)
	}
	// The first pull's HEAD had the manifest come, so its bytes were held for the GET.
	if diff := cmp.Diff(map[string]rule.Traffic{
		"up": {Pulls: 4, Hits: 3, Bytes: 4 * one, HitBytes: 3*one + manifest, Upstream: one},
		"":   {Pulls: 1, Hits: 1, Bytes: one, HitBytes: one},
	}, got); diff != "" {
		t.Errorf("traffic of one image of %d bytes (-want +got):\n%s", one, diff)
	}
}

// TestTrafficShared: a blob that is here because of another repository is given of what was
// held, and a client that has a manifest already and asks whether it is still that one pulls
// nothing.
func TestTrafficShared(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{})
	site := up.Listen(t)
	img := upstreamtest.NewImage(1, 100_000, 300)
	up.Push("app", "v1", img)
	up.Push("other", "v1", img)
	s := weirtest.Start(t, weirtest.Settings(site, "prefetch: off", ""))
	manifest := int64(len(img.Raw))
	one := pullAll(t, s, "up/app", "v1", img)
	pullAll(t, s, "up/other", "v1", img)
	for range 3 {
		resp := s.Do(http.MethodGet, "/v2/up/app/manifests/v1", http.Header{"If-None-Match": {`"` + string(img.Digest) + `"`}})
		if resp.Body.Close(); resp.StatusCode != http.StatusNotModified {
			t.Errorf("what the client has: %s", resp.Status)
		}
	}
	s.Stop()

	db, err := meta.Open(t.Context(), meta.Options{Path: filepath.Join(s.Folder, "data", "weir.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Traffic(t.Context(), time.Now().Add(-2*time.Hour), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var got rule.Traffic
	for _, r := range rows {
		got = got.Plus(r.Traffic)
	}
	got.Upstream = 0 // the manifests of both, the blobs, and what was asked for whether they may be had
	if diff := cmp.Diff(rule.Traffic{Pulls: 2, Bytes: 2 * one, HitBytes: one + manifest}, got); diff != "" {
		t.Errorf("traffic of two repositories with one image of %d bytes (-want +got):\n%s", one, diff)
	}
}
