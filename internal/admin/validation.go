package admin

import (
	"context"
	"slices"
	"time"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/rule"
)

const (
	validateLimit  = 30 * time.Second // that asking an upstream takes, all in all
	maxValidations = 1000             // that are remembered
)

// Validation is what came of asking an upstream with a credential.
type Validation struct {
	At      time.Time // zero: it was not asked
	Failure string    // what is wrong, in words for people; "": nothing
	Away    bool      // the upstream gave no answer that tells, so another time it may
}

// validated is what a Validation is about: two rules may share one.
type validated struct {
	host, account string
	kind          rule.Kind
}

func ofRule(r *rule.Rule) validated { return validated{r.Upstream, r.Account(), r.Kind} }

// validate asks a rule's upstream, and remembers what came of it until the process ends or
// the credential's secret changes.
func (a *Admin) validate(ctx context.Context, r *rule.Rule) (Validation, error) {
	if a.o.Validate == nil {
		return Validation{}, errs.New(errs.Unsupported, "this weir does not ask upstreams")
	}
	within, cancel := context.WithTimeout(ctx, validateLimit)
	defer cancel()
	a.mu.Lock()
	changes := a.credentials
	a.mu.Unlock()
	v := Validation{At: a.now()}
	if err := a.o.Validate(within, r); err != nil {
		if ctx.Err() != nil {
			return Validation{}, context.Cause(ctx)
		}
		e := errs.As(err)
		if e == nil || e.Code == errs.Internal {
			return Validation{}, err
		}
		v.Failure = e.Msg
		switch e.Code {
		case errs.UpstreamUnreachable, errs.UpstreamTimeout, errs.UpstreamFailed, errs.UpstreamRateLimited:
			v.Away = true
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.credentials != changes {
		return v, nil // it may be about what was before
	}
	if _, ok := a.validations[ofRule(r)]; !ok && len(a.validations) >= maxValidations {
		clear(a.validations)
	}
	a.validations[ofRule(r)] = v
	return v, nil
}

func (a *Admin) lastValidation(r *rule.Rule) Validation {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.validations[ofRule(r)]
}

// forgetValidations is for when a secret is another than the one that upstreams were asked
// with.
func (a *Admin) forgetValidations(arn string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.credentials++
	for k := range a.validations {
		if k.account == arn {
			delete(a.validations, k)
		}
	}
}

// CheckRule returns the rule that CreateRule would make of in, and what came last of asking
// its upstream with its credential. It makes nothing and asks nobody. Without a prefix
// everything but the prefixes is looked at.
// Action and errors: as CreateRule.
func (a *Admin) CheckRule(ctx context.Context, c iam.Caller, in RuleInput) (*rule.Rule, Validation, error) {
	if err := a.may(ctx, c, "ecr:CreatePullThroughCacheRule"); err != nil {
		return nil, Validation{}, err
	}
	r, err := a.ruleToBe(ctx, c, in)
	if err == nil && in.Prefix != "" {
		err = a.roomFor(r)
	}
	if err != nil {
		return nil, Validation{}, err
	}
	return r, a.lastValidation(r), nil
}

// roomFor says whether a rule could be created beside those that hold now.
func (a *Admin) roomFor(r *rule.Rule) error {
	stored := 0
	for _, old := range a.RuleSet().Rules() {
		if a.builtin(old) {
			continue
		}
		stored++
		if old.Prefix == r.Prefix {
			return a.ruleExists(old)
		}
	}
	return a.oneMore(stored)
}

// TryRule asks the upstream that a rule made of in would have, with its credential; the
// prefixes do not count.
// Action: ecr:CreatePullThroughCacheRule and ecr:ValidatePullThroughCacheRule. Errors: as
// CreateRule.
func (a *Admin) TryRule(ctx context.Context, c iam.Caller, in RuleInput) (Validation, error) {
	for _, action := range []string{"ecr:CreatePullThroughCacheRule", "ecr:ValidatePullThroughCacheRule"} {
		if err := a.may(ctx, c, action); err != nil {
			return Validation{}, err
		}
	}
	in.Prefix, in.UpstreamPrefix = "", ""
	r, err := a.ruleToBe(ctx, c, in)
	if err != nil {
		return Validation{}, err
	}
	return a.validate(ctx, r)
}

// ruleToBe makes the rule of in, if the caller may have it with its credential.
func (a *Admin) ruleToBe(ctx context.Context, c iam.Caller, in RuleInput) (r *rule.Rule, err error) {
	if in.Prefix == "" {
		r = &rule.Rule{Upstream: in.UpstreamURL}
		r.Kind, err = a.kind(in.UpstreamURL, in.Upstream)
	} else {
		r, err = a.newRule(in)
	}
	if err != nil {
		return nil, err
	}
	return r, a.setCredential(ctx, c, r, in.Credential, in.CustomRole)
}

// RuleFacts is what is known of a rule beside what it says.
type RuleFacts struct {
	Builtin   bool       // it is there because the configuration has no rules, and until one is created in its place
	HeldOnly  bool       // its upstream is never asked: the rule says so, or the whole configuration
	Validated Validation // since the process started, and as the credential is now
}

// RuleFacts returns what is known of the rules with prefixes, of every rule if there are
// none, by prefix.
// Action: ecr:DescribePullThroughCacheRules. Errors: errs.RuleUnknown.
func (a *Admin) RuleFacts(ctx context.Context, c iam.Caller, prefixes []string) (map[string]RuleFacts, error) {
	rules, _, err := a.Rules(ctx, c, prefixes, "", 0)
	if err != nil {
		return nil, err
	}
	facts := map[string]RuleFacts{}
	for _, r := range rules {
		facts[r.Prefix] = RuleFacts{Builtin: a.builtin(r), HeldOnly: r.Off || a.o.HeldOnly, Validated: a.lastValidation(r)}
	}
	return facts, nil
}

// builtin says whether a rule that holds is one of those that nobody made.
func (a *Admin) builtin(r *rule.Rule) bool {
	return r.Declared && slices.ContainsFunc(a.o.Builtin, func(b rule.Rule) bool { return bare(b.Prefix) == r.Prefix })
}

// UpstreamKind is a kind of upstream that rules can be created for.
type UpstreamKind struct {
	Kind            rule.Kind
	Host            string // its only host; "": each has another
	NeedsCredential bool   // no rule is created without one
}

// UpstreamKinds returns the kinds of upstreams that rules can be created for, which is
// nobody's secret.
func (a *Admin) UpstreamKinds() []UpstreamKind {
	var all []UpstreamKind
	for _, k := range rule.Kinds() {
		if k == rule.Generic && a.o.Strict {
			continue
		}
		all = append(all, UpstreamKind{k, k.FixedHost(), a.o.Strict && needsCredential(k)})
	}
	return all
}
