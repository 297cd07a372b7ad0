package ociapi

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/httpx"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/registry"
)

// minChunk is the least that parts of an upload are asked to have, in bytes: each is
// synced and noted. Shorter ones are taken too.
const minChunk = 64 << 10

// pusher is what this face asks of the registry for pushes and deletions.
type pusher interface {
	Mount(ctx context.Context, c iam.Caller, repo, from string, d digest.Digest) (bool, error)
	StartUpload(ctx context.Context, c iam.Caller, repo string, algorithm digest.Algorithm) (registry.Upload, error)
	Upload(ctx context.Context, c iam.Caller, repo, id string) (registry.Upload, error)
	AppendUpload(ctx context.Context, c iam.Caller, repo, id string, p registry.Part) (registry.Upload, error)
	FinishUpload(ctx context.Context, c iam.Caller, repo, id string, d digest.Digest, p registry.Part) (registry.Upload, error)
	CancelUpload(ctx context.Context, c iam.Caller, repo, id string) error
	PutManifest(ctx context.Context, c iam.Caller, repo string, p registry.ManifestPush) (registry.Pushed, error)
	DeleteManifest(ctx context.Context, c iam.Caller, repo string, ref oci.Reference) error
	DeleteBlob(ctx context.Context, c iam.Caller, repo string, d digest.Digest) error
}

// upload answers for an upload: POST begins one, with an ID the others go on.
func (f *face) upload(w *httpx.ResponseWriter, r *http.Request, c iam.Caller, req Request) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return errs.Wrap(errs.ParamInvalid, err, "the query is malformed")
	}
	w.Reference = req.Upload
	switch r.Method {
	case http.MethodPost:
		return f.startUpload(w, r, c, req, query)
	case http.MethodPatch:
		return f.appendUpload(w, r, c, req)
	case http.MethodPut:
		return f.finishUpload(w, r, c, req, query)
	case http.MethodDelete:
		w.Action = iam.UploadLayerPart
		if err := f.reg.CancelUpload(r.Context(), c, req.Repository, req.Upload); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	w.Action = iam.UploadLayerPart
	u, err := f.reg.Upload(r.Context(), c, req.Repository, req.Upload)
	if err != nil {
		return err
	}
	uploadHeader(w, r, u)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// startUpload begins an upload, if neither a mount nor a body makes it needless.
func (f *face) startUpload(w *httpx.ResponseWriter, r *http.Request, c iam.Caller, req Request, query url.Values) error {
	ctx := r.Context()
	w.Action = iam.InitiateLayerUpload
	if query.Has("mount") {
		d, err := oci.ParseDigest(query.Get("mount"))
		if err != nil {
			return err
		}
		w.Reference = string(d)
		if mounted, err := f.reg.Mount(ctx, c, req.Repository, query.Get("from"), d); err != nil || mounted {
			return created(w, r, err, d)
		}
	}
	var d digest.Digest
	if query.Has("digest") {
		var err error
		if d, err = oci.ParseDigest(query.Get("digest")); err != nil {
			return err
		}
	}
	algorithm := digest.Algorithm(query.Get("digest-algorithm"))
	if d != "" {
		algorithm = d.Algorithm()
	}
	u, err := f.reg.StartUpload(ctx, c, req.Repository, algorithm)
	if err != nil {
		return err
	}
	w.Reference = u.ID
	if d != "" {
		if _, err = f.reg.FinishUpload(ctx, c, req.Repository, u.ID, d, registry.Part{Body: w.Body(), Start: -1, Length: r.ContentLength}); err != nil {
			// The client knows no name of it. What cannot be forgotten now is when it
			// has been idle for long enough.
			_ = f.reg.CancelUpload(context.WithoutCancel(ctx), c, req.Repository, u.ID)
		}
		return created(w, r, err, d)
	}
	uploadHeader(w, r, u)
	h := w.Header()
	h.Set("Oci-Chunk-Min-Length", strconv.Itoa(minChunk))
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (f *face) appendUpload(w *httpx.ResponseWriter, r *http.Request, c iam.Caller, req Request) error {
	w.Action = iam.UploadLayerPart
	p, err := part(w, r)
	if err != nil {
		return err
	}
	u, err := f.reg.AppendUpload(r.Context(), c, req.Repository, req.Upload, p)
	uploadHeader(w, r, u)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (f *face) finishUpload(w *httpx.ResponseWriter, r *http.Request, c iam.Caller, req Request, query url.Values) error {
	w.Action = iam.CompleteLayerUpload
	d, err := oci.ParseDigest(query.Get("digest"))
	if err != nil {
		return err
	}
	p, err := part(w, r)
	if err != nil {
		return err
	}
	u, err := f.reg.FinishUpload(r.Context(), c, req.Repository, req.Upload, d, p)
	if err != nil {
		uploadHeader(w, r, u)
	}
	return created(w, r, err, d)
}

// part is the part of a blob that a request brings.
func part(w *httpx.ResponseWriter, r *http.Request) (registry.Part, error) {
	p := registry.Part{Body: w.Body(), Start: -1, Length: r.ContentLength}
	header := r.Header.Get("Content-Range")
	if header == "" {
		return p, nil
	}
	// The distribution specification has first-last, HTTP has bytes first-last/total.
	s := strings.TrimPrefix(strings.TrimPrefix(header, "bytes "), "bytes=")
	s, _, _ = strings.Cut(s, "/")
	first, last, ok := strings.Cut(s, "-")
	start, err1 := strconv.ParseUint(first, 10, 62)
	end, err2 := strconv.ParseUint(last, 10, 62)
	if !ok || err1 != nil || err2 != nil || end < start {
		return p, errs.New(errs.RangeInvalid, "Content-Range %q is malformed: first-last is wanted, such as 0-1048575", header)
	}
	p.Start, p.End = int64(start), int64(end)
	return p, nil
}

// uploadHeader says how an upload is gone on with.
func uploadHeader(w *httpx.ResponseWriter, r *http.Request, u registry.Upload) {
	if u.ID == "" {
		return
	}
	h := w.Header()
	h.Set("Location", under(r, "/blobs/uploads")+u.ID)
	h.Set("Docker-Upload-Uuid", u.ID)
	h.Set("Range", "0-"+strconv.FormatInt(max(u.Size-1, 0), 10))
}

// under returns the path of the request's repository, by the name that the client has
// for it, with an endpoint of it.
func under(r *http.Request, endpoint string) string {
	path := r.URL.EscapedPath()
	return path[:strings.LastIndex(path, endpoint)] + endpoint + "/"
}

// created says where a blob is that came to be there, if there is no error.
func created(w *httpx.ResponseWriter, r *http.Request, err error, d digest.Digest) error {
	if err != nil {
		return err
	}
	w.Reference = string(d)
	h := w.Header()
	h.Set("Location", under(r, "/blobs")+string(d))
	h.Set("Docker-Content-Digest", string(d))
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusCreated)
	return nil
}

// putManifest stores the body as a manifest.
func (f *face) putManifest(w *httpx.ResponseWriter, r *http.Request, c iam.Caller, req Request) error {
	w.Action = iam.PutImage
	p, err := pushOf(r, req)
	if err != nil {
		return err
	}
	if p.Raw, err = document(w, r); err != nil {
		return err
	}
	pushed, err := f.reg.PutManifest(r.Context(), c, req.Repository, p)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Location", under(r, "/manifests")+string(pushed.Digest))
	h.Set("Docker-Content-Digest", string(pushed.Digest))
	if pushed.Subject != "" {
		h.Set("Oci-Subject", string(pushed.Subject))
	}
	for _, tag := range p.Tags {
		h.Add("Oci-Tag", tag)
	}
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusCreated)
	return nil
}

// pushOf is what a request says of the manifest that it brings.
func pushOf(r *http.Request, req Request) (p registry.ManifestPush, err error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return p, errs.Wrap(errs.ParamInvalid, err, "the query is malformed")
	}
	p = registry.ManifestPush{Reference: req.Reference, ContentType: r.Header.Get("Content-Type"), Tags: query["tag"]}
	for _, tag := range p.Tags {
		if _, err := oci.ParseTag(tag); err != nil {
			return p, err
		}
	}
	if query.Has("digest") {
		if p.Digest, err = oci.ParseDigest(query.Get("digest")); err != nil {
			return p, err
		}
	}
	switch p.Algorithm = digest.Algorithm(query.Get("digest-algorithm")); p.Algorithm {
	case "", digest.SHA256, digest.SHA512:
		return p, nil
	}
	return p, errs.New(errs.DigestInvalid, "digest algorithm %q is not supported: sha256 and sha512 are", p.Algorithm)
}

