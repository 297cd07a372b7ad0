package ociapi_test

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/registry"
)

func TestManifest(t *testing.T) {
	tests := []struct {
		name           string
		manifest       *registry.Manifest
		cache, warning string
	}{
		{"hit", index(registry.Hit, 90*time.Second, ""), "hit; age=90", ""},
		{"checked just now", index(registry.Miss, 0, ""), "miss; age=0", ""},
		{"by digest", index(registry.Hit, -1, ""), "hit", ""},
		{"join", index(registry.Join, -1, ""), "join", ""},
		{"stale", index(registry.Stale, 25*time.Hour, "up.example is away"), "stale; age=90000", `299 - "up.example is away"`},
		{"warning with everything", index(registry.Stale, -1, "a \"b\" \\ c\r\nSet-Cookie: d\u00e4"), "stale", `299 - "a \"b\" \\ c  Set-Cookie: d "`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := start(t, &script{manifest: tt.manifest})
			m := tt.manifest
			want := http.Header{
				"Content-Type":          {m.MediaType},
				"Content-Length":        {fmt.Sprint(len(m.Raw))},
				"Docker-Content-Digest": {string(m.Digest)},
				"Etag":                  {`"` + string(m.Digest) + `"`},
				"X-Weir-Cache":          {tt.cache},
			}
			if tt.warning != "" {
				want["Warning"] = []string{tt.warning}
			}
			var headers []http.Header
			for _, method := range []string{"GET", "HEAD"} {
				resp, body, err := srv.do(t, method, "/v2/a/b/manifests/1", nil)
				if err != nil {
					t.Fatal(err)
				}
				safe(t, resp)
				if resp.StatusCode != 200 || string(body) != map[string]string{"GET": string(m.Raw), "HEAD": ""}[method] {
					t.Errorf("%s: %d %q", method, resp.StatusCode, body)
				}
				for k, v := range want {
					if d := cmp.Diff(v, resp.Header[k]); d != "" {
						t.Errorf("%s: %s (-want +got):\n%s", method, k, d)
					}
				}
				resp.Header.Del("Date")
				resp.Header.Del("X-Request-Id")
				headers = append(headers, resp.Header)
			}
			if d := cmp.Diff(headers[0], headers[1]); d != "" {
				t.Errorf("HEAD's header is not GET's (-GET +HEAD):\n%s", d)
			}
			if tt.warning == "" && headers[0].Get("Warning") != "" {
				t.Errorf("Warning %q", headers[0].Get("Warning"))
			}
			if d := cmp.Diff([]string{"pull a/b 1 by root", "look at a/b 1 by root"}, srv.script.calls); d != "" {
				t.Errorf("calls (-want +got):\n%s", d)
			}
		})
	}
}

func TestIfNoneMatch(t *testing.T) {
	m := index(registry.Hit, -1, "")
	tag := `"` + string(m.Digest) + `"`
	srv := start(t, &script{manifest: m, blob: &scriptedBlob{data: m.Raw}, info: registry.BlobInfo{Size: m.Size}})
	tests := []struct {
		name, header string
		status       int
	}{
		{"same", tag, 304},
		{"weak", "W/" + tag, 304},
		{"one of several", `"x", ` + tag, 304},
		{"any", "*", 304},
		{"other", `"x"`, 200},
		{"not quoted", string(m.Digest), 200},
	}
	for _, tt := range tests {
		for _, method := range []string{"GET", "HEAD"} {
			for _, path := range []string{"/v2/a/manifests/1", "/v2/a/blobs/" + string(m.Digest)} {
				resp, body, err := srv.do(t, method, path, http.Header{"If-None-Match": {tt.header}})
				if err != nil {
					t.Fatal(err)
				}
				if resp.StatusCode != tt.status || tt.status == 304 && len(body) > 0 {
					t.Errorf("%s: %s %s: %d %q, want %d", tt.name, method, path, resp.StatusCode, body, tt.status)
				}
				if resp.Header.Get("Etag") != tag || resp.Header.Get("Docker-Content-Digest") != string(m.Digest) {
					t.Errorf("%s: %s %s: header %v", tt.name, method, path, resp.Header)
				}
			}
		}
	}
}

