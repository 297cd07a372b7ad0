package upstream

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/weir-registry/weir/internal/rule"
)

// special are the addresses that are not somebody's public server. What is here is
// reached only where configuration lists it.
var special = []struct {
	prefix netip.Prefix
	what   string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "an unspecified address"},
	{netip.MustParsePrefix("10.0.0.0/8"), "a private address"},
	{netip.MustParsePrefix("100.64.0.0/10"), "a carrier's private address"}, // and a cloud's metadata
	{netip.MustParsePrefix("127.0.0.0/8"), "a loopback address"},
	{netip.MustParsePrefix("168.63.129.16/32"), "a cloud's metadata address"},
	{netip.MustParsePrefix("169.254.0.0/16"), "a link-local address"}, // and the clouds' metadata
	{netip.MustParsePrefix("172.16.0.0/12"), "a private address"},
	{netip.MustParsePrefix("192.0.0.0/24"), "a special address"},
	{netip.MustParsePrefix("192.88.99.0/24"), "a relay's address"},
	{netip.MustParsePrefix("192.168.0.0/16"), "a private address"},
	{netip.MustParsePrefix("198.18.0.0/15"), "a test network's address"},
	{netip.MustParsePrefix("224.0.0.0/4"), "a multicast address"},
	{netip.MustParsePrefix("240.0.0.0/4"), "a reserved address"},
	{netip.MustParsePrefix("::/96"), "a loopback or unspecified address, or IPv4 inside IPv6"},
	{netip.MustParsePrefix("::ffff:0:0:0/96"), "IPv4 inside IPv6"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "a local translator's address"},
	{netip.MustParsePrefix("100::/64"), "an address that discards"},
	{netip.MustParsePrefix("2001::/32"), "IPv4 inside IPv6"},
	{netip.MustParsePrefix("2002::/16"), "IPv4 inside IPv6"},
	{netip.MustParsePrefix("fc00::/7"), "a private address"},
	{netip.MustParsePrefix("fe80::/10"), "a link-local address"},
	{netip.MustParsePrefix("fec0::/10"), "a private address"},
	{netip.MustParsePrefix("ff00::/8"), "a multicast address"},
}

// nat64 is where translators of IPv6-only networks put all of IPv4.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// notPublic says what is special about an address, "" if it is a public one. IPv4 that
// a resolver gives in an IPv6 form counts as the IPv4 that it means.
func notPublic(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	if nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	for _, s := range special {
		if s.prefix.Contains(a) {
			return s.what
		}
	}
	return ""
}

// refusal is the guard's: no request was made.
type refusal struct{ why string }

func (r *refusal) Error() string { return r.why }

func refuse(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...)} }

// permit checks a URL before anything is sent to it, and brings its host into the one
// form that the lists, and the dial that follows, know. What can be told only by its
// address is left to the dial.
func (h *host) permit(e *endpoint, u *url.URL) error {
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return refuse("leads to a URL that is neither http nor https")
	}
	u.Host = strings.TrimSuffix(strings.ToLower(u.Host), ":")
	if u.User != nil {
		return refuse("leads to a URL with a user name")
	}
	if err := rule.ValidHost(u.Host); err != nil {
		return refuse("leads to a malformed host")
	}
	at, name := address(u), u.Hostname()
	if h.exact[at] {
		return nil
	}
	if u.Scheme != "https" {
		return h.unlisted(at, "it would be without TLS")
	}
	literal, err := netip.ParseAddr(name)
	switch {
	case err != nil && numeric(name):
		return refuse("leads to %s, an address in disguise", name)
	case err == nil && (literal.Is4In6() || nat64.Contains(literal)):
		return refuse("leads to %s, IPv4 inside IPv6", name)
	}
	if p, perr := h.proxy(u); perr != nil || p != nil {
		if err == nil || local(name) && !h.names[name] {
			return h.unlisted(at, "through a proxy only public names are")
		}
	}
	h.mu.Lock()
	inside := h.private[address(e.url)]
	h.mu.Unlock()
	if inside && !h.names[name] && name != e.url.Hostname() && !h.knownRealm(u) {
		return h.unlisted(at, h.name+" is private, and may lead elsewhere only where that is configured")
	}
	return nil
}

// unlisted refuses host:port, with the line of configuration that would allow it.
func (h *host) unlisted(at, why string) error {
	line := fmt.Sprintf("allow_hosts: [%q]", at)
	for _, e := range h.endpoints {
		if at == address(e.url) {
			line = fmt.Sprintf("endpoints: [%q]", e.url)
		}
	}
	return refuse("%s is not reached: %s; if that is right, add under upstreams: %q: {%s}", at, why, h.name, line)
}

// numeric says whether resolvers would read name as an IPv4 address: its last part is
// a decimal, octal or hexadecimal number.
func numeric(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(last, "0123456789") == ""
}

// local says whether a name means something else to each machine that asks.
func local(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	return last == name || last == "localhost" || last == "local" || last == "internal"
}
