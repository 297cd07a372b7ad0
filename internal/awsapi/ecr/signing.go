package ecr

import (
	"context"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/awsapi"
)

func signingConfiguration(rules []admin.SigningRule) *SigningConfiguration {
	out := &SigningConfiguration{Rules: []SigningRule{}}
	for _, r := range rules {
		one := SigningRule{SigningProfileArn: r.Profile}
		for _, f := range r.Filters {
			one.RepositoryFilters = append(one.RepositoryFilters, SigningRepositoryFilter{Filter: f, FilterType: "WILDCARD_MATCH"})
		}
		out.Rules = append(out.Rules, one)
	}
	return out
}

func (s *service) putSigning(ctx context.Context, c *awsapi.Call, in PutSigningConfigurationRequest) (*PutSigningConfigurationResponse, error) {
	rules := []admin.SigningRule{}
	for _, r := range in.SigningConfiguration.Rules {
		one := admin.SigningRule{Profile: r.SigningProfileArn}
		for _, f := range r.RepositoryFilters {
			one.Filters = append(one.Filters, f.Filter)
		}
		rules = append(rules, one)
	}
	if err := s.rules.PutSigning(ctx, c.Caller, rules); err != nil {
		return nil, err
	}
	return &PutSigningConfigurationResponse{SigningConfiguration: signingConfiguration(rules)}, nil
}

func (s *service) getSigning(ctx context.Context, c *awsapi.Call, _ GetSigningConfigurationRequest) (*GetSigningConfigurationResponse, error) {
	rules, err := s.rules.Signing(ctx, c.Caller)
	if err != nil {
		return nil, err
	}
	return &GetSigningConfigurationResponse{RegistryId: s.id, SigningConfiguration: signingConfiguration(rules)}, nil
}

func (s *service) deleteSigning(ctx context.Context, c *awsapi.Call, _ DeleteSigningConfigurationRequest) (*DeleteSigningConfigurationResponse, error) {
	rules, err := s.rules.DeleteSigning(ctx, c.Caller)
	if err != nil {
		return nil, err
	}
	return &DeleteSigningConfigurationResponse{RegistryId: s.id, SigningConfiguration: signingConfiguration(rules)}, nil
}

// describeSigning tells of no signature: nothing was ever to be made here.
func (s *service) describeSigning(ctx context.Context, c *awsapi.Call, in DescribeImageSigningStatusRequest) (*DescribeImageSigningStatusResponse, error) {
	id, err := s.imageID(c, in.RepositoryName, in.RegistryId, in.ImageId)
	if err == nil {
		id, err = s.images.Signed(ctx, c.Caller, in.RepositoryName, id)
	}
	if err != nil {
		return nil, err
	}
	return &DescribeImageSigningStatusResponse{RegistryId: s.id, RepositoryName: in.RepositoryName, ImageId: identifier(id), SigningStatuses: []ImageSigningStatus{}}, nil
}
