package e2e

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// upstream is a real registry, Debian's docker-registry or the distribution that
// $WEIR_E2E_REGISTRY names, as large registries are built: tokens come from another
// service, and blobs from a second host by signed URLs that expire.
type upstream struct {
	traffic
	front  *door // the API, on 127.0.0.1
	issuer *door // tokens
	cdn    *door // blobs, on 127.0.0.2
	back   string
	store  string // docker-registry's folder
	secret []byte // signs the URLs
	script atomic.Pointer[script]
}

// script is what the API answers instead.
type script struct {
	status int
	header http.Header
}

const signedFor = 20 * time.Second

const registryConfig = `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %q}}
http: {addr: %q, relativeurls: true}
auth: {token: {realm: "http://%s/token", service: %s, issuer: %s, rootcertbundle: %q}}
`

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	bin := os.Getenv("WEIR_E2E_REGISTRY")
	if bin == "" {
		bin = program(t, "docker-registry", "docker-registry")
	}
	dir := t.TempDir()
	u := &upstream{back: freeAddr(t, "127.0.0.1"), store: filepath.Join(dir, "store"), secret: []byte(rand.Text())}
	u.names = map[string]string{}

	tokens := newIssuer(t)
	u.issuer = newDoor(t, "127.0.0.1", u.record(func(r *http.Request) string {
		return "token " + strings.Join(r.URL.Query()["scope"], " ")
	}, tokens))
	u.cdn = newDoor(t, "127.0.0.2", u.record(func(r *http.Request) string {
		return "cdn " + strings.TrimPrefix(r.URL.Path, "/")
	}, http.HandlerFunc(u.serveBlob)))
	u.front = newDoor(t, "127.0.0.1", u.record(func(r *http.Request) string {
		return r.Method + " " + strings.TrimPrefix(r.URL.Path, "/v2/")
	}, u.api()))

	cert, conf := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "registry.yml")
	text := fmt.Sprintf(registryConfig, u.store, u.back, u.realmHost(), tokenService, tokenIssuer, cert)
	for name, b := range map[string][]byte{cert: tokens.pem(), conf: []byte(text)} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := start(t, []string{"OTEL_TRACES_EXPORTER=none"}, bin, "serve", conf)
	p.alive(t, 20*time.Second, func() error {
		resp, err := http.Get("http://" + u.back + "/v2/")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			return fmt.Errorf("docker-registry answers %s where it should ask for a token", resp.Status)
		}
		return nil
	})
	return u
}

// realmHost is the token service by name: crane refuses a realm that is a
// loopback address.
func (u *upstream) realmHost() string {
	return strings.Replace(u.issuer.addr, "127.0.0.1", "localhost", 1)
}

// api is docker-registry, but a blob that the caller may have is a redirect.
func (u *upstream) api() http.Handler {
	target := &url.URL{Scheme: "http", Host: u.back}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}}
	proxy.ModifyResponse = func(resp *http.Response) error {
		_, digest, ok := strings.Cut(resp.Request.URL.Path, "/blobs/")
		if !ok || resp.Request.Method != http.MethodGet || resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent {
			return nil
		}
		resp.Body.Close()
		resp.Body = http.NoBody
		resp.StatusCode, resp.ContentLength = http.StatusTemporaryRedirect, 0
		resp.Header = http.Header{"Location": {u.signed(digest, time.Now().Add(signedFor))}, "Content-Length": {"0"}}
		return nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := u.script.Load()
		if s == nil {
			proxy.ServeHTTP(w, r)
			return
		}
		maps.Copy(w.Header(), s.header)
		http.Error(w, `{"errors":[{"code":"UNKNOWN","message":"the upstream was told to say so"}]}`, s.status)
	})
}

// answer makes the API give every request this status, until it is 0. Tokens and
// blobs at the second host go on.
func (u *upstream) answer(status int, header http.Header) {
	if status == 0 {
		u.script.Store(nil)
		return
	}
	u.script.Store(&script{status, header})
}

func (u *upstream) signed(digest string, until time.Time) string {
	q := url.Values{"until": {strconv.FormatInt(until.UnixMilli(), 10)}}
	q.Set("signature", u.sign(digest, q.Get("until")))
	return "http://" + u.cdn.addr + "/" + digest + "?" + q.Encode()
}

func (u *upstream) sign(digest, until string) string {
	mac := hmac.New(sha256.New, u.secret)
	fmt.Fprint(mac, digest, " ", until)
	return hex.EncodeToString(mac.Sum(nil))
}

// serveBlob is the second host. It takes nobody's token: one that arrives here
// was leaked.
func (u *upstream) serveBlob(w http.ResponseWriter, r *http.Request) {
	digest, q := strings.TrimPrefix(r.URL.Path, "/"), r.URL.Query()
	until, err := strconv.ParseInt(q.Get("until"), 10, 64)
	switch {
	case r.Header.Get("Authorization") != "":
		http.Error(w, "a token was sent to another host", http.StatusTeapot)
	case !hmac.Equal([]byte(u.sign(digest, q.Get("until"))), []byte(q.Get("signature"))):
		http.Error(w, "SignatureDoesNotMatch", http.StatusForbidden)
	case err != nil || time.Now().UnixMilli() > until:
		http.Error(w, "Request has expired", http.StatusForbidden)
	default:
		digest = strings.TrimPrefix(digest, "sha256:")
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeFile(w, r, filepath.Join(u.store, "docker/registry/v2/blobs/sha256", digest[:2], digest, "data"))
	}
}

func (u *upstream) doors() []*door { return []*door{u.front, u.issuer, u.cdn} }

// kill refuses everything, and resets what is under way.
func (u *upstream) kill() {
	for _, d := range u.doors() {
		d.shut()
	}
}

func (u *upstream) revive(t *testing.T) {
	t.Helper()
	for _, d := range u.doors() {
		d.open(t)
	}
}
