package vfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Dir is a folder of the real disk as an FS.
type Dir struct {
	root *os.Root
	self *os.File // the root folder's descriptor
	path string   // for messages
}

var _ FS = (*Dir)(nil)

// OpenDir opens a folder, and makes it (mode 0700) if it is not there. It refuses
// folders on NFS and CIFS: neither the database's shared memory nor locks hold on
// them.
func OpenDir(dir string) (*Dir, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("data folder %s: %w", dir, err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("data folder %s cannot be made: %w", path, err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("data folder %s cannot be opened: %w", path, err)
	}
	self, err := root.Open(".")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("data folder %s cannot be read: %w", path, err), root.Close())
	}
	d := &Dir{root, self, path}
	st, err := d.statfs()
	if err == nil {
		err = checkType(path, int64(st.Type))
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Close gives the folder back. Open files stay open.
func (d *Dir) Close() error { return errors.Join(d.self.Close(), d.root.Close()) }

// Path returns the folder's absolute path.
func (d *Dir) Path() string { return d.path }

// Open implements FS. On this disk a File has the methods of *os.File, SyscallConn
// among them, so that the kernel can send it to a socket.
func (d *Dir) Open(name string) (File, error) { return d.OpenFile(name, os.O_RDONLY, 0) }

// OpenFile implements FS.
func (d *Dir) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := d.root.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return file{f}, nil
}

// Rename implements FS.
func (d *Dir) Rename(oldname, newname string) error { return d.root.Rename(oldname, newname) }

// Remove implements FS.
func (d *Dir) Remove(name string) error { return d.root.Remove(name) }

// MkdirAll implements FS.
func (d *Dir) MkdirAll(name string, perm fs.FileMode) error { return d.root.MkdirAll(name, perm) }

// Stat implements FS.
func (d *Dir) Stat(name string) (fs.FileInfo, error) { return d.root.Stat(name) }

// ReadDir implements FS.
func (d *Dir) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(d.root.FS(), name) }

// SyncDir implements FS.
func (d *Dir) SyncDir(name string) error {
	f, err := d.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Space implements FS.
func (d *Dir) Space() (free, total int64, err error) {
	st, err := d.statfs()
	if err != nil {
		return 0, 0, err
	}
	unit := int64(st.Frsize)
	return int64(st.Bavail) * unit, int64(st.Blocks) * unit, nil
}

func (d *Dir) statfs() (syscall.Statfs_t, error) {
	var st syscall.Statfs_t
	err := control(d.self, func(fd int) error { return syscall.Fstatfs(fd, &st) })
	if err != nil {
		return st, fmt.Errorf("data folder %s: free space: %w", d.path, err)
	}
	return st, nil
}

// Magic numbers of statfs(2).
const (
	magicNFS  = 0x6969
	magicSMB  = 0x517b
	magicCIFS = 0xff534d42
	magicSMB2 = 0xfe534d42
)

// checkType refuses a folder by the type of its file system.
func checkType(path string, magic int64) error {
	var name string
	switch uint32(magic) { // the field is 32 bits wide on some machines, with a sign
	case magicNFS:
		name = "NFS"
	case magicSMB, magicCIFS, magicSMB2:
		name = "CIFS (SMB)"
	default:
		return nil
	}
	return fmt.Errorf("data folder %s is on %s, where locks and the database's shared memory do not hold: put it on a local disk", path, name)
}

// file adds Allocate to *os.File.
type file struct{ *os.File }

// keepSize is FALLOC_FL_KEEP_SIZE: take blocks, leave the length.
const keepSize = 1

func (f file) Allocate(size int64) error {
	if size <= 0 {
		return nil
	}
	err := control(f.File, func(fd int) error { return syscall.Fallocate(fd, keepSize, 0, size) })
	if err != nil {
		return &fs.PathError{Op: "fallocate", Path: f.Name(), Err: err}
	}
	return nil
}

// control calls fn with f's descriptor, again when a signal broke in.
func control(f *os.File, fn func(fd int) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var ferr error
	err = c.Control(func(fd uintptr) {
		for ferr = syscall.EINTR; ferr == syscall.EINTR; {
			ferr = fn(int(fd))
		}
	})
	return errors.Join(err, ferr)
}
