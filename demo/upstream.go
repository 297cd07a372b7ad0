package main

import (
	"fmt"
	"io"
	"log"
	"maps"
	"math/rand"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// cost is requests by what they are.
type cost map[string]int

func (c cost) String() string {
	if len(c) == 0 {
		return "no request"
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(c)) {
		parts = append(parts, fmt.Sprintf("%d x %s", c[k], k))
	}
	return strings.Join(parts, ", ")
}

// upstream is a registry on loopback that counts, and that can go away.
type upstream struct {
	addr       string
	repository string
	handler    http.Handler
	images     map[string]v1.Image // by architecture
	server     *http.Server

	mu       sync.Mutex
	requests cost
	bytes    int64
}

func newUpstream() (*upstream, error) {
	u := &upstream{
		addr:       "127.0.0.1:0",
		repository: "team/hello",
		requests:   cost{},
		handler:    registry.New(registry.Logger(log.New(io.Discard, "", 0))),
		images:     map[string]v1.Image{},
	}
	return u, u.start()
}

// start listens, from the second time on at the same address.
func (u *upstream) start() error {
	l, err := net.Listen("tcp", u.addr)
	if err != nil {
		return err
	}
	u.addr = l.Addr().String()
	u.server = &http.Server{Handler: http.HandlerFunc(u.serve)}
	go u.server.Serve(l)
	return nil
}

// stop closes the listener and every connection: from now on they are refused.
func (u *upstream) stop() { u.server.Close() }

func (u *upstream) tag() string { return u.repository + ":latest" }

// serve counts before anything leaves, so that what a client has is counted.
func (u *upstream) serve(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	u.requests[kind(r)]++
	u.mu.Unlock()
	u.handler.ServeHTTP(&counter{w, u}, r)
}

// kind is what a request is, without names and digests.
func kind(r *http.Request) string {
	_, ref, manifest := strings.Cut(r.URL.Path, "/manifests/")
	switch {
	case manifest && r.Method == http.MethodHead:
		return "HEAD manifest"
	case manifest && strings.Contains(ref, ":"):
		return r.Method + " manifest by digest"
	case manifest:
		return r.Method + " manifest by tag"
	case strings.Contains(r.URL.Path, "/blobs/"):
		return r.Method + " blob"
	}
	return r.Method + " " + r.URL.Path
}

type counter struct {
	http.ResponseWriter
	u *upstream
}

func (c *counter) Write(p []byte) (int, error) {
	c.u.mu.Lock()
	c.u.bytes += int64(len(p))
	c.u.mu.Unlock()
	return c.ResponseWriter.Write(p)
}

// take returns what was asked and sent since it was last called.
func (u *upstream) take() (cost, int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	c, n := u.requests, u.bytes
	u.requests, u.bytes = cost{}, 0
	return c, n
}

// fill pushes an image for two platforms.
func (u *upstream) fill() (image, error) {
	for i, arch := range []string{"amd64", "arm64"} {
		img, err := random.Image(2<<20, 4, random.WithSource(rand.NewSource(int64(i))))
		if err != nil {
			return image{}, err
		}
		u.images[arch] = img
	}
	return u.push()
}

// move pushes images with one more layer under the same tag.
func (u *upstream) move() (image, error) {
	for arch, img := range u.images {
		layer, err := random.Layer(1<<20, "application/vnd.docker.image.rootfs.diff.tar.gzip", random.WithSource(rand.NewSource(int64(len(arch)+int(arch[1])))))
		if err != nil {
			return image{}, err
		}
		if u.images[arch], err = mutate.AppendLayers(img, layer); err != nil {
			return image{}, err
		}
	}
	return u.push()
}

// push writes the index and returns what a client on linux/amd64 is to get.
func (u *upstream) push() (image, error) {
	var index v1.ImageIndex = empty.Index
	for _, arch := range slices.Sorted(maps.Keys(u.images)) {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        u.images[arch],
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	ref, err := name.ParseReference(u.addr + "/" + u.tag())
	if err != nil {
		return image{}, err
	}
	if err := remote.WriteIndex(ref, index); err != nil {
		return image{}, err
	}
	digest, err := index.Digest()
	if err != nil {
		return image{}, err
	}
	want := image{digest: digest.String()}
	m, err := u.images["amd64"].Manifest()
	if err != nil {
		return image{}, err
	}
	want.layers = len(m.Layers)
	want.blobs = len(m.Layers) + 1
	want.bytes = m.Config.Size
	for _, l := range m.Layers {
		want.bytes += l.Size
	}
	return want, nil
}
