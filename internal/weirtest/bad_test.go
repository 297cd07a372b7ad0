package weirtest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
	"github.com/weir-registry/weir/internal/weirtest"
)

// refusal reads the error of an answer as a client does.
func refusal(t *testing.T, resp *http.Response) (code, message string) {
	t.Helper()
	defer resp.Body.Close()
	var body struct {
		Errors []struct{ Code, Message string }
	}
	b, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(b, &body)
	}
	if err != nil || len(body.Errors) != 1 {
		t.Fatalf("%s: no error of the specification's form: %q, %v", resp.Status, b, err)
	}
	return body.Errors[0].Code, body.Errors[0].Message
}

// TestBadUpstreams: what is not held gets the honest class of error at once, and
// the message names the upstream; what is held is served whatever comes.
func TestBadUpstreams(t *testing.T) {
	at := func(status int, header ...string) upstreamtest.Fault {
		f := upstreamtest.Fault{Status: status, Header: http.Header{}}
		for i := 0; i < len(header); i += 2 {
			f.Header.Set(header[i], header[i+1])
		}
		return f
	}
	huge := upstreamtest.Fault{Status: 200, Header: http.Header{"Content-Type": {oci.MediaTypeManifest}}, Body: `{"layers":[],"x":"` + strings.Repeat("x", oci.MaxManifestSize) + `"}`}
	for _, tt := range []struct {
		name   string
		fault  upstreamtest.Fault
		status int
		code   string
		says   string
	}{
		{"404", at(404), 404, "MANIFEST_UNKNOWN", ""},
		{"401", at(401), 403, "DENIED", "401"},
		{"403", at(403), 403, "DENIED", "403"},
		{"429", at(429, "Retry-After", "77"), 429, "TOOMANYREQUESTS", "429"},
		{"500", at(500), 502, "", "500"},
		{"503", at(503), 502, "", "503"},
		{"504", at(504), 504, "", "504"},
		{"418", at(418), 502, "", "418"},
		{"a page of a captive portal", upstreamtest.HTML(), 502, "", "text/html"},
		{"a manifest over 4 MiB", huge, 502, "", "4194304"},
		{"HTML that says it is a manifest", upstreamtest.Fault{Status: 200, Header: http.Header{"Content-Type": {oci.MediaTypeManifest}}, Body: "<html>"}, 502, "", "JSON"},
		{"an endless body", upstreamtest.Fault{Endless: true}, 502, "", ""},
		{"a cut", upstreamtest.Fault{Cut: true, At: 10}, 502, "", ""},
		{"a redirect to itself", at(307, "Location", "/v2/app/manifests/v1"), 502, "", "redirect"},
		{"a redirect to the metadata service", at(307, "Location", "http://169.254.169.254/latest/meta-data"), 502, "", "169.254.169.254"},
		{"a redirect to a private address", at(307, "Location", "http://10.0.0.1/v2/app/manifests/v1"), 502, "", "10.0.0.1"},
		{"a realm elsewhere", at(401, "WWW-Authenticate", `Bearer realm="http://127.0.0.1:1/token",service="x"`), 502, "", "127.0.0.1:1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			up := upstreamtest.New(upstreamtest.Options{})
			site := up.Listen(t)
			img := upstreamtest.NewIndex(1, 1, 1000)
			up.Push("app", "held", img)
			up.Push("app", "v1", img)
			s := weirtest.Start(t, weirtest.Settings(site, "window: 1s", ""))
			if err := pull(s, "up/app", "held"); err != nil {
				t.Fatal(err)
			}
			up.Script(tt.fault)
			resp := s.Do("GET", "/v2/up/app/manifests/v1", nil)
			code, message := refusal(t, resp)
			if resp.StatusCode != tt.status || tt.code != "" && code != tt.code || !strings.Contains(message, tt.says) || !strings.Contains(message, site.Host) {
				t.Errorf("%s %s: %s", resp.Status, code, message)
			}
			if retry := resp.Header.Get("Retry-After"); (retry != "") != (tt.status == 429) {
				t.Errorf("Retry-After %q", retry)
			}
			<-time.After(time.Second)
			if err := pull(s, "up/app", "held"); err != nil {
				t.Errorf("what is held: %v", err)
			}
			// HEAD has no body that could be endless, so that tag is still known to be fresh.
			if !tt.fault.Endless && !strings.Contains(s.Log.String(), "cache=stale") {
				t.Error("the log does not say that a stale answer was given")
			}
		})
	}
}