// TestRefusals: each class of failure on each path, with what clients go by.
func TestRefusals(t *testing.T) {
	tests := []struct {
		name       string
		err        error
		status     int
		code       string
		message    string // "": that of the error
		retryAfter string
	}{
		{"unknown manifest", errs.New(errs.ManifestUnknown, "a:1 is not there"), 404, "MANIFEST_UNKNOWN", "", ""},
		{"wrapped", fmt.Errorf("x: %w", errs.Wrap(errs.Denied, errors.New("row 7"), "you may not")), 403, "DENIED", "you may not", ""},
		{"rate limit", &errs.Error{Code: errs.UpstreamRateLimited, Msg: "up.example: too many", RetryAfter: 1500 * time.Millisecond}, 429, "TOOMANYREQUESTS", "", "2"},
		{"upstream away", errs.New(errs.UpstreamUnreachable, "up.example: connection refused"), 502, "UNKNOWN", "", ""},
		{"upstream slow", errs.New(errs.UpstreamTimeout, "up.example: no answer in 20 s"), 504, "UNKNOWN", "", ""},
		{"detail", &errs.Error{Code: errs.BlobUnknown, Msg: "no", Detail: map[string]int{"a": 1}}, 404, "BLOB_UNKNOWN", "", ""},
		{"detail without JSON", &errs.Error{Code: errs.BlobUnknown, Msg: "no", Detail: func() {}}, 404, "BLOB_UNKNOWN", "", ""},
		{"untyped", errors.New("row 7 of table secrets"), 500, "UNKNOWN", "internal error; the log has it under request ID ", ""},
		{"internal", errs.New(errs.Internal, "row 7 of table secrets"), 500, "UNKNOWN", "internal error; the log has it under request ID ", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := start(t, &script{err: tt.err})
			for _, path := range []string{"/v2/a/manifests/1", "/v2/a/blobs/" + string(d256)} {
				resp, body, err := srv.do(t, "GET", path, nil)
				if err != nil {
					t.Fatal(err)
				}
				safe(t, resp)
				code, msg := errorOf(t, body)
				want := tt.message
				if want == "" {
					want = errs.As(tt.err).Msg
				}
				if resp.StatusCode != tt.status || code != tt.code || !strings.HasPrefix(msg, want) {
					t.Errorf("%d %s %q; want %d %s %q", resp.StatusCode, code, msg, tt.status, tt.code, want)
				}
				if got := resp.Header.Get("Retry-After"); got != tt.retryAfter {
					t.Errorf("Retry-After %q, want %q", got, tt.retryAfter)
				}
				if strings.Contains(string(body), "row 7") {
					t.Errorf("the body tells: %s", body)
				}
				if got := resp.Header.Get("Content-Type"); got != "application/json" {
					t.Errorf("Content-Type %q", got)
				}
				head, _, err := srv.do(t, "HEAD", path, nil)
				if err != nil {
					t.Fatal(err)
				}
				for _, h := range []http.Header{resp.Header, head.Header} {
					h.Del("Date")
					h.Del("X-Request-Id")
				}
				if d := cmp.Diff(resp.Header, head.Header); d != "" || head.StatusCode != resp.StatusCode {
					t.Errorf("HEAD's header is not GET's (-GET +HEAD):\n%s", d)
				}
			}
			if tt.name == "untyped" && !strings.Contains(srv.logged(), "row 7 of table secrets") {
				t.Error("the log does not have the error")
			}
		})
	}
}

func TestAccessLine(t *testing.T) {
	data := []byte("0123456789")
	srv := start(t, &script{manifest: index(registry.Stale, time.Hour, "away"), blob: &scriptedBlob{data: data, source: registry.Join}})
	for _, path := range []string{"/v2/a/b/manifests/1", "/v2/a/b/blobs/" + string(d256)} {
		if _, _, err := srv.do(t, "GET", path, nil); err != nil {
			t.Fatal(err)
		}
	}
	got := regexp.MustCompile(`time=\S+ |id=\S+ |ms=\S+ `).ReplaceAllString(srv.logged(), "")
	want := `level=INFO msg=request principal=root action=ecr:BatchGetImage repository=a/b reference=1 status=200 bytes=37 cache=stale upstream=up.example
level=INFO msg=request principal=root action=ecr:GetDownloadUrlForLayer repository=a/b reference=` + string(d256) + ` status=200 bytes=10 cache=join upstream=up.example
`
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
