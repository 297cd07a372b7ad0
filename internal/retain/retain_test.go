package retain_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/blob"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/retain"
	"github.com/weir-registry/weir/internal/vfs"
)

// swept sweeps at a time and compares what went.
func (w *world) swept(at time.Time, want retain.Swept) {
	w.t.Helper()
	got, err := w.sweep.Sweep(w.t.Context(), at)
	w.must(err)
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("swept at %s (-want +got):\n%s", at, diff)
	}
}

func (w *world) reads(repo string, blobs ...string) {
	w.t.Helper()
	for _, b := range blobs {
		if err := w.read(repo, b); err != nil {
			w.t.Error(err)
		}
	}
}

const (
	hour = time.Hour
	day  = 24 * hour
)

// TestSweep: what a deletion frees goes, as far as nothing else has it.
func TestSweep(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	one, err := w.push("r", now, "base", "one")
	w.must(err)
	_, err = w.push("r", now, "base", "two")
	w.must(err)
	_, err = w.push("s", now, "one", "three")
	w.must(err)
	_, err = w.bring("r", "nobody names it", now)
	w.must(err)
	w.swept(now.Add(2*hour), retain.Swept{})

	_, err = w.db.DeleteManifest(ctx, "r", one, now.Add(3*hour))
	w.must(err)
	w.swept(now.Add(day-1), retain.Swept{}) // another push may count on what came
	w.reads("r", "base", "one", "two", "nobody names it")
	w.swept(now.Add(day), retain.Swept{Links: 2, Blobs: 1, Bytes: int64(len("nobody names it"))})
	w.reads("r", "base", "two")
	w.reads("s", "one", "three")
	if w.read("r", "one") == nil {
		t.Error("what no manifest of r names is still served there")
	}
	w.swept(now.Add(2*day), retain.Swept{})

	_, err = w.db.DeleteRepository(ctx, "s", true)
	w.must(err)
	w.swept(now.Add(2*day), retain.Swept{Blobs: 2, Bytes: int64(len("one") + len("three"))})
	w.reads("r", "base", "two")
	if n := w.files(ctx); n != 2 {
		t.Errorf("%d blobs are in the store", n)
	}
	_, err = w.push("s", now.Add(2*day), "one")
	w.must(err)
	w.reads("s", "one")

	total := w.sweep.Totals()
	if want := (retain.Swept{Links: 2, Blobs: 3, Bytes: int64(len("nobody names it") + len("one") + len("three"))}); total.Swept != want || total.Last.IsZero() {
		t.Errorf("totals are %+v", total)
	}
	w.sweep.Close()
	if line := fmt.Sprintf("msg=swept uploads=0 links=0 blobs=2 bytes=%d", len("one")+len("three")); !strings.Contains(w.log.String(), line) {
		t.Errorf("no line %q in the log:\n%s", line, w.log)
	}
}

// TestReaders, on the real file system: a reader reads to the end what is swept under
// it, and a client that got a manifest within the hour gets its blobs.
func TestReaders(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	large := strings.Repeat("0123456789abcdef", 1<<16)
	m, err := w.push("r", now, large, "layer")
	w.must(err)
	pulled := now.Add(3 * day)
	w.db.Touch("r", "", m, pulled) // not in the database yet
	_, err = w.db.DeleteManifest(ctx, "r", m, pulled.Add(time.Minute))
	w.must(err)
	w.swept(pulled.Add(hour-1), retain.Swept{})
	w.reads("r", large, "layer")

	r, err := w.store.Open(ctx, digest.FromString(large))
	w.must(err)
	defer r.Close()
	half := make([]byte, len(large)/2)
	_, err = io.ReadFull(r, half)
	w.must(err)
	w.swept(pulled.Add(hour), retain.Swept{Links: 2, Blobs: 2, Bytes: int64(len(large) + len("layer"))})
	if n := w.files(ctx); n != 0 {
		t.Errorf("%d blobs are left", n)
	}
	if string(half) != large[:len(half)] {
		t.Error("the first half is wrong")
	}
	w.must(same(r, large[len(half):]))
}

// TestClaimWaits: a commit that meets a blob that is going comes after it is gone.
func TestClaimWaits(t *testing.T) {
	w := newWorld(t)
	_, err := w.bring("r", "b", now)
	w.must(err)
	w.must(w.db.DeleteLink(t.Context(), "r", digest.FromString("b")))
	slow := &slowStore{Store: w.store, begun: make(chan struct{}), goOn: make(chan struct{})}
	sweep := retain.Run(retain.Options{DB: w.db, Store: slow, Every: 1000 * hour, Logger: slog.New(slog.DiscardHandler)})
	defer sweep.Close()
	swept := make(chan error)
	go func() {
		_, err := sweep.Sweep(context.Background(), now.Add(2*day))
		swept <- err
	}()
	<-slow.begun
	brought := make(chan error)
	go func() {
		_, err := w.bring("r", "b", now.Add(2*day))
		brought <- err
	}()
	timer := time.NewTimer(20 * time.Millisecond)
	select {
	case err := <-brought:
		t.Errorf("the commit did not wait: %v", err)
	case <-timer.C:
	}
	close(slow.goOn)
	w.must(<-swept)
	w.must(<-brought)
	w.reads("r", "b")
}

// slowStore waits before its first deletion.
type slowStore struct {
	blob.Store
	begun, goOn chan struct{}
}

