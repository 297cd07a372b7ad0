package weir

import (
	"context"
	"maps"
	"slices"

	"github.com/weir-registry/weir/internal/awsapi"
)

// mirror is a host name under which the registry stands in for an upstream.
type mirror struct {
	Host   string `json:"host"`
	Target string `json:"target"` // a rule's prefix, or an upstream host
}

type listMirrorsOutput struct {
	Mirrors []mirror `json:"mirrors"` // in the order of their hosts
}

func (o operations) listMirrors(ctx context.Context, c *awsapi.Call, _ nothing) (*listMirrorsOutput, error) {
	all, err := o.people.Mirrors(ctx, c.Caller)
	if err != nil {
		return nil, err
	}
	out := &listMirrorsOutput{Mirrors: []mirror{}}
	for _, host := range slices.Sorted(maps.Keys(all)) {
		out.Mirrors = append(out.Mirrors, mirror{host, all[host]})
	}
	return out, nil
}
