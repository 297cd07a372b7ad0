package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// image is what one platform of an image is.
type image struct {
	digest string // of the index
	layers int
	blobs  int   // config and layers
	bytes  int64 // of the blobs
	cache  string
}

// pull pulls an image for linux/amd64 with a client that has nothing yet. The
// library verifies each digest.
func pull(ctx context.Context, s, user, password string) (image, error) {
	ref, err := name.ParseReference(s)
	if err != nil {
		return image{}, err
	}
	t := &watcher{RoundTripper: remote.DefaultTransport.(*http.Transport).Clone()}
	index, err := remote.Index(ref, remote.WithContext(ctx), remote.WithTransport(t),
		remote.WithAuth(&authn.Basic{Username: user, Password: password}))
	if err != nil {
		return image{}, err
	}
	digest, err := index.Digest()
	if err != nil {
		return image{}, err
	}
	got := image{digest: digest.String(), cache: t.first()}
	m, err := index.IndexManifest()
	if err != nil {
		return image{}, err
	}
	for _, d := range m.Manifests {
		if d.Platform != nil && d.Platform.Architecture == "amd64" {
			img, err := index.Image(d.Digest)
			if err != nil {
				return image{}, err
			}
			err = read(img, &got)
			return got, err
		}
	}
	return image{}, fmt.Errorf("%s has no linux/amd64", s)
}

// read reads every byte of an image.
func read(img v1.Image, got *image) error {
	config, err := img.RawConfigFile()
	if err != nil {
		return err
	}
	got.blobs, got.bytes = 1, int64(len(config))
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	got.layers = len(layers)
	for _, l := range layers {
		body, err := l.Compressed()
		if err != nil {
			return err
		}
		n, err := io.Copy(io.Discard, body)
		body.Close()
		if err != nil {
			return err
		}
		got.blobs++
		got.bytes += n
	}
	return nil
}

// watcher remembers what weir said about the first manifest.
type watcher struct {
	http.RoundTripper
	mu    sync.Mutex
	cache string
}

func (w *watcher) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.RoundTripper.RoundTrip(r)
	if err == nil && strings.Contains(r.URL.Path, "/manifests/") {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.cache == "" {
			w.cache = resp.Header.Get("X-Weir-Cache")
		}
	}
	return resp, err
}

func (w *watcher) first() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cache
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
