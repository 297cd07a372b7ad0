package ociapi

import (
	"log/slog"
	"net/http"
	"strings"

	"github.com/weir-registry/weir/internal/auth"
	"github.com/weir-registry/weir/internal/httpx"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/registry"
)

// NewDownloads returns the handler of download URLs, which auth signs: one blob of one
// repository without a login, answered as /v2/ answers it, and nothing else. seen is
// httpx.Options.Seen.
func NewDownloads(reg *registry.Registry, who *auth.Auth, log *slog.Logger, seen func(*httpx.ResponseWriter)) http.Handler {
	f := &face{reg: plane{reg}, who: who}
	return httpx.New(httpx.Options{WriteError: writeError, Seen: seen, Logger: log}, f.download)
}

// download answers for a download URL. A login that comes with it counts for nothing.
func (f *face) download(w *httpx.ResponseWriter, r *http.Request) error {
	harmless(w)
	req, err := parseDownload(r.Method, r.URL.EscapedPath())
	if err != nil {
		return err
	}
	w.Repository, w.Reference = req.Repository, string(req.Digest)
	c, err := f.who.Download(r, req.Repository, req.Digest)
	if err != nil {
		return err
	}
	w.Principal = c.Name
	return f.blob(w, r, c, req)
}

// parseDownload understands the path of a download URL. Errors: as Parse.
func parseDownload(method, escaped string) (req Request, err error) {
	rest, ok := strings.CutPrefix(escaped, auth.DownloadPath)
	if !ok {
		return req, noEndpoint()
	}
	parts, err := split(rest)
	if err != nil {
		return req, err
	}
	last := len(parts) - 1
	req.Kind = Blob
	if req.Repository, err = oci.ParseRepository(strings.Join(parts[:last], "/")); err != nil {
		return req, err
	}
	if req.Digest, err = oci.ParseDigest(parts[last]); err != nil {
		return req, err
	}
	return get(method, req)
}
