package upstreamtest_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
)

// get asks by the plain client of net/http, which follows redirects.
func get(t *testing.T, c *http.Client, url string, header ...string) (int, string, error) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

// client reaches a Network's hosts by name, without a guard.
func client(n *upstreamtest.Network) *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(n.CA())
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext:     n.DialName,
	}}
}

func TestLoopback(t *testing.T) {
	reg := upstreamtest.New(upstreamtest.Options{Redirect: true})
	img := upstreamtest.NewImage(1, 100_000)
	reg.Push("app", "v1", img)
	site := reg.Listen(t)
	c := &http.Client{Transport: &http.Transport{}}
	defer c.CloseIdleConnections()
	d := digest.FromBytes(img.Layers[0])

	if status, body, err := get(t, c, site.URL+"/v2/app/manifests/v1"); status != 200 || body != string(img.Raw) || err != nil {
		t.Errorf("manifest: %d %q %v", status, body, err)
	}
	if status, body, err := get(t, c, site.URL+"/v2/app/blobs/"+d.String(), "Range", "bytes=10-19"); status != 206 || body != string(img.Layers[0][10:20]) || err != nil {
		t.Errorf("range: %d %q %v", status, body, err)
	}
	want := []string{
		"GET /v2/app/manifests/v1",
		"GET /v2/app/blobs/" + d.String() + " bytes=10-19",
		"GET /cdn/app/blobs/" + d.String() + " bytes=10-19",
	}
	if diff := cmp.Diff(want, reg.Requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := upstreamtest.NewNetwork()
		defer n.Close()
		reg := upstreamtest.New(upstreamtest.Options{Auth: upstreamtest.Token, TokenLife: time.Minute})
		reg.Push("app", "v1", upstreamtest.NewImage(1))
		site := reg.On(n, "registry.test")
		c := client(n)
		defer c.CloseIdleConnections()

		ask := func(token string) int {
			status, _, err := get(t, c, site.URL+"/v2/app/manifests/v1", "Authorization", "Bearer "+token)
			if err != nil {
				t.Fatal(err)
			}
			return status
		}
		_, body, err := get(t, c, site.Realm+"?service=upstreamtest&scope=repository:app:pull")
		if err != nil {
			t.Fatal(err)
		}
		token := strings.Split(body, `"`)[5]
		if got := []int{ask("no"), ask(token)}; !cmp.Equal(got, []int{401, 200}) {
			t.Errorf("statuses %v; token answer %s", got, body)
		}
		<-time.After(time.Minute) // fake
		if got := ask(token); got != 401 {
			t.Errorf("expired token: %d", got)
		}
	})
}

func TestFaults(t *testing.T) {
	img := upstreamtest.NewImage(1, 100_000)
	layer := string(img.Layers[0])
	path := "/v2/app/blobs/" + digest.FromString(layer).String()
	for _, test := range []struct {
		name   string
		fault  upstreamtest.Fault
		status int
		bytes  int // of the body that arrive
		whole  bool
	}{
		{"none", upstreamtest.Fault{}, 200, 100_000, true},
		{"cut at the first byte", upstreamtest.Fault{Cut: true}, 200, 0, false},
		{"cut in the middle", upstreamtest.Fault{Cut: true, At: 50_000}, 200, 50_000, false},
		{"cut behind the last byte of a body without length", upstreamtest.Fault{Cut: true, At: 100_000, NoLength: true}, 200, 100_000, false},
		{"stalled until released", upstreamtest.Fault{Stall: true, At: 50_000}, 200, 100_000, true},
		{"status", upstreamtest.Fault{Status: 503, Body: "away"}, 503, 4, true},
		{"page", upstreamtest.HTML(), 200, len(upstreamtest.HTML().Body), true},
		{"no length", upstreamtest.Fault{NoLength: true}, 200, 100_000, true},
		{"short of its length", upstreamtest.Fault{Length: 100_001}, 200, 100_000, false},
		{"other path", upstreamtest.Fault{Path: "/manifests/", Status: 500}, 200, 100_000, true},
		{"later request", upstreamtest.Fault{Skip: 1, Status: 500}, 200, 100_000, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := upstreamtest.NewNetwork()
				defer n.Close()
				reg := upstreamtest.New(upstreamtest.Options{})
				reg.Push("app", "v1", img)
				site := reg.On(n, "registry.test:5000")
				reg.Script(test.fault)
				c := client(n)
				defer c.CloseIdleConnections()
				defer time.AfterFunc(time.Hour, reg.Release).Stop()
				status, body, err := get(t, c, site.URL+path)
				if status != test.status || len(body) != test.bytes || (err == nil) != test.whole {
					t.Errorf("%d, %d bytes, %v", status, len(body), err)
				}
				if test.whole && test.bytes == len(layer) && body != layer {
					t.Error("other bytes")
				}
			})
		})
	}
}

// What images are depends on the seed alone, or pinned tests would drift.
func TestImages(t *testing.T) {
	a, b := upstreamtest.NewIndex(7, 3, 10, 20), upstreamtest.NewIndex(7, 3, 10, 20)
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("same seed, other index:\n%s", diff)
	}
	if c := upstreamtest.NewIndex(8, 3, 10, 20); c.Digest == a.Digest {
		t.Error("other seed, same index")
	}
	if n := len(a.Blobs()); n != 9 {
		t.Errorf("%d blobs", n)
	}
	e, err := a.Edges()
	if err != nil || len(e.Children()) != 3 || !e.Index {
		t.Errorf("edges %v, %v", e, err)
	}
	e, err = a.Children[1].Edges()
	if err != nil || len(e.Blobs()) != 3 || e.Blobs()[2].Size != 20 {
		t.Errorf("edges of a child %v, %v", e, err)
	}
}
