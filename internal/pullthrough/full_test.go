package pullthrough_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-registry/weir/internal/blob"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/vfs"
	"github.com/weir-registry/weir/internal/vfs/vfstest"
)

// onDisk runs f in a world whose disk fails as f says.
func onDisk(t *testing.T, f func(t *testing.T, w *world, disk *vfstest.Inject)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := prepare(t)
		base, err := vfs.OpenDir(w.dir)
		if err != nil {
			t.Fatal(err)
		}
		disk := vfstest.NewInject(base)
		w.fs = disk
		w.open()
		t.Cleanup(w.close)
		f(t, w, disk)
	})
}

// TestNoRoom: a blob for which there is no room passes through, verified, to each
// client by itself, and nothing is kept.
func TestNoRoom(t *testing.T) {
	for _, size := range []int{0, 100, chunk, 5*chunk + 1} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.free = 1 << 60
				up := w.ups["hub"]
				d, data := up.blob(1, size)
				for range 2 {
					got, err := w.pull("hub/app", d)
					if err != nil || !bytes.Equal(got, data) {
						t.Errorf("%d bytes, %v", len(got), err)
					}
				}
				if size > chunk {
					got, err := w.pullRange("hub/app", d, 10, 3*chunk)
					if err != nil || !bytes.Equal(got, data[10:3*chunk]) {
						t.Errorf("range: %d bytes, %v", len(got), err)
					}
				}
				up.blobs[d] = append([]byte("x"), data...)
				if got, err := w.pull("hub/app", d); err == nil || len(got) > size {
					t.Errorf("wrong bytes: %d bytes, %v", len(got), err)
				}
				synctest.Wait()
				if _, err := w.store.Stat(t.Context(), d); err == nil || w.spoolFiles() > 0 {
					t.Error("something was kept")
				}
			})
		})
	}
}

// TestDiskFullMidway: the spool freezes; each reader goes on by itself from where
// it froze, and the digest still holds.
func TestDiskFullMidway(t *testing.T) {
	const size = 20*chunk + 3
	for _, at := range []int64{0, 1, chunk, 10*chunk + 7, 19*chunk + 5, size - 1} {
		for _, cause := range []error{syscall.ENOSPC, syscall.EIO} {
			t.Run(fmt.Sprintf("%d %v", at, cause), func(t *testing.T) {
				onDisk(t, func(t *testing.T, w *world, disk *vfstest.Inject) {
					up := w.ups["hub"]
					d, data := up.blob(1, size)
					after := vfstest.After(at, cause)
					disk.Set(func(o vfstest.Op) (int, error) {
						if strings.HasSuffix(o.Path, ".json") {
							return 0, nil // the sidecar
						}
						return after(o)
					})
					var wg sync.WaitGroup
					for i := range 3 {
						wg.Go(func() {
							<-time.After(time.Duration(i) * 5 * time.Millisecond)
							got, err := w.pull("hub/app", d)
							if err != nil || !bytes.Equal(got, data) {
								t.Errorf("client %d: %d bytes, %v", i, len(got), err)
							}
						})
					}
					wg.Wait()
					synctest.Wait()
					disk.Set(nil)
					if _, err := w.store.Stat(t.Context(), d); err == nil {
						t.Error("a blob is stored")
					}
					if n := w.spoolFiles(); n > 0 {
						t.Errorf("%d files are left in the spool folder", n)
					}
					if got, err := w.pull("hub/app", d); err != nil || !bytes.Equal(got, data) {
						t.Errorf("with room again: %d bytes, %v", len(got), err)
					}
					w.wantStored("hub/app", d, data)
				})
			})
		}
	}
}

// TestCommitFails: clients have their verified bytes although the store could not
// take the blob; no row says that it did.
func TestCommitFails(t *testing.T) {
	for _, op := range []string{"rename", "sync", "syncdir"} {
		t.Run(op, func(t *testing.T) {
			onDisk(t, func(t *testing.T, w *world, disk *vfstest.Inject) {
				up := w.ups["hub"]
				d, data := up.blob(1, 5*chunk)
				disk.Set(func(o vfstest.Op) (int, error) {
					if o.Name == op {
						return 0, syscall.EIO
					}
					return 0, nil
				})
				got, err := w.pull("hub/app", d)
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				synctest.Wait()
				if row, err := w.db.Blob(t.Context(), "hub/app", d); err != nil || row.Held {
					t.Errorf("row %+v, %v", row, err)
				}
				disk.Set(nil)
				if got, err := w.pull("hub/app", d); err != nil || !bytes.Equal(got, data) {
					t.Errorf("again: %d bytes, %v", len(got), err)
				}
			})
		})
	}
}

// TestBytesGone: a blob whose file somebody took away is fetched again.
func TestBytesGone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		d, data := up.blob(1, 5*chunk)
		if _, err := w.pull("hub/app", d); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := w.store.Delete(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		if got, err := w.pull("hub/app", d); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		w.wantStored("hub/app", d, data)
		if err := w.store.Delete(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		up.refusing(answers(errs.UpstreamUnreachable, 0))
		if _, err := w.pull("hub/app", d); errs.CodeOf(err) != errs.UpstreamUnreachable {
			t.Errorf("gone, and the upstream away: %v", err)
		}
	})
}

// TestStoredWithoutRow: the process died between the store's commit and the row.
// The bytes are not fetched again; the upstream's word is, unless they are public.
func TestStoredWithoutRow(t *testing.T) {
	for _, size := range []int{0, 100, 5 * chunk} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				up := w.ups["hub"]
				d, data := up.blob(1, size)
				spools, err := blob.OpenSpools(blob.SpoolsOptions{FS: w.fs, Dir: "other", BootID: "boot", KeepFree: func(int64) int64 { return 0 }})
				if err != nil {
					t.Fatal(err)
				}
				sp, err := spools.Open(blob.Key{Host: "up.test", Digest: d}, int64(size))
				if err == nil {
					_, err = sp.Write(data)
				}
				if err == nil {
					err = w.store.Commit(t.Context(), sp)
				}
				if err != nil {
					t.Fatal(err)
				}
				up.refusing(answers(errs.UpstreamDenied, 0))
				if _, err := w.pull("hub/app", d); errs.CodeOf(err) != errs.UpstreamDenied {
					t.Errorf("without the upstream's word: %v", err)
				}
				up.refusing(nil)
				<-time.After(time.Minute)
				up.asked()
				if got, err := w.pull("hub/app", d); err != nil || !bytes.Equal(got, data) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				w.wantAsked("hub", "BLOB app blob 0+1")
				w.wantStored("hub/app", d, data)
			})
		})
	}
}
