package rule_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/rule"
)

func TestTagImmutable(t *testing.T) {
	for _, tt := range []struct {
		name, mutability string
		exclusions       []string
		tag              string
		want             bool
	}{
		{"mutable", rule.Mutable, nil, "v1", false},
		{"immutable", rule.Immutable, nil, "v1", true},
		{"immutable, excluded", rule.ImmutableWithExclusion, []string{"dev-*", "latest"}, "latest", false},
		{"immutable, excluded by a pattern", rule.ImmutableWithExclusion, []string{"dev-*"}, "dev-7", false},
		{"immutable, not excluded", rule.ImmutableWithExclusion, []string{"dev-*"}, "v1-dev-", true},
		{"mutable, excluded", rule.MutableWithExclusion, []string{"v*.*"}, "v1.2.3", true},
		{"mutable, not excluded", rule.MutableWithExclusion, []string{"v*.*"}, "v1", false},
		{"mutable, the whole tag counts", rule.MutableWithExclusion, []string{"v1"}, "v10", false},
		{"of a weir that knows more", "FROZEN", nil, "v1", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := rule.TagImmutable(tt.mutability, tt.exclusions, tt.tag); got != tt.want {
				t.Errorf("immutable: %v", got)
			}
		})
	}
}

func TestTemplates(t *testing.T) {
	push, pull := []string{rule.ForCreateOnPush}, []string{rule.ForPullThrough}
	both := []string{rule.ForPullThrough, rule.ForCreateOnPush}
	all := rule.NewTemplates([]rule.Template{
		{Prefix: rule.Root, AppliedFor: pull},
		{Prefix: "prod/team", AppliedFor: pull},
		{Prefix: "prod", AppliedFor: both},
		{Prefix: "prod/team/a", AppliedFor: push},
	})
	for _, tt := range []struct{ name, repo, applied, want string }{
		{"longest", "prod/team/app", rule.ForPullThrough, "prod/team"},
		{"longest of those that are applied for it", "prod/team/app", rule.ForCreateOnPush, "prod"},
		{"the prefix is no repository of its own", "prod", rule.ForCreateOnPush, ""},
		{"a prefix ends at a slash", "production/app", rule.ForCreateOnPush, ""},
		{"deep", "prod/team/a/b/c", rule.ForCreateOnPush, "prod/team/a"},
		{"root", "app", rule.ForPullThrough, rule.Root},
		{"root is not applied for it", "app", rule.ForCreateOnPush, ""},
		{"nothing is", "prod/app", rule.ForReplication, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if one := all.For(tt.repo, tt.applied); one != nil {
				got = one.Prefix
			}
			if got != tt.want {
				t.Errorf("template %q, want %q", got, tt.want)
			}
		})
	}
	var prefixes []string
	for _, one := range all.List() {
		prefixes = append(prefixes, one.Prefix)
	}
	if d := cmp.Diff([]string{rule.Root, "prod", "prod/team", "prod/team/a"}, prefixes); d != "" {
		t.Error(d)
	}
	var none *rule.Templates
	if none.For("a/b", rule.ForPullThrough) != nil || none.List() != nil {
		t.Error("nil has templates")
	}
}
