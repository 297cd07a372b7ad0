package events

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// file appends events to a file, one line each. A file that was moved away, or removed,
// is left, and another one of its name is made.
type file struct {
	path string
	f    *os.File
	torn bool // the last line has no end
}

func (f *file) append(ctx context.Context, m message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := f.open(); err != nil {
		return err
	}
	line := append(append([]byte(nil), m.body...), '\n')
	if f.torn {
		line = append([]byte{'\n'}, line...)
	}
	n, err := f.f.Write(line)
	f.torn = err != nil && (n > 0 || f.torn)
	return err
}

// open makes f.f the file that has the name now.
func (f *file) open() error {
	if f.f != nil {
		mine, err := f.f.Stat()
		if err != nil {
			return err
		}
		now, err := os.Stat(f.path)
		if err == nil && os.SameFile(mine, now) {
			return nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		f.close()
	}
	// A pipe that nobody reads would hold whoever opens or writes it.
	const flags = os.O_APPEND | os.O_CREATE | syscall.O_NONBLOCK
	opened, err := os.OpenFile(f.path, os.O_RDWR|flags, 0o640)
	if errors.Is(err, fs.ErrPermission) {
		opened, err = os.OpenFile(f.path, os.O_WRONLY|flags, 0o640)
	}
	if err != nil {
		return err
	}
	info, err := opened.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", f.path)
	}
	if err != nil {
		opened.Close()
		return err
	}
	f.f, f.torn = opened, torn(opened, info.Size())
	return nil
}

// torn says whether the last line of a file has no end, as a crash leaves it. Of a file
// that may be written only, nobody knows.
func torn(f *os.File, size int64) bool {
	var last [1]byte
	if size == 0 {
		return false
	}
	_, err := f.ReadAt(last[:], size-1)
	return err == nil && last[0] != '\n'
}

// close gives up the file; each line is in it when append has returned.
func (f *file) close() {
	if f.f != nil {
		_ = f.f.Close()
		f.f = nil
	}
}
