package blob_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/weir-registry/weir/internal/blob"
	"github.com/weir-registry/weir/internal/blob/blobtest"
	"github.com/weir-registry/weir/internal/blob/disk"
	"github.com/weir-registry/weir/internal/vfs"
	"github.com/weir-registry/weir/internal/vfs/vfstest"
)

// writeAt brings data[from:to] before its turn.
func writeAt(t testing.TB, sp *blob.Spool, data []byte, from, to int) {
	t.Helper()
	if n, err := sp.WriteAt(data[from:to], int64(from)); n != to-from || err != nil {
		t.Fatalf("write at %d: %d, %v", from, n, err)
	}
}

// TestAhead: bytes that came before their turn are in the blob, and not in Size
// before they are taken.
func TestAhead(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys vfs.FS) {
		data := blobtest.Data(1, 1<<20)
		for name, d := range digests(data) {
			sp := openSpool(t, openSpools(t, fsys, "boot"), d, 1<<20)
			write(t, sp, data[:1000])
			if err := sp.Ahead(); err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for i := range 4 {
				wg.Go(func() { writeAt(t, sp, data, 500_000+i*10_000, 500_000+(i+1)*10_000) })
			}
			write(t, sp, data[1000:2000])
			wg.Wait()
			if sp.Size() != 2000 {
				t.Errorf("%s: size %d", name, sp.Size())
			}
			got := make([]byte, 40_000)
			if _, err := readerOf(t, sp).ReadAt(got, 500_000); err != nil || !bytes.Equal(got, data[500_000:540_000]) {
				t.Errorf("%s: bytes ahead: %v", name, err)
			}
			write(t, sp, data[2000:500_000])
			for _, n := range []int64{1, 9_999, 30_000} {
				if err := sp.Take(n); err != nil {
					t.Error(err)
				}
			}
			write(t, sp, data[540_000:])
			if sp.Size() != 1<<20 || !sp.Verified() {
				t.Errorf("%s: %d bytes, verified %v", name, sp.Size(), sp.Verified())
			}
			store, err := disk.Open(fsys)
			if err == nil {
				err = store.Commit(t.Context(), sp)
			}
			if err != nil {
				t.Fatal(err)
			}
			r, err := store.Open(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s: stored %d bytes, %v", name, len(got), err)
			}
			if spool, sidecar := files(t, fsys); spool != "" || sidecar != "" {
				t.Errorf("%s: left %q, %q", name, spool, sidecar)
			}
		}
	})
}

// TestAheadFaults: what fails says so, and nothing of it counts.
func TestAheadFaults(t *testing.T) {
	data := blobtest.Data(1, 1<<20)
	inj := vfstest.NewInject(vfstest.NewMem(nil))
	sp := openSpool(t, openSpools(t, inj, "boot"), blobtest.SHA256(data), 1<<20)
	write(t, sp, data[:1000])
	inj.Set(vfstest.On("rename", "spool/*", syscall.EIO))
	if err := sp.Ahead(); !errors.Is(err, syscall.EIO) {
		t.Errorf("no sidecar: %v", err)
	}
	inj.Set(nil)
	if spool, sidecar := files(t, inj); spool == "" || sidecar == "" {
		t.Errorf("after a sidecar that could not be written: %q, %q", spool, sidecar)
	}
	if err := sp.Ahead(); err != nil {
		t.Fatal(err)
	}
	if _, err := sp.WriteAt(data[:10], 1<<20-5); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("behind what is reserved: %v", err)
	}
	writeAt(t, sp, data, 1000, 2000)
	spool, _ := files(t, inj)
	inj.Set(vfstest.On("read", spool, syscall.EIO))
	if err := sp.Take(1000); !errors.Is(err, syscall.EIO) || sp.Size() != 1000 {
		t.Errorf("unreadable: %v, size %d", err, sp.Size())
	}
	inj.Set(nil)
	if err := sp.Take(1001); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("more than came: %v", err)
	}
	if err := sp.Abort(); err != nil {
		t.Fatal(err)
	}
	if err := sp.Take(1); err == nil {
		t.Error("took something after Abort")
	}
}

