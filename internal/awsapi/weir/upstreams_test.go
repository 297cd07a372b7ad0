package weir_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/rule"
)

func TestListUpstreamHosts(t *testing.T) {
	for _, test := range []struct {
		name, in string
		folk     folk
		status   int
		want     string
		calls    []string
	}{
		{
			name: "everything", in: `{"ecrRepositoryPrefixes":["hub","old"]}`,
			folk: folk{upstreams: []admin.Upstream{
				{Host: "azure.test", Kind: rule.Azure, Rules: []string{"a"}, Failure: "no region"},
				{Host: "registry-1.docker.io", Kind: rule.DockerHub, Rules: []string{"hub", "old"}, HeldOnly: []string{"old"}, Egress: []admin.Egress{
					{Host: "auth.docker.io:443", Why: []rule.Why{rule.ForRealm, rule.ForSeen}, Proxy: "proxy.test:3128"},
				}},
			}},
			status: 200,
			want: `{"upstreams":[{"upstreamRegistryUrl":"azure.test","kind":"azure-container-registry","rules":["a"],"hosts":[],"failure":"no region"},` +
				`{"upstreamRegistryUrl":"registry-1.docker.io","kind":"docker-hub","rules":["hub","old"],"heldOnly":["old"],` +
				`"hosts":[{"host":"auth.docker.io:443","why":["realm","seen"],"proxy":"proxy.test:3128"}]}]}`,
			calls: []string{`hosts of ["hub" "old"] by root`},
		},
		{name: "no rules", in: `{}`, status: 200, want: `{"upstreams":[]}`, calls: []string{`hosts of [] by root`}},
		{
			name: "no such rule", in: `{"ecrRepositoryPrefixes":["x"]}`, folk: folk{err: errs.New(errs.RuleUnknown, "there is no x")},
			status: 400, want: `{"__type":"PullThroughCacheRuleNotFoundException","message":"there is no x"}`, calls: []string{`hosts of ["x"] by root`},
		},
		{
			name: "refused", in: `{}`, folk: folk{err: errs.New(errs.Denied, "no")},
			status: 400, want: `{"__type":"AccessDeniedException","message":"no"}`, calls: []string{`hosts of [] by root`},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &script{folk: test.folk}
			status, got := call(t, s, "Weir_20261125.ListUpstreamHosts", "ecr", test.in)
			if diff := cmp.Diff(test.want, got); diff != "" || status != test.status {
				t.Errorf("status %d, want %d, (-want +got):\n%s", status, test.status, diff)
			}
			if diff := cmp.Diff(test.calls, s.folk.calls); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}
