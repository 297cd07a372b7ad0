package registry

import (
	"context"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
)

const describeReplication = "ecr:DescribeImageReplicationStatus"

// ReplicationStatus is meta's, so that the faces need not import it.
type ReplicationStatus = meta.ReplicationStatus

// ReplicationStatus tells how far the copies of an image to other registries are, by
// destination: none where no rule took it when it was pushed.
// Action: ecr:DescribeImageReplicationStatus.
// Errors: errs.Denied, Unauthenticated, NameInvalid, RepoUnknown, ManifestUnknown,
// errs.ParamInvalid for an ID of neither tag nor digest.
func (r *Registry) ReplicationStatus(ctx context.Context, c iam.Caller, repo string, id ImageID) ([]ReplicationStatus, error) {
	row, err := r.described(ctx, c, describeReplication, repo)
	if err != nil {
		return nil, err
	}
	if id.Tag == "" && id.Digest == "" {
		return nil, errs.New(errs.ParamInvalid, "Invalid request parameters: both tag and digest cannot be null")
	}
	m, err := r.namedAs(ctx, row.Name, repo, id)
	if err != nil {
		return nil, err
	}
	return r.db.ReplicationStatuses(ctx, row.Name, m.Digest)
}
