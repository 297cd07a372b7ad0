// Package vfs is the only door to the disk. What weir keeps in files goes through
// FS, so that tests can put a disk under it that crashes (vfstest.Mem) or fails
// (vfstest.Inject).
//
// Guarantees of the real disk, Dir: no name leads out of the root folder, through
// ".." or a symbolic link neither (os.Root); SyncDir returns after the folder's
// entries are on the medium, as far as the kernel and the disk say the truth.
// Not guaranteed: anything about bytes and names that were not synced.
//
// Dir works on Linux.
package vfs

import (
	"io"
	"io/fs"
)

// FS is a tree of files. Names are slash-separated and relative to the root, "."
// is the root itself. It is safe for concurrent use. Errors are *fs.PathError or
// *os.LinkError and match fs.ErrNotExist, fs.ErrExist and syscall's errors.
type FS interface {
	// Open opens for reading only.
	Open(name string) (File, error)
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// Rename replaces newname if it is a file. After a crash either name, or both,
	// may have the file until the new name's folder was synced.
	Rename(oldname, newname string) error
	Remove(name string) error
	MkdirAll(name string, perm fs.FileMode) error
	Stat(name string) (fs.FileInfo, error)
	// ReadDir returns the folder's entries in the order of their names.
	ReadDir(name string) ([]fs.DirEntry, error)
	// SyncDir makes the folder's entries durable: names made, renamed and removed.
	SyncDir(name string) error
	// Space returns the bytes of the file system, and those of them that an
	// ordinary user can still fill.
	Space() (free, total int64, err error)
}

// File is an open file. ReadAt and WriteAt are safe for concurrent use.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.WriterAt
	io.Seeker
	io.Closer
	// Sync makes the file's bytes and length durable, not its name.
	Sync() error
	// Truncate sets the length, and gives back blocks that Allocate took behind it.
	Truncate(size int64) error
	Stat() (fs.FileInfo, error)
	// Allocate takes blocks for the first size bytes without changing the length.
	// The error matches syscall.ENOSPC where there is no room, and
	// errors.ErrUnsupported where the file system cannot.
	Allocate(size int64) error
}
