package vfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

const lockName = "lock"

// Lock makes this process the folder's only user, until it ends or closes what
// Lock returns. The error says which process has it, or that the folder cannot be
// written. The lock is flock(2) on a file "lock", which stays behind: it means
// nothing when no process holds it.
func (d *Dir) Lock() (io.Closer, error) {
	f, err := d.root.OpenFile(lockName, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data folder %s cannot be written by user %d: %w", d.path, os.Geteuid(), err)
	}
	err = control(f, func(fd int) error { return syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB) })
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("data folder %s is in use by %s: one process owns a data folder; stop that one, or set another `data`", d.path, holder(f))
		return nil, errors.Join(err, f.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("data folder %s cannot be locked: %w", d.path, err), f.Close())
	}
	sign(f)
	return f, nil
}

// sign writes who holds the lock. The host name tells containers apart, whose
// process ids mean nothing to each other. A full disk is no reason not to start:
// the lock holds without a signature.
func sign(f *os.File) {
	host, err := os.Hostname()
	if err != nil {
		host = "an unnamed host"
	}
	who := fmt.Appendf(nil, "process %d on %s\n", os.Getpid(), host)
	if n, err := f.WriteAt(who, 0); err == nil {
		_ = f.Truncate(int64(n)) // what stays behind a signature is ignored
	}
}

// holder reads what sign wrote. The holder may not have come to write it yet.
func holder(f *os.File) string {
	b, err := io.ReadAll(io.LimitReader(f, 300))
	who, _, ok := strings.Cut(string(b), "\n")
	if err != nil || !ok {
		return "another process"
	}
	return who
}
