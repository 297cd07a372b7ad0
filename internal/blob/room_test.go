package blob_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/weir-registry/weir/internal/blob"
	"github.com/weir-registry/weir/internal/blob/blobtest"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/vfs"
	"github.com/weir-registry/weir/internal/vfs/vfstest"
)

const (
	mib = 1 << 20
	u   = 64 << 10 // a unit of room that is quickly written
)

// noAllocate is a disk whose file system cannot reserve blocks.
func noAllocate(base vfs.FS) vfs.FS {
	inj := vfstest.NewInject(base)
	inj.Set(vfstest.On("allocate", "spool/*", errors.ErrUnsupported))
	return inj
}

func spoolsOf(t *testing.T, fsys vfs.FS, keep func(int64) int64) *blob.Spools {
	t.Helper()
	s, err := blob.OpenSpools(blob.SpoolsOptions{FS: fsys, Dir: "spool", BootID: "boot", KeepFree: keep})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRoom: what open spools still need and what is kept free counts, whether the
// file system can reserve blocks or not.
func TestRoom(t *testing.T) {
	for name, wrap := range map[string]func(vfs.FS) vfs.FS{
		"blocks":   func(base vfs.FS) vfs.FS { return base },
		"promises": noAllocate,
	} {
		t.Run(name, func(t *testing.T) {
			mem := vfstest.NewMem(nil)
			spools := spoolsOf(t, wrap(mem), func(total int64) int64 { return total / 10 })
			var n uint64
			open := func(size int64) (*blob.Spool, error) {
				n++
				return spools.Open(blob.Key{Host: host, Digest: blobtest.SHA256(blobtest.Data(n, 10))}, size)
			}
			must := func(size int64) *blob.Spool {
				t.Helper()
				sp, err := open(size)
				if err != nil {
					t.Fatal(err)
				}
				return sp
			}
			never := func(size int64) {
				t.Helper()
				if _, err := open(size); errs.CodeOf(err) != errs.StorageFull {
					t.Errorf("%d bytes: %v", size, err)
				}
			}
			mem.SetTotal(100 * u) // sidecars take a few hundred bytes; one unit is left for them
			a := must(50 * u)
			never(40 * u)
			b := must(39 * u)
			never(1 * u)
			write(t, a, make([]byte, 30*u)) // what is written needs no room any more, and leaves none
			never(1 * u)
			write(t, a, make([]byte, 20*u))
			never(1 * u)
			if err := b.Abort(); err != nil {
				t.Error(err)
			}
			c := must(39 * u)
			never(1 * u)
			if err := errors.Join(a.Abort(), c.Abort()); err != nil {
				t.Error(err)
			}
			d := must(89 * u)
			if err := d.Abort(); err != nil {
				t.Error(err)
			}
			if free, total, err := mem.Space(); err != nil || free != total {
				t.Errorf("room is lost: %d of %d, %v", free, total, err)
			}
		})
	}
}

// TestDefaultKeepFree is 10 % of the file system, but at least 2 GiB.
func TestDefaultKeepFree(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct{ total, size int64 }{{100 * gib, 90 * gib}, {10 * gib, 8 * gib}, {20 * gib, 18 * gib}} {
		mem := vfstest.NewMem(nil)
		mem.SetTotal(c.total)
		spools := spoolsOf(t, mem, nil)
		if _, err := spools.Open(blob.Key{Host: host, Digest: blobtest.SHA256(nil)}, c.size+1); errs.CodeOf(err) != errs.StorageFull {
			t.Errorf("%d: %v", c.total, err)
		}
		sp := openSpool(t, spools, blobtest.SHA256(nil), c.size)
		if err := sp.Abort(); err != nil {
			t.Error(err)
		}
	}
}

// TestFullWords: the error says what is needed, what is free, why that is not
// enough, and what to do.
func TestFullWords(t *testing.T) {
	mem := vfstest.NewMem(nil)
	mem.SetTotal(1000 * mib)
	spools := spoolsOf(t, noAllocate(mem), func(int64) int64 { return 100 * mib })
	sp := openSpool(t, spools, blobtest.SHA256(blobtest.Data(1, 1)), 500*mib)
	free, _, err := mem.Space()
	if err != nil {
		t.Fatal(err)
	}
	_, err = spools.Open(blob.Key{Host: host, Digest: blobtest.SHA256(nil)}, 700*mib)
	e := errs.As(err)
	want := fmt.Sprintf("no room for %s from up.test: it needs 734003200 bytes (700.0 MiB), but of the %d bytes (1000.0 MiB) that are free (of 1048576000 bytes (1000.0 MiB)) "+
		"104857600 bytes (100.0 MiB) are kept free and 524288000 bytes (500.0 MiB) are promised to other transfers; "+
		"make room on the data folder's file system, or lower storage.keep_free", blobtest.SHA256(nil), free)
	if e == nil || e.Code != errs.StorageFull || e.Msg != want || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v\nwant\n%v", err, want)
	}
	if spool, sidecar := files(t, mem); spool == "" || sidecar == "" {
		t.Error("files of the other spool are gone")
	}
	if err := sp.Abort(); err != nil {
		t.Error(err)
	}
}

