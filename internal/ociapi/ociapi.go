// Package ociapi is the face for container clients: /v2/ of the OCI distribution
// specification 1.1, and Docker's catalog beside it.
//
// It understands a URL once (Parse), finds out who is asking, calls the registry,
// which decides, and writes the answer. It guarantees:
//   - HEAD has the header that GET has.
//   - A body that cannot be finished is broken off, never ended early.
//   - A client that needs to know the length before the end, HTTP/1.0's, gets none
//     of a blob whose length nobody knows before all of it is here.
//   - Answers are never for a browser to run: they carry nosniff, a sandbox and
//     attachment, and blobs are bytes whatever is in them.
//   - Nothing here asks an upstream for a login or a ping.
//   - A client that takes this registry for a mirror gets what is cached, and what
//     leads to no rule gets 404 without anybody being asked.
//
// Beside it are download URLs (NewDownloads), which let one blob go without a login.
//
// A login is an access key's ID and secret, or AWS and a registry token. Where the client's address has an
// anonymous grant, /v2/ answers 200 without one: docker asks only there, and
// would not go on without a login otherwise.
package ociapi

import (
	"context"
	"io"
	"log/slog"
	"net/http"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/auth"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/httpx"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/registry"
)

// puller is what this face asks of the registry: *registry.Registry as plane has it.
type puller interface {
	pusher
	lister
	Manifest(ctx context.Context, c iam.Caller, repo string, ref oci.Reference, pull bool) (*registry.Manifest, error)
	Blob(ctx context.Context, c iam.Caller, repo string, d digest.Digest) (content, error)
	StatBlob(ctx context.Context, c iam.Caller, repo string, d digest.Digest) (registry.BlobInfo, string, error)
}

// content is a blob that is open, held or arriving.
type content interface {
	Length() int64 // -1: not known yet
	From() (source registry.Source, upstream, rule string)
	WasKept() bool // before it was asked for
	WriteRange(ctx context.Context, w registry.Sink, start, end int64) error
	Verified(ctx context.Context) error
	Close() error
}

// plane is the registry with blobs as content.
type plane struct{ *registry.Registry }

func (p plane) Blob(ctx context.Context, c iam.Caller, repo string, d digest.Digest) (content, error) {
	b, err := p.Registry.Blob(ctx, c, repo, d)
	if err != nil {
		return nil, err
	}
	return open{b}, nil
}

type open struct{ *registry.Blob }

func (o open) Length() int64 { return o.Size }
func (o open) From() (source registry.Source, upstream, rule string) {
	return o.Source, o.Upstream, o.Rule
}
func (o open) WasKept() bool { return o.Kept }

// ReplicationHeader is what a registry sends with each request that copies an image here,
// its ID and region: then it needs the right to replicate, in place of those to push.
const ReplicationHeader = "X-Weir-Replication"

type face struct {
	reg   puller
	who   *auth.Auth
	names Names
}

// New returns the handler of /v2/. It must see URLs as they came: a mux that
// cleans paths before it would change what is asked. seen is httpx.Options.Seen.
func New(reg *registry.Registry, who *auth.Auth, names Names, log *slog.Logger, seen func(*httpx.ResponseWriter)) http.Handler {
	return newFace(plane{reg}, who, names, log, seen)
}

func newFace(reg puller, who *auth.Auth, names Names, log *slog.Logger, seen func(*httpx.ResponseWriter)) http.Handler {
	f := &face{reg, who, names}
	return httpx.New(httpx.Options{WriteError: writeError, Seen: seen, Logger: log}, f.serve)
}

func (f *face) serve(w *httpx.ResponseWriter, r *http.Request) error {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	harmless(w)
	c, err := f.caller(r)
	if err != nil {
		return err
	}
	w.Principal = c.Name
	req, err := Parse(r.Method, r.URL.EscapedPath())
	if err != nil {
		return err
	}
	w.Action, w.Repository = req.Kind.String(), req.Repository
	if w.Reference = req.Reference.String(); w.Reference == "" {
		w.Reference = string(req.Digest)
	}
	if err := f.place(r, &req); err != nil {
		return err
	}
	w.Repository = req.Repository
	return f.answer(w, r, c, req)
}

// harmless sets the header that every answer has.
func harmless(w *httpx.ResponseWriter) {
	h := w.Header()
	h.Set("X-Request-Id", w.ID())
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Content-Disposition", "attachment")
}

func (f *face) answer(w *httpx.ResponseWriter, r *http.Request, c iam.Caller, req Request) error {
	switch req.Kind {
	case Ping:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "2")
		_, err := io.WriteString(w, "{}")
		return err
	case Manifest:
		return f.manifest(w, r, c, req)
	case Blob:
		return f.blob(w, r, c, req)
	case Upload:
		return f.upload(w, r, c, req)
	case Push:
		return f.putManifest(w, r, c, req)
	case Delete:
		return f.remove(w, r, c, req)
	case TagList:
		return f.tags(w, r, c, req)
	case Referrers:
		return f.referrers(w, r, c, req)
	}
	return f.catalog(w, r, c, req)
}

// caller finds out who is asking, and in what circumstances. Errors:
// errs.Unauthenticated, RateLimited, and Denied for a token that is over.
func (f *face) caller(r *http.Request) (iam.Caller, error) {
	id, secret, basic := r.BasicAuth()
	given := len(r.Header.Values("Authorization")) > 0
	if given && !basic {
		return iam.Caller{}, errs.New(errs.Unauthenticated, "authentication required: log in with an access key's ID as user name and its secret as password, or as AWS with a registry token")
	}
	var c iam.Caller
	var err error
	if !given || id == "" && secret == "" { // some clients send an empty login for none
		var ok bool
		if c, ok = f.who.Anonymous(r); !ok {
			err = errs.New(errs.Unauthenticated, "authentication required")
		}
	} else {
		c, err = f.who.Basic(r.Context(), f.who.Address(r), id, secret)
	}
	if err != nil {
		return iam.Caller{}, err
	}
	c.Context = f.who.Context(r)
	c.Replicates = !c.Anonymous && r.Header.Get(ReplicationHeader) != ""
	return c, nil
}

func etag(d digest.Digest) string { return `"` + string(d) + `"` }
