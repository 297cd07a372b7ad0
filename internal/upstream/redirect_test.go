package upstream_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
	"github.com/weir-registry/weir/internal/upstream"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
)

// leads makes the registry redirect everything under /v2/ to url, once per request.
func (w *world) leads(url string) {
	w.reg.Script(upstreamtest.Fault{Path: "/v2/", Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {url}}})
}

// Authorization stays with the host that asked for it; ranges go along.
func TestRedirectDropsAuthorization(t *testing.T) {
	for _, auth := range []upstreamtest.Auth{upstreamtest.Token, upstreamtest.Basic} {
		t.Run(string(auth), func(t *testing.T) {
			in(t, upstreamtest.Options{Auth: auth, Users: map[string]string{user: secret}, Redirect: true}, func(t *testing.T, w *world) {
				w.connect(t, upstream.Host{Realms: []string{w.site.Realm}}, credential)
				d, layer := w.layer(0)
				b, start, total, err := w.read(t.Context(), d, 10, 5)
				if err != nil || start != 10 || total != 100_000 || string(b) != string(layer[10:15]) {
					t.Errorf("%d bytes from %d of %d, %v", len(b), start, total, err)
				}
				for _, q := range w.reg.Log() {
					if strings.HasPrefix(q.Path, "/cdn/") && (q.Header.Get("Authorization") != "" || q.Range != "bytes=10-14" || q.Status != 206) {
						t.Errorf("%s: Authorization %q, status %d", q, q.Header.Get("Authorization"), q.Status)
					}
				}
				if got := w.up.Hosts(); !cmp.Equal(got[len(got)-1:], []string{"cdn.registry.test:443"}) {
					t.Errorf("hosts %q", got)
				}
			})
		})
	}
}

// The second host's URLs expire: each blob goes through the registry's own URL.
func TestSignedURLIsNotKept(t *testing.T) {
	in(t, upstreamtest.Options{Redirect: true, SignedLife: time.Second}, func(t *testing.T, w *world) {
		w.connect(t, upstream.Host{}, nil)
		d, _ := w.layer(1)
		for range 2 {
			if _, _, _, err := w.read(t.Context(), d, 0, -1); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Minute)
		}
	})
}

// registry.k8s.io leads to a registry that has a challenge of its own.
func TestRedirectToAnotherRegistry(t *testing.T) {
	in(t, upstreamtest.Options{Elsewhere: "https://pkg.dev.test"}, func(t *testing.T, w *world) {
		other := upstreamtest.New(upstreamtest.Options{Auth: upstreamtest.Token, TokenLife: time.Hour})
		other.On(w.Network, "pkg.dev.test")
		other.Push("app", "v1", w.img)
		w.connect(t, upstream.Host{}, credential)
		w.pull(t)
		got := other.Requests()[:4]
		want := []string{
			"GET /v2/app/manifests/v1",
			"GET /token repository:app:pull",
			"GET /v2/app/manifests/v1 token",
			"GET /v2/app/manifests/" + w.img.Children[0].Digest.String() + " token",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("requests there (-want +got):\n%s", diff)
		}
		for _, q := range append(w.reg.Log(), other.Log()...) {
			if q.Auth == "basic" || q.Auth == "token" && q.Host != "pkg.dev.test" {
				t.Errorf("%s: sent %s to %s", q, q.Auth, q.Host)
			}
		}
	})
}

func TestRedirects(t *testing.T) {
	for _, test := range []struct {
		name  string
		hops  int
		loops bool
		ok    bool
	}{
		{"none", 0, false, true},
		{"five", 5, false, true},
		{"six", 6, false, false},
		{"loop", 0, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
				faults := []upstreamtest.Fault{{Times: test.hops, Status: http.StatusFound, Header: http.Header{"Location": {"/v2/app/manifests/v1"}}}}
				if test.hops == 0 {
					faults = nil
				}
				if test.loops {
					faults = []upstreamtest.Fault{{Status: http.StatusSeeOther, Header: http.Header{"Location": {"https://registry.test/v2/app/manifests/v1"}}}}
				}
				w.reg.Script(faults...)
				w.connect(t, upstream.Host{}, nil)
				_, err := w.up.Manifest(t.Context(), "app", tag)
				if test.ok {
					if err != nil {
						t.Error(err)
					}
					return
				}
				w.fails(t, err, errs.UpstreamFailed, "more than 5 redirects")
				if n := len(w.reg.Log()); n != 6 {
					t.Errorf("%d requests", n)
				}
			})
		})
	}
}

