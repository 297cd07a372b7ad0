package weirtest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/weirtest"
)

const pushSettings = `rules: [{prefix: up, upstream: up.example, held_only: true}]
templates:
  - {prefix: team, applied_for: [CREATE_ON_PUSH], mutability: MUTABLE}
`

// pushed is an answer to a request of a push.
type pushed struct {
	*http.Response
	code, message string // of an error
}

// push makes one request with the root access key. header is name and value in turn.
func push(t *testing.T, s *weirtest.Server, method, path, body string, header ...string) pushed {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.Addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(s.Key.ID, s.Key.Secret)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	p := pushed{Response: resp}
	var wire struct {
		Errors []struct{ Code, Message string }
	}
	if resp.StatusCode >= 400 && json.Unmarshal(text, &wire) == nil && len(wire.Errors) == 1 {
		p.code, p.message = wire.Errors[0].Code, wire.Errors[0].Message
	}
	return p
}

// want checks a status, headers (name and value in turn; "": any), and of an error its code.
func (p pushed) want(t *testing.T, what string, status int, code string, header ...string) pushed {
	t.Helper()
	if p.StatusCode != status || p.code != code {
		t.Errorf("%s: %s %s %q, want %d %s", what, p.Status, p.code, p.message, status, code)
	}
	for i := 0; i < len(header); i += 2 {
		if got := p.Header.Get(header[i]); got != header[i+1] && (header[i+1] != "" || got == "") {
			t.Errorf("%s: header %s is %q, want %q", what, header[i], got, header[i+1])
		}
	}
	return p
}

// TestUploadAnswers: the endpoints of an upload, with all that they say.
func TestUploadAnswers(t *testing.T) {
	s := weirtest.Start(t, pushSettings)
	const uploads = "/v2/team/app/blobs/uploads/"
	d := digest.FromString("hello world")
	blob := "/v2/team/app/blobs/" + string(d)

	push(t, s, "HEAD", blob, "").want(t, "before all", 404, "")
	begun := push(t, s, "POST", uploads, "").want(t, "begin", 202, "", "Range", "0-0", "Oci-Chunk-Min-Length", "65536", "Content-Length", "0")
	id := begun.Header.Get("Docker-Upload-Uuid")
	at := begun.Header.Get("Location")
	if id == "" || at != uploads+id {
		t.Fatalf("upload %q at %q", id, at)
	}
	state := []string{"Location", at, "Docker-Upload-Uuid", id}
	with := func(rng string) []string { return append([]string{"Range", rng}, state...) }
	push(t, s, "GET", at, "").want(t, "state of nothing", 204, "", with("0-0")...)
	push(t, s, "PATCH", at, "hello", "Content-Range", "0-4").want(t, "first part", 202, "", with("0-4")...)
	push(t, s, "PATCH", at, "world", "Content-Range", "6-10").want(t, "gap", 416, "RANGE_INVALID", with("0-4")...)
	push(t, s, "PATCH", at, "hello", "Content-Range", "0-4").want(t, "overlap", 416, "RANGE_INVALID", with("0-4")...)
	push(t, s, "PATCH", at, " world", "Content-Range", "x").want(t, "malformed range", 416, "RANGE_INVALID")
	push(t, s, "PATCH", at, " world", "Content-Range", "5-6").want(t, "wrong length", 400, "SIZE_INVALID", with("0-4")...)
	push(t, s, "PUT", at+"?digest="+string(digest.FromString("x")), " world").want(t, "wrong digest", 400, "DIGEST_INVALID", with("0-4")...)
	push(t, s, "PUT", at, " world").want(t, "no digest", 400, "DIGEST_INVALID")
	push(t, s, "PATCH", strings.Replace(at, "team/app", "team/other", 1), " world").want(t, "unknown repository", 404, "NAME_UNKNOWN")
	push(t, s, "POST", "/v2/team/other/blobs/uploads/", "").want(t, "another repository", 202, "")
	push(t, s, "PATCH", strings.Replace(at, "team/app", "team/other", 1), " world").want(t, "upload of another repository", 404, "BLOB_UPLOAD_UNKNOWN")
	push(t, s, "GET", at, "").want(t, "state", 204, "", with("0-4")...)

	s.Restart(pushSettings)
	push(t, s, "GET", at, "").want(t, "state after a restart", 204, "", with("0-4")...)
	push(t, s, "PATCH", at, " wor").want(t, "streamed part", 202, "", with("0-8")...)
	push(t, s, "PUT", at+"?digest="+string(d), "ld", "Content-Range", "bytes 9-10/*").want(t, "end", 201, "", "Location", blob, "Docker-Content-Digest", string(d))
	push(t, s, "HEAD", blob, "").want(t, "blob", 200, "", "Content-Length", "11", "Docker-Content-Digest", string(d))
	push(t, s, "GET", at, "").want(t, "state of what is over", 404, "BLOB_UPLOAD_UNKNOWN")

	other := push(t, s, "POST", uploads, "").Header.Get("Location")
	push(t, s, "DELETE", other, "").want(t, "cancel", 204, "")
	push(t, s, "DELETE", other, "").want(t, "cancel again", 404, "BLOB_UPLOAD_UNKNOWN")
	push(t, s, "POST", other, "").want(t, "method", 405, "UNSUPPORTED", "Allow", "GET, PATCH, PUT, DELETE")

	sum512 := digest.SHA512.FromString("whole")
	push(t, s, "POST", uploads+"?digest="+string(sum512), "whole").want(t, "in one request", 201, "", "Location", "/v2/team/app/blobs/"+string(sum512))
	push(t, s, "POST", uploads+"?digest="+string(sum512), "part").want(t, "in one request, wrong", 400, "DIGEST_INVALID")

	mount := "/v2/team/mine/blobs/uploads/?mount=" + string(d)
	push(t, s, "POST", mount+"&from=team/none", "").want(t, "mount from nowhere", 202, "", "Location", "")
	push(t, s, "POST", mount+"&from=team/app", "").want(t, "mount", 201, "", "Location", "/v2/team/mine/blobs/"+string(d), "Docker-Content-Digest", string(d))
	push(t, s, "DELETE", "/v2/team/mine/blobs/"+string(d), "").want(t, "deletion", 202, "")
	push(t, s, "HEAD", "/v2/team/mine/blobs/"+string(d), "").want(t, "deleted blob", 404, "")
	push(t, s, "POST", mount, "").want(t, "mount from anywhere", 201, "")

	refused := push(t, s, "POST", "/v2/up/app/blobs/uploads/", "").want(t, "to the cache", 403, "DENIED")
	if !strings.Contains(refused.message, "rule up fills it from up.example") {
		t.Errorf("the refusal does not say why: %q", refused.message)
	}
	push(t, s, "POST", "/v2/nowhere/app/blobs/uploads/", "").want(t, "to nowhere", 404, "NAME_UNKNOWN")
}