// TestUpstreamGone: nobody listens any more, also after a restart.
func TestUpstreamGone(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{})
	site := up.Listen(t)
	img := upstreamtest.NewIndex(1, 2, 1<<20, 1000)
	up.Push("app", "v1", img)
	s := weirtest.Start(t, weirtest.Settings(site, "window: 1s", ""))
	if err := pull(s, "up/app", "v1"); err != nil {
		t.Fatal(err)
	}
	gone := site
	gone.URL = "http://127.0.0.1:1" // nobody is there
	settings := weirtest.Settings(gone, "window: 1s", "")
	for range 2 {
		s.Restart(settings)
		<-time.After(time.Second)
		for _, ref := range []string{"v1", string(img.Digest), string(img.Children[0].Digest)} {
			if err := pull(s, "up/app", ref); err != nil {
				t.Errorf("%s: %v", ref, err)
			}
		}
		for path, want := range map[string]string{
			"manifests/nosuch": "connection refused",
			"manifests/" + string(digest.FromString("x")):               "127.0.0.1:1",
			"manifests/" + string(img.Children[1].Digest):               "127.0.0.1:1",
			"blobs/" + string(digest.FromString("x")):                   "127.0.0.1:1",
			"blobs/" + string(digest.FromBytes(img.Children[1].Config)): "127.0.0.1:1",
		} {
			resp := s.Do("GET", "/v2/up/app/"+path, nil)
			_, message := refusal(t, resp)
			if resp.StatusCode != 502 || !strings.Contains(message, want) && !strings.Contains(message, site.Host) {
				t.Errorf("%s: %s: %s", path, resp.Status, message)
			}
			if resp := s.Do("HEAD", "/v2/up/app/"+path, nil); resp.StatusCode != 502 {
				t.Errorf("HEAD %s: %s", path, resp.Status)
			}
		}
	}
}

// TestTornMove: a tag moves, the upstream goes away before the new image's layers
// are in, and weir is started again: the last whole image is served.
func TestTornMove(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{})
	site := up.Listen(t)
	old, moved := upstreamtest.NewIndex(1, 2, 300<<10, 1000), upstreamtest.NewIndex(9, 2, 300<<10, 1000)
	up.Push("app", "v1", old)
	s := weirtest.Start(t, weirtest.Settings(site, "window: 1s, prefetch: off", ""))
	if err := pull(s, "up/app", "v1"); err != nil {
		t.Fatal(err)
	}
	<-time.After(time.Second)
	up.Push("app", "v1", moved)
	for _, ref := range []string{"v1", string(moved.Children[0].Digest)} {
		if _, _, err := get(s, "GET", "/v2/up/app/manifests/"+ref); err != nil {
			t.Fatal(err)
		}
	}
	gone := site
	gone.URL = "http://127.0.0.1:1"
	for _, window := range []string{"1s", "24h"} {
		s.Restart(weirtest.Settings(gone, "prefetch: off, window: "+window, ""))
		_, h, err := get(s, "GET", "/v2/up/app/manifests/v1")
		if err != nil || h.Get("Docker-Content-Digest") != string(old.Digest) || !strings.HasPrefix(h.Get("Warning"), "299 - ") {
			t.Errorf("window %s: %s, warning %q, %v", window, h.Get("Docker-Content-Digest"), h.Get("Warning"), err)
		}
		if err := pull(s, "up/app", "v1"); err != nil {
			t.Errorf("window %s: %v", window, err)
		}
	}
}