// The metadata service and friends, in every disguise. The canary listens at each of
// these addresses: nothing may arrive there, and nothing may be dialled.
func TestGuard(t *testing.T) {
	for _, test := range []struct {
		name, host string
		addrs      []string // what host resolves to, where it is a name
		proxy      bool     // the refusal is the proxy's business as well
	}{
		{name: "metadata", host: "169.254.169.254", proxy: true},
		{name: "loopback", host: "127.0.0.1", proxy: true},
		{name: "other loopback", host: "127.8.9.1", proxy: true},
		{name: "private 10", host: "10.1.2.3", proxy: true},
		{name: "private 172", host: "172.16.0.1", proxy: true},
		{name: "private 192", host: "192.168.1.1", proxy: true},
		{name: "carrier's, and a cloud's metadata", host: "100.100.100.200", proxy: true},
		{name: "a cloud's metadata in public", host: "168.63.129.16", proxy: true},
		{name: "unspecified", host: "0.0.0.0", proxy: true},
		{name: "broadcast", host: "255.255.255.255", proxy: true},
		{name: "multicast", host: "224.0.0.1", proxy: true},
		{name: "decimal", host: "2130706433", proxy: true},
		{name: "hexadecimal", host: "0x7f000001", proxy: true},
		{name: "hexadecimal parts", host: "0x7f.0.0.0x1", proxy: true},
		{name: "octal", host: "0177.0.0.1", proxy: true},
		{name: "short", host: "127.1", proxy: true},
		{name: "dot at its end", host: "127.0.0.1.", proxy: true},
		{name: "percent", host: "%31%32%37.0.0.1", proxy: true},
		{name: "full width", host: "１２７.0.0.1", proxy: true},
		{name: "circled", host: "①②⑦.⓪.⓪.①", proxy: true},
		{name: "IPv6 loopback", host: "[::1]", proxy: true},
		{name: "IPv6 unspecified", host: "[::]", proxy: true},
		{name: "IPv6 long loopback", host: "[0:0:0:0:0:0:0:1]", proxy: true},
		{name: "IPv6 link-local", host: "[fe80::1]", proxy: true},
		{name: "IPv6 zone", host: "[fe80::1%25eth0]", proxy: true},
		{name: "IPv6 private", host: "[fd00:ec2::254]", proxy: true},
		{name: "IPv6 site-local", host: "[fec0::1]", proxy: true},
		{name: "IPv6 multicast", host: "[ff02::1]", proxy: true},
		{name: "v4 in v6", host: "[::ffff:127.0.0.1]", proxy: true},
		{name: "v4 in v6, hexadecimal", host: "[::ffff:7f00:1]", proxy: true},
		{name: "v4 in v6, public", host: "[::ffff:198.51.100.77]", proxy: true},
		{name: "v4 in v6, old form", host: "[::127.0.0.1]", proxy: true},
		{name: "v4 translated", host: "[::ffff:0:127.0.0.1]", proxy: true},
		{name: "NAT64", host: "[64:ff9b::a9fe:a9fe]", proxy: true},
		{name: "NAT64 of a network's own", host: "[64:ff9b:1::a9fe:a9fe]", proxy: true},
		{name: "6to4", host: "[2002:7f00:1::]", proxy: true},
		{name: "Teredo", host: "[2001:0:7f00:1::]", proxy: true},
		{name: "user name", host: "cdn.registry.test@127.0.0.1", proxy: true},
		{name: "user name and public host", host: "127.0.0.1@cdn.registry.test", proxy: true},
		{name: "name of loopback", host: "localhost", addrs: []string{"127.0.0.1", "::1"}, proxy: true},
		{name: "single label", host: "database", addrs: []string{"10.0.0.5"}, proxy: true},
		{name: "cloud's own name", host: "metadata.google.internal", addrs: []string{"169.254.169.254"}, proxy: true},
		{name: "name of metadata", host: "cdn.evil.test", addrs: []string{"169.254.169.254"}},
		{name: "name of private", host: "cdn.evil.test", addrs: []string{"192.168.0.9", "10.0.0.5"}},
		{name: "name of IPv6 loopback", host: "cdn.evil.test", addrs: []string{"::1"}},
		{name: "name of v4 in v6", host: "cdn.evil.test", addrs: []string{"::ffff:10.0.0.5"}},
		{name: "name of NAT64", host: "cdn.evil.test", addrs: []string{"64:ff9b::a00:5"}},
		{name: "name of 6to4", host: "cdn.evil.test", addrs: []string{"2002:a00:5::"}},
	} {
		for _, by := range []string{"redirect", "realm", "redirect through a proxy"} {
			if strings.Contains(by, "proxy") && !test.proxy {
				continue
			}
			t.Run(test.name+" by "+by, func(t *testing.T) {
				in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
					if test.addrs != nil {
						w.Name(test.host, test.addrs...)
						w.Serve(test.host+":443", http.NotFoundHandler())
					}
					var h upstream.Host
					proxy := &upstreamtest.Proxy{Dial: w.DialName}
					if strings.Contains(by, "proxy") {
						h.Proxy = "http://proxy.test:3128"
						w.Serve("proxy.test:3128", proxy)
					}
					// The registry itself has to be found before what it leads to is refused.
					up := w.connect(t, h, nil)
					w.leads("https://" + test.host + "/latest/meta-data/?" + secret)
					if by == "realm" {
						w.reg.Script(upstreamtest.Fault{Status: 401, Header: http.Header{
							"Www-Authenticate": {`Bearer realm="https://` + test.host + `/latest/?` + secret + `",service="x"`}}})
					}
					_, err := up.Manifest(t.Context(), "app", tag)
					w.fails(t, err, errs.UpstreamFailed)
					if n := len(w.reg.Log()); n != 1 {
						t.Errorf("%d requests", n)
					}
					for _, d := range w.Dials() {
						if d != "198.51.100.1:443" && !strings.HasSuffix(d, ":3128") {
							t.Errorf("dialled %s", d)
						}
					}
					if strings.Contains(by, "proxy") {
						if diff := cmp.Diff([]string{"CONNECT registry.test:443"}, proxy.Targets()); diff != "" {
							t.Errorf("asked of the proxy (-want +got):\n%s", diff)
						}
					}
				})
			})
		}
	}
}

