package weirtest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/events"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
	"github.com/weir-registry/weir/internal/weirtest"
)

// told is what a test wants of an event.
type told struct {
	Type      string   `json:"detail-type"`
	Resources []string `json:"resources"`
	Detail    map[string]string
}

// TestEvents: a webhook is told what happened, and the file has the same.
func TestEvents(t *testing.T) {
	const secret = "a secret of this test"
	came := make(chan []byte, 100)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Weir-Signature") != "v1="+events.Signature([]byte(secret), r.Header.Get("Weir-Timestamp"), body) {
			t.Errorf("not signed: %v %v", r.Header, err)
		}
		came <- body
	}))
	defer hook.Close()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	up := upstreamtest.New(upstreamtest.Options{})
	site := up.Listen(t)
	old, moved := upstreamtest.NewImage(1, 100), upstreamtest.NewIndex(2, 1, 100)
	up.Push("app", "v1", old)
	s := weirtest.Start(t, weirtest.Settings(site, "window: 0", `registry: {id: "123456789012", region: east}
templates: [{prefix: team, applied_for: [CREATE_ON_PUSH]}]
events:
  log: `+dir+`/events.json
  webhooks: [{url: "`+hook.URL+`/in", secret_file: `+dir+`/secret}]
`))
	var all []string
	next := func(what string) told {
		t.Helper()
		select {
		case body := <-came:
			all = append(all, string(body))
			var v struct {
				told
				Detail map[string]string `json:"detail"`
			}
			if err := json.Unmarshal(body, &v); err != nil {
				t.Fatalf("%s: %v", body, err)
			}
			v.told.Detail = v.Detail
			delete(v.told.Detail, "failure-reason")
			return v.told
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: no event", what)
		}
		return told{}
	}
	expect := func(what string, want told) {
		t.Helper()
		if d := cmp.Diff(want, next(what)); d != "" {
			t.Errorf("%s (-want +got):\n%s", what, d)
		}
	}
	imported := func(status, tag, d, code string) told {
		detail := map[string]string{
			"rule-version": "1", "sync-status": status, "ecr-repository-prefix": "up", "repository-name": "up/app", "upstream-registry-url": site.Host,
			"image-tag": tag, "image-digest": d, "failure-code": code,
		}
		for k, v := range detail {
			if v == "" {
				delete(detail, k)
			}
		}
		return told{"ECR Pull Through Cache Action", []string{"arn:aws:ecr:east:123456789012:repository/up/app"}, detail}
	}
	image := func(action string, d digest.Digest, tag string, more ...string) told {
		v := told{"ECR Image Action", []string{}, map[string]string{"result": "SUCCESS", "repository-name": "team/app", "image-digest": string(d), "action-type": action}}
		if tag != "" {
			v.Detail["image-tag"] = tag
		}
		for i := 0; i < len(more); i += 2 {
			v.Detail[more[i]] = more[i+1]
		}
		return v
	}
	pull := func(ref string, status int) {
		t.Helper()
		push(t, s, "GET", "/v2/up/app/manifests/"+ref, "").want(t, ref, status, map[int]string{404: "MANIFEST_UNKNOWN"}[status])
	}

	pull("v1", 200)
	expect("a cold pull", imported("SUCCESS", "v1", string(old.Digest), ""))
	pull(string(old.Digest), 200) // is held
	pull("v1", 200)               // was checked, and is what it was
	up.Push("app", "v1", moved)
	over := func() { <-time.After(1100 * time.Millisecond) } // a check counts for a second
	over()
	pull("v1", 200)
	expect("a tag that moved", imported("SUCCESS", "v1", string(moved.Digest), ""))
	pull(string(moved.Children[0].Digest), 200)
	expect("a digest", imported("SUCCESS", "", string(moved.Children[0].Digest), ""))
	pull("none", 404)
	expect("no such tag", imported("FAILED", "none", "", "ImageNotFound"))
	up.Script(upstreamtest.Fault{Status: 500})
	over()
	pull("v1", 200)
	expect("a check that failed", imported("FAILED", "v1", "", "UpstreamUnavailable"))
	up.Script()

	index := `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeIndex + `","manifests":[]}`
	d := digest.FromString(index)
	put := func(ref, body string) {
		t.Helper()
		push(t, s, "PUT", "/v2/team/app/manifests/"+ref, body, "Content-Type", oci.MediaTypeIndex).want(t, "push of "+ref, 201, "")
	}
	put("v1", index)
	expect("a push", image("PUSH", d, "v1", "manifest-media-type", oci.MediaTypeIndex))
	put(string(d)+"?tag=a&tag=b", index)
	expect("a push by two names", image("PUSH", d, "a", "manifest-media-type", oci.MediaTypeIndex))
	expect("the second", image("PUSH", d, "b", "manifest-media-type", oci.MediaTypeIndex))
	about := strings.Replace(index, `"manifests"`, `"subject":{"mediaType":"x/y","digest":"`+string(d)+`","size":1},"artifactType":"a/sbom","manifests"`, 1)
	put(string(digest.FromString(about)), about)
	signed := image("PUSH", digest.FromString(about), "", "manifest-media-type", oci.MediaTypeIndex, "artifact-media-type", "a/sbom")
	signed.Type = "ECR Referrer Action"
	expect("a referrer", signed)
	push(t, s, "DELETE", "/v2/team/app/manifests/a", "").want(t, "deletion of a tag", 202, "")
	expect("deletion of a tag", image("DELETE", d, "a"))
	push(t, s, "DELETE", "/v2/team/app/manifests/"+string(d), "").want(t, "deletion", 202, "")
	expect("deletion", image("DELETE", d, "b"))
	expect("with its other name", image("DELETE", d, "v1"))

	s.Stop()
	if len(came) > 0 {
		t.Errorf("one too many: %s", <-came)
	}
	text, err := os.ReadFile(filepath.Join(dir, "events.json"))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.Join(all, "\n")+"\n", string(text)); d != "" {
		t.Errorf("the file (-webhook +file):\n%s", d)
	}
}
