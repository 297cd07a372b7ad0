package e2e

import (
	"archive/tar"
	"bytes"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// pushed is an image at the upstream: an index of two platforms, of which the
// machine's own runs and prints its greeting.
type pushed struct {
	index, child string   // digests: the index, and the image of this platform in it
	blobs        []string // digests of this platform's config and layers
	size         int64    // of these blobs and both manifests
	greeting     string
}

// cold is what pulling this platform's image with an empty cache costs: one
// token, each manifest and each blob once; no HEAD, no ping. The first request of
// all goes without a token and learns where to get one.
func (p *pushed) cold(repo, tag string, first bool) []string {
	want := []string{
		"200 token repository:" + repo + ":pull",
		"200 GET " + repo + "/manifests/" + tag,
		"200 GET " + repo + "/manifests/index:child",
	}
	if first {
		want = append(want, "401 GET "+repo+"/manifests/"+tag)
	}
	for i := range p.blobs {
		want = append(want, fmt.Sprintf("307 GET %s/blobs/%s", repo, blobName(i)), "200 cdn "+blobName(i))
	}
	return want
}

func blobName(i int) string {
	if i == 0 {
		return "config"
	}
	return fmt.Sprintf("layer-%d", i)
}

// other is the platform that this machine is not.
func other() string {
	if runtime.GOARCH == "arm64" {
		return "amd64"
	}
	return "arm64"
}

// push builds the image, whose greeting decides its bytes, and pushes it. The
// traffic's lines call its digests by name from then on.
func (u *upstream) push(t *testing.T, repo, tag, greeting string) *pushed {
	t.Helper()
	native, err := helloImage(t, runtime.GOARCH, greeting)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := helloImage(t, other(), greeting)
	if err != nil {
		t.Fatal(err)
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for arch, img := range map[string]v1.Image{runtime.GOARCH: native, other(): foreign} {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	}
	// To docker-registry itself: what a test pushes is no traffic of weir's.
	ref, err := name.ParseReference(u.back+"/"+repo+":"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	auth := remote.WithAuth(&authn.Basic{Username: upstreamUser, Password: upstreamPassword})
	if err := remote.WriteIndex(ref, index, auth, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	p, err := describe(index, native, greeting)
	if err != nil {
		t.Fatal(err)
	}
	u.take() // the push's tokens
	u.mu.Lock()
	defer u.mu.Unlock()
	clear(u.names)
	u.names[p.index], u.names[p.child] = "index", "index:child"
	for i, digest := range p.blobs {
		u.names[digest] = blobName(i)
	}
	return p
}

// tag makes another tag for an image that is there.
func (u *upstream) tag(t *testing.T, repo, tag string, img *pushed) {
	t.Helper()
	ref, err := name.NewDigest(u.back+"/"+repo+"@"+img.index, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	auth := remote.WithAuth(&authn.Basic{Username: upstreamUser, Password: upstreamPassword})
	desc, err := remote.Get(ref, auth, remote.WithContext(t.Context()))
	if err == nil {
		err = remote.Tag(ref.Context().Tag(tag), desc, auth, remote.WithContext(t.Context()))
	}
	if err != nil {
		t.Fatal(err)
	}
	u.take()
}

func describe(index v1.ImageIndex, native v1.Image, greeting string) (*pushed, error) {
	p := &pushed{greeting: greeting}
	top, err := index.Digest()
	if err != nil {
		return nil, err
	}
	child, err := native.Digest()
	if err != nil {
		return nil, err
	}
	raw, err := index.RawManifest()
	if err != nil {
		return nil, err
	}
	childRaw, err := native.RawManifest()
	if err != nil {
		return nil, err
	}
	m, err := native.Manifest()
	if err != nil {
		return nil, err
	}
	p.index, p.child, p.size = top.String(), child.String(), int64(len(raw)+len(childRaw))
	for _, d := range append([]v1.Descriptor{m.Config}, m.Layers...) {
		p.blobs = append(p.blobs, d.Digest.String())
		p.size += d.Size
	}
	return p, nil
}

// helloImage is an image of three layers: a static program that prints its
// arguments, and two of bytes that do not compress.
func helloImage(t *testing.T, arch, greeting string) (v1.Image, error) {
	bin := filepath.Join(t.TempDir(), "hello")
	if err := buildStatic(bin, "./testdata/hello"); err != nil {
		return nil, err
	}
	hello, err := os.ReadFile(bin)
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err = mutate.ConfigFile(img, &v1.ConfigFile{Architecture: arch, OS: "linux", Created: v1.Time{Time: time.Unix(1, 0)},
		RootFS: v1.RootFS{Type: "layers"}, Config: v1.Config{Entrypoint: []string{"/hello"}, Cmd: []string{greeting}}})
	if err != nil {
		return nil, err
	}
	for _, f := range []struct {
		name string
		body []byte
	}{
		{"hello", hello},
		{"large", noise(arch+greeting, 3<<20)},
		{"small", noise(greeting+arch, 300<<10)},
	} {
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return oneFile(f.name, f.body) },
			tarball.WithMediaType(types.OCILayer))
		if err != nil {
			return nil, err
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			return nil, err
		}
	}
	return img, nil
}

// noise is n bytes that depend on seed alone.
func noise(seed string, n int) []byte {
	h := fnv.New64a()
	io.WriteString(h, seed)
	var key [32]byte
	copy(key[:], h.Sum(nil))
	b := make([]byte, n)
	rand.NewChaCha8(key).Read(b)
	return b
}

func oneFile(name string, body []byte) (io.ReadCloser, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(body))}); err != nil {
		return nil, err
	}
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	return io.NopCloser(&b), w.Close()
}
