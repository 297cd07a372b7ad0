package app

import (
	"github.com/weir-registry/weir/internal/auth"
	"github.com/weir-registry/weir/internal/config"
)

// anonymous returns the grants for callers without a key, as auth has them.
func anonymous(c *config.Config) []auth.AnonymousRule {
	rules := make([]auth.AnonymousRule, len(c.Anonymous))
	for i, a := range c.Anonymous {
		rules[i] = auth.AnonymousRule{CIDRs: a.CIDR, Repositories: a.Repositories}
	}
	return rules
}
