package admin

import (
	"context"
	"maps"

	"github.com/weir-registry/weir/internal/iam"
)

// Mirrors returns the host names under which the registry stands in for an upstream, with
// a rule's prefix or an upstream host for each. They are the configuration's.
// Action: ecr:DescribePullThroughCacheRules.
func (a *Admin) Mirrors(ctx context.Context, c iam.Caller) (map[string]string, error) {
	if err := a.may(ctx, c, "ecr:DescribePullThroughCacheRules"); err != nil {
		return nil, err
	}
	return maps.Clone(a.o.Mirrors), nil
}
