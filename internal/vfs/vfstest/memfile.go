package vfstest

import (
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"syscall"
	"time"

	"github.com/weir-registry/weir/internal/vfs"
)

// memFile is an open file of a Mem. It outlives the file's name.
type memFile struct {
	m      *Mem
	n      *node
	name   string
	flag   int
	pos    int64 // m.mu
	closed bool  // m.mu
}

var _ vfs.File = (*memFile)(nil)

// usable says whether f can be read, or written. m.mu is held.
func (f *memFile) usable(op string, writes bool) error {
	switch {
	case f.closed:
		return pathErr(op, f.name, fs.ErrClosed)
	case f.n.entries != nil:
		return pathErr(op, f.name, syscall.EISDIR)
	case writes && f.flag&(os.O_WRONLY|os.O_RDWR) == 0, !writes && f.flag&os.O_WRONLY != 0:
		return pathErr(op, f.name, syscall.EBADF)
	}
	return nil
}

func (f *memFile) Read(p []byte) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	n, err := f.readAt(p, f.pos)
	f.pos += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return f.readAt(p, off)
}

func (f *memFile) readAt(p []byte, off int64) (int, error) {
	if err := f.usable("read", false); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, pathErr("read", f.name, syscall.EINVAL)
	}
	if len(p) == 0 {
		return 0, nil
	}
	n := 0
	if off < int64(len(f.n.data)) {
		n = copy(p, f.n.data[off:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) Write(p []byte) (int, error) {
	f.m.mu.Lock()
	off := f.pos
	if f.flag&os.O_APPEND != 0 {
		off = int64(len(f.n.data))
	}
	n, err := f.writeAt(p, off)
	f.pos = off + int64(n)
	f.m.mu.Unlock()
	if n > 0 {
		f.m.add("write %s %d+%d", f.name, off, n)
	}
	return n, err
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	n, err := f.writeAt(p, off)
	f.m.mu.Unlock()
	if n > 0 {
		f.m.add("write %s %d+%d", f.name, off, n)
	}
	return n, err
}

// writeAt writes what there is room for.
func (f *memFile) writeAt(p []byte, off int64) (int, error) {
	if err := f.usable("write", true); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, pathErr("write", f.name, syscall.EINVAL)
	}
	var err error
	room := max(f.n.charge()+f.m.total-f.m.used, f.n.charge())
	if end := off + int64(len(p)); end > room {
		p = p[:max(room-off, 0)]
		err = pathErr("write", f.name, syscall.ENOSPC)
	}
	if end := off + int64(len(p)); len(p) > 0 && end > int64(len(f.n.data)) {
		f.m.resize(f.n, end)
	}
	copy(f.n.data[min(off, int64(len(f.n.data))):], p)
	f.n.mod = time.Now()
	return len(p), err
}

// resize sets a file's length. m.mu is held.
func (m *Mem) resize(n *node, size int64) {
	before := n.charge()
	if size <= int64(len(n.data)) {
		clear(n.data[size:])
		n.data, n.reserved = n.data[:size], 0
	} else {
		n.data = slices.Grow(n.data, int(size)-len(n.data))[:size]
	}
	n.mod = time.Now()
	m.used += n.charge() - before
}

func (f *memFile) Seek(offset int64, whence int) (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		offset += f.pos
	case io.SeekEnd:
		offset += int64(len(f.n.data))
	}
	if f.closed {
		return 0, pathErr("seek", f.name, fs.ErrClosed)
	}
	if offset < 0 {
		return 0, pathErr("seek", f.name, syscall.EINVAL)
	}
	f.pos = offset
	return offset, nil
}

func (f *memFile) Sync() error {
	f.m.mu.Lock()
	err := f.live("sync")
	if err == nil {
		f.n.synced = slices.Clone(f.n.data)
	}
	f.m.mu.Unlock()
	if err == nil {
		f.m.add("sync %s", f.name)
	}
	return err
}

func (f *memFile) live(op string) error {
	if f.closed {
		return pathErr(op, f.name, fs.ErrClosed)
	}
	return nil
}

func (f *memFile) Truncate(size int64) error {
	f.m.mu.Lock()
	err := f.usable("truncate", true)
	if err == nil {
		f.m.resize(f.n, size)
	}
	f.m.mu.Unlock()
	if err == nil {
		f.m.add("truncate %s %d", f.name, size)
	}
	return err
}

func (f *memFile) Allocate(size int64) error {
	f.m.mu.Lock()
	err := f.usable("allocate", true)
	if more := size - f.n.charge(); err == nil && more > 0 {
		if f.m.used+more > f.m.total {
			err = pathErr("allocate", f.name, syscall.ENOSPC)
		} else {
			f.n.reserved = size
			f.m.used += more
		}
	}
	f.m.mu.Unlock()
	if err == nil {
		f.m.add("allocate %s %d", f.name, size)
	}
	return err
}

func (f *memFile) Stat() (fs.FileInfo, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.live("stat"); err != nil {
		return nil, err
	}
	return f.n.info(path.Base(f.name)), nil
}

func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.live("close"); err != nil {
		return err
	}
	f.closed = true
	f.n.opens--
	f.m.free(f.n)
	return nil
}
