package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/vfs"
)

const (
	formatName = "format"
	// version is the layout that this package reads and writes.
	version = 1
)

// checkFormat reads the layout's version and writes it in a new folder, before
// anything else comes there.
func checkFormat(fsys vfs.FS) error {
	b, err := vfs.ReadFile(fsys, formatName, 64)
	if errors.Is(err, fs.ErrNotExist) {
		return unwritable(vfs.WriteFile(fsys, formatName, fmt.Appendf(nil, "%d\n", version), 0o600))
	}
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	v, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || v < 1 {
		return fmt.Errorf("data folder: the file %q says %q, which no weir wrote: this is not a data folder, or it is damaged", formatName, b)
	}
	if v > version {
		return fmt.Errorf("data folder has layout version %d, and this weir knows versions up to %d: it was used by a newer weir, which is needed to go on", v, version)
	}
	return nil
}

// unwritable says what an error of the first write means.
func unwritable(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("data folder cannot be written by user %d: %w", os.Geteuid(), err)
	case errors.Is(err, syscall.ENOSPC):
		return errs.Wrap(errs.StorageFull, err, "data folder: its file system is full; make room there")
	}
	return fmt.Errorf("data folder: %w", err)
}
