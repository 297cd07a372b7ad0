package rule

import "strings"

// Destination is a registry that images are replicated to, in ECR's words.
type Destination struct{ Region, RegistryID string }

// ReplicationRule says which own repositories' images are replicated where.
type ReplicationRule struct {
	Destinations []Destination
	Filters      []string // what the repositories' names begin with; none: all
}

// Replication is a registry's replication configuration. It is not changed once it is
// in use.
type Replication []ReplicationRule

// Takes says whether the rule is for a repository.
func (r ReplicationRule) Takes(repo string) bool {
	for _, f := range r.Filters {
		if strings.HasPrefix(repo, f) {
			return true
		}
	}
	return len(r.Filters) == 0
}

// Of returns the destinations of a repository's images, each once, in the order of the
// rules.
func (all Replication) Of(repo string) []Destination {
	var to []Destination
	seen := map[Destination]bool{}
	for _, r := range all {
		if !r.Takes(repo) {
			continue
		}
		for _, d := range r.Destinations {
			if !seen[d] {
				seen[d] = true
				to = append(to, d)
			}
		}
	}
	return to
}

// Destinations returns all of them, each once, in the order of the rules.
func (all Replication) Destinations() []Destination {
	var open Replication
	for _, r := range all {
		open = append(open, ReplicationRule{Destinations: r.Destinations})
	}
	return open.Of("")
}
