package pullthrough_test

import (
	"bytes"
	"context"
	"io"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

// gate is a body that goes on when it is closed.
type gate chan struct{}

func (g gate) Read([]byte) (int, error) {
	<-g
	return 0, io.EOF
}

// gated has all blobs stop in the middle.
func (s *script) gated() gate {
	g := make(gate)
	s.opening(func(_ context.Context, _ digest.Digest, data []byte, offset, _ int64) (io.ReadCloser, int64, int64, error) {
		rest := data[offset:]
		return io.NopCloser(io.MultiReader(bytes.NewReader(rest[:len(rest)/2]), g, bytes.NewReader(rest[len(rest)/2:]))), offset, int64(len(data)), nil
	})
	return g
}

// remove deletes a repository as the registry does.
func (w *world) remove(repo string) {
	w.t.Helper()
	if err := w.cache.Revoke(w.t.Context(), repo); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.db.DeleteRepository(w.t.Context(), repo, true); err != nil {
		w.t.Fatal(err)
	}
}

// TestDeletedMeanwhile: a blob that ends after its repository was deleted does not make it
// again; its readers, and other repositories, have it.
func TestDeletedMeanwhile(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		up.image("app", "v1", 1, 1, 100)
		if _, err := w.tag("hub/app", "v1"); err != nil {
			t.Fatal(err)
		}
		d, data := up.blob(9, 20*chunk)
		g := up.gated()
		var readers sync.WaitGroup
		for _, repo := range []string{"hub/app", "hub/other"} {
			readers.Go(func() {
				if got, err := w.pull(repo, d); err != nil || !bytes.Equal(got, data) {
					t.Errorf("%s: %d bytes, %v", repo, len(got), err)
				}
			})
		}
		synctest.Wait()
		w.remove("hub/app")
		close(g)
		readers.Wait()
		synctest.Wait()
		if row, err := w.db.DescribeRepository(t.Context(), "hub/app"); errs.CodeOf(err) != errs.RepoUnknown {
			t.Errorf("it is there again: %+v, %v", row, err)
		}
		if b, err := w.db.Blob(t.Context(), "hub/other", d); err != nil || !b.Linked || !b.Held {
			t.Errorf("the other's: %+v, %v", b, err)
		}
		up.opening(nil)
		if got, err := w.pull("hub/app", d); err != nil || !bytes.Equal(got, data) {
			t.Errorf("who asks again: %d bytes, %v", len(got), err)
		}
	})
}

// TestPrefetchOfDeleted: what is still to be fetched of an image goes with it.
func TestPrefetchOfDeleted(t *testing.T) {
	r := hub("hub")
	r.Prefetch = rule.PrefetchLayer
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		img := up.image("app", "v1", 1, 14, 2*chunk) // more layers than come at once
		if a, err := w.tag("hub/app", "v1"); err != nil {
			t.Fatal(err)
		} else {
			w.cache.Pulled(w.scope("hub/app"), oci.Reference{Tag: "v1"}, a.Manifest)
		}
		edges, err := img.manifest.Edges()
		if err != nil {
			t.Fatal(err)
		}
		g := up.gated()
		var reader sync.WaitGroup
		reader.Go(func() {
			if _, err := w.pull("hub/app", edges.Blobs()[1].Digest); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		w.remove("hub/app")
		close(g)
		reader.Wait()
		synctest.Wait()
		if row, err := w.db.DescribeRepository(t.Context(), "hub/app"); errs.CodeOf(err) != errs.RepoUnknown {
			t.Errorf("it is there again: %+v, %v", row, err)
		}
	}, r)
}
