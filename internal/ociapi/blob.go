package ociapi

import (
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strconv"

	"github.com/weir-registry/weir/internal/httpx"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/registry"
)

// blob answers GET and HEAD of a blob.
func (f *face) blob(w *httpx.ResponseWriter, r *http.Request, c iam.Caller, req Request) error {
	w.Action = iam.GetDownloadURLForLayer
	if req.Head || precondition(r, etag(req.Digest)) != 0 { // nothing need be fetched to answer
		return f.statBlob(w, r, c, req)
	}
	b, err := f.reg.Blob(r.Context(), c, req.Repository, req.Digest)
	if err != nil {
		return err
	}
	defer b.Close()
	source, upstream, rule := b.From()
	w.Content, w.Kept, w.Rule = true, b.WasKept(), rule
	blobHeader(w, r, req, source, upstream)
	size, err := length(r, b)
	if err != nil {
		return err
	}
	if size < 0 {
		w.WriteHeader(http.StatusOK)
		return b.WriteRange(r.Context(), w, 0, -1)
	}
	spans, err := wanted(r, etag(req.Digest), size)
	if err != nil {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", size))
		return err
	}
	if len(spans) > 1 {
		return writeParts(w, r, b, spans, size)
	}
	h := w.Header()
	if len(spans) == 0 {
		h.Set("Content-Length", strconv.FormatInt(size, 10))
		w.WriteHeader(http.StatusOK)
		return b.WriteRange(r.Context(), w, 0, -1)
	}
	s := spans[0]
	h.Set("Content-Range", s.of(size))
	h.Set("Content-Length", strconv.FormatInt(s.end-s.start, 10))
	w.WriteHeader(http.StatusPartialContent)
	return b.WriteRange(r.Context(), w, s.start, s.end)
}

// writeParts answers several ranges of a blob, held or arriving, in the order in
// which they were asked for. Its length is known before the first byte.
func writeParts(w *httpx.ResponseWriter, r *http.Request, b content, spans []span, size int64) error {
	h := w.Header()
	parts := multipart.NewWriter(w)
	sum := counter(0)
	dry := multipart.NewWriter(&sum)
	if err := dry.SetBoundary(parts.Boundary()); err != nil {
		return err
	}
	head := textproto.MIMEHeader{"Content-Type": h["Content-Type"]}
	for _, s := range spans {
		head.Set("Content-Range", s.of(size))
		if _, err := dry.CreatePart(head); err != nil {
			return err
		}
		sum += counter(s.end - s.start)
	}
	if err := dry.Close(); err != nil {
		return err
	}
	h.Set("Content-Type", "multipart/byteranges; boundary="+parts.Boundary())
	h.Set("Content-Length", strconv.FormatInt(int64(sum), 10))
	w.WriteHeader(http.StatusPartialContent)
	for _, s := range spans {
		head.Set("Content-Range", s.of(size))
		if _, err := parts.CreatePart(head); err != nil {
			return err
		}
		if err := b.WriteRange(r.Context(), w, s.start, s.end); err != nil {
			return err
		}
	}
	return parts.Close()
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// length returns the blob's length, -1 where the answer goes without. It waits
// for the whole blob where it must know: an HTTP/1.0 client takes the end of the
// connection for the end of the blob, and a range needs the length.
func length(r *http.Request, b content) (int64, error) {
	if n := b.Length(); n >= 0 || r.ProtoAtLeast(1, 1) && wholeRange(r.Header.Get("Range")) {
		return n, nil
	}
	if err := b.Verified(r.Context()); err != nil {
		return 0, err
	}
	return b.Length(), nil
}

func (f *face) statBlob(w *httpx.ResponseWriter, r *http.Request, c iam.Caller, req Request) error {
	info, upstream, err := f.reg.StatBlob(r.Context(), c, req.Repository, req.Digest)
	if err != nil {
		return err
	}
	if blobHeader(w, r, req, info.Source, upstream) {
		return nil
	}
	if info.Size >= 0 {
		w.Header().Set("Content-Length", strconv.FormatInt(info.Size, 10))
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// blobHeader sets what GET and HEAD have in common, and answers where a
// precondition does: it says whether it did.
func blobHeader(w *httpx.ResponseWriter, r *http.Request, req Request, source registry.Source, upstream string) bool {
	w.Cache, w.Upstream = string(source), upstream
	h := w.Header()
	h.Set("Docker-Content-Digest", string(req.Digest))
	h.Set("Etag", etag(req.Digest))
	h.Set("X-Weir-Cache", string(source))
	if settled(w, r, etag(req.Digest)) {
		return true
	}
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Type", "application/octet-stream")
	return false
}
