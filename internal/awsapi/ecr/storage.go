package ecr

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/registry"
)

func (s *service) updateStorageClass(ctx context.Context, c *awsapi.Call, in UpdateImageStorageClassRequest) (*UpdateImageStorageClassResponse, error) {
	c.About(in.RepositoryName, in.ImageId.ImageTag+in.ImageId.ImageDigest)
	if err := s.elsewhere(in.RepositoryName, in.RegistryId); err != nil {
		return nil, err
	}
	id := registry.ImageID{Digest: digest.Digest(in.ImageId.ImageDigest), Tag: in.ImageId.ImageTag}
	m, err := s.images.SetArchived(ctx, c.Caller, in.RepositoryName, id, in.TargetStorageClass == archiveClass)
	if err != nil {
		return nil, err
	}
	return &UpdateImageStorageClassResponse{
		RegistryId:     s.id,
		RepositoryName: in.RepositoryName,
		ImageId:        &ImageIdentifier{ImageDigest: string(m.Digest), ImageTag: in.ImageId.ImageTag},
		ImageStatus:    imageStatus(m.Archived),
	}, nil
}
