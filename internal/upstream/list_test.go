package upstream_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/upstream"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
)

// TestTags: all pages, one token, and no page from anywhere but the upstream.
func TestTags(t *testing.T) {
	for _, quirks := range [][]upstreamtest.Quirk{nil, {upstreamtest.ForeignLink}, {upstreamtest.Chunked}, {upstreamtest.NoScopeInBearer}} {
		t.Run(fmt.Sprint(quirks), func(t *testing.T) {
			in(t, upstreamtest.Options{Auth: upstreamtest.Token, Page: 2, Quirks: quirks}, func(t *testing.T, w *world) {
				w.connect(t, upstream.Host{}, nil)
				for _, tag := range []string{"v3", "v10", "a", "V2"} {
					w.reg.PutManifest("app", tag, oci.MediaTypeIndex, []byte(`{"manifests":[]}`))
				}
				got, err := w.up.Tags(t.Context(), "app")
				if diff := cmp.Diff([]string{"V2", "a", "v1", "v10", "v3"}, got); err != nil || diff != "" {
					t.Errorf("%v (-want +got):\n%s", err, diff)
				}
				w.requests(t, "GET /v2/app/tags/list?n=1000", "GET /token repository:app:pull",
					"GET /v2/app/tags/list?n=1000 token", "GET /v2/app/tags/list?last=a&n=2 token", "GET /v2/app/tags/list?last=v10&n=2 token")
				_, err = w.up.Tags(t.Context(), "nowhere")
				w.fails(t, err, errs.RepoUnknown, "tags of nowhere")
			})
		})
	}
}

// TestTagsElsewhere: registry.k8s.io sends lists, too, to another registry.
func TestTagsElsewhere(t *testing.T) {
	in(t, upstreamtest.Options{Auth: upstreamtest.Token, Page: 1}, func(t *testing.T, w *world) {
		front := upstreamtest.New(upstreamtest.Options{Elsewhere: "https://registry.test"})
		front.On(w.Network, "front.test")
		w.connect(t, upstream.Host{}, nil)
		w.opts.Hosts["front.test"] = upstream.Host{CA: w.CA(), Proxy: "direct"}
		c, err := upstream.New(w.opts)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		w.reg.PutManifest("app", "v2", oci.MediaTypeIndex, []byte(`{"manifests":[]}`))
		got, err := c.Registry("front.test", "generic", nil).Tags(t.Context(), "app")
		if diff := cmp.Diff([]string{"v1", "v2"}, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		w.requests(t, "GET /v2/app/tags/list?n=1000", "GET /token repository:app:pull",
			"GET /v2/app/tags/list?n=1000 token", "GET /v2/app/tags/list?last=v1&n=1 token")
	})
}

// TestBadTags: what a hostile or broken upstream sends costs a bound, and what of it
// is good is used.
func TestBadTags(t *testing.T) {
	link := func(to string) http.Header { return http.Header{"Link": {to}} }
	many := `{"name":"app","tags":["` + strings.Repeat(`v1","`, 60_000) + `v2"]}`
	for _, tt := range []struct {
		name   string
		fault  upstreamtest.Fault
		want   []string
		code   errs.Code // -1: none
		asked  int
		atMost int64 // bytes
	}{
		{name: "unsorted and twice", fault: upstreamtest.Fault{Status: 200, Body: `{"name":"app","tags":["b","a","b"]}`}, want: []string{"a", "b"}, code: -1, asked: 1},
		{name: "tags that are none", fault: upstreamtest.Fault{Status: 200, Body: `{"tags":["../x",7,null,{"a":["b"]},["c"],"","-a","` + strings.Repeat("x", 129) + `","a b","a\u0000","ok"]}`}, want: []string{"ok"}, code: -1, asked: 1},
		{name: "null", fault: upstreamtest.Fault{Status: 200, Body: `{"name":"app","tags":null}`}, code: -1, asked: 1},
		{name: "HTML", fault: upstreamtest.HTML(), code: errs.UpstreamFailed, asked: 1},
		{name: "errors with 200", fault: upstreamtest.Fault{Status: 200, Body: `{"errors":[]}`}, code: errs.UpstreamFailed, asked: 1},
		{name: "a loop", fault: upstreamtest.Fault{Status: 200, Header: link(`</v2/app/tags/list?n=1000>; rel="next"`), Body: `{"tags":["a"]}`}, want: []string{"a"}, code: errs.LimitExceeded, asked: 1},
		{name: "another host", fault: upstreamtest.Fault{Status: 200, Header: link(`<https://metadata.test/latest?x=y>; rel="next"`), Body: `{"tags":["a"]}`}, want: []string{"a"}, code: errs.LimitExceeded, asked: 2},
		{name: "a Link without a query", fault: upstreamtest.Fault{Status: 200, Header: link(`<https://metadata.test/>; rel=next`), Body: `{"tags":["a"]}`}, want: []string{"a"}, code: errs.LimitExceeded, asked: 2},
		{name: "other relations", fault: upstreamtest.Fault{Status: 200, Header: link(`</a?b=c>; rel="prev", </a?c=d>; title="next, <x>; rel=next"`), Body: `{"tags":["a"]}`}, want: []string{"a"}, code: -1, asked: 1},
		{name: "Links that are none", fault: upstreamtest.Fault{Status: 200, Header: link(`<<>, ;;"<`), Body: `{"tags":["a"]}`}, want: []string{"a"}, code: -1, asked: 1},
		{name: "many tags without an end", fault: upstreamtest.Fault{Status: 200, Header: link(`<?x=1>; rel=next`), Body: many}, want: []string{"v1", "v2"}, code: errs.LimitExceeded, asked: 2},
		{name: "a body without an end", fault: upstreamtest.Fault{Endless: true}, code: errs.UpstreamFailed, asked: 1, atMost: 9 << 20},
		{name: "a body that says 100 MB", fault: upstreamtest.Fault{Length: 100 << 20}, code: errs.UpstreamFailed, asked: 1, atMost: 1 << 20},
		{name: "a body cut", fault: upstreamtest.Fault{Cut: true, At: 5}, code: errs.UpstreamUnreachable, asked: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
				w.connect(t, upstream.Host{}, nil)
				tt.fault.Path = "/tags/list"
				w.reg.Script(tt.fault)
				got, err := w.up.Tags(t.Context(), "app")
				if tt.code >= 0 {
					w.fails(t, err, tt.code, "tags of app")
				} else if err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" && len(tt.want)+len(got) > 0 {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if n := len(w.reg.Requests()); n != tt.asked {
					t.Errorf("%d requests, want %d: %v", n, tt.asked, w.reg.Requests())
				}
				if n := w.reg.Bytes(); tt.atMost > 0 && n > tt.atMost {
					t.Errorf("%d bytes were read", n)
				}
				for _, q := range w.reg.Log() {
					if q.Host != "registry.test" || q.Path != "/v2/app/tags/list" {
						t.Errorf("%s was asked for %s", q.Host, q.Path)
					}
				}
			})
		})
	}
}

