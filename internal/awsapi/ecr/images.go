package ecr

import (
	"context"
	"encoding/json"
	"slices"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/registry"
)

// pushFailures are the names that failures have where an image is put.
var pushFailures = map[errs.Code]string{errs.DigestMismatch: "ImageDigestDoesNotMatchException"}

// putImage stores a manifest, whose bytes are what its text is in UTF-8.
func (s *service) putImage(ctx context.Context, c *awsapi.Call, in PutImageRequest, l *lifted) (*PutImageResponse, error) {
	c.About(in.RepositoryName, in.ImageTag)
	if err := s.elsewhere(in.RepositoryName, in.RegistryId); err != nil {
		return nil, err
	}
	push := registry.ManifestPush{
		Digest: digest.Digest(in.ImageDigest), ContentType: in.ImageManifestMediaType, Raw: []byte(l.value), Strict: true,
	}
	if in.ImageDigest != "" {
		if _, err := oci.ParseDigest(in.ImageDigest); err != nil {
			return nil, err
		}
	}
	if in.ImageTag != "" {
		var err error
		if push.Reference.Tag, err = oci.ParseTag(in.ImageTag); err != nil {
			return nil, err
		}
	}
	var m struct {
		MediaType string `json:"mediaType"`
	}
	// What is not JSON is refused below, in words.
	if json.Unmarshal(push.Raw, &m) == nil && m.MediaType == "" && in.ImageManifestMediaType == "" {
		return nil, errs.New(errs.ParamInvalid, "%s", problem("imageManifestMediaType", "Member must not be null where the manifest has no mediaType"))
	}
	pushed, err := s.images.PutManifest(ctx, c.Caller, in.RepositoryName, push)
	if err != nil {
		return nil, err
	}
	return &PutImageResponse{Image: &Image{
		RegistryId: s.id, RepositoryName: in.RepositoryName, ImageManifest: l.value, ImageManifestMediaType: pushed.MediaType,
		ImageId: &ImageIdentifier{ImageDigest: string(pushed.Digest), ImageTag: in.ImageTag},
	}}, nil
}

// getImages pulls images, a rule's also from its upstream.
func (s *service) getImages(ctx context.Context, c *awsapi.Call, in BatchGetImageRequest) (*BatchGetImageResponse, error) {
	c.About(in.RepositoryName, in.ImageIds[0].ImageTag)
	if err := s.elsewhere(in.RepositoryName, in.RegistryId); err != nil {
		return nil, err
	}
	var ids []registry.ImageID
	for _, id := range in.ImageIds {
		id := registry.ImageID{Digest: digest.Digest(id.ImageDigest), Tag: id.ImageTag}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	images, err := s.images.FetchImages(ctx, c.Caller, in.RepositoryName, ids, s.fetch)
	if err != nil {
		return nil, err
	}
	out := &BatchGetImageResponse{Images: []Image{}, Failures: []ImageFailure{}}
	for _, i := range images {
		code, why := "", ""
		switch {
		case i.Err != nil:
			code, why = imageFailure(i.Err)
		case in.AcceptedMediaTypes != nil && !slices.Contains(in.AcceptedMediaTypes, i.MediaType):
			code, why = "ImageNotFound", "The image has media type "+i.MediaType+", which acceptedMediaTypes has not"
		case !utf8.Valid(i.Raw):
			code, why = "ImageInaccessible", "The manifest is not UTF-8, which this API cannot tell; pull it at /v2/"
		default:
			out.Images = append(out.Images, Image{
				RegistryId: s.id, RepositoryName: in.RepositoryName, ImageManifest: string(i.Raw), ImageManifestMediaType: i.MediaType,
				ImageId: &ImageIdentifier{ImageDigest: string(i.Digest), ImageTag: i.ID.Tag},
			})
			continue
		}
		out.Failures = append(out.Failures, ImageFailure{
			FailureCode: code, FailureReason: why, ImageId: &ImageIdentifier{ImageDigest: string(i.ID.Digest), ImageTag: i.ID.Tag},
		})
	}
	return out, nil
}

// imageFailure is a failure with one image, in ECR's words.
func imageFailure(err error) (code, reason string) {
	switch errs.CodeOf(err) {
	case errs.ParamInvalid:
		return "MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null"
	case errs.DigestInvalid:
		return "InvalidImageDigest", "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"
	case errs.TagInvalid:
		return "InvalidImageTag", errs.As(err).Msg
	case errs.Conflict:
		return "ImageTagDoesNotMatchDigest", errs.As(err).Msg
	case errs.ImageReferenced:
		return "ImageReferencedByManifestList", errs.As(err).Msg
	case errs.ImageArchived:
		return "ImageInaccessible", errs.As(err).Msg
	case errs.UpstreamDenied:
		return "UpstreamAccessDenied", errs.As(err).Msg
	case errs.UpstreamRateLimited, errs.RateLimited:
		return "UpstreamTooManyRequests", errs.As(err).Msg
	case errs.UpstreamUnreachable, errs.UpstreamTimeout, errs.UpstreamFailed:
		return "UpstreamUnavailable", errs.As(err).Msg
	}
	return "ImageNotFound", "Requested image not found"
}
