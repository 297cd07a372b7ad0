package ociapi_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/ociapi"
)

const hex256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

var (
	d256 = digest.Digest("sha256:" + hex256)
	d512 = digest.Digest("sha512:" + hex256 + hex256)
)

func TestParse(t *testing.T) {
	tag := func(s string) oci.Reference { return oci.Reference{Tag: s} }
	tests := []struct {
		name, method, path string
		want               ociapi.Request
	}{
		{"ping", "GET", "/v2/", ociapi.Request{Kind: ociapi.Ping}},
		{"ping without a slash", "GET", "/v2", ociapi.Request{Kind: ociapi.Ping}},
		{"ping HEAD", "HEAD", "/v2/", ociapi.Request{Kind: ociapi.Ping, Head: true}},
		{"tag", "GET", "/v2/a/manifests/latest", ociapi.Request{Kind: ociapi.Manifest, Repository: "a", Reference: tag("latest")}},
		{"tag HEAD", "HEAD", "/v2/a/b/c/manifests/V1.0_x", ociapi.Request{Kind: ociapi.Manifest, Head: true, Repository: "a/b/c", Reference: tag("V1.0_x")}},
		{"digest", "GET", "/v2/a/manifests/" + string(d256), ociapi.Request{Kind: ociapi.Manifest, Repository: "a", Reference: oci.Reference{Digest: d256}}},
		{"digest with its colon escaped", "GET", "/v2/a/manifests/sha256%3A" + hex256, ociapi.Request{Kind: ociapi.Manifest, Repository: "a", Reference: oci.Reference{Digest: d256}}},
		{"blob", "GET", "/v2/a/b/blobs/" + string(d512), ociapi.Request{Kind: ociapi.Blob, Repository: "a/b", Digest: d512}},
		{"blob HEAD", "HEAD", "/v2/a/b/blobs/" + string(d256), ociapi.Request{Kind: ociapi.Blob, Head: true, Repository: "a/b", Digest: d256}},
		{"words of the API in a name", "GET", "/v2/manifests/blobs/uploads/tags/list/manifests/manifests", ociapi.Request{Kind: ociapi.Manifest, Repository: "manifests/blobs/uploads/tags/list", Reference: tag("manifests")}},
		{"repository blobs", "GET", "/v2/blobs/manifests/uploads", ociapi.Request{Kind: ociapi.Manifest, Repository: "blobs", Reference: tag("uploads")}},
		{"manifest put", "PUT", "/v2/a/manifests/latest", ociapi.Request{Kind: ociapi.Push, Repository: "a", Reference: tag("latest")}},
		{"manifest delete", "DELETE", "/v2/a/manifests/latest", ociapi.Request{Kind: ociapi.Delete, Repository: "a", Reference: tag("latest")}},
		{"blob delete", "DELETE", "/v2/a/blobs/" + string(d256), ociapi.Request{Kind: ociapi.Delete, Repository: "a", Digest: d256}},
		{"upload", "POST", "/v2/a/b/blobs/uploads/", ociapi.Request{Kind: ociapi.Upload, Repository: "a/b"}},
		{"upload without a slash", "POST", "/v2/a/b/blobs/uploads", ociapi.Request{Kind: ociapi.Upload, Repository: "a/b"}},
		{"upload's session", "PATCH", "/v2/a/b/blobs/uploads/0-1-2", ociapi.Request{Kind: ociapi.Upload, Repository: "a/b", Upload: "0-1-2"}},
		{"tag list", "GET", "/v2/a/tags/list", ociapi.Request{Kind: ociapi.TagList, Repository: "a"}},
		{"referrers", "GET", "/v2/a/referrers/" + string(d256), ociapi.Request{Kind: ociapi.Referrers, Repository: "a", Digest: d256}},
		{"catalog", "GET", "/v2/_catalog", ociapi.Request{Kind: ociapi.Catalog}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ociapi.Parse(tt.method, tt.path)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct {
		name, method, path string
		want               errs.Code
	}{
		{"dots", "GET", "/v2/a/../b/manifests/x", errs.NameInvalid},
		{"one dot", "GET", "/v2/./b/manifests/x", errs.NameInvalid},
		{"dots at the end", "GET", "/v2/a/manifests/..", errs.NameInvalid},
		{"escaped dots", "GET", "/v2/a/%2e%2E/b/manifests/x", errs.NameInvalid},
		{"two slashes", "GET", "/v2/a//b/manifests/x", errs.NameInvalid},
		{"two slashes first", "GET", "/v2//a/manifests/x", errs.NameInvalid},
		{"escaped slash", "GET", "/v2/a%2Fb/manifests/x", errs.NameInvalid},
		{"escaped slash in a reference", "GET", "/v2/a/manifests/x%2fy", errs.NameInvalid},
		{"escape escaped", "GET", "/v2/a%252Fb/manifests/x", errs.NameInvalid},
		{"backslash", "GET", `/v2/a\b/manifests/x`, errs.NameInvalid},
		{"escaped backslash", "GET", "/v2/a%5cb/manifests/x", errs.NameInvalid},
		{"NUL", "GET", "/v2/a%00/manifests/x", errs.NameInvalid},
		{"broken escape", "GET", "/v2/a%2/manifests/x", errs.NameInvalid},
		{"upper case", "GET", "/v2/A/manifests/x", errs.NameInvalid},
		{"unicode", "GET", "/v2/%C3%A4/manifests/x", errs.NameInvalid},
		{"long name", "GET", "/v2/" + strings.Repeat("a", 257) + "/manifests/x", errs.NameInvalid},
		{"long path", "GET", "/v2/" + strings.Repeat("a/", 2000) + "manifests/x", errs.NameInvalid},
		{"bad tag", "GET", "/v2/a/manifests/.x", errs.TagInvalid},
		{"long tag", "GET", "/v2/a/manifests/" + strings.Repeat("x", 129), errs.TagInvalid},
		{"bad digest", "GET", "/v2/a/manifests/sha256:abc", errs.DigestInvalid},
		{"upper-case digest", "GET", "/v2/a/blobs/sha256:" + strings.ToUpper(hex256), errs.DigestInvalid},
		{"unknown algorithm", "GET", "/v2/a/blobs/md5:0123", errs.DigestInvalid},
		{"blob by tag", "GET", "/v2/a/blobs/latest", errs.DigestInvalid},
		{"referrers by tag", "GET", "/v2/a/referrers/latest", errs.DigestInvalid},
		{"no repository", "GET", "/v2/manifests/x", errs.Unsupported},
		{"no reference", "GET", "/v2/a/manifests/", errs.Unsupported},
		{"no verb", "GET", "/v2/a/b/c", errs.Unsupported},
		{"nothing", "GET", "", errs.Unsupported},
		{"slash", "GET", "/", errs.Unsupported},
		{"elsewhere", "GET", "/v20/a/manifests/x", errs.Unsupported},
		{"version 1", "GET", "/v1/_ping", errs.Unsupported},
		{"method", "POST", "/v2/a/manifests/x", errs.Unsupported},
		{"method in lower case", "get", "/v2/", errs.Unsupported},
		{"ping by POST", "POST", "/v2/", errs.Unsupported},
		{"tag list by POST", "POST", "/v2/a/tags/list", errs.Unsupported},
		{"upload's session by POST", "POST", "/v2/a/blobs/uploads/x", errs.Unsupported},
		{"uploads by GET", "GET", "/v2/a/blobs/uploads/", errs.Unsupported},
		{"blob put", "PUT", "/v2/a/blobs/" + string(d256), errs.Unsupported},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ociapi.Parse(tt.method, tt.path)
			if err == nil || errs.CodeOf(err) != tt.want {
				t.Errorf("got %+v, %v; want %v", got, err, tt.want)
			}
		})
	}
}

