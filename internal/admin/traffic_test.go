package admin_test

import (
	"context"
	"errors"
	"testing"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/rule"
)

// TestTraffic: who may see the rules sees their numbers and no others, who may see metrics
// sees all.
func TestTraffic(t *testing.T) {
	n := admin.RuleTraffic{Day: rule.Traffic{Pulls: 2}, Month: rule.Traffic{Pulls: 3}}
	counted := func(context.Context) (*admin.Traffic, error) {
		return &admin.Traffic{Rules: map[string]admin.RuleTraffic{"hub": n, "gone": n, "": n}}, nil
	}
	rules := []rule.Rule{{Prefix: "hub", Kind: rule.Generic, Upstream: "up.test"}, {Prefix: "idle", Kind: rule.Generic, Upstream: "up.test"}}
	h := newHouse(t, func(o *admin.Options) { o.Declared, o.Traffic = rules, counted })
	seesRules, seesAll := allow("*", "ecr:DescribePullThroughCacheRules"), allow("*", "weir:GetMetrics")
	byRule, err := h.RuleTraffic(t.Context(), seesRules)
	check(t, err)
	diff(t, "by rule", map[string]admin.RuleTraffic{"hub": n}, byRule)
	all, err := h.Traffic(t.Context(), seesAll)
	check(t, err)
	diff(t, "all", 3, len(all.Rules))
	_, err = h.Traffic(t.Context(), seesRules)
	wantCode(t, "all for who sees rules", errs.Denied, err)
	_, err = h.RuleTraffic(t.Context(), seesAll)
	wantCode(t, "rules for who sees metrics", errs.Denied, err)

	broken := errors.New("broken")
	h.start(func(o *admin.Options) {
		o.Traffic = func(context.Context) (*admin.Traffic, error) { return nil, broken }
	})
	if _, err = h.RuleTraffic(t.Context(), root); !errors.Is(err, broken) {
		t.Error(err)
	}
	h.start()
	_, err = h.Traffic(t.Context(), root)
	wantCode(t, "nothing counts", errs.Unsupported, err)
}
