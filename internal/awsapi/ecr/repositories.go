package ecr

import (
	"context"
	"encoding/json"
	"regexp"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/registry"
	"github.com/weir-registry/weir/internal/rule"
)

// tagFailures are the names that failures with resource tags have.
var tagFailures = map[errs.Code]string{
	errs.TagInvalid:    "InvalidTagParameterException",
	errs.LimitExceeded: "TooManyTagsException",
}

// MarshalJSON keeps a value that is empty, which every tag has.
func (t Tag) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct{ Key, Value string }{t.Key, t.Value})
}

func resourceTags(tags []Tag) (all []rule.ResourceTag) {
	if tags != nil {
		all = []rule.ResourceTag{}
	}
	for _, t := range tags {
		all = append(all, rule.ResourceTag{Key: t.Key, Value: t.Value})
	}
	return all
}

func tagsOf(tags []rule.ResourceTag) (all []Tag) {
	for _, t := range tags {
		all = append(all, Tag{Key: t.Key, Value: t.Value})
	}
	return all
}

func exclusions(filters []ImageTagMutabilityExclusionFilter) (all []string) {
	if filters != nil {
		all = []string{}
	}
	for _, f := range filters {
		all = append(all, f.Filter)
	}
	return all
}

func filtersOf(exclusions []string) (all []ImageTagMutabilityExclusionFilter) {
	for _, f := range exclusions {
		all = append(all, ImageTagMutabilityExclusionFilter{Filter: f, FilterType: "WILDCARD"})
	}
	return all
}

// repository has what Terraform takes for drift where it is left out.
func (s *service) repository(r registry.Repository) *Repository {
	return &Repository{
		RepositoryArn:                      r.ARN,
		RegistryId:                         s.id,
		RepositoryName:                     r.Name,
		RepositoryUri:                      s.host + "/" + r.Name,
		CreatedAt:                          awsapi.Time{Time: r.Created},
		ImageTagMutability:                 r.Mutability,
		ImageTagMutabilityExclusionFilters: filtersOf(r.Exclusions),
		ImageScanningConfiguration:         &ImageScanningConfiguration{ScanOnPush: new(r.ScanOnPush)},
		EncryptionConfiguration:            &EncryptionConfiguration{EncryptionType: "AES256"},
	}
}

func (s *service) createRepository(ctx context.Context, c *awsapi.Call, in CreateRepositoryRequest) (*CreateRepositoryResponse, error) {
	c.About(in.RepositoryName, "")
	if err := s.ours(in.RegistryId); err != nil {
		return nil, err
	}
	if e := in.EncryptionConfiguration; e != nil && e.EncryptionType != "AES256" {
		return nil, errs.New(errs.Unsupported, "weir has no keys of a KMS: leave encryptionConfiguration out, or set encryptionType to AES256. Nothing was changed.")
	}
	r, err := s.images.CreateRepository(ctx, c.Caller, registry.NewRepository{
		Name:       in.RepositoryName,
		Mutability: in.ImageTagMutability,
		Exclusions: exclusions(in.ImageTagMutabilityExclusionFilters),
		Tags:       resourceTags(in.Tags),
		ScanOnPush: scanOnPush(in.ImageScanningConfiguration),
	})
	if err != nil {
		return nil, err
	}
	return &CreateRepositoryResponse{Repository: s.repository(r)}, nil
}

func (s *service) deleteRepository(ctx context.Context, c *awsapi.Call, in DeleteRepositoryRequest) (*DeleteRepositoryResponse, error) {
	c.About(in.RepositoryName, "")
	if err := s.elsewhere(in.RepositoryName, in.RegistryId); err != nil {
		return nil, err
	}
	r, err := s.images.DeleteRepository(ctx, c.Caller, in.RepositoryName, in.Force != nil && *in.Force)
	if err != nil {
		return nil, err
	}
	return &DeleteRepositoryResponse{Repository: s.repository(r)}, nil
}