// TestTagsBreakOff: what came before is kept, and no later answer means that there is
// no list.
func TestTagsBreakOff(t *testing.T) {
	for _, tt := range []struct {
		status int
		code   errs.Code
	}{{404, errs.UpstreamFailed}, {429, errs.UpstreamRateLimited}, {503, errs.UpstreamUnreachable}, {401, errs.UpstreamDenied}} {
		in(t, upstreamtest.Options{Page: 1}, func(t *testing.T, w *world) {
			w.connect(t, upstream.Host{}, nil)
			w.reg.PutManifest("app", "v2", oci.MediaTypeIndex, []byte(`{"manifests":[]}`))
			w.reg.Script(upstreamtest.Fault{Path: "/tags/list", Skip: 1, Status: tt.status})
			got, err := w.up.Tags(t.Context(), "app")
			w.fails(t, err, tt.code, "tags of app")
			if diff := cmp.Diff([]string{"v1"}, got); diff != "" {
				t.Errorf("%d (-want +got):\n%s", tt.status, diff)
			}
		})
	}
}

// TestEndlessPages: pages that each lead to another one come to an end.
func TestEndlessPages(t *testing.T) {
	in(t, upstreamtest.Options{Page: 1}, func(t *testing.T, w *world) {
		w.connect(t, upstream.Host{}, nil)
		for i := range 300 {
			w.reg.PutManifest("app", fmt.Sprintf("w%03d", i), oci.MediaTypeIndex, []byte(`{"manifests":[]}`))
		}
		got, err := w.up.Tags(t.Context(), "app")
		w.fails(t, err, errs.LimitExceeded, "does not end")
		if n := len(w.reg.Requests()); len(got) != 200 || n != 200 {
			t.Errorf("%d tags by %d requests", len(got), n)
		}
	})
}

