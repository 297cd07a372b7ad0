package retain_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/retain"
	"github.com/weir-registry/weir/internal/vfs/vfstest"
)

// crash is the state of both disks at one moment: the database as of its last commit,
// a possible disk of blobs after the power went away, and what had been said by then.
type crash struct {
	n    int
	op   string
	db   string // folder
	disk *vfstest.Mem
	said []string // images that are there, by their layers
}

// TestCrash takes the power away after every operation on the disk and every commit of
// the database, around sweeps and what comes between them: whatever was linked and
// named is there, no row says "held" without bytes, and the next sweep leaves
// nothing that is not needed.
func TestCrash(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	log := &vfstest.Log{}
	mem := vfstest.NewMem(log)
	mem.SetTotal(1 << 30)
	w := &world{t: t, fs: mem, folder: t.TempDir(), commit: func() { log.Add("commit") }}

	var mu sync.Mutex
	var crashes []crash
	var lastDB string
	var said []string
	snapshots := t.TempDir()
	log.Each(func(n int, op string) {
		mu.Lock()
		defer mu.Unlock()
		if op == "commit" {
			lastDB = filepath.Join(snapshots, fmt.Sprint(n))
			copyDB(t, w.folder, lastDB)
		}
		// The disk is cloned after the database: it is never older.
		crashes = append(crashes, crash{n, op, lastDB, mem.CrashClone(rng), slices.Clone(said)})
	})
	say := func(layers string, is bool) {
		mu.Lock()
		defer mu.Unlock()
		said = slices.DeleteFunc(said, func(s string) bool { return s == layers })
		if is {
			said = append(said, layers)
		}
	}
	w.open()
	w.history(say)
	w.close()
	if len(crashes) < 100 {
		t.Fatalf("only %d moments: is everything in the log?", len(crashes))
	}
	t.Logf("%d moments", len(crashes))
	for _, c := range crashes {
		c.check(t)
	}
}

// layersOf are the layers of an image that a history calls s: each letter is one.
func layersOf(s string) (layers []string) {
	for _, c := range s {
		layers = append(layers, fmt.Sprintf("layer %c, %0300d", c, c))
	}
	return layers
}

// history pushes, deletes, sweeps and pushes again.
func (w *world) history(say func(image string, is bool)) {
	w.t.Helper()
	ctx := w.t.Context()
	push := func(repo, s string, at time.Time) {
		w.t.Helper()
		_, err := w.push(repo, at, layersOf(s)...)
		w.must(err)
		say(repo+" "+s, true)
	}
	drop := func(repo, s string, at time.Time) {
		w.t.Helper()
		say(repo+" "+s, false)
		m, _ := image(layersOf(s)...)
		_, err := w.db.DeleteManifest(ctx, repo, m.Digest, at)
		w.must(err)
	}
	sweep := func(at time.Time, links, blobs int) {
		w.t.Helper()
		got, err := w.sweep.Sweep(ctx, at)
		w.must(err)
		got.Bytes = 0
		if want := (retain.Swept{Links: links, Blobs: blobs}); got != want {
			w.t.Errorf("swept %+v, want %+v", got, want)
		}
	}
	push("r", "ab", now)
	push("r", "bc", now)
	push("s", "cd", now)
	_, err := w.bring("r", layersOf("x")[0], now) // nobody names it
	w.must(err)
	drop("r", "ab", now)
	drop("r", "bc", now)
	sweep(now.Add(2*day), 4, 3)
	push("r", "ab", now.Add(2*day)) // what was swept comes again
	drop("s", "cd", now.Add(2*day))
	_, err = w.db.Link(ctx, "r", digest.FromString(layersOf("d")[0]), now.Add(2*day))
	w.must(err)
	w.must(w.db.DropBlob(ctx, digest.FromString(layersOf("c")[0])))
	sweep(now.Add(3*day-1), 2, 1)
	push("s", "cd", now.Add(3*day))
	w.must(w.db.DeleteLink(ctx, "r", digest.FromString(layersOf("d")[0])))
	drop("r", "ab", now.Add(4*day))
	sweep(now.Add(5*day), 2, 2)
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

// check opens what a crash left, and sweeps.
func (c crash) check(t *testing.T) {
	t.Helper()
	w := &world{t: t, fs: c.disk, folder: t.TempDir()}
	if c.db != "" {
		copyDB(t, c.db, w.folder)
	}
	w.open()
	defer w.close()
	fail := func(format string, args ...any) {
		t.Helper()
		t.Errorf("crash after operation %d (%s): %s", c.n, c.op, fmt.Sprintf(format, args...))
	}
	served := func(when string) {
		t.Helper()
		for _, s := range c.said {
			for _, layer := range layersOf(s[2:]) {
				if err := w.read(s[:1], layer); err != nil {
					fail("%s: image %q: %v", when, s, err)
				}
			}
		}
		for _, layer := range layersOf("abcdx") {
			for _, repo := range []string{"r", "s"} {
				row, err := w.db.Blob(t.Context(), repo, digest.FromString(layer))
				if err != nil {
					fail("%s: %v", when, err)
				} else if row.Held && row.Linked {
					if err := w.read(repo, layer); err != nil {
						fail("%s: %s has %.7q: %v", when, repo, layer, err)
					}
				}
			}
		}
	}
	served("at once")
	// Later than any of it, but for what is done here.
	later := now.Add(100 * day)
	if _, err := w.sweep.Sweep(t.Context(), later); err != nil {
		fail("sweep: %v", err)
	}
	served("after a sweep")
	for info, err := range w.store.All(t.Context()) {
		if err != nil {
			fail("list: %v", err)
			break
		}
		if in, err := w.db.LinkedIn(t.Context(), info.Digest, 1); err != nil || len(in) == 0 {
			fail("%s is still there and nobody's, %v", info.Digest, err)
		}
	}
	if left, _, err := w.db.Unlinked(t.Context(), "", 100, later, later); err != nil || len(left) > 0 {
		fail("rows of %v are left, %v", left, err)
	}
	for _, s := range []string{"ab", "cd", "x"} {
		if _, err := w.push("r", later, layersOf(s)...); err != nil {
			fail("push: %v", err)
		}
		for _, layer := range layersOf(s) {
			if err := w.read("r", layer); err != nil {
				fail("pushed again: %v", err)
			}
		}
	}
}
