package admin_test

import (
	"testing"
	"time"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/rule"
)

// TestUpstreamStates: one for each host and credential, for who may see the rules.
func TestUpstreamStates(t *testing.T) {
	rules := []rule.Rule{
		{Prefix: "b", Kind: rule.Generic, Upstream: "up.test", Credential: "one"},
		{Prefix: "a", Kind: rule.Generic, Upstream: "up.test", Credential: "one", Off: true},
		{Prefix: "c", Kind: rule.Generic, Upstream: "up.test"},
		{Prefix: "z", Kind: rule.Generic, Upstream: "away.test"},
	}
	since := time.Date(2026, 11, 27, 9, 0, 0, 0, time.UTC)
	away := rule.Standing{Failing: since, Failed: since, Failure: "connection refused"}
	stands := func(r *rule.Rule) rule.Standing {
		if r.Upstream == "away.test" {
			return away
		}
		return rule.Standing{Quota: rule.Quota{Told: since, Remaining: int64(len(r.Credential))}}
	}
	h := newHouse(t, func(o *admin.Options) { o.Declared, o.Standing = rules, stands })
	reader := allow("*", "ecr:DescribePullThroughCacheRules")
	want := []admin.UpstreamState{
		{Host: "away.test", Kind: rule.Generic, Rules: []string{"z"}, Standing: away},
		{Host: "up.test", Kind: rule.Generic, Rules: []string{"c"}, Standing: rule.Standing{Quota: rule.Quota{Told: since}}},
		{Host: "up.test", Kind: rule.Generic, Credential: "one", Rules: []string{"a", "b"}, HeldOnly: []string{"a"}, Standing: rule.Standing{Quota: rule.Quota{Told: since, Remaining: 3}}},
	}
	got, err := h.UpstreamStates(t.Context(), reader)
	check(t, err)
	diff(t, "upstreams", want, got)
	_, err = h.UpstreamStates(t.Context(), allow("*", "weir:*", "ecr:DescribeRepositories"))
	wantCode(t, "without the right", errs.Denied, err)
	h.start()
	_, err = h.UpstreamStates(t.Context(), reader)
	wantCode(t, "nothing is asked", errs.Unsupported, err)
}
