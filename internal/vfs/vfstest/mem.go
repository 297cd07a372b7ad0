// Package vfstest has disks for tests: Mem, which can crash, and Inject, which
// makes operations fail. Log is the order of what they did.
package vfstest

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/weir-registry/weir/internal/vfs"
)

// Mem is a disk in memory that knows what of it is durable: bytes and lengths
// that were synced, and names whose folder was synced. It is stricter than ext4,
// XFS or Btrfs: syncing a file does not make its name durable, and syncing a
// folder does not make the folder's own name durable. Only regular files and
// folders; permissions are kept, not enforced.
type Mem struct {
	log *Log // nil: none

	mu      sync.Mutex
	root    *node
	pending []*change // of names, oldest first
	total   int64
	used    int64
}

var _ vfs.FS = (*Mem)(nil)

// NewMem returns an empty disk of 1 TiB that writes what changes it to log, if
// that is not nil.
func NewMem(log *Log) *Mem {
	return &Mem{log: log, root: newDir(), total: 1 << 40}
}

// SetTotal sets the size of the disk in bytes.
func (m *Mem) SetTotal(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total = bytes
}

// node is a file or folder.
type node struct {
	perm fs.FileMode
	mod  time.Time

	entries map[string]*node // of a folder, as seen now; nil: a file
	durable map[string]*node // of a folder, what certainly survives a crash

	data     []byte
	synced   []byte // what certainly survives a crash
	reserved int64  // by Allocate
	links    int
	opens    int
}

func newDir() *node {
	return &node{perm: fs.ModeDir | 0o700, mod: time.Now(), entries: map[string]*node{}, durable: map[string]*node{}}
}

func (n *node) charge() int64 { return max(int64(len(n.data)), n.reserved) }

// change is one change of names that may not survive a crash yet: node gets a
// name, loses one, or both (a rename).
type change struct {
	node             *node
	newDir, oldDir   *node // nil: not that part, or durable
	newName, oldName string
}

func (m *Mem) add(format string, args ...any) {
	if m.log != nil {
		m.log.Add(fmt.Sprintf(format, args...))
	}
}

func pathErr(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }

// find returns a name's folder, last element and node, which is nil if only the
// folder is there. m.mu is held.
func (m *Mem) find(name string) (dir *node, base string, n *node, err error) {
	if !fs.ValidPath(name) {
		return nil, "", nil, fs.ErrInvalid
	}
	if name == "." {
		return nil, "", m.root, nil
	}
	dir = m.root
	elems := strings.Split(name, "/")
	for _, e := range elems[:len(elems)-1] {
		next := dir.entries[e]
		switch {
		case next == nil:
			return nil, "", nil, fs.ErrNotExist
		case next.entries == nil:
			return nil, "", nil, syscall.ENOTDIR
		}
		dir = next
	}
	base = elems[len(elems)-1]
	return dir, base, dir.entries[base], nil
}

// Open implements vfs.FS.
func (m *Mem) Open(name string) (vfs.File, error) { return m.OpenFile(name, os.O_RDONLY, 0) }

// OpenFile implements vfs.FS.
func (m *Mem) OpenFile(name string, flag int, perm fs.FileMode) (vfs.File, error) {
	m.mu.Lock()
	f, changed, err := m.open(name, flag, perm)
	m.mu.Unlock()
	if err != nil {
		return nil, pathErr("open", name, err)
	}
	if changed {
		m.add("openfile %s", name)
	}
	return f, nil
}

func (m *Mem) open(name string, flag int, perm fs.FileMode) (f *memFile, changed bool, err error) {
	dir, base, n, err := m.find(name)
	writes := flag&(os.O_WRONLY|os.O_RDWR) != 0
	switch {
	case err != nil:
		return nil, false, err
	case n == nil && flag&os.O_CREATE == 0:
		return nil, false, fs.ErrNotExist
	case n != nil && flag&os.O_EXCL != 0:
		return nil, false, fs.ErrExist
	case n != nil && n.entries != nil && writes:
		return nil, false, syscall.EISDIR
	case n == nil:
		n = &node{perm: perm, mod: time.Now(), links: 1}
		dir.entries[base] = n
		m.pending = append(m.pending, &change{node: n, newDir: dir, newName: base})
		changed = true
	case flag&os.O_TRUNC != 0 && writes:
		m.resize(n, 0)
		changed = true
	}
	n.opens++
	return &memFile{m: m, n: n, name: name, flag: flag}, changed, nil
}

