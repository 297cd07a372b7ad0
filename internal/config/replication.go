package config

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

// The kinds of destinations.
const (
	DestinationWeir = "weir"
	DestinationOCI  = "oci"
)

// destinationRegion is what the API takes for one.
var destinationRegion = regexp.MustCompile(`^[0-9a-z-]{2,25}$`)

// Named returns the destination as replication rules name it.
func (d Destination) Named() rule.Destination {
	return rule.Destination{Region: d.Region, RegistryID: d.RegistryID}
}

// Host returns the host, or host:port, of a destination whose URL was checked.
func (d Destination) Host() string {
	u, err := url.Parse(d.URL)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Host)
}

func (k *checker) replication() {
	r := &k.c.Replication
	if r.GiveUpAfter < Duration(time.Minute) {
		k.bad("replication.give_up_after", "%s is too short: at least 1m", r.GiveUpAfter)
	}
	for i := range r.Destinations {
		key := fmt.Sprintf("replication.destinations[%d]", i)
		d := &r.Destinations[i]
		k.destination(key, d)
		for j, o := range r.Destinations[:i] {
			other := fmt.Sprintf("replication.destinations[%d]", j)
			if o.Named() == d.Named() && d.Region != "" {
				k.bad(key, "region %s and registry_id %s are those of %s%s already", d.Region, d.RegistryID, other, k.line(other))
			}
			if o.Host() != "" && o.Host() == d.Host() && o.URL != d.URL {
				k.bad(key+".url", "%s has another URL of the same host: both need the same, and may differ in prefix", other)
			}
		}
	}
}

func (k *checker) destination(key string, d *Destination) {
	if !destinationRegion.MatchString(d.Region) {
		k.bad(key+".region", "%q is not a word of 2 to 25 characters of a-z, 0-9 and -", d.Region)
	}
	if !registryID.MatchString(d.RegistryID) {
		k.bad(key+".registry_id", "%q is not 12 digits", d.RegistryID)
	}
	if own := k.c.Registry; own.ID != "" && d.Named() == (rule.Destination{Region: own.Region, RegistryID: own.ID}) {
		k.bad(key, "is this registry itself: it has the region and the ID of registry")
	}
	d.URL = strings.TrimSuffix(d.URL, "/")
	k.destinationURL(key+".url", d.URL)
	if d.Kind == "" {
		d.Kind = DestinationWeir
	}
	k.oneOf(key+".kind", d.Kind, DestinationWeir, DestinationOCI)
	d.Prefix = strings.TrimSuffix(d.Prefix, "/")
	if _, err := oci.ParseRepository(d.Prefix); err != nil && d.Prefix != "" {
		k.bad(key+".prefix", "%q is not a repository name", d.Prefix)
	}
	if _, ok := k.c.Credentials[d.Credential]; d.Credential != "" && !ok {
		k.bad(key+".credential", "there is no %q under credentials%s", d.Credential, k.meant(d.Credential))
	}
}

func (k *checker) destinationURL(key, s string) {
	u, err := url.Parse(s)
	switch {
	case s == "":
		k.bad(key, "is required: where the registry is, such as https://weir.site-b.example:5000")
	case err != nil:
		k.bad(key, "is not a URL") // the cause would quote it
	case !slices.Contains([]string{"http", "https"}, u.Scheme):
		k.bad(key, "does not begin with https:// or http://")
	case u.User != nil:
		k.bad(key, "%q has a user name in it: that belongs under credentials", u.Redacted())
	case u.RawQuery != "" || u.Fragment != "":
		k.bad(key, "%s://%s%s has a query or a fragment", u.Scheme, u.Host, u.Path)
	default:
		k.check(key, validHost("host", strings.ToLower(u.Host)))
	}
}
