package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/weir-registry/weir/internal/rule"
)

// mirrors checks them. What one stands in for may be a rule that the API makes.
func (k *checker) mirrors() {
	for _, name := range slices.Sorted(maps.Keys(k.c.Mirrors)) {
		target, key := k.c.Mirrors[name], "mirrors."+name
		k.check(key, validHost("host", name))
		if name == k.c.Registry.Host {
			k.bad(key, "is registry.host, under which repositories have their names here: a mirror has a name of its own")
		}
		prefix := rule.ValidPrefix(strings.TrimSuffix(target, "/"))
		if target == "" || prefix != nil && rule.ValidHost(target) != nil {
			k.bad(key, "%q is neither a rule's prefix nor an upstream host", target)
		}
	}
}
