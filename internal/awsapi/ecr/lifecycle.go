package ecr

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/registry"
)

func (s *service) putLifecycle(ctx context.Context, c *awsapi.Call, in PutLifecyclePolicyRequest) (*PutLifecyclePolicyResponse, error) {
	c.About(in.RepositoryName, "")
	if err := s.elsewhere(in.RepositoryName, in.RegistryId); err != nil {
		return nil, err
	}
	p, err := s.images.PutLifecyclePolicy(ctx, c.Caller, in.RepositoryName, in.LifecyclePolicyText)
	if err != nil {
		return nil, err
	}
	return &PutLifecyclePolicyResponse{RegistryId: s.id, RepositoryName: p.Repository, LifecyclePolicyText: p.Text}, nil
}

func (s *service) getLifecycle(ctx context.Context, c *awsapi.Call, in GetLifecyclePolicyRequest) (*GetLifecyclePolicyResponse, error) {
	c.About(in.RepositoryName, "")
	if err := s.elsewhere(in.RepositoryName, in.RegistryId); err != nil {
		return nil, err
	}
	p, err := s.images.LifecyclePolicy(ctx, c.Caller, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	return &GetLifecyclePolicyResponse{
		RegistryId: s.id, RepositoryName: p.Repository, LifecyclePolicyText: p.Text, LastEvaluatedAt: awsapi.Time{Time: p.Evaluated},
	}, nil
}

func (s *service) deleteLifecycle(ctx context.Context, c *awsapi.Call, in DeleteLifecyclePolicyRequest) (*DeleteLifecyclePolicyResponse, error) {
	c.About(in.RepositoryName, "")
	if err := s.elsewhere(in.RepositoryName, in.RegistryId); err != nil {
		return nil, err
	}
	p, err := s.images.DeleteLifecyclePolicy(ctx, c.Caller, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	return &DeleteLifecyclePolicyResponse{
		RegistryId: s.id, RepositoryName: p.Repository, LifecyclePolicyText: p.Text, LastEvaluatedAt: awsapi.Time{Time: p.Evaluated},
	}, nil
}

func (s *service) startPreview(ctx context.Context, c *awsapi.Call, in StartLifecyclePolicyPreviewRequest) (*StartLifecyclePolicyPreviewResponse, error) {
	c.About(in.RepositoryName, "")
	if err := s.elsewhere(in.RepositoryName, in.RegistryId); err != nil {
		return nil, err
	}
	p, err := s.images.StartPreview(ctx, c.Caller, in.RepositoryName, in.LifecyclePolicyText)
	if err != nil {
		return nil, err
	}
	return &StartLifecyclePolicyPreviewResponse{
		RegistryId: s.id, RepositoryName: in.RepositoryName, LifecyclePolicyText: p.Text, Status: string(p.Status),
	}, nil
}

func (s *service) getPreview(ctx context.Context, c *awsapi.Call, in GetLifecyclePolicyPreviewRequest) (*GetLifecyclePolicyPreviewResponse, error) {
	const op = "GetLifecyclePolicyPreview"
	c.About(in.RepositoryName, "")
	filter := in
	filter.NextToken, filter.MaxResults = "", nil
	after, limit, err := s.pageOf(op, filter, in.NextToken, in.MaxResults)
	if err == nil {
		err = s.elsewhere(in.RepositoryName, in.RegistryId)
	}
	if err == nil && len(in.ImageIds) > 0 {
		err = pagedNames("imageIds", in.NextToken, in.MaxResults)
	}
	if err != nil {
		return nil, err
	}
	q := registry.PreviewQuery{After: digest.Digest(after), Limit: limit}
	for _, id := range in.ImageIds {
		q.IDs = append(q.IDs, registry.ImageID{Digest: digest.Digest(id.ImageDigest), Tag: id.ImageTag})
	}
	if in.Filter != nil {
		filtered, _ := which(in.Filter.TagStatus, "")
		q.Tagged = filtered.Tagged
	}
	p, results, next, err := s.images.Preview(ctx, c.Caller, in.RepositoryName, q)
	if err != nil {
		return nil, err
	}
	out := &GetLifecyclePolicyPreviewResponse{
		RegistryId: s.id, RepositoryName: in.RepositoryName, LifecyclePolicyText: p.Text, Status: string(p.Status),
		PreviewResults: []LifecyclePolicyPreviewResult{},
	}
	for _, r := range results {
		out.PreviewResults = append(out.PreviewResults, previewResult(r))
	}
	if p.Status == registry.PreviewComplete {
		out.Summary = &LifecyclePolicyPreviewSummary{
			ExpiringImageTotalCount:       new(int32(p.Expire)),
			TransitioningImageTotalCounts: []TransitioningImageTotalCount{},
		}
		if p.Archive > 0 {
			out.Summary.TransitioningImageTotalCounts = append(out.Summary.TransitioningImageTotalCounts,
				TransitioningImageTotalCount{TargetStorageClass: archiveClass, ImageTotalCount: new(int32(p.Archive))})
		}
	}
	out.NextToken, err = s.token(op, filter, string(next))
	return out, err
}

// What ECR calls the storage classes.
const (
	standardClass = "STANDARD"
	archiveClass  = "ARCHIVE"
)

// previewResult is one image of a preview, in ECR's words.
func previewResult(r registry.PreviewResult) LifecyclePolicyPreviewResult {
	out := LifecyclePolicyPreviewResult{
		ImageDigest: string(r.Digest), ImageTags: r.Tags, ImagePushedAt: awsapi.Time{Time: r.Pushed},
		AppliedRulePriority: new(int32(r.Priority)), StorageClass: standardClass,
		Action: &LifecyclePolicyRuleAction{Type: "EXPIRE"},
	}
	if r.Archived {
		out.StorageClass = archiveClass
	}
	if r.Action == registry.Transition {
		out.Action = &LifecyclePolicyRuleAction{Type: "TRANSITION", TargetStorageClass: archiveClass}
	}
	return out
}