func (s *service) putMutability(ctx context.Context, c *awsapi.Call, in PutImageTagMutabilityRequest) (*PutImageTagMutabilityResponse, error) {
	c.About(in.RepositoryName, "")
	if err := s.elsewhere(in.RepositoryName, in.RegistryId); err != nil {
		return nil, err
	}
	r, err := s.images.PutImageTagMutability(ctx, c.Caller, in.RepositoryName, in.ImageTagMutability, exclusions(in.ImageTagMutabilityExclusionFilters))
	if err != nil {
		return nil, err
	}
	return &PutImageTagMutabilityResponse{
		RegistryId:                         s.id,
		RepositoryName:                     r.Name,
		ImageTagMutability:                 r.Mutability,
		ImageTagMutabilityExclusionFilters: filtersOf(r.Exclusions),
	}, nil
}

// repositoryARN is the form of a repository's ARN.
var repositoryARN = regexp.MustCompile(`^arn:aws:ecr:([a-z0-9-]+):([0-9]{12}):repository/(.+)$`)

// named returns the repository that an ARN names.
func (s *service) named(c *awsapi.Call, arn string) (string, error) {
	parts := repositoryARN.FindStringSubmatch(arn)
	if parts == nil || parts[1] != s.region {
		return "", invalidARN()
	}
	c.About(parts[3], "")
	return parts[3], s.elsewhere(parts[3], parts[2])
}

func invalidARN() error {
	return errs.New(errs.ParamInvalid, "%s", problem("resourceArn", "Invalid ARN"))
}

// ofARN is an error about a repository that was named by its ARN.
func ofARN(err error) error {
	if errs.CodeOf(err) == errs.NameInvalid {
		return invalidARN()
	}
	return err
}

// listTags tells a repository's resource tags. Terraform asks for them with each look
// at a repository.
func (s *service) listTags(ctx context.Context, c *awsapi.Call, in ListTagsForResourceRequest) (*ListTagsForResourceResponse, error) {
	repo, err := s.named(c, in.ResourceArn)
	if err != nil {
		return nil, err
	}
	tags, err := s.images.ResourceTags(ctx, c.Caller, repo)
	return &ListTagsForResourceResponse{Tags: tagsOf(tags)}, ofARN(err)
}

func (s *service) tagResource(ctx context.Context, c *awsapi.Call, in TagResourceRequest) (*TagResourceResponse, error) {
	repo, err := s.named(c, in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return &TagResourceResponse{}, ofARN(s.images.TagResource(ctx, c.Caller, repo, resourceTags(in.Tags)))
}

func (s *service) untagResource(ctx context.Context, c *awsapi.Call, in UntagResourceRequest) (*UntagResourceResponse, error) {
	repo, err := s.named(c, in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return &UntagResourceResponse{}, ofARN(s.images.UntagResource(ctx, c.Caller, repo, in.TagKeys))
}

func (s *service) deleteImages(ctx context.Context, c *awsapi.Call, in BatchDeleteImageRequest) (*BatchDeleteImageResponse, error) {
	c.About(in.RepositoryName, in.ImageIds[0].ImageTag)
	if err := s.elsewhere(in.RepositoryName, in.RegistryId); err != nil {
		return nil, err
	}
	var ids []registry.ImageID
	for _, id := range in.ImageIds {
		ids = append(ids, registry.ImageID{Digest: digest.Digest(id.ImageDigest), Tag: id.ImageTag})
	}
	deleted, failures, err := s.images.DeleteImages(ctx, c.Caller, in.RepositoryName, ids)
	if err != nil {
		return nil, err
	}
	out := &BatchDeleteImageResponse{ImageIds: []ImageIdentifier{}, Failures: []ImageFailure{}}
	for _, id := range deleted {
		out.ImageIds = append(out.ImageIds, ImageIdentifier{ImageDigest: string(id.Digest), ImageTag: id.Tag})
	}
	for _, f := range failures {
		code, why := imageFailure(f.Err)
		out.Failures = append(out.Failures, ImageFailure{
			FailureCode: code, FailureReason: why, ImageId: &ImageIdentifier{ImageDigest: string(f.ID.Digest), ImageTag: f.ID.Tag},
		})
	}
	return out, nil
}
