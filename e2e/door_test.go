package e2e

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// door is one loopback address with a handler behind it. It can be shut, as if
// the program behind it were killed, and opened again at the same address.
type door struct {
	addr    string
	handler http.Handler

	mu     sync.Mutex
	server *http.Server
	conns  map[net.Conn]bool
}

// newDoor opens a door at a free port of host.
func newDoor(t *testing.T, host string, handler http.Handler) *door {
	t.Helper()
	d := &door{addr: freeAddr(t, host), handler: handler, conns: map[net.Conn]bool{}}
	d.open(t)
	t.Cleanup(d.shut)
	return d
}

func (d *door) open(t *testing.T) {
	t.Helper()
	syscall.ForkLock.RLock() // a program that is being started would have the last listener, too
	l, err := net.Listen("tcp", d.addr)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	d.server = &http.Server{Handler: d.handler, ConnState: func(c net.Conn, s http.ConnState) {
		d.mu.Lock()
		defer d.mu.Unlock()
		switch s {
		case http.StateNew:
			d.conns[c] = true
		case http.StateClosed, http.StateHijacked:
			delete(d.conns, c)
		}
	}}
	go d.server.Serve(l)
}

// shut closes the listener and resets every connection: what was under way is
// torn, what comes is refused.
func (d *door) shut() {
	d.mu.Lock()
	for c := range d.conns {
		c.(*net.TCPConn).SetLinger(0)
	}
	d.mu.Unlock()
	d.server.Close()
}

// traffic is what reached the upstream, from any of its doors.
type traffic struct {
	mu       sync.Mutex
	requests []string
	bytes    int64             // of bodies sent
	names    map[string]string // a digest's name in a test's words
	hanging  chan struct{}     // if not nil: no answer until it is closed
}

// record wraps a handler: each request becomes a line "STATUS METHOD WHAT", and
// none is answered while the upstream hangs.
func (tr *traffic) record(what func(*http.Request) string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tr.mu.Lock()
		hanging := tr.hanging
		tr.mu.Unlock()
		if hanging != nil {
			tr.add("--- " + what(r))
			select {
			case <-hanging:
			case <-r.Context().Done():
			}
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(&counter{ResponseWriter: w, tr: tr, what: what(r)}, r)
	})
}

// counter records its request when the status is known, before the client hears
// of it: a client that is done has all its requests in the record.
type counter struct {
	http.ResponseWriter
	tr     *traffic
	what   string
	status int
}

func (c *counter) WriteHeader(status int) {
	if c.status == 0 {
		c.status = status
		c.tr.add(fmt.Sprintf("%d %s", status, c.what))
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *counter) Write(p []byte) (int, error) {
	if c.status == 0 {
		c.WriteHeader(http.StatusOK)
	}
	c.tr.mu.Lock()
	c.tr.bytes += int64(len(p))
	c.tr.mu.Unlock()
	return c.ResponseWriter.Write(p)
}

func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (tr *traffic) add(line string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for digest, name := range tr.names {
		line = strings.ReplaceAll(line, digest, name)
	}
	tr.requests = append(tr.requests, line)
}

// take returns the requests since the last call, sorted, and the bytes sent.
func (tr *traffic) take() (requests []string, bytes int64) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	requests, bytes = tr.requests, tr.bytes
	tr.requests, tr.bytes = nil, 0
	slices.Sort(requests)
	return requests, bytes
}

// hang makes the upstream accept and read requests and not answer, until the
// function that it returns is called.
func (tr *traffic) hang() (release func()) {
	ch := make(chan struct{})
	tr.mu.Lock()
	tr.hanging = ch
	tr.mu.Unlock()
	return sync.OnceFunc(func() {
		tr.mu.Lock()
		tr.hanging = nil
		tr.mu.Unlock()
		close(ch)
	})
}
