package registry

import (
	"context"
	"strings"

	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/rule"
)

// RuleRepositories returns how many cached repositories have names that the rules with
// prefixes take, by prefix; one that has no rule is not among them. What the names of
// nested rules begin with is theirs alone. Its cost grows with the repositories, and not
// with what is in them.
// Action: ecr:DescribeRepositories, on all. Errors: errs.Denied, Unauthenticated.
func (r *Registry) RuleRepositories(ctx context.Context, c iam.Caller, prefixes []string) (map[string]int64, error) {
	if err := r.overall(ctx, c, describeRepositories, r.ARN("*")); err != nil {
		return nil, err
	}
	known := map[string]int64{}
	count := func(prefix string) (int64, error) {
		if n, ok := known[prefix]; ok {
			return n, nil
		}
		begin := prefix
		if prefix == rule.Root {
			begin = ""
		}
		n, err := r.db.CountCached(ctx, begin)
		known[prefix] = n
		return n, err
	}
	all := r.rules.Load().Rules()
	above := map[string]string{} // the rule that would take the names of a rule without it; no key: none
	there := map[string]bool{}
	for _, rl := range all {
		there[rl.Prefix] = true
	}
	for _, rl := range all {
		if up, ok := ruleAbove(there, rl.Prefix); ok {
			above[rl.Prefix] = up
		}
	}
	counts := map[string]int64{}
	for _, prefix := range prefixes {
		if !there[prefix] {
			continue
		}
		n, err := count(prefix)
		for nested, up := range above {
			if up != prefix || err != nil {
				continue
			}
			var less int64
			less, err = count(nested)
			n -= less
		}
		if err != nil {
			return nil, err
		}
		counts[prefix] = max(n, 0) // between two counts one may have come
	}
	return counts, nil
}

// ruleAbove returns the rule, of those that are there, whose names those of the rule with a
// prefix would be without it.
func ruleAbove(there map[string]bool, prefix string) (string, bool) {
	if prefix == rule.Root {
		return "", false
	}
	for end := strings.LastIndexByte(prefix, '/'); end >= 0; end = strings.LastIndexByte(prefix[:end], '/') {
		if there[prefix[:end]] {
			return prefix[:end], true
		}
	}
	return rule.Root, there[rule.Root]
}