// A public address may be beside a private one: only that one is dialled.
func TestGuardPicksPublicAddresses(t *testing.T) {
	for _, test := range []struct {
		name  string
		addrs []string
		want  string
	}{
		{"private first", []string{"10.0.0.1", "198.51.100.99"}, "198.51.100.99:443"},
		{"v4 in v6, as resolvers give it", []string{"::ffff:198.51.100.99"}, "198.51.100.99:443"},
		{"NAT64 of a public address", []string{"64:ff9b::c633:6463"}, "[64:ff9b::c633:6463]:443"},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
				w.Name("cdn.other.test", test.addrs...)
				w.Serve("cdn.other.test:443", http.NotFoundHandler())
				w.leads("https://cdn.other.test/x")
				w.connect(t, upstream.Host{}, nil)
				_, err := w.up.Manifest(t.Context(), "app", tag)
				w.fails(t, err, errs.ManifestUnknown, "cdn.other.test", "404")
				if d := w.Dials(); d[len(d)-1] != test.want || len(d) != 2 {
					t.Errorf("dialled %q", d)
				}
			})
		})
	}
}

// What configuration lists is reached: exactly that host and port.
func TestListed(t *testing.T) {
	for _, test := range []struct {
		name string
		to   string
		host upstream.Host
		ok   bool
	}{
		{"name and port", "https://cdn.corp.test/x", upstream.Host{AllowHosts: []string{"cdn.corp.test:443"}}, true},
		{"name alone", "https://cdn.corp.test/x", upstream.Host{AllowHosts: []string{"cdn.corp.test"}}, false},
		{"other port", "https://cdn.corp.test/x", upstream.Host{AllowHosts: []string{"cdn.corp.test:8443"}}, false},
		{"its address", "https://cdn.corp.test/x", upstream.Host{AllowHosts: []string{"10.0.0.5:443"}}, false},
		{"upper case in the redirect", "https://CDN.corp.test:443/x", upstream.Host{AllowHosts: []string{"cdn.corp.test:443"}}, true},
		{"plain http, listed", "http://cdn.corp.test:8080/x", upstream.Host{AllowHosts: []string{"cdn.corp.test:8080"}}, true},
		{"plain http", "http://cdn.corp.test:8080/x", upstream.Host{AllowHosts: []string{"cdn.corp.test"}}, false},
		{"a realm's host", "https://cdn.corp.test/x", upstream.Host{Realms: []string{"https://cdn.corp.test/token"}}, true},
		{"public http", "http://198.51.100.200/x", upstream.Host{}, false},
		{"another scheme", "ftp://cdn.registry.test/x", upstream.Host{}, false},
		{"a file", "file:///etc/passwd", upstream.Host{}, false},
		{"no host", "https:///x", upstream.Host{}, false},
		{"opaque", "https:x", upstream.Host{}, false},
		{"malformed", "https://[::1/%zz?" + secret, upstream.Host{}, false},
		{"bad port", "https://cdn.registry.test:99999/x", upstream.Host{}, false},
		{"nowhere", "", upstream.Host{}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
				w.Name("cdn.corp.test", "10.0.0.5")
				w.Serve("cdn.corp.test:443", http.NotFoundHandler())
				w.Serve("cdn.corp.test:8080", http.NotFoundHandler())
				w.leads(test.to)
				w.connect(t, test.host, nil)
				_, err := w.up.Manifest(t.Context(), "app", tag)
				if test.ok {
					w.fails(t, err, errs.ManifestUnknown, "404")
				} else {
					w.fails(t, err, errs.UpstreamFailed)
				}
			})
		})
	}
}

