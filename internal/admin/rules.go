package admin

import (
	"context"
	"errors"
	"slices"
	"sort"
	"strings"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/rule"
)

// maxRules is how many rules ECR's registries have at most.
const maxRules = 50

// CreateRule creates a pull through cache rule.
// Action: ecr:CreatePullThroughCacheRule; and secretsmanager:GetSecretValue of the
// credential where the upstream's host is the caller's choice, since the host gets it.
// Errors: errs.ParamInvalid, errs.UnsupportedUpstream, errs.SecretUnknown (the
// credential), errs.RuleExists, errs.LimitExceeded.
func (a *Admin) CreateRule(ctx context.Context, c iam.Caller, in RuleInput) (*rule.Rule, error) {
	if err := a.may(ctx, c, "ecr:CreatePullThroughCacheRule"); err != nil {
		return nil, err
	}
	if in.Prefix == "" {
		return nil, a.checkPrefix("ecrRepositoryPrefix", "")
	}
	r, err := a.ruleToBe(ctx, c, in)
	if err != nil {
		return nil, err
	}
	err = a.changeRule(ctx, r.Prefix, func(old *rule.Rule, n int) (*rule.Rule, error) {
		if old != nil {
			return nil, a.ruleExists(old)
		}
		if err := a.oneMore(n); err != nil {
			return nil, err
		}
		r.Created = a.now()
		r.Updated = r.Created
		return r, nil
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (a *Admin) ruleExists(old *rule.Rule) error {
	managed := ""
	if old.Declared {
		managed = " It is managed by configuration."
	}
	return errs.New(errs.RuleExists, "A pull through cache rule with the prefix '%s' already exists for the private registry with id '%s'.%s", old.Prefix, a.o.ID, managed)
}

// oneMore says whether there may be another rule beside n.
func (a *Admin) oneMore(n int) error {
	if a.o.Strict && n >= maxRules {
		return errs.New(errs.LimitExceeded, "The private registry with id '%s' has %d pull through cache rules, which is the most that there may be.", a.o.ID, n)
	}
	return nil
}

// Rules returns up to limit rules after the prefix after, in the order of their
// prefixes, and the prefix to go on after, "" at the end; a limit under 1 is none.
// With prefixes it returns exactly those, and after and limit do not count.
// Action: ecr:DescribePullThroughCacheRules. Errors: errs.RuleUnknown for a prefix
// among prefixes that has no rule.
func (a *Admin) Rules(ctx context.Context, c iam.Caller, prefixes []string, after string, limit int) (rules []*rule.Rule, nextAfter string, err error) {
	if err := a.may(ctx, c, "ecr:DescribePullThroughCacheRules"); err != nil {
		return nil, "", err
	}
	all := a.RuleSet().Rules()
	if len(prefixes) == 0 {
		from := sort.Search(len(all), func(i int) bool { return all[i].Prefix > after })
		rules, nextAfter = next(all[from:], limit, func(r *rule.Rule) string { return r.Prefix })
		return rules, nextAfter, nil
	}
	for _, p := range prefixes {
		r, err := a.rule(p)
		if err != nil {
			return nil, "", err
		}
		if !slices.Contains(rules, r) {
			rules = append(rules, r)
		}
	}
	return rules, "", nil
}

// UpdateRule gives a rule another credential and role; "" takes them away.
// Action: ecr:UpdatePullThroughCacheRule, and as CreateRule's for the credential.
// Errors: errs.RuleUnknown, errs.SecretUnknown, errs.ParamInvalid,
// errs.UnsupportedUpstream (no credential where ECR wants one), errs.Conflict for a
// rule of the configuration.
func (a *Admin) UpdateRule(ctx context.Context, c iam.Caller, prefix, credential, customRole string) (*rule.Rule, error) {
	if err := a.may(ctx, c, "ecr:UpdatePullThroughCacheRule"); err != nil {
		return nil, err
	}
	r, err := a.changeable(prefix)
	if err != nil {
		return nil, err
	}
	updated := *r
	if err := a.setCredential(ctx, c, &updated, credential, customRole); err != nil {
		return nil, err
	}
	err = a.changeRule(ctx, r.Prefix, func(old *rule.Rule, _ int) (*rule.Rule, error) {
		if old == nil {
			return nil, a.noRule(r.Prefix)
		}
		if old.Declared {
			return nil, managedByConfiguration(old)
		}
		// What the caller may do was decided for the upstream that was there.
		if old.Upstream != r.Upstream || old.Kind != r.Kind {
			return nil, errs.New(errs.Conflict, "The pull through cache rule with the prefix '%s' was created anew at the same time. Try again.", r.Prefix)
		}
		old.Credential, old.CustomRole, old.Updated = updated.Credential, updated.CustomRole, a.now()
		updated = *old
		return old, nil
	})
	if err != nil {
		return nil, err
	}
	return &updated, nil
}

// DeleteRule deletes a rule and returns it. Repositories stay.
// Action: ecr:DeletePullThroughCacheRule. Errors: errs.RuleUnknown, errs.Conflict for a
// rule of the configuration.
func (a *Admin) DeleteRule(ctx context.Context, c iam.Caller, prefix string) (*rule.Rule, error) {
	if err := a.may(ctx, c, "ecr:DeletePullThroughCacheRule"); err != nil {
		return nil, err
	}
	r, err := a.changeable(prefix)
	if err != nil {
		return nil, err
	}
	deleted := r
	err = a.changeRule(ctx, r.Prefix, func(old *rule.Rule, _ int) (*rule.Rule, error) {
		if old == nil {
			return nil, a.noRule(r.Prefix)
		}
		if old.Declared {
			return nil, managedByConfiguration(old)
		}
		deleted = old
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	return deleted, nil
}

// Successor returns the rule that takes the names of the rule with a prefix once that is
// deleted: a built-in one, or one of a shorter prefix; nil if there is none.
// Action: ecr:DescribePullThroughCacheRules. Errors: errs.RuleUnknown.
func (a *Admin) Successor(ctx context.Context, c iam.Caller, prefix string) (*rule.Rule, error) {
	if err := a.may(ctx, c, "ecr:DescribePullThroughCacheRules"); err != nil {
		return nil, err
	}
	gone, err := a.rule(prefix)
	if err != nil {
		return nil, err
	}
	var rest []rule.Rule
	for _, r := range a.RuleSet().Rules() {
		if r != gone {
			rest = append(rest, *r)
		}
	}
	for _, b := range a.o.Builtin {
		if bare(b.Prefix) == gone.Prefix && !a.builtin(gone) {
			rest = append(rest, b)
		}
	}
	set, _ := rule.NewSet(rest)
	name := "x"
	if gone.Prefix != rule.Root {
		name = gone.Prefix + "/x"
	}
	next, _ := set.Match(name)
	return next, nil
}

// ValidateRule asks the rule's upstream, with the rule's credential. failure says what
// is wrong, in words for people; "" is valid.
// Action: ecr:ValidatePullThroughCacheRule. Errors: errs.RuleUnknown.
func (a *Admin) ValidateRule(ctx context.Context, c iam.Caller, prefix string) (r *rule.Rule, failure string, err error) {
	if err := a.may(ctx, c, "ecr:ValidatePullThroughCacheRule"); err != nil {
		return nil, "", err
	}
	if r, err = a.rule(prefix); err != nil {
		return nil, "", err
	}
	v, err := a.validate(ctx, r)
	if err != nil {
		return nil, "", err
	}
	return r, v.Failure, nil
}

// rule returns the rule with a prefix, which may end with a slash.
func (a *Admin) rule(prefix string) (*rule.Rule, error) {
	prefix = bare(prefix)
	all := a.RuleSet().Rules()
	i, ok := sort.Find(len(all), func(i int) int { return strings.Compare(prefix, all[i].Prefix) })
	if !ok {
		return nil, a.noRule(prefix)
	}
	return all[i], nil
}

// changeable returns the rule with a prefix, if the API may change it.
func (a *Admin) changeable(prefix string) (*rule.Rule, error) {
	r, err := a.rule(prefix)
	if err == nil && r.Declared {
		return nil, managedByConfiguration(r)
	}
	return r, err
}

func (a *Admin) noRule(prefix string) error {
	return errs.New(errs.RuleUnknown, "The pull through cache rule with the prefix '%s' does not exist for the private registry with id '%s'.", prefix, a.o.ID)
}

func managedByConfiguration(r *rule.Rule) error {
	return errs.New(errs.Conflict, "The pull through cache rule with the prefix '%s' is managed by configuration: it is changed under rules in weir's configuration file.", r.Prefix)
}

// bare is a prefix without the slash that may end it.
func bare(prefix string) string {
	if prefix == rule.Root+"/" {
		return prefix
	}
	return strings.TrimSuffix(prefix, "/")
}

// changeRule changes a stored rule and publishes the rules, one call at a time.
func (a *Admin) changeRule(ctx context.Context, prefix string, f func(old *rule.Rule, n int) (*rule.Rule, error)) error {
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := a.o.DB.ChangeRule(ctx, prefix, f); err != nil {
		return err
	}
	// The change is durable: who asked for it may leave, the rest is to be told.
	return a.load(context.WithoutCancel(ctx))
}

// declare makes the declared rules what the configuration says, and loads all.
func (a *Admin) declare(ctx context.Context) error {
	set, problems := rule.NewSet(a.o.Declared) // fills in what is left out
	if err := errors.Join(problems...); err != nil {
		return err
	}
	declared := make([]rule.Rule, 0, len(a.o.Declared))
	for _, r := range set.Rules() {
		declared = append(declared, *r)
	}
	replaced, err := a.o.DB.DeclareRules(ctx, declared, a.now())
	if err != nil {
		return err
	}
	for _, prefix := range replaced {
		a.o.Logger.Warn("rule of the API replaced by the configuration", "prefix", prefix)
	}
	return a.load(ctx)
}

// load makes the stored rules those that hold, with the built-in ones where there is
// no other.
func (a *Admin) load(ctx context.Context) error {
	rules, err := a.o.DB.Rules(ctx)
	if err != nil {
		return err
	}
	for _, b := range a.o.Builtin {
		if slices.ContainsFunc(rules, func(r rule.Rule) bool { return r.Prefix == bare(b.Prefix) }) {
			continue
		}
		b.Declared = true
		rules = append(rules, b)
	}
	set, problems := rule.NewSet(rules)
	for _, err := range problems { // of a weir that took more than this one
		a.o.Logger.Error("stored rule does not hold", "err", err)
	}
	a.rules.Store(set)
	a.o.Changed(set)
	return nil
}
