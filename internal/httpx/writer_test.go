package httpx_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/httpx"
)

const fileSize = 9<<20 + 12345

func testFile(t *testing.T) (path string, content []byte) {
	t.Helper()
	content = make([]byte, fileSize)
	for i := range content {
		content[i] = byte(i * 7 / 3)
	}
	path = filepath.Join(t.TempDir(), "blob")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, content
}

// readCounter is a file that tells how much of it went through memory.
type readCounter struct {
	*os.File
	n *atomic.Int64
}

func (f readCounter) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.n.Add(int64(n))
	return n, err
}

// tap is a TCP listener that counts what is written to its connections by Write,
// which sendfile does not use.
type tap struct {
	net.Listener
	written atomic.Int64
	clock   *clock // of write deadlines; nil: the real one
}

type tapConn struct {
	*net.TCPConn
	tap *tap
}

func (l *tap) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	// Small buffers, so that what a client does not take is soon noticed.
	return tapConn{c.(*net.TCPConn), l}, c.(*net.TCPConn).SetWriteBuffer(64 << 10)
}

func (c tapConn) Write(p []byte) (int, error) {
	n, err := c.TCPConn.Write(p)
	c.tap.written.Add(int64(n))
	return n, err
}

func (c tapConn) SetWriteDeadline(at time.Time) error {
	if c.tap.clock == nil || at.IsZero() {
		return c.TCPConn.SetWriteDeadline(at)
	}
	return c.tap.clock.renew(c.TCPConn)
}

// clock lets write deadlines pass when the test says so.
type clock struct {
	mu       sync.Mutex
	conn     *net.TCPConn
	renewals int
	renewed  chan struct{} // holds one
}

func (c *clock) renew(conn *net.TCPConn) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = conn
	c.renewals++
	select {
	case c.renewed <- struct{}{}:
	default:
	}
	return conn.SetWriteDeadline(time.Time{})
}

func (c *clock) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.renewals
}

// pass has the deadline pass that was set by the n-th renewal, if it is the last.
func (c *clock) pass(n int) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.renewals != n {
		return false, nil
	}
	return true, c.conn.SetWriteDeadline(time.Unix(1, 0))
}

// serve runs h on loopback until the test ends.
func serve(t *testing.T, h http.Handler, c *clock) *tap {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &tap{Listener: ln, clock: c}
	srv := &http.Server{Handler: h}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		<-done
	})
	return l
}

