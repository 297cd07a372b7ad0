package upstreamtest

import (
	"io"
	"net/http"
	"strings"
	"time"
)

// Fault breaks the answers to the requests that match it. Faults are tried in the
// order of Script; the first that matches a request and is not used up counts, alone.
type Fault struct {
	Method string // "": any
	Path   string // a part of the path, "": any
	Skip   int    // this many matching requests are answered as usual first
	Times  int    // then this many are broken; 0: all

	Delay time.Duration // before the answer
	Hang  bool          // no answer until Release, or until the client is gone

	Status int         // answer this instead
	Header http.Header // with, or beside the usual answer: these headers
	Body   string      // with Status: this body

	Cut   bool  // break the connection after At bytes of this answer's body
	Stall bool  // stop after At bytes of this answer's body until Release, or until the client is gone
	At    int64 // bytes

	IgnoreRange bool  // answer the whole blob with 200
	Total       int64 // say this total in Content-Range
	Length      int64 // say this Content-Length, whatever follows
	NoLength    bool  // chunked
	Endless     bool  // the right bytes, then zeros for ever, chunked
	Corrupt     bool  // the last byte is wrong
}

type fault struct {
	Fault
	seen int
}

// HTML is the fault of a captive portal: a page with status 200 for everything.
func HTML() Fault {
	return Fault{Status: http.StatusOK, Header: http.Header{"Content-Type": {"text/html"}}, Body: "<html><body>Please log in</body></html>"}
}

// Script replaces the faults.
func (r *Registry) Script(faults ...Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = nil
	for _, f := range faults {
		r.faults = append(r.faults, &fault{Fault: f})
	}
}

// Release lets all go on that hang or stall now; later ones stop again.
func (r *Registry) Release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.release)
	r.release = make(chan struct{})
}

// match finds the fault of a request, the zero Fault if none; r.mu is held.
func (r *Registry) match(req *http.Request) Fault {
	for _, f := range r.faults {
		if f.Method != "" && f.Method != req.Method || !strings.Contains(req.URL.Path, f.Path) {
			continue
		}
		if f.Times > 0 && f.seen >= f.Skip+f.Times {
			continue
		}
		f.seen++
		if f.seen > f.Skip {
			return f.Fault
		}
	}
	return Fault{}
}

// before does what comes before the usual answer; true if nothing is to follow.
func (f Fault) before(w *answer) bool {
	if f.Delay > 0 {
		t := time.NewTimer(f.Delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-w.req.Context().Done():
			leave()
		}
	}
	if f.Hang && !w.wait() {
		leave()
	}
	for k, v := range f.Header {
		w.Header()[k] = v
	}
	if f.Status == 0 {
		return false
	}
	w.WriteHeader(f.Status)
	io.WriteString(w, f.Body)
	return true
}

// leave ends a request whose client is gone without an answer: an empty one with status
// 200 could still overtake the client's own end.
func leave() { panic(http.ErrAbortHandler) }

// answer is the response writer that cuts, stalls and counts.
type answer struct {
	http.ResponseWriter
	r     *Registry
	req   *http.Request
	entry *Request
	f     Fault
	sent  int64
}

func (w *answer) WriteHeader(status int) {
	w.r.mu.Lock()
	w.entry.Status = status
	w.r.mu.Unlock()
	for k, v := range w.f.Header {
		w.Header()[k] = v
	}
	w.ResponseWriter.WriteHeader(status)
}

// Flush sends what is buffered.
func (w *answer) Flush() { w.ResponseWriter.(http.Flusher).Flush() }

// wait is false if the client is gone.
func (w *answer) wait() bool {
	w.r.mu.Lock()
	release := w.r.release
	w.r.mu.Unlock()
	select {
	case <-release:
		return true
	case <-w.req.Context().Done():
		return false
	}
}

func (w *answer) Write(p []byte) (int, error) {
	n := 0
	if (w.f.Cut || w.f.Stall) && w.sent <= w.f.At && w.sent+int64(len(p)) > w.f.At {
		k, err := w.write(p[:w.f.At-w.sent])
		n += k
		if err != nil {
			return n, err
		}
		w.stop()
		p = p[k:]
	}
	k, err := w.write(p)
	return n + k, err
}

func (w *answer) write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.sent += int64(n)
	w.r.mu.Lock()
	w.entry.Bytes += int64(n)
	w.r.mu.Unlock()
	return n, err
}

// stop is the place in the body where the fault strikes.
func (w *answer) stop() {
	w.Flush()
	if w.f.Cut || !w.wait() {
		panic(http.ErrAbortHandler)
	}
	w.f.Stall = false
}

// finish strikes where the fault lies at or behind the body's end.
func (w *answer) finish() {
	if w.f.Cut && w.sent <= w.f.At {
		panic(http.ErrAbortHandler)
	}
}
