package app

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/config"
)

// values are what of the configuration is told to people.
type values []admin.Value

func (v *values) add(key string, value any) {
	*v = append(*v, admin.Value{Key: key, Value: fmt.Sprint(value)})
}

// inForce returns what the configuration is, key by key. Of files only the names are
// told, of URLs no user and nothing that follows the path, and of webhooks, whose path
// may be a secret, the host. Rules, templates and mirrors are left to the methods that
// have them.
func inForce(c *config.Config) []admin.Value {
	var v values
	for _, a := range c.Addresses() {
		v.add(a.Key, a.Address)
	}
	v.add("data", c.Data)
	v.add("registry.host", c.Registry.Host)
	v.add("held_only", c.HeldOnly)
	switch {
	case c.TLS.CertFile != "":
		v.add("tls.cert_file", c.TLS.CertFile)
		v.add("tls.key_file", c.TLS.KeyFile)
	default:
		v.add("tls", "off")
	}
	v.add("trusted_proxies", joined(c.TrustedProxies))
	v.anonymous(c)
	v.add("ecr.strict", c.ECR.Strict)
	v.replication(c)
	v.add("credentials", strings.Join(slices.Sorted(maps.Keys(c.Credentials)), ", "))
	for _, host := range slices.Sorted(maps.Keys(c.Upstreams)) {
		v.upstream("upstreams."+host, c.Upstreams[host])
	}
	v.add("storage.keep_free", keepFree(c.Storage.KeepFree))
	v.add("retain.sweep_every", c.Retain.SweepEvery)
	v.add("retain.grace", c.Retain.Grace)
	v.add("retain.idle", c.Retain.Idle)
	v.add("retain.lifecycle_every", c.Retain.LifecycleEvery)
	v.add("retain.untagged_cached", c.Retain.UntaggedCached)
	v.add("timeouts.stall", c.Timeouts.Stall)
	v.add("timeouts.wait", c.Timeouts.Wait)
	v.add("timeouts.check", c.Timeouts.Check)
	v.add("timeouts.shutdown", c.Timeouts.Shutdown)
	v.events(c.Events)
	v.add("log.level", c.Log.Level)
	v.add("log.format", c.Log.Format)
	return v
}

func (v *values) anonymous(c *config.Config) {
	if len(c.Anonymous) == 0 {
		v.add("anonymous", "")
	}
	for i, a := range c.Anonymous {
		v.add(fmt.Sprintf("anonymous[%d].cidr", i), joined(a.CIDR))
		v.add(fmt.Sprintf("anonymous[%d].repositories", i), strings.Join(a.Repositories, ", "))
	}
}

func (v *values) replication(c *config.Config) {
	v.add("replication.give_up_after", c.Replication.GiveUpAfter)
	for i, d := range c.Replication.Destinations {
		key := fmt.Sprintf("replication.destinations[%d].", i)
		v.add(key+"region", d.Region)
		v.add(key+"registry_id", d.RegistryID)
		v.add(key+"url", shown(d.URL))
		v.add(key+"kind", d.Kind)
		v.add(key+"prefix", d.Prefix)
		v.add(key+"credential", d.Credential)
	}
}

func (v *values) upstream(key string, u config.Upstream) {
	var endpoints, realms []string
	for _, e := range u.Endpoints {
		endpoints = append(endpoints, shown(e))
	}
	for _, r := range u.Realms {
		realms = append(realms, shown(r))
	}
	v.add(key+".endpoints", strings.Join(endpoints, ", "))
	if u.Proxy == "" || u.Proxy == "direct" {
		v.add(key+".proxy", u.Proxy)
	} else {
		v.add(key+".proxy", shown(u.Proxy))
	}
	v.add(key+".ca_file", u.CAFile)
	v.add(key+".realms", strings.Join(realms, ", "))
	v.add(key+".allow_hosts", strings.Join(u.AllowHosts, ", "))
}

func (v *values) events(e config.Events) {
	v.add("events.log", e.Log)
	for i, h := range e.Webhooks {
		key := fmt.Sprintf("events.webhooks[%d].", i)
		u, err := url.Parse(h.URL)
		if err != nil {
			u = &url.URL{}
		}
		v.add(key+"url", u.Scheme+"://"+u.Host)
		v.add(key+"secret_file", h.SecretFile)
		v.add(key+"types", strings.Join(h.Types, ", "))
		v.add(key+"ca_file", h.CAFile)
	}
}

// shown is a URL without what may be a secret in it.
func shown(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "a URL"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

func keepFree(k config.KeepFree) string {
	if n := k.Bytes >> 10; n != 0 {
		unit := 0
		for ; n%1024 == 0 && unit < 3; unit++ {
			n /= 1024
		}
		return strconv.FormatInt(n, 10) + "KMGT"[unit:unit+1] + "iB"
	}
	return strconv.FormatFloat(k.Percent, 'g', -1, 64) + "%"
}

func joined[T fmt.Stringer](all []T) string {
	var texts []string
	for _, one := range all {
		texts = append(texts, one.String())
	}
	return strings.Join(texts, ", ")
}
