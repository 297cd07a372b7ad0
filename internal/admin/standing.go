package admin

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/rule"
)

// UpstreamState is how things stand with an upstream as rules with one credential reach it.
type UpstreamState struct {
	Host       string
	Kind       rule.Kind
	Credential string   // as in the rules; "": none
	Rules      []string // their prefixes
	HeldOnly   []string // those of them for which it is never asked
	rule.Standing
}

// UpstreamStates returns how things stand with the upstreams of all rules, in the order of
// their hosts. It asks no upstream: it is what came of requests of this process since it
// started.
// Action: ecr:DescribePullThroughCacheRules. Errors: errs.Unsupported where upstreams are
// not asked.
func (a *Admin) UpstreamStates(ctx context.Context, c iam.Caller) ([]UpstreamState, error) {
	if err := a.may(ctx, c, "ecr:DescribePullThroughCacheRules"); err != nil {
		return nil, err
	}
	if a.o.Standing == nil {
		return nil, errs.New(errs.Unsupported, "this weir does not ask upstreams")
	}
	rules := slices.Clone(a.RuleSet().Rules())
	slices.SortFunc(rules, func(a, b *rule.Rule) int {
		return cmp.Or(strings.Compare(a.Upstream, b.Upstream), cmp.Compare(a.Kind, b.Kind), strings.Compare(a.Account(), b.Account()), strings.Compare(a.Prefix, b.Prefix))
	})
	var all []UpstreamState
	var last *rule.Rule
	for _, r := range rules {
		if last == nil || last.Upstream != r.Upstream || last.Kind != r.Kind || last.Account() != r.Account() {
			all = append(all, UpstreamState{Host: r.Upstream, Kind: r.Kind, Credential: r.Credential, Standing: a.o.Standing(r)})
		}
		last = r
		u := &all[len(all)-1]
		u.Rules = append(u.Rules, r.Prefix)
		if r.Off || a.o.HeldOnly {
			u.HeldOnly = append(u.HeldOnly, r.Prefix)
		}
	}
	return all, nil
}
