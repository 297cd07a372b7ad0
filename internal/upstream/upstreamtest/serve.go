package upstreamtest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
)

// ServeHTTP plays all three parts: the registry under /v2/, its realm at /token,
// /token/ and /jwt/auth, and the second host under /cdn/.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	entry, f := r.arrived(req)
	out := &answer{ResponseWriter: w, r: r, req: req, entry: entry, f: f}
	if f.before(out) {
		return
	}
	path := req.URL.Path
	switch {
	case path == "/token", path == "/token/", path == "/jwt/auth":
		r.serveToken(out, req)
	case strings.HasPrefix(path, "/cdn/"):
		if r.verifySigned(out, req) {
			repo, d, _ := split(strings.TrimPrefix(path, "/cdn/"), "/blobs/")
			r.serveBlob(out, req, repo, digest.Digest(d))
		}
	case strings.HasPrefix(path, "/v2/"):
		r.serveV2(out, req, strings.TrimPrefix(path, "/v2/"))
	default:
		http.NotFound(out, req)
	}
	out.finish()
}

func (r *Registry) serveV2(w *answer, req *http.Request, path string) {
	if path == "" {
		if r.allowed(w, req, "") {
			w.WriteHeader(http.StatusOK)
		}
		return
	}
	if r.servePush(w, req, path) {
		return
	}
	repo, ref, isManifest := split(path, "/manifests/")
	isList := false
	if !isManifest {
		if repo, ref, isList = splitList(path); !isList {
			repo, ref, _ = split(path, "/blobs/")
		}
	}
	if ref == "" {
		http.NotFound(w, req)
		return
	}
	if r.opts.Elsewhere != "" {
		http.Redirect(w, req, r.opts.Elsewhere+req.URL.RequestURI(), http.StatusTemporaryRedirect)
		return
	}
	if req.Method == http.MethodHead && r.is(HeadDenied) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if req.Method == http.MethodHead && r.is(HeadUnsupported) {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	if !r.allowed(w, req, repo) {
		return
	}
	switch {
	case isManifest:
		r.serveManifest(w, req, repo, ref)
	case isList:
		r.serveList(w, req, repo, ref)
	case !r.has(repo, ref):
		fail(w, http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry")
	case r.opts.Redirect && req.Method == http.MethodGet:
		http.Redirect(w, req, r.signed("/cdn/"+repo+"/blobs/"+ref), http.StatusTemporaryRedirect)
	default:
		r.serveBlob(w, req, repo, digest.Digest(ref))
	}
}

func (r *Registry) has(repo, ref string) bool {
	_, ok := r.blob(repo, digest.Digest(ref))
	return ok
}

func (r *Registry) serveManifest(w *answer, req *http.Request, repo, ref string) {
	m, ok := r.manifest(repo, ref)
	if !ok {
		fail(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
		return
	}
	w.Header().Set("Content-Type", m.MediaType)
	if !r.is(NoDigest) {
		w.Header().Set("Docker-Content-Digest", string(m.Digest))
	}
	r.body(w, req, m.Raw, http.StatusOK)
}

// serveBlob answers a blob or a range of it.
func (r *Registry) serveBlob(w *answer, req *http.Request, repo string, d digest.Digest) {
	b, ok := r.blob(repo, d)
	if !ok {
		fail(w, http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry")
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if !r.is(NoDigest) {
		w.Header().Set("Docker-Content-Digest", string(d))
	}
	asked := req.Header.Get("Range")
	if asked == "" || r.is(RangeIgnored) || w.f.IgnoreRange {
		r.body(w, req, b, http.StatusOK)
		return
	}
	total := int64(len(b))
	start, end, ok := parseRange(asked, total)
	if !ok || start > 0 && r.is(RangeUnavailable) {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", total))
		fail(w, http.StatusRequestedRangeNotSatisfiable, "RANGE_INVALID", "invalid range")
		return
	}
	said := total
	if w.f.Total > 0 {
		said = w.f.Total
	}
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, end-1, said))
	r.body(w, req, b[start:end], http.StatusPartialContent)
}

// body sends b in the form that quirks and faults give it.
func (r *Registry) body(w *answer, req *http.Request, b []byte, status int) {
	if r.is(Gzip) {
		var z bytes.Buffer
		zw := gzip.NewWriter(&z)
		zw.Write(b)
		zw.Close()
		b = z.Bytes()
		w.Header().Set("Content-Encoding", "gzip")
	}
	switch {
	case w.f.Length != 0:
		w.Header().Set("Content-Length", strconv.FormatInt(w.f.Length, 10))
	case !r.is(Chunked) && !w.f.NoLength && !w.f.Endless:
		w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	}
	w.WriteHeader(status)
	if req.Method == http.MethodHead {
		return
	}
	if r.is(Chunked) || w.f.NoLength {
		w.Flush()
	}
	if w.f.Corrupt && len(b) > 0 {
		b = bytes.Clone(b)
		b[len(b)-1] ^= 1
	}
	io.Copy(struct{ io.Writer }{w}, bytes.NewReader(b))
	for w.f.Endless {
		if _, err := w.Write(make([]byte, 32<<10)); err != nil {
			return
		}
	}
}

// split cuts at the last sep, for repositories may have any name.
func split(path, sep string) (repo, ref string, ok bool) {
	i := strings.LastIndex(path, sep)
	if i < 0 {
		return "", "", false
	}
	return path[:i], path[i+len(sep):], true
}

// parseRange reads "bytes=a-b" and "bytes=a-" as the half-open [start, end).
func parseRange(s string, total int64) (start, end int64, ok bool) {
	first, last, ok := strings.Cut(strings.TrimPrefix(s, "bytes="), "-")
	start, err := strconv.ParseInt(first, 10, 64)
	if !ok || err != nil || start >= total {
		return 0, 0, false
	}
	if last == "" {
		return start, total, true
	}
	n, err := strconv.ParseInt(last, 10, 64)
	return start, min(n+1, total), err == nil && n >= start
}

// fail answers as the distribution specification says.
func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]string{{"code": code, "message": message}}})
}