// TestFullAtOpen: a disk that is full although it said otherwise gives the same
// class of error, and nothing stays behind.
func TestFullAtOpen(t *testing.T) {
	for _, op := range []string{"openfile", "write", "allocate"} {
		inj := vfstest.NewInject(vfstest.NewMem(nil))
		spools := openSpools(t, inj, "boot")
		inj.Set(vfstest.On(op, "spool/*", syscall.ENOSPC))
		_, err := spools.Open(blob.Key{Host: host, Digest: blobtest.SHA256(nil)}, 100)
		if errs.CodeOf(err) != errs.StorageFull || !strings.Contains(err.Error(), "make room") {
			t.Errorf("%s: %v", op, err)
		}
		inj.Set(nil)
		if spool, sidecar := files(t, inj); spool != "" || sidecar != "" {
			t.Errorf("%s: left %q, %q", op, spool, sidecar)
		}
		if n, _ := spools.Active(); n != 0 {
			t.Errorf("%s: %d active", op, n)
		}
	}
}

// TestUnknownSize: a blob whose size nobody knows reserves as it grows, and leaves
// free what is to be kept free.
func TestUnknownSize(t *testing.T) {
	mem := vfstest.NewMem(nil)
	mem.SetTotal(100 * mib)
	spools := spoolsOf(t, mem, func(int64) int64 { return 20 * mib })
	sp := openSpool(t, spools, blobtest.SHA256(nil), -1)
	var err error
	for err == nil {
		_, err = sp.Write(make([]byte, mib))
	}
	if !errors.Is(err, syscall.ENOSPC) || errs.As(err) != nil || !strings.Contains(err.Error(), "no room for sha256:") {
		t.Errorf("%v", err)
	}
	if sp.Size() < 64*mib || sp.Size() > 80*mib {
		t.Errorf("%d bytes came in", sp.Size())
	}
	if free, _, err := mem.Space(); err != nil || free < 20*mib {
		t.Errorf("%d bytes free, %v", free, err)
	}
	if err := sp.Abort(); err != nil {
		t.Error(err)
	}
}

// TestLeftSpoolsMakeRoom: spools that nobody has open are given up for one that
// somebody waits for.
func TestLeftSpoolsMakeRoom(t *testing.T) {
	mem := vfstest.NewMem(nil)
	mem.SetTotal(100 * u)
	spools := openSpools(t, mem, "boot")
	old := openSpool(t, spools, blobtest.SHA256(nil), 60*u)
	write(t, old, make([]byte, 50*u))
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	if free, _, err := mem.Space(); err != nil || free < 49*u {
		t.Errorf("a closed spool keeps room that it does not use: %d free, %v", free, err)
	}
	small := openSpool(t, spools, blobtest.SHA512(nil), 40*u)
	again := openSpool(t, spools, blobtest.SHA256(nil), 52*u)
	if again.Size() != 0 {
		t.Errorf("%d bytes of a spool for another size", again.Size())
	}
	if err := errors.Join(small.Abort(), again.Abort()); err != nil {
		t.Fatal(err)
	}
	old = openSpool(t, spools, blobtest.SHA256(nil), 60*u)
	write(t, old, make([]byte, 50*u))
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	big := openSpool(t, spools, blobtest.SHA512(nil), 90*u)
	if spool, _ := files(t, mem); !strings.Contains(spool, "sha512") {
		t.Errorf("left: %s", spool)
	}
	if err := big.Abort(); err != nil {
		t.Error(err)
	}
}

// TestBlocks: on the real disk, a reservation takes blocks, and Close gives back
// those that were not filled.
func TestBlocks(t *testing.T) {
	dir := realDisk(t)
	spools := openSpools(t, dir, "boot")
	sp := openSpool(t, spools, blobtest.SHA256(nil), 8*mib)
	write(t, sp, make([]byte, mib))
	spool, _ := files(t, dir)
	blocks := func() int64 {
		info, err := dir.Stat(spool)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() != mib {
			t.Errorf("length %d", info.Size())
		}
		return info.Sys().(*syscall.Stat_t).Blocks * 512
	}
	if n := blocks(); n < 8*mib {
		t.Errorf("%d bytes reserved", n)
	}
	if err := sp.Close(); err != nil {
		t.Fatal(err)
	}
	if n := blocks(); n > 2*mib {
		t.Errorf("%d bytes still reserved", n)
	}
}
