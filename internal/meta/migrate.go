package meta

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"time"
)

//go:embed migrations
var files embed.FS

func embedded() fs.FS { return files }

// migrate brings the schema to the last version that migrations knows: the n-th file
// of the engine's folder leads from version n-1 to n. It takes as long as it takes, which
// may be minutes where a version counts what there is; a context that ends stops it, and
// leaves the database as it was.
func (db *DB) migrate(ctx context.Context, migrations fs.FS) error {
	steps, err := readSteps(migrations, path.Join("migrations", db.engine.dialect()))
	if err != nil {
		return err
	}
	version, err := db.schemaVersion(ctx)
	if err != nil {
		return err
	}
	if version > len(steps) {
		return fmt.Errorf("it has schema %d and this weir knows schemas up to %d: a newer weir wrote it. Start that weir, or put back the copy that it made before (of an embedded database: the file beside it ending in .before-N)",
			version, len(steps))
	}
	if version == len(steps) {
		return nil
	}
	if version > 0 {
		if err := db.engine.keep(ctx, db.writes, version); err != nil {
			return err
		}
	}
	began := time.Now()
	if version > 0 {
		db.log.Info("the database is brought to a new schema, which may take minutes if it is large", "from", version, "to", len(steps))
	}
	err = db.write(ctx, context.WithCancel, func(ctx context.Context, t *tx) error {
		version, err := t.schemaVersion(ctx)
		if err != nil {
			return err
		}
		for n := version; n < len(steps); n++ {
			if _, err := t.sql.ExecContext(ctx, steps[n]); err != nil {
				return fmt.Errorf("schema %d: %w", n+1, err)
			}
		}
		_, err = t.sql.ExecContext(ctx, "UPDATE schema_version SET version = $1", int64(len(steps)))
		return err
	})
	if err == nil && version > 0 {
		db.log.Info("the database has the new schema", "took", time.Since(began).Round(time.Millisecond))
	}
	return err
}

func readSteps(migrations fs.FS, folder string) ([]string, error) {
	entries, err := fs.ReadDir(migrations, folder) // sorted by name
	if err != nil {
		return nil, err
	}
	var steps []string
	for i, e := range entries {
		if want := fmt.Sprintf("%04d.sql", i+1); e.Name() != want {
			return nil, fmt.Errorf("migrations: %s where %s should be", e.Name(), want)
		}
		text, err := fs.ReadFile(migrations, path.Join(folder, e.Name()))
		if err != nil {
			return nil, err
		}
		steps = append(steps, string(text))
	}
	return steps, nil
}

// schemaVersion returns the database's schema, 0 for a new database.
func (db *DB) schemaVersion(ctx context.Context) (version int, err error) {
	err = db.write(ctx, context.WithCancel, func(ctx context.Context, t *tx) error {
		version, err = t.schemaVersion(ctx)
		return err
	})
	return version, err
}

func (t *tx) schemaVersion(ctx context.Context) (int, error) {
	if err := t.db.engine.lockSchema(ctx, t.sql); err != nil {
		return 0, err
	}
	for _, text := range []string{
		"CREATE TABLE IF NOT EXISTS schema_version (one BIGINT PRIMARY KEY CHECK (one = 1), version BIGINT NOT NULL)",
		"INSERT INTO schema_version (one, version) VALUES (1, 0) ON CONFLICT (one) DO NOTHING",
	} {
		if _, err := t.sql.ExecContext(ctx, text); err != nil {
			return 0, err
		}
	}
	var version int
	err := t.sql.QueryRowContext(ctx, "SELECT version FROM schema_version").Scan(&version)
	return version, err
}
