package upstream_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/rule"
	"github.com/weir-registry/weir/internal/upstream"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
)

// hang is a Dial that never comes back by itself, as a firewall that drops packets.
func hang(ctx context.Context, _, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// silent takes connections and never says a word.
func silent(context.Context, string, string) (net.Conn, error) {
	c, _ := net.Pipe()
	return c, nil
}

// What goes wrong before there is an answer: its class, its reason and when it is told.
func TestNoWay(t *testing.T) {
	for _, test := range []struct {
		name  string
		set   func(w *world)
		code  errs.Code
		words []string
		after time.Duration
	}{
		{"refused", func(w *world) { w.Name("registry.test", "198.51.100.200") }, errs.UpstreamUnreachable, []string{"connection refused"}, 0},
		{"unknown name", func(w *world) { w.Name("registry.test") }, errs.UpstreamUnreachable, []string{"no such host in DNS"}, 0},
		{"DNS refuses", func(w *world) {
			w.opts.Resolve = func(context.Context, string) ([]netip.Addr, error) {
				return nil, &net.DNSError{Err: "server misbehaving", Name: "registry.test", Server: "10.0.0.2:53", IsTemporary: true}
			}
		}, errs.UpstreamUnreachable, []string{"DNS does not answer"}, 0},
		{"DNS hangs", func(w *world) {
			w.opts.Resolve = func(ctx context.Context, _ string) ([]netip.Addr, error) { <-ctx.Done(); return nil, ctx.Err() }
		}, errs.UpstreamUnreachable, []string{"no connection within 10s"}, 10 * time.Second},
		{"DNS knows no address", func(w *world) {
			w.opts.Resolve = func(context.Context, string) ([]netip.Addr, error) { return nil, nil }
		}, errs.UpstreamUnreachable, []string{"no such host in DNS"}, 0},
		{"packets dropped", func(w *world) { w.opts.Dial = hang }, errs.UpstreamUnreachable, []string{"no connection within 10s"}, 10 * time.Second},
		{"no route", func(w *world) { w.Down(errors.New("no route to host")) }, errs.UpstreamUnreachable, []string{"no connection"}, 0},
		{"silent", func(w *world) { w.opts.Dial = silent }, errs.UpstreamUnreachable, []string{"no TLS within 10s"}, 10 * time.Second},
		{"hanging", func(w *world) { w.reg.Script(upstreamtest.Fault{Hang: true}) }, errs.UpstreamTimeout, []string{"no answer within 20s"}, 20 * time.Second},
		{"closes without an answer", func(w *world) {
			w.Serve("registry.test:443", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
		}, errs.UpstreamUnreachable, []string{"closed the connection without an answer"}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
				test.set(w)
				w.connect(t, upstream.Host{}, nil)
				begin := time.Now()
				_, err := w.up.Manifest(t.Context(), "app", tag)
				w.fails(t, err, test.code, append(test.words, "manifest app:v1")...)
				if took := time.Since(begin); took != test.after {
					t.Errorf("took %s, want %s", took, test.after)
				}
			})
		})
	}
}

// The second host's troubles name the second host.
func TestNoWayToTheSecondHost(t *testing.T) {
	in(t, upstreamtest.Options{Redirect: true}, func(t *testing.T, w *world) {
		w.Name("cdn.registry.test")
		w.connect(t, upstream.Host{}, nil)
		d, _ := w.layer(0)
		_, _, _, err := w.up.Blob(t.Context(), "app", d, 0, -1)
		w.fails(t, err, errs.UpstreamUnreachable, "cdn.registry.test: no such host in DNS")
	})
}

