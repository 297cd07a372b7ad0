package vfstest

import (
	"io/fs"
	"path"
	"sync"

	"github.com/weir-registry/weir/internal/vfs"
)

// Op is one call of an FS or File.
type Op struct {
	N    int    // from 1 on
	Name string // open, openfile, rename, remove, mkdirall, stat, readdir, syncdir, space; read, write, sync, truncate, allocate, fstat, close
	Path string // for rename the old name
	Len  int    // of a read or write, in bytes
}

// Fault decides whether an operation fails. Of a write that fails, the first keep
// bytes are done.
type Fault func(op Op) (keep int, err error)

// Nth fails the n-th operation.
func Nth(n int, err error) Fault {
	return func(op Op) (int, error) {
		if op.N == n {
			return 0, err
		}
		return 0, nil
	}
}

// From fails the n-th operation and all after it, as if the process had ended there.
func From(n int, err error) Fault {
	return func(op Op) (int, error) {
		if op.N >= n {
			return 0, err
		}
		return 0, nil
	}
}

// On fails operations by name and path.Match pattern; "" is every name.
func On(name, pattern string, err error) Fault {
	return func(op Op) (int, error) {
		if name != "" && name != op.Name {
			return 0, nil
		}
		if ok, perr := path.Match(pattern, op.Path); perr != nil || !ok {
			return 0, perr
		}
		return 0, err
	}
}

// After fails the write that goes beyond n written bytes, which are done, and all
// writes after it.
func After(n int64, err error) Fault {
	return func(op Op) (int, error) {
		if op.Name != "write" {
			return 0, nil
		}
		if int64(op.Len) <= n {
			n -= int64(op.Len)
			return 0, nil
		}
		keep := int(n)
		n = 0
		return keep, err
	}
}

// Inject is an FS whose operations fail when a Fault says so. Closing a file
// always closes it.
type Inject struct {
	fs    vfs.FS
	mu    sync.Mutex
	n     int
	fault Fault
}

var _ vfs.FS = (*Inject)(nil)

// NewInject returns an FS on base that does not fail yet.
func NewInject(base vfs.FS) *Inject { return &Inject{fs: base} }

// Set replaces the fault, nil for none, and counts operations from 1 again. Calls
// of the fault do not overlap.
func (i *Inject) Set(f Fault) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.n, i.fault = 0, f
}

// Ops returns how many operations were seen since Set.
func (i *Inject) Ops() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.n
}

func (i *Inject) ask(name, file string, n int) (keep int, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.n++
	if i.fault == nil {
		return 0, nil
	}
	keep, err = i.fault(Op{i.n, name, file, n})
	if err != nil {
		err = &fs.PathError{Op: name, Path: file, Err: err}
	}
	return keep, err
}

// Open implements vfs.FS.
func (i *Inject) Open(name string) (vfs.File, error) {
	if _, err := i.ask("open", name, 0); err != nil {
		return nil, err
	}
	f, err := i.fs.Open(name)
	return i.wrap(name, f, err)
}

// OpenFile implements vfs.FS.
func (i *Inject) OpenFile(name string, flag int, perm fs.FileMode) (vfs.File, error) {
	if _, err := i.ask("openfile", name, 0); err != nil {
		return nil, err
	}
	f, err := i.fs.OpenFile(name, flag, perm)
	return i.wrap(name, f, err)
}

func (i *Inject) wrap(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &injectFile{f, i, name}, nil
}

// Rename implements vfs.FS.
func (i *Inject) Rename(oldname, newname string) error {
	if _, err := i.ask("rename", oldname, 0); err != nil {
		return err
	}
	return i.fs.Rename(oldname, newname)
}

// Remove implements vfs.FS.
func (i *Inject) Remove(name string) error {
	if _, err := i.ask("remove", name, 0); err != nil {
		return err
	}
	return i.fs.Remove(name)
}

// MkdirAll implements vfs.FS.
func (i *Inject) MkdirAll(name string, perm fs.FileMode) error {
	if _, err := i.ask("mkdirall", name, 0); err != nil {
		return err
	}
	return i.fs.MkdirAll(name, perm)
}

// Stat implements vfs.FS.
func (i *Inject) Stat(name string) (fs.FileInfo, error) {
	if _, err := i.ask("stat", name, 0); err != nil {
		return nil, err
	}
	return i.fs.Stat(name)
}

// ReadDir implements vfs.FS.
func (i *Inject) ReadDir(name string) ([]fs.DirEntry, error) {
	if _, err := i.ask("readdir", name, 0); err != nil {
		return nil, err
	}
	return i.fs.ReadDir(name)
}

// SyncDir implements vfs.FS.
func (i *Inject) SyncDir(name string) error {
	if _, err := i.ask("syncdir", name, 0); err != nil {
		return err
	}
	return i.fs.SyncDir(name)
}

// Space implements vfs.FS.
func (i *Inject) Space() (free, total int64, err error) {
	if _, err := i.ask("space", ".", 0); err != nil {
		return 0, 0, err
	}
	return i.fs.Space()
}

type injectFile struct {
	vfs.File
	i    *Inject
	name string
}

func (f *injectFile) Read(p []byte) (int, error) {
	if _, err := f.i.ask("read", f.name, len(p)); err != nil {
		return 0, err
	}
	return f.File.Read(p)
}

func (f *injectFile) ReadAt(p []byte, off int64) (int, error) {
	if _, err := f.i.ask("read", f.name, len(p)); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *injectFile) Write(p []byte) (int, error) {
	return f.write(p, f.File.Write)
}

func (f *injectFile) WriteAt(p []byte, off int64) (int, error) {
	return f.write(p, func(p []byte) (int, error) { return f.File.WriteAt(p, off) })
}

func (f *injectFile) write(p []byte, do func([]byte) (int, error)) (int, error) {
	keep, err := f.i.ask("write", f.name, len(p))
	if err == nil {
		return do(p)
	}
	if keep == 0 {
		return 0, err
	}
	n, derr := do(p[:keep])
	if derr != nil {
		return n, derr
	}
	return n, err
}

func (f *injectFile) Sync() error {
	if _, err := f.i.ask("sync", f.name, 0); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *injectFile) Truncate(size int64) error {
	if _, err := f.i.ask("truncate", f.name, 0); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *injectFile) Stat() (fs.FileInfo, error) {
	if _, err := f.i.ask("fstat", f.name, 0); err != nil {
		return nil, err
	}
	return f.File.Stat()
}

func (f *injectFile) Allocate(size int64) error {
	if _, err := f.i.ask("allocate", f.name, 0); err != nil {
		return err
	}
	return f.File.Allocate(size)
}

func (f *injectFile) Close() error {
	_, err := f.i.ask("close", f.name, 0)
	if cerr := f.File.Close(); err == nil {
		err = cerr
	}
	return err
}
