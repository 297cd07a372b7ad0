package admin

import (
	"context"
	"fmt"
	"slices"

	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/rule"
)

// PutReplication replaces the replication rules: what is pushed from now on is copied by
// them. What waits for a destination that no rule has any more is dropped.
// Action: ecr:PutReplicationConfiguration. Errors: errs.ParamInvalid for a destination
// that the configuration has no registry for, and for this registry itself.
func (a *Admin) PutReplication(ctx context.Context, c iam.Caller, rules rule.Replication) error {
	if err := a.may(ctx, c, "ecr:PutReplicationConfiguration"); err != nil {
		return err
	}
	for _, d := range rules.Destinations() {
		switch {
		case d == rule.Destination{Region: a.o.Region, RegistryID: a.o.ID}:
			return invalid("destinations", fmt.Sprintf("registry %s in region %s is this one: name another", d.RegistryID, d.Region))
		case !slices.Contains(a.o.Destinations, d):
			return invalid("destinations", fmt.Sprintf("no address is known for registry %s in region %s. Write it into weir.yaml, under replication: destinations: [{region: %s, registry_id: \"%s\", url: \"https://HOST\"}], and restart weir", d.RegistryID, d.Region, d.Region, d.RegistryID))
		}
	}
	return a.o.DB.PutReplication(ctx, rules)
}
