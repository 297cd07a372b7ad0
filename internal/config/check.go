package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

// checker finds what is wrong with values that are well-formed by themselves.
type checker struct {
	*decoder
	c *Config
}

// bad adds a problem at key, or at the nearest key around it that the file has.
// A value that is a problem already is not one again.
func (k *checker) bad(key, format string, args ...any) {
	if slices.ContainsFunc(k.problems, func(p Problem) bool { return p.Key == key }) {
		return
	}
	p := Problem{Key: key, Msg: fmt.Sprintf(format, args...)}
	for at := key; at != ""; at = at[:max(strings.LastIndexAny(at, ".["), 0)] {
		if pos, ok := k.at[at]; ok {
			p.File, p.Line, p.Column = k.file, pos.line, pos.column
			break
		}
	}
	k.problems = append(k.problems, p)
}

// check adds err, if it is one, as a problem at key.
func (k *checker) check(key string, err error) {
	if e := errs.As(err); e != nil {
		k.bad(key, "%s", e.Msg)
	} else if err != nil {
		k.bad(key, "%v", err)
	}
}

func (k *checker) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		k.bad(key, "%q is not one of %s", value, strings.Join(allowed, ", "))
	}
}

var (
	registryID = regexp.MustCompile(`^[0-9]{12}$`)
	region     = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	pattern    = regexp.MustCompile(`^[a-z0-9._/*?-]+$`)
)

func (k *checker) config() {
	c := k.c
	k.listen()
	if c.Data == "" {
		k.bad("data", "is empty: name a folder")
	}
	if c.Registry.ID != "" && !registryID.MatchString(c.Registry.ID) {
		k.bad("registry.id", "%q is not 12 digits", c.Registry.ID)
	}
	if c.Registry.Region != "" && !region.MatchString(c.Registry.Region) {
		k.bad("registry.region", "%q is not one word of a-z, 0-9 and -", c.Registry.Region)
	}
	if c.Registry.Host != "" {
		k.check("registry.host", validHost("host", c.Registry.Host))
	}
	for i, a := range c.Anonymous {
		k.anonymous(fmt.Sprintf("anonymous[%d]", i), a)
	}
	k.credentials()
	k.rules()
	k.templates()
	k.replication()
	k.upstreams()
	k.mirrors()
	k.events()
	for _, d := range []struct {
		key string
		is  Duration
	}{{"retain.grace", c.Retain.Grace}, {"retain.idle", c.Retain.Idle}} {
		if d.is < Duration(time.Minute) {
			k.bad(d.key, "%s is too short: what is on its way would be removed under it; at least 1m", d.is)
		}
	}
	k.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	k.oneOf("log.format", c.Log.Format, "text", "json")
}

func (k *checker) listen() {
	t := k.c.TLS
	secured := t.CertFile != "" && t.KeyFile != ""
	switch {
	case secured:
		k.pair(t)
	case t.CertFile != "" || t.KeyFile != "":
		k.bad("tls", "needs both cert_file and key_file")
		secured = true
	}
	taken := map[string]string{}
	for _, l := range k.c.Addresses() {
		loopback, err := Loopback(l.Address)
		switch other, dup := taken[l.Address]; {
		case err != nil:
			k.check(l.Key, err)
		case dup && !strings.HasSuffix(l.Address, ":0"):
			k.bad(l.Key, "%s is the address of %s already: leave it out there or here", l.Address, other)
		case !l.Plain && !loopback && !secured && !t.Off:
			k.bad(l.Key, "%s is reached by others, and plain http would send them passwords in the clear: set tls.cert_file and tls.key_file, or write out `tls: off`", l.Address)
		}
		taken[l.Address] = l.Key
	}
}

// Loopback says whether a listen address can be reached from this machine only.
// Its error says what is wrong with the address.
func Loopback(listen string) (bool, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return false, fmt.Errorf("%q is not host:port, such as 127.0.0.1:5000 or :5000", listen)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return false, fmt.Errorf("%q has a bad port", listen)
	}
	if host == "" || host == "localhost" {
		return host != "", nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback(), nil
	}
	return false, validHost("host", host)
}

func (k *checker) anonymous(key string, a Anonymous) {
	if len(a.CIDR) == 0 {
		k.bad(key+".cidr", "is required: the networks that may pull without a key")
	}
	if len(a.Repositories) == 0 {
		k.bad(key+".repositories", `is required: the repositories that it is for, ["*"] for all`)
	}
	for i, p := range a.Repositories {
		key := fmt.Sprintf("%s.repositories[%d]", key, i)
		if !pattern.MatchString(p) {
			k.bad(key, "%q is not a repository name with * and ?", p)
			continue
		}
		for _, r := range k.c.Rules {
			if r.Credential != "" && reachesUnnamed(p, strings.TrimSuffix(r.Prefix, "/")) {
				k.bad(key, "%q also reaches the rule %s, which has a credential: what others may not have is anonymous only where a pattern begins with %s", p, r.Prefix, named(r.Prefix))
			}
		}
	}
}

