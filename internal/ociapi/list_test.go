package ociapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/pullthrough"
	"github.com/weir-registry/weir/internal/registry"
)

func TestLists(t *testing.T) {
	sbom := oci.Referrer{MediaType: oci.MediaTypeManifest, Digest: d256, Size: 7, ArtifactType: "application/sbom", Annotations: map[string]string{"a": "<&>"}}
	tags := func(more bool, tags ...string) *registry.TagList {
		return &registry.TagList{TagList: pullthrough.TagList{Tags: tags, More: more, Source: registry.Hit, Age: 5 * time.Second}, Upstream: "up.example"}
	}
	refs := func(more bool, list ...oci.Referrer) *registry.ReferrerList {
		return &registry.ReferrerList{ReferrerList: pullthrough.ReferrerList{Referrers: list, More: more, Source: registry.Stale, Age: -1, Warning: "up.example is away"}}
	}
	about := "/v2/a/referrers/" + string(d256)
	index := `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeIndex + `","manifests":[`
	one := `{"mediaType":"` + oci.MediaTypeManifest + `","digest":"` + string(d256) + `","size":7,"artifactType":"application/sbom","annotations":{"a":"\u003c\u0026\u003e"}}`
	for _, tt := range []struct {
		name, path string
		script     script
		body       string
		header     map[string]string
		call       string
	}{
		{"tags", "/v2/a/tags/list", script{tagList: tags(false, "b", "c")}, `{"name":"a","tags":["b","c"]}`,
			map[string]string{"Link": "", "X-Weir-Cache": "hit; age=5", "Warning": "", "Content-Type": "application/json"}, `tags a "" 10000 by root`},
		{"no tags", "/v2/a/tags/list", script{tagList: tags(false)}, `{"name":"a","tags":[]}`, map[string]string{"Link": ""}, `tags a "" 10000 by root`},
		{"a page", "/v2/a/tags/list?n=2&last=a", script{tagList: tags(true, "b", "c")}, `{"name":"a","tags":["b","c"]}`,
			map[string]string{"Link": `</v2/a/tags/list?last=c&n=2>; rel="next"`}, `tags a "a" 2 by root`},
		{"a page of what is too many", "/v2/a/tags/list", script{tagList: tags(true, "b")}, `{"name":"a","tags":["b"]}`,
			map[string]string{"Link": `</v2/a/tags/list?last=b&n=10000>; rel="next"`}, `tags a "" 10000 by root`},
		{"a page of none", "/v2/a/tags/list?n=0", script{tagList: tags(true)}, `{"name":"a","tags":[]}`, map[string]string{"Link": ""}, `tags a "" 0 by root`},
		{"too large a page", "/v2/a/tags/list?n=99999999999999999999", script{tagList: tags(false)}, `{"name":"a","tags":[]}`, nil, `tags a "" 10000 by root`},
		{"what else is asked stays", "/v2/a/tags/list?n=1&x=%26y", script{tagList: tags(true, "b")}, `{"name":"a","tags":["b"]}`,
			map[string]string{"Link": `</v2/a/tags/list?last=b&n=1&x=%26y>; rel="next"`}, `tags a "" 1 by root`},
		{"catalog", "/v2/_catalog", script{catalog: []string{"a", "b/c"}}, `{"repositories":["a","b/c"]}`, map[string]string{"Link": "", "X-Weir-Cache": ""}, `catalog "" 100 by root`},
		{"no repositories", "/v2/_catalog", script{}, `{"repositories":[]}`, nil, `catalog "" 100 by root`},
		{"a page of the catalog", "/v2/_catalog?n=1&last=a", script{catalog: []string{"b/c"}, more: true}, `{"repositories":["b/c"]}`,
			map[string]string{"Link": `</v2/_catalog?last=b%2Fc&n=1>; rel="next"`}, `catalog "a" 1 by root`},
		{"a large page of the catalog", "/v2/_catalog?n=100000", script{}, `{"repositories":[]}`, nil, `catalog "" 1000 by root`},
		{"referrers", about, script{listed: refs(false, sbom)}, index + one + `]}`,
			map[string]string{"Link": "", "Content-Type": oci.MediaTypeIndex, "X-Weir-Cache": "stale", "Warning": `299 - "up.example is away"`, "OCI-Filters-Applied": ""},
			"referrers a " + string(d256) + ` [] "" 500 by root`},
		{"no referrers", about, script{listed: refs(false)}, index + `]}`, nil, "referrers a " + string(d256) + ` [] "" 500 by root`},
		{"filtered referrers", about + "?artifactType=application%2Fsbom", script{listed: refs(true, sbom)}, index + one + `]}`,
			map[string]string{"OCI-Filters-Applied": "artifactType",
				"Link": "<" + about + "?artifactType=application%2Fsbom&last=" + strings.Replace(string(d256), ":", "%3A", 1) + `>; rel="next"`},
			"referrers a " + string(d256) + ` ["application/sbom"] "" 500 by root`},
		{"referrers in no repository", about, script{err: errs.New(errs.RepoUnknown, "no")}, index + `]}`, map[string]string{"X-Weir-Cache": "hit", "Warning": ""}, "referrers a " + string(d256) + ` [] "" 500 by root`},
		{"more referrers", about + "?last=" + string(d512) + "&artifactType=", script{listed: refs(false)}, index + `]}`,
			map[string]string{"OCI-Filters-Applied": ""}, "referrers a " + string(d256) + fmt.Sprintf(" [] %q 500 by root", d512)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := start(t, &tt.script)
			var headers []http.Header
			for _, method := range []string{"GET", "HEAD"} {
				resp, body, err := srv.do(t, method, tt.path, nil)
				if err != nil {
					t.Fatal(err)
				}
				safe(t, resp)
				if want := map[string]string{"GET": tt.body, "HEAD": ""}[method]; resp.StatusCode != 200 || string(body) != want {
					t.Errorf("%s: %d %s\nwant %s", method, resp.StatusCode, body, want)
				}
				for k, v := range tt.header {
					if got := resp.Header.Get(k); got != v {
						t.Errorf("%s: %s is %q, want %q", method, k, got, v)
					}
				}
				if got := resp.Header.Get("Content-Length"); got != fmt.Sprint(len(tt.body)) {
					t.Errorf("%s: Content-Length %s", method, got)
				}
				resp.Header.Del("Date")
				resp.Header.Del("X-Request-Id")
				headers = append(headers, resp.Header)
			}
			if d := cmp.Diff(headers[0], headers[1]); d != "" {
				t.Errorf("HEAD's header is not GET's (-GET +HEAD):\n%s", d)
			}
			if d := cmp.Diff([]string{tt.call, tt.call}, srv.script.calls); d != "" {
				t.Errorf("calls (-want +got):\n%s", d)
			}
		})
	}
}

