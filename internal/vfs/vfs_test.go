package vfs_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/vfs"
	"github.com/weir-registry/weir/internal/vfs/vfstest"
)

func openDir(t testing.TB) *vfs.Dir {
	t.Helper()
	d, err := vfs.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// onAll runs a test on every FS that there is: those in memory must do as the disk does.
func onAll(t *testing.T, f func(t *testing.T, fsys vfs.FS)) {
	t.Run("disk", func(t *testing.T) { f(t, openDir(t)) })
	t.Run("memory", func(t *testing.T) { f(t, vfstest.NewMem(&vfstest.Log{})) })
	t.Run("inject", func(t *testing.T) { f(t, vfstest.NewInject(vfstest.NewMem(nil))) })
}

func put(t testing.TB, fsys vfs.FS, name, text string) {
	t.Helper()
	if err := vfs.WriteFile(fsys, name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func want(t testing.TB, fsys vfs.FS, name, text string) {
	t.Helper()
	if got, err := vfs.ReadFile(fsys, name, 1<<20); err != nil || string(got) != text {
		t.Errorf("%s: %q, %v; want %q", name, got, err, text)
	}
}

func TestNames(t *testing.T) {
	onAll(t, func(t *testing.T, fsys vfs.FS) {
		if err := fsys.MkdirAll("a/b/c", 0o700); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(fsys.MkdirAll("a/b/c", 0o700), fsys.MkdirAll(".", 0o700)); err != nil {
			t.Errorf("folders that are there: %v", err)
		}
		put(t, fsys, "a/z", "1")
		put(t, fsys, "a/y", "22")
		put(t, fsys, "a/y", "333") // replaced
		if err := fsys.Rename("a/z", "a/b/x"); err != nil {
			t.Fatal(err)
		}
		if err := fsys.Rename("a/y", "a/b/x"); err != nil { // replaces
			t.Fatal(err)
		}
		want(t, fsys, "a/b/x", "333")
		var names []string
		for _, dir := range []string{".", "a", "a/b", "a/b/c"} {
			entries, err := fsys.ReadDir(dir)
			if err != nil {
				t.Errorf("%s: %v", dir, err)
			}
			for _, e := range entries {
				names = append(names, dir+":"+e.Name())
			}
			if err := fsys.SyncDir(dir); err != nil {
				t.Errorf("%s: %v", dir, err)
			}
		}
		if d := cmp.Diff([]string{".:a", "a:b", "a/b:c", "a/b:x"}, names); d != "" {
			t.Error(d)
		}
		info, err := fsys.Stat("a/b/x")
		if err != nil || info.Name() != "x" || info.Size() != 3 || info.IsDir() || info.ModTime().IsZero() {
			t.Errorf("%v, %v", info, err)
		}
		if info, err := fsys.Stat("a/b"); err != nil || !info.IsDir() {
			t.Errorf("%v, %v", info, err)
		}
		if err := fsys.Remove("a/b"); !errors.Is(err, syscall.ENOTEMPTY) {
			t.Errorf("remove a folder with files: %v", err)
		}
		if err := errors.Join(fsys.Remove("a/b/x"), fsys.Remove("a/b/c"), fsys.Remove("a/b")); err != nil {
			t.Error(err)
		}
	})
}

func TestNoSuchName(t *testing.T) {
	onAll(t, func(t *testing.T, fsys vfs.FS) {
		put(t, fsys, "file", "x")
		_, oerr := fsys.Open("none")
		_, ferr := fsys.OpenFile("none/none", os.O_RDWR|os.O_CREATE, 0o600)
		_, serr := fsys.Stat("none")
		_, rerr := fsys.ReadDir("none")
		for i, err := range []error{oerr, ferr, serr, rerr, fsys.Remove("none"), fsys.Rename("none", "x"), fsys.SyncDir("none"), fsys.Rename("file", "none/x")} {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%d: %v", i, err)
			}
		}
		if _, err := fsys.OpenFile("file", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); !errors.Is(err, fs.ErrExist) {
			t.Errorf("exclusive: %v", err)
		}
		if err := fsys.MkdirAll("file/x", 0o700); !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("folder below a file: %v", err)
		}
		if _, err := fsys.Stat("file/x"); !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("name below a file: %v", err)
		}
	})
}

