package upstreamtest

import (
	"net/http"
	"strings"
)

// Request is one request that arrived, and what became of it.
type Request struct {
	Method, Host, Path string
	Query              string // of a list
	Range              string
	Auth               string // "token", "basic" or ""
	Scope              string // of a token request
	Header             http.Header
	Status             int   // 0 while there is no answer
	Bytes              int64 // of the answer's body, so far
}

// String is the method, the path with the query of a list, then whatever of scope, range and kind of
// authentication there is, with a space between: "GET /v2/a/blobs/sha256:... bytes=5- token".
func (q Request) String() string {
	parts := []string{q.Method, q.Path}
	if q.Query != "" {
		parts[1] += "?" + q.Query
	}
	for _, s := range []string{q.Scope, q.Range, q.Auth} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, " ")
}

// arrived logs a request and finds its fault.
func (r *Registry) arrived(req *http.Request) (*Request, Fault) {
	q := &Request{
		Method: req.Method, Host: req.Host, Path: req.URL.Path,
		Range:  req.Header.Get("Range"),
		Scope:  strings.Join(req.URL.Query()["scope"], " "),
		Header: req.Header.Clone(),
	}
	if _, _, list := splitList(req.URL.Path); list {
		q.Query = req.URL.RawQuery
	}
	switch scheme, _, _ := strings.Cut(req.Header.Get("Authorization"), " "); strings.ToLower(scheme) {
	case "bearer":
		q.Auth = "token"
	case "basic":
		q.Auth = "basic"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, q)
	return q, r.match(req)
}

// Log returns every request since the last Forget, in the order of arrival.
func (r *Registry) Log() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Request, len(r.log))
	for i, q := range r.log {
		all[i] = *q
	}
	return all
}

// Requests returns Log as lines; see Request.String.
func (r *Registry) Requests() []string {
	lines := []string{}
	for _, q := range r.Log() {
		lines = append(lines, q.String())
	}
	return lines
}

// Bytes returns the bytes of all answers' bodies since the last Forget.
func (r *Registry) Bytes() int64 {
	var n int64
	for _, q := range r.Log() {
		n += q.Bytes
	}
	return n
}

// Forget empties the log.
func (r *Registry) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = nil
}
