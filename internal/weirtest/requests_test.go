package weirtest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
	"github.com/weir-registry/weir/internal/weirtest"
)

// get reads an answer of weir, which must be 200.
func get(s *weirtest.Server, method, path string) ([]byte, http.Header, error) {
	resp := s.Do(method, path, nil)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, b)
	}
	return b, resp.Header, err
}

// pull does what docker does: HEAD of the tag, the index by digest, the platform's
// manifest by digest, config and layers side by side; everything is verified.
func pull(s *weirtest.Server, repo, tag string) error {
	_, h, err := get(s, "HEAD", "/v2/"+repo+"/manifests/"+tag)
	if err != nil {
		return err
	}
	d := digest.Digest(h.Get("Docker-Content-Digest"))
	var m struct {
		Manifests []struct{ Digest digest.Digest }
		Config    struct{ Digest digest.Digest }
		Layers    []struct{ Digest digest.Digest }
	}
	for range 2 {
		b, _, err := get(s, "GET", "/v2/"+repo+"/manifests/"+string(d))
		if err != nil {
			return err
		}
		if digest.FromBytes(b) != d {
			return fmt.Errorf("manifest %s has other bytes", d)
		}
		m.Manifests = nil
		if err := json.Unmarshal(b, &m); err != nil {
			return err
		}
		if m.Manifests == nil {
			break
		}
		d = m.Manifests[0].Digest
	}
	blobs := []digest.Digest{m.Config.Digest}
	for _, l := range m.Layers {
		blobs = append(blobs, l.Digest)
	}
	failed := make([]error, len(blobs))
	var wg sync.WaitGroup
	for i, d := range blobs {
		wg.Go(func() {
			b, _, err := get(s, "GET", "/v2/"+repo+"/blobs/"+string(d))
			if err == nil && digest.FromBytes(b) != d {
				err = fmt.Errorf("blob %s has other bytes (%d)", d, len(b))
			}
			failed[i] = err
		})
	}
	wg.Wait()
	return firstOf(failed)
}

func firstOf(failed []error) error {
	for _, err := range failed {
		if err != nil {
			return err
		}
	}
	return nil
}

// herd is n clients that pull at once.
func herd(t *testing.T, s *weirtest.Server, n int, repo, tag string) {
	t.Helper()
	failed := make([]error, n)
	var wg sync.WaitGroup
	for i := range failed {
		wg.Go(func() { failed[i] = pull(s, repo, tag) })
	}
	wg.Wait()
	if err := firstOf(failed); err != nil {
		t.Fatal(err)
	}
}

// asked checks the multiset of upstream requests since the last call.
func asked(t *testing.T, up *upstreamtest.Registry, want ...string) {
	t.Helper()
	got := up.Requests()
	up.Forget()
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
		t.Errorf("upstream requests (-want +got):\n%s", diff)
	}
}

// cold is what a cold image costs: its token apart, the index by tag, the
// platform's manifest, and each blob once.
func cold(repo, tag string, img upstreamtest.Image) []string {
	one := func(kind, ref string) string { return "GET /v2/" + repo + "/" + kind + "/" + ref + " token" }
	child := img.Children[0]
	want := []string{one("manifests", tag), one("manifests", string(child.Digest))}
	for d := range child.Blobs() {
		want = append(want, one("blobs", string(d)))
	}
	return want
}

// TestRequests pins what each action of clients costs the upstream, whatever their
// number.
func TestRequests(t *testing.T) {
	for _, clients := range []int{1, 20} {
		t.Run(fmt.Sprint(clients, " clients"), func(t *testing.T) {
			up := upstreamtest.New(upstreamtest.Options{Auth: upstreamtest.Token})
			site := up.Listen(t)
			first := upstreamtest.NewIndex(1, 3, 100<<10, 1<<20, 300)
			second := upstreamtest.NewIndex(2, 3, 100<<10, 1<<20, 300)
			up.Push("team/first", "v1", first)
			up.Push("team/second", "v1", second)
			s := weirtest.Start(t, weirtest.Settings(site, "", ""))
			token := func(repo string) string { return "GET /token repository:" + repo + ":pull" }

			// Who the tokens come from is asked once for an upstream, by its challenge.
			herd(t, s, clients, "up/team/first", "v1")
			asked(t, up, append(cold("team/first", "v1", first), token("team/first"), "GET /v2/team/first/manifests/v1")...)
			herd(t, s, clients, "up/team/second", "v1")
			asked(t, up, append(cold("team/second", "v1", second), token("team/second"))...)

			herd(t, s, clients, "up/team/first", "v1")
			asked(t, up)

			// Both tags are due now, and one has moved.
			s.Restart(weirtest.Settings(site, "window: 1s", ""))
			<-time.After(time.Second)
			herd(t, s, clients, "up/team/first", "v1")
			asked(t, up, token("team/first"), "HEAD /v2/team/first/manifests/v1", "HEAD /v2/team/first/manifests/v1 token")
			moved := upstreamtest.NewIndex(3, 1, 5000)
			up.Push("team/second", "v1", moved)
			herd(t, s, 1, "up/team/second", "v1")
			asked(t, up, append(cold("team/second", "v1", moved), token("team/second"), "HEAD /v2/team/second/manifests/v1 token")...)
			if err := pull(s, "up/team/second", string(second.Digest)); err != nil {
				t.Errorf("the old image by digest: %v", err)
			}
			asked(t, up)
		})
	}
}

