package ecr

import (
	"context"

	"github.com/weir-registry/weir/internal/awsapi"
)

func (s *service) updateStorageClass(ctx context.Context, c *awsapi.Call, in UpdateImageStorageClassRequest) (*UpdateImageStorageClassResponse, error) {
	id, err := s.imageID(c, in.RepositoryName, in.RegistryId, in.ImageId)
	if err != nil {
		return nil, err
	}
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