func TestTimeoutsAreOptions(t *testing.T) {
	in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
		w.reg.Script(upstreamtest.Fault{Hang: true})
		w.opts.HeaderTimeout = 3 * time.Second
		w.connect(t, upstream.Host{}, nil)
		begin := time.Now()
		_, err := w.up.Head(t.Context(), "app", tag)
		w.fails(t, err, errs.UpstreamTimeout, "no answer within 3s")
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

// Of several addresses a dead one costs a moment, and the families take turns.
func TestAddressesRace(t *testing.T) {
	for _, test := range []struct {
		name  string
		addrs []string
		want  []string
		after time.Duration
	}{
		{"refused at once", []string{"198.51.100.201", "198.51.100.202", "198.51.100.99"}, []string{"198.51.100.201", "198.51.100.202", "198.51.100.99"}, 0},
		{"IPv6 leads nowhere", []string{"2600::1", "2600::2", "198.51.100.99"}, []string{"2600::1", "198.51.100.99"}, 300 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
				w.Name("registry.test", "198.51.100.99")
				w.Serve("registry.test:443", w.reg)
				w.Name("registry.test", test.addrs...)
				var mu sync.Mutex
				var dialled []string
				w.opts.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
					a := netip.MustParseAddrPort(addr).Addr()
					mu.Lock()
					dialled = append(dialled, a.String())
					mu.Unlock()
					if a.Is6() {
						return hang(ctx, network, addr)
					}
					return w.Dial(ctx, network, addr)
				}
				w.connect(t, upstream.Host{}, nil)
				begin := time.Now()
				w.manifest(t)
				if took := time.Since(begin); took != test.after {
					t.Errorf("took %s, want %s", took, test.after)
				}
				if diff := cmp.Diff(test.want, dialled); diff != "" {
					t.Errorf("dialled (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// Endpoints are tried in order where one is away, and one that is away comes last for a while.
func TestEndpoints(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault upstreamtest.Fault
		next  bool // the second endpoint is asked
	}{
		{"healthy", upstreamtest.Fault{}, false},
		{"503", upstreamtest.Fault{Status: 503}, true},
		{"504", upstreamtest.Fault{Status: 504}, true},
		{"hanging", upstreamtest.Fault{Hang: true}, true},
		{"404", upstreamtest.Fault{Status: 404}, false},
		{"401", upstreamtest.Fault{Status: 401}, false},
		{"429", upstreamtest.Fault{Status: 429}, false},
		{"500", upstreamtest.Fault{Status: 500}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
				mirror := upstreamtest.New(upstreamtest.Options{})
				mirror.On(w.Network, "mirror.test:5000")
				mirror.Push("app", "v1", w.img)
				mirror.Script(test.fault)
				w.connect(t, upstream.Host{Endpoints: []string{"http://mirror.test:5000/", "https://registry.test"}}, nil)
				_, err := w.up.Manifest(t.Context(), "app", tag)
				if (err == nil) != (test.next || test.fault.Status == 0) || err != nil && !strings.Contains(err.Error(), "mirror.test") {
					t.Errorf("error %v", err)
				}
				if n := len(w.reg.Log()); (n == 1) != test.next {
					t.Errorf("%d requests to the second endpoint", n)
				}
				if !test.next {
					return
				}
				mirror.Script()
				mirror.Forget()
				w.manifest(t)
				<-time.After(30 * time.Second)
				w.manifest(t)
				if a, b := len(mirror.Log()), len(w.reg.Log()); a != 1 || b != 2 {
					t.Errorf("%d requests to the first endpoint, %d to the second", a, b)
				}
			})
		})
	}
	t.Run("refused, all", func(t *testing.T) {
		in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
			w.connect(t, upstream.Host{Endpoints: []string{"http://gone.test:5000", "https://registry.test"}}, nil)
			w.manifest(t)
			w.reg.Script(upstreamtest.Fault{Status: 502})
			_, err := w.up.Manifest(t.Context(), "app", tag)
			w.fails(t, err, errs.UpstreamUnreachable, "gone.test:5000: no such host")
		})
	})
	t.Run("base path", func(t *testing.T) {
		in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
			w.Serve("mirror.test:443", http.StripPrefix("/hub/mirror", w.reg))
			w.connect(t, upstream.Host{Endpoints: []string{"https://mirror.test/hub/mirror/"}}, nil)
			w.pull(t)
		})
	})
}

func TestProxy(t *testing.T) {
	for _, test := range []struct {
		name   string
		host   string // of the registry: with a port, plain http
		proxy  string
		served *upstreamtest.Proxy
		target string
		code   errs.Code
		words  []string
	}{
		{name: "CONNECT", host: "registry.test", proxy: "http://proxy.test:3128", target: "CONNECT registry.test:443"},
		{name: "plain", host: "registry.test:5000", proxy: "http://proxy.test:3128", target: "GET http://registry.test:5000/v2/app/manifests/v1"},
		{name: "TLS to the proxy", host: "registry.test", proxy: "https://proxy.test", target: "CONNECT registry.test:443"},
		{
			name: "password", host: "registry.test", proxy: "http://u:" + secret + "@proxy.test:3128", target: "CONNECT registry.test:443",
			served: &upstreamtest.Proxy{Password: base64.StdEncoding.EncodeToString([]byte("u:" + secret))},
		},
		{
			name: "wrong password", host: "registry.test", proxy: "http://u:" + secret + "x@proxy.test:3128", target: "CONNECT registry.test:443",
			served: &upstreamtest.Proxy{Password: "other"}, code: errs.UpstreamUnreachable, words: []string{"through the proxy proxy.test:3128", "Proxy Authentication Required"},
		},
		{
			name: "wrong password, plain", host: "registry.test:5000", proxy: "http://u:" + secret + "x@proxy.test:3128", target: "GET http://registry.test:5000/v2/app/manifests/v1",
			served: &upstreamtest.Proxy{Password: "other"}, code: errs.UpstreamUnreachable, words: []string{"407"},
		},
		{
			name: "refuses", host: "registry.test", proxy: "http://proxy.test:3128", target: "CONNECT registry.test:443",
			served: &upstreamtest.Proxy{Refuse: 403}, code: errs.UpstreamUnreachable, words: []string{"through the proxy proxy.test:3128", "Forbidden"},
		},
		{name: "gone", host: "registry.test", proxy: "http://nosuch.test:3128", code: errs.UpstreamUnreachable, words: []string{"through the proxy nosuch.test:3128", "no such host in DNS"}},
		{name: "refused", host: "registry.test", proxy: "http://proxy.test:1", code: errs.UpstreamUnreachable, words: []string{"through the proxy proxy.test:1", "connection refused"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
				w.Name("proxy.test", "10.0.0.8") // a private one, as proxies are
				if test.served == nil {
					test.served = &upstreamtest.Proxy{}
				}
				test.served.Dial = w.DialName
				w.Serve("proxy.test:3128", test.served)
				w.Serve("proxy.test:443", test.served)
				site := w.reg.On(w.Network, test.host)
				w.connect(t, upstream.Host{Endpoints: []string{site.URL}, Proxy: test.proxy}, nil)
				_, err := w.up.Manifest(t.Context(), "app", tag)
				if test.code == errs.Internal && err != nil {
					t.Error(err)
				} else if test.code != errs.Internal {
					w.fails(t, err, test.code, test.words...)
				}
				if test.target != "" && !cmp.Equal(test.served.Targets()[:1], []string{test.target}) {
					t.Errorf("targets %q", test.served.Targets())
				}
			})
		})
	}
}

