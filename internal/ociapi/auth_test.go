package ociapi_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/errs"
)

func basic(id, secret string) http.Header {
	return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))}}
}

// errorOf returns the code and message of an error answer.
func errorOf(t *testing.T, body []byte) (code, message string) {
	t.Helper()
	var e struct {
		Errors []struct{ Code, Message string }
	}
	if err := json.Unmarshal(body, &e); err != nil || len(e.Errors) != 1 {
		t.Fatalf("body %q is no error: %v", body, err)
	}
	return e.Errors[0].Code, e.Errors[0].Message
}

// TestLogin: who comes in, where, and that nothing else is asked before.
func TestLogin(t *testing.T) {
	srv, open := start(t, &script{}), start(t, &script{}, "quay/*")
	none := http.Header{"Authorization": {""}}
	tests := []struct {
		name    string
		srv     *server
		header  http.Header
		status  int
		message string
	}{
		{"right", srv, basic(srv.id, srv.secret), 200, ""},
		{"no login", srv, none, 401, "authentication required"},
		{"wrong password", srv, basic(srv.id, "wrong"), 401, "incorrect username or password"},
		{"unknown user", srv, basic("AWS", srv.secret), 401, "incorrect username or password"},
		{"empty login", srv, basic("", ""), 401, "authentication required"},
		{"empty password", srv, basic(srv.id, ""), 401, "incorrect username or password"},
		{"bearer", srv, http.Header{"Authorization": {"Bearer abc"}}, 401, "authentication required: log in"},
		{"broken header", srv, http.Header{"Authorization": {"Basic !!!"}}, 401, "authentication required: log in"},
		{"anonymous address", open, none, 200, ""},
		{"anonymous address, empty login", open, basic("", ""), 200, ""},
		{"anonymous address, wrong password", open, basic(open.id, "wrong"), 401, "incorrect username or password"},
		{"anonymous address, right password", open, basic(open.id, open.secret), 200, ""},
		{"anonymous address behind a proxy", open, http.Header{"Authorization": {""}, "X-Forwarded-For": {"127.0.0.1"}}, 401, "authentication required"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, method := range []string{"GET", "HEAD"} {
				resp, body, err := tt.srv.do(t, method, "/v2/", tt.header)
				if err != nil {
					t.Fatal(err)
				}
				safe(t, resp)
				if resp.StatusCode != tt.status {
					t.Errorf("%s: status %d, want %d", method, resp.StatusCode, tt.status)
				}
				challenge := resp.Header.Get("Www-Authenticate")
				if tt.status == 401 && challenge != `Basic realm="weir"` || tt.status == 200 && challenge != "" {
					t.Errorf("%s: challenge %q", method, challenge)
				}
				if method == "HEAD" {
					continue
				}
				if tt.status == 200 {
					if string(body) != "{}" {
						t.Errorf("body %q", body)
					}
				} else if code, msg := errorOf(t, body); code != "UNAUTHORIZED" || !strings.HasPrefix(msg, tt.message) {
					t.Errorf("%s %q, want %q", code, msg, tt.message)
				}
			}
		})
	}
	if calls := append(srv.script.calls, open.script.calls...); len(calls) > 0 {
		t.Errorf("the registry was asked: %q", calls)
	}
	for _, s := range []*server{srv, open} {
		if log := s.logged(); strings.Contains(log, s.secret) || strings.Contains(log, "wrong") && strings.Contains(log, "Basic ") {
			t.Error("the log has a secret")
		}
	}
}

// TestAnonymousIsRefusedLater: the registry decides, and its refusal of somebody
// unknown is a challenge.
func TestAnonymousIsRefusedLater(t *testing.T) {
	srv := start(t, &script{err: errs.New(errs.Unauthenticated, "authentication required: anonymous callers may not")}, "quay/*")
	resp, body, err := srv.do(t, "GET", "/v2/hub/x/manifests/1", http.Header{"Authorization": {""}})
	if err != nil {
		t.Fatal(err)
	}
	if code, _ := errorOf(t, body); resp.StatusCode != 401 || code != "UNAUTHORIZED" || resp.Header.Get("Www-Authenticate") == "" {
		t.Errorf("status %d, %s, challenge %q", resp.StatusCode, code, resp.Header.Get("Www-Authenticate"))
	}
	if d := cmp.Diff([]string{"pull hub/x 1 by anonymous"}, srv.script.calls); d != "" {
		t.Errorf("calls (-want +got):\n%s", d)
	}
}

// TestNoEndpoint: what is missing says so, to those who are logged in.
func TestNoEndpoint(t *testing.T) {
	srv := start(t, &script{})
	tests := []struct {
		name, method, path string
		status             int
		words              string
	}{
		{"no such endpoint", "GET", "/v2/a/b", 404, "no such endpoint"},
		{"no such method", "POST", "/v2/a/manifests/x", 405, "there is no such method here"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp, body, err := srv.do(t, tt.method, tt.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			safe(t, resp)
			code, msg := errorOf(t, body)
			if resp.StatusCode != tt.status || code != "UNSUPPORTED" || !strings.Contains(msg, tt.words) {
				t.Errorf("%d %s %q; want %d UNSUPPORTED %q", resp.StatusCode, code, msg, tt.status, tt.words)
			}
			if allow := resp.Header.Get("Allow"); (tt.status == 405) != (allow == "GET, HEAD, PUT, DELETE") {
				t.Errorf("Allow is %q", allow)
			}
			if resp, _, err := srv.do(t, tt.method, tt.path, http.Header{"Authorization": {""}}); err != nil || resp.StatusCode != 401 {
				t.Errorf("without a login: %v, %v", resp, err)
			}
		})
	}
	if len(srv.script.calls) > 0 {
		t.Errorf("the registry was asked: %q", srv.script.calls)
	}
}
