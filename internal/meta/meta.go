// Package meta has weir's rows: the registry, access keys, users and their policies,
// rules, secrets, repositories, manifests and what they name, which blobs are held,
// which repository may serve which of them, tags and their history. It keeps them in
// SQLite or in PostgreSQL, with one text of SQL for both.
//
// It guarantees:
//   - A write is durable when its method returns (SQLite: one fsync of the log), and
//     happened wholly or not at all. Writes run one at a time in each process and
//     SERIALIZABLE against other processes; what the engine refuses for the sake of
//     another writer is tried again.
//   - A read that starts after a write returned sees it, in the same process from
//     memory too, across processes on PostgreSQL.
//   - On SQLite a repository, a tag, a manifest, a servable blob, an access key and a
//     user's policies that were read lately cost no SQL. On PostgreSQL only the bytes of manifests,
//     which their digest names, are remembered: another process may change or delete the rest. The memory is bounded.
//   - A link is written only while the blob is held.
//   - What is stored as text has been checked against its grammar; media types,
//     platforms and manifests are bytes and come back as they were.
//   - A database that a newer weir wrote is not opened. One that an older weir wrote is
//     brought up to date in one transaction, on SQLite after a copy was made.
//
// It does not check that a manifest's bytes have its digest, nor that a blob's bytes
// are there: whoever stores them says so only after it is true. It does not keep two
// processes off one SQLite file; whoever owns the data folder does. Pull times may be
// lost with the process (see DB.Touch).
package meta

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Options say which database. Exactly one of Path and URL is required.
type Options struct {
	Path string // SQLite file; made if it is not there
	URL  string // PostgreSQL, as in postgres://user:password@host/database

	// OnCommit is called after each committed write, those of Open included, before
	// the write's method returns. No other write of this process runs meanwhile, so on
	// SQLite a copy of the file and its -wal is the database as of this commit. It must
	// not write through the DB. For tests; nil: nothing is called.
	OnCommit func()

	Logger *slog.Logger // nil: slog.Default()
}

// DB is an open database. It is safe for use by many goroutines.
type DB struct {
	engine   engine
	onCommit func()
	log      *slog.Logger

	writes *sql.DB // one connection on SQLite; the same pool as reads on PostgreSQL
	reads  *sql.DB
	forTx  prepared // of writes
	forGet prepared // of reads
	wanted []query  // of forTx, by the transaction that runs: its connection is not free

	writer chan struct{} // holds one: the right to write
	within time.Duration // see writeDeadline
	count  atomic.Int64
	cache  caches
	pulls  pulls
	fresh  atomic.Pointer[func(name string) Repository] // see NewRepositories
	queued atomic.Pointer[func()]                       // see OnQueued

	closed sync.Once
	err    error // of Close
}

// Open opens the database, makes or updates its schema, and starts to collect pull
// times. Close ends what Open started.
func Open(ctx context.Context, o Options) (*DB, error) {
	return open(ctx, o, embedded(), writeDeadline)
}

func open(ctx context.Context, o Options, migrations fs.FS, within time.Duration) (*DB, error) {
	e, err := newEngine(o)
	if err != nil {
		return nil, err
	}
	db := &DB{engine: e, onCommit: o.OnCommit, log: o.Logger, writer: make(chan struct{}, 1), within: within}
	if db.onCommit == nil {
		db.onCommit = func() {}
	}
	if db.log == nil {
		db.log = slog.Default()
	}
	db.cache.open(e.alone())
	if err := db.start(ctx, migrations); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", e.name(), err), db.closePools())
	}
	db.pulls.start(db.flush)
	return db, nil
}

func (db *DB) start(ctx context.Context, migrations fs.FS) error {
	var err error
	if db.writes, db.reads, err = db.engine.pools(); err != nil {
		return err
	}
	if err := db.migrate(ctx, migrations); err != nil {
		return err
	}
	if db.engine.prepares() {
		db.forTx.pool, db.forGet.pool = db.writes, db.reads
	}
	return nil
}

// Close writes the pull times that are still in memory and closes the database. No
// other method may be running or be called later, except Touch, which then does
// nothing, and Close.
func (db *DB) Close() error {
	db.closed.Do(func() {
		db.pulls.stop()
		db.err = db.closePools()
	})
	return db.err
}

func (db *DB) closePools() error {
	var errs []error
	// The writer last: the last connection of a SQLite file empties its log, and a
	// reader may not.
	for _, p := range []*sql.DB{db.reads, db.writes} {
		if p != nil {
			errs = append(errs, p.Close())
		}
	}
	return errors.Join(errs...)
}

// Queries returns how many SQL statements have run, without BEGIN, COMMIT and those
// of Open.
func (db *DB) Queries() int64 { return db.count.Load() }

// micros is t as it is stored: microseconds, 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}