// A literal address is for the proxy only where it is listed: its network is not ours.
func TestProxyWithListedAddress(t *testing.T) {
	in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
		proxy := &upstreamtest.Proxy{Dial: w.DialName}
		w.Serve("proxy.test:3128", proxy)
		w.Serve("10.0.0.5:5000", w.reg)
		w.connect(t, upstream.Host{Endpoints: []string{"http://10.0.0.5:5000"}, Proxy: "http://proxy.test:3128"}, nil)
		w.manifest(t)
		if diff := cmp.Diff([]string{"GET http://10.0.0.5:5000/v2/app/manifests/v1"}, proxy.Targets()); diff != "" {
			t.Errorf("targets (-want +got):\n%s", diff)
		}
	})
}

// A host whose certificate nobody trusts is not reached, and the CA of one upstream is not
// another's.
func TestAuthorities(t *testing.T) {
	in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
		w.opts.Hosts = map[string]upstream.Host{"registry.test": {Proxy: "direct"}, "other.test": {CA: w.CA(), Proxy: "direct"}}
		c, err := upstream.New(w.opts)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, err = c.Registry("registry.test", rule.Generic, nil).Manifest(t.Context(), "app", tag)
		w.fails(t, err, errs.UpstreamUnreachable, "certificate")
		if n := len(w.reg.Log()); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestOptions(t *testing.T) {
	for _, test := range []struct {
		name string
		host upstream.Host
		want string
	}{
		{"endpoint without scheme", upstream.Host{Endpoints: []string{"mirror.test"}}, "http://"},
		{"endpoint with a password", upstream.Host{Endpoints: []string{"https://u:" + secret + "@mirror.test"}}, "user name"},
		{"endpoint with a query", upstream.Host{Endpoints: []string{"https://mirror.test/?k=" + secret}}, "query"},
		{"endpoint that is no URL", upstream.Host{Endpoints: []string{"https://mirror.test/%zz" + secret}}, "not a URL"},
		{"endpoint of another scheme", upstream.Host{Endpoints: []string{"ftp://u:" + secret + "@mirror.test"}}, "http://"},
		{"endpoint without host", upstream.Host{Endpoints: []string{"https:///x"}}, "host is empty"},
		{"realm without scheme", upstream.Host{Realms: []string{"auth.test/token"}}, "realm"},
		{"allowed URL", upstream.Host{AllowHosts: []string{"https://cdn.test"}}, "allowed host"},
		{"proxy without scheme", upstream.Host{Proxy: "proxy:3128"}, "proxy"},
		{"proxy of another kind", upstream.Host{Proxy: "socks5://u:" + secret + "@proxy:1080"}, "proxy"},
		{"no certificate", upstream.Host{CA: []byte("-----BEGIN")}, "PEM"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := upstream.New(upstream.Options{Hosts: map[string]upstream.Host{"a.test": test.host, "b.test": {Proxy: "x"}}})
			if errs.CodeOf(err) != errs.ParamInvalid || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), secret) {
				t.Errorf("error %v", err)
			}
			if !strings.Contains(err.Error(), "upstream a.test: ") || !strings.Contains(err.Error(), "upstream b.test: ") {
				t.Errorf("not all problems in %q", err)
			}
		})
	}
}

// Connections of blobs are kept and used again, as are those of manifests.
func TestConnectionsAreKept(t *testing.T) {
	in(t, upstreamtest.Options{Auth: upstreamtest.Token, Redirect: true, TokenLife: time.Hour}, func(t *testing.T, w *world) {
		var dials atomic.Int64
		w.opts.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			return w.Dial(ctx, network, addr)
		}
		w.connect(t, upstream.Host{}, nil)
		for range 5 {
			w.pull(t)
		}
		if n := dials.Load(); n != 4 { // registry and realm for manifests, registry and second host for blobs
			t.Errorf("%d connections", n)
		}
	})
}
