package ociapi_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/registry"
)

// TestMirror: the registry, and the log, see the name here, whatever a client calls it.
func TestMirror(t *testing.T) {
	blob := string(d256)
	for _, tt := range []struct {
		name, method, host, path string
		status                   int
		code                     string
		call                     string // "": the registry is not asked
		logged                   string // the repository
	}{
		{"own name", "GET", "", "/v2/a/manifests/1", 200, "", "pull a 1 by root", "a"},
		{"ns", "GET", "", "/v2/a/manifests/1?ns=up.example", 200, "", "pull up/a 1 by root", "up/a"},
		{"ns, HEAD", "HEAD", "", "/v2/a/manifests/1?ns=up.example", 200, "", "look at up/a 1 by root", "up/a"},
		{"ns and a blob", "HEAD", "", "/v2/a/blobs/" + blob + "?ns=up.example", 200, "", "stat up/a " + blob + " by root", "up/a"},
		{"ns escaped", "GET", "", "/v2/a/manifests/1?ns=up%2Eexample", 200, "", "pull up/a 1 by root", "up/a"},
		{"ns of nobody", "GET", "", "/v2/a/manifests/1?ns=169.254.169.254", 404, "NAME_UNKNOWN", "", "a"},
		{"ns twice", "GET", "", "/v2/a/manifests/1?ns=up.example&ns=up.example", 400, "UNSUPPORTED", "", "a"},
		{"ns broken", "GET", "", "/v2/a/manifests/1?ns=%zz", 400, "UNSUPPORTED", "", "a"},
		{"ns empty", "GET", "", "/v2/a/manifests/1?ns=", 200, "", "pull a 1 by root", "a"},
		{"host", "GET", "mirror.example", "/v2/a/manifests/1", 200, "", "pull up/a 1 by root", "up/a"},
		{"host and ns", "GET", "mirror.example", "/v2/a/manifests/1?ns=up.example", 200, "", "pull up/a 1 by root", "up/a"},
		{"ping", "GET", "mirror.example", "/v2/?ns=nobody.example", 200, "", "", ""},
		{"push", "POST", "", "/v2/a/blobs/uploads/?ns=up.example", 403, "DENIED", "", "a"},
		{"push of a manifest", "PUT", "mirror.example", "/v2/a/manifests/1", 403, "DENIED", "", "a"},
		{"delete", "DELETE", "mirror.example", "/v2/a/manifests/1", 403, "DENIED", "", "a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &script{manifest: index(registry.Hit, time.Second, ""), info: registry.BlobInfo{Size: 1}}
			srv := start(t, s)
			req, err := http.NewRequest(tt.method, srv.URL+tt.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.SetBasicAuth(srv.id, srv.secret)
			if tt.host != "" {
				req.Host = tt.host
			}
			resp, err := srv.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			safe(t, resp)
			if resp.StatusCode != tt.status {
				t.Errorf("status %d, want %d", resp.StatusCode, tt.status)
			}
			if tt.code != "" {
				body := make([]byte, 1000)
				n, _ := resp.Body.Read(body)
				if code, msg := errorOf(t, body[:n]); code != tt.code {
					t.Errorf("%s %q, want %s", code, msg, tt.code)
				}
			}
			var want []string
			if tt.call != "" {
				want = []string{tt.call}
			}
			if diff := cmp.Diff(want, s.calls); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			if log := srv.logged(); tt.logged != "" && !strings.Contains(log, " repository="+tt.logged+" ") {
				t.Errorf("the repository in the log is not %s:\n%s", tt.logged, log)
			}
		})
	}
}