// path is the only URL of a request that reads.
func path(r ociapi.Request) string {
	switch r.Kind {
	case ociapi.Ping:
		return "/v2/"
	case ociapi.Catalog:
		return "/v2/_catalog"
	case ociapi.Manifest:
		return "/v2/" + r.Repository + "/manifests/" + r.Reference.String()
	case ociapi.Blob:
		return "/v2/" + r.Repository + "/blobs/" + string(r.Digest)
	case ociapi.Referrers:
		return "/v2/" + r.Repository + "/referrers/" + string(r.Digest)
	}
	return "/v2/" + r.Repository + "/tags/list"
}

// FuzzParse: what is understood consists of valid parts, and is the only meaning
// of its URL.
func FuzzParse(f *testing.F) {
	for _, p := range []string{
		"/v2/", "/v2/a/manifests/latest", "/v2/a/blobs/" + string(d256), "/v2/a/manifests/sha256%3A" + hex256, "/v2/a/b/blobs/uploads/x",
		"/v2/a/tags/list", "/v2/_catalog", "/v2/a/../b/manifests/x", "/v2/a%2fb/manifests/x", "/v2//manifests/x",
	} {
		f.Add("GET", p)
		f.Add("DELETE", p)
	}
	f.Fuzz(func(t *testing.T, method, escaped string) {
		r, err := ociapi.Parse(method, escaped)
		if err != nil {
			if errs.As(err) == nil {
				t.Errorf("error without a code: %v", err)
			}
			return
		}
		if strings.Contains(escaped, "//") || strings.Contains(escaped, "..") || strings.Contains(strings.ToLower(escaped), "%2f") {
			t.Errorf("%q is understood as %+v", escaped, r)
		}
		if r.Repository != "" {
			if _, err := oci.ParseRepository(r.Repository); err != nil {
				t.Error(err)
			}
		}
		if r.Reference != (oci.Reference{}) {
			if again, err := oci.ParseReference(r.Reference.String()); err != nil || again != r.Reference {
				t.Errorf("reference %+v, %v", again, err)
			}
		}
		if r.Digest != "" {
			if _, err := oci.ParseDigest(string(r.Digest)); err != nil {
				t.Error(err)
			}
		}
		if r.Kind == ociapi.Push || r.Kind == ociapi.Upload || r.Kind == ociapi.Delete {
			return
		}
		if plain, err := url.PathUnescape(escaped); err != nil || plain != path(r) && escaped != "/v2" {
			t.Errorf("%q is understood as %s", escaped, path(r))
		}
		if again, err := ociapi.Parse(method, path(r)); err != nil || again != r {
			t.Errorf("%s is understood as %+v, %v; want %+v", path(r), again, err, r)
		}
	})
}
