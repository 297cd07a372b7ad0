// Package httpx is what every face stands on: handlers that return errors, the one
// response writer, request IDs, the access line, and a server that drains.
//
// It guarantees:
//   - One log line for each request, whatever becomes of it, with an error's text
//     in it once and with no secret part of a URL.
//   - An answer that failed after its first byte is broken off, never ended as if
//     it were whole.
//   - A file on a plain connection leaves through sendfile.
//   - A client that takes no byte for Options.Stall, or sends none of a body that is
//     read by ResponseWriter.Body, loses its connection; one that is slow does not.
//
// It knows no wire format: what an error looks like is the face's WriteError.
package httpx

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"
)

// MaxBody is Options.MaxBody where it is not set.
const MaxBody = 1 << 20

// Handler answers a request. Returning an error before the first byte was written
// has the error answered; after it, the connection is broken off. A handler that answers
// a failure itself leaves it in ResponseWriter.Cause, for the access line.
type Handler func(w *ResponseWriter, r *http.Request) error

// Options of a handler.
type Options struct {
	// WriteError answers a request whose handler failed before its first byte.
	// Required. It must not send the text of an error without an errs.Code.
	WriteError func(w *ResponseWriter, r *http.Request, err error)

	// Seen is told of each request when its answer is over; nil: nobody is. It must
	// be quick and must not keep w.
	Seen func(w *ResponseWriter)

	Logger  *slog.Logger  // nil: slog.Default()
	MaxBody int64         // longest request body in bytes that is not read by Body; 0: 1 MiB
	Stall   time.Duration // how long a client may take or send nothing; 0: 30 s
}

type handler struct {
	Options
	serve Handler
}

// New returns h as an http.Handler.
func New(o Options, h Handler) http.Handler {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.MaxBody == 0 {
		o.MaxBody = MaxBody
	}
	if o.Stall == 0 {
		o.Stall = 30 * time.Second
	}
	return &handler{o, h}
}

// errGone is the end of a request whose client left before the answer began.
var errGone = errors.New("the client left")

// statusGone is what the log calls it; no client sees it.
const statusGone = 499

func (h *handler) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	start := time.Now()
	w := newResponseWriter(rw, r, h.Stall)
	if r.Body != nil && r.Body != http.NoBody {
		w.body = r.Body
		r.Body = http.MaxBytesReader(rw, r.Body, h.MaxBody)
		// A server without means for deadlines (an in-memory one) has none.
		_ = w.control.SetReadDeadline(start.Add(h.Stall))
	}
	err := h.run(w, r)
	abort := false
	switch {
	case err == nil:
		w.WriteHeader(http.StatusOK)
	case w.status != 0:
		abort = true
	case gone(r.Context()):
		err, abort = errGone, true
		w.status = statusGone
	default:
		h.WriteError(w, r, err)
		w.WriteHeader(http.StatusInternalServerError) // should it have written nothing
	}
	w.renew() // for what net/http still holds back
	if err == nil {
		err = w.Cause
	}
	h.log(w, r, time.Since(start), err, abort)
	if h.Seen != nil {
		h.Seen(w)
	}
	if abort {
		panic(http.ErrAbortHandler)
	}
}

// run calls the handler and turns a panic into an error.
func (h *handler) run(w *ResponseWriter, r *http.Request) (err error) {
	defer func() {
		switch v := recover(); v {
		case nil:
		case http.ErrAbortHandler:
			err = http.ErrAbortHandler
			if w.status == 0 {
				w.status = statusGone // nothing may be written any more
			}
		default:
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return h.serve(w, r)
}

// gone says whether the client has left: the server's own end has another cause.
func gone(ctx context.Context) bool {
	return errors.Is(context.Cause(ctx), context.Canceled)
}

// newID returns a random UUID: AWS's clients expect request IDs of this form.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
