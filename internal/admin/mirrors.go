package admin

import (
	"context"
	"maps"

	"github.com/weir-registry/weir/internal/iam"
)

// Mirrors returns the host names under which the registry stands in for an upstream, with
// a rule's prefix or an upstream host for each. They are the configuration's.
// Action: ecr:DescribePullThroughCacheRules.
func (a *Admin) Mirrors(_ context.Context, c iam.Caller) (map[string]string, error) {
	if err := c.Allowed("ecr:DescribePullThroughCacheRules", anything); err != nil {
		return nil, err
	}
	return maps.Clone(a.o.Mirrors), nil
}
