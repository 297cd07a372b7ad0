package rule

import (
	"cmp"
	"net"
	"slices"
	"strings"

	"github.com/weir-registry/weir/internal/errs"
)

// Mirrors are the names under which this registry stands in for upstreams: a client
// that takes it for a mirror asks for a repository by the upstream's own name, and says
// which upstream it means by the query parameter ns, as containerd does, or by the host
// name that it came to, as dockerd does. The zero value has no such host names.
type Mirrors struct {
	Own   []string          // this registry's own names, as clients write them in references
	Hosts map[string]string // host or host:port -> a rule's prefix, or an upstream host
}

// Repository returns the name here of the repository repo that a client asked the host
// host for; ns is "" where it gave none. What is asked of this registry by its own name
// is returned as it is. Nobody is asked for anything: what no rule leads to is not here.
// Errors: errs.NameInvalid for an ns that is no host, errs.RepoUnknown.
func (m Mirrors) Repository(s *Set, host, ns, repo string) (string, error) {
	host, ns = strings.ToLower(host), strings.ToLower(ns)
	target, mirrored := m.target(cmp.Or(ns, host))
	switch {
	case mirrored:
		if r := s.byPrefix[trimSlash(target)]; r != nil {
			return s.mirrored(r.Upstream, repo, r)
		}
		return s.mirrored(target, repo, s.Leading(target)...)
	case ns == "" || ns == host || slices.Contains(m.Own, ns):
		return repo, nil
	}
	if err := ValidHost(ns); err != nil {
		return "", errs.New(errs.NameInvalid, "ns is neither a host nor host:port")
	}
	return s.mirrored(ns, repo, s.Leading(ns)...)
}

// target returns what a host name stands in for: one with its port before one for any.
func (m Mirrors) target(host string) (string, bool) {
	if t, ok := m.Hosts[host]; ok {
		return t, true
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		t, ok := m.Hosts[name]
		return t, ok
	}
	return "", false
}

// Leading returns the rules for an upstream host, which may be any of Docker Hub's
// names, in the order in which a mirror of it tries them: those that have all of the
// upstream, then those with the longest upstream prefix, each in the order of their
// prefixes (ROOT is the first).
func (s *Set) Leading(host string) []*Rule {
	if KindOf(host) == DockerHub {
		host = DockerHub.FixedHost()
	}
	var all []*Rule
	for _, r := range s.rules {
		if r.Upstream == host {
			all = append(all, r)
		}
	}
	slices.SortStableFunc(all, func(a, b *Rule) int {
		switch {
		case a.Whole() && b.Whole():
			return 0
		case a.Whole():
			return -1
		case b.Whole():
			return 1
		}
		return len(b.UpstreamPrefix) - len(a.UpstreamPrefix)
	})
	return all
}

// Whole says whether all of the upstream's repositories are the rule's.
func (r *Rule) Whole() bool { return r.UpstreamPrefix == "" || r.UpstreamPrefix == Root }

// mirrored returns the name here of an upstream's repository by the first of rules that
// has it, and that the name leads back to.
func (s *Set) mirrored(host, repo string, rules ...*Rule) (string, error) {
	for _, r := range rules {
		name, ok := r.Cached(repo)
		if r.prefixed(repo) {
			name = repo
		}
		if !ok {
			continue
		}
		if back, canonical := s.Match(name); back == r && canonical == name {
			return name, nil
		}
	}
	if len(rules) == 0 {
		return "", errs.New(errs.RepoUnknown, "%s is not mirrored here: no pull through cache rule leads to it", host)
	}
	return "", errs.New(errs.RepoUnknown, "%s/%s is not mirrored here: no pull through cache rule for %s takes that repository", host, repo, host)
}

// prefixed says whether a client that says ns has put the rule's prefix before the name
// as well, as a mirror's URL with a path has it. It can be told at Docker Hub alone,
// none of whose names has three parts.
func (r *Rule) prefixed(repo string) bool {
	rest, ok := strings.CutPrefix(repo, r.Prefix+"/")
	return ok && r.Kind == DockerHub && r.Whole() && strings.Count(rest, "/") == 1
}
