package weirtest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
	"github.com/weir-registry/weir/internal/weirtest"
)

// listed reads all pages of a list as clients do, by Link, and returns their lines of
// the field.
func listed(t *testing.T, s *weirtest.Server, path, field string) (all []string, pages int) {
	t.Helper()
	for path != "" {
		resp := s.Do("GET", path, nil)
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s: %s, %v", path, resp.Status, b, err)
		}
		var page map[string]json.RawMessage
		var part []string
		if err = json.Unmarshal(b, &page); err == nil {
			err = json.Unmarshal(page[field], &part)
		}
		if err != nil {
			t.Fatalf("%s: %s: %v", path, b, err)
		}
		all, pages = append(all, part...), pages+1
		next, _, _ := strings.Cut(strings.TrimPrefix(resp.Header.Get("Link"), "<"), ">")
		path = next
	}
	return all, pages
}

// TestTagList: a cold list costs a token and the upstream's pages, however many ask for it;
// within a minute another costs nothing; without the upstream what is held is left.
func TestTagList(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{Auth: upstreamtest.Token, Page: 2})
	img := upstreamtest.NewImage(1, 1000)
	for _, tag := range []string{"1.0.0", "1.1.0", "10.0.0", "latest", "v2"} {
		up.Push("charts/app", tag, img)
	}
	site := up.Listen(t)
	s := weirtest.Start(t, weirtest.Settings(site, "", ""))
	want := []string{"1.0.0", "1.1.0", "10.0.0", "latest", "v2"}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			resp, err := s.Try("GET", "/v2/up/charts/app/tags/list?n=5", nil)
			if err != nil || resp.StatusCode != 200 || resp.Header.Get("Link") != "" {
				t.Errorf("%v, %v", resp, err)
				return
			}
			resp.Body.Close()
		})
	}
	wg.Wait()
	const at = "GET /v2/charts/app/tags/list"
	asked := []string{at + "?n=1000", "GET /token repository:charts/app:pull",
		at + "?n=1000 token", at + "?last=1.1.0&n=2 token", at + "?last=latest&n=2 token"}
	if diff := cmp.Diff(asked, up.Requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	up.Forget()

	for path, pages := range map[string]int{"": 1, "?n=2": 3, "?n=10000": 1, "?n=1": 5} { // helm asks without n, renovate with 10000
		got, n := listed(t, s, "/v2/up/charts/app/tags/list"+path, "tags")
		if diff := cmp.Diff(want, got); diff != "" || n != pages {
			t.Errorf("%s: %d pages, want %d (-want +got):\n%s", path, n, pages, diff)
		}
	}
	repo, err := name.NewRepository(s.Addr + "/up/charts/app")
	if err != nil {
		t.Fatal(err)
	}
	login := remote.WithAuth(&authn.Basic{Username: s.Key.ID, Password: s.Key.Secret})
	got, err := remote.List(repo, login, remote.WithPageSize(2))
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("another client: %v (-want +got):\n%s", err, diff)
	}
	if len(up.Requests()) > 0 {
		t.Errorf("requests within a minute: %q", up.Requests())
	}
	if got, _ := listed(t, s, "/v2/_catalog", "repositories"); len(got) > 0 {
		t.Errorf("a list made the repositories %q", got)
	}

	if err := pull(s, "up/charts/app", "v2"); err != nil {
		t.Fatal(err)
	}
	up.Script(upstreamtest.Fault{Status: 503})
	s.Restart(weirtest.Settings(site, "", ""))
	resp := s.Do("GET", "/v2/up/charts/app/tags/list", nil)
	b, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || string(b) != `{"name":"up/charts/app","tags":["v2"]}` || !strings.HasPrefix(resp.Header.Get("Warning"), "299 - ") || resp.Header.Get("X-Weir-Cache") != "stale" {
		t.Errorf("without the upstream: %s %v, %v", b, resp.Header, err)
	}
	if code, _ := refusal(t, s.Do("GET", "/v2/up/charts/other/tags/list", nil)); code != "UNKNOWN" {
		t.Errorf("of what is not held: %s", code)
	}
	if got, _ := listed(t, s, "/v2/_catalog", "repositories"); !slices.Equal(got, []string{"up/charts/app"}) {
		t.Errorf("the repositories are %q", got)
	}
}

