package vfs_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/weir-registry/weir/internal/vfs"
)

// TestLock: one process at a time, the second one is told who has it.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	open := func() *vfs.Dir {
		d, err := vfs.OpenDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		return d
	}
	// What an earlier process wrote, longer than ours, means nothing.
	if err := os.WriteFile(filepath.Join(dir, "lock"), []byte("process 1 on "+strings.Repeat("x", 200)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	lock, err := open().Lock()
	if err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	_, err = open().Lock()
	want := fmt.Sprintf("data folder %s is in use by process %d on %s: ", dir, os.Getpid(), host)
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v; want %s", err, want)
	}
	if err := os.Truncate(filepath.Join(dir, "lock"), 3); err != nil {
		t.Fatal(err)
	}
	if _, err := open().Lock(); err == nil || !strings.Contains(err.Error(), "in use by another process: ") {
		t.Errorf("without a whole signature: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Error(err)
	}
	lock, err = open().Lock()
	if err != nil {
		t.Fatalf("after it was given back: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Error(err)
	}
}

// TestLockReadOnly: a folder that this user cannot write is refused in words.
func TestLockReadOnly(t *testing.T) {
	d := openDir(t)
	if err := os.Chmod(d.Path(), 0o555); err != nil {
		t.Fatal(err)
	}
	var lock io.Closer
	err := errors.New("not run")
	asNobody(t, func() { lock, err = d.Lock() })
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "data folder "+d.Path()+" cannot be written by user ") {
		t.Errorf("%v, %v", lock, err)
	}
}

// asNobody runs f without root's right to write everywhere, if it has that. The
// thread ends with the goroutine.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		var err error
		if os.Geteuid() == 0 {
			err = syscall.Setfsuid(65534)
		}
		f()
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
