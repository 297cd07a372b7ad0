// Package clientconfig writes the configuration files of container clients that pull
// through a weir: whole files with the paths at which the clients read them, so that
// an image keeps the name that it has at its upstream.
//
// It guarantees that the same input gives the same bytes, that every certificate a
// file refers to is among the files, and that no secret is in any of them. It does not
// look at files that a machine has already.
//
// Unless it is told otherwise, a client asks nobody but this registry where the client
// can be told so (containerd, podman, CRI-O): a machine with no way out would wait for
// an upstream it cannot reach, and tell that failure instead of weir's.
package clientconfig

import (
	"cmp"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/weir-registry/weir/internal/rule"
)

// Weir is what clients need to know of a registry.
type Weir struct {
	URL     string            // by which clients reach it: http or https, host and port, no path
	CA      []byte            // PEM; nil: the clients' machines trust its certificate
	Rules   *rule.Set         // where its names lead
	Mirrors map[string]string // rule.Mirrors.Hosts

	Upstreams []string // hosts to make configuration for, docker.io for Docker Hub; nil: those of all rules
	Fallback  bool     // ask the upstream where the registry has no answer
}

// File is a file of a client's machine.
type File struct {
	Path string // absolute
	Text string
}

// Config is a client's configuration.
type Config struct {
	Files []File // in the order of their paths
	Then  string // what else is to be done, in words and commands; "": nothing
}

// String is the whole configuration for people: each file after a line with its path.
func (c Config) String() string {
	var b strings.Builder
	for _, f := range c.Files {
		fmt.Fprintf(&b, "==> %s\n%s\n", f.Path, f.Text)
	}
	if c.Then != "" {
		fmt.Fprintf(&b, "==> then\n%s", c.Then)
	}
	return b.String()
}

// Clients returns the clients that there is configuration for.
func Clients() []string { return slices.Sorted(maps.Keys(clients())) }

func clients() map[string]func(*site) (Config, error) {
	return map[string]func(*site) (Config, error){
		"docker": docker, "containerd": containerd, "podman": podman, "cri-o": crio, "buildkit": buildkit, "k3s": k3s, "helm": helm,
	}
}

// For returns a client's configuration. Its error is for the person who asked.
func For(client string, w Weir) (Config, error) {
	f, ok := clients()[client]
	if !ok {
		return Config{}, fmt.Errorf("%q is not one of %s", client, strings.Join(Clients(), ", "))
	}
	s, err := newSite(w)
	if err != nil {
		return Config{}, err
	}
	c, err := f(s)
	slices.SortFunc(c.Files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	return c, err
}

// site is a Weir, understood.
type site struct {
	Weir
	host      string // host or host:port, as it stands in references
	plain     bool   // http
	upstreams []upstream
}

// upstream is one upstream and the rules for it, the first of which has all of it, or
// all of which have a part.
type upstream struct {
	name  string // as people write it in references
	rules []*rule.Rule
}

func newSite(w Weir) (*site, error) {
	u, err := url.Parse(w.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("%q is not a URL such as https://weir.corp.example", w.URL)
	}
	s := &site{Weir: w, host: strings.ToLower(u.Host), plain: u.Scheme == "http"}
	if err := rule.ValidHost(s.host); err != nil {
		return nil, fmt.Errorf("%q is not a URL such as https://weir.corp.example", w.URL)
	}
	if !s.plain {
		s.host = strings.TrimSuffix(s.host, ":443")
	} else {
		s.CA = nil
	}
	if err := certificates(s.CA); err != nil {
		return nil, err
	}
	return s, s.choose()
}

// certificates refuses what must not go to every client.
func certificates(ca []byte) error {
	for rest := ca; len(rest) > 0; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if b.Type != "CERTIFICATE" {
			return fmt.Errorf("the CA file has a %s: give the authority's certificate alone (ca.crt of weir cert)", b.Type)
		}
		ca = nil
	}
	if len(ca) > 0 {
		return errors.New("the CA file has no certificate in PEM form")
	}
	return nil
}

// choose finds the upstreams.
func (s *site) choose() error {
	all := map[string]upstream{}
	for _, r := range s.Rules.Rules() {
		if _, ok := all[r.Upstream]; ok {
			continue
		}
		rules := s.Rules.Leading(r.Upstream)
		if rules[0].Whole() {
			rules = rules[:1]
		}
		all[r.Upstream] = upstream{known(r.Upstream), rules}
	}
	wanted := slices.Collect(maps.Keys(all))
	if len(s.Upstreams) > 0 {
		wanted = nil
		for _, name := range s.Upstreams {
			host := name
			if rule.KindOf(name) == rule.DockerHub {
				host = rule.DockerHub.FixedHost()
			}
			if _, ok := all[host]; !ok {
				return fmt.Errorf("no rule of this weir leads to %s: they lead to %s", name, names(all))
			}
			wanted = append(wanted, host)
		}
	}
	for _, host := range wanted {
		s.upstreams = append(s.upstreams, all[host])
	}
	slices.SortFunc(s.upstreams, func(a, b upstream) int { return cmp.Compare(a.name, b.name) })
	s.upstreams = slices.CompactFunc(s.upstreams, func(a, b upstream) bool { return a.name == b.name })
	if len(s.upstreams) == 0 {
		return errors.New("this weir has no rule: make one with weir rule create")
	}
	return nil
}

func names(all map[string]upstream) string {
	var list []string
	for _, u := range all {
		list = append(list, u.name)
	}
	slices.Sort(list)
	return cmp.Or(strings.Join(list, ", "), "nothing")
}

// known is an upstream host as people write it in references.
func known(host string) string {
	if rule.KindOf(host) == rule.DockerHub {
		return "docker.io"
	}
	return host
}

// url is a host's URL with the registry's scheme.
func (s *site) url(host string) string {
	if s.plain {
		return "http://" + host
	}
	return "https://" + host
}

// hub returns the host whose repositories at the root are Docker Hub's, "" for none: one
// of the mirrors, or this registry where the rule ROOT leads there.
func (s *site) hub() string {
	_, port, _ := net.SplitHostPort(s.host)
	for _, host := range slices.Sorted(maps.Keys(s.Mirrors)) {
		// The name is there if Docker Hub's best known image is.
		name, err := rule.Mirrors{Hosts: s.Mirrors}.Repository(s.Rules, host, "", "library/alpine")
		if err != nil {
			continue
		}
		if r, _ := s.Rules.Match(name); r == nil || r.Kind != rule.DockerHub || !r.Whole() {
			continue
		}
		if _, _, err := net.SplitHostPort(host); err != nil && port != "" {
			host = net.JoinHostPort(strings.Trim(host, "[]"), port)
		}
		return host
	}
	if r, name := s.Rules.Match("library/alpine"); r != nil && r.Prefix == rule.Root && r.Kind == rule.DockerHub && r.Whole() && name == "library/alpine" {
		return s.host
	}
	return ""
}

// under is a rule's place in this registry, as host and path.
func (s *site) under(r *rule.Rule) string {
	if r.Prefix == rule.Root {
		return s.host
	}
	return s.host + "/" + r.Prefix
}

// at is a rule's place at its upstream, as host and path.
func at(r *rule.Rule) string {
	if r.Whole() {
		return known(r.Upstream)
	}
	return known(r.Upstream) + "/" + r.UpstreamPrefix
}

// authority is the CA as a file, if there is one.
func (s *site) authority(path string) []File {
	if len(s.CA) == 0 {
		return nil
	}
	return []File{{path, strings.TrimRight(string(s.CA), "\n") + "\n"}}
}
