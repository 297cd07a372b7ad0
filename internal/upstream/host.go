package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/rule"
)

const (
	endpointPause = 30 * time.Second // an endpoint that failed comes last for so long
	maxRemembered = 1000             // hosts and challenges per upstream, which a stranger names
	idleConns     = 32               // kept per host and transport
	idleTimeout   = 90 * time.Second
	maxHeader     = 256 << 10 // of an answer, in bytes
)

// host is one upstream host: the ways to it, and what has been learned of it.
type host struct {
	c         *Client
	name      string
	endpoints []*endpoint
	exact     map[string]bool // host:port that configuration lists: the guard lets them through
	names     map[string]bool // hosts that redirects may lead to at any port
	allowed   []string        // what is listed for redirects and realms alone, as it is written
	realms    []*url.URL      // that may have the credential
	proxy     func(*url.URL) (*url.URL, error)
	direct    pool
	proxied   pool
	tally     tally

	mu         sync.Mutex
	private    map[string]bool      // host:port that were found at an address that is not public
	challenges map[string]challenge // by origin
	seen       map[string]bool      // host:port, for the egress report
}

// pool is a transport for manifests and tokens, which may share a connection, and one
// for blobs, each of which has its own: a lost packet then slows one layer, not all.
// What is pushed has one with more patience: who took a large body may have much to do.
type pool struct{ api, blob, push *http.Transport }

// endpoint is one base URL.
type endpoint struct {
	url    *url.URL
	origin string

	mu     sync.Mutex
	failed time.Time
}

func newHost(c *Client, name string, o Host) (*host, error) {
	h := &host{
		c: c, name: name, exact: map[string]bool{}, names: map[string]bool{},
		private: map[string]bool{}, challenges: map[string]challenge{}, seen: map[string]bool{},
	}
	bad := func(format string, args ...any) error {
		return errs.New(errs.ParamInvalid, "upstream "+name+": "+format, args...)
	}
	if err := rule.ValidHost(name); err != nil {
		return nil, err
	}
	for _, s := range o.Endpoints {
		u, err := parseBase(s)
		if err != nil {
			return nil, bad("endpoint %v", err)
		}
		h.exact[address(u)] = true
		h.endpoints = append(h.endpoints, &endpoint{url: u, origin: origin(u)})
	}
	if len(h.endpoints) == 0 {
		u := &url.URL{Scheme: "https", Host: name}
		h.endpoints = []*endpoint{{url: u, origin: origin(u)}}
	}
	for _, s := range o.Realms {
		u, err := parseBase(s)
		if err != nil {
			return nil, bad("realm %v", err)
		}
		h.exact[address(u)] = true
		h.realms = append(h.realms, u)
	}
	h.allowed = o.AllowHosts
	for _, s := range o.AllowHosts {
		if err := rule.ValidHost(s); err != nil {
			return nil, bad("allowed host: %s", errs.As(err).Msg)
		}
		if _, _, err := net.SplitHostPort(s); err == nil {
			h.exact[s] = true
		} else {
			h.names[s] = true
		}
	}
	if h.proxy = proxyOf(o.Proxy); h.proxy == nil {
		return nil, bad(`proxy is neither "direct" nor an http or https URL`)
	}
	roots, ok := authorities(o.CA)
	if !ok {
		return nil, bad("no certificate in the PEM of its authorities")
	}
	h.direct = h.newPool(roots, nil, h.dialGuarded)
	h.proxied = h.newPool(roots, func(req *http.Request) (*url.URL, error) { return h.proxy(req.URL) }, h.dialProxy)
	return h, nil
}

