package meta

import (
	"context"
	"database/sql"
	"sync/atomic"
)

// prepared has the statements of a pool that ran more than once: each is parsed once for
// a connection. Those that run once, or never, are not worth it.
type prepared struct {
	pool  *sql.DB // nil: the engine prefers text
	stmts [queries]atomic.Pointer[sql.Stmt]
	ran   [queries]atomic.Bool
}

// get returns a statement, nil if it is to be run by its text; again says that it should
// be prepared.
func (p *prepared) get(q query) (s *sql.Stmt, again bool) {
	if p.pool == nil {
		return nil, false
	}
	if s = p.stmts[q].Load(); s != nil {
		return s, false
	}
	return nil, p.ran[q].Swap(true)
}

// prepare prepares a statement, on a connection that is free. What cannot be prepared now
// says why when it is run.
func (p *prepared) prepare(ctx context.Context, q query) *sql.Stmt {
	s, err := p.pool.PrepareContext(ctx, q.text())
	if err != nil {
		return nil
	}
	if !p.stmts[q].CompareAndSwap(nil, s) {
		s.Close()
	}
	return p.stmts[q].Load()
}
