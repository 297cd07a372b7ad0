package admin

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/rule"
)

// The bounds of replication rules, as ECR has them.
const (
	maxReplicationRules   = 10
	maxReplicationFilters = 100 // of a rule
)

// replicationFilter is the form of what names of repositories begin with.
var replicationFilter = regexp.MustCompile(`^(?:[a-z0-9]+(?:[._-][a-z0-9]*)*/)*[a-z0-9]*(?:[._-][a-z0-9]*)*$`)

// PutReplication replaces the replication rules: what is pushed from now on is copied by
// them. What waits for a destination that no rule has any more is dropped.
// Action: ecr:PutReplicationConfiguration. Errors: errs.ParamInvalid for a destination
// that the configuration has no registry for, for this registry itself, and for what is
// beyond ECR's bounds.
func (a *Admin) PutReplication(ctx context.Context, c iam.Caller, rules rule.Replication) error {
	if err := a.may(ctx, c, "ecr:PutReplicationConfiguration"); err != nil {
		return err
	}
	if err := checkReplication(rules); err != nil {
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

func checkReplication(rules rule.Replication) error {
	if len(rules) > maxReplicationRules {
		return invalid("rules", fmt.Sprintf("there are more than %d", maxReplicationRules))
	}
	for _, r := range rules {
		if len(r.Filters) > maxReplicationFilters {
			return invalid("repositoryFilters", fmt.Sprintf("a rule has more than %d", maxReplicationFilters))
		}
		for _, f := range r.Filters {
			if len(f) < 2 || len(f) > 256 || !replicationFilter.MatchString(f) {
				return invalid("filter", fmt.Sprintf("%q is not what the name of a repository begins with, of 2 to 256 characters", f))
			}
		}
	}
	return nil
}

// Destination is a registry that images are copied to, and how it stands with the copies.
type Destination struct {
	rule.Destination
	Known   bool  // the configuration has its address; what has not fails in the end
	Waiting int64 // copies
	Oldest  time.Time

	// How the last copy failed that was tried since the start, a word as in the status of
	// its image, and when; "": it did not.
	Failure  string
	FailedAt time.Time
}

// Destinations returns those of the configuration, in its order, and others that something
// waits for. Action: ecr:DescribeRegistry.
func (a *Admin) Destinations(ctx context.Context, c iam.Caller) ([]Destination, error) {
	if err := a.may(ctx, c, "ecr:DescribeRegistry"); err != nil {
		return nil, err
	}
	if a.o.Copies != nil {
		return a.o.Copies(ctx)
	}
	var all []Destination
	for _, d := range a.o.Destinations {
		all = append(all, Destination{Destination: d, Known: true})
	}
	return all, nil
}
