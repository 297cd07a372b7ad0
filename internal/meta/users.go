package meta

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"time"

	"github.com/weir-registry/weir/internal/errs"
)

// User is a principal with its policies, by name.
type User struct {
	Name     string
	Created  time.Time
	Policies []UserPolicy
}

// UserPolicy is a managed policy, by its name alone, or a document of the user's own.
type UserPolicy struct {
	Name     string
	Document []byte // empty: managed
}

// User returns a user. Errors: errs.UserUnknown.
func (db *DB) User(ctx context.Context, name string) (*User, error) {
	if checkWord("user", name) != nil {
		return nil, noUser(name)
	}
	u, err := db.get().user(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	if u == nil {
		return nil, noUser(name)
	}
	return u, nil
}

func noUser(name string) error {
	return errs.New(errs.UserUnknown, "The user with name %s cannot be found.", name)
}

// user returns nil if there is none.
func (r runner) user(ctx context.Context, name string) (*User, error) {
	all, err := list(ctx, r, getUser, []any{name}, scanUser)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	u := all[0]
	u.Policies, err = list(ctx, r, listPolicies, []any{name}, scanPolicy)
	return u, err
}

// UserPolicies returns a user's policies, none for a user that there is not. They are
// not to be changed.
func (db *DB) UserPolicies(ctx context.Context, name string) ([]UserPolicy, error) {
	if checkWord("user", name) != nil {
		return nil, nil
	}
	c := &db.cache
	return remember(c, &c.policies, c.alone, name, costOfPolicies, func() ([]UserPolicy, error) {
		all, err := list(ctx, db.get(), listPolicies, []any{name}, scanPolicy)
		if err != nil {
			return nil, fmt.Errorf("policies of %s: %w", name, err)
		}
		return all, nil
	})
}

func costOfPolicies(all []UserPolicy) int {
	n := 512
	for _, p := range all {
		n += len(p.Name) + len(p.Document)
	}
	return n
}

// Users returns up to limit users after the name after, in the order of their names.
// Errors: errs.ParamInvalid.
func (db *DB) Users(ctx context.Context, after string, limit int) ([]*User, error) {
	if err := checkText(after); err != nil {
		return nil, err
	}
	all, err := list(ctx, db.get(), listUsers, []any{after, int64(max(limit, 0))}, scanUser)
	for _, u := range all {
		if err == nil {
			u.Policies, err = db.UserPolicies(ctx, u.Name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	return all, nil
}

// ChangeUser replaces a user by what f returns, nil for none, in one transaction. f
// gets the user, nil if there is none, which it may change, and the number of its
// access keys; it may be called again, and its error is returned.
// Errors: errs.ParamInvalid.
func (db *DB) ChangeUser(ctx context.Context, name string, f func(u *User, keys int) (*User, error)) error {
	if err := checkWord("user", name); err != nil {
		return err
	}
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		u, err := t.user(ctx, name)
		if err != nil {
			return err
		}
		keys, err := list(ctx, t.runner, listKeysOf, []any{name}, scanKey)
		if err != nil {
			return err
		}
		var had []UserPolicy
		if u != nil {
			had = append(had, u.Policies...)
		}
		if u, err = f(u, len(keys)); err != nil {
			return err
		}
		t.forget.users = append(t.forget.users, name)
		return t.replaceUser(ctx, name, had, u)
	})
	if err != nil {
		return fmt.Errorf("change user %s: %w", name, err)
	}
	return nil
}

func (t *tx) replaceUser(ctx context.Context, name string, had []UserPolicy, u *User) error {
	if u != nil {
		if _, err := t.exec(ctx, putUser, name, micros(u.Created)); err != nil {
			return err
		}
	}
	for _, p := range had {
		if _, err := t.exec(ctx, deletePolicy, name, p.Name); err != nil {
			return err
		}
	}
	if u == nil {
		_, err := t.exec(ctx, deleteUser, name)
		return err
	}
	for _, p := range u.Policies {
		if err := checkWord("policy", p.Name); err != nil {
			return err
		}
		if _, err := t.exec(ctx, putPolicy, name, p.Name, notNil(p.Document)); err != nil {
			return err
		}
	}
	return nil
}

// KeysOf returns a principal's access keys by ID.
func (db *DB) KeysOf(ctx context.Context, principal string) ([]Key, error) {
	if checkWord("principal", principal) != nil {
		return nil, nil
	}
	keys, err := list(ctx, db.get(), listKeysOf, []any{principal}, scanKey)
	if err != nil {
		return nil, fmt.Errorf("access keys of %s: %w", principal, err)
	}
	return keys, nil
}

// CreateKey stores a new access key of a user. Errors: errs.UserUnknown.
func (db *DB) CreateKey(ctx context.Context, k Key) error {
	if checkWord("principal", k.Principal) != nil {
		return noUser(k.Principal)
	}
	if err := checkWord("access key ID", k.ID); err != nil {
		return err
	}
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		u, err := t.user(ctx, k.Principal)
		if err != nil {
			return err
		}
		if u == nil {
			return noUser(k.Principal)
		}
		return t.putKey(ctx, k)
	})
	if err != nil {
		return fmt.Errorf("create access key %s: %w", k.ID, err)
	}
	return nil
}

// ChangeKey replaces an access key by what f returns, nil for none, in one
// transaction. f may change the key that it gets; it may be called again, and its error
// is returned. Its error matches fs.ErrNotExist if there is no such key.
func (db *DB) ChangeKey(ctx context.Context, id string, f func(*Key) (*Key, error)) error {
	if checkWord("access key ID", id) != nil {
		return fmt.Errorf("access key: %w", fs.ErrNotExist)
	}
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		keys, err := list(ctx, t.runner, getKey, []any{id}, scanKey)
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			return fs.ErrNotExist
		}
		k, err := f(&keys[0])
		switch {
		case err != nil:
			return err
		case k != nil:
			return t.putKey(ctx, *k)
		}
		t.forget.keys = append(t.forget.keys, id)
		_, err = t.exec(ctx, deleteKey, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("change access key %s: %w", id, err)
	}
	return nil
}

func (t *tx) putKey(ctx context.Context, k Key) error {
	t.forget.keys = append(t.forget.keys, k.ID)
	_, err := t.exec(ctx, putKey, k.ID, k.Principal, k.Root, k.Active, notNil(k.Sealed), micros(k.Created), micros(k.Expires))
	return err
}

func scanUser(rows *sql.Rows) (*User, error) {
	var u User
	var created int64
	err := rows.Scan(&u.Name, &created)
	u.Created = fromMicros(created)
	return &u, err
}

func scanPolicy(rows *sql.Rows) (UserPolicy, error) {
	var p UserPolicy
	err := rows.Scan(&p.Name, &p.Document)
	p.Document = notNil(p.Document)
	return p, err
}
