package disk_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/weir-registry/weir/internal/blob"
	"github.com/weir-registry/weir/internal/blob/blobtest"
	"github.com/weir-registry/weir/internal/blob/disk"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/vfs"
	"github.com/weir-registry/weir/internal/vfs/vfstest"
)

func noKeep(int64) int64 { return 0 }

func open(t testing.TB, fsys vfs.FS, boot string) (*disk.Store, *blob.Spools) {
	t.Helper()
	store, err := disk.Open(fsys)
	if err != nil {
		t.Fatal(err)
	}
	spools, err := blob.OpenSpools(blob.SpoolsOptions{FS: fsys, Dir: "spool", BootID: boot, KeepFree: noKeep})
	if err != nil {
		t.Fatal(err)
	}
	return store, spools
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

func TestSuite(t *testing.T) {
	t.Run("disk", func(t *testing.T) {
		blobtest.Run(t, func(t *testing.T) (blob.Store, *blob.Spools) { return open(t, realDisk(t), "boot") })
	})
	t.Run("memory", func(t *testing.T) {
		blobtest.Run(t, func(t *testing.T) (blob.Store, *blob.Spools) { return open(t, vfstest.NewMem(nil), "boot") })
	})
}

// TestLayout pins what is where: other programs, and backups, rely on it.
func TestLayout(t *testing.T) {
	dir := realDisk(t)
	store, spools := open(t, dir, "boot")
	data := []byte("hello")
	blobtest.Put(t, store, spools, blobtest.SHA256(data), data)
	blobtest.Put(t, store, spools, blobtest.SHA512(data), data)
	for name, want := range map[string]string{
		"format": "1\n",
		"blobs/sha256/2c/2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824":                                                                 "hello",
		"blobs/sha512/9b/9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043": "hello",
	} {
		got, err := os.ReadFile(filepath.Join(dir.Path(), name))
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if entries, err := dir.ReadDir("spool"); err != nil || len(entries) != 0 {
		t.Errorf("spool: %v, %v", entries, err)
	}
}

// TestForeignFiles: what is not a blob is passed over, not fallen over.
func TestForeignFiles(t *testing.T) {
	mem := vfstest.NewMem(nil)
	store, spools := open(t, mem, "boot")
	data := []byte("hello")
	d := blobtest.SHA256(data)
	blobtest.Put(t, store, spools, d, data)
	for _, name := range []string{
		"blobs/x", "blobs/sha256/y", "blobs/sha256/2c/z", "blobs/sha256/00/" + d.Encoded(), "blobs/sha512/2c/" + d.Encoded(),
	} {
		for _, dir := range []string{"blobs/sha256/00", "blobs/sha512/2c"} {
			if err := mem.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := vfs.WriteFile(mem, name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for info, err := range store.All(t.Context()) {
		n++
		if err != nil || info.Digest != d {
			t.Errorf("%v, %v", info, err)
		}
	}
	if n != 1 {
		t.Errorf("%d blobs", n)
	}
}

// TestDamagedLength: a stored file of another length than the blob's is replaced
// by the next commit.
func TestDamagedLength(t *testing.T) {
	mem := vfstest.NewMem(nil)
	store, spools := open(t, mem, "boot")
	data := blobtest.Data(1, 9000)
	d := blobtest.SHA256(data)
	blobtest.Put(t, store, spools, d, data)
	f, err := mem.OpenFile("blobs/sha256/"+d.Encoded()[:2]+"/"+d.Encoded(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(100); err != nil {
		t.Fatal(err)
	}
	blobtest.Put(t, store, spools, d, data)
	blobtest.Check(t, store, d, data)
}

// TestSendfile: readers of blobs and spools give the kernel their descriptor, and
// the bytes that go out are the ones from their position on.
func TestSendfile(t *testing.T) {
	store, spools := open(t, realDisk(t), "boot")
	data := blobtest.Data(1, 300000)
	d := blobtest.SHA256(data)
	sp := blobtest.Fill(t, spools, "up.test", d, data)
	arriving, err := sp.Reader()
	if err != nil {
		t.Fatal(err)
	}
	defer arriving.Close()
	if err := store.Commit(t.Context(), sp); err != nil {
		t.Fatal(err)
	}
	held, err := store.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	for name, r := range map[string]blob.Reader{"spool": arriving, "blob": held} {
		if _, ok := r.(syscall.Conn); !ok {
			t.Errorf("%s: not a syscall.Conn", name)
		}
		if _, err := r.Seek(1000, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if got := send(t, io.LimitReader(r, 200000)); !bytes.Equal(got, data[1000:201000]) {
			t.Errorf("%s: sent %d bytes, or wrong ones", name, len(got))
		}
	}
}

// send copies r to a TCP connection and returns what comes out.
func send(t *testing.T, r io.Reader) []byte {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	sent := make(chan error, 1)
	go func() {
		c, err := net.Dial("tcp", l.Addr().String())
		if err == nil {
			_, err = io.Copy(c, r)
			c.Close()
		}
		sent <- err
	}()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Error(err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	return got
}

func TestFormat(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"same", "1\n", ""},
		{"newer", "2\n", "layout version 2, and this weir knows versions up to 1: it was used by a newer weir"},
		{"zero", "0\n", `says "0\n", which no weir wrote`},
		{"empty", "", "no weir wrote"},
		{"garbage", "\x00\x00\x00", "no weir wrote"},
		{"words", "disk one", "no weir wrote"},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := vfstest.NewMem(nil)
			if err := vfs.WriteFile(mem, "format", []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := disk.Open(mem)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v; want %q", err, c.want)
			}
			if entries, err := mem.ReadDir("."); err != nil || c.want != "" && len(entries) != 1 {
				t.Errorf("refused, but touched: %v, %v", entries, err)
			}
		})
	}
}

// TestUnwritable: a folder that cannot be written is refused in words, each way
// and at each step; a full one that has the layout already is not.
func TestUnwritable(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want string
		code errs.Code
	}{
		{"read-only", syscall.EROFS, "data folder cannot be written by user", errs.Internal},
		{"permission", syscall.EACCES, "data folder cannot be written by user", errs.Internal},
		{"full", syscall.ENOSPC, "its file system is full", errs.StorageFull},
		{"broken", syscall.EIO, "data folder: ", errs.Internal},
	} {
		t.Run(c.name, func(t *testing.T) {
			for n := 1; ; n++ {
				inj := vfstest.NewInject(vfstest.NewMem(nil))
				writes := 0
				inj.Set(func(op vfstest.Op) (int, error) {
					if op.Name == "open" || op.Name == "read" || op.Name == "close" {
						return 0, nil
					}
					if writes++; writes == n {
						return 0, c.err
					}
					return 0, nil
				})
				_, err := disk.Open(inj)
				if writes < n {
					return
				}
				if err == nil || !strings.Contains(err.Error(), c.want) || errs.CodeOf(err) != c.code {
					t.Errorf("at %d: %v", n, err)
				}
				inj.Set(nil)
				store, spools := open(t, inj, "boot")
				blobtest.Put(t, store, spools, blobtest.SHA256(nil), nil)
			}
		})
	}
	t.Run("full with a layout", func(t *testing.T) {
		mem := vfstest.NewMem(nil)
		store, spools := open(t, mem, "boot")
		data := blobtest.Data(1, 100)
		blobtest.Put(t, store, spools, blobtest.SHA256(data), data)
		mem.SetTotal(100)
		store, _ = open(t, mem, "boot")
		blobtest.Check(t, store, blobtest.SHA256(data), data)
	})
}