// TestBadRequests: what a client gets wrong has its specified error, and asks no
// upstream.
func TestBadRequests(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{})
	site := up.Listen(t)
	s := weirtest.Start(t, weirtest.Settings(site, "", ""))
	x := string(digest.FromString("x"))
	for _, tt := range []struct {
		path   string
		status int
		code   string
	}{
		{"/v2/up/App/manifests/v1", 400, "NAME_INVALID"},
		{"/v2/up/../app/manifests/v1", 400, "NAME_INVALID"},
		{"/v2/up/%2e%2e/app/manifests/v1", 400, "NAME_INVALID"},
		{"/v2/up/a%2Fb/manifests/v1", 400, "NAME_INVALID"},
		{"/v2/up//app/manifests/v1", 400, "NAME_INVALID"},
		{"/v2/up/app/manifests/-v1", 400, "TAG_INVALID"},
		{"/v2/up/app/manifests/sha256:abc", 400, "DIGEST_INVALID"},
		{"/v2/up/app/manifests/md5:abc", 400, "DIGEST_INVALID"},
		{"/v2/up/app/blobs/sha256:" + strings.ToUpper(x[7:]), 400, "DIGEST_INVALID"},
		{"/v2/up/app/blobs/latest", 400, "DIGEST_INVALID"},
		{"/v2/nowhere/app/manifests/v1", 404, "NAME_UNKNOWN"},
		{"/v2/nowhere/app/blobs/" + x, 404, "NAME_UNKNOWN"},
		{"/v2/up/app/nothing", 404, ""},
	} {
		resp := s.Do("GET", tt.path, nil)
		code, message := refusal(t, resp)
		if resp.StatusCode != tt.status || tt.code != "" && code != tt.code {
			t.Errorf("%s: %s %s: %s", tt.path, resp.Status, code, message)
		}
	}
	for name, auth := range map[string]string{
		"no login":     "none",
		"wrong secret": "Basic " + basic(s.Key.ID, "wrong"),
		"unknown key":  "Basic " + basic("AKIANOSUCHKEY0000000", s.Key.Secret),
		"garbage":      "Bearer x",
	} {
		resp := s.Do("GET", "/v2/up/app/manifests/v1", http.Header{"Authorization": {auth}})
		code, _ := refusal(t, resp)
		if resp.StatusCode != 401 || code != "UNAUTHORIZED" || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("%s: %s %s, challenge %q", name, resp.Status, code, resp.Header.Get("WWW-Authenticate"))
		}
	}
	asked(t, up)
}

func basic(user, password string) string {
	req := &http.Request{Header: http.Header{}}
	req.SetBasicAuth(user, password)
	return strings.TrimPrefix(req.Header.Get("Authorization"), "Basic ")
}

// TestHeldOnly: the switch of a rule and the global one ask nothing, and say so.
func TestHeldOnly(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{})
	site := up.Listen(t)
	img := upstreamtest.NewIndex(1, 2, 1000)
	up.Push("app", "v1", img)
	s := weirtest.Start(t, weirtest.Settings(site, "window: 1s", ""))
	if err := pull(s, "up/app", "v1"); err != nil {
		t.Fatal(err)
	}
	<-time.After(time.Second)
	up.Forget()
	for name, settings := range map[string]string{
		"rule":   weirtest.Settings(site, "window: 1s, held_only: true", ""),
		"global": weirtest.Settings(site, "window: 1s", "held_only: true"),
	} {
		s.Restart(settings)
		if err := pull(s, "up/app", "v1"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for path, want := range map[string]string{"manifests/v2": "MANIFEST_UNKNOWN", "blobs/" + string(digest.FromString("x")): "BLOB_UNKNOWN"} {
			resp := s.Do("GET", "/v2/up/app/"+path, nil)
			code, message := refusal(t, resp)
			if resp.StatusCode != 404 || code != want || !strings.Contains(message, "held_only") {
				t.Errorf("%s: %s: %s %s: %s", name, path, resp.Status, code, message)
			}
		}
	}
	asked(t, up)
}
