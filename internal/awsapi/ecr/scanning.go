package ecr

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/registry"
	"github.com/weir-registry/weir/internal/rule"
)

// scanFailures are the names that failures have where a scan is to start.
var scanFailures = map[errs.Code]string{errs.Unsupported: "UnsupportedImageTypeException"}

func scanOnPush(c *ImageScanningConfiguration) bool {
	return c != nil && c.ScanOnPush != nil && *c.ScanOnPush
}

func scanFilters(filters []string) []ScanningRepositoryFilter {
	all := []ScanningRepositoryFilter{}
	for _, f := range filters {
		all = append(all, ScanningRepositoryFilter{Filter: f, FilterType: "WILDCARD"})
	}
	return all
}

func scanning(s rule.Scanning) *RegistryScanningConfiguration {
	out := &RegistryScanningConfiguration{ScanType: s.Type, Rules: []RegistryScanningRule{}}
	for _, r := range s.Rules {
		out.Rules = append(out.Rules, RegistryScanningRule{ScanFrequency: r.Frequency, RepositoryFilters: scanFilters(r.Filters)})
	}
	return out
}

func (s *service) putScanning(ctx context.Context, c *awsapi.Call, in PutRegistryScanningConfigurationRequest) (*PutRegistryScanningConfigurationResponse, error) {
	want := rule.Scanning{Type: in.ScanType}
	for _, r := range in.Rules {
		one := rule.ScanningRule{Frequency: r.ScanFrequency}
		for _, f := range r.RepositoryFilters {
			one.Filters = append(one.Filters, f.Filter)
		}
		want.Rules = append(want.Rules, one)
	}
	now, err := s.rules.PutScanning(ctx, c.Caller, want)
	if err != nil {
		return nil, err
	}
	return &PutRegistryScanningConfigurationResponse{RegistryScanningConfiguration: scanning(now)}, nil
}

func (s *service) getScanning(ctx context.Context, c *awsapi.Call, _ GetRegistryScanningConfigurationRequest) (*GetRegistryScanningConfigurationResponse, error) {
	now, err := s.rules.Scanning(ctx, c.Caller)
	if err != nil {
		return nil, err
	}
	return &GetRegistryScanningConfigurationResponse{RegistryId: s.id, ScanningConfiguration: scanning(now)}, nil
}

func (s *service) putScanOnPush(ctx context.Context, c *awsapi.Call, in PutImageScanningConfigurationRequest) (*PutImageScanningConfigurationResponse, error) {
	c.About(in.RepositoryName, "")
	if err := s.elsewhere(in.RepositoryName, in.RegistryId); err != nil {
		return nil, err
	}
	r, err := s.images.PutScanOnPush(ctx, c.Caller, in.RepositoryName, scanOnPush(in.ImageScanningConfiguration))
	if err != nil {
		return nil, err
	}
	return &PutImageScanningConfigurationResponse{
		RegistryId: s.id, RepositoryName: r.Name, ImageScanningConfiguration: &ImageScanningConfiguration{ScanOnPush: new(r.ScanOnPush)},
	}, nil
}

func (s *service) getScannings(ctx context.Context, c *awsapi.Call, in BatchGetRepositoryScanningConfigurationRequest) (*BatchGetRepositoryScanningConfigurationResponse, error) {
	c.About(in.RepositoryNames[0], "")
	found, missing, err := s.images.Scannings(ctx, c.Caller, in.RepositoryNames)
	if err != nil {
		return nil, err
	}
	out := &BatchGetRepositoryScanningConfigurationResponse{
		ScanningConfigurations: []RepositoryScanningConfiguration{}, Failures: []RepositoryScanningConfigurationFailure{},
	}
	for _, f := range found {
		out.ScanningConfigurations = append(out.ScanningConfigurations, RepositoryScanningConfiguration{
			RepositoryName: f.Name, RepositoryArn: f.ARN, ScanOnPush: new(f.OnPush), ScanFrequency: f.Frequency, AppliedScanFilters: scanFilters(f.Filters),
		})
	}
	for _, name := range missing {
		out.Failures = append(out.Failures, RepositoryScanningConfigurationFailure{
			RepositoryName: name, FailureCode: "REPOSITORY_NOT_FOUND",
			FailureReason: "The repository with name '" + name + "' does not exist in the registry with id '" + s.id + "'",
		})
	}
	return out, nil
}

// imageID is the one image that an operation is about.
func (s *service) imageID(c *awsapi.Call, repo, registryID string, id *ImageIdentifier) (registry.ImageID, error) {
	c.About(repo, id.ImageTag)
	if err := s.elsewhere(repo, registryID); err != nil {
		return registry.ImageID{}, err
	}
	if err := checkImageID(*id); err != nil {
		return registry.ImageID{}, err
	}
	return registry.ImageID{Digest: digest.Digest(id.ImageDigest), Tag: id.ImageTag}, nil
}

func (s *service) startScan(ctx context.Context, c *awsapi.Call, in StartImageScanRequest) (*StartImageScanResponse, error) {
	id, err := s.imageID(c, in.RepositoryName, in.RegistryId, in.ImageId)
	if err == nil {
		id, err = s.images.StartScan(ctx, c.Caller, in.RepositoryName, id)
	}
	if err != nil {
		return nil, err
	}
	return &StartImageScanResponse{RegistryId: s.id, RepositoryName: in.RepositoryName, ImageId: identifier(id)}, nil
}

func (s *service) describeFindings(ctx context.Context, c *awsapi.Call, in DescribeImageScanFindingsRequest) (*DescribeImageScanFindingsResponse, error) {
	filter := in
	filter.NextToken, filter.MaxResults = "", nil
	if _, _, err := s.pageOf("DescribeImageScanFindings", filter, in.NextToken, in.MaxResults); err != nil {
		return nil, err
	}
	id, err := s.imageID(c, in.RepositoryName, in.RegistryId, in.ImageId)
	if err == nil {
		id, err = s.images.Scanned(ctx, c.Caller, in.RepositoryName, id)
	}
	if err != nil {
		return nil, err
	}
	return &DescribeImageScanFindingsResponse{RegistryId: s.id, RepositoryName: in.RepositoryName, ImageId: identifier(id)}, nil
}

func identifier(id registry.ImageID) *ImageIdentifier {
	return &ImageIdentifier{ImageDigest: string(id.Digest), ImageTag: id.Tag}
}
