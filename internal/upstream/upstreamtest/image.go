package upstreamtest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/oci"
)

// Image is a manifest or an index, with all that it names.
type Image struct {
	oci.Manifest
	Children []Image // of an index, in its order
	Config   []byte  // of a manifest
	Layers   [][]byte
}

// platforms are the first of those that public images have.
var platforms = [...]oci.Platform{
	{OS: "linux", Architecture: "amd64"},
	{OS: "linux", Architecture: "arm64", Variant: "v8"},
	{OS: "linux", Architecture: "arm", Variant: "v7"},
	{OS: "linux", Architecture: "386"},
	{OS: "linux", Architecture: "ppc64le"},
	{OS: "linux", Architecture: "s390x"},
	{OS: "linux", Architecture: "riscv64"},
	{OS: "windows", Architecture: "amd64", OSVersion: "10.0.20348.2762"},
}

// NewImage returns a linux/amd64 image whose layers have exactly the given sizes in
// bytes. Its bytes depend on seed and sizes alone. Layers are noise, no archives.
func NewImage(seed uint64, sizes ...int) Image { return newImage(seed, platforms[0], sizes) }

// NewIndex returns an index of n platforms (at most 8), each an image with layers of
// its own of the given sizes. The first is the image that NewImage makes.
func NewIndex(seed uint64, n int, sizes ...int) Image {
	var img Image
	var children []any
	for i, p := range platforms[:n] {
		child := newImage(seed+uint64(i)<<32, p, sizes)
		img.Children = append(img.Children, child)
		d := descriptor(child.MediaType, child.Raw)
		d["platform"] = p
		children = append(children, d)
	}
	img.Manifest = manifest(oci.MediaTypeIndex, map[string]any{"manifests": children})
	return img
}

func newImage(seed uint64, p oci.Platform, sizes []int) Image {
	rng := rand.NewChaCha8(key(seed))
	var img Image
	layers, diffs := []any{}, []digest.Digest{}
	for _, n := range sizes {
		b := make([]byte, n)
		rng.Read(b)
		img.Layers = append(img.Layers, b)
		layers = append(layers, descriptor("application/vnd.oci.image.layer.v1.tar", b))
		diffs = append(diffs, digest.FromBytes(b))
	}
	img.Config = encode(map[string]any{
		"os": p.OS, "architecture": p.Architecture, "variant": p.Variant,
		"config": map[string]any{"Labels": map[string]string{"seed": fmt.Sprint(seed)}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffs},
	})
	img.Manifest = manifest(oci.MediaTypeManifest, map[string]any{
		"config": descriptor("application/vnd.oci.image.config.v1+json", img.Config),
		"layers": layers,
	})
	return img
}

func key(seed uint64) (k [32]byte) {
	for i := range 8 {
		k[i] = byte(seed >> (8 * i))
	}
	return k
}

func descriptor(mediaType string, b []byte) map[string]any {
	return map[string]any{"mediaType": mediaType, "digest": digest.FromBytes(b), "size": len(b)}
}

func manifest(mediaType string, fields map[string]any) oci.Manifest {
	fields["schemaVersion"], fields["mediaType"] = 2, mediaType
	raw := encode(fields)
	return oci.Manifest{
		Descriptor: oci.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))},
		Raw:        raw,
	}
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps of strings and numbers only
	}
	return b
}

func (img Image) blobs() [][]byte {
	if img.Config == nil {
		return nil
	}
	return append([][]byte{img.Config}, img.Layers...)
}

// Blobs returns config and layers, of an index those of all its children, by digest.
func (img Image) Blobs() map[digest.Digest][]byte {
	all := map[digest.Digest][]byte{}
	for _, b := range img.blobs() {
		all[digest.FromBytes(b)] = b
	}
	for _, child := range img.Children {
		for d, b := range child.Blobs() {
			all[d] = b
		}
	}
	return all
}
