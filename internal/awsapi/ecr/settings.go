package ecr

import (
	"context"

	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/errs"
)

// exclusionFailures are the names that failures have where an exclusion is to go.
var exclusionFailures = map[errs.Code]string{errs.SettingUnknown: "ExclusionNotFoundException"}

func (s *service) getAccountSetting(ctx context.Context, c *awsapi.Call, in GetAccountSettingRequest) (*GetAccountSettingResponse, error) {
	value, err := s.rules.AccountSetting(ctx, c.Caller, in.Name)
	if err != nil {
		return nil, err
	}
	return &GetAccountSettingResponse{Name: in.Name, Value: value}, nil
}

func (s *service) putAccountSetting(ctx context.Context, c *awsapi.Call, in PutAccountSettingRequest) (*PutAccountSettingResponse, error) {
	if err := s.rules.PutAccountSetting(ctx, c.Caller, in.Name, in.Value); err != nil {
		return nil, err
	}
	return &PutAccountSettingResponse{Name: in.Name, Value: in.Value}, nil
}

func (s *service) registerExclusion(ctx context.Context, c *awsapi.Call, in RegisterPullTimeUpdateExclusionRequest) (*RegisterPullTimeUpdateExclusionResponse, error) {
	created, err := s.rules.RegisterExclusion(ctx, c.Caller, in.PrincipalArn)
	if err != nil {
		return nil, err
	}
	return &RegisterPullTimeUpdateExclusionResponse{PrincipalArn: in.PrincipalArn, CreatedAt: awsapi.Time{Time: created}}, nil
}

func (s *service) deregisterExclusion(ctx context.Context, c *awsapi.Call, in DeregisterPullTimeUpdateExclusionRequest) (*DeregisterPullTimeUpdateExclusionResponse, error) {
	if err := s.rules.DeregisterExclusion(ctx, c.Caller, in.PrincipalArn); err != nil {
		return nil, err
	}
	return &DeregisterPullTimeUpdateExclusionResponse{PrincipalArn: in.PrincipalArn}, nil
}

func (s *service) listExclusions(ctx context.Context, c *awsapi.Call, in ListPullTimeUpdateExclusionsRequest) (*ListPullTimeUpdateExclusionsResponse, error) {
	const op = "ListPullTimeUpdateExclusions"
	filter := in
	filter.NextToken, filter.MaxResults = "", nil
	after, limit, err := s.pageOf(op, filter, in.NextToken, in.MaxResults)
	if err != nil {
		return nil, err
	}
	arns, next, err := s.rules.Exclusions(ctx, c.Caller, after, limit)
	if err != nil {
		return nil, err
	}
	out := &ListPullTimeUpdateExclusionsResponse{PullTimeUpdateExclusions: arns}
	if arns == nil {
		out.PullTimeUpdateExclusions = []string{}
	}
	out.NextToken, err = s.token(op, filter, next)
	return out, err
}
