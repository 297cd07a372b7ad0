package meta

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	"modernc.org/sqlite"
)

// Primary result codes, https://www.sqlite.org/rescode.html.
const (
	sqliteBusy   = 5
	sqliteLocked = 6
	sqliteFull   = 13
)

type sqliteEngine struct{ path string }

func newSQLite(path string) (engine, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	return sqliteEngine{abs}, nil
}

func (e sqliteEngine) name() string                            { return e.path }
func (sqliteEngine) dialect() string                           { return "sqlite" }
func (sqliteEngine) alone() bool                               { return true }
func (sqliteEngine) prepares() bool                            { return true }
func (sqliteEngine) isolation() sql.IsolationLevel             { return sql.LevelDefault }
func (sqliteEngine) lockSchema(context.Context, *sql.Tx) error { return nil }

// pools opens one connection that writes and one per processor that reads. Every
// pragma is in the DSN, because database/sql opens connections when it likes.
func (e sqliteEngine) pools() (writes, reads *sql.DB, err error) {
	// Made here, because SQLite would let everyone read it, and the log beside it.
	f, err := os.OpenFile(e.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, err
	}
	if err := f.Close(); err != nil {
		return nil, nil, err
	}
	// A commit waits for its bytes and the file's length, not for its times: what
	// SQLite itself does on Linux. Elsewhere there is no such call; fsync is as safe.
	_, _ = sqlite.Fdatasync(true)
	if writes, err = sql.Open("sqlite", e.dsn("&_txlock=immediate")); err != nil {
		return nil, nil, err
	}
	writes.SetMaxOpenConns(1)
	if reads, err = sql.Open("sqlite", e.dsn("&_pragma=query_only(1)")); err != nil {
		return writes, nil, err
	}
	n := max(runtime.GOMAXPROCS(0), 2)
	reads.SetMaxOpenConns(n)
	reads.SetMaxIdleConns(n)
	return writes, reads, nil
}

func (e sqliteEngine) dsn(more string) string {
	return "file:" + (&url.URL{Path: e.path}).EscapedPath() +
		"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)" +
		"&_pragma=journal_size_limit(67108864)&_pragma=cache_size(-16384)" +
		"&_pragma=foreign_keys(1)&_pragma=trusted_schema(0)&_dqs=0" + more
}

// keep leaves <path>.before-<next version> behind. The copy is whole under that name
// or not there; one of an earlier attempt is replaced.
func (e sqliteEngine) keep(ctx context.Context, db *sql.DB, version int) error {
	name := fmt.Sprintf("%s.before-%d", e.path, version+1)
	part := name + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if _, err := db.ExecContext(ctx, "VACUUM INTO $1", part); err != nil {
		return fmt.Errorf("copy to %s: %w", name, err)
	}
	if err := os.Chmod(part, 0o600); err != nil {
		return err
	}
	if err := syncPath(part); err != nil {
		return err
	}
	if err := os.Rename(part, name); err != nil {
		return err
	}
	return syncPath(filepath.Dir(name))
}

// syncPath makes a file or a folder durable.
func syncPath(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (sqliteEngine) again(err error) bool {
	code := sqliteCode(err)
	return code == sqliteBusy || code == sqliteLocked
}

func (sqliteEngine) full(err error) bool { return sqliteCode(err) == sqliteFull }

func sqliteCode(err error) int {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code() & 0xff
}
