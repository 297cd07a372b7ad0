package httpx_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-registry/weir/internal/httpx"
)

// pushed is what a handler found in a body.
type pushed struct {
	n   int64
	err error
	ctx error // after all was done
}

// pushTo serves one connection on which a client sends head and then what send writes,
// in fake time, and returns the status and what the handler found.
func pushTo(t *testing.T, after time.Duration, head string, send func(io.Writer) error) (status int, got pushed) {
	t.Helper()
	h := httpx.New(httpx.Options{WriteError: writeError, Logger: slog.New(slog.DiscardHandler), MaxBody: 10},
		func(w *httpx.ResponseWriter, r *http.Request) error {
			got.n, got.err = io.Copy(io.Discard, w.Body())
			<-time.After(after)
			got.ctx = context.Cause(r.Context())
			w.WriteHeader(http.StatusAccepted)
			return nil
		})
	l := make(pipes)
	srv := &http.Server{Handler: h}
	done := make(chan error)
	go func() { done <- srv.Serve(l) }()
	client, server := net.Pipe()
	l <- server
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(client, head)
		if err == nil {
			err = send(client)
		}
		sent <- err
	}()
	answers := bufio.NewReader(client)
	resp, err := http.ReadResponse(answers, nil)
	if err == nil && resp.StatusCode == http.StatusContinue {
		resp, err = http.ReadResponse(answers, nil)
	}
	if err == nil {
		status = resp.StatusCode
		resp.Body.Close()
	}
	client.Close()
	<-sent
	close(l)
	srv.Close()
	<-done
	return status, got
}

// slowly writes a body in pieces with a pause before each.
func slowly(size, piece int, pause time.Duration) func(io.Writer) error {
	return func(w io.Writer) error {
		for left := size; left > 0; left -= piece {
			<-time.After(pause)
			if _, err := w.Write(make([]byte, min(piece, left))); err != nil {
				return err
			}
		}
		return nil
	}
}

// TestBodyDeadlines: a client may send for as long as it likes, if something comes
// within each deadline; and what the handler does afterwards has none of the client's.
func TestBodyDeadlines(t *testing.T) {
	const size, piece = 1 << 20, 64 << 10
	length := fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", size)
	tests := []struct {
		name  string
		head  string
		send  func(io.Writer) error
		after time.Duration
		n     int64
		err   error
	}{
		{name: "at once", head: length, send: slowly(size, size, 0), n: size},
		{name: "slow but alive", head: length, send: slowly(size, piece, 29*time.Second), n: size},
		{name: "dead", head: length, send: slowly(size, piece, 31*time.Second), err: os.ErrDeadlineExceeded},
		{name: "dead in the middle", head: length, send: func(w io.Writer) error {
			if err := slowly(3*piece, piece, time.Second)(w); err != nil {
				return err
			}
			return slowly(piece, piece, time.Minute)(w)
		}, n: 3 * piece, err: os.ErrDeadlineExceeded},
		{name: "long work afterwards", head: length, send: slowly(size, piece, time.Second), after: time.Hour, n: size},
		{
			name: "no length, as docker sends", head: "PATCH / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
			send: func(w io.Writer) error {
				for range 3 {
					<-time.After(29 * time.Second)
					if _, err := io.WriteString(w, "5\r\nhello\r\n"); err != nil {
						return err
					}
				}
				_, err := io.WriteString(w, "0\r\n\r\n")
				return err
			}, n: 15,
		},
		{name: "waits for 100", head: strings.Replace(length, "\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n", 1), send: slowly(size, piece, 0), n: size},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				status, got := pushTo(t, tt.after, tt.head, tt.send)
				if got.n != tt.n || !errors.Is(got.err, tt.err) {
					t.Errorf("the handler had %d bytes and %v, want %d and %v", got.n, got.err, tt.n, tt.err)
				}
				if tt.err == nil && (status != http.StatusAccepted || got.ctx != nil) {
					t.Errorf("status %d, context %v", status, got.ctx)
				}
			})
		})
	}
}
