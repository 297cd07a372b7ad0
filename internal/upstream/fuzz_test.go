package upstream_test

import (
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/weir-registry/weir/internal/rule"
	"github.com/weir-registry/weir/internal/upstream"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
)

// FuzzAnswer has a registry write anything into the headers that lead elsewhere. No
// panic, no connection but to public addresses, and the credential stays at home.
func FuzzAnswer(f *testing.F) {
	type said struct{ challenge, location, digest, span string }
	var now atomic.Pointer[said]
	n := upstreamtest.NewNetwork()
	f.Cleanup(n.Close)
	n.Serve("registry.test:443", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		s := now.Load()
		for k, v := range map[string]string{
			"WWW-Authenticate": s.challenge, "Location": s.location, "Docker-Content-Digest": s.digest, "Content-Range": s.span,
		} {
			w.Header().Set(k, v)
		}
		switch {
		case s.location != "":
			w.WriteHeader(http.StatusFound)
		case s.challenge != "":
			w.WriteHeader(http.StatusUnauthorized)
		case s.span != "":
			w.WriteHeader(http.StatusPartialContent)
		}
	}))
	n.Serve("other.test:443", http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != "" {
			f.Error("the credential went elsewhere")
		}
	}))
	for _, s := range []string{
		`Bearer realm="https://other.test/token",service="s",scope="x"`, `Basic realm="x"`, `Bearer realm="`, `Bearer realm="\`, `a=b,c d=`,
	} {
		f.Add(s, "", "", "")
	}
	for _, s := range []string{"https://127.0.0.1/", "//[::1]/", "https://other.test/x?y", "https://0x7f.1/", "https://7.0.0.1/", "https://u@other.test:443/", "/v2/a/blobs/x"} {
		f.Add("", s, "", "")
	}
	f.Add("", "", "sha256:", "bytes 5-9/10")
	f.Fuzz(func(t *testing.T, challenge, location, digest, span string) {
		now.Store(&said{challenge, location, digest, span})
		c, err := upstream.New(upstream.Options{
			Hosts:   map[string]upstream.Host{"registry.test": {CA: n.CA(), Proxy: "direct"}},
			Resolve: n.Resolve, Dial: n.Dial,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		up := c.Registry("registry.test", rule.Generic, credential)
		if _, err := up.Manifest(t.Context(), "app", tag); err == nil {
			t.Error("a manifest came out of nothing")
		}
		if body, start, _, err := up.Blob(t.Context(), "app", "sha256:x", 5, -1); err == nil {
			body.Close()
			if start != 5 && start != 0 {
				t.Errorf("a body from byte %d", start)
			}
		}
		for _, d := range n.Dials() {
			to, err := netip.ParseAddrPort(d)
			if err != nil || !to.Addr().IsGlobalUnicast() || to.Addr().IsPrivate() { // public ones may be dialled
				t.Fatalf("dialled %s", d)
			}
		}
	})
}
