package upstream

import (
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
)

func (r *Registry) askManifest(ctx context.Context, method, repo string, ref oci.Reference) (*http.Response, *asked, error) {
	sep := ":"
	if ref.Digest != "" {
		sep = "@"
	}
	q := &asked{
		method: method, repo: repo,
		path:    repo + "/manifests/" + ref.String(),
		header:  r.header(strings.Join(oci.Accept, ", ")),
		what:    "manifest " + repo + sep + ref.String(),
		missing: errs.ManifestUnknown,
	}
	res, err := r.ask(ctx, q)
	return res, q, err
}

// Head asks what ref is, without its bytes. The digest is "" where the upstream does
// not say, the size -1. A HEAD that the upstream does not do (405, 501) is
// errs.Unsupported; for the other errors see Registry.
func (r *Registry) Head(ctx context.Context, repo string, ref oci.Reference) (oci.Descriptor, error) {
	res, q, err := r.askManifest(ctx, http.MethodHead, repo, ref)
	if err != nil {
		return oci.Descriptor{}, err
	}
	res.Body.Close()
	d, err := r.contentDigest(q, res)
	if err != nil {
		return oci.Descriptor{}, err
	}
	return oci.Descriptor{MediaType: res.Header.Get("Content-Type"), Digest: d, Size: res.ContentLength}, nil
}

// digestHeader is what registries say a digest in.
const digestHeader = "Docker-Content-Digest"

// contentDigest returns what the upstream says the digest is, "" if it does not.
func (r *Registry) contentDigest(q *asked, res *http.Response) (digest.Digest, error) {
	said := res.Header.Get(digestHeader)
	if said == "" {
		return "", nil
	}
	d, err := oci.ParseDigest(said)
	if err != nil {
		return "", r.fail(q, res.Request.URL.Host, errs.UpstreamFailed, err, "its "+digestHeader+" is not a digest that weir knows")
	}
	return d, nil
}

// Manifest returns the manifest of ref. Its bytes have the digest that was asked for,
// or that the upstream names, else its digest is their sha256. One over
// oci.MaxManifestSize, or what is no manifest, is errs.UpstreamFailed; for the other
// errors see Registry.
func (r *Registry) Manifest(ctx context.Context, repo string, ref oci.Reference) (*oci.Manifest, error) {
	res, q, err := r.askManifest(ctx, http.MethodGet, repo, ref)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	at := res.Request.URL.Host
	raw, err := r.readManifest(ctx, q, res)
	if err != nil {
		return nil, err
	}
	want := ref.Digest
	if want == "" {
		if want, err = r.contentDigest(q, res); err != nil {
			return nil, err
		}
	}
	if want == "" {
		want = digest.FromBytes(raw)
	}
	h := oci.NewHash(want)
	h.Write(raw)
	if !oci.SumIs(h, want) {
		return nil, r.fail(q, at, errs.UpstreamFailed, nil, "sent %d bytes that do not have the digest %s", len(raw), want)
	}
	mediaType, err := oci.ManifestType(res.Header.Get("Content-Type"), raw)
	if err != nil {
		return nil, r.fail(q, at, errs.UpstreamFailed, err, "sent no manifest: %s", errs.As(err).Msg)
	}
	return &oci.Manifest{
		Descriptor: oci.Descriptor{MediaType: mediaType, Digest: want, Size: int64(len(raw))},
		Raw:        raw,
	}, nil
}

func (r *Registry) readManifest(ctx context.Context, q *asked, res *http.Response) ([]byte, error) {
	at := res.Request.URL.Host
	if res.ContentLength > oci.MaxManifestSize {
		return nil, r.fail(q, at, errs.UpstreamFailed, nil, "%d bytes are more than a manifest may have (%d)", res.ContentLength, oci.MaxManifestSize)
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, oci.MaxManifestSize+1))
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, r.ended(ctx, q)
	case err != nil:
		return nil, r.fail(q, at, errs.UpstreamUnreachable, err, "broke off after %d bytes", len(raw))
	case len(raw) > oci.MaxManifestSize:
		return nil, r.fail(q, at, errs.UpstreamFailed, nil, "more bytes than a manifest may have (%d)", oci.MaxManifestSize)
	}
	return raw, nil
}
