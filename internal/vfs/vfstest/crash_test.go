package vfstest_test

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/vfs"
	"github.com/weir-registry/weir/internal/vfs/vfstest"
)

// outcomes crashes m many times and returns every different disk that there was, as text.
func outcomes(t *testing.T, m *vfstest.Mem) []string {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	var all []string
	for range 400 {
		clone := m.CrashClone(rng)
		text := strings.Join(tree(t, clone, "."), " ")
		if again := strings.Join(tree(t, clone.CrashClone(rng), "."), " "); again != text {
			t.Errorf("a second crash changes %q to %q", text, again)
		}
		if !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	slices.Sort(all)
	return all
}

// tree lists "folder/" and "file=content".
func tree(t *testing.T, fsys vfs.FS, dir string) (all []string) {
	t.Helper()
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := strings.TrimPrefix(dir+"/"+e.Name(), "./")
		if e.IsDir() {
			all = append(append(all, name+"/"), tree(t, fsys, name)...)
			continue
		}
		b, err := vfs.ReadFile(fsys, name, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, name+"="+strings.ReplaceAll(string(b), "\x00", "0"))
	}
	return all
}

// disk does things to a Mem and fails the test if they fail.
type disk struct {
	*vfstest.Mem
	t *testing.T
}

func (d disk) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d disk) write(name, text string, sync bool) {
	d.t.Helper()
	f, err := d.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	d.must(err)
	_, err = f.Write([]byte(text))
	d.must(err)
	if sync {
		d.must(f.Sync())
	}
	d.must(f.Close())
}