// snapshot is the spool folder as a process that dies now leaves it.
func snapshot(t *testing.T, fsys vfs.FS) vfs.FS {
	t.Helper()
	to := vfstest.NewMem(nil)
	if err := to.MkdirAll("spool", 0o700); err != nil {
		t.Fatal(err)
	}
	entries, err := fsys.ReadDir("spool")
	if err != nil {
		return to // not made yet
	}
	for _, e := range entries {
		b, err := vfs.ReadFile(fsys, "spool/"+e.Name(), 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		f, err := to.OpenFile("spool/"+e.Name(), os.O_WRONLY|os.O_CREATE, 0o600)
		if err == nil {
			_, err = f.Write(b)
			f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// TestDeathWithHoles has the process die after every operation on the disk of a
// spool whose bytes came out of turn: what the next one goes on with came, and no
// more than 16 MiB of what came in turn is lost once something came before its turn.
func TestDeathWithHoles(t *testing.T) {
	const mib = 1 << 20
	data := blobtest.Data(1, 24*mib)
	d := blobtest.SHA256(data)
	log := &vfstest.Log{}
	mem := vfstest.NewMem(log)
	var size int64 // that came in turn, at least
	deaths, resumed := 0, int64(0)
	log.Each(func(n int, op string) {
		dead := snapshot(t, mem)
		deaths++
		sp := openSpool(t, openSpools(t, dead, "boot"), d, 24*mib)
		defer sp.Abort()
		if got, err := io.ReadAll(readerOf(t, sp)); err != nil || !bytes.Equal(got, data[:sp.Size()]) {
			t.Errorf("after operation %d (%s): %d bytes that are not the blob's, %v", n, op, sp.Size(), err)
		}
		if lost := size - sp.Size(); lost > 16*mib+2*mib {
			t.Errorf("after operation %d (%s): %d bytes lost", n, op, lost)
		}
		resumed = max(resumed, sp.Size())
	})
	sp := openSpool(t, openSpools(t, mem, "boot"), d, 24*mib)
	step := func(from, to int) {
		write(t, sp, data[from*mib:to*mib])
		size = sp.Size()
	}
	step(0, 1)
	if err := sp.Ahead(); err != nil {
		t.Fatal(err)
	}
	writeAt(t, sp, data, 20*mib, 21*mib)
	step(1, 2)
	writeAt(t, sp, data, 3*mib, 5*mib)
	step(2, 3)
	if err := sp.Take(2 * mib); err != nil {
		t.Fatal(err)
	}
	size = sp.Size()
	step(5, 18)
	step(18, 20)
	if err := sp.Take(1 * mib); err != nil {
		t.Fatal(err)
	}
	size = sp.Size()
	step(21, 22)
	if err := sp.Close(); err != nil {
		t.Fatal(err)
	}
	if deaths < 10 || resumed < 18*mib {
		t.Errorf("%d deaths, %d bytes resumed at most", deaths, resumed)
	}
	next := openSpools(t, snapshot(t, mem), "boot")
	sp = openSpool(t, next, d, 24*mib)
	if sp.Size() != 22*mib {
		t.Fatalf("after Close %d bytes are resumed", sp.Size())
	}
	step(22, 24)
	if !sp.Verified() {
		t.Error("not verified")
	}
	if err := sp.Abort(); err != nil {
		t.Error(err)
	}
}

// TestResetWithHoles: a spool that starts over has nothing that came before.
func TestResetWithHoles(t *testing.T) {
	mem := vfstest.NewMem(nil)
	data := blobtest.Data(1, 100_000)
	sp := openSpool(t, openSpools(t, mem, "boot"), blobtest.SHA256(data), 100_000)
	write(t, sp, blobtest.Data(2, 50_000))
	if err := sp.Ahead(); err != nil {
		t.Fatal(err)
	}
	writeAt(t, sp, data, 60_000, 70_000)
	if err := sp.Reset(); err != nil {
		t.Fatal(err)
	}
	write(t, sp, data[:10_000])
	again := openSpool(t, openSpools(t, snapshot(t, mem), "boot"), blobtest.SHA256(data), 100_000)
	if again.Size() != 0 {
		t.Errorf("%d bytes are resumed", again.Size())
	}
	write(t, sp, data[10_000:])
	if !sp.Verified() {
		t.Error("not verified")
	}
}
