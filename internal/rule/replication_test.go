package rule_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/rule"
)

func TestReplication(t *testing.T) {
	a, b, c := rule.Destination{Region: "a", RegistryID: "1"}, rule.Destination{Region: "b", RegistryID: "1"}, rule.Destination{Region: "a", RegistryID: "2"}
	all := rule.Replication{
		{Destinations: []rule.Destination{a, b}, Filters: []string{"prod", "team/app"}},
		{Destinations: []rule.Destination{b, c, c}, Filters: []string{"prod/"}},
		{Filters: []string{"x"}},
	}
	for repo, want := range map[string][]rule.Destination{
		"prod":       {a, b},
		"production": {a, b},
		"prod/app":   {a, b, c},
		"team/app2":  {a, b},
		"team":       nil,
		"x":          nil,
	} {
		if diff := cmp.Diff(want, all.Of(repo)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", repo, diff)
		}
	}
	if diff := cmp.Diff([]rule.Destination{a, b, c}, all.Destinations()); diff != "" {
		t.Errorf("destinations (-want +got):\n%s", diff)
	}
	if got := (rule.Replication{{Destinations: []rule.Destination{c}}}).Of("any/thing"); len(got) != 1 || got[0] != c {
		t.Errorf("without filters: %v", got)
	}
}
