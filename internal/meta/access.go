package meta

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/weir-registry/weir/internal/errs"
)

// Registry is the one registry that a weir serves. It does not change.
type Registry struct {
	ID      string // 12 digits
	Region  string
	Created time.Time
}

// Registry returns the registry: an error matching fs.ErrNotExist before Init.
func (db *DB) Registry(ctx context.Context) (Registry, error) {
	var r Registry
	var created int64
	err := db.get().row(ctx, getRegistry, nil, &r.ID, &r.Region, &created)
	if errors.Is(err, sql.ErrNoRows) {
		return Registry{}, fmt.Errorf("registry: %w", fs.ErrNotExist)
	}
	if err != nil {
		return Registry{}, fmt.Errorf("registry: %w", err)
	}
	r.Created = fromMicros(created)
	return r, nil
}

// Init makes the registry if there is none. Of several processes that try, one is
// told that it did. Errors: errs.ParamInvalid.
func (db *DB) Init(ctx context.Context, r Registry) (created bool, err error) {
	if err := errors.Join(checkWord("registry ID", r.ID), checkWord("region", r.Region)); err != nil {
		return false, err
	}
	err = db.tx(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, initRegistry, r.ID, r.Region, micros(r.Created))
		created = n == 1
		return err
	})
	if err != nil {
		return false, fmt.Errorf("init registry: %w", err)
	}
	return created, nil
}

// Key is an access key. Its secret is sealed by whoever stores it.
type Key struct {
	ID        string
	Principal string
	Root      bool
	Active    bool
	Sealed    []byte // not to be changed
	Created   time.Time
	Expires   time.Time // zero: never
}

// PutKey stores a key, in place of one of the same ID. Errors: errs.ParamInvalid.
func (db *DB) PutKey(ctx context.Context, k Key) error {
	if err := errors.Join(checkWord("access key ID", k.ID), checkWord("principal", k.Principal)); err != nil {
		return err
	}
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		return t.putKey(ctx, k)
	})
	if err != nil {
		return fmt.Errorf("put access key %s: %w", k.ID, err)
	}
	return nil
}

// Key returns an access key: an error matching fs.ErrNotExist if there is none.
func (db *DB) Key(ctx context.Context, id string) (Key, error) {
	c := &db.cache
	return remember(c, &c.keys, c.alone, id, one, func() (Key, error) {
		if checkWord("access key ID", id) != nil {
			return Key{}, fmt.Errorf("access key: %w", fs.ErrNotExist)
		}
		keys, err := list(ctx, db.get(), getKey, []any{id}, scanKey)
		if err != nil {
			return Key{}, fmt.Errorf("access key %s: %w", id, err)
		}
		if len(keys) == 0 {
			return Key{}, fmt.Errorf("access key %s: %w", id, fs.ErrNotExist)
		}
		return keys[0], nil
	})
}

// Keys returns all access keys by ID.
func (db *DB) Keys(ctx context.Context) ([]Key, error) {
	keys, err := list(ctx, db.get(), listKeys, nil, scanKey)
	if err != nil {
		return nil, fmt.Errorf("access keys: %w", err)
	}
	return keys, nil
}

func scanKey(rows *sql.Rows) (Key, error) {
	var k Key
	var created, expires int64
	err := rows.Scan(&k.ID, &k.Principal, &k.Root, &k.Active, &k.Sealed, &created, &expires)
	k.Sealed = notNil(k.Sealed) // the engines differ over empty bytes
	k.Created, k.Expires = fromMicros(created), fromMicros(expires)
	return k, err
}

// checkWord says whether s may be stored as text where no grammar of package oci
// applies: 1 to 256 characters of printable ASCII without a space.
func checkWord(what, s string) error { return checkWordOf(what, s, 256) }

func checkWordOf(what, s string, most int) error {
	ok := s != "" && len(s) <= most
	for i := 0; ok && i < len(s); i++ {
		ok = s[i] > ' ' && s[i] < 0x7f
	}
	if !ok {
		return errs.New(errs.ParamInvalid, "%s %q is not 1 to %d printable ASCII characters", what, s, most)
	}
	return nil
}

// notNil is b for a column that is not null: empty where b is nil.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