func (s *slowStore) Delete(ctx context.Context, d digest.Digest) error {
	close(s.begun)
	<-s.goOn
	return s.Store.Delete(ctx, d)
}

// TestBrokenDisk: what cannot be removed is not served nor lost sight of, the rest
// goes, and who waits for it is told.
func TestBrokenDisk(t *testing.T) {
	w := newWorld(t)
	for _, b := range []string{"a", "b", "c"} {
		_, err := w.bring("r", b, now)
		w.must(err)
		w.must(w.db.DeleteLink(t.Context(), "r", digest.FromString(b)))
	}
	w.sweep.Close()
	broken := &brokenStore{Store: w.store, d: digest.FromString("b"), err: errors.New("broken")}
	var log bytes.Buffer
	sweep := retain.Run(retain.Options{DB: w.db, Store: broken, Every: 1000 * hour, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	swept, err := sweep.Sweep(t.Context(), now.Add(day))
	if !errors.Is(err, broken.err) || swept.Blobs != 2 {
		t.Errorf("swept %+v, %v", swept, err)
	}
	if total := sweep.Totals(); total.Blobs != 2 {
		t.Errorf("totals are %+v", total)
	}
	sweep.Close()
	if n := w.files(t.Context()); n != 1 {
		t.Errorf("%d blobs are left", n)
	}
	synctest.Test(t, func(t *testing.T) {
		err := w.db.Claim(t.Context(), broken.d, now.Add(day))
		if errs.CodeOf(err) != errs.Unavailable {
			t.Errorf("claim of what cannot be removed: %v", err)
		}
	})
	broken.err = nil
	sweep = retain.Run(retain.Options{DB: w.db, Store: broken, Every: 1000 * hour, Logger: slog.New(slog.DiscardHandler)})
	_, err = sweep.Sweep(t.Context(), now) // whatever the time
	w.must(err)
	sweep.Close()
	if n := w.files(t.Context()); n != 0 {
		t.Errorf("%d blobs are left", n)
	}
	_, err = w.bring("r", "b", now.Add(day))
	w.must(err)
}

// brokenStore cannot remove one blob while err is set.
type brokenStore struct {
	blob.Store
	d   digest.Digest
	err error
}

func (s *brokenStore) Delete(ctx context.Context, d digest.Digest) error {
	if d == s.d && s.err != nil {
		return s.err
	}
	return s.Store.Delete(ctx, d)
}

// counter is a log that counts sweeps.
type counter struct{ swept atomic.Int64 }

func (c *counter) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("msg=swept")) {
		c.swept.Add(1)
	}
	return len(p), nil
}

// TestEvery: the first sweep is at the start, and then there is one every so often,
// until Close.
func TestEvery(t *testing.T) {
	fs, err := vfs.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer fs.Close()
	w := (&world{t: t, fs: fs, folder: t.TempDir()}).open()
	defer w.close()
	w.sweep.Close()
	synctest.Test(t, func(t *testing.T) {
		var log counter
		s := retain.Run(retain.Options{DB: w.db, Store: w.store, Every: hour, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for _, want := range []int{1, 2, 3} {
			synctest.Wait()
			if n := int(log.swept.Load()); n != want {
				t.Errorf("%d sweeps, want %d", n, want)
			}
			<-time.After(hour)
		}
		s.Close()
		<-time.After(5 * hour)
		if n := log.swept.Load(); n > 4 {
			t.Errorf("%d sweeps, some after Close", n)
		}
	})
}

// TestUploads: uploads go that nobody has gone on with for long enough, and nobody is
// writing to.
func TestUploads(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.sweep.Close()
	uploads, err := blob.OpenUploads(blob.UploadsOptions{FS: w.fs, Dir: "uploads", KeepFree: func(int64) int64 { return 0 }})
	w.must(err)
	w.must(w.db.CreateRepository(ctx, meta.Repository{Name: "r", Created: now}))
	open := map[string]*blob.Upload{}
	for i, id := range []string{"idle", "open", "young"} {
		u := meta.Upload{ID: id, Repository: "r", Algorithm: digest.SHA256, Started: now, Updated: now.Add(time.Duration(i/2) * hour)}
		w.must(w.db.PutUpload(ctx, u))
		open[id], err = uploads.Open(id, func() (blob.UploadState, error) { return blob.UploadState{Algorithm: digest.SHA256}, nil })
		w.must(err)
		_, err = open[id].Write([]byte("bytes"))
		w.must(err)
	}
	w.must(open["idle"].Close())
	w.must(open["young"].Close())
	w.sweep = retain.Run(retain.Options{DB: w.db, Store: w.store, Uploads: uploads, Every: 1000 * hour, Logger: slog.New(slog.DiscardHandler)})
	w.swept(now.Add(day), retain.Swept{})
	w.swept(now.Add(day+1000), retain.Swept{Uploads: 1})
	w.must(open["open"].Close())
	w.swept(now.Add(day+1000), retain.Swept{Uploads: 1})
	left, err := w.fs.ReadDir("uploads")
	w.must(err)
	if len(left) != 1 || left[0].Name() != "young" {
		t.Errorf("files of uploads that are left: %v", left)
	}
	rows, err := w.db.Uploads(ctx, "", 10)
	w.must(err)
	if len(rows) != 1 || rows[0].ID != "young" {
		t.Errorf("rows that are left: %+v", rows)
	}
}