// TestHeadsDownloadNothing: HEAD of a blob costs one byte, of a tag its manifest.
func TestHeadsDownloadNothing(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{})
	site := up.Listen(t)
	img := upstreamtest.NewImage(1, 1<<20)
	up.Push("app", "v1", img)
	s := weirtest.Start(t, weirtest.Settings(site, "", ""))
	layer := digest.FromBytes(img.Layers[0])
	for range 2 {
		_, h, err := get(s, "HEAD", "/v2/up/app/blobs/"+string(layer))
		if err != nil || h.Get("Content-Length") != fmt.Sprint(1<<20) {
			t.Errorf("%v: %v", h, err)
		}
	}
	asked(t, up, "GET /v2/app/blobs/"+string(layer)+" bytes=0-0")
	if _, _, err := get(s, "HEAD", "/v2/up/app/manifests/v1"); err != nil {
		t.Error(err)
	}
	asked(t, up, "GET /v2/app/manifests/v1")
}

// TestRedirects: clients never hear of the upstream's second host, and blobs come
// from it once each, without a credential.
func TestRedirects(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{Auth: upstreamtest.Token, Redirect: true})
	site := up.Listen(t)
	img := upstreamtest.NewIndex(1, 2, 1<<20, 70<<10)
	up.Push("app", "v1", img)
	s := weirtest.Start(t, weirtest.Settings(site, "", ""))
	herd(t, s, 10, "up/app", "v1")
	blobs := 0
	for _, q := range up.Log() {
		if "http://"+q.Host == site.CDN {
			blobs++
			if q.Auth != "" {
				t.Errorf("the second host was given a %s", q.Auth)
			}
		}
	}
	if blobs != 3 {
		t.Errorf("%d requests at the second host, want 3", blobs)
	}
}

// TestQuirks: what is odd about an upstream never reaches the client.
func TestQuirks(t *testing.T) {
	for _, q := range upstreamtest.Quirks() {
		t.Run(string(q), func(t *testing.T) {
			if q == upstreamtest.Gzip {
				return // refused for blobs; the upstream client's tests have it
			}
			up := upstreamtest.New(upstreamtest.Options{Auth: upstreamtest.Token, Redirect: true, Quirks: []upstreamtest.Quirk{q}})
			site := up.Listen(t)
			up.Push("app", "v1", upstreamtest.NewIndex(1, 2, 1<<20, 70<<10, 10))
			s := weirtest.Start(t, weirtest.Settings(site, "window: 0", ""))
			herd(t, s, 5, "up/app", "v1")
			moved := upstreamtest.NewIndex(2, 2, 1<<20, 70<<10, 10)
			up.Push("app", "v1", moved)
			<-time.After(time.Second)
			_, h, err := get(s, "GET", "/v2/up/app/manifests/v1")
			if err != nil || h.Get("Docker-Content-Digest") != string(moved.Digest) {
				t.Errorf("after the move: %s, %v", h.Get("Docker-Content-Digest"), err)
			}
			if err := pull(s, "up/app", string(moved.Digest)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestOldClient: an HTTP/1.0 client takes the connection's end for the blob's. It
// gets all of a blob whose length nobody told, or an error, and nothing between.
func TestOldClient(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault upstreamtest.Fault
		whole bool
	}{
		{"no length", upstreamtest.Fault{NoLength: true}, true},
		{"no length, cut and resumed", upstreamtest.Fault{NoLength: true, Cut: true, At: 500 << 10, Times: 1}, true},
		{"no length, wrong bytes", upstreamtest.Fault{NoLength: true, Corrupt: true}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			up := upstreamtest.New(upstreamtest.Options{})
			site := up.Listen(t)
			data := upstreamtest.NewImage(1, 1<<20).Layers[0]
			d := up.PutBlob("app", data)
			tt.fault.Path = "/blobs/"
			up.Script(tt.fault)
			s := weirtest.Start(t, weirtest.Settings(site, "", ""))
			status, body := oldGet(t, s, "/v2/up/app/blobs/"+string(d))
			if tt.whole && (status != 200 || !bytes.Equal(body, data)) {
				t.Errorf("status %d, %d bytes", status, len(body))
			}
			if !tt.whole && status == 200 {
				t.Errorf("a whole-looking answer of %d bytes", len(body))
			}
		})
	}
}

// TestAbort: a client of HTTP/1.1 is told by a broken connection that a blob could
// not be finished.
func TestAbort(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{})
	site := up.Listen(t)
	data := upstreamtest.NewImage(1, 1<<20).Layers[0]
	for _, f := range []upstreamtest.Fault{{Corrupt: true}, {Corrupt: true, NoLength: true}} {
		d := up.PutBlob("app", append(data, byte(len(f.Path))))
		f.Path = "/blobs/"
		up.Script(f)
		s := weirtest.Start(t, weirtest.Settings(site, "", ""))
		for range 3 {
			if n, err := whole(t, s, "/v2/up/app/blobs/"+string(d)); err == nil || n >= len(data) {
				t.Errorf("%+v: a whole-looking answer of %d bytes", f, n)
			}
		}
	}
}

// whole asks for a path and says how much came, and why that is not all. The
// connection may be broken off before the header is out.
func whole(t *testing.T, s *weirtest.Server, path string) (int, error) {
	t.Helper()
	req, err := http.NewRequest("GET", "http://"+s.Addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(s.Key.ID, s.Key.Secret)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return len(b), err
}
