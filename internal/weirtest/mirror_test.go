package weirtest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
	"github.com/weir-registry/weir/internal/weirtest"
)

// A whole weir as a mirror, for callers without a login: whatever they call an image, it
// is one cached repository, and what no rule leads to is asked of nobody.
func TestMirror(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{})
	up.Push("team/app", "v1", upstreamtest.NewImage(1, 100_000))
	site := up.Listen(t)
	s := weirtest.Start(t, weirtest.Settings(site, "", `registry: {id: "123456789012", region: here, host: weir.corp.example}
mirrors: {mirror.corp.example: up, "other.corp.example:8443": "`+site.Host+`"}
anonymous: [{cidr: [127.0.0.0/8], repositories: [up/*]}]
`))
	get := func(host, path string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	if code, body := get("weir.corp.example", "/v2/team/app/manifests/v1?ns="+site.Host); code != 200 {
		t.Fatalf("cold, by ns: %d %s", code, body)
	}
	cold := up.Requests()
	for _, tt := range []struct {
		name, host, path string
		status           int
		words            string
	}{
		{"own name", "weir.corp.example", "/v2/up/team/app/manifests/v1", 200, ""},
		{"ns", "weir.corp.example", "/v2/team/app/manifests/v1?ns=" + site.Host, 200, ""},
		{"ns that is this registry", "10.0.0.5", "/v2/up/team/app/manifests/v1?ns=weir.corp.example", 200, ""},
		{"ns that is this registry at ECR", "10.0.0.5", "/v2/up/team/app/manifests/v1?ns=123456789012.dkr.ecr.here.amazonaws.com", 200, ""},
		{"host", "mirror.corp.example", "/v2/team/app/manifests/v1", 200, ""},
		{"host, at a port", "mirror.corp.example:5000", "/v2/team/app/manifests/v1", 200, ""},
		{"host with its port", "other.corp.example:8443", "/v2/team/app/manifests/v1", 200, ""},
		{"host and ping", "mirror.corp.example", "/v2/", 200, "{}"},
		{"ns of no rule", "weir.corp.example", "/v2/latest/meta-data/manifests/v1?ns=169.254.169.254", 404, "169.254.169.254 is not mirrored here"},
		{"not granted", "weir.corp.example", "/v2/team/app/manifests/v1", 401, "not authorized to perform ecr:BatchGetImage"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if code, body := get(tt.host, tt.path); code != tt.status || !strings.Contains(body, tt.words) {
				t.Errorf("%d %s; want %d with %q", code, body, tt.status, tt.words)
			}
		})
	}
	if diff := cmp.Diff(cold, up.Requests()); diff != "" {
		t.Errorf("the upstream was asked again (-before +after):\n%s", diff)
	}
	if log := s.Log.String(); strings.Count(log, " action=ecr:BatchGetImage repository=up/team/app ") != 8 {
		t.Errorf("not all lines of the log have the name here:\n%s", log)
	}
}
