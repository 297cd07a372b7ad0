package upstream_test

import (
	"bytes"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
	"github.com/weir-registry/weir/internal/upstream"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
)

func newClient(t *testing.T, hosts map[string]upstream.Host) *upstream.Client {
	t.Helper()
	c, err := upstream.New(upstream.Options{Hosts: hosts})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// The whole of a pull on real sockets, everything listed by its exact port.
func TestLoopback(t *testing.T) {
	reg := upstreamtest.New(upstreamtest.Options{Auth: upstreamtest.Token, Users: map[string]string{user: secret}, Redirect: true})
	img := upstreamtest.NewImage(5, 1<<20, 10)
	reg.Push("app", "v1", img)
	site := reg.Listen(t)
	c := newClient(t, map[string]upstream.Host{"registry.example": {
		Endpoints: []string{site.URL}, AllowHosts: site.Allow, Realms: []string{site.Realm}, Proxy: "direct",
	}})
	up := c.Registry("registry.example", rule.Generic, credential)
	m, err := up.Manifest(t.Context(), "app", tag)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(img.Manifest, *m); diff != "" {
		t.Errorf("manifest (-want +got):\n%s", diff)
	}
	var wg sync.WaitGroup
	for d, want := range img.Blobs() {
		wg.Go(func() {
			body, _, total, err := up.Blob(t.Context(), "app", d, 0, -1)
			if err != nil {
				t.Error(err)
				return
			}
			defer body.Close()
			if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, want) || total != int64(len(want)) {
				t.Errorf("%s: %d bytes of %d, %v", d, len(got), total, err)
			}
		})
	}
	wg.Wait()
	slices.Sort(site.Allow)
	if diff := cmp.Diff(site.Allow, up.Hosts()); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
}

// Manifests share a connection by HTTP/2; each blob has one of its own by HTTP/1.1.
func TestProtocols(t *testing.T) {
	img := upstreamtest.NewImage(6, 1000)
	reg := upstreamtest.New(upstreamtest.Options{})
	reg.Push("app", "v1", img)
	var mu sync.Mutex
	protos := map[string]string{}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		protos[strings.Split(req.URL.Path, "/")[3]] = req.Proto
		mu.Unlock()
		reg.ServeHTTP(w, req)
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	c := newClient(t, map[string]upstream.Host{"registry.example": {Endpoints: []string{srv.URL}, CA: ca, Proxy: "direct"}})
	up := c.Registry("registry.example", rule.Generic, nil)
	if _, err := up.Manifest(t.Context(), "app", tag); err != nil {
		t.Fatal(err)
	}
	body, _, _, err := up.Blob(t.Context(), "app", digest.FromBytes(img.Layers[0]), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	body.Close()
	if diff := cmp.Diff(map[string]string{"manifests": "HTTP/2.0", "blobs": "HTTP/1.1"}, protos); diff != "" {
		t.Errorf("protocols (-want +got):\n%s", diff)
	}
}

// A registry that others wrote.
func TestForeignRegistry(t *testing.T) {
	srv := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer srv.Close()
	img := upstreamtest.NewIndex(7, 2, 50_000, 10)
	put := func(path, mediaType string, b []byte) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, srv.URL+path, bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", mediaType)
		res, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusCreated {
			t.Fatalf("PUT %s: %s", path, res.Status)
		}
	}
	for d, b := range img.Blobs() {
		res, err := srv.Client().Post(srv.URL+"/v2/team/app/blobs/uploads/", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		put(res.Header.Get("Location")+"?digest="+d.String(), "application/octet-stream", b)
	}
	for _, child := range img.Children {
		put("/v2/team/app/manifests/"+child.Digest.String(), child.MediaType, child.Raw)
	}
	put("/v2/team/app/manifests/v1", img.MediaType, img.Raw)

	up := newClient(t, map[string]upstream.Host{"registry.example": {Endpoints: []string{srv.URL}, Proxy: "direct"}}).
		Registry("registry.example", rule.Generic, nil)
	head, err := up.Head(t.Context(), "team/app", tag)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(img.Descriptor, head); diff != "" {
		t.Errorf("HEAD (-want +got):\n%s", diff)
	}
	for _, want := range append(img.Children, img) {
		m, err := up.Manifest(t.Context(), "team/app", oci.Reference{Digest: want.Digest})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.Manifest, *m); diff != "" {
			t.Errorf("manifest (-want +got):\n%s", diff)
		}
	}
	for d, want := range img.Blobs() {
		size := int64(len(want))
		for _, part := range []struct{ offset, n int64 }{{0, -1}, {0, 1}, {5, size - 5}} {
			body, start, _, err := up.Blob(t.Context(), "team/app", d, part.offset, part.n)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(body)
			body.Close()
			end := size
			if part.n >= 0 {
				end = part.offset + part.n
			}
			if err != nil || start != part.offset || !bytes.Equal(got, want[start:end]) {
				t.Errorf("%s %v: %d bytes from %d, %v", d, part, len(got), start, err)
			}
		}
		// It does not know ranges without an end: no wrong bytes, but an error that tells.
		if _, _, _, err := up.Blob(t.Context(), "team/app", d, 5, -1); errs.CodeOf(err) != errs.RangeInvalid {
			t.Errorf("open range: %v", err)
		}
	}
	for code, ask := range map[errs.Code]func() error{
		errs.ManifestUnknown: func() error { _, err := up.Manifest(t.Context(), "team/app", oci.Reference{Tag: "v2"}); return err },
		errs.BlobUnknown: func() error {
			_, _, _, err := up.Blob(t.Context(), "team/app", digest.FromString("x"), 0, -1)
			return err
		},
	} {
		if err := ask(); errs.CodeOf(err) != code {
			t.Errorf("%v, want %v", err, code)
		}
	}
}
