package blob_test

import (
	"bytes"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-registry/weir/internal/blob"
	"github.com/weir-registry/weir/internal/blob/blobtest"
	"github.com/weir-registry/weir/internal/vfs"
	"github.com/weir-registry/weir/internal/vfs/vfstest"
)

// files returns what is in the spool folder: at most one spool and its sidecar.
func files(t testing.TB, fsys vfs.FS) (spool, sidecar string) {
	t.Helper()
	entries, err := fsys.ReadDir("spool")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := "spool/" + e.Name()
		switch {
		case strings.HasSuffix(name, ".json") && sidecar == "":
			sidecar = name
		case !strings.HasSuffix(name, ".json") && spool == "":
			spool = name
		default:
			t.Errorf("one file more: %s", name)
		}
	}
	return spool, sidecar
}

func put(t testing.TB, fsys vfs.FS, name, text string) {
	t.Helper()
	f, err := fsys.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestResume: what one process left, by dying or by Close, the next one of the same
// boot goes on with; whatever is not surely that is removed.
func TestResume(t *testing.T) {
	data := blobtest.Data(1, 10000)
	for _, c := range []struct {
		name  string
		close bool
		boot  string // of the next process
		spoil func(t *testing.T, fsys vfs.FS, spool, sidecar string)
		size  int64 // that the next process knows
		want  int64 // bytes that are still there
	}{
		{name: "died", boot: "boot", size: 10000, want: 6000},
		{name: "closed", close: true, boot: "boot", size: 10000, want: 6000},
		{name: "size not known now", boot: "boot", size: -1, want: 6000},
		{name: "other size", boot: "boot", size: 10001},
		{name: "smaller than what is there", boot: "boot", size: 5999},
		{name: "other boot", boot: "other"},
		{name: "closed, other boot", close: true, boot: "other"},
		{name: "boot not known", boot: ""},
		{name: "no sidecar", boot: "boot", spoil: func(t *testing.T, fsys vfs.FS, _, sidecar string) {
			if err := fsys.Remove(sidecar); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "no spool", boot: "boot", spoil: func(t *testing.T, fsys vfs.FS, spool, _ string) {
			if err := fsys.Remove(spool); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "empty sidecar", boot: "boot", spoil: func(t *testing.T, fsys vfs.FS, _, sidecar string) { put(t, fsys, sidecar, "") }},
		{name: "torn sidecar", boot: "boot", spoil: func(t *testing.T, fsys vfs.FS, _, sidecar string) {
			b, err := vfs.ReadFile(fsys, sidecar, 1000)
			if err != nil {
				t.Fatal(err)
			}
			put(t, fsys, sidecar, string(b[:len(b)/2]))
		}},
		{name: "zeros for a sidecar", boot: "boot", spoil: func(t *testing.T, fsys vfs.FS, _, sidecar string) {
			put(t, fsys, sidecar, strings.Repeat("\x00", 200))
		}},
		{name: "endless sidecar", boot: "boot", spoil: func(t *testing.T, fsys vfs.FS, _, sidecar string) {
			put(t, fsys, sidecar, strings.Repeat(" ", 1<<20)+`{"boot":"boot"}`)
		}},
		{name: "sidecar of another", boot: "boot", spoil: func(t *testing.T, fsys vfs.FS, _, sidecar string) {
			put(t, fsys, sidecar, `{"host":"evil.test","digest":"`+string(blobtest.SHA256(data))+`","size":10000,"boot":"boot"}`)
		}},
		{name: "malformed digest", boot: "boot", spoil: func(t *testing.T, fsys vfs.FS, _, sidecar string) {
			put(t, fsys, sidecar, `{"host":"up.test","digest":"sha256:../../../x","size":10000,"boot":"boot"}`)
		}},
		{name: "strangers beside", boot: "boot", size: 10000, want: 6000, spoil: func(t *testing.T, fsys vfs.FS, _, _ string) {
			put(t, fsys, "spool/stranger", "x")
			put(t, fsys, "spool/stranger2.json", "{}")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, fsys vfs.FS) {
				d := blobtest.SHA256(data)
				sp := openSpool(t, openSpools(t, fsys, "boot"), d, 10000)
				write(t, sp, data[:6000])
				if c.close {
					if err := sp.Close(); err != nil {
						t.Fatal(err)
					}
				}
				spool, sidecar := files(t, fsys)
				if c.spoil != nil {
					c.spoil(t, fsys, spool, sidecar)
				}
				next := openSpools(t, fsys, c.boot)
				if spool, sidecar := files(t, fsys); (spool == "") != (sidecar == "") || (spool == "") != (c.want == 0 && c.size == 0) {
					t.Errorf("kept %q and %q", spool, sidecar)
				}
				if n, bytes := next.Active(); n != 0 || bytes != 0 {
					t.Errorf("active: %d, %d", n, bytes)
				}
				again := openSpool(t, next, d, c.size)
				if again.Size() != c.want {
					t.Fatalf("%d bytes are there; want %d", again.Size(), c.want)
				}
				write(t, again, data[c.want:])
				if !again.Verified() {
					t.Error("not verified")
				}
				if got, err := io.ReadAll(readerOf(t, again)); err != nil || !bytes.Equal(got, data) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				if err := again.Abort(); err != nil {
					t.Error(err)
				}
				if spool, sidecar := files(t, fsys); spool != "" || sidecar != "" {
					t.Errorf("left after Abort: %q, %q", spool, sidecar)
				}
			})
		})
	}
}

// TestResumeWrongBytes: bytes that changed meanwhile are hashed as they are, so
// that the digest does not hold in the end.
func TestResumeWrongBytes(t *testing.T) {
	data := blobtest.Data(1, 10000)
	mem := vfstest.NewMem(nil)
	sp := openSpool(t, openSpools(t, mem, "boot"), blobtest.SHA256(data), 10000)
	write(t, sp, data[:6000])
	spool, _ := files(t, mem)
	f, err := mem.OpenFile(spool, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{^data[100]}, 100); err != nil {
		t.Fatal(err)
	}
	again := openSpool(t, openSpools(t, mem, "boot"), blobtest.SHA256(data), 10000)
	write(t, again, data[6000:])
	if again.Verified() {
		t.Error("verified")
	}
}

// TestResumeUnreadable: a spool that cannot be read is made anew.
func TestResumeUnreadable(t *testing.T) {
	data := blobtest.Data(1, 10000)
	inj := vfstest.NewInject(vfstest.NewMem(nil))
	sp := openSpool(t, openSpools(t, inj, "boot"), blobtest.SHA256(data), 10000)
	write(t, sp, data[:6000])
	next := openSpools(t, inj, "boot")
	spool, _ := files(t, inj)
	inj.Set(vfstest.On("read", spool, syscall.EIO))
	again := openSpool(t, next, blobtest.SHA256(data), 10000)
	if again.Size() != 0 {
		t.Errorf("%d bytes", again.Size())
	}
	write(t, again, data)
	if !again.Verified() {
		t.Error("not verified")
	}
}

// TestOneOpenPerKey: the same digest from two hosts is two spools; of one key only
// one can be open.
func TestOneOpenPerKey(t *testing.T) {
	data := blobtest.Data(1, 100)
	for name, end := range map[string]func(*blob.Spool) error{"close": (*blob.Spool).Close, "abort": (*blob.Spool).Abort} {
		spools := openSpools(t, vfstest.NewMem(nil), "boot")
		sp := openSpool(t, spools, blobtest.SHA256(data), 100)
		if sp.Key() != (blob.Key{Host: host, Digest: blobtest.SHA256(data)}) {
			t.Errorf("key %v", sp.Key())
		}
		if _, err := spools.Open(sp.Key(), 100); err == nil || !strings.Contains(err.Error(), "open already") {
			t.Errorf("a second one: %v", err)
		}
		other, err := spools.Open(blob.Key{Host: "other.test", Digest: sp.Key().Digest}, 100)
		if err != nil {
			t.Fatal(err)
		}
		write(t, sp, data)
		if other.Size() != 0 {
			t.Errorf("other host's spool has %d bytes", other.Size())
		}
		if n, bytes := spools.Active(); n != 2 || bytes != 100 {
			t.Errorf("active: %d, %d", n, bytes)
		}
		if err := end(sp); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := other.Abort(); err != nil {
			t.Error(err)
		}
	}
}

// TestOldSpools: what nobody has written for 24 hours is removed, at the start and
// while the process goes on.
func TestOldSpools(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		kept  bool
	}{{24*time.Hour - time.Second, true}, {24 * time.Hour, false}, {1000 * time.Hour, false}} {
		for _, restart := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				mem := vfstest.NewMem(nil)
				data := blobtest.Data(1, 100)
				spools := openSpools(t, mem, "boot")
				sp := openSpool(t, spools, blobtest.SHA256(data), 100)
				write(t, sp, data[:50])
				if err := sp.Close(); err != nil {
					t.Fatal(err)
				}
				<-time.After(c.after)
				if restart {
					openSpools(t, mem, "boot")
				} else {
					other := openSpool(t, spools, blobtest.SHA512(data), 100)
					if err := other.Abort(); err != nil {
						t.Fatal(err)
					}
				}
				spool, sidecar := files(t, mem)
				if (spool != "") != c.kept || (sidecar != "") != c.kept {
					t.Errorf("after %v, restart %v: %q, %q", c.after, restart, spool, sidecar)
				}
			})
		}
	}
}