// TestReferrers: what there is about an image comes through the rule, by the upstream's
// API or its fallback tag, whole and in the window once, and is there without the upstream.
func TestReferrers(t *testing.T) {
	for _, quirks := range [][]upstreamtest.Quirk{nil, {upstreamtest.NoReferrers}, {upstreamtest.ReferrersPage}} {
		t.Run(strings.Join(append([]string{"quirks"}, quirkNames(quirks)...), " "), func(t *testing.T) {
			up := upstreamtest.New(upstreamtest.Options{Auth: upstreamtest.Token, Page: 1, Quirks: quirks})
			img := upstreamtest.NewImage(1, 1000)
			up.Push("app", "v1", img)
			sbom, sig := upstreamtest.NewReferrer(img.Descriptor, "application/sbom", 1), upstreamtest.NewReferrer(img.Descriptor, "application/sig", 2)
			up.Push("app", "", sbom)
			up.Push("app", "", sig)
			if quirks != nil {
				up.PutFallback("app", img.Digest, sbom, sig)
			}
			site := up.Listen(t)
			s := weirtest.Start(t, weirtest.Settings(site, "", ""))
			if err := pull(s, "up/app", "v1"); err != nil {
				t.Fatal(err)
			}
			for _, away := range []bool{false, true} {
				if away {
					up.Script(upstreamtest.Fault{Status: 503})
					up.Forget()
					s.Restart(weirtest.Settings(site, "", ""))
				}
				repo, err := name.NewRepository(s.Addr + "/up/app")
				if err != nil {
					t.Fatal(err)
				}
				login := remote.WithAuth(&authn.Basic{Username: s.Key.ID, Password: s.Key.Secret})
				index, err := remote.Referrers(repo.Digest(string(img.Digest)), login)
				if err != nil {
					t.Fatal(err)
				}
				m, err := index.IndexManifest()
				if err != nil || len(m.Manifests) != 2 {
					t.Fatalf("%+v, %v", m, err)
				}
				for _, x := range m.Manifests {
					if x.Annotations["seed"] == "" || !strings.HasPrefix(x.ArtifactType, "application/s") {
						t.Errorf("%+v", x)
					}
					b, _, err := get(s, "GET", "/v2/up/app/manifests/"+x.Digest.String())
					if err != nil || int64(len(b)) != x.Size {
						t.Errorf("%s: %d bytes, %v", x.Digest, len(b), err)
						continue
					}
					edges, err := (&oci.Manifest{Descriptor: oci.Descriptor{MediaType: string(x.MediaType)}, Raw: b}).Edges()
					if err != nil {
						t.Fatal(err)
					}
					for _, blob := range edges.Blobs() {
						if _, _, err := get(s, "GET", "/v2/up/app/blobs/"+string(blob.Digest)); err != nil {
							t.Error(err)
						}
					}
				}
				resp := s.Do("GET", "/v2/up/app/referrers/"+string(img.Digest)+"?artifactType=application/sig", nil)
				b, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || strings.Count(string(b), `"digest"`) != 1 || !strings.Contains(string(b), string(sig.Digest)) || resp.Header.Get("OCI-Filters-Applied") != "artifactType" {
					t.Errorf("filtered: %s %v, %v", b, resp.Header, err)
				}
				if away && len(up.Requests()) > 0 {
					t.Errorf("requests within the window: %q", up.Requests())
				}
			}
		})
	}
}

func quirkNames(quirks []upstreamtest.Quirk) []string {
	var names []string
	for _, q := range quirks {
		names = append(names, string(q))
	}
	return names
}
