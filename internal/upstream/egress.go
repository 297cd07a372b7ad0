package upstream

import (
	"net/url"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/rule"
)

// Egress returns every place that the upstream of a kind at host has weir go to, once
// for each reason: its endpoints, or else the host itself; where it is asked at that,
// the realm and the hosts of blobs that its kind is known for; what configuration
// lists; and where redirects and realms have led. It asks nobody.
// Errors: errs.ParamInvalid for a malformed host, errs.UpstreamUnreachable where
// the environment's proxy is malformed.
func (c *Client) Egress(host string, kind rule.Kind) ([]rule.Egress, error) {
	h, err := c.host(host)
	if err != nil {
		return nil, err
	}
	var all []rule.Egress
	urls := map[string]*url.URL{}
	add := func(u *url.URL, why rule.Why) {
		if at := address(u); urls[at] == nil {
			urls[at] = u
		}
		proxy, perr := h.proxy(u)
		if perr != nil {
			err = errs.New(errs.UpstreamUnreachable, "the environment's proxy is malformed") // the cause may have its password
			return
		}
		all = append(all, rule.EgressTo(u, why, proxy))
	}
	own := false
	for _, e := range h.endpoints {
		add(e.url, rule.ForUpstream)
		own = own || e.origin == origin(https(host))
	}
	if realm := kind.Realm(host); own && realm != "" {
		u, err := url.Parse(realm)
		if err != nil {
			return nil, err
		}
		add(u, rule.ForRealm)
	}
	for _, u := range h.realms {
		add(u, rule.ForRealm)
	}
	if own {
		for _, s := range kind.BlobHosts(host) {
			add(https(s), rule.ForBlobs)
		}
	}
	for _, s := range h.allowed {
		add(https(s), rule.ForAllowed)
	}
	for _, s := range h.hosts() {
		u := urls[s]
		if u == nil {
			u = https(s)
		}
		add(u, rule.ForSeen)
	}
	return all, err
}

func https(host string) *url.URL { return &url.URL{Scheme: "https", Host: host} }