func TestBadLists(t *testing.T) {
	for _, tt := range []struct {
		path   string
		err    error
		status int
		code   string
	}{
		{"/v2/a/tags/list?n=-1", nil, 400, "PAGINATION_NUMBER_INVALID"},
		{"/v2/a/tags/list?n=x", nil, 400, "PAGINATION_NUMBER_INVALID"},
		{"/v2/a/tags/list?n=1.5", nil, 400, "PAGINATION_NUMBER_INVALID"},
		{"/v2/a/tags/list?n=0x1", nil, 400, "PAGINATION_NUMBER_INVALID"},
		{"/v2/_catalog?n=-1", nil, 400, "PAGINATION_NUMBER_INVALID"},
		{"/v2/a/tags/list", errs.New(errs.RepoUnknown, "no"), 404, "NAME_UNKNOWN"},
		{"/v2/a/tags/list", errs.New(errs.Denied, "no"), 403, "DENIED"},
		{"/v2/a/tags/list", errs.New(errs.UpstreamUnreachable, "no"), 502, "UNKNOWN"},
		{"/v2/_catalog", errs.New(errs.Denied, "no"), 403, "DENIED"},
		{"/v2/a/referrers/" + string(d256), errs.New(errs.UpstreamTimeout, "no"), 504, "UNKNOWN"},
		{"/v2/a/referrers/sha256:x", nil, 400, "DIGEST_INVALID"},
		{"/v2/a/referrers/latest", nil, 400, "DIGEST_INVALID"},
	} {
		srv := start(t, &script{err: tt.err})
		resp, body, err := srv.do(t, "GET", tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if code, _ := errorOf(t, body); resp.StatusCode != tt.status || code != tt.code || resp.Header.Get("Link") != "" {
			t.Errorf("%s: %d %s, want %d %s", tt.path, resp.StatusCode, code, tt.status, tt.code)
		}
		if (tt.err == nil) != (len(srv.script.calls) == 0) {
			t.Errorf("%s: calls %q", tt.path, srv.script.calls)
		}
	}
}

// TestListIsIndex: clients read a list of referrers as any index.
func TestListIsIndex(t *testing.T) {
	srv := start(t, &script{listed: &registry.ReferrerList{}})
	_, body, err := srv.do(t, "GET", "/v2/a/referrers/"+string(digest.FromString("x")), nil)
	if err != nil {
		t.Fatal(err)
	}
	if mediaType, err := oci.ManifestType("", body); err != nil || mediaType != oci.MediaTypeIndex {
		t.Errorf("%q, %v", mediaType, err)
	}
	var list struct{ Manifests json.RawMessage }
	if err := json.Unmarshal(body, &list); err != nil || string(list.Manifests) != "[]" {
		t.Errorf("manifests are %s, %v", list.Manifests, err)
	}
}
