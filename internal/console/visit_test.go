package console_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weir-registry/weir/internal/seal"
	"github.com/weir-registry/weir/internal/vfs"
	"github.com/weir-registry/weir/internal/weirtest"
)

// TestDone: what was done is said, also to who may not see what came of it; and only of what
// this session did.
func TestDone(t *testing.T) {
	s := weirtest.Start(t, "rules: []\n")
	few := signedIn(t, s, newUser(t, s, "few", `{"Statement":{"Effect":"Allow","Action":["ecr:CreateRepository","ecr:CreatePullThroughCacheRule","secretsmanager:CreateSecret"],"Resource":"*"}}`))
	few.get("/console/new-repository")
	few.submit("Create", url.Values{"name": {"team/new"}})
	few.shows(200, "The repository is there.")
	few.lacks("You may not do this.")
	few.get("/console/rules/new?at=4&kind=k8s&prefix=kube")
	few.submit("create", nil)
	few.shows(200, "The rule was created.")
	few.lacks("You may not do this.")

	done := few.path
	few.get("/console/?done=The+rule+was+created.")
	few.lacks("The rule was created.")
	few.get("/console/?done=The+rule+was+created.&did=" + strings.Repeat("A", 16))
	few.lacks("The rule was created.")
	other := signedIn(t, s, s.Key)
	other.get(done)
	other.shows(200)
	other.lacks("The rule was created.")
}

// TestRefusedUnseen: who may not see what a form is of is told why the form was refused.
func TestRefusedUnseen(t *testing.T) {
	s := weirtest.Start(t, "rules: []\n")
	b := signedIn(t, s, newUser(t, s, "few", ""))
	b.get("/console/settings")
	for path, form := range map[string]url.Values{
		"/console/repositories/team/app": {"do": {"put-lifecycle"}, "policy": {"{}"}},
		"/console/rule/hub":              {"do": {"delete"}},
	} {
		b.post(path, form)
		b.shows(403)
		b.lacks("DescribeRepositories", "DescribePullThroughCacheRules")
	}
}

// TestAnswers: a page that answers a form has no other form that would throw away what only
// it shows.
func TestAnswers(t *testing.T) {
	s := weirtest.Start(t, "")
	api(t, s, "Weir_20261125.CreateUser", map[string]string{"userName": "ann"}, nil)
	b := signedIn(t, s, s.Key)
	b.get("/console/user?name=ann")
	b.shows(200, `action="/console/preferences"`)
	b.submit("Create access key", url.Values{"days": {"7"}})
	b.shows(200, "Secret access key")
	b.lacks(`action="/console/preferences"`)
}

// TestRegistryElsewhere: where the registry has a port of its own, that is in what clients
// are told.
func TestRegistryElsewhere(t *testing.T) {
	port, claim, err := weirtest.FreePort("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	defer claim.Close()
	registry := net.JoinHostPort("127.0.0.1", port)
	s := weirtest.Start(t, "listeners: {registry: \""+registry+"\"}\n")
	api(t, s, "Weir_20261125.CreateUser", map[string]string{"userName": "ann"}, nil)
	b := signedIn(t, s, s.Key)
	b.get("/console/user?name=ann")
	b.submit("Create access key", nil)
	b.shows(200, "--password-stdin "+registry)
	b.lacks("--password-stdin " + s.Addr)
}

// TestLiveRenews: a page that nobody touches keeps no session alive.
func TestLiveRenews(t *testing.T) {
	s := weirtest.Start(t, "")
	b := signedIn(t, s, s.Key)
	id := regexp.MustCompile(`Registry <b>(\d+)</b>`).FindStringSubmatch(b.body)[1]
	dir, err := vfs.OpenDir(filepath.Join(s.Folder, "data"))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	keys, err := seal.Open(dir, "keys")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	value := strings.Join([]string{s.Key.ID, "NONCE", strconv.FormatInt(now.Add(-50*time.Minute).Unix(), 10), strconv.FormatInt(now.Add(10*time.Minute).Unix(), 10)}, ".")
	h := hmac.New(sha256.New, keys.Derive("sessions"))
	h.Write([]byte(id + "\nvalue\n" + value))
	value += "." + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
	for path, renewed := range map[string]bool{"/console/": true, "/console/live/overview": false} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.AddCookie(&http.Cookie{Name: "weir-session", Value: value})
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || len(resp.Cookies()) > 0 != renewed {
			t.Errorf("%s: %s, cookies %v", path, resp.Status, resp.Cookies())
		}
	}
}
