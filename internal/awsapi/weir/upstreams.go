package weir

import (
	"context"
	"strings"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/rule"
)

// rules is what the operations ask of the rules: *admin.Admin.
type rules interface {
	UpstreamHosts(ctx context.Context, c iam.Caller, prefixes []string) ([]admin.Upstream, error)
}

type listUpstreamHostsInput struct {
	Prefixes []string `json:"ecrRepositoryPrefixes"` // of rules; none: of all
}

// upstreamHosts is where an upstream has weir go.
type upstreamHosts struct {
	UpstreamRegistryURL string    `json:"upstreamRegistryUrl"` // its host, as rules name it
	Kind                rule.Kind `json:"kind"`
	Rules               []string  `json:"rules"`              // prefixes
	HeldOnly            []string  `json:"heldOnly,omitempty"` // of rules that never ask it
	Hosts               []host    `json:"hosts"`
	Failure             string    `json:"failure,omitempty"` // why hosts may be missing
}

type host struct {
	Host  string     `json:"host"` // host:port; a * in it is for what the upstream fills in
	Why   []rule.Why `json:"why"`
	Proxy string     `json:"proxy,omitempty"` // the host:port to let through instead
}

type listUpstreamHostsOutput struct {
	Upstreams []upstreamHosts `json:"upstreams"`
}

func (o operations) listUpstreamHosts(ctx context.Context, c *awsapi.Call, in listUpstreamHostsInput) (*listUpstreamHostsOutput, error) {
	c.About("", strings.Join(in.Prefixes, ","))
	all, err := o.rules.UpstreamHosts(ctx, c.Caller, in.Prefixes)
	if err != nil {
		return nil, err
	}
	out := &listUpstreamHostsOutput{Upstreams: []upstreamHosts{}}
	for _, u := range all {
		view := upstreamHosts{UpstreamRegistryURL: u.Host, Kind: u.Kind, Rules: u.Rules, HeldOnly: u.HeldOnly, Hosts: []host{}, Failure: u.Failure}
		for _, e := range u.Egress {
			view.Hosts = append(view.Hosts, host(e))
		}
		out.Upstreams = append(out.Upstreams, view)
	}
	return out, nil
}