// An upstream at a private address may not lead to hosts that nobody listed, or an
// inside registry could be made to carry bytes from anywhere.
func TestPrivateUpstream(t *testing.T) {
	for _, test := range []struct {
		name  string
		allow []string
		ok    bool
	}{
		{"not listed", nil, false},
		{"listed", []string{"cdn.other.test"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
				w.Name("inside.test", "10.0.0.1")
				w.Serve("inside.test:5000", w.reg)
				w.Serve("cdn.other.test:443", http.NotFoundHandler())
				w.leads("https://cdn.other.test/x")
				w.connect(t, upstream.Host{Endpoints: []string{"http://inside.test:5000"}, AllowHosts: test.allow}, nil)
				_, err := w.up.Manifest(t.Context(), "app", tag)
				if test.ok {
					w.fails(t, err, errs.ManifestUnknown, "404")
				} else {
					w.fails(t, err, errs.UpstreamFailed, "registry.test is private", `"registry.test": {allow_hosts: ["cdn.other.test:443"]}`)
				}
			})
		})
	}
}

// A rule's upstream itself is no listing: anybody who may write rules could name it.
func TestUpstreamAtPrivateAddress(t *testing.T) {
	in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
		w.Name("registry.corp.test", "10.0.0.1")
		w.Serve("registry.corp.test:443", w.reg)
		c, err := upstream.New(w.opts)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for host, line := range map[string]string{
			"registry.corp.test": `"registry.corp.test": {endpoints: ["https://registry.corp.test"]}`,
			"127.0.0.1:5000":     `"127.0.0.1:5000": {endpoints: ["https://127.0.0.1:5000"]}`,
			"169.254.169.254":    `"169.254.169.254": {endpoints: ["https://169.254.169.254"]}`,
		} {
			_, err = c.Registry(host, rule.Generic, nil).Manifest(t.Context(), "app", tag)
			if e := errs.As(err); errs.CodeOf(err) != errs.UpstreamUnreachable || !strings.Contains(e.Msg, line) {
				t.Errorf("%s: %v", host, err)
			}
		}
		if len(w.Dials()) > 0 {
			t.Errorf("dialled %q", w.Dials())
		}
		_, err = c.Registry("no host", rule.Generic, nil).Head(t.Context(), "app", oci.Reference{Tag: "v1"})
		if errs.CodeOf(err) != errs.ParamInvalid {
			t.Errorf("malformed host: %v", err)
		}
	})
}

// The same on real sockets: what is not listed by its port is not reached.
func TestGuardOnLoopback(t *testing.T) {
	reg := upstreamtest.New(upstreamtest.Options{Redirect: true})
	img := upstreamtest.NewImage(1, 1000)
	reg.Push("app", "v1", img)
	site := reg.Listen(t)
	canary := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the canary was asked") }))
	defer canary.Close()
	reg.Script(upstreamtest.Fault{Path: "/v2/", Status: 307, Header: http.Header{"Location": {canary.URL + "/x"}}})

	c, err := upstream.New(upstream.Options{Hosts: map[string]upstream.Host{site.Host: {Endpoints: []string{site.URL}, AllowHosts: site.Allow, Proxy: "direct"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Registry(site.Host, rule.Generic, nil).Manifest(t.Context(), "app", tag)
	if errs.CodeOf(err) != errs.UpstreamFailed || !strings.Contains(err.Error(), fmt.Sprintf("allow_hosts: [%q]", strings.TrimPrefix(canary.URL, "http://"))) {
		t.Errorf("error %v", err)
	}
}
