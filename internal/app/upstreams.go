package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/weir-registry/weir/internal/config"
	"github.com/weir-registry/weir/internal/pullthrough"
	"github.com/weir-registry/weir/internal/rule"
	"github.com/weir-registry/weir/internal/upstream"
)

// upstreams has one upstream.Registry for each host and credential that a rule
// names, whichever rule asks first.
type upstreams struct {
	client      *upstream.Client
	credentials map[string]config.Credential

	mu sync.Mutex
	m  map[upstreamKey]*upstream.Registry
}

type upstreamKey struct {
	host, credential string
	kind             rule.Kind
}

func newUpstreams(c *config.Config, version string, log *slog.Logger) (*upstreams, error) {
	hosts := make(map[string]upstream.Host, len(c.Upstreams))
	for name, u := range c.Upstreams {
		h := upstream.Host{Endpoints: u.Endpoints, Proxy: u.Proxy, AllowHosts: u.AllowHosts, Realms: u.Realms}
		if u.CAFile != "" {
			pem, err := os.ReadFile(u.CAFile)
			if err != nil {
				return nil, fmt.Errorf("upstreams.%s.ca_file: %w", name, err)
			}
			h.CA = pem
		}
		hosts[name] = h
	}
	client, err := upstream.New(upstream.Options{Hosts: hosts, UserAgent: "weir/" + version, Logger: log})
	if err != nil {
		return nil, err
	}
	return &upstreams{client: client, credentials: c.Credentials, m: map[upstreamKey]*upstream.Registry{}}, nil
}

// of returns the registry that a rule's upstream is.
func (u *upstreams) of(r *rule.Rule) pullthrough.Upstream {
	u.mu.Lock()
	defer u.mu.Unlock()
	k := upstreamKey{r.Upstream, r.Credential, r.Kind}
	if u.m[k] == nil {
		var cred upstream.Credential
		if c, ok := u.credentials[r.Credential]; ok {
			cred = func(context.Context) (string, string, error) { return c.Read() }
		}
		u.m[k] = u.client.Registry(r.Upstream, r.Kind, cred)
	}
	return u.m[k]
}

func (u *upstreams) close() error {
	u.client.Close()
	return nil
}
