package httpx_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/httpx"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func TestDrain(t *testing.T) {
	tests := []struct {
		name  string
		grace time.Duration
		patch func(release chan struct{}) // what happens once the server is to end
		body  string                      // "": 503 or a broken connection
	}{
		{"running request ends within the grace", time.Minute, func(release chan struct{}) { close(release) }, "whole"},
		{"running request is told and broken off", time.Millisecond, func(chan struct{}) {}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			entered, release := make(chan struct{}), make(chan struct{})
			var cause error
			h := httpx.New(httpx.Options{WriteError: writeError, Logger: slog.New(slog.DiscardHandler)},
				func(w *httpx.ResponseWriter, r *http.Request) error {
					close(entered)
					select {
					case <-release:
						_, err := io.WriteString(w, "whole")
						return err
					case <-r.Context().Done():
						cause = context.Cause(r.Context())
						return cause
					}
				})
			srv := httpx.NewServer(h, httpx.ServerOptions{Grace: tt.grace, Logger: slog.New(slog.DiscardHandler)})
			ctx, stop := context.WithCancel(t.Context())
			ln, served, got := listen(t), make(chan error, 1), make(chan string, 1)
			go func() { served <- srv.Serve(ctx, ln) }()
			go func() {
				resp, err := http.Get("http://" + ln.Addr().String())
				if err != nil || resp.StatusCode != 200 {
					got <- ""
					return
				}
				defer resp.Body.Close()
				b, _ := io.ReadAll(resp.Body)
				got <- string(b)
			}()
			<-entered
			stop()
			tt.patch(release)
			if err := <-served; err != nil {
				t.Errorf("Serve: %v", err)
			}
			if b := <-got; b != tt.body {
				t.Errorf("the client got %q, want %q", b, tt.body)
			}
			if tt.body == "" && errs.CodeOf(cause) != errs.Unavailable {
				t.Errorf("the handler was told %v, want errs.Unavailable", cause)
			}
			if _, err := net.Dial("tcp", ln.Addr().String()); err == nil {
				t.Error("the listener still accepts")
			}
		})
	}
}

// broken is a listener that fails.
type broken struct{ net.Listener }

var errBroken = errors.New("listener broke")

func (broken) Accept() (net.Conn, error) { return nil, errBroken }

func TestServeFails(t *testing.T) {
	srv := httpx.NewServer(http.NotFoundHandler(), httpx.ServerOptions{Logger: slog.New(slog.DiscardHandler)})
	good := listen(t)
	if err := srv.Serve(t.Context(), good, broken{listen(t)}); !errors.Is(err, errBroken) {
		t.Errorf("Serve: %v, want %v", err, errBroken)
	}
	if _, err := net.Dial("tcp", good.Addr().String()); err == nil {
		t.Error("the other listener still accepts")
	}
}