// reachesUnnamed says whether a pattern of anonymous repositories can match one of
// a rule without naming the rule: for ROOT, whose repositories have no prefix in
// common, without naming anything.
func reachesUnnamed(p, prefix string) bool {
	wild := strings.IndexAny(p, "*?")
	if wild < 0 {
		return false
	}
	if prefix == rule.Root {
		return wild == 0
	}
	return strings.HasPrefix(prefix+"/", p[:wild]) && p[:wild] != prefix+"/"
}

func named(prefix string) string {
	if prefix == rule.Root {
		return "a part of the name"
	}
	return strings.TrimSuffix(prefix, "/") + "/"
}

func (k *checker) rules() {
	byPrefix := map[string]string{}
	rules := make([]rule.Rule, len(k.c.Rules))
	before := len(k.problems)
	for i := range k.c.Rules {
		key := fmt.Sprintf("rules[%d]", i)
		r := &k.c.Rules[i]
		r.Prefix = strings.TrimSuffix(r.Prefix, "/")
		k.rule(key, r)
		if other, dup := byPrefix[r.Prefix]; dup && r.Prefix != "" {
			k.bad(key+".prefix", "%q has a rule already: %s%s", r.Prefix, other, k.line(other))
		} else {
			byPrefix[r.Prefix] = key
		}
		rules[i] = r.rule()
	}
	if len(k.problems) > before {
		return
	}
	set, problems := rule.NewSet(rules)
	for _, err := range problems {
		k.check("rules", err)
	}
	k.c.set = set
}

// line names the line of a key, for a message.
func (k *checker) line(key string) string {
	if p, ok := k.at[key]; ok {
		return fmt.Sprintf(" in line %d", p.line)
	}
	return ""
}

func (k *checker) rule(key string, r *Rule) {
	if r.Prefix == "" {
		k.bad(key+".prefix", "is required")
	} else {
		k.check(key+".prefix", rule.ValidPrefix(r.Prefix))
	}
	kinds := make([]string, 0, len(rule.Kinds()))
	for _, kind := range rule.Kinds() {
		kinds = append(kinds, string(kind))
	}
	if r.Kind != "" {
		k.oneOf(key+".kind", r.Kind, kinds...)
	}
	r.Upstream = canonicalHost(r.Upstream)
	fixed := rule.Kind(r.Kind).FixedHost()
	if r.Upstream == "" {
		r.Upstream = fixed
	}
	switch {
	case r.Upstream == "":
		k.bad(key+".upstream", "is required: the host, such as quay.io")
	case fixed != "" && r.Upstream != fixed:
		k.bad(key+".kind", "%s is only ever %s: leave kind out, or write generic", r.Kind, fixed)
	default:
		k.check(key+".upstream", validHost("upstream", r.Upstream))
	}
	if r.UpstreamPrefix != "" && r.UpstreamPrefix != rule.Root {
		if _, err := oci.ParseRepository(strings.TrimSuffix(r.UpstreamPrefix, "/")); err != nil {
			k.bad(key+".upstream_prefix", "%q is neither a repository name nor ROOT", r.UpstreamPrefix)
		}
	}
	if _, ok := k.c.Credentials[r.Credential]; r.Credential != "" && !ok {
		k.bad(key+".credential", "there is no %q under credentials%s", r.Credential, k.meant(r.Credential))
	}
	for i, p := range r.Fixed {
		if _, err := path.Match(p, ""); err != nil || p == "" {
			k.bad(fmt.Sprintf("%s.fixed[%d]", key, i), "%q is not a tag pattern such as v*", p)
		}
	}
	if r.Prefetch != "" {
		k.oneOf(key+".prefetch", r.Prefetch, string(rule.PrefetchLayer), string(rule.PrefetchManifest), string(rule.PrefetchOff))
	}
	if r.Push != "" {
		k.oneOf(key+".push", r.Push, pushAllow, pushDeny)
	}
}

func (k *checker) meant(name string) string {
	if near := nearest(name, slices.Sorted(maps.Keys(k.c.Credentials))); near != "" {
		return fmt.Sprintf(": did you mean %q?", near)
	}
	return ""
}

// rule returns r as the rest of weir knows rules.
func (r Rule) rule() rule.Rule {
	kind := rule.Kind(r.Kind)
	if kind == "" {
		kind = rule.KindOf(r.Upstream)
	}
	return rule.Rule{
		Prefix:         r.Prefix,
		Kind:           kind,
		Upstream:       r.Upstream,
		UpstreamPrefix: r.UpstreamPrefix,
		Credential:     r.Credential,
		Window:         r.Window.Duration(),
		Fixed:          r.Fixed,
		Off:            r.HeldOnly,
		Prefetch:       rule.Prefetch(r.Prefetch),
		VerifyRanges:   r.VerifyRanges,
		Push:           r.Push == pushAllow,
	}
}

// What a rule may say of pushes.
const pushAllow, pushDeny = "allow", "deny"

// canonicalHost is the name by which an upstream is asked: Docker Hub's registry
// is none of the names that people know it by.
func canonicalHost(host string) string {
	if rule.KindOf(host) == rule.DockerHub {
		return rule.DockerHub.FixedHost()
	}
	return host
}

// validHost is rule.ValidHost with what the host is for in the message.
func validHost(what, host string) error {
	if err := rule.ValidHost(host); err != nil {
		return fmt.Errorf("%s", strings.Replace(errs.As(err).Msg, "upstream", what, 1))
	}
	return nil
}
