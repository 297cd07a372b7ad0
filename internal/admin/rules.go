package admin

import (
	"context"

	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/rule"
)

// RuleInput is what a rule is created from, in ECR's words.
type RuleInput struct {
	Prefix         string // ecrRepositoryPrefix; a slash at its end does not count
	UpstreamURL    string // upstreamRegistryUrl: a bare host
	Upstream       string // upstreamRegistry: a kind of ECR's, or "": the host tells
	Credential     string // credentialArn; "": anonymous
	CustomRole     string // customRoleArn
	UpstreamPrefix string // upstreamRepositoryPrefix; "" is kept apart from ROOT, which means the same
}

// RuleSet returns the rules that hold now.
func (a *Admin) RuleSet() *rule.Set { return a.rules.Load() }

// CreateRule creates a pull through cache rule.
// Action: ecr:CreatePullThroughCacheRule; and secretsmanager:GetSecretValue of the
// credential where the upstream's host is the caller's choice, since the host gets it.
// Errors: errs.ParamInvalid, errs.UnsupportedUpstream, errs.SecretUnknown (the
// credential), errs.RuleExists, errs.LimitExceeded.
func (a *Admin) CreateRule(ctx context.Context, c iam.Caller, in RuleInput) (*rule.Rule, error) {
	return nil, notBuilt()
}

// Rules returns up to limit rules after the prefix after, in the order of their
// prefixes, and the prefix to go on after, "" at the end; a limit under 1 is none.
// With prefixes it returns exactly those, and after and limit do not count.
// Action: ecr:DescribePullThroughCacheRules. Errors: errs.RuleUnknown for a prefix
// among prefixes that has no rule.
func (a *Admin) Rules(ctx context.Context, c iam.Caller, prefixes []string, after string, limit int) (rules []*rule.Rule, next string, err error) {
	return nil, "", notBuilt()
}

// UpdateRule gives a rule another credential and role; "" takes them away.
// Action: ecr:UpdatePullThroughCacheRule, and as CreateRule's for the credential.
// Errors: errs.RuleUnknown, errs.SecretUnknown, errs.ParamInvalid,
// errs.UnsupportedUpstream (no credential where ECR wants one), errs.Conflict for a
// rule of the configuration.
func (a *Admin) UpdateRule(ctx context.Context, c iam.Caller, prefix, credential, customRole string) (*rule.Rule, error) {
	return nil, notBuilt()
}

// DeleteRule deletes a rule and returns it. Repositories stay.
// Action: ecr:DeletePullThroughCacheRule. Errors: errs.RuleUnknown, errs.Conflict for a
// rule of the configuration.
func (a *Admin) DeleteRule(ctx context.Context, c iam.Caller, prefix string) (*rule.Rule, error) {
	return nil, notBuilt()
}

// ValidateRule asks the rule's upstream, with the rule's credential. failure says what
// is wrong, in words for people; "" is valid.
// Action: ecr:ValidatePullThroughCacheRule. Errors: errs.RuleUnknown.
func (a *Admin) ValidateRule(ctx context.Context, c iam.Caller, prefix string) (r *rule.Rule, failure string, err error) {
	return nil, "", notBuilt()
}