// TestEscape: no name leads out of the root.
func TestEscape(t *testing.T) {
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	onAll(t, func(t *testing.T, fsys vfs.FS) {
		put(t, fsys, "file", "x")
		names := []string{"../secret", "/etc/passwd", "a/../../secret", filepath.Join(outside, "secret")}
		if d, ok := fsys.(*vfs.Dir); ok {
			if err := os.Symlink(outside, filepath.Join(d.Path(), "link")); err != nil {
				t.Fatal(err)
			}
			names = append(names, "link/secret")
		}
		for _, name := range names {
			_, oerr := fsys.Open(name)
			_, serr := fsys.Stat(name)
			for i, err := range []error{oerr, serr, fsys.Remove(name), fsys.Rename("file", name), fsys.MkdirAll(name+"/x", 0o700)} {
				if err == nil {
					t.Errorf("%s: %d did it", name, i)
				}
			}
		}
		want(t, fsys, "file", "x")
	})
}

func TestFile(t *testing.T) {
	onAll(t, func(t *testing.T, fsys vfs.FS) {
		f, err := fsys.OpenFile("f", os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		check := func(n int, err error, wantN int, wantErr error) {
			t.Helper()
			if n != wantN || !errors.Is(err, wantErr) {
				t.Errorf("%d, %v; want %d, %v", n, err, wantN, wantErr)
			}
		}
		buf := make([]byte, 10)
		n, err := f.Write([]byte("hello"))
		check(n, err, 5, nil)
		n, err = f.WriteAt([]byte("world"), 6) // a hole before
		check(n, err, 5, nil)
		n, err = f.Read(buf)
		check(n, err, 6, nil)
		n, err = f.Read(buf)
		check(n, err, 0, io.EOF)
		n, err = f.ReadAt(buf, 8)
		check(n, err, 3, io.EOF)
		n, err = f.ReadAt(buf, 100)
		check(n, err, 0, io.EOF)
		if at, err := f.Seek(-5, io.SeekEnd); at != 6 || err != nil {
			t.Errorf("seek: %d, %v", at, err)
		}
		if err := errors.Join(f.Truncate(3), f.Truncate(8), f.Sync()); err != nil {
			t.Error(err)
		}
		want(t, fsys, "f", "hel\x00\x00\x00\x00\x00")
		if info, err := f.Stat(); err != nil || info.Size() != 8 || info.Name() != "f" {
			t.Errorf("%v, %v", info, err)
		}
		if _, err := f.Seek(-1, io.SeekStart); err == nil {
			t.Error("seek before the start")
		}
		if _, err := f.WriteAt([]byte("x"), -1); err == nil {
			t.Error("write before the start")
		}
		if _, err := f.ReadAt(buf, -1); err == nil {
			t.Error("read before the start")
		}
		r, err := fsys.Open("f")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Write([]byte("x")); err == nil {
			t.Error("wrote to a file that is open for reading")
		}
		if err := errors.Join(fsys.Remove("f"), f.Close()); err != nil {
			t.Error(err)
		}
		if got, err := io.ReadAll(r); string(got) != "hel\x00\x00\x00\x00\x00" || err != nil {
			t.Errorf("after the name is gone: %q, %v", got, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		for i, err := range []error{f.Close(), f.Sync(), f.Truncate(0)} {
			if !errors.Is(err, fs.ErrClosed) {
				t.Errorf("%d after close: %v", i, err)
			}
		}
	})
}

func TestAppendAndTruncateFlags(t *testing.T) {
	onAll(t, func(t *testing.T, fsys vfs.FS) {
		put(t, fsys, "f", "one")
		for _, c := range []struct {
			flag int
			want string
		}{{os.O_APPEND, "onetwo"}, {os.O_TRUNC, "two"}} {
			f, err := fsys.OpenFile("f", os.O_WRONLY|c.flag, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(f, "two"); err != nil {
				t.Error(err)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			want(t, fsys, "f", c.want)
		}
	})
}

// TestAllocate: blocks come without a length, and go by Truncate.
func TestAllocate(t *testing.T) {
	onAll(t, func(t *testing.T, fsys vfs.FS) {
		f, err := fsys.OpenFile("f", os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := errors.Join(f.Allocate(0), f.Allocate(1<<20), f.Allocate(10)); err != nil {
			t.Fatal(err)
		}
		if info, err := f.Stat(); err != nil || info.Size() != 0 {
			t.Errorf("length %d, %v", info.Size(), err)
		}
		if _, err := f.Write(make([]byte, 1000)); err != nil {
			t.Error(err)
		}
		if err := f.Truncate(1000); err != nil {
			t.Error(err)
		}
		info, err := f.Stat()
		if err != nil || info.Size() != 1000 {
			t.Errorf("length %d, %v", info.Size(), err)
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Blocks*512 > 64<<10 {
			t.Errorf("%d bytes on disk", st.Blocks*512)
		}
	})
}

func TestSpace(t *testing.T) {
	onAll(t, func(t *testing.T, fsys vfs.FS) {
		if free, total, err := fsys.Space(); err != nil || free <= 0 || free > total {
			t.Errorf("%d of %d, %v", free, total, err)
		}
	})
}

// TestWriteFile is whole or not at all, whatever fails.
func TestWriteFile(t *testing.T) {
	for n, failed := 1, true; failed; n++ {
		inj := vfstest.NewInject(vfstest.NewMem(nil))
		put(t, inj, "f", "before")
		inj.Set(vfstest.Nth(n, syscall.EIO))
		err := vfs.WriteFile(inj, "f", []byte("after"), 0o600)
		failed = inj.Ops() >= n
		inj.Set(nil)
		got, rerr := vfs.ReadFile(inj, "f", 100)
		if failed != errors.Is(err, syscall.EIO) || rerr != nil || err == nil && string(got) != "after" || string(got) != "before" && string(got) != "after" {
			t.Errorf("%d: %v; %q, %v", n, err, got, rerr)
		}
		put(t, inj, "f", "again")
	}
}

// TestSyscallConn: the kernel can send a file of the real disk by itself.
func TestSyscallConn(t *testing.T) {
	d := openDir(t)
	put(t, d, "f", "x")
	f, err := d.Open("f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, ok := f.(syscall.Conn); !ok {
		t.Error("no syscall.Conn")
	}
}

func TestOpenDir(t *testing.T) {
	tmp := t.TempDir()
	file := filepath.Join(tmp, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, words := range map[string]string{file: "cannot be made", filepath.Join(file, "x"): "cannot be made"} {
		if _, err := vfs.OpenDir(dir); err == nil || !strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	d, err := vfs.OpenDir(filepath.Join(tmp, "new", "folder"))
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(d.Path())
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if _, _, err := d.Space(); err == nil {
		t.Error("space of a closed folder")
	}
}

func TestNetworkFileSystems(t *testing.T) {
	for _, c := range []struct {
		magic uint32
		want  string
	}{
		{0x6969, "is on NFS"}, {0x517b, "is on CIFS (SMB)"}, {0xff534d42, "is on CIFS (SMB)"}, {0xfe534d42, "is on CIFS (SMB)"},
		{0xef53, ""}, {0x58465342, ""}, {0x9123683e, ""}, {0x01021994, ""}, {0x794c7630, ""}, // ext4, XFS, Btrfs, tmpfs, overlay
	} {
		for _, magic := range []int64{int64(c.magic), int64(int32(c.magic))} {
			err := vfs.CheckType("/data", magic)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), "data folder /data "+c.want) {
				t.Errorf("%x: %v", magic, err)
			}
		}
	}
}

// TestConcurrent has many goroutines use one FS and one file.
func TestConcurrent(t *testing.T) {
	onAll(t, func(t *testing.T, fsys vfs.FS) {
		put(t, fsys, "shared", strings.Repeat("x", 8000))
		shared, err := fsys.OpenFile("shared", os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer shared.Close()
		var wg sync.WaitGroup
		for i := range byte(8) {
			wg.Go(func() {
				name := "dir/" + string('a'+i)
				if err := fsys.MkdirAll("dir", 0o700); err != nil {
					t.Error(err)
				}
				put(t, fsys, name, name)
				want(t, fsys, name, name)
				part, got := bytes.Repeat([]byte{i}, 1000), make([]byte, 1000)
				if _, err := shared.WriteAt(part, int64(i)*1000); err != nil {
					t.Error(err)
				}
				if _, err := shared.ReadAt(got, int64(i)*1000); err != nil || !bytes.Equal(got, part) {
					t.Errorf("%d: %v", i, err)
				}
				if err := fsys.Remove(name); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}
