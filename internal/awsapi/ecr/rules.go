package ecr

import (
	"context"
	"strings"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/rule"
)

// ruleFailures are the names that failures have here and not in other services.
var ruleFailures = map[errs.Code]string{
	errs.SecretUnknown: "SecretNotFoundException",
	errs.Conflict:      "ValidationException", // the rule is the configuration's
}

func (s *service) createRule(ctx context.Context, c *awsapi.Call, in CreatePullThroughCacheRuleRequest) (*CreatePullThroughCacheRuleResponse, error) {
	if err := s.ours(in.RegistryId); err != nil {
		return nil, err
	}
	r, err := s.rules.CreateRule(ctx, c.Caller, admin.RuleInput{
		Prefix:         in.EcrRepositoryPrefix,
		UpstreamURL:    in.UpstreamRegistryUrl,
		Upstream:       in.UpstreamRegistry,
		Credential:     in.CredentialArn,
		CustomRole:     in.CustomRoleArn,
		UpstreamPrefix: in.UpstreamRepositoryPrefix,
	})
	if err != nil {
		return nil, err
	}
	return &CreatePullThroughCacheRuleResponse{
		EcrRepositoryPrefix:      r.Prefix,
		UpstreamRegistryUrl:      r.Upstream,
		CreatedAt:                awsapi.Time{Time: r.Created},
		RegistryId:               s.id,
		UpstreamRegistry:         upstreamRegistry(r),
		CredentialArn:            credentialARN(r),
		CustomRoleArn:            r.CustomRole,
		UpstreamRepositoryPrefix: r.UpstreamPrefix,
	}, nil
}

func (s *service) describeRules(ctx context.Context, c *awsapi.Call, in DescribePullThroughCacheRulesRequest) (*DescribePullThroughCacheRulesResponse, error) {
	const op = "DescribePullThroughCacheRules"
	if err := s.ours(in.RegistryId); err != nil {
		return nil, err
	}
	filter := in
	filter.NextToken, filter.MaxResults = "", nil
	after, limit, err := s.pageOf(op, filter, in.NextToken, in.MaxResults)
	if err == nil && len(in.EcrRepositoryPrefixes) > 0 {
		err = pagedNames("ecrRepositoryPrefixes", in.NextToken, in.MaxResults)
	}
	if err != nil {
		return nil, err
	}
	rules, next, err := s.rules.Rules(ctx, c.Caller, in.EcrRepositoryPrefixes, after, limit)
	if err != nil {
		return nil, err
	}
	out := &DescribePullThroughCacheRulesResponse{PullThroughCacheRules: []PullThroughCacheRule{}}
	for _, r := range rules {
		out.PullThroughCacheRules = append(out.PullThroughCacheRules, PullThroughCacheRule{
			EcrRepositoryPrefix:      r.Prefix,
			UpstreamRegistryUrl:      r.Upstream,
			CreatedAt:                awsapi.Time{Time: r.Created},
			UpdatedAt:                awsapi.Time{Time: r.Updated},
			RegistryId:               s.id,
			UpstreamRegistry:         upstreamRegistry(r),
			CredentialArn:            credentialARN(r),
			CustomRoleArn:            r.CustomRole,
			UpstreamRepositoryPrefix: r.UpstreamPrefix,
		})
	}
	out.NextToken, err = s.token(op, filter, next)
	return out, err
}

func (s *service) updateRule(ctx context.Context, c *awsapi.Call, in UpdatePullThroughCacheRuleRequest) (*UpdatePullThroughCacheRuleResponse, error) {
	if err := s.ours(in.RegistryId); err != nil {
		return nil, err
	}
	r, err := s.rules.UpdateRule(ctx, c.Caller, in.EcrRepositoryPrefix, in.CredentialArn, in.CustomRoleArn)
	if err != nil {
		return nil, err
	}
	return &UpdatePullThroughCacheRuleResponse{
		EcrRepositoryPrefix:      r.Prefix,
		RegistryId:               s.id,
		UpdatedAt:                awsapi.Time{Time: r.Updated},
		CredentialArn:            credentialARN(r),
		CustomRoleArn:            r.CustomRole,
		UpstreamRepositoryPrefix: r.UpstreamPrefix,
	}, nil
}

func (s *service) deleteRule(ctx context.Context, c *awsapi.Call, in DeletePullThroughCacheRuleRequest) (*DeletePullThroughCacheRuleResponse, error) {
	if err := s.ours(in.RegistryId); err != nil {
		return nil, err
	}
	r, err := s.rules.DeleteRule(ctx, c.Caller, in.EcrRepositoryPrefix)
	if err != nil {
		return nil, err
	}
	return &DeletePullThroughCacheRuleResponse{
		EcrRepositoryPrefix:      r.Prefix,
		UpstreamRegistryUrl:      r.Upstream,
		CreatedAt:                awsapi.Time{Time: r.Created},
		RegistryId:               s.id,
		CredentialArn:            credentialARN(r),
		CustomRoleArn:            r.CustomRole,
		UpstreamRepositoryPrefix: r.UpstreamPrefix,
	}, nil
}

func (s *service) validateRule(ctx context.Context, c *awsapi.Call, in ValidatePullThroughCacheRuleRequest) (*ValidatePullThroughCacheRuleResponse, error) {
	if err := s.ours(in.RegistryId); err != nil {
		return nil, err
	}
	r, failure, err := s.rules.ValidateRule(ctx, c.Caller, in.EcrRepositoryPrefix)
	if err != nil {
		return nil, err
	}
	return &ValidatePullThroughCacheRuleResponse{
		EcrRepositoryPrefix:      r.Prefix,
		RegistryId:               s.id,
		UpstreamRegistryUrl:      r.Upstream,
		CredentialArn:            credentialARN(r),
		CustomRoleArn:            r.CustomRole,
		UpstreamRepositoryPrefix: r.UpstreamPrefix,
		IsValid:                  new(failure == ""),
		Failure:                  failure,
	}, nil
}

// upstreamRegistry is a rule's upstream in ECR's enum, which has no word for others
// than its own.
func upstreamRegistry(r *rule.Rule) string {
	if r.Kind == rule.Generic {
		return ""
	}
	return string(r.Kind)
}

// credentialARN is a rule's secret. A credential of the configuration has no ARN.
func credentialARN(r *rule.Rule) string {
	if strings.HasPrefix(r.Credential, "arn:") {
		return r.Credential
	}
	return ""
}
