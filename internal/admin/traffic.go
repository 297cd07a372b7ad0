package admin

import (
	"context"
	"maps"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/traffic"
)

// What the faces see of traffic, so that they need not import it.
type (
	Traffic     = traffic.Report
	TrafficStep = traffic.Step
	RuleTraffic = traffic.RuleTraffic
)

// getMetrics is the action for what weir as a whole is at.
const getMetrics = "weir:GetMetrics"

// Traffic returns what clients were given and upstreams sent, altogether and by rule.
// Action: weir:GetMetrics. Errors: errs.Unsupported where it is not counted.
func (a *Admin) Traffic(ctx context.Context, c iam.Caller) (*Traffic, error) {
	if err := c.Allowed(getMetrics, anything); err != nil {
		return nil, err
	}
	return a.counted(ctx)
}

// RuleTraffic returns the traffic of the rules' repositories, by prefix; a rule that had
// none is not among them.
// Action: ecr:DescribePullThroughCacheRules. Errors: as Traffic.
func (a *Admin) RuleTraffic(ctx context.Context, c iam.Caller) (map[string]RuleTraffic, error) {
	if err := a.may(ctx, c, "ecr:DescribePullThroughCacheRules"); err != nil {
		return nil, err
	}
	all, err := a.counted(ctx)
	if err != nil {
		return nil, err
	}
	there := map[string]bool{}
	for _, r := range a.RuleSet().Rules() {
		there[r.Prefix] = true
	}
	maps.DeleteFunc(all.Rules, func(prefix string, _ RuleTraffic) bool { return !there[prefix] })
	return all.Rules, nil
}

func (a *Admin) counted(ctx context.Context) (*Traffic, error) {
	if a.o.Traffic == nil {
		return nil, errs.New(errs.Unsupported, "this weir does not count its traffic")
	}
	return a.o.Traffic(ctx)
}
