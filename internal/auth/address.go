package auth

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/weir-registry/weir/internal/iam"
)

// forwarding are the headers by which a proxy tells that it is one.
var forwarding = [...]string{"X-Forwarded-For", "Forwarded", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via"}

type anonymousRule struct {
	networks []netip.Prefix
	policy   iam.Policy
}

// Anonymous returns the caller that a request without credentials is, and whether
// its address has an anonymous grant at all. A request that came through a proxy
// which is not trusted, or which does not say for whom it asks, has none: it would
// be the proxy's.
func (a *Auth) Anonymous(r *http.Request) (iam.Caller, bool) {
	c := iam.Caller{Name: "anonymous", Anonymous: true, Account: a.registry}
	if len(a.anonymous) == 0 {
		return c, false
	}
	peer := peer(r)
	forwarded := slices.ContainsFunc(forwarding[:], func(h string) bool { return len(r.Header.Values(h)) > 0 })
	if forwarded && (!within(a.trusted, peer) || len(r.Header.Values("X-Forwarded-For")) == 0) {
		return c, false
	}
	addr := a.Address(r)
	for _, rule := range a.anonymous {
		if within(rule.networks, addr) {
			c.Policies = append(c.Policies, rule.policy)
		}
	}
	return c, len(c.Policies) > 0
}

// Context returns what conditions of policies may ask about a request. Whether it
// came encrypted is what a trusted proxy says, if it says so.
func (a *Auth) Context(r *http.Request) iam.Context {
	c := iam.Context{SourceIP: a.Address(r), Time: time.Now(), TLS: r.TLS != nil}
	if protos := r.Header.Values("X-Forwarded-Proto"); len(protos) > 0 && within(a.trusted, peer(r)) {
		c.TLS = len(protos) == 1 && strings.EqualFold(protos[0], "https")
	}
	return c
}

// Address returns the address of the client: the peer's, or if that is a trusted
// proxy, the right-most one in X-Forwarded-For that is not. The zero Addr is an
// address that could not be made out; it is in no network.
func (a *Auth) Address(r *http.Request) netip.Addr {
	addr := peer(r)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	if len(hops) == 1 && hops[0] == "" {
		return addr
	}
	for _, hop := range slices.Backward(hops) {
		if !within(a.trusted, addr) {
			return addr
		}
		addr = parse(strings.TrimSpace(hop))
	}
	return addr
}

func peer(r *http.Request) netip.Addr { return parse(r.RemoteAddr) }

// parse reads an address with or without a port, or the zero Addr. An IPv4
// address in IPv6 form is the IPv4 address, and zones do not count.
func parse(s string) netip.Addr {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	if len(s) > 1 && s[0] == '[' && s[len(s)-1] == ']' {
		s = s[1 : len(s)-1]
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap().WithZone("")
}

func within(networks []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(addr) })
}
