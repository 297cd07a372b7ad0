package meta

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// SQLSTATE codes, https://www.postgresql.org/docs/current/errcodes-appendix.html.
const (
	pgSerialization = "40001"
	pgDeadlock      = "40P01"
	pgDiskFull      = "53100"
)

// schemaLock is the key of the advisory lock under which schemas change. Any number
// does that nothing else in the database takes.
const schemaLock = 0x77656972 // "weir"

type postgresEngine struct{ config *pgx.ConnConfig }

func newPostgres(url string) (engine, error) {
	c, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	// One round trip and nothing prepared on the server: it goes through pgbouncer, and
	// a schema that another weir has just changed breaks no plan.
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "weir"
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 10 * time.Second
	}
	return postgresEngine{c}, nil
}

func (e postgresEngine) name() string {
	return fmt.Sprintf("%s on %s", e.config.Database, e.config.Host)
}
func (postgresEngine) dialect() string                          { return "postgres" }
func (postgresEngine) alone() bool                              { return false }
func (postgresEngine) prepares() bool                           { return false }
func (postgresEngine) isolation() sql.IsolationLevel            { return sql.LevelSerializable }
func (postgresEngine) keep(context.Context, *sql.DB, int) error { return nil }

func (e postgresEngine) pools() (writes, reads *sql.DB, err error) {
	db := stdlib.OpenDB(*e.config)
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	return db, db, nil
}

func (postgresEngine) lockSchema(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", int64(schemaLock))
	return err
}

func (postgresEngine) again(err error) bool {
	code := pgCode(err)
	return code == pgSerialization || code == pgDeadlock
}

func (postgresEngine) full(err error) bool { return pgCode(err) == pgDiskFull }

func pgCode(err error) string {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return ""
	}
	return e.Code
}
