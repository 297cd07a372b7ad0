package ecr

import (
	"context"

	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/errs"
)

// The names that failures have with policies of repositories, and with the registry's.
var (
	repositoryPolicyFailures = map[errs.Code]string{errs.PolicyUnknown: "RepositoryPolicyNotFoundException"}
	registryPolicyFailures   = map[errs.Code]string{errs.PolicyUnknown: "RegistryPolicyNotFoundException"}
)

func (s *service) setPolicy(ctx context.Context, c *awsapi.Call, in SetRepositoryPolicyRequest) (*SetRepositoryPolicyResponse, error) {
	c.About(in.RepositoryName, "")
	if err := s.elsewhere(in.RepositoryName, in.RegistryId); err != nil {
		return nil, err
	}
	p, err := s.images.SetRepositoryPolicy(ctx, c.Caller, in.RepositoryName, in.PolicyText, in.Force != nil && *in.Force)
	if err != nil {
		return nil, err
	}
	return &SetRepositoryPolicyResponse{RegistryId: s.id, RepositoryName: p.Repository, PolicyText: p.Text}, nil
}

func (s *service) getPolicy(ctx context.Context, c *awsapi.Call, in GetRepositoryPolicyRequest) (*GetRepositoryPolicyResponse, error) {
	c.About(in.RepositoryName, "")
	if err := s.elsewhere(in.RepositoryName, in.RegistryId); err != nil {
		return nil, err
	}
	p, err := s.images.RepositoryPolicy(ctx, c.Caller, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	return &GetRepositoryPolicyResponse{RegistryId: s.id, RepositoryName: p.Repository, PolicyText: p.Text}, nil
}

func (s *service) deletePolicy(ctx context.Context, c *awsapi.Call, in DeleteRepositoryPolicyRequest) (*DeleteRepositoryPolicyResponse, error) {
	c.About(in.RepositoryName, "")
	if err := s.elsewhere(in.RepositoryName, in.RegistryId); err != nil {
		return nil, err
	}
	p, err := s.images.DeleteRepositoryPolicy(ctx, c.Caller, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	return &DeleteRepositoryPolicyResponse{RegistryId: s.id, RepositoryName: p.Repository, PolicyText: p.Text}, nil
}

func (s *service) putRegistryPolicy(ctx context.Context, c *awsapi.Call, in PutRegistryPolicyRequest) (*PutRegistryPolicyResponse, error) {
	if err := s.images.PutRegistryPolicy(ctx, c.Caller, in.PolicyText); err != nil {
		return nil, err
	}
	return &PutRegistryPolicyResponse{RegistryId: s.id, PolicyText: in.PolicyText}, nil
}

func (s *service) getRegistryPolicy(ctx context.Context, c *awsapi.Call, _ GetRegistryPolicyRequest) (*GetRegistryPolicyResponse, error) {
	text, err := s.images.RegistryPolicy(ctx, c.Caller)
	if err != nil {
		return nil, err
	}
	return &GetRegistryPolicyResponse{RegistryId: s.id, PolicyText: text}, nil
}

func (s *service) deleteRegistryPolicy(ctx context.Context, c *awsapi.Call, _ DeleteRegistryPolicyRequest) (*DeleteRegistryPolicyResponse, error) {
	text, err := s.images.DeleteRegistryPolicy(ctx, c.Caller)
	if err != nil {
		return nil, err
	}
	return &DeleteRegistryPolicyResponse{RegistryId: s.id, PolicyText: text}, nil
}
