package ociapi_test

import (
	"encoding/base64"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestTokenLogin: a registry token is sent as it is, which is how ECR's clients do.
func TestTokenLogin(t *testing.T) {
	srv := start(t, &script{manifest: index("hit", 0, "")})
	root, err := srv.who.Basic(t.Context(), netip.Addr{}, srv.id, srv.secret)
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := srv.who.Token(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	resp, body, err := srv.do(t, "GET", "/v2/hub/x/manifests/1", http.Header{"Authorization": {"Basic " + token}})
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v, %v: %s", err, resp, body)
	}
	c := srv.script.callers[0]
	if !c.Root || c.KeyID != srv.id || c.Context.SourceIP.String() != "127.0.0.1" || c.Context.TLS || c.Context.Time.Before(before) {
		t.Errorf("the caller is %+v", c)
	}
	plain, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(plain), ".", "..", 1)
	resp, body, err = srv.do(t, "GET", "/v2/", http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(changed))}})
	if err != nil || resp.StatusCode != 401 || resp.Header.Get("Www-Authenticate") == "" {
		t.Errorf("changed: %v, %v: %s", err, resp, body)
	}
	if log := srv.logged(); strings.Contains(log, token) || strings.Contains(log, string(plain[len("AWS:"):])) {
		t.Error("the log has the token")
	}
}

// TestAnonymousContext: conditions hold for anonymous callers too.
func TestAnonymousContext(t *testing.T) {
	srv := start(t, &script{manifest: index("hit", 0, "")}, "hub/*")
	if _, _, err := srv.do(t, "GET", "/v2/hub/x/manifests/1", http.Header{"Authorization": {""}}); err != nil {
		t.Fatal(err)
	}
	if c := srv.script.callers[0]; !c.Anonymous || c.Context.SourceIP.String() != "127.0.0.1" || c.Context.Time.IsZero() {
		t.Errorf("the caller is %+v", c)
	}
}