// document reads a body that may be as long as a manifest.
func document(w *httpx.ResponseWriter, r *http.Request) ([]byte, error) {
	tooLarge := errs.New(errs.ManifestTooLarge, "the manifest is larger than %d bytes", oci.MaxManifestSize)
	if r.ContentLength > oci.MaxManifestSize {
		return nil, tooLarge
	}
	body := w.Body()
	if body == nil {
		return nil, errs.New(errs.ManifestInvalid, "the request has no body, which the manifest is")
	}
	raw, err := io.ReadAll(io.LimitReader(body, oci.MaxManifestSize+1))
	switch {
	case err != nil:
		return nil, errs.Wrap(errs.SizeInvalid, err, "the body broke off after %d bytes", len(raw))
	case len(raw) > oci.MaxManifestSize:
		return nil, tooLarge
	}
	return raw, nil
}

// remove deletes a tag, a manifest or a blob.
func (f *face) remove(w *httpx.ResponseWriter, r *http.Request, c iam.Caller, req Request) error {
	w.Action = iam.BatchDeleteImage
	var err error
	if req.Digest != "" {
		err = f.reg.DeleteBlob(r.Context(), c, req.Repository, req.Digest)
	} else {
		err = f.reg.DeleteManifest(r.Context(), c, req.Repository, req.Reference)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusAccepted)
	return nil
}
