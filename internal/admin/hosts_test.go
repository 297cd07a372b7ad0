package admin_test

import (
	"context"
	"errors"
	"testing"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/rule"
)

// places is where upstreams have weir go, for TestUpstreamHosts.
func places(_ context.Context, r *rule.Rule) ([]rule.Egress, error) {
	all := []rule.Egress{
		{Host: "seen." + r.Upstream + ":443", Why: rule.ForSeen}, {Host: r.Upstream + ":443", Why: rule.ForRealm},
		{Host: "a." + r.Upstream + ":443", Why: rule.ForBlobs}, {Host: r.Upstream + ":443", Why: rule.ForUpstream},
	}
	if r.CustomRole != "" {
		all = append(all, rule.Egress{Host: "sts.test:443", Why: rule.ForLogin, Proxy: "proxy.test:3128"})
	}
	if r.Kind == rule.Azure {
		return all[:1], errs.New(errs.UpstreamDenied, "no region")
	}
	return all, nil
}

func TestUpstreamHosts(t *testing.T) {
	rules := []rule.Rule{
		{Prefix: "b", Kind: rule.Generic, Upstream: "up.test", Credential: "one"},
		{Prefix: "a", Kind: rule.Generic, Upstream: "up.test", Credential: "two", Off: true},
		{Prefix: "z", Kind: rule.ECR, Upstream: "ecr.test"},
		{Prefix: "y", Kind: rule.ECR, Upstream: "ecr.test", CustomRole: "arn:aws:iam::1:role/r"},
		{Prefix: "c", Kind: rule.Azure, Upstream: "azure.test"},
	}
	up := admin.Upstream{Host: "up.test", Kind: rule.Generic, Rules: []string{"a", "b"}, HeldOnly: []string{"a"}, Egress: []admin.Egress{
		{Host: "up.test:443", Why: []rule.Why{rule.ForUpstream, rule.ForRealm}},
		{Host: "a.up.test:443", Why: []rule.Why{rule.ForBlobs}},
		{Host: "seen.up.test:443", Why: []rule.Why{rule.ForSeen}},
	}}
	ecr := admin.Upstream{Host: "ecr.test", Kind: rule.ECR, Rules: []string{"y", "z"}, Egress: []admin.Egress{
		{Host: "ecr.test:443", Why: []rule.Why{rule.ForUpstream, rule.ForRealm}},
		{Host: "sts.test:443", Why: []rule.Why{rule.ForLogin}, Proxy: "proxy.test:3128"},
		{Host: "a.ecr.test:443", Why: []rule.Why{rule.ForBlobs}},
		{Host: "seen.ecr.test:443", Why: []rule.Why{rule.ForSeen}},
	}}
	azure := admin.Upstream{Host: "azure.test", Kind: rule.Azure, Rules: []string{"c"}, Failure: "no region", Egress: []admin.Egress{
		{Host: "seen.azure.test:443", Why: []rule.Why{rule.ForSeen}},
	}}
	one := up
	one.Rules, one.HeldOnly = []string{"b"}, nil
	for _, test := range []struct {
		name     string
		prefixes []string
		heldOnly bool
		want     []admin.Upstream
		code     errs.Code
	}{
		{name: "all", want: []admin.Upstream{azure, ecr, up}},
		{name: "some", prefixes: []string{"b/", "c", "b"}, want: []admin.Upstream{azure, one}},
		{name: "unknown", prefixes: []string{"b", "nowhere"}, code: errs.RuleUnknown},
		{name: "empty", prefixes: []string{""}, code: errs.RuleUnknown},
		{name: "everything is held only", prefixes: []string{"c"}, heldOnly: true, want: []admin.Upstream{func() admin.Upstream { u := azure; u.HeldOnly = []string{"c"}; return u }()}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t, func(o *admin.Options) { o.Declared, o.Egress, o.HeldOnly = rules, places, test.heldOnly })
			got, err := h.UpstreamHosts(t.Context(), root, test.prefixes)
			if test.code != errs.Internal {
				wantCode(t, "error", test.code, err)
				return
			}
			check(t, err)
			diff(t, "upstreams", test.want, got)
		})
	}
}

// Who may see the rules may see what they need, and the list is refused rather than
// wrong.
func TestUpstreamHostsRefused(t *testing.T) {
	h := newHouse(t)
	_, err := h.CreateRule(t.Context(), root, admin.RuleInput{Prefix: "quay", UpstreamURL: "quay.io"})
	check(t, err)
	_, err = h.UpstreamHosts(t.Context(), root, nil)
	wantCode(t, "nothing to ask", errs.Unsupported, err)
	broken := errors.New("broken")
	h.start(func(o *admin.Options) {
		o.Egress = func(context.Context, *rule.Rule) ([]rule.Egress, error) { return nil, broken }
	})
	if _, err := h.UpstreamHosts(t.Context(), allow("*", "ecr:DescribePullThroughCacheRules"), nil); !errors.Is(err, broken) {
		t.Error(err)
	}
	_, err = h.UpstreamHosts(t.Context(), allow("*", "ecr:DescribeImages"), nil)
	wantCode(t, "without the right", errs.Denied, err)
}
