package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/vfs"
)

// openFolder makes the data folder if it is not there and takes it for this
// process. made says that no weir had it before. Errors are for the person who
// started weir.
func openFolder(name string) (dir *vfs.Dir, lock io.Closer, made bool, err error) {
	if dir, err = vfs.OpenDir(name); err != nil {
		return nil, nil, false, advise(err)
	}
	if lock, err = dir.Lock(); err != nil {
		return nil, nil, false, errors.Join(advise(err), dir.Close())
	}
	if made, err = isNew(dir, name); err != nil {
		return nil, nil, false, errors.Join(err, lock.Close(), dir.Close())
	}
	return dir, lock, made, nil
}

// isNew says whether a folder has had no weir, and refuses one that has something
// of anybody else's.
func isNew(dir vfs.FS, name string) (bool, error) {
	if _, err := dir.Stat("format"); !errors.Is(err, fs.ErrNotExist) {
		return false, inFolder(name, err)
	}
	entries, err := dir.ReadDir(".")
	if err != nil {
		return false, inFolder(name, err)
	}
	for _, e := range entries {
		if !slices.Contains([]string{"lock", "format.tmp", "lost+found"}, e.Name()) && !strings.HasPrefix(e.Name(), ".") {
			return false, fmt.Errorf("data folder %s is not empty (it has %s) and no weir made it: give weir a folder of its own", name, e.Name())
		}
	}
	return true, nil
}

// writeNew writes a file that must not be there yet, durably, or leaves none.
func writeNew(dir vfs.FS, name string, text []byte, perm fs.FileMode) error {
	f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, dir.Remove(name))
	}
	return dir.SyncDir(".")
}

// inFolder is an error about what is in a data folder, nil for nil.
func inFolder(name string, err error) error {
	if err == nil {
		return nil
	}
	return advise(fmt.Errorf("%s: %w", name, err))
}

// inFolder is inFolder for an open folder: whatever the error says, no room is
// the reason where there is none.
func (w *Weir) inFolder(err error) error {
	if free, _, serr := w.dir.Space(); err != nil && serr == nil && free < 64<<10 {
		return fmt.Errorf("%s: %w: its file system is full: make room there", w.config.Data, err)
	}
	return inFolder(w.config.Data, err)
}

// advise adds what to do about an error of the file system.
func advise(err error) error {
	switch {
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: mount it writable, or name another folder with --data", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: give this user the right to, or name another folder with --data", err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errs.CodeOf(err) == errs.StorageFull:
		return fmt.Errorf("%w: its file system is full: make room there", err)
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w: a file is in its place", err)
	}
	return err
}
