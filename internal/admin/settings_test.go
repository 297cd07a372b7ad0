package admin_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/rule"
)

func TestAccountSettings(t *testing.T) {
	h := newHouse(t)
	want := []admin.AccountChoice{
		{Name: "BASIC_SCAN_TYPE_VERSION", Value: "AWS_NATIVE", Choices: []string{"AWS_NATIVE", "CLAIR"}},
		{Name: "BLOB_MOUNTING", Value: "ENABLED", Choices: []string{"ENABLED", "DISABLED"}},
		{Name: "REGISTRY_POLICY_SCOPE", Value: "V2", Choices: []string{"V2", "V1"}},
	}
	got, err := h.AccountSettings(t.Context(), root)
	check(t, err)
	diff(t, "at first", want, got)
	got[0].Choices[0] = "changed"
	check(t, h.PutAccountSetting(t.Context(), root, "BLOB_MOUNTING", "DISABLED"))
	want[1].Value = "DISABLED"
	got, err = h.AccountSettings(t.Context(), root)
	check(t, err)
	diff(t, "changed", want, got)
}

func TestInForce(t *testing.T) {
	want := []admin.Value{{Key: "listen", Value: ":5000"}}
	h := newHouse(t, func(o *admin.Options) { o.InForce = want })
	got, err := h.InForce(t.Context(), allow("*", "weir:GetSettings"))
	check(t, err)
	diff(t, "values", want, got)
}

func TestPutReplication(t *testing.T) {
	b, c := rule.Destination{Region: "b", RegistryID: "222222222222"}, rule.Destination{Region: "c", RegistryID: "333333333333"}
	h := newHouse(t, func(o *admin.Options) { o.Destinations = []rule.Destination{b} })
	to := func(filters ...string) rule.ReplicationRule {
		return rule.ReplicationRule{Destinations: []rule.Destination{b}, Filters: filters}
	}
	for _, tt := range []struct {
		name, says string
		rules      rule.Replication
	}{
		{"none", "", nil},
		{"ten", "", slices.Repeat(rule.Replication{to("team/", "a-")}, 10)},
		{"eleven", "more than 10", slices.Repeat(rule.Replication{to()}, 11)},
		{"too many filters", "more than 100", rule.Replication{to(slices.Repeat([]string{"team"}, 101)...)}},
		{"a short filter", `"a" is not what`, rule.Replication{to("a")}},
		{"a long filter", "of 2 to 256", rule.Replication{to(strings.Repeat("a", 257))}},
		{"capitals", `"Team" is not what`, rule.Replication{to("Team")}},
		{"nowhere", "no address is known", rule.Replication{{Destinations: []rule.Destination{c}}}},
		{"here", "is this one", rule.Replication{{Destinations: []rule.Destination{{Region: "local", RegistryID: registryID}}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := h.PutReplication(t.Context(), root, tt.rules)
			if tt.says == "" {
				check(t, err)
				return
			}
			wantCode(t, tt.name, errs.ParamInvalid, err)
			if err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want it to say %q", err, tt.says)
			}
		})
	}
}

// TestDestinations: what is told is what whoever copies says, or the configuration alone.
func TestDestinations(t *testing.T) {
	b := rule.Destination{Region: "bb", RegistryID: "222222222222"}
	h := newHouse(t, func(o *admin.Options) { o.Destinations = []rule.Destination{b} })
	got, err := h.Destinations(t.Context(), root)
	check(t, err)
	diff(t, "nobody copies", []admin.Destination{{Destination: b, Known: true}}, got)
	want := []admin.Destination{{Destination: b, Known: true, Waiting: 3, Oldest: h.now, Failure: "DestinationTimeout", FailedAt: h.now}}
	h.start(func(o *admin.Options) {
		o.Copies = func(context.Context) ([]admin.Destination, error) { return want, nil }
	})
	got, err = h.Destinations(t.Context(), root)
	check(t, err)
	diff(t, "destinations", want, got)
}