func TestCrash(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(d disk)
		want []string
	}{
		{"nothing", func(disk) {}, []string{""}},
		{"name not synced", func(d disk) { d.write("f", "x", true) }, []string{"", "f=x"}},
		{"bytes not synced", func(d disk) { d.write("f", "x", false); d.must(d.SyncDir(".")) }, []string{"f=", "f=0", "f=x"}},
		{"all synced", func(d disk) { d.write("f", "x", true); d.must(d.SyncDir(".")) }, []string{"f=x"}},
		{"written again", func(d disk) {
			d.write("f", "x", true)
			d.must(d.SyncDir("."))
			d.write("f", "y", false)
		}, []string{"f=0", "f=x", "f=y"}},
		{"removed", func(d disk) {
			d.write("f", "x", true)
			d.must(d.SyncDir("."))
			d.must(d.Remove("f"))
		}, []string{"", "f=x"}},
		{"removed, synced", func(d disk) {
			d.write("f", "x", true)
			d.must(d.Remove("f"))
			d.must(d.SyncDir("."))
		}, []string{""}},
		{"renamed", func(d disk) {
			d.write("f", "x", true)
			d.must(d.SyncDir("."))
			d.must(d.Rename("f", "g"))
		}, []string{"f=x", "f=x g=x", "g=x"}},
		{"renamed over", func(d disk) {
			d.write("f", "x", true)
			d.write("g", "y", true)
			d.must(d.SyncDir("."))
			d.must(d.Rename("f", "g"))
		}, []string{"f=x g=x", "f=x g=y", "g=x"}},
		{"renamed to a folder, old one synced", func(d disk) {
			d.must(d.MkdirAll("a", 0o700))
			d.write("f", "x", true)
			d.must(d.SyncDir("."))
			d.must(d.Rename("f", "a/g"))
			d.must(d.SyncDir("."))
		}, []string{"a/ a/g=x"}},
		{"renamed to a folder, new one synced", func(d disk) {
			d.must(d.MkdirAll("a", 0o700))
			d.write("f", "x", true)
			d.must(d.SyncDir("."))
			d.must(d.Rename("f", "a/g"))
			d.must(d.SyncDir("a"))
		}, []string{"a/ a/g=x", "a/ a/g=x f=x"}},
		{"folder not synced", func(d disk) {
			d.must(d.MkdirAll("a", 0o700))
			d.write("a/f", "x", true)
			d.must(d.SyncDir("a"))
		}, []string{"", "a/ a/f=x"}},
		{"made again", func(d disk) {
			d.write("f", "x", true)
			d.must(d.SyncDir("."))
			d.must(d.Remove("f"))
			d.write("f", "y", true)
			d.must(d.SyncDir("."))
		}, []string{"f=y"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := disk{vfstest.NewMem(nil), t}
			c.do(d)
			if diff := cmp.Diff(c.want, outcomes(t, d.Mem)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestTorn: of unsynced bytes any blocks may be there, and the length is between.
func TestTorn(t *testing.T) {
	d := disk{vfstest.NewMem(nil), t}
	d.write("f", strings.Repeat("a", 1000), true)
	d.must(d.SyncDir("."))
	f, err := d.OpenFile("f", os.O_RDWR, 0)
	d.must(err)
	_, err = f.WriteAt([]byte(strings.Repeat("b", 3000)), 500)
	d.must(err)
	d.must(f.Close())
	lengths, mixed := map[int]bool{}, false
	for _, o := range outcomes(t, d.Mem) {
		o = strings.TrimPrefix(o, "f=")
		lengths[len(o)] = true
		if len(o) < 1000 || len(o) > 3500 || !strings.HasPrefix(o, strings.Repeat("a", 500)) && !strings.HasPrefix(o, "0") {
			t.Fatalf("impossible: %d bytes, %.20s...", len(o), o)
		}
		mixed = mixed || strings.Contains(o[512:], "b") && strings.Contains(o[512:], "0")
	}
	if len(lengths) < 20 || !mixed {
		t.Errorf("%d lengths, mixed %v: too kind", len(lengths), mixed)
	}
}

// TestLog: what others add is in its place, and every operation is told of.
func TestLog(t *testing.T) {
	log := &vfstest.Log{}
	d := disk{vfstest.NewMem(log), t}
	var told []string
	log.Each(func(n int, op string) {
		if n != len(told)+1 {
			t.Errorf("%s is number %d", op, n)
		}
		told = append(told, op)
		d.CrashClone(rand.New(rand.NewPCG(1, 1))) // no lock is held
	})
	d.must(d.MkdirAll("a/b", 0o700))
	d.write("a/b/f", "xyz", true)
	log.Add("commit")
	d.must(d.Rename("a/b/f", "a/g"))
	d.must(d.SyncDir("a"))
	d.must(d.Remove("a/g"))
	if err := d.Remove("a/g"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	want := []string{
		"mkdir a", "mkdir a/b", "openfile a/b/f", "write a/b/f 0+3", "sync a/b/f", "commit", "rename a/b/f a/g", "syncdir a", "remove a/g",
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(told, log.Ops()); diff != "" {
		t.Error(diff)
	}
}

// TestMemFull: the disk has an end, and room comes back with the last user of a file.
func TestMemFull(t *testing.T) {
	d := disk{vfstest.NewMem(nil), t}
	d.SetTotal(100)
	free := func(want int64) {
		t.Helper()
		if got, total, err := d.Space(); got != want || total != 100 || err != nil {
			t.Errorf("%d of %d free, %v; want %d", got, total, err, want)
		}
	}
	f, err := d.OpenFile("f", os.O_RDWR|os.O_CREATE, 0o600)
	d.must(err)
	n, err := f.Write(make([]byte, 120))
	if n != 100 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%d, %v", n, err)
	}
	free(0)
	d.must(f.Truncate(10))
	free(90)
	d.must(f.Allocate(60))
	free(40)
	if err := f.Allocate(101); !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	g, err := d.OpenFile("g", os.O_RDWR|os.O_CREATE, 0o600)
	d.must(err)
	if n, err := g.Write(make([]byte, 50)); n != 40 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := f.WriteAt(make([]byte, 60), 0); err != nil {
		t.Errorf("into allocated room: %v", err)
	}
	d.must(d.Remove("f"))
	free(0)
	d.must(f.Close())
	free(60)
	d.must(d.Rename("g", "h"))
	d.must(g.Close())
	free(60)
	d.must(d.Remove("h"))
	free(100)
}

func TestInject(t *testing.T) {
	inj := vfstest.NewInject(vfstest.NewMem(nil))
	inj.Set(vfstest.After(5, syscall.ENOSPC))
	f, err := inj.OpenFile("f", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		n   int
		err error
	}{{3, nil}, {2, syscall.ENOSPC}, {0, syscall.ENOSPC}} {
		if n, err := f.Write([]byte("abc")); n != c.n || !errors.Is(err, c.err) {
			t.Errorf("%d: %d, %v", i, n, err)
		}
	}
	inj.Set(vfstest.On("sync", "f*", syscall.EIO))
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
	if err := f.Truncate(5); err != nil {
		t.Error(err)
	}
	inj.Set(vfstest.Nth(2, syscall.EIO))
	for i, failed := range []bool{false, true, false} {
		if _, err := inj.Stat("f"); errors.Is(err, syscall.EIO) != failed {
			t.Errorf("%d: %v", i, err)
		}
	}
	inj.Set(vfstest.From(2, syscall.EIO))
	for i, failed := range []bool{false, true, true} {
		if _, err := inj.Stat("f"); errors.Is(err, syscall.EIO) != failed {
			t.Errorf("%d: %v", i, err)
		}
	}
	if inj.Ops() != 3 {
		t.Errorf("%d operations", inj.Ops())
	}
	inj.Set(nil)
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if b, err := vfs.ReadFile(inj, "f", 10); string(b) != "abcab" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}
