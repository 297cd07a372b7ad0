package registry_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/registry"
	"github.com/weir-registry/weir/internal/rule"
)

// TestRuleRepositories: each cached repository counts for the rule with the longest prefix
// of its name, and those of one's own for none.
func TestRuleRepositories(t *testing.T) {
	db := newDB(t)
	for name, kind := range map[string]string{
		"hub/a": meta.Cached, "hub/b": meta.Cached, "hub/own": meta.Own, "hub/team/a": meta.Cached, "hub/team/deep/a": meta.Cached, "hub/team/deep/b": meta.Cached,
		"hub-2/a": meta.Cached, "hub0/a": meta.Cached, "hub.x/a": meta.Cached, "hub": meta.Cached, "own": meta.Own,
	} {
		if err := db.CreateRepository(t.Context(), meta.Repository{Name: name, Kind: kind}); err != nil {
			t.Fatal(err)
		}
	}
	reg := registry.New(registry.Options{ID: "123456789012", Region: "local", Rules: new(rule.Set), DB: db})
	for name, tt := range map[string]struct {
		rules, asked []string
		want         map[string]int64
	}{
		"one":        {[]string{"hub"}, []string{"hub"}, map[string]int64{"hub": 5}},
		"nested":     {[]string{"hub", "hub/team/deep"}, []string{"hub", "hub/team/deep"}, map[string]int64{"hub": 3, "hub/team/deep": 2}},
		"in between": {[]string{"hub", "hub/team", "hub/team/deep"}, []string{"hub", "hub/team", "none"}, map[string]int64{"hub": 2, "hub/team": 1}},
		"all others": {[]string{"ROOT", "hub", "hub/team"}, []string{"ROOT"}, map[string]int64{"ROOT": 4}},
		"all":        {[]string{"ROOT"}, []string{"ROOT"}, map[string]int64{"ROOT": 9}},
		"nothing":    {[]string{"ROOT"}, nil, map[string]int64{}},
	} {
		t.Run(name, func(t *testing.T) {
			var rules []rule.Rule
			for _, p := range tt.rules {
				rules = append(rules, rule.Rule{Prefix: p, Kind: rule.Generic, Upstream: "up.test"})
			}
			set, problems := rule.NewSet(rules)
			if problems != nil {
				t.Fatal(problems)
			}
			reg.SetRules(set)
			got, err := reg.RuleRepositories(t.Context(), root, tt.asked)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
	some := iam.Caller{Name: "ann", Policies: []iam.Policy{{Statements: []iam.Statement{{Actions: []string{"ecr:*"}, Resources: []string{"arn:aws:ecr:local:123456789012:repository/hub/*"}}}}}}
	if _, err := reg.RuleRepositories(t.Context(), some, []string{"hub"}); errs.CodeOf(err) != errs.Denied {
		t.Errorf("who may describe some: %v", err)
	}
}
