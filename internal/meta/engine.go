package meta

import (
	"context"
	"database/sql"
	"errors"
)

// engine is what differs between the two databases.
type engine interface {
	name() string                              // for messages; no password
	dialect() string                           // folder of the migrations
	alone() bool                               // no other process writes
	prepares() bool                            // statements are prepared once per connection
	pools() (writes, reads *sql.DB, err error) // opens
	isolation() sql.IsolationLevel             // of a write
	lockSchema(context.Context, *sql.Tx) error // one migration at a time
	keep(context.Context, *sql.DB, int) error  // copies the database as of a schema version
	again(error) bool                          // refused for the sake of another writer
	full(error) bool                           // no room on the disk
}

func newEngine(o Options) (engine, error) {
	switch {
	case o.Path != "" && o.URL != "":
		return nil, errors.New("open database: both a path and a URL are given")
	case o.Path != "":
		return newSQLite(o.Path)
	case o.URL != "":
		return newPostgres(o.URL)
	}
	return nil, errors.New("open database: neither a path nor a URL is given")
}