// TestSendfile counts the bytes of a file that do not go through sendfile.
func TestSendfile(t *testing.T) {
	path, content := testFile(t)
	tests := []struct {
		name, rng string
		from, to  int // of the content
		copy      bool
	}{
		{name: "whole", from: 0, to: fileSize},
		{name: "range", rng: "bytes=5-4999999", from: 5, to: 5000000},
		{name: "tail", rng: "bytes=-70000", from: fileSize - 70000, to: fileSize},
		{name: "one byte", rng: "bytes=7-7", from: 7, to: 8},
		{name: "follower's copy", from: 0, to: fileSize, copy: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var read atomic.Int64
			h := httpx.New(httpx.Options{WriteError: writeError, Logger: slog.New(slog.DiscardHandler)},
				func(w *httpx.ResponseWriter, r *http.Request) error {
					f, err := os.Open(path)
					if err != nil {
						return err
					}
					defer f.Close()
					file := readCounter{f, &read}
					w.Header().Set("Content-Type", "application/octet-stream")
					if !tt.copy {
						http.ServeContent(w, r, "", time.Time{}, file)
						return w.Err()
					}
					w.Header().Set("Content-Length", strconv.Itoa(fileSize))
					for n := int64(0); n < fileSize && err == nil; {
						var m int64
						m, err = io.Copy(w, &io.LimitedReader{R: file, N: min(fileSize-n, 3<<20)})
						n += m
					}
					return err
				})
			l := serve(t, h, nil)
			req, err := http.NewRequest("GET", "http://"+l.Addr().String(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if tt.rng != "" {
				req.Header.Set("Range", tt.rng)
			}
			var tr http.Transport
			defer tr.CloseIdleConnections()
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if err != nil || !bytes.Equal(got, content[tt.from:tt.to]) {
				t.Errorf("got %d bytes and error %v, want %d bytes", len(got), err, tt.to-tt.from)
			}
			if n := read.Load(); n != 0 {
				t.Errorf("%d bytes of the file were read into memory, want 0", n)
			}
			if n := l.written.Load(); n > 512 {
				t.Errorf("%d bytes were written without sendfile, want the header only", n)
			}
		})
	}
}

// TestSlowReaderOfFile: a client that takes something under each deadline gets
// everything, however long it takes.
func TestSlowReaderOfFile(t *testing.T) {
	path, content := testFile(t)
	deadlines, over := &clock{renewed: make(chan struct{}, 1)}, make(chan struct{})
	h := httpx.New(httpx.Options{WriteError: writeError, Logger: slog.New(slog.DiscardHandler)},
		func(w *httpx.ResponseWriter, r *http.Request) error {
			defer close(over)
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			http.ServeContent(w, r, "", time.Time{}, f)
			return w.Err()
		})
	l := serve(t, h, deadlines)
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	// Takes more than all buffers hold after each renewal, and then lets the
	// deadline pass in the middle of the piece.
	var got bytes.Buffer
	passed := 0
	for got.Len() < 8<<20 {
		select {
		case <-deadlines.renewed:
		case <-over:
			t.Fatalf("the answer was over after %d bytes and %d deadlines", got.Len(), passed)
		}
		n := deadlines.count()
		if _, err := io.CopyN(&got, c, 1<<20); err != nil {
			t.Fatalf("after %d bytes and %d deadlines: %v", got.Len(), passed, err)
		}
		did, err := deadlines.pass(n)
		if err != nil {
			t.Fatal(err)
		}
		if did {
			passed++
		}
	}
	if _, err := io.Copy(&got, c); err != nil {
		t.Fatal(err)
	}
	_, body, _ := bytes.Cut(got.Bytes(), []byte("\r\n\r\n"))
	if sha256.Sum256(body) != sha256.Sum256(content) {
		t.Errorf("got %d bytes, want the file's %d", len(body), len(content))
	}
	if passed == 0 {
		t.Error("no deadline passed in the middle of a piece")
	}
}

// TestDeadReader: a client that takes nothing does not hold the file for ever.
func TestDeadReader(t *testing.T) {
	path, _ := testFile(t)
	failed := make(chan error, 1)
	h := httpx.New(httpx.Options{WriteError: writeError, Logger: slog.New(slog.DiscardHandler), Stall: 50 * time.Millisecond},
		func(w *httpx.ResponseWriter, r *http.Request) error {
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			http.ServeContent(w, r, "", time.Time{}, f)
			failed <- w.Err()
			return w.Err()
		})
	l := serve(t, h, nil)
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("handler's error is %v, want a deadline", err)
	}
}

// pipes is a listener of in-memory connections, which keep deadlines in fake time.
type pipes chan net.Conn

func (l pipes) Accept() (net.Conn, error) {
	c, ok := <-l
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (pipes) Close() error   { return nil }
func (pipes) Addr() net.Addr { return &net.UnixAddr{} }

// TestSlowReaderOfStream: what does not go through sendfile has a deadline for
// each small piece.
func TestSlowReaderOfStream(t *testing.T) {
	tests := []struct {
		name  string
		pause time.Duration // before each 64 KiB that the client takes
		whole bool
	}{
		{"slow but alive", 14 * time.Second, true},
		{"dead", 31 * time.Second, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const size = 1 << 20
				h := httpx.New(httpx.Options{WriteError: writeError, Logger: slog.New(slog.DiscardHandler)},
					func(w *httpx.ResponseWriter, r *http.Request) error {
						w.Header().Set("Content-Length", strconv.Itoa(size))
						_, err := io.Copy(w, bytes.NewReader(make([]byte, size)))
						return err
					})
				l := make(pipes)
				srv := &http.Server{Handler: h}
				done := make(chan error)
				go func() { done <- srv.Serve(l) }()
				client, server := net.Pipe()
				l <- server
				fmt.Fprintf(client, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
				start, total := time.Now(), 0
				var err error
				for err == nil {
					tick := time.NewTimer(tt.pause)
					<-tick.C
					var n int
					n, err = io.ReadFull(client, make([]byte, 64<<10))
					total += n
				}
				if whole := total > size; whole != tt.whole {
					t.Errorf("the client got %d bytes, then %v", total, err)
				}
				if took := time.Since(start); tt.whole && took < 3*time.Minute {
					t.Errorf("took %v of fake time: too fast to show anything", took)
				}
				close(l)
				srv.Close()
				<-done
			})
		})
	}
}

// scripted is a net/http writer whose connection takes what the script says.
type scripted struct {
	http.ResponseWriter
	header http.Header
	script []step
	log    []string
}

type step struct {
	n   int64
	err error
}

func (s *scripted) Header() http.Header              { return s.header }
func (s *scripted) WriteHeader(status int)           { s.log = append(s.log, fmt.Sprint("header ", status)) }
func (s *scripted) Flush()                           { s.log = append(s.log, "flush") }
func (s *scripted) SetWriteDeadline(time.Time) error { s.log = append(s.log, "deadline"); return nil }
func (s *scripted) ReadFrom(src io.Reader) (int64, error) {
	lim := src.(*io.LimitedReader)
	st := s.script[0]
	s.script = s.script[1:]
	s.log = append(s.log, fmt.Sprintf("piece of %d", lim.N))
	return st.n, st.err
}

func TestPieces(t *testing.T) {
	timeout := fmt.Errorf("write: %w", os.ErrDeadlineExceeded)
	broken := errors.New("connection reset")
	tests := []struct {
		name   string
		size   int64
		script []step
		want   []string // after the header and its flush
		n      int64
		err    error
	}{
		{"three pieces", 9 << 20, []step{{4 << 20, nil}, {4 << 20, nil}, {1 << 20, nil}},
			[]string{"deadline", "piece of 4194304", "deadline", "piece of 4194304", "deadline", "piece of 1048576"}, 9 << 20, nil},
		{"half a piece in time", 4 << 20, []step{{1 << 20, timeout}, {3 << 20, nil}},
			[]string{"deadline", "piece of 4194304", "deadline", "piece of 3145728"}, 4 << 20, nil},
		{"nothing in time", 4 << 20, []step{{0, timeout}}, []string{"deadline", "piece of 4194304"}, 0, timeout},
		{"reset", 4 << 20, []step{{100, broken}}, []string{"deadline", "piece of 4194304"}, 100, broken},
		{"file shorter than said", 4 << 20, []step{{100, nil}, {0, nil}},
			[]string{"deadline", "piece of 4194304", "deadline", "piece of 4194204"}, 100, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := os.Open(os.DevNull)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			inner := &scripted{header: http.Header{"Content-Length": {"1"}}, script: tt.script}
			var n int64
			h := httpx.New(httpx.Options{WriteError: writeError, Logger: slog.New(slog.DiscardHandler)},
				func(w *httpx.ResponseWriter, r *http.Request) error {
					src := &io.LimitedReader{R: f, N: tt.size}
					n, err = w.ReadFrom(src)
					if src.N != tt.size-n {
						t.Errorf("limit left at %d, want %d", src.N, tt.size-n)
					}
					return nil
				})
			h.ServeHTTP(inner, &http.Request{Method: "GET", ProtoMajor: 1, Body: http.NoBody})
			if n != tt.n || !errors.Is(err, tt.err) {
				t.Errorf("sent %d, error %v; want %d, %v", n, err, tt.n, tt.err)
			}
			want := append([]string{"deadline", "header 200", "deadline", "flush"}, tt.want...)
			if d := cmp.Diff(append(want, "deadline"), inner.log); d != "" {
				t.Errorf("calls (-want +got):\n%s", d)
			}
		})
	}
}
