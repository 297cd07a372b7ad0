package retain_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/blob"
	"github.com/weir-registry/weir/internal/blob/disk"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/retain"
	"github.com/weir-registry/weir/internal/vfs"
)

// now is when the tests happen: far from the real time, so that the sweep at the start,
// which goes by that, finds nothing old.
var now = time.Date(2126, 3, 1, 12, 0, 0, 0, time.UTC)

// world is a registry's rows and bytes, without faces.
type world struct {
	changes changes // told by a Lifecycle
	t       *testing.T
	fs      vfs.FS
	folder  string // of the database
	commit  func() // after each commit of the database
	log     *bytes.Buffer

	db     *meta.DB
	store  *disk.Store
	spools *blob.Spools
	sweep  *retain.Sweeper
}

// open opens what is in fs and folder. The sweep at its start is over then.
func (w *world) open() *world {
	w.t.Helper()
	var err error
	w.db, err = meta.Open(w.t.Context(), meta.Options{Path: filepath.Join(w.folder, "weir.db"), OnCommit: w.commit})
	w.must(err)
	w.store, err = disk.Open(w.fs)
	w.must(err)
	w.spools, err = blob.OpenSpools(blob.SpoolsOptions{FS: w.fs, Dir: "spool", KeepFree: func(int64) int64 { return 0 }})
	w.must(err)
	w.log = &bytes.Buffer{}
	w.sweep = retain.Run(retain.Options{
		DB: w.db, Store: w.store, Every: 1000 * time.Hour,
		Grace: time.Hour, Idle: 24 * time.Hour, Logger: slog.New(slog.NewTextHandler(w.log, nil)),
	})
	return w
}

func (w *world) close() {
	w.sweep.Close()
	w.must(w.db.Close())
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// newWorld is one on the real disk.
func newWorld(t *testing.T) *world {
	t.Helper()
	fs, err := vfs.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := (&world{t: t, fs: fs, folder: t.TempDir()}).open()
	t.Cleanup(func() {
		w.close()
		w.must(fs.Close())
	})
	return w
}

// bring stores bytes and links them, as a push or an ingest does.
func (w *world) bring(repo, data string, at time.Time) (digest.Digest, error) {
	ctx := w.t.Context()
	d := digest.FromString(data)
	sp, err := w.spools.Open(blob.Key{Host: "up.test", Digest: d}, int64(len(data)))
	if err != nil {
		return d, err
	}
	if _, err := io.WriteString(sp, data); err != nil {
		return d, err
	}
	if err := w.db.Claim(ctx, d, at); err != nil {
		return d, err
	}
	if err := w.store.Commit(ctx, sp); err != nil {
		return d, err
	}
	return d, w.db.PutBlob(ctx, d, int64(len(data)), false, []string{repo}, at)
}

// image is a manifest of layers, which are in repo.
func image(layers ...string) (*oci.Manifest, oci.Edges) {
	var list []map[string]any
	for _, l := range layers {
		list = append(list, map[string]any{"mediaType": "application/octet-stream", "digest": digest.FromString(l), "size": len(l)})
	}
	raw, err := json.Marshal(map[string]any{"schemaVersion": 2, "layers": list})
	if err != nil {
		panic(err)
	}
	m := &oci.Manifest{Raw: raw, Descriptor: oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: digest.FromBytes(raw), Size: int64(len(raw))}}
	e, err := m.Edges()
	if err != nil {
		panic(err)
	}
	return m, e
}

// push brings layers and their manifest.
func (w *world) push(repo string, at time.Time, layers ...string) (digest.Digest, error) {
	for _, l := range layers {
		if _, err := w.bring(repo, l, at); err != nil {
			return "", err
		}
	}
	m, e := image(layers...)
	_, err := w.db.PutManifest(w.t.Context(), repo, m, e, "", at)
	return m.Digest, err
}

// read opens a blob as a client of repo gets it, and reads it.
func (w *world) read(repo, data string) error {
	d := digest.FromString(data)
	row, err := w.db.Blob(w.t.Context(), repo, d)
	if err != nil {
		return err
	}
	if !row.Held || !row.Linked {
		return fmt.Errorf("%q is %+v in %s", data, row, repo)
	}
	r, err := w.store.Open(w.t.Context(), d)
	if err != nil {
		return err
	}
	defer r.Close()
	return same(r, data)
}

func same(r io.Reader, data string) error {
	got, err := io.ReadAll(r)
	if err == nil && string(got) != data {
		err = fmt.Errorf("%d bytes, not those of %.10q", len(got), data)
	}
	return err
}

// files returns how many blobs the store has.
func (w *world) files(ctx context.Context) (n int) {
	w.t.Helper()
	for _, err := range w.store.All(ctx) {
		w.must(err)
		n++
	}
	return n
}
