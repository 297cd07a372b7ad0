package httpx

import (
	"errors"
	"io"
	"math"
	"net/http"
	"os"
	"syscall"
	"time"
)

// How much goes to the connection under one write deadline: from a file, where
// what a slow client did not take in time can go on under the next, and from
// memory, where it cannot.
const (
	filePiece = 4 << 20
	piece     = 64 << 10
)

// ResponseWriter is the only wrapper around net/http's. Handlers fill in the
// fields for the access line as soon as they know them.
type ResponseWriter struct {
	Principal  string // who is asking
	Action     string // what for, in IAM's words where it has one
	Repository string
	Reference  string // tag or digest, or what else the action is on
	Cache      string // hit, miss, join or stale
	Upstream   string // host of the upstream concerned
	Content    bool   // the body is a manifest or a blob
	Kept       bool   // that was here before it was asked for
	Rule       string // the prefix of the rule that it is of; "": none
	Cause      error  // of an answer that the handler gave itself to what failed; nil: nothing did

	inner   http.ResponseWriter
	body    io.Reader // of the request as it came; nil: none
	control *http.ResponseController
	plain   bool // HTTP/1 without TLS: the kernel can send files
	head    bool
	stall   time.Duration
	id      string
	status  int // 0: nothing written yet
	bytes   int64
	failed  error
	buf     []byte
}

func newResponseWriter(inner http.ResponseWriter, r *http.Request, stall time.Duration) *ResponseWriter {
	return &ResponseWriter{
		inner:   inner,
		control: http.NewResponseController(inner),
		plain:   r.ProtoMajor == 1 && r.TLS == nil,
		head:    r.Method == http.MethodHead,
		stall:   stall,
		id:      newID(),
	}
}

// ID returns the request's ID, which the access line also has.
func (w *ResponseWriter) ID() string { return w.id }

// Status returns the status that was written, 0 if none was yet.
func (w *ResponseWriter) Status() int { return w.status }

// Bytes returns how many bytes of the body were written.
func (w *ResponseWriter) Bytes() int64 { return w.bytes }

// Body returns the request's body for a handler that takes bodies of any length, nil if
// there is none: it may take as long as it likes, if each piece of it comes within a
// read deadline of its own. It is read instead of the Request's.
func (w *ResponseWriter) Body() io.Reader { return w.BodyWithin(w.stall) }

// BodyWithin is Body for a client that may send nothing for another time than
// Options.Stall.
func (w *ResponseWriter) BodyWithin(stall time.Duration) io.Reader {
	if w.body == nil {
		return nil
	}
	return &incoming{w, stall}
}

// incoming is the reading half of a request's body.
type incoming struct {
	w     *ResponseWriter
	stall time.Duration
}

func (in *incoming) Read(p []byte) (int, error) {
	// A server without means for deadlines (an in-memory one) has none.
	_ = in.w.control.SetReadDeadline(time.Now().Add(in.stall))
	n, err := in.w.body.Read(p)
	if err == io.EOF {
		// What the answer takes is not the client's delay.
		_ = in.w.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// Err returns the first failure to write the body, for callers of functions that
// swallow it, as http.ServeContent does.
func (w *ResponseWriter) Err() error { return w.failed }

// Header returns the header that WriteHeader will send.
func (w *ResponseWriter) Header() http.Header { return w.inner.Header() }

// WriteHeader sends the header, once; later calls do nothing.
func (w *ResponseWriter) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	w.renew()
	w.inner.WriteHeader(status)
}

// Write sends p, each piece of it under a write deadline of its own.
func (w *ResponseWriter) Write(p []byte) (n int, err error) {
	w.WriteHeader(http.StatusOK)
	for len(p) > 0 && err == nil {
		w.renew()
		var m int
		m, err = w.inner.Write(p[:min(piece, len(p))])
		n, p = n+m, p[m:]
	}
	return n, w.wrote(int64(n), err)
}

// Flush sends what net/http holds back.
func (w *ResponseWriter) Flush() {
	w.WriteHeader(http.StatusOK)
	w.renew()
	if err := w.control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		_ = w.wrote(0, err)
	}
}

// ReadFrom sends src until it ends, each piece under a write deadline of its own.
// A file on a plain connection whose Content-Length is set is sent by the kernel.
func (w *ResponseWriter) ReadFrom(src io.Reader) (n int64, err error) {
	left, r := int64(math.MaxInt64), src
	limited, ok := src.(*io.LimitedReader)
	if ok {
		left, r = limited.N, limited.R // net/http sees through one limit, not two
	}
	w.WriteHeader(http.StatusOK)
	_, file := r.(syscall.Conn)
	if file && w.plain && !w.head && w.Header().Get("Content-Length") != "" {
		n, err = w.sendFile(r, left)
	} else {
		n, err = w.copy(r, left)
	}
	if ok {
		limited.N -= n
	}
	return n, err
}

// sendFile passes a file on in pieces. A piece that a slow client did not take
// within its deadline goes on under the next, unless it took nothing at all.
func (w *ResponseWriter) sendFile(r io.Reader, left int64) (n int64, err error) {
	rf, ok := w.inner.(io.ReaderFrom)
	if !ok {
		return w.copy(r, left)
	}
	if w.bytes == 0 {
		w.Flush() // or net/http copies the first 512 bytes itself, to sniff them
	}
	for n < left {
		w.renew()
		m, err := rf.ReadFrom(&io.LimitedReader{R: r, N: min(filePiece, left-n)})
		n += m
		if m > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			err = nil
		}
		if err := w.wrote(m, err); err != nil || m == 0 {
			return n, err
		}
	}
	return n, nil
}

// copy passes on through memory what the kernel cannot send.
func (w *ResponseWriter) copy(r io.Reader, left int64) (n int64, err error) {
	if w.buf == nil {
		w.buf = make([]byte, piece)
	}
	for n < left {
		m, err := r.Read(w.buf[:min(int64(len(w.buf)), left-n)])
		if m > 0 {
			k, err := w.Write(w.buf[:m])
			n += int64(k)
			if err != nil {
				return n, err
			}
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, w.wrote(0, err)
		}
	}
	return n, nil
}

func (w *ResponseWriter) wrote(n int64, err error) error {
	if !w.head {
		w.bytes += n
	}
	if w.failed == nil {
		w.failed = err
	}
	return err
}

// renew starts a new write deadline. A writer without deadlines (HTTP in memory)
// has nothing to renew.
func (w *ResponseWriter) renew() {
	_ = w.control.SetWriteDeadline(time.Now().Add(w.stall))
}
