package meta

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/weir-registry/weir/internal/errs"
)

// writeDeadline bounds a write with all its attempts, once it has begun.
const writeDeadline = 30 * time.Second

// runner runs statements: those of a transaction, or single reads.
type runner struct {
	db  *DB
	sql *sql.Tx // nil: single reads
}

func (db *DB) get() runner { return runner{db: db} }

// tx is one attempt at a write. What it changes of what is cached it says through
// forget, so that the cache is right as soon as the write is durable.
type tx struct {
	runner
	forget  forget
	changed []string // repositories that change was called of
}

// tx runs f in a transaction and commits it, again and again while the engine says
// that another writer was in the way: f has no effect outside the database. One
// transaction of this process runs at a time. A context that ends stops the wait for
// the turn, not the write itself. Errors: errs.StorageFull if the disk is full.
func (db *DB) tx(ctx context.Context, f func(context.Context, *tx) error) error {
	return db.write(ctx, func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(context.WithoutCancel(ctx), db.within)
	}, f)
}

// write is tx with bounds of its own, from when it has its turn.
func (db *DB) write(ctx context.Context, bounded func(context.Context) (context.Context, context.CancelFunc), f func(context.Context, *tx) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case db.writer <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-db.writer }()
	ctx, cancel := bounded(ctx)
	defer cancel()
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		err := db.attempt(ctx, f)
		if err == nil {
			return nil
		}
		if db.engine.full(err) {
			return errs.Wrap(errs.StorageFull, err, "no room for the database")
		}
		if !db.engine.again(err) {
			return err
		}
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

func (db *DB) attempt(ctx context.Context, f func(context.Context, *tx) error) error {
	sqlTx, err := db.writes.BeginTx(ctx, &sql.TxOptions{Isolation: db.engine.isolation()})
	if err != nil {
		return err
	}
	defer sqlTx.Rollback() // does nothing after the commit
	t := &tx{runner: runner{db, sqlTx}}
	if err := f(ctx, t); err != nil {
		return err
	}
	if err := sqlTx.Commit(); err != nil {
		db.cache.clear() // it may have happened all the same
		return err
	}
	db.cache.apply(t.forget)
	db.onCommit()
	for _, q := range db.wanted {
		db.forTx.prepare(ctx, q)
	}
	db.wanted = db.wanted[:0]
	return nil
}

// statement returns a prepared statement of the transaction, nil if there is none yet.
func (r runner) statement(ctx context.Context, q query) *sql.Stmt {
	s, again := r.db.forTx.get(q)
	if again && !slices.Contains(r.db.wanted, q) {
		r.db.wanted = append(r.db.wanted, q)
	}
	if s == nil {
		return nil
	}
	return r.sql.StmtContext(ctx, s)
}

// rows runs a query. The caller closes the rows, inside a transaction before it runs
// anything else.
func (r runner) rows(ctx context.Context, q query, args ...any) (*sql.Rows, error) {
	r.db.count.Add(1)
	if r.sql != nil {
		if s := r.statement(ctx, q); s != nil {
			return s.QueryContext(ctx, args...)
		}
		return r.sql.QueryContext(ctx, q.text(), args...)
	}
	s, again := r.db.forGet.get(q)
	if again {
		s = r.db.forGet.prepare(ctx, q)
	}
	if s != nil {
		return s.QueryContext(ctx, args...)
	}
	return r.db.reads.QueryContext(ctx, q.text(), args...)
}

// row scans the first row into dest: sql.ErrNoRows if there is none.
func (r runner) row(ctx context.Context, q query, args []any, dest ...any) error {
	rows, err := r.rows(ctx, q, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return err
		}
		return sql.ErrNoRows
	}
	if err := rows.Scan(dest...); err != nil {
		return err
	}
	return rows.Close()
}

// list scans all rows before it returns.
func list[T any](ctx context.Context, r runner, q query, args []any, scan func(*sql.Rows) (T, error)) ([]T, error) {
	rows, err := r.rows(ctx, q, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// text is list's scan for rows of one text.
func text[T ~string](rows *sql.Rows) (T, error) {
	var s string
	err := rows.Scan(&s)
	return T(s), err
}

// exec runs a statement and returns how many rows it wrote.
func (t *tx) exec(ctx context.Context, q query, args ...any) (int64, error) {
	t.db.count.Add(1)
	var result sql.Result
	var err error
	if s := t.statement(ctx, q); s != nil {
		result, err = s.ExecContext(ctx, args...)
	} else {
		result, err = t.sql.ExecContext(ctx, q.text(), args...)
	}
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
