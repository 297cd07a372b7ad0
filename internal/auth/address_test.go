package auth_test

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/weir-registry/weir/internal/auth"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
)

func prefixes(all ...string) []netip.Prefix {
	var ps []netip.Prefix
	for _, s := range all {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

func TestAddress(t *testing.T) {
	a := auth.New(&rows{}, newKeys(t), auth.Options{
		ARN:            arn,
		TrustedProxies: prefixes("10.0.0.0/24", "fd00::/64"),
		Anonymous: []auth.AnonymousRule{
			{CIDRs: prefixes("192.0.2.0/24", "2001:db8::/32"), Repositories: []string{"quay/*"}},
			{CIDRs: prefixes("10.0.0.0/8"), Repositories: []string{"k8s/pause"}},
		},
	})
	tests := []struct {
		name, peer string
		header     http.Header
		addr       string // "": not made out
		anonymous  bool
	}{
		{"direct", "192.0.2.7:1234", nil, "192.0.2.7", true},
		{"direct from elsewhere", "198.51.100.1:1234", nil, "198.51.100.1", false},
		{"IPv6", "[2001:db8::1]:1234", nil, "2001:db8::1", true},
		{"IPv6 with a zone", "[2001:db8::1%eth0]:1234", nil, "2001:db8::1", true},
		{"IPv4 in IPv6", "[::ffff:192.0.2.7]:1234", nil, "192.0.2.7", true},
		{"untrusted proxy", "192.0.2.7:1", http.Header{"X-Forwarded-For": {"192.0.2.9"}}, "192.0.2.7", false},
		{"untrusted, empty header", "192.0.2.7:1", http.Header{"X-Forwarded-For": {""}}, "192.0.2.7", false},
		{"untrusted, Forwarded", "192.0.2.7:1", http.Header{"Forwarded": {"for=192.0.2.9"}}, "192.0.2.7", false},
		{"untrusted, Via", "192.0.2.7:1", http.Header{"Via": {"1.1 squid"}}, "192.0.2.7", false},
		{"untrusted, X-Real-IP", "192.0.2.7:1", http.Header{"X-Real-Ip": {"192.0.2.9"}}, "192.0.2.7", false},
		{"trusted proxy", "10.0.0.5:1", http.Header{"X-Forwarded-For": {"192.0.2.9"}}, "192.0.2.9", true},
		{"trusted proxy for somebody else", "10.0.0.5:1", http.Header{"X-Forwarded-For": {"198.51.100.1"}}, "198.51.100.1", false},
		{"client lies", "10.0.0.5:1", http.Header{"X-Forwarded-For": {"192.0.2.9, 198.51.100.1"}}, "198.51.100.1", false},
		{"client lies in a header of its own", "10.0.0.5:1", http.Header{"X-Forwarded-For": {"192.0.2.9", "198.51.100.1"}}, "198.51.100.1", false},
		{"two trusted proxies", "10.0.0.5:1", http.Header{"X-Forwarded-For": {"198.51.100.1, 192.0.2.9,10.0.0.6"}}, "192.0.2.9", true},
		{"trusted over IPv6", "[fd00::1]:1", http.Header{"X-Forwarded-For": {"[2001:db8::2]:443"}}, "2001:db8::2", true},
		{"bare brackets", "10.0.0.5:1", http.Header{"X-Forwarded-For": {"[2001:db8::2]"}}, "2001:db8::2", true},
		{"with a port", "10.0.0.5:1", http.Header{"X-Forwarded-For": {"192.0.2.9:555"}}, "192.0.2.9", true},
		{"all are trusted", "10.0.0.5:1", http.Header{"X-Forwarded-For": {"10.0.0.7, 10.0.0.6"}}, "10.0.0.7", true},
		{"garbage", "10.0.0.5:1", http.Header{"X-Forwarded-For": {"192.0.2.9, unknown"}}, "", false},
		{"trusted proxy that does not say for whom", "10.0.0.5:1", http.Header{"Forwarded": {"for=192.0.2.9"}}, "10.0.0.5", false},
		{"trusted proxy on its own behalf", "10.0.0.5:1", nil, "10.0.0.5", true},
		{"no peer", "@", nil, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: tt.peer, Header: tt.header}
			addr := a.Address(r)
			if got := addr.String(); addr.IsValid() && got != tt.addr || addr.IsValid() != (tt.addr != "") {
				t.Errorf("address is %s, want %q", got, tt.addr)
			}
			c, ok := a.Anonymous(r)
			if ok != tt.anonymous || c.Name != "anonymous" || !c.Anonymous || c.Root {
				t.Errorf("anonymous is %v, %+v; want %v", ok, c, tt.anonymous)
			}
		})
	}
}

func TestAnonymousRights(t *testing.T) {
	a := auth.New(&rows{}, newKeys(t), auth.Options{
		ARN: arn,
		Anonymous: []auth.AnonymousRule{
			{CIDRs: prefixes("192.0.2.0/24"), Repositories: []string{"quay/*", "k8s/pause"}},
			{CIDRs: prefixes("192.0.2.7/32"), Repositories: []string{"hub/*"}},
			{CIDRs: prefixes("0.0.0.0/0"), Repositories: []string{"open/?"}},
		},
	})
	tests := []struct {
		name, peer, action, repo string
		want                     bool
	}{
		{"granted", "192.0.2.1:1", iam.BatchGetImage, "quay/a/b", true},
		{"may fill the cache", "192.0.2.1:1", iam.BatchImportUpstreamImage, "quay/a/b", true},
		{"layers", "192.0.2.1:1", iam.GetDownloadURLForLayer, "k8s/pause", true},
		{"another repository", "192.0.2.1:1", iam.BatchGetImage, "k8s/pause2", false},
		{"another rule's network", "192.0.2.1:1", iam.BatchGetImage, "hub/x", false},
		{"two rules", "192.0.2.7:1", iam.BatchGetImage, "hub/x", true},
		{"everybody's", "198.51.100.1:1", iam.BatchGetImage, "open/x", true},
		{"everybody's, not more", "198.51.100.1:1", iam.BatchGetImage, "quay/a", false},
		{"no other action", "192.0.2.1:1", "ecr:PutImage", "quay/a/b", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := a.Anonymous(&http.Request{RemoteAddr: tt.peer})
			err := c.Allowed(tt.action, arn(tt.repo))
			if (err == nil) != tt.want || err != nil && errs.CodeOf(err) != errs.Unauthenticated {
				t.Errorf("allowed: %v, want %v", err, tt.want)
			}
		})
	}
}
