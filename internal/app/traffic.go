package app

import (
	"context"
	"io"
	"net/http"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/held"
	"github.com/weir-registry/weir/internal/httpx"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/pullthrough"
	"github.com/weir-registry/weir/internal/traffic"
)

// served counts an answer to a client, for metrics and for the traffic of its rule.
func (w *Weir) served(rw *httpx.ResponseWriter) {
	w.metrics.Served(rw.Cache, rw.Status(), rw.Bytes())
	if rw.Content && rw.Status() < http.StatusBadRequest {
		w.traffic.Served(rw.Rule, rw.Kept, rw.Bytes())
	}
}

// counted is a rule's upstream whose manifests and blobs are counted as they come.
type counted struct {
	pullthrough.Upstream
	traffic *traffic.Counter
	rule    string
}

func (c counted) Manifest(ctx context.Context, repo string, ref oci.Reference) (*oci.Manifest, error) {
	m, err := c.Upstream.Manifest(ctx, repo, ref)
	if err == nil {
		c.traffic.Received(c.rule, int64(len(m.Raw)))
	}
	return m, err
}

func (c counted) Blob(ctx context.Context, repo string, d digest.Digest, offset, n int64) (body io.ReadCloser, start, total int64, err error) {
	body, start, total, err = c.Upstream.Blob(ctx, repo, d, offset, n)
	if err == nil {
		body = countedBody{body, c}
	}
	return body, start, total, err
}

type countedBody struct {
	io.ReadCloser
	c counted
}

func (b countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.c.traffic.Received(b.c.rule, int64(n))
	return n, err
}

// openHeld starts to know what is held.
func (w *Weir) openHeld() {
	w.held = held.New(func(ctx context.Context) (blobs, bytes int64, err error) {
		n, err := w.db.Held(ctx)
		return n.Blobs, n.Bytes, err
	}, w.log)
	w.closers = append(w.closers, func() error { w.held.Close(); return nil })
}

// space is what is held, how much room there is, and how much of it is to stay.
func (w *Weir) space() (admin.Space, error) {
	free, total, err := w.dir.Space()
	n := w.held.Held()
	return admin.Space{Blobs: n.Blobs, Bytes: n.Bytes, Counted: n.At, Free: free, Total: total, Keep: w.config.Storage.KeepFree.Of(total)}, err
}