// TestManifestAnswers: pushes and deletions of manifests, with all that they say.
func TestManifestAnswers(t *testing.T) {
	s := weirtest.Start(t, pushSettings)
	const manifests = "/v2/team/app/manifests/"
	put := func(ref, mediaType, body string) pushed {
		return push(t, s, "PUT", manifests+ref, body, "Content-Type", mediaType)
	}
	config := digest.FromString("{}")
	push(t, s, "POST", "/v2/team/app/blobs/uploads/?digest="+string(config), "{}").want(t, "config", 201, "")
	subject := digest.FromString("subject")
	image := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s","size":2},"layers":[],"subject":{"mediaType":"%[1]s","digest":"%[3]s","size":7}}`,
		oci.MediaTypeManifest, config, subject)
	d := digest.FromString(image)
	put("v1", oci.MediaTypeManifest, image).want(t, "by tag", 201, "",
		"Location", manifests+string(d), "Docker-Content-Digest", string(d), "Oci-Subject", string(subject), "Content-Length", "0")
	tagged := put(string(d)+"?tag=a&tag=b", oci.MediaTypeManifest, image).want(t, "by digest with tags", 201, "")
	if got := strings.Join(tagged.Header.Values("Oci-Tag"), " "); got != "a b" {
		t.Errorf("OCI-Tag is %q", got)
	}
	push(t, s, "GET", manifests+"b", "").want(t, "by one of them", 200, "", "Docker-Content-Digest", string(d), "Content-Type", oci.MediaTypeManifest)
	index := fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":"%s","digest":"%s","size":%d}]}`, oci.MediaTypeManifest, d, len(image))
	put("all", oci.MediaTypeIndex, index).want(t, "index", 201, "")

	missing := strings.Replace(image, `"layers":[]`, `"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"`+string(subject)+`","size":7}]`, 1)
	put("v2", oci.MediaTypeManifest, missing).want(t, "layer that is not there", 404, "MANIFEST_BLOB_UNKNOWN")
	put("v2", oci.MediaTypeDockerV1Sign, `{"schemaVersion":1,"name":"x","fsLayers":[]}`).want(t, "schema 1", 400, "MANIFEST_INVALID")
	put("v2", oci.MediaTypeManifest, "").want(t, "no body", 400, "MANIFEST_INVALID")
	put("v2", "text/html", "<html>").want(t, "page", 400, "MANIFEST_INVALID")
	put("v2", oci.MediaTypeManifest, strings.Repeat(" ", oci.MaxManifestSize+1)).want(t, "too large", 413, "MANIFEST_INVALID")
	put("v2", oci.MediaTypeIndex, `{"schemaVersion":2,"manifests":[]`+strings.Repeat(" ", 2<<20)+`}`).want(t, "large", 201, "")
	put(string(subject), oci.MediaTypeManifest, image).want(t, "wrong digest", 400, "DIGEST_INVALID")
	put("v2?digest-algorithm=md5", oci.MediaTypeManifest, image).want(t, "unknown algorithm", 400, "DIGEST_INVALID")
	put("v2?tag=.x", oci.MediaTypeManifest, image).want(t, "malformed tag", 400, "TAG_INVALID")
	push(t, s, "GET", manifests+"v2", "").want(t, "what was accepted", 200, "", "Content-Type", oci.MediaTypeIndex)
	push(t, s, "POST", manifests+"v1", "").want(t, "method", 405, "UNSUPPORTED", "Allow", "GET, HEAD, PUT, DELETE")

	push(t, s, "DELETE", manifests+"a", "").want(t, "tag", 202, "")
	push(t, s, "GET", manifests+"a", "").want(t, "deleted tag", 404, "MANIFEST_UNKNOWN")
	push(t, s, "DELETE", manifests+string(d), "").want(t, "child of an index", 409, "DENIED")
	push(t, s, "DELETE", manifests+string(digest.FromString(index)), "").want(t, "index", 202, "")
	push(t, s, "DELETE", manifests+string(d), "").want(t, "child of none", 202, "")
	push(t, s, "GET", manifests+"v1", "").want(t, "its tag", 404, "MANIFEST_UNKNOWN")
	push(t, s, "DELETE", manifests+string(d), "").want(t, "again", 404, "MANIFEST_UNKNOWN")
	push(t, s, "DELETE", "/v2/team/none/manifests/v1", "").want(t, "in no repository", 404, "NAME_UNKNOWN")
}