func (h *host) newPool(roots *x509.CertPool, proxy func(*http.Request) (*url.URL, error), dial dialFunc) pool {
	one := func(http2 bool) *http.Transport {
		t := &http.Transport{
			Proxy:                 proxy,
			DialContext:           dial,
			TLSClientConfig:       &tls.Config{RootCAs: roots, ClientSessionCache: tls.NewLRUClientSessionCache(idleConns)},
			TLSHandshakeTimeout:   h.c.opts.DialTimeout,
			ResponseHeaderTimeout: h.c.opts.HeaderTimeout,
			DisableCompression:    true, // bytes are what digests are of
			MaxIdleConnsPerHost:   idleConns,
			IdleConnTimeout:       idleTimeout,
			Protocols:             new(http.Protocols),

			MaxResponseHeaderBytes: maxHeader,
			// A connection whose other end is gone must not take the next request.
			HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
		}
		t.Protocols.SetHTTP1(true)
		t.Protocols.SetHTTP2(http2)
		return t
	}
	push := one(false)
	push.ResponseHeaderTimeout, push.ExpectContinueTimeout = pushPatience*h.c.opts.HeaderTimeout, continueTimeout
	return pool{api: one(true), blob: one(false), push: push}
}

func (h *host) close() {
	for _, p := range []pool{h.direct, h.proxied} {
		p.api.CloseIdleConnections()
		p.blob.CloseIdleConnections()
		p.push.CloseIdleConnections()
	}
}

// proxyOf returns what says which proxy a URL goes through; nil if s is malformed.
func proxyOf(s string) func(*url.URL) (*url.URL, error) {
	switch s {
	case "":
		return func(u *url.URL) (*url.URL, error) { return http.ProxyFromEnvironment(&http.Request{URL: u}) }
	case "direct":
		return func(*url.URL) (*url.URL, error) { return nil, nil }
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil
	}
	return func(*url.URL) (*url.URL, error) { return u, nil }
}

// authorities returns the system's with those of the PEM; nil stands for the system's alone.
func authorities(ca []byte) (*x509.CertPool, bool) {
	if len(ca) == 0 {
		return nil, true
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // a machine without any, as containers are
	}
	return roots, roots.AppendCertsFromPEM(ca)
}

// order returns the endpoints, those that failed a moment ago last.
func (h *host) order() []*endpoint {
	if len(h.endpoints) == 1 {
		return h.endpoints
	}
	var well, ill []*endpoint
	for _, e := range h.endpoints {
		e.mu.Lock()
		if e.failed.IsZero() || time.Since(e.failed) >= endpointPause {
			well = append(well, e)
		} else {
			ill = append(ill, e)
		}
		e.mu.Unlock()
	}
	return append(well, ill...)
}

func (e *endpoint) note(failed time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failed = failed
}

// see remembers where the upstream led, for the egress report.
func (h *host) see(u *url.URL) {
	a := address(u)
	for _, e := range h.endpoints {
		if a == address(e.url) {
			return
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.seen) < maxRemembered {
		h.seen[a] = true
	}
}

func (h *host) hosts() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Sorted(maps.Keys(h.seen))
}

// parseBase reads a configured URL: scheme, host and path, nothing else.
func parseBase(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, errs.New(errs.ParamInvalid, "is not a URL") // the cause would quote it, with what is secret in it
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errs.New(errs.ParamInvalid, "%q does not begin with http:// or https://", u.Redacted())
	case u.User != nil:
		return nil, errs.New(errs.ParamInvalid, "%q has a user name in it: that belongs under credentials", u.Redacted())
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errs.New(errs.ParamInvalid, "%s://%s%s has a query or a fragment", u.Scheme, u.Host, u.Path)
	}
	u.Host = strings.ToLower(u.Host)
	if err := rule.ValidHost(u.Host); err != nil {
		return nil, errs.New(errs.ParamInvalid, "%q: %s", u.Redacted(), errs.As(err).Msg)
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}

// address is the host:port that a URL leads to.
func address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "443"
		if u.Scheme == "http" {
			port = "80"
		}
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// origin is what a token or a credential belongs to.
func origin(u *url.URL) string { return u.Scheme + "://" + address(u) }
