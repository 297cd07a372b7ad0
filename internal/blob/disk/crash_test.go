package disk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/blob"
	"github.com/weir-registry/weir/internal/blob/blobtest"
	"github.com/weir-registry/weir/internal/blob/disk"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/vfs"
	"github.com/weir-registry/weir/internal/vfs/vfstest"
)

// history is what a process did with a disk, as far as it came.
type history struct {
	known  map[digest.Digest][]byte // all that was ever written, by what it is to become
	stored map[digest.Digest]bool   // Commit has returned, and no Delete was begun
}

func newHistory() *history {
	return &history{known: map[digest.Digest][]byte{}, stored: map[digest.Digest]bool{}}
}

// run opens a store and fills it by every way there is, until something fails.
func (h *history) run(fsys vfs.FS, boot string) error {
	ctx := context.Background()
	store, err := disk.Open(fsys)
	if err != nil {
		return err
	}
	spools, err := blob.OpenSpools(blob.SpoolsOptions{FS: fsys, Dir: "spool", BootID: boot, KeepFree: noKeep})
	if err != nil {
		return err
	}
	arrive := func(host string, d digest.Digest, data []byte, size int64, end func(*blob.Spool) error) error {
		h.known[d] = data
		sp, err := spools.Open(blob.Key{Host: host, Digest: d}, size)
		if err != nil {
			return err
		}
		at := min(int(sp.Size()), len(data))
		for at < len(data) {
			n, err := sp.Write(data[at:min(at+1300, len(data))])
			at += n
			if err != nil {
				return err
			}
		}
		return end(sp)
	}
	commit := func(sp *blob.Spool) error {
		err := store.Commit(ctx, sp)
		if err == nil {
			h.stored[sp.Key().Digest] = true
		}
		return err
	}
	one, two, three := blobtest.Data(1, 3000), blobtest.Data(2, 100), blobtest.Data(3, 5000)
	for _, step := range []func() error{
		func() error { return arrive("a.test", blobtest.SHA256(one), one, 3000, commit) },
		func() error { return arrive("a.test", blobtest.SHA512(two), two, -1, commit) },
		func() error { return arrive("b.test", blobtest.SHA256(one), one, 3000, commit) }, // there already
		func() error { return arrive("a.test", blobtest.SHA256(nil), nil, 0, commit) },
		func() error { // an upstream that lies first
			return arrive("a.test", blobtest.SHA256(three), three, 5000, func(sp *blob.Spool) error {
				if err := sp.Reset(); err != nil {
					return err
				}
				if _, err := sp.Write(three); err != nil {
					return err
				}
				return commit(sp)
			})
		},
		func() error { return arrive("a.test", blobtest.SHA512(one), one, 3000, (*blob.Spool).Close) },
		func() error { return arrive("a.test", blobtest.SHA512(three), three, -1, (*blob.Spool).Abort) },
		func() error {
			delete(h.stored, blobtest.SHA512(two))
			return store.Delete(ctx, blobtest.SHA512(two))
		},
		func() error { return arrive("a.test", blobtest.SHA512(one), one, 3000, commit) }, // resumed
		func() error { return arrive("a.test", blobtest.SHA512(two), two, 100, commit) },  // stored again
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// check opens what is left and looks whether it keeps the promises.
func (h *history) check(t *testing.T, fsys vfs.FS, boot string) {
	t.Helper()
	store, spools := open(t, fsys, boot)
	there := map[digest.Digest]bool{}
	for info, err := range store.All(t.Context()) {
		if err != nil || h.known[info.Digest] == nil && info.Size > 0 {
			t.Errorf("%v, %v", info, err)
		}
		there[info.Digest] = true
	}
	for d, data := range h.known {
		_, err := store.Stat(t.Context(), d)
		switch {
		case err == nil:
			blobtest.Check(t, store, d, data)
		case !errors.Is(err, fs.ErrNotExist):
			t.Errorf("%s: %v", d, err)
		case h.stored[d]:
			t.Errorf("%s is lost, and Commit had returned", d)
		}
		if there[d] != (err == nil) {
			t.Errorf("%s: All and Stat differ: %v", d, err)
		}
	}
	// The next process does all of it again, with what is there.
	if err := h.run(fsys, boot); err != nil {
		t.Errorf("again: %v", err)
	}
	for d := range h.stored {
		blobtest.Check(t, store, d, h.known[d])
	}
	if n, _ := spools.Active(); n != 0 {
		t.Errorf("%d spools open", n)
	}
	if files := left(t, fsys); len(files) > 0 {
		t.Errorf("garbage in the spool folder: %v", files)
	}
}

// TestPowerLoss takes the power away after every operation, in several ways each:
// a blob is there whole or not at all, and nothing is lost that Commit returned for.
func TestPowerLoss(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	type moment struct {
		name string
		disk *vfstest.Mem
		h    history
	}
	var moments []moment
	log := &vfstest.Log{}
	mem := vfstest.NewMem(log)
	h := newHistory()
	log.Each(func(n int, op string) {
		for i := range 6 {
			moments = append(moments, moment{
				fmt.Sprintf("%d %s, crash %d", n, op, i), mem.CrashClone(rng), history{maps.Clone(h.known), maps.Clone(h.stored)},
			})
		}
	})
	if err := h.run(mem, "before"); err != nil {
		t.Fatal(err)
	}
	if n := len(log.Ops()); n < 80 {
		t.Errorf("only %d operations: is everything in the log?", n)
	}
	for _, m := range moments {
		open(t, m.disk, "after")
		if files := left(t, m.disk); len(files) > 0 {
			t.Errorf("spools outlived the power: %v", files)
		}
		m.h.check(t, m.disk, "after")
		if t.Failed() {
			t.Fatalf("at %s", m.name)
		}
	}
}

// left returns the files in the spool folder.
func left(t *testing.T, fsys vfs.FS) (names []string) {
	t.Helper()
	entries, err := fsys.ReadDir("spool")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestProcessDeath ends the process before every operation; the kernel goes on, so
// what was written is there, and spools are resumed.
func TestProcessDeath(t *testing.T) {
	for _, c := range []struct {
		name string
		step int // every which operation: a real disk takes its time
		disk func(t *testing.T) vfs.FS
	}{
		{"memory", 1, func(*testing.T) vfs.FS { return vfstest.NewMem(nil) }},
		{"disk", 7, func(t *testing.T) vfs.FS { return realDisk(t) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			for n, ended := 1, false; !ended; n += c.step {
				base := c.disk(t)
				inj := vfstest.NewInject(base)
				inj.Set(vfstest.From(n, syscall.EIO))
				h := newHistory()
				ended = h.run(inj, "boot") == nil && inj.Ops() < n
				h.check(t, base, "boot")
				if t.Failed() {
					t.Fatalf("ended before operation %d", n)
				}
			}
		})
	}
}

// TestOneFault has every single operation fail once, each in its turn: the error
// comes up, nothing wrong is stored, and the same process goes on.
func TestOneFault(t *testing.T) {
	for _, cause := range []error{syscall.EIO, syscall.ENOSPC} {
		t.Run(cause.Error(), func(t *testing.T) {
			for n, ended := 1, false; !ended; n++ {
				inj := vfstest.NewInject(vfstest.NewMem(nil))
				h := newHistory()
				inj.Set(vfstest.Nth(n, cause))
				err := h.run(inj, "boot")
				ended = inj.Ops() < n
				if err != nil && !errors.Is(err, cause) {
					t.Errorf("%v hides the cause", err)
				}
				inj.Set(nil)
				h.check(t, inj, "boot")
				if t.Failed() {
					t.Fatalf("operation %d failed", n)
				}
			}
		})
	}
}

// TestFullMidway fills the disk after every few bytes of an arriving blob: the
// spool keeps exactly what it says, its readers and hash go on from there, and
// with room again it is filled and stored.
func TestFullMidway(t *testing.T) {
	data := blobtest.Data(1, 5000)
	d := blobtest.SHA256(data)
	for _, cause := range []error{syscall.ENOSPC, syscall.EIO} {
		for n := 0; n < len(data); n += 97 {
			inj := vfstest.NewInject(vfstest.NewMem(nil))
			store, spools := open(t, inj, "boot")
			sp, err := spools.Open(blob.Key{Host: "up.test", Digest: d}, int64(len(data)))
			if err != nil {
				t.Fatal(err)
			}
			r, err := sp.Reader()
			if err != nil {
				t.Fatal(err)
			}
			inj.Set(vfstest.After(int64(n), cause))
			at := 0
			for err == nil {
				var k int
				k, err = sp.Write(data[at:min(at+1000, len(data))])
				at += k
			}
			if !errors.Is(err, cause) || errs.CodeOf(err) != errs.Internal || at != n || sp.Size() != int64(n) {
				t.Errorf("full at %d: wrote %d, size %d, %v", n, at, sp.Size(), err)
			}
			got := make([]byte, n)
			if k, err := r.ReadAt(got, 0); k != n || !bytes.Equal(got, data[:n]) {
				t.Errorf("reader: %d bytes, %v", k, err)
			}
			h, err := sp.Hash()
			if err != nil {
				t.Fatal(err)
			}
			h.Write(data[n:])
			if sum := fmt.Sprintf("%x", h.Sum(nil)); sum != d.Encoded() || sp.Verified() {
				t.Errorf("the hash's copy gives %s; verified %v", sum, sp.Verified())
			}
			inj.Set(nil)
			if _, err := sp.Write(data[n:]); err != nil {
				t.Error(err)
			}
			if err := store.Commit(t.Context(), sp); err != nil {
				t.Error(err)
			}
			blobtest.Check(t, store, d, data)
			r.Close()
		}
	}
}
