package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/lifecycle"
	"github.com/weir-registry/weir/internal/rule"
)

// RepositoryTemplates returns the repository creation templates, ready for use.
func (c *Config) RepositoryTemplates() []rule.Template {
	all := make([]rule.Template, 0, len(c.Templates))
	for _, t := range c.Templates {
		all = append(all, t.template())
	}
	return all
}

// template returns t as the rest of weir knows templates.
func (t Template) template() rule.Template {
	out := rule.Template{Prefix: t.Prefix, AppliedFor: t.AppliedFor, Description: t.Description, Mutability: t.Mutability, Exclusions: t.Exclusions, RepositoryPolicy: t.RepositoryPolicy, LifecyclePolicy: t.LifecyclePolicy}
	for _, key := range slices.Sorted(maps.Keys(t.ResourceTags)) {
		out.Tags = append(out.Tags, rule.ResourceTag{Key: key, Value: t.ResourceTags[key]})
	}
	return out
}

func (k *checker) templates() {
	byPrefix := map[string]string{}
	for i := range k.c.Templates {
		key := fmt.Sprintf("templates[%d]", i)
		t := &k.c.Templates[i]
		t.Prefix = strings.TrimSuffix(t.Prefix, "/")
		k.template(key, t)
		if other, dup := byPrefix[t.Prefix]; dup && t.Prefix != "" {
			k.bad(key+".prefix", "%q has a template already: %s%s", t.Prefix, other, k.line(other))
		} else {
			byPrefix[t.Prefix] = key
		}
	}
}

func (k *checker) template(key string, t *Template) {
	if t.Prefix == "" {
		k.bad(key+".prefix", "is required")
	} else {
		k.check(key+".prefix", rule.ValidPrefix(t.Prefix))
	}
	if len(t.AppliedFor) == 0 {
		k.bad(key+".applied_for", "is required: %s, %s or both", rule.ForPullThrough, rule.ForCreateOnPush)
	}
	for j, a := range t.AppliedFor {
		at := fmt.Sprintf("%s.applied_for[%d]", key, j)
		k.oneOf(at, a, rule.ForPullThrough, rule.ForCreateOnPush, rule.ForReplication)
		if slices.Contains(t.AppliedFor[:j], a) {
			k.bad(at, "%s is there twice", a)
		}
	}
	if utf8.RuneCountInString(t.Description) > 256 {
		k.bad(key+".description", "is longer than 256 characters")
	}
	if t.Mutability == "" {
		t.Mutability = rule.Mutable
	}
	words := []string{rule.Mutable, rule.Immutable, rule.MutableWithExclusion, rule.ImmutableWithExclusion}
	k.oneOf(key+".mutability", t.Mutability, words...)
	if slices.Contains(words, t.Mutability) && rule.ValidMutability(t.Mutability, t.Exclusions) != nil {
		if t.Mutability == rule.Mutable || t.Mutability == rule.Immutable {
			k.bad(key+".exclusions", "%s has none: write %s_WITH_EXCLUSION", t.Mutability, t.Mutability)
		} else {
			k.bad(key+".exclusions", "needs 1 to 5 different tag patterns such as dev-*, with up to two * each and nothing else that is special")
		}
	}
	if t.LifecyclePolicy != "" {
		if _, err := lifecycle.Parse(t.LifecyclePolicy, k.c.ECR.Strict); err != nil {
			k.check(key+".lifecycle_policy", err)
		}
	}
	if t.RepositoryPolicy != "" {
		if _, err := iam.ParseRepositoryPolicy([]byte(t.RepositoryPolicy)); err != nil {
			k.bad(key+".repository_policy", "is malformed: %s", iam.Fault(err))
		}
	}
	if _, err := rule.SetResourceTags(nil, t.template().Tags); err != nil {
		k.check(key+".resource_tags", err)
	}
}
