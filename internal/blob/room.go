package blob

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/weir-registry/weir/internal/errs"
)

// reserve promises sp room for limit bytes and takes the blocks where the file
// system can. A promise that came first counts for those that come later, so of
// two that do not fit together one gets the room.
func (s *Spools) reserve(sp *Spool, limit int64) error {
	before := sp.limit.Load()
	if err := s.promise(sp, limit); err != nil {
		sp.limit.Store(before)
		return err
	}
	return nil
}

func (s *Spools) promise(sp *Spool, limit int64) error {
	s.mu.Lock()
	others := s.owedBut(sp)
	sp.limit.Store(limit)
	s.mu.Unlock()
	free, total, err := s.fs.Space()
	if err != nil {
		return fmt.Errorf("free space: %w", err)
	}
	if keep := s.keepFree(total); free-keep-others < sp.owed() {
		return full(sp.key.String(), sp.owed(), free, total, keep, others)
	}
	return nil
}

// owedBut sums up what open spools other than sp are owed. s.mu is held.
func (s *Spools) owedBut(sp *Spool) (sum int64) {
	for _, o := range s.open {
		if o != nil && o != sp {
			sum += o.owed()
		}
	}
	return sum
}

// owed returns the bytes that sp was promised and that the file system does not
// count as used yet.
func (sp *Spool) owed() int64 {
	return max(0, sp.limit.Load()-max(sp.size.Load(), sp.backed.Load()))
}

// allocate takes the blocks of what was promised.
func (sp *Spool) allocate() error {
	limit := sp.limit.Load()
	err := sp.f.Allocate(limit)
	switch {
	case err == nil:
		sp.backed.Store(limit)
	case errors.Is(err, errors.ErrUnsupported):
		// Then the promise is all there is.
	default:
		return err
	}
	return nil
}

// fullNow puts a disk that was full earlier than it said into words.
func (sp *Spool) fullNow(cause error) error {
	free, total, err := sp.s.fs.Space()
	if err != nil {
		return cause
	}
	sp.s.mu.Lock()
	others := sp.s.owedBut(sp)
	sp.s.mu.Unlock()
	e := full(sp.key.String(), sp.owed(), free, total, sp.s.keepFree(total), others)
	e.Err = cause
	return e
}

func full(what string, need, free, total, keep, others int64) *errs.Error {
	return errs.Wrap(errs.StorageFull, syscall.ENOSPC,
		"no room for %s: it needs %s, but of the %s that are free (of %s) %s are kept free and %s are promised to other transfers; make room on the data folder's file system, or lower storage.keep_free",
		what, size(need), size(free), size(total), size(keep), size(others))
}

// size writes bytes for people, and exactly.
func size(n int64) string {
	for _, u := range []struct {
		shift int
		name  string
	}{{40, "TiB"}, {30, "GiB"}, {20, "MiB"}} {
		if n >= 1<<u.shift {
			return fmt.Sprintf("%d bytes (%.1f %s)", n, float64(n)/float64(int64(1)<<u.shift), u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
