package console_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/weir-registry/weir/internal/app"
	"github.com/weir-registry/weir/internal/weirtest"
)

// browser is what a person has in front of them: it keeps cookies, and sends forms of the
// pages that it shows. Scripts do not run in it.
type browser struct {
	t      *testing.T
	server *weirtest.Server
	client *http.Client
	header http.Header

	// The page that it shows.
	status int
	path   string // of its address, with what follows
	body   string
	head   http.Header

	mark string // of the session, in the last form of it that was shown
}

func newBrowser(t *testing.T, s *weirtest.Server) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t: t, server: s, client: &http.Client{Jar: jar}, header: http.Header{}}
}

// signedIn is newBrowser, signed in with an access key.
func signedIn(t *testing.T, s *weirtest.Server, key app.Key) *browser {
	t.Helper()
	b := newBrowser(t, s)
	b.signIn(key)
	if b.status != http.StatusOK || b.path != "/console/" {
		t.Fatalf("signed in: %d at %s\n%s", b.status, b.path, b.body)
	}
	return b
}

func (b *browser) signIn(key app.Key) {
	b.t.Helper()
	b.post("/console/sign-in", url.Values{"key": {key.ID}, "secret": {key.Secret}})
}

// get shows a page.
func (b *browser) get(path string) {
	b.t.Helper()
	b.do(http.MethodGet, path, nil)
}

// token is the mark of the session in the page that is shown.
var token = regexp.MustCompile(`name="form" value="([^"]*)"`)

// aWas is what a page says its form was made of.
var aWas = regexp.MustCompile(`name="was" value="([^"]*)"`)

// post sends a form, with the session's mark if a page that was shown had it.
func (b *browser) post(path string, form url.Values) {
	b.t.Helper()
	if b.mark != "" && !form.Has("form") {
		form.Set("form", b.mark)
	}
	form = maps.Clone(form)
	if was := aWas.FindStringSubmatch(b.body); was != nil && !form.Has("was") {
		form.Set("was", was[1])
	}
	b.do(http.MethodPost, path, form)
}

func (b *browser) do(method, path string, form url.Values) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, "http://"+b.server.Addr+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	for k, v := range b.header {
		req.Header[k] = v
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.status, b.path, b.body, b.head = resp.StatusCode, resp.Request.URL.RequestURI(), string(body), resp.Header
	if m := token.FindStringSubmatch(b.body); m != nil {
		b.mark = m[1]
	}
}

// shows fails the test unless the page has a status and each of some texts in it.
func (b *browser) shows(status int, texts ...string) {
	b.t.Helper()
	if b.status != status {
		b.t.Errorf("%s: status %d, want %d\n%s", b.path, b.status, status, b.body)
	}
	for _, text := range texts {
		if !strings.Contains(b.body, text) {
			b.t.Errorf("%s: no %q in the page\n%s", b.path, text, b.body)
		}
	}
}

// lacks fails the test if the page has one of some texts in it.
func (b *browser) lacks(texts ...string) {
	b.t.Helper()
	for _, text := range texts {
		if strings.Contains(b.body, text) {
			b.t.Errorf("%s: %q is in the page\n%s", b.path, text, b.body)
		}
	}
}

// api calls an operation of weir's or ECR's API ("Weir_20261125.CreateUser") with the root
// access key, and reads its answer into out, if that is not nil.
func api(t *testing.T, s *weirtest.Server, operation string, in, out any) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, "http://"+s.Addr+"/", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Amz-Target", operation)
	sum := sha256.Sum256(body)
	key := aws.Credentials{AccessKeyID: s.Key.ID, SecretAccessKey: s.Key.Secret}
	if err := v4.NewSigner().SignHTTP(t.Context(), key, req, hex.EncodeToString(sum[:]), "ecr", "local", time.Now()); err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s %v", operation, resp.Status, text, err)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			t.Fatal(err)
		}
	}
}

// newUser makes a user with a policy document, "" for none, and returns an access key of
// the user's.
func newUser(t *testing.T, s *weirtest.Server, name, document string) app.Key {
	t.Helper()
	api(t, s, "Weir_20261125.CreateUser", map[string]string{"userName": name}, nil)
	if document != "" {
		api(t, s, "Weir_20261125.PutUserPolicy", map[string]string{"userName": name, "policyName": "own", "policyDocument": document}, nil)
	}
	var out struct {
		Key             struct{ AccessKeyID string }
		SecretAccessKey string
	}
	api(t, s, "Weir_20261125.CreateKey", map[string]string{"userName": name}, &out)
	return app.Key{ID: out.Key.AccessKeyID, Secret: out.SecretAccessKey}
}
