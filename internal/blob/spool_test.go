package blob_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/blob"
	"github.com/weir-registry/weir/internal/blob/blobtest"
	"github.com/weir-registry/weir/internal/blob/disk"
	"github.com/weir-registry/weir/internal/vfs"
	"github.com/weir-registry/weir/internal/vfs/vfstest"
)

const host = "up.test"

func openSpools(t testing.TB, fsys vfs.FS, boot string) *blob.Spools {
	t.Helper()
	s, err := blob.OpenSpools(blob.SpoolsOptions{FS: fsys, Dir: "spool", BootID: boot, KeepFree: func(int64) int64 { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openSpool(t testing.TB, s *blob.Spools, d digest.Digest, size int64) *blob.Spool {
	t.Helper()
	sp, err := s.Open(blob.Key{Host: host, Digest: d}, size)
	if err != nil {
		t.Fatal(err)
	}
	return sp
}

func write(t testing.TB, sp *blob.Spool, p []byte) {
	t.Helper()
	if n, err := sp.Write(p); n != len(p) || err != nil {
		t.Fatalf("write: %d, %v", n, err)
	}
}

func readerOf(t testing.TB, sp *blob.Spool) blob.Reader {
	t.Helper()
	r, err := sp.Reader()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func realDisk(t testing.TB) *vfs.Dir {
	t.Helper()
	dir, err := vfs.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	return dir
}

// onBoth runs a test on the real disk and on the one in memory.
func onBoth(t *testing.T, f func(t *testing.T, fsys vfs.FS)) {
	t.Run("disk", func(t *testing.T) { f(t, realDisk(t)) })
	t.Run("memory", func(t *testing.T) { f(t, vfstest.NewMem(nil)) })
}

// digests returns data's digest by every algorithm.
func digests(data []byte) map[string]digest.Digest {
	return map[string]digest.Digest{"sha256": blobtest.SHA256(data), "sha512": blobtest.SHA512(data)}
}

// TestSpoolHash: Verified and copies of the hash, at every stage.
func TestSpoolHash(t *testing.T) {
	data := blobtest.Data(1, 10000)
	for alg, d := range digests(data) {
		t.Run(alg, func(t *testing.T) {
			sp := openSpool(t, openSpools(t, vfstest.NewMem(nil), "boot"), d, 10000)
			for at := 0; at < len(data); at += 2500 {
				if sp.Verified() {
					t.Errorf("verified at %d", at)
				}
				h, err := sp.Hash()
				if err != nil {
					t.Fatal(err)
				}
				h.Write(data[at:])
				if got := fmt.Sprintf("%x", h.Sum(nil)); got != d.Encoded() {
					t.Errorf("a copy at %d goes on to %s", at, got)
				}
				write(t, sp, data[at:at+2500])
			}
			if !sp.Verified() || sp.Size() != 10000 {
				t.Errorf("verified %v, %d bytes", sp.Verified(), sp.Size())
			}
			write(t, sp, []byte{0})
			if sp.Verified() {
				t.Error("verified with a byte too many")
			}
			if err := sp.Reset(); err != nil || sp.Size() != 0 || sp.Verified() {
				t.Errorf("reset: %v, %d bytes", err, sp.Size())
			}
			write(t, sp, data)
			if !sp.Verified() {
				t.Error("not verified after a reset")
			}
			if err := sp.Abort(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestReadersOutlive: a reader goes on through everything that may happen to its
// spool, by a position of its own.
func TestReadersOutlive(t *testing.T) {
	data := blobtest.Data(1, 50000)
	d := blobtest.SHA256(data)
	for _, c := range []struct {
		name string
		end  func(t *testing.T, store *disk.Store, sp *blob.Spool) error
		gone bool // no new readers
	}{
		{"commit", func(t *testing.T, store *disk.Store, sp *blob.Spool) error { return store.Commit(t.Context(), sp) }, false},
		{"commit and delete", func(t *testing.T, store *disk.Store, sp *blob.Spool) error {
			return errors.Join(store.Commit(t.Context(), sp), store.Delete(t.Context(), d))
		}, true},
		{"abort", func(_ *testing.T, _ *disk.Store, sp *blob.Spool) error { return sp.Abort() }, true},
		{"close", func(_ *testing.T, _ *disk.Store, sp *blob.Spool) error { return sp.Close() }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, fsys vfs.FS) {
				store, err := disk.Open(fsys)
				if err != nil {
					t.Fatal(err)
				}
				sp := openSpool(t, openSpools(t, fsys, "boot"), d, int64(len(data)))
				r, half := readerOf(t, sp), make([]byte, 25000)
				other := readerOf(t, sp)
				write(t, sp, data)
				if _, err := io.ReadFull(r, half); err != nil || !bytes.Equal(half, data[:25000]) {
					t.Errorf("first half: %v", err)
				}
				if err := c.end(t, store, sp); err != nil {
					t.Fatal(err)
				}
				rest, err := io.ReadAll(r)
				if err != nil || !bytes.Equal(rest, data[25000:]) {
					t.Errorf("second half: %d bytes, %v", len(rest), err)
				}
				all, err := io.ReadAll(other)
				if err != nil || !bytes.Equal(all, data) || other.Size() != 50000 {
					t.Errorf("other reader: %d bytes of %d, %v", len(all), other.Size(), err)
				}
				late, err := sp.Reader()
				if !c.gone {
					if got, err := io.ReadAll(late); err != nil || !bytes.Equal(got, data) {
						t.Errorf("late reader: %d bytes, %v", len(got), err)
					}
					late.Close()
				} else if err == nil {
					t.Error("a reader of what is gone")
				}
				// What is over stays over.
				if err := errors.Join(sp.Close(), sp.Abort()); err != nil {
					t.Error(err)
				}
				if _, err := sp.Write(data); !errors.Is(err, fs.ErrClosed) {
					t.Errorf("write: %v", err)
				}
				if err := store.Commit(t.Context(), sp); err == nil && c.gone {
					t.Error("committed twice")
				}
			})
		})
	}
}

// TestReadersWhileWriting has readers that come at any time, follow Size, and
// never see a byte that was not written there; the last ones come around Commit.
func TestReadersWhileWriting(t *testing.T) {
	data := blobtest.Data(1, 300000)
	d := blobtest.SHA256(data)
	onBoth(t, func(t *testing.T, fsys vfs.FS) {
		store, err := disk.Open(fsys)
		if err != nil {
			t.Fatal(err)
		}
		spools := openSpools(t, fsys, "boot")
		sp := openSpool(t, spools, d, -1)
		var wg sync.WaitGroup
		follow := func() {
			r, err := sp.Reader()
			if err != nil {
				t.Errorf("reader: %v", err)
				return
			}
			defer r.Close()
			for got := int64(0); got < int64(len(data)); {
				buf := make([]byte, r.Size()-got)
				if _, err := io.ReadFull(r, buf); err != nil || !bytes.Equal(buf, data[got:got+int64(len(buf))]) {
					t.Errorf("bytes %d to %d: %v", got, got+int64(len(buf)), err)
					return
				}
				got += int64(len(buf))
			}
		}
		for at := 0; at < len(data); at += 5000 {
			if at%30000 == 0 {
				wg.Go(follow)
			}
			write(t, sp, data[at:at+5000])
			spools.Active()
		}
		for range 10 {
			wg.Go(follow)
		}
		if err := store.Commit(t.Context(), sp); err != nil {
			t.Error(err)
		}
		wg.Wait()
		blobtest.Check(t, store, d, data)
	})
}

// TestReaderOfAnother: a reader asked for while the spool ends and another of its
// key begins is of the first, or refused.
func TestReaderOfAnother(t *testing.T) {
	data := blobtest.Data(1, 1000)
	spools := openSpools(t, vfstest.NewMem(nil), "boot")
	for range 200 {
		sp := openSpool(t, spools, blobtest.SHA256(data), 1000)
		write(t, sp, data)
		var wg sync.WaitGroup
		wg.Go(func() {
			r, err := sp.Reader()
			if errors.Is(err, fs.ErrClosed) {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Close()
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
		if err := sp.Abort(); err != nil {
			t.Error(err)
		}
		next := openSpool(t, spools, blobtest.SHA256(data), 1000)
		write(t, next, make([]byte, 10))
		wg.Wait()
		if err := next.Abort(); err != nil {
			t.Error(err)
		}
	}
}

// TestResetUnderReader: a reader that has read nothing yet sees the new bytes.
func TestResetUnderReader(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys vfs.FS) {
		data := blobtest.Data(1, 10000)
		sp := openSpool(t, openSpools(t, fsys, "boot"), blobtest.SHA256(data), 10000)
		r := readerOf(t, sp)
		write(t, sp, blobtest.Data(2, 10000))
		if err := sp.Reset(); err != nil {
			t.Fatal(err)
		}
		if n, err := r.Read(make([]byte, 10)); n != 0 || err != io.EOF || r.Size() != 0 {
			t.Errorf("after the reset: %d, %v; size %d", n, err, r.Size())
		}
		write(t, sp, data)
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if err := sp.Abort(); err != nil {
			t.Error(err)
		}
	})
}

// TestWriteAllocates nothing: it is on the path of every byte that comes in.
func TestWriteAllocates(t *testing.T) {
	piece := make([]byte, 32<<10)
	for _, size := range []int64{1 << 30, -1} {
		sp := openSpool(t, openSpools(t, realDisk(t), "boot"), blobtest.SHA256(nil), size)
		if n := testing.AllocsPerRun(100, func() { write(t, sp, piece) }); n > 0 {
			t.Errorf("%v allocations a write, size %d", n, size)
		}
		if err := sp.Abort(); err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	piece := make([]byte, 256<<10)
	sp := openSpool(b, openSpools(b, realDisk(b), "boot"), blobtest.SHA256(nil), -1)
	b.SetBytes(int64(len(piece)))
	for b.Loop() {
		if sp.Size() > 256<<20 {
			if err := sp.Reset(); err != nil {
				b.Fatal(err)
			}
		}
		write(b, sp, piece)
	}
	if err := sp.Abort(); err != nil {
		b.Error(err)
	}
}
