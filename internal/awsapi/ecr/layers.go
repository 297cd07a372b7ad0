package ecr

import (
	"bytes"
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/registry"
)

// partSize is how long parts of a layer are asked to be, in bytes: the longest that
// UploadLayerPart takes.
const partSize = 20 << 20

// layerFailures are the names that failures have where a layer is to be downloaded.
var layerFailures = map[errs.Code]string{
	errs.Conflict:            "LayerInaccessibleException",
	errs.UpstreamUnreachable: unfetchable,
	errs.UpstreamTimeout:     unfetchable,
	errs.UpstreamFailed:      unfetchable,
	errs.UpstreamDenied:      unfetchable,
	errs.UpstreamRateLimited: unfetchable,
}

// uploadFailures are the names that failures with uploads have. While another request
// writes to one, as the first try of a part does whose client gave it up, a client is to
// come again: SDKs do that by themselves.
var uploadFailures = map[errs.Code]string{errs.UploadInvalid: "ThrottlingException"}

const unfetchable = "UnableToGetUpstreamLayerException"

// downloadURL has a layer at hand, a rule's on its way in, and tells where it is.
func (s *service) downloadURL(ctx context.Context, c *awsapi.Call, in GetDownloadUrlForLayerRequest) (*GetDownloadUrlForLayerResponse, error) {
	c.About(in.RepositoryName, in.LayerDigest)
	if err := s.elsewhere(in.RepositoryName, in.RegistryId); err != nil {
		return nil, err
	}
	d := digest.Digest(in.LayerDigest)
	if err := s.images.FetchLayer(ctx, c.Caller, in.RepositoryName, d); err != nil {
		return nil, err
	}
	url, err := s.tokens.DownloadURL(c.Caller, c.Base(), in.RepositoryName, d)
	return &GetDownloadUrlForLayerResponse{DownloadUrl: url, LayerDigest: in.LayerDigest}, err
}

func (s *service) initiateUpload(ctx context.Context, c *awsapi.Call, in InitiateLayerUploadRequest) (*InitiateLayerUploadResponse, error) {
	c.About(in.RepositoryName, "")
	if err := s.elsewhere(in.RepositoryName, in.RegistryId); err != nil {
		return nil, err
	}
	u, err := s.images.StartUpload(ctx, c.Caller, in.RepositoryName, "")
	c.About(in.RepositoryName, u.ID)
	return &InitiateLayerUploadResponse{UploadId: u.ID, PartSize: new(int64(partSize))}, err
}

func (s *service) uploadPart(ctx context.Context, c *awsapi.Call, in UploadLayerPartRequest, l *lifted) (*UploadLayerPartResponse, error) {
	c.About(in.RepositoryName, in.UploadId)
	if err := s.elsewhere(in.RepositoryName, in.RegistryId); err != nil {
		return nil, err
	}
	u, err := s.images.AppendLayerPart(ctx, c.Caller, in.RepositoryName, in.UploadId, registry.Part{
		Body: bytes.NewReader(l.data), Start: *in.PartFirstByte, End: *in.PartLastByte, Length: int64(len(l.data)),
	})
	switch errs.CodeOf(err) {
	case errs.RangeInvalid, errs.SizeInvalid:
		members := map[string]any{"registryId": s.id, "repositoryName": in.RepositoryName, "uploadId": in.UploadId}
		if u.Size > 0 { // else there is no last byte
			members["lastValidByteReceived"] = u.Size - 1
		}
		return nil, awsapi.With(err, "InvalidLayerPartException", members)
	}
	return &UploadLayerPartResponse{
		RegistryId: s.id, RepositoryName: in.RepositoryName, UploadId: in.UploadId, LastByteReceived: in.PartLastByte,
	}, err
}

func (s *service) completeUpload(ctx context.Context, c *awsapi.Call, in CompleteLayerUploadRequest) (*CompleteLayerUploadResponse, error) {
	c.About(in.RepositoryName, in.UploadId)
	if err := s.elsewhere(in.RepositoryName, in.RegistryId); err != nil {
		return nil, err
	}
	if len(in.LayerDigests) > 1 {
		return nil, errs.New(errs.ParamInvalid, "%s", problem("layerDigests", "A layer is completed by one digest here"))
	}
	d := in.LayerDigests[0]
	err := s.images.FinishLayer(ctx, c.Caller, in.RepositoryName, in.UploadId, digest.Digest(d))
	return &CompleteLayerUploadResponse{
		RegistryId: s.id, RepositoryName: in.RepositoryName, UploadId: in.UploadId, LayerDigest: d,
	}, err
}

func (s *service) checkLayers(ctx context.Context, c *awsapi.Call, in BatchCheckLayerAvailabilityRequest) (*BatchCheckLayerAvailabilityResponse, error) {
	c.About(in.RepositoryName, "")
	if err := s.elsewhere(in.RepositoryName, in.RegistryId); err != nil {
		return nil, err
	}
	layers, err := s.images.Layers(ctx, c.Caller, in.RepositoryName, in.LayerDigests)
	if err != nil {
		return nil, err
	}
	out := &BatchCheckLayerAvailabilityResponse{Layers: []Layer{}, Failures: []LayerFailure{}}
	for i, l := range layers {
		switch d := in.LayerDigests[i]; {
		case d == "":
			out.Failures = append(out.Failures, LayerFailure{FailureCode: "MissingLayerDigest", FailureReason: "Invalid request parameters: layer digest cannot be null"})
		case l == nil:
			out.Failures = append(out.Failures, LayerFailure{LayerDigest: d, FailureCode: "InvalidLayerDigest", FailureReason: "Invalid request parameters: layer digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"})
		case l.Linked && l.Held && l.Archived:
			out.Layers = append(out.Layers, Layer{LayerDigest: d, LayerAvailability: "ARCHIVED", LayerSize: new(l.Size), MediaType: l.MediaType})
		case l.Linked && l.Held:
			out.Layers = append(out.Layers, Layer{LayerDigest: d, LayerAvailability: "AVAILABLE", LayerSize: new(l.Size), MediaType: l.MediaType})
		default:
			out.Layers = append(out.Layers, Layer{LayerDigest: d, LayerAvailability: "UNAVAILABLE"})
		}
	}
	return out, nil
}
