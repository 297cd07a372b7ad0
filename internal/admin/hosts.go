package admin

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/rule"
)

// Upstream is an upstream that rules lead to, whatever their credentials, and where it
// has weir go.
type Upstream struct {
	Host     string
	Kind     rule.Kind
	Rules    []string // their prefixes
	HeldOnly []string // those of them for which it is never asked
	Egress   []Egress
	Failure  string // why Egress does not have everything, in words; "" if it does
}

// Egress is a host:port that weir has to reach, and every reason for it.
type Egress struct {
	Host  string
	Why   []rule.Why
	Proxy string // host:port of the proxy that is asked instead; "": none
}

// UpstreamHosts returns the upstreams of the rules with prefixes, of every rule if
// there are none, in the order of their hosts. It asks no upstream.
// Action: ecr:DescribePullThroughCacheRules. Errors: errs.RuleUnknown.
func (a *Admin) UpstreamHosts(ctx context.Context, c iam.Caller, prefixes []string) ([]Upstream, error) {
	rules, _, err := a.Rules(ctx, c, prefixes, "", 0)
	if err != nil {
		return nil, err
	}
	if a.o.Egress == nil {
		return nil, errs.New(errs.Unsupported, "this weir does not ask upstreams")
	}
	slices.SortFunc(rules, func(a, b *rule.Rule) int {
		return cmp.Or(strings.Compare(a.Upstream, b.Upstream), cmp.Compare(a.Kind, b.Kind), strings.Compare(a.Prefix, b.Prefix))
	})
	var all []Upstream
	for _, r := range rules {
		if n := len(all); n == 0 || all[n-1].Host != r.Upstream || all[n-1].Kind != r.Kind {
			all = append(all, Upstream{Host: r.Upstream, Kind: r.Kind})
		}
		u := &all[len(all)-1]
		u.Rules = append(u.Rules, r.Prefix)
		if r.Off || a.o.HeldOnly {
			u.HeldOnly = append(u.HeldOnly, r.Prefix)
		}
		places, err := a.o.Egress(ctx, r)
		switch e := errs.As(err); {
		case e != nil && e.Code != errs.Internal:
			u.Failure = e.Msg
		case err != nil:
			return nil, err
		}
		for _, p := range places {
			u.add(p)
		}
	}
	for _, u := range all {
		u.sort()
	}
	return all, nil
}

// add takes in a place, which may be there for another reason or another rule.
func (u *Upstream) add(p rule.Egress) {
	i := slices.IndexFunc(u.Egress, func(e Egress) bool { return e.Host == p.Host && e.Proxy == p.Proxy })
	if i < 0 {
		i = len(u.Egress)
		u.Egress = append(u.Egress, Egress{Host: p.Host, Proxy: p.Proxy})
	}
	if e := &u.Egress[i]; !slices.Contains(e.Why, p.Why) {
		e.Why = append(e.Why, p.Why)
	}
}

// sort puts the surest reasons first.
func (u *Upstream) sort() {
	whys := rule.Whys()
	byRank := func(a, b rule.Why) int { return slices.Index(whys, a) - slices.Index(whys, b) }
	for _, e := range u.Egress {
		slices.SortFunc(e.Why, byRank)
	}
	slices.SortStableFunc(u.Egress, func(a, b Egress) int {
		return cmp.Or(byRank(a.Why[0], b.Why[0]), strings.Compare(a.Host, b.Host))
	})
}
