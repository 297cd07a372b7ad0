package upstreamtest

import (
	"net"
	"net/http"
	"strings"
	"testing"
)

// Site is where a Registry is served: three hosts, as public registries have them.
type Site struct {
	Host  string   // of the registry: host or host:port, as in a rule
	URL   string   // of the registry, an endpoint: scheme and host
	Realm string   // URL of its token realm, at a host of its own
	CDN   string   // scheme and host of its second host, for blobs
	Allow []string // host:port of realm and second host, to be listed as allowed
}

func (r *Registry) where() Site {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.site
}

func (r *Registry) settle(s Site) Site {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.site = s
	return s
}

// Listen serves the registry, its realm and its second host by plain HTTP on three
// ports of 127.0.0.1 until the test ends.
func (r *Registry) Listen(t testing.TB) Site {
	t.Helper()
	var at [3]string
	for i := range at {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		at[i] = l.Addr().String()
		srv := &http.Server{Handler: r}
		go srv.Serve(l)
		t.Cleanup(func() { srv.Close() })
	}
	return r.settle(Site{
		Host:  at[0],
		URL:   "http://" + at[0],
		Realm: "http://" + at[1] + "/token",
		CDN:   "http://" + at[2],
		Allow: []string{at[1], at[2]},
	})
}

// On serves the registry at host, and its realm and second host at auth.<host> and
// cdn.<host>: by TLS where host has no port, by plain HTTP where it has one.
func (r *Registry) On(n *Network, host string) Site {
	scheme, port := "https://", ":443"
	name, p, plain := strings.Cut(host, ":")
	if plain {
		scheme, port = "http://", ":"+p
	}
	for _, h := range []string{name, "auth." + name, "cdn." + name} {
		n.Serve(h+port, r)
	}
	return r.settle(Site{
		Host:  host,
		URL:   scheme + host,
		Realm: scheme + "auth." + host + "/token",
		CDN:   scheme + "cdn." + host,
		Allow: []string{"auth." + name + port, "cdn." + name + port},
	})
}
