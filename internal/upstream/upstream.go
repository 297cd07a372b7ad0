// Package upstream is a remote registry as HTTP: which request, to which host, with
// which token. It implements the pulling side of the distribution specification 1.1,
// the pushing side for copies to other registries (Pusher), and the token
// authentication that Docker's registry defined beside it.
//
// It guarantees:
//   - A manifest that it returns has the digest that was asked for, or that the
//     upstream named; blobs come as the upstream sends them and are not verified here.
//   - Credentials go to the upstream's own endpoints and to token realms that are
//     known for its kind or configured, nowhere else; tokens only to the host that
//     asked for them; neither over a redirect to another host. No error and no log
//     line has a credential, a token or the query of a URL in it.
//   - No connection to a loopback, private, link-local or otherwise special address,
//     whoever names it and in whatever form, unless configuration lists exactly that
//     host and port. Through a proxy weir cannot see addresses: there, redirects and
//     realms must be names.
//   - A credential counts as it is when a request is made: with one that has been
//     rotated no request is sent, nor with a token that it was good for.
//   - No request that is not needed: no pings (but Login's), one token per repository
//     at a time, and a challenge once learned is not asked for again.
//
// It does not retry, beyond one fresh token and the next endpoint, and it remembers no
// failures of names: that is pullthrough's.
package upstream

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-registry/weir/internal/rule"
)

// Host is how one upstream host is reached. The zero value is https://<host> by the
// environment's proxy, trusting the system's authorities.
type Host struct {
	// Base URLs in order; the next is tried where the one before cannot be reached or
	// does not answer. They are listed, in the words of the address guard: private
	// addresses and plain http are fine because they are written here.
	Endpoints []string
	// Proxy is an http or https URL, "direct" for none, "" for what HTTP_PROXY,
	// HTTPS_PROXY and NO_PROXY say.
	Proxy string
	// CA is PEM: authorities to trust beside the system's.
	CA []byte
	// AllowHosts are hosts, or host:port, to which redirects and realms may lead beside
	// public ones. With a port, private addresses and plain http are fine too.
	AllowHosts []string
	// Realms are URLs of token services that may be sent the credential, and that are
	// listed as with AllowHosts.
	Realms []string
}

// Credential returns what an upstream is to be sent. It is called for each request to
// an upstream that wants a login, whether or not there is a token already: it should be
// quick, and return a rotated credential at once. Two empty strings: anonymous. The Msg of
// an *errs.Error that it returns is told to clients.
type Credential func(ctx context.Context) (username, secret string, err error)

// Options of a Client. The zero value reaches public registries.
type Options struct {
	Hosts     map[string]Host // by upstream host, as rules name it
	UserAgent string          // "": weir

	// Resolve looks a name up; nil: net.DefaultResolver.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	// Dial connects to ip:port, after the guard allowed it; nil: net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	HeaderTimeout time.Duration // from the request sent to the answer's header; 0: 20 s
	DialTimeout   time.Duration // for name and connection, and again for TLS; 0: 10 s
	TokenTimeout  time.Duration // for a token, all in all; 0: 10 s
	Logger        *slog.Logger  // nil: slog.Default()
}

// Client reaches upstreams. It is safe for use by many goroutines.
type Client struct {
	opts   Options
	ctx    context.Context // of token requests, which outlive who asked first
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	hosts  map[string]*host
	closed bool
}

// New returns a client, or every problem of its options (errs.ParamInvalid).
func New(o Options) (*Client, error) {
	if o.UserAgent == "" {
		o.UserAgent = "weir"
	}
	if o.Resolve == nil {
		o.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	o.HeaderTimeout = cmp.Or(o.HeaderTimeout, 20*time.Second)
	o.DialTimeout = cmp.Or(o.DialTimeout, 10*time.Second)
	o.TokenTimeout = cmp.Or(o.TokenTimeout, 10*time.Second)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	c := &Client{opts: o, hosts: map[string]*host{}}
	var problems []error
	for name, h := range o.Hosts {
		x, err := newHost(c, name, h)
		if err != nil {
			problems = append(problems, err)
		}
		c.hosts[name] = x
	}
	if len(problems) > 0 {
		slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
		return nil, errors.Join(problems...)
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// Close ends token requests and closes idle connections. Bodies that callers still
// read end by their own contexts.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.wg.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.hosts {
		h.close()
	}
}

// spawn runs f, which Close waits for; false after Close.
func (c *Client) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.wg.Go(f)
	}
	return !c.closed
}

// host returns the state of an upstream host; one that Options does not name is
// reached in the default way.
func (c *Client) host(name string) (*host, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.hosts[name]; h != nil {
		return h, nil
	}
	h, err := newHost(c, name, Host{})
	if err != nil {
		return nil, err
	}
	c.hosts[name] = h
	return h, nil
}

// Registry is one upstream host with one credential. It keeps the tokens: ask the
// Client for one and use it for as long as the rule lives. It is safe for use by many
// goroutines.
//
// The errors of its methods are *errs.Error with the codes
//
//   - UpstreamUnreachable: no name, no connection, no TLS, refused by the proxy, 502, 503
//   - UpstreamTimeout: no answer in time, 504, or the deadline of the context
//   - UpstreamDenied: 401 or 403, after one fresh token; or a realm that may not have
//     the credential
//   - UpstreamRateLimited: 429, with RetryAfter where the upstream says when
//   - UpstreamFailed: any other status, and nonsense: too many redirects, redirects to
//     where they may not lead, wrong bytes, no manifest
//   - ManifestUnknown, BlobUnknown: 404
//
// except that the end of the context returns an error that matches context.Canceled.
type Registry struct {
	c    *Client
	h    *host
	bad  error // why the host cannot be asked at all
	kind rule.Kind
	cred Credential

	refused func() // of OnRefused; may be nil
	quota   atomic.Pointer[rule.Quota]

	mu    sync.Mutex
	slots map[slotKey]*slot
}

// Registry returns an upstream; cred nil: anonymous.
func (c *Client) Registry(host string, kind rule.Kind, cred Credential) *Registry {
	h, err := c.host(host)
	return &Registry{c: c, h: h, bad: err, kind: kind, cred: cred, slots: map[slotKey]*slot{}}
}

// OnRefused has f called when the upstream has refused the credential itself (Basic),
// before it is read once more; where it is another then, the request is sent again. It
// is to be called before the first request.
func (r *Registry) OnRefused(f func()) { r.refused = f }

// Hosts returns the host:port of every other host that the upstream's redirects and
// realms have led to, sorted: what a firewall has to let through beside the upstream.
func (r *Registry) Hosts() []string {
	if r.h == nil {
		return nil
	}
	return r.h.hosts()
}