// Rename implements vfs.FS.
func (m *Mem) Rename(oldname, newname string) error {
	m.mu.Lock()
	err := m.rename(oldname, newname)
	m.mu.Unlock()
	if err != nil {
		return &os.LinkError{Op: "rename", Old: oldname, New: newname, Err: err}
	}
	m.add("rename %s %s", oldname, newname)
	return nil
}

func (m *Mem) rename(oldname, newname string) error {
	oldDir, oldBase, n, err := m.find(oldname)
	if err != nil {
		return err
	}
	newDir, newBase, over, err := m.find(newname)
	switch {
	case err != nil:
		return err
	case n == nil:
		return fs.ErrNotExist
	case oldDir == nil || newDir == nil:
		return fs.ErrInvalid
	case over == n:
		return nil
	case over != nil && over.entries != nil:
		return fs.ErrExist
	case over != nil:
		m.unlink(over)
	}
	newDir.entries[newBase] = n
	delete(oldDir.entries, oldBase)
	m.pending = append(m.pending, &change{n, newDir, oldDir, newBase, oldBase})
	return nil
}

// Remove implements vfs.FS.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	err := m.remove(name)
	m.mu.Unlock()
	if err != nil {
		return pathErr("remove", name, err)
	}
	m.add("remove %s", name)
	return nil
}

func (m *Mem) remove(name string) error {
	dir, base, n, err := m.find(name)
	switch {
	case err != nil:
		return err
	case n == nil:
		return fs.ErrNotExist
	case dir == nil:
		return fs.ErrInvalid
	case len(n.entries) > 0:
		return syscall.ENOTEMPTY
	}
	delete(dir.entries, base)
	m.pending = append(m.pending, &change{node: n, oldDir: dir, oldName: base})
	m.unlink(n)
	return nil
}

func (m *Mem) unlink(n *node) {
	n.links--
	m.free(n)
}

// free gives back the room of a file that has neither a name nor a user.
func (m *Mem) free(n *node) {
	if n.entries == nil && n.links == 0 && n.opens == 0 {
		m.used -= n.charge()
	}
}

// MkdirAll implements vfs.FS.
func (m *Mem) MkdirAll(name string, perm fs.FileMode) error {
	if !fs.ValidPath(name) {
		return pathErr("mkdir", name, fs.ErrInvalid)
	}
	for i := range len(name) + 1 {
		if name == "." || i < len(name) && name[i] != '/' {
			continue
		}
		made, err := m.mkdir(name[:i], perm)
		if err != nil {
			return pathErr("mkdir", name[:i], err)
		}
		if made {
			m.add("mkdir %s", name[:i])
		}
	}
	return nil
}

func (m *Mem) mkdir(name string, perm fs.FileMode) (made bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, n, err := m.find(name)
	switch {
	case err != nil:
		return false, err
	case n != nil && n.entries == nil:
		return false, syscall.ENOTDIR
	case n != nil:
		return false, nil
	}
	n = newDir()
	n.perm = fs.ModeDir | perm
	dir.entries[base] = n
	m.pending = append(m.pending, &change{node: n, newDir: dir, newName: base})
	return true, nil
}

// Stat implements vfs.FS.
func (m *Mem) Stat(name string) (fs.FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, _, n, err := m.find(name)
	if err == nil && n == nil {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, pathErr("stat", name, err)
	}
	return n.info(path.Base(name)), nil
}

// ReadDir implements vfs.FS.
func (m *Mem) ReadDir(name string) ([]fs.DirEntry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, _, n, err := m.find(name)
	switch {
	case err != nil:
	case n == nil:
		err = fs.ErrNotExist
	case n.entries == nil:
		err = syscall.ENOTDIR
	}
	if err != nil {
		return nil, pathErr("readdir", name, err)
	}
	var list []fs.DirEntry
	for _, e := range slices.Sorted(maps.Keys(n.entries)) {
		list = append(list, fs.FileInfoToDirEntry(n.entries[e].info(e)))
	}
	return list, nil
}

// Space implements vfs.FS.
func (m *Mem) Space() (free, total int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return max(m.total-m.used, 0), m.total, nil
}

// info is a FileInfo of the moment.
type info struct {
	name string
	size int64
	mode fs.FileMode
	mod  time.Time
}

func (n *node) info(name string) info { return info{name, int64(len(n.data)), n.perm, n.mod} }

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return i.mod }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }
