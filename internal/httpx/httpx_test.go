package httpx_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/httpx"
)

// writeError is a face's: typed errors by their message, others by a constant.
func writeError(w *httpx.ResponseWriter, _ *http.Request, err error) {
	w.Header().Set("X-Id", w.ID())
	if e := errs.As(err); e != nil {
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, e.Msg)
		return
	}
	w.WriteHeader(http.StatusInternalServerError)
	io.WriteString(w, "internal error")
}

// lines is a log of JSON lines.
func lines(t *testing.T, log *bytes.Buffer) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(log.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		all = append(all, m)
	}
	return all
}

func TestAnswers(t *testing.T) {
	secret := errors.New("row 7 of table secrets")
	tests := []struct {
		name    string
		handler httpx.Handler
		broken  bool // the client sees a broken connection
		status  int
		body    string
		log     map[string]any // of the access line, beside id and ms
	}{
		{
			name: "whole answer with every field",
			handler: func(w *httpx.ResponseWriter, _ *http.Request) error {
				w.Principal, w.Action, w.Repository, w.Reference = "root", "ecr:BatchGetImage", "hub/library/nginx", "1"
				w.Cache, w.Upstream = "hit", "registry-1.docker.io"
				_, err := io.WriteString(w, "hello")
				return err
			},
			status: 200, body: "hello",
			log: map[string]any{
				"level": "INFO", "principal": "root", "action": "ecr:BatchGetImage", "repository": "hub/library/nginx", "reference": "1",
				"status": 200.0, "bytes": 5.0, "cache": "hit", "upstream": "registry-1.docker.io",
			},
		},
		{
			name:    "nothing written",
			handler: func(*httpx.ResponseWriter, *http.Request) error { return nil },
			status:  200,
			log:     map[string]any{"level": "INFO", "status": 200.0, "bytes": 0.0},
		},
		{
			name: "typed error",
			handler: func(*httpx.ResponseWriter, *http.Request) error {
				return fmt.Errorf("wrapped: %w", errs.Wrap(errs.BlobUnknown, secret, "no such blob"))
			},
			status: 418, body: "no such blob",
			log: map[string]any{"level": "INFO", "status": 418.0, "bytes": 12.0, "code": "BlobUnknown", "error": "wrapped: no such blob: row 7 of table secrets"},
		},
		{
			name: "an error that the handler answers itself",
			handler: func(w *httpx.ResponseWriter, _ *http.Request) error {
				w.Cause = errs.Wrap(errs.BlobUnknown, secret, "no such blob")
				w.WriteHeader(http.StatusNotFound)
				return nil
			},
			status: 404,
			log:    map[string]any{"level": "INFO", "status": 404.0, "bytes": 0.0, "code": "BlobUnknown", "error": "no such blob: row 7 of table secrets"},
		},
		{
			name:    "untyped error",
			handler: func(*httpx.ResponseWriter, *http.Request) error { return secret },
			status:  500, body: "internal error",
			log: map[string]any{"level": "ERROR", "status": 500.0, "bytes": 14.0, "code": "Internal", "error": "row 7 of table secrets"},
		},
		{
			name: "error after the first byte",
			handler: func(w *httpx.ResponseWriter, _ *http.Request) error {
				w.Header().Set("Content-Length", "10")
				io.WriteString(w, "half")
				w.Flush()
				return errs.New(errs.UpstreamFailed, "cut")
			},
			broken: true, status: 200, body: "half",
			log: map[string]any{"level": "WARN", "status": 200.0, "bytes": 4.0, "code": "UpstreamFailed", "error": "cut", "aborted": true},
		},
		{
			name: "error after the first byte of unknown length",
			handler: func(w *httpx.ResponseWriter, _ *http.Request) error {
				io.WriteString(w, "half")
				w.Flush()
				return errs.New(errs.UpstreamFailed, "cut")
			},
			broken: true, status: 200, body: "half",
			log: map[string]any{"level": "WARN", "status": 200.0, "bytes": 4.0, "code": "UpstreamFailed", "error": "cut", "aborted": true},
		},
		{
			name:    "abort is no crash",
			handler: func(*httpx.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) },
			broken:  true,
			log:     map[string]any{"level": "INFO", "status": 499.0, "bytes": 0.0, "code": "Internal", "error": http.ErrAbortHandler.Error(), "aborted": true},
		},
		{
			name:    "panic",
			handler: func(*httpx.ResponseWriter, *http.Request) error { panic("row 7") },
			status:  500, body: "internal error",
			log: map[string]any{"level": "ERROR", "status": 500.0, "bytes": 14.0, "code": "Internal", "error": "panic: row 7"},
		},
		{
			name: "signed URL in a cause",
			handler: func(*httpx.ResponseWriter, *http.Request) error {
				return errs.Wrap(errs.UpstreamFailed, errors.New(`Get "https://u:p@cdn.example/b?X-Amz-Signature=abc": EOF`), "cut")
			},
			status: 418, body: "cut",
			log: map[string]any{"level": "INFO", "status": 418.0, "bytes": 3.0, "code": "UpstreamFailed", "error": `cut: Get "https://cdn.example/b?...": EOF`},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			done := make(chan struct{})
			h := httpx.New(httpx.Options{WriteError: writeError, Logger: slog.New(slog.NewJSONHandler(&log, nil))}, tt.handler)
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(done)
				h.ServeHTTP(w, r)
			}))
			defer srv.Close()
			resp, err := srv.Client().Get(srv.URL)
			if err == nil {
				defer resp.Body.Close()
				var body []byte
				body, err = io.ReadAll(resp.Body)
				if resp.StatusCode != tt.status || string(body) != tt.body {
					t.Errorf("answer %d %q, want %d %q", resp.StatusCode, body, tt.status, tt.body)
				}
			}
			if broken := err != nil; broken != tt.broken {
				t.Errorf("broken %v (%v), want %v", broken, err, tt.broken)
			}
			<-done
			checkLine(t, &log, tt.log)
		})
	}
}

