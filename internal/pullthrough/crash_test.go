package pullthrough_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/vfs/vfstest"
)

// crash is the state of both disks at one moment: the database as of its last
// commit, and a possible disk of blobs and spools after the power went away.
type crash struct {
	n    int
	op   string
	db   string // folder
	disk *vfstest.Mem
}

// TestCrash takes the power away after every operation on the disk and every
// commit of the database, of a pull with a move of the tag: what was answered as
// stored is there and right, nothing partial is served, and the next pull works.
func TestCrash(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	synctest.Test(t, func(t *testing.T) {
		log := &vfstest.Log{}
		mem := vfstest.NewMem(log)
		mem.SetTotal(1 << 30)
		w := prepare(t)
		w.fs = mem
		var mu sync.Mutex
		var crashes []crash
		var lastDB string
		snapshots := t.TempDir()
		log.Each(func(n int, op string) {
			mu.Lock()
			defer mu.Unlock()
			if op == "commit" {
				lastDB = filepath.Join(snapshots, fmt.Sprint(n))
				copyDB(t, w.dir, lastDB)
			}
			// The disk is cloned after the database: it is never older.
			crashes = append(crashes, crash{n, op, lastDB, mem.CrashClone(rng)})
		})
		w.commit = func() { log.Add("commit") }
		w.open()
		up := w.ups["hub"]
		v1 := up.image("app", "v1", 1, 2, chunk+500)
		w.wantTag("hub/app", "v1", v1.manifest.Digest, "miss", false)
		w.whole("hub/app", v1)
		<-time.After(day)
		v2 := up.image("app", "v1", 2, 2, chunk+500)
		w.wantTag("hub/app", "v1", v2.manifest.Digest, "miss", false)
		w.whole("hub/app", v2)
		w.close()
		if len(crashes) < 40 {
			t.Fatalf("only %d moments: is everything in the log?", len(crashes))
		}
		t.Logf("%d moments", len(crashes))
		for _, c := range crashes {
			c.check(t, up, v1, v2)
		}
	})
}

func copyDB(t *testing.T, from, to string) {
	if err := os.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"weir.db", "weir.db-wal"} {
		b, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), b, 0o600)
		}
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
}

// check opens what a crash left and pulls.
func (c crash) check(t *testing.T, up *script, images ...image) {
	w := prepare(t)
	w.fs, w.boot = c.disk, "after the crash"
	w.ups["hub"] = up
	if c.db != "" {
		copyDB(t, c.db, w.dir)
	}
	w.open()
	defer w.close()
	fail := func(format string, args ...any) {
		t.Helper()
		t.Errorf("crash after operation %d (%s): %s", c.n, c.op, fmt.Sprintf(format, args...))
	}
	for info, err := range w.store.All(t.Context()) {
		if err != nil {
			fail("list: %v", err)
			break
		}
		if err := w.verify(info.Digest); err != nil {
			fail("in the store: %v", err)
		}
	}
	for _, im := range images {
		for _, d := range append([]digest.Digest{im.config}, im.layers...) {
			row, err := w.db.Blob(t.Context(), "hub/app", d)
			if err != nil {
				fail("row: %v", err)
			} else if err := w.verify(d); row.Held && err != nil {
				fail("the row says that it is held: %v", err)
			}
			if got, err := w.pull("hub/app", d); err != nil || digest.FromBytes(got) != d {
				fail("pull of %s: %d bytes, %v", d, len(got), err)
			}
		}
	}
	a, err := w.tag("hub/app", "v1")
	if err != nil {
		fail("pull of the tag: %v", err)
		return
	}
	if m, err := w.cache.Manifest(t.Context(), w.scope("hub/app"), oci.Reference{Digest: a.Digest}); err != nil || !bytes.Equal(m.Raw, a.Raw) {
		fail("manifest: %v", err)
	}
	synctest.Wait()
	if entries, err := c.disk.ReadDir("spool"); err != nil || len(entries) > 0 {
		fail("%d files are left in the spool folder, %v", len(entries), err)
	}
}

// verify reads a stored blob and compares it with its digest.
func (w *world) verify(d digest.Digest) error {
	r, err := w.store.Open(w.t.Context(), d)
	if err != nil {
		return err
	}
	defer r.Close()
	h := oci.NewHash(d)
	n, err := io.Copy(h, r)
	if err == nil && !oci.SumIs(h, d) {
		err = fmt.Errorf("%d bytes that do not have digest %s", n, d)
	}
	return err
}
