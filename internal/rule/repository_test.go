package rule_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/errs"
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

func TestValidMutability(t *testing.T) {
	for _, tt := range []struct {
		name, mutability string
		exclusions       []string
		ok               bool
	}{
		{"mutable", rule.Mutable, nil, true},
		{"immutable", rule.Immutable, nil, true},
		{"with filters", rule.ImmutableWithExclusion, []string{"a", "*b*", "1", "2", "3"}, true},
		{"mutable with filters", rule.MutableWithExclusion, []string{"a"}, true},
		{"filters of none", rule.Mutable, []string{"a"}, false},
		{"no filters", rule.MutableWithExclusion, nil, false},
		{"too many filters", rule.MutableWithExclusion, []string{"1", "2", "3", "4", "5", "6"}, false},
		{"too many wildcards", rule.MutableWithExclusion, []string{"*a*b*"}, false},
		{"a filter twice", rule.MutableWithExclusion, []string{"a", "a"}, false},
		{"no filter", rule.MutableWithExclusion, []string{""}, false},
		{"another pattern", rule.MutableWithExclusion, []string{"v[0-9]"}, false},
		{"unknown", "FROZEN", nil, false},
		{"none", "", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := rule.ValidMutability(tt.mutability, tt.exclusions)
			if (err == nil) != tt.ok || err != nil && errs.CodeOf(err) != errs.ParamInvalid {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestSetResourceTags(t *testing.T) {
	tag := func(k, v string) rule.ResourceTag { return rule.ResourceTag{Key: k, Value: v} }
	var many []rule.ResourceTag
	for i := range rule.MaxResourceTags {
		many = append(many, tag(fmt.Sprint(i), ""))
	}
	all := []rule.ResourceTag{tag("a", "1"), tag("b", "2")}
	for _, tt := range []struct {
		name      string
		all, tags []rule.ResourceTag
		want      []rule.ResourceTag
		code      errs.Code
	}{
		{"a new one", all, []rule.ResourceTag{tag("c", "")}, []rule.ResourceTag{tag("a", "1"), tag("b", "2"), tag("c", "")}, 0},
		{"one that is there", all, []rule.ResourceTag{tag("a", "3")}, []rule.ResourceTag{tag("a", "3"), tag("b", "2")}, 0},
		{"as many as may be", many[1:], many[:1], append(many[1:len(many):len(many)], many[0]), 0},
		{"one too many", many, []rule.ResourceTag{tag("x", "")}, nil, errs.LimitExceeded},
		{"twice", nil, []rule.ResourceTag{tag("x", ""), tag("x", "1")}, nil, errs.TagInvalid},
		{"no key", nil, []rule.ResourceTag{tag("", "1")}, nil, errs.TagInvalid},
		{"long key", nil, []rule.ResourceTag{tag(strings.Repeat("k", 129), "")}, nil, errs.TagInvalid},
		{"long value", nil, []rule.ResourceTag{tag("k", strings.Repeat("v", 257))}, nil, errs.TagInvalid},
		{"long in bytes only", nil, []rule.ResourceTag{tag(strings.Repeat("€", 128), "")}, []rule.ResourceTag{tag(strings.Repeat("€", 128), "")}, 0},
		{"reserved", nil, []rule.ResourceTag{tag("AWS:x", "")}, nil, errs.TagInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := rule.SetResourceTags(tt.all, tt.tags)
			if errs.CodeOf(err) != tt.code {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
	if all[0].Value != "1" {
		t.Error("the list that was given changed")
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