func TestReferrers(t *testing.T) {
	in(t, upstreamtest.Options{Auth: upstreamtest.Token, Page: 2}, func(t *testing.T, w *world) {
		w.connect(t, upstream.Host{}, nil)
		var want []oci.Referrer
		for i := range 3 {
			img := upstreamtest.NewReferrer(w.img.Descriptor, "application/sbom", uint64(i))
			w.reg.Push("app", "", img)
			r, err := img.Referrer()
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, r)
		}
		slices.SortFunc(want, func(a, b oci.Referrer) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
		got, err := w.up.Referrers(t.Context(), "app", w.img.Digest)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		at := "GET /v2/app/referrers/INDEX"
		second := "last=sha256%3A" + want[1].Digest.Encoded() + "&n=2"
		w.requests(t, at, "GET /token repository:app:pull", at+" token", at+"?"+second+" token")
		got, err = w.up.Referrers(t.Context(), "app", digest.FromString("x"))
		if err != nil || len(got) > 0 {
			t.Errorf("of nothing: %v, %v", got, err)
		}
	})
}

// TestNoReferrers: registries without the API say so in many ways, and no failure is
// taken for one of them.
func TestNoReferrers(t *testing.T) {
	index := http.Header{"Content-Type": {oci.MediaTypeIndex}}
	for _, tt := range []struct {
		name   string
		quirks []upstreamtest.Quirk
		fault  upstreamtest.Fault
		code   errs.Code
	}{
		{name: "404", quirks: []upstreamtest.Quirk{upstreamtest.NoReferrers}, code: errs.Unsupported},
		{name: "303 to a page", quirks: []upstreamtest.Quirk{upstreamtest.ReferrersPage}, code: errs.Unsupported},
		{name: "400", fault: upstreamtest.Fault{Status: 400}, code: errs.Unsupported},
		{name: "405", fault: upstreamtest.Fault{Status: 405}, code: errs.Unsupported},
		{name: "501", fault: upstreamtest.Fault{Status: 501}, code: errs.Unsupported},
		{name: "HTML", fault: upstreamtest.HTML(), code: errs.Unsupported},
		{name: "a manifest", fault: upstreamtest.Fault{Status: 200, Header: index, Body: `{"layers":[]}`}, code: errs.Unsupported},
		{name: "401", fault: upstreamtest.Fault{Status: 401}, code: errs.UpstreamDenied},
		{name: "429", fault: upstreamtest.Fault{Status: 429}, code: errs.UpstreamRateLimited},
		{name: "500", fault: upstreamtest.Fault{Status: 500}, code: errs.UpstreamFailed},
		{name: "503", fault: upstreamtest.Fault{Status: 503}, code: errs.UpstreamUnreachable},
		{name: "a body without an end", fault: upstreamtest.Fault{Endless: true}, code: errs.UpstreamFailed},
		{name: "a loop", fault: upstreamtest.Fault{Status: 200, Header: http.Header{"Link": {`<?>; rel="next"`}}, Body: `{"manifests":[]}`}, code: errs.LimitExceeded},
		{name: "gone on the second page", fault: upstreamtest.Fault{Status: 404, Skip: 1}, code: errs.UpstreamFailed},
		{name: "few with much to say", fault: upstreamtest.Fault{Status: 200, Header: index, Body: `{"manifests":[{"annotations":{"a":"` + strings.Repeat("x", oci.MaxManifestSize) + `"}}]}`}, code: errs.LimitExceeded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in(t, upstreamtest.Options{Quirks: tt.quirks, Page: 1}, func(t *testing.T, w *world) {
				w.connect(t, upstream.Host{}, nil)
				for i := range 2 {
					w.reg.Push("app", "", upstreamtest.NewReferrer(w.img.Descriptor, "application/sbom", uint64(i)))
				}
				tt.fault.Path = "/referrers/"
				if tt.quirks == nil {
					w.reg.Script(tt.fault)
				}
				got, err := w.up.Referrers(t.Context(), "app", w.img.Digest)
				w.fails(t, err, tt.code, "referrers of app@")
				if got != nil {
					t.Errorf("%v came with it", got)
				}
				for _, q := range w.reg.Log() {
					if !strings.HasPrefix(q.Path, "/v2/") {
						t.Errorf("%s was asked for", q.Path)
					}
				}
			})
		})
	}
}

// TestListStats: lists are counted as such.
func TestListStats(t *testing.T) {
	in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
		w.connect(t, upstream.Host{}, nil)
		if _, err := w.up.Tags(t.Context(), "app"); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]upstream.Count{{Kind: "list", Class: "ok", N: 1}}, w.client.Stats()[0].Counts); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
