package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path"
	"strings"
	"sync"
	"testing"
)

// ahead is how far an upstream's blob may run ahead of the client that pulls it:
// more than the 64 KiB that weir holds back at a blob's end, and little enough
// that what a kill loses in sockets is no fault of weir's to speak of.
const ahead = 112 << 10

// point is a place in a blob's bytes. The blob stops there, or, passing, goes on.
type point struct {
	digest  string
	at      int64
	passing bool
	reached chan struct{} // closed when the byte before it has been sent
	seen    bool
}

// gate stands before a scripted upstream. Blobs go through it in step with the
// client's reading, and stop at a point.
type gate struct {
	next http.Handler

	mu       sync.Mutex
	changed  *sync.Cond
	point    *point           // nil: none
	inStep   bool             // with what the client received
	received map[string]int64 // by digest
	bytes    int64            // of all bodies that were sent
}

func newGate(t *testing.T, next http.Handler) (g *gate, addr string) {
	t.Helper()
	g = &gate{next: next, inStep: true, received: map[string]int64{}}
	g.changed = sync.NewCond(&g.mu)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: g}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return g, l.Addr().String()
}

// stopAt makes a point, before anything was sent.
func (g *gate) stopAt(digest string, at int64, passing bool) *point {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.point = &point{digest: digest, at: at, passing: passing, reached: make(chan struct{})}
	return g.point
}

// release lets everything go on, no longer in step.
func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.point, g.inStep = nil, false
	g.changed.Broadcast()
}

// got is the client's word that it has the first n bytes of a blob.
func (g *gate) got(digest string, n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.received[digest] = n
	g.changed.Broadcast()
}

func (g *gate) total() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.bytes
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	wake := context.AfterFunc(r.Context(), func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.changed.Broadcast()
	})
	defer wake()
	a := &gated{ResponseWriter: w, g: g, r: r}
	if strings.HasPrefix(r.URL.Path, "/cdn/") {
		a.digest = path.Base(r.URL.Path)
	}
	g.next.ServeHTTP(a, r)
}

// gated is one answer on its way through the gate.
type gated struct {
	http.ResponseWriter
	g      *gate
	r      *http.Request
	digest string // of the blob in the body, "" if it is none
	at     int64  // offset in the blob of the next byte
}

func (w *gated) WriteHeader(status int) {
	if status == http.StatusPartialContent {
		if _, err := fmt.Sscanf(w.Header().Get("Content-Range"), "bytes %d-", &w.at); err != nil {
			panic(err) // the scripted upstream's own header
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *gated) Flush() { w.ResponseWriter.(http.Flusher).Flush() }

func (w *gated) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		if k, err = w.g.pass(w, len(p)-n); err != nil {
			break
		}
		k, err = w.ResponseWriter.Write(p[n : n+k])
		w.Flush()
		n += k
		w.g.passed(w, k)
	}
	return n, err
}

// pass waits until some of n bytes may be sent, and says how many.
func (g *gate) pass(w *gated, n int) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for {
		if err := w.r.Context().Err(); err != nil {
			return 0, err
		}
		room := int64(min(n, 16<<10))
		if g.inStep && w.digest != "" {
			room = min(room, g.received[w.digest]+ahead-w.at)
		}
		if p := g.point; p != nil && p.digest == w.digest && p.at >= w.at {
			if left := p.at - w.at; left > 0 || !p.passing {
				room = min(room, left) // up to the point exactly
			}
		}
		if room > 0 {
			return int(room), nil
		}
		g.changed.Wait()
	}
}

func (g *gate) passed(w *gated, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w.at += int64(n)
	g.bytes += int64(n)
	if p := g.point; p != nil && !p.seen && p.digest == w.digest && p.at == w.at {
		p.seen = true
		close(p.reached)
	}
}