func checkLine(t *testing.T, log *bytes.Buffer, want map[string]any) {
	t.Helper()
	all := lines(t, log)
	if len(all) != 1 {
		t.Fatalf("%d log lines, want 1", len(all))
	}
	got := all[0]
	if id, _ := got["id"].(string); !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) {
		t.Errorf("id %q is no UUID", id)
	}
	if _, ok := got["ms"].(float64); !ok {
		t.Errorf("ms is %v", got["ms"])
	}
	if e, ok := got["error"].(string); ok && strings.HasPrefix(e, "panic: ") {
		got["error"], _, _ = strings.Cut(e, "\n") // the stack
	}
	for _, k := range []string{"id", "ms", "time", "msg"} {
		delete(got, k)
	}
	full := map[string]any{"principal": "", "action": "", "repository": "", "reference": "", "cache": "", "upstream": ""}
	for k, v := range want {
		full[k] = v
	}
	if d := cmp.Diff(full, got); d != "" {
		t.Errorf("access line (-want +got):\n%s", d)
	}
}

// TestHTTP2: what holds on a plain connection holds on a stream of HTTP/2.
func TestHTTP2(t *testing.T) {
	path, content := testFile(t)
	h := httpx.New(httpx.Options{WriteError: writeError, Logger: slog.New(slog.DiscardHandler)},
		func(w *httpx.ResponseWriter, r *http.Request) error {
			switch r.URL.Path {
			case "/file":
				f, err := os.Open(path)
				if err != nil {
					return err
				}
				defer f.Close()
				http.ServeContent(w, r, "", time.Time{}, f)
				return w.Err()
			case "/cut":
				io.WriteString(w, "half")
				w.Flush()
			}
			return errs.New(errs.UpstreamFailed, "cut")
		})
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	tests := []struct {
		path, body string
		status     int
		broken     bool
	}{
		{"/file", string(content), 200, false},
		{"/cut", "half", 200, true},
		{"/error", "cut", 418, false},
	}
	for _, tt := range tests {
		resp, err := srv.Client().Get(srv.URL + tt.path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.ProtoMajor != 2 || resp.StatusCode != tt.status || string(body) != tt.body || (err != nil) != tt.broken {
			t.Errorf("%s: HTTP/%d, status %d, %d bytes, error %v", tt.path, resp.ProtoMajor, resp.StatusCode, len(body), err)
		}
	}
}

func TestClientLeaves(t *testing.T) {
	var log bytes.Buffer
	done, entered := make(chan struct{}), make(chan struct{})
	h := httpx.New(httpx.Options{WriteError: writeError, Logger: slog.New(slog.NewJSONHandler(&log, nil))},
		func(_ *httpx.ResponseWriter, r *http.Request) error {
			close(entered)
			<-r.Context().Done()
			return context.Cause(r.Context())
		})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		h.ServeHTTP(w, r)
	}))
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-entered
		cancel()
	}()
	req, err := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := srv.Client().Do(req); !errors.Is(err, context.Canceled) {
		t.Errorf("client's error is %v", err)
	}
	<-done
	checkLine(t, &log, map[string]any{"level": "INFO", "status": 499.0, "bytes": 0.0, "code": "Internal", "error": "the client left", "aborted": true})
}

func TestBodyLimit(t *testing.T) {
	h := httpx.New(httpx.Options{WriteError: writeError, MaxBody: 4, Logger: slog.New(slog.DiscardHandler)},
		func(_ *httpx.ResponseWriter, r *http.Request) error {
			_, err := io.ReadAll(r.Body)
			var tooLong *http.MaxBytesError
			if errors.As(err, &tooLong) {
				return errs.New(errs.ParamInvalid, "body over %d bytes", tooLong.Limit)
			}
			return err
		})
	srv := httptest.NewServer(h)
	defer srv.Close()
	for body, want := range map[string]int{"1234": 200, "12345": 418} {
		resp, err := srv.Client().Post(srv.URL, "text/plain", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("body %q: status %d, want %d", body, resp.StatusCode, want)
		}
	}
}

func TestScrub(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"no URL", "what? no", "what? no"},
		{"plain URL", "Get https://h/p: EOF", "Get https://h/p: EOF"},
		{"query", `Get "https://h/p?sig=1&x=2": EOF`, `Get "https://h/p?...": EOF`},
		{"fragment", "https://h/p#tok", "https://h/p?..."},
		{"user", "https://user:pass@h/p", "https://h/p"},
		{"user without a path", "proxy http://user:pass@h:3128", "proxy http://h:3128"},
		{"at sign in a path", "https://h/a@b", "https://h/a@b"},
		{"two", "https://a/?x https://b:c@d/?y z", "https://a/?... https://d/?... z"},
		{"end", "://", "://"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := httpx.Scrub(tt.in); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
