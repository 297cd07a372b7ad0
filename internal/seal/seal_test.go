package seal_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-registry/weir/internal/seal"
	"github.com/weir-registry/weir/internal/vfs"
	"github.com/weir-registry/weir/internal/vfs/vfstest"
)

func open(t *testing.T, files vfs.FS) *seal.Keys {
	t.Helper()
	k, err := seal.Open(files, "keys")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestRoundTrip(t *testing.T) {
	files := vfstest.NewMem(nil)
	k := open(t, files)
	for _, plain := range []string{"", "x", strings.Repeat("secret", 1000)} {
		a, b := k.Seal([]byte(plain), []byte("key AKIA")), k.Seal([]byte(plain), []byte("key AKIA"))
		if bytes.Equal(a, b) {
			t.Errorf("%d bytes sealed twice are the same", len(plain))
		}
		if len(plain) > 16 && bytes.Contains(a, []byte(plain)) { // a few bytes may be there by chance
			t.Error("sealed text has the plain one in it")
		}
		got, err := open(t, files).Open(a, []byte("key AKIA")) // another process
		if err != nil || string(got) != plain {
			t.Errorf("opened %q, %v; want %q", got, err, plain)
		}
	}
}

// TestTampering: no changed byte, no cut and no other context opens.
func TestTampering(t *testing.T) {
	k := open(t, vfstest.NewMem(nil))
	sealed := k.Seal([]byte("secret"), []byte("a"))
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := k.Open(bad, []byte("a")); err == nil {
			t.Errorf("opens with byte %d changed", i)
		}
		if _, err := k.Open(sealed[:i], []byte("a")); err == nil {
			t.Errorf("opens when cut to %d bytes", i)
		}
	}
	for _, context := range []string{"", "b", "aa"} {
		if _, err := k.Open(sealed, []byte(context)); err == nil {
			t.Errorf("opens for context %q", context)
		}
	}
	if _, err := open(t, vfstest.NewMem(nil)).Open(sealed, []byte("a")); !errors.Is(err, seal.ErrOtherKeys) {
		t.Errorf("with other keys: %v, want %v", err, seal.ErrOtherKeys)
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	files, err := vfs.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	open(t, files)
	info, err := os.Stat(filepath.Join(dir, "keys"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v; want 0600", info.Mode(), err)
	}
	if _, err := os.Stat(filepath.Join(dir, "keys.tmp")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("keys.tmp is left: %v", err)
	}
}

func TestBadFiles(t *testing.T) {
	good := "weir keys 1\n" + strings.Repeat("ab", 32) + "\n"
	tests := []struct {
		name, text string
		perm       fs.FileMode
		want       string // "": it opens
	}{
		{"good", good, 0o600, ""},
		{"read only", good, 0o400, ""},
		{"group can read", good, 0o640, "chmod 600"},
		{"everybody can read", good, 0o604, "chmod 600"},
		{"empty", "", 0o600, "damaged"},
		{"zeros", strings.Repeat("\x00", len(good)), 0o600, "damaged"},
		{"other header", "keys\n" + strings.Repeat("ab", 32) + "\n", 0o600, "damaged"},
		{"short key", good[:len(good)-3] + "\n", 0o600, "damaged"},
		{"no hex", strings.Replace(good, "ab", "xy", 1), 0o600, "damaged"},
		{"more lines", good + "x\n", 0o600, "damaged"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files := vfstest.NewMem(nil)
			f, err := files.OpenFile("keys", os.O_WRONLY|os.O_CREATE, tt.perm)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write([]byte(tt.text)); err != nil {
				t.Fatal(err)
			}
			f.Close()
			_, err = seal.Open(files, "keys")
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "abab") {
				t.Error("the error has the key in it")
			}
		})
	}
}

// TestCrash: what was sealed before a crash opens after it, and a crash while the
// file is made leaves nothing in the way.
func TestCrash(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		files := vfstest.NewMem(nil)
		sealed := open(t, files).Seal([]byte("s"), nil)
		if _, err := open(t, files.CrashClone(rng)).Open(sealed, nil); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// TestHalfMade fails each disk operation of the first Open in turn; the next Open
// works, on the disk as it is and as a crash leaves it.
func TestHalfMade(t *testing.T) {
	for n := 1; ; n++ {
		mem := vfstest.NewMem(nil)
		inject := vfstest.NewInject(mem)
		inject.Set(vfstest.Nth(n, errors.New("injected")))
		if _, err := seal.Open(inject, "keys"); err == nil {
			if n < 5 {
				t.Errorf("only %d operations were failed", n-1)
			}
			return
		}
		open(t, mem.CrashClone(rand.New(rand.NewPCG(uint64(n), 0))))
		sealed := open(t, mem).Seal([]byte("s"), nil)
		if _, err := open(t, mem.CrashClone(rand.New(rand.NewPCG(uint64(n), 1)))).Open(sealed, nil); err != nil {
			t.Errorf("after a failed operation %d, an Open and a crash: %v", n, err)
		}
	}
}

// TestDerive: a key for each purpose and each keys file, the same in the next process.
func TestDerive(t *testing.T) {
	derive := func(k *seal.Keys, purpose string) string {
		key := k.Derive(purpose)
		if len(key) != 32 {
			t.Fatalf("%d bytes", len(key))
		}
		return string(key)
	}
	files := vfstest.NewMem(nil)
	first := derive(open(t, files), "a")
	if derive(open(t, files), "a") != first {
		t.Error("another process derives another key")
	}
	if derive(open(t, files), "b") == first || derive(open(t, files), "") == first {
		t.Error("another purpose has the same key")
	}
	if derive(open(t, vfstest.NewMem(nil)), "a") == first {
		t.Error("another keys file has the same key")
	}
}
