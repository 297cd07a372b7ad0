package meta

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/weir-registry/weir/internal/errs"
)

// Secret is a secret with its versions, oldest first. Their values are sealed by
// whoever stores them.
type Secret struct {
	Name        string
	Suffix      string // of the ARN
	Description string
	Tags        []byte // JSON
	Created     time.Time
	Changed     time.Time
	Accessed    time.Time
	Deleted     time.Time // zero: it is not marked for deletion
	DeleteAt    time.Time // zero: it stays
	Versions    []SecretVersion
}

// SecretVersion is one value of a secret. Only its stages ever change.
type SecretVersion struct {
	ID      string
	Stages  []string
	Binary  bool
	Sealed  []byte // nil in a list
	Created time.Time

	n int64 // 0: new
}

// Secret returns a secret. Errors: errs.SecretUnknown.
func (db *DB) Secret(ctx context.Context, name string) (*Secret, error) {
	if checkSecretName(name) != nil {
		return nil, noSecret(name)
	}
	s, err := db.get().secret(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", name, err)
	}
	if s == nil {
		return nil, noSecret(name)
	}
	return s, nil
}

func noSecret(name string) error {
	return errs.New(errs.SecretUnknown, "secret %q does not exist", name)
}

// secret returns nil if there is none.
func (r runner) secret(ctx context.Context, name string) (*Secret, error) {
	all, err := list(ctx, r, getSecret, []any{name}, scanSecret)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	s := all[0]
	s.Versions, err = list(ctx, r, listVersions, []any{name}, func(rows *sql.Rows) (SecretVersion, error) {
		var v SecretVersion
		err := scanVersion(rows, &v, &v.Sealed)
		v.Sealed = notNil(v.Sealed)
		return v, err
	})
	return s, err
}

// Secrets returns up to limit secrets after the name after, in the order of their
// names, without values. Those marked for deletion are among them if marked.
// Errors: errs.ParamInvalid.
func (db *DB) Secrets(ctx context.Context, after string, limit int, marked bool) ([]*Secret, error) {
	if err := checkText(after); err != nil {
		return nil, err
	}
	all, err := list(ctx, db.get(), listSecrets, []any{after, int64(max(limit, 0)), marked}, scanSecret)
	if err != nil {
		return nil, fmt.Errorf("secrets: %w", err)
	}
	if len(all) == 0 {
		return nil, nil
	}
	byName := make(map[string]*Secret, len(all))
	for _, s := range all {
		byName[s.Name] = s
	}
	_, err = list(ctx, db.get(), listVersionsOf, []any{all[0].Name, all[len(all)-1].Name}, func(rows *sql.Rows) (struct{}, error) {
		var name string
		var v SecretVersion
		err := scanVersion(rows, &v, &name)
		if s := byName[name]; s != nil {
			s.Versions = append(s.Versions, v)
		}
		return struct{}{}, err
	})
	if err != nil {
		return nil, fmt.Errorf("versions of secrets: %w", err)
	}
	return all, nil
}

// ChangeSecret replaces a secret by what f returns, nil for none, in one transaction.
// f gets the secret, nil if there is none, and may change it; it may be called again,
// and its error is returned. Errors: errs.ParamInvalid.
func (db *DB) ChangeSecret(ctx context.Context, name string, f func(*Secret) (*Secret, error)) error {
	if err := checkSecretName(name); err != nil {
		return err
	}
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		s, err := t.secret(ctx, name)
		if err != nil {
			return err
		}
		had := map[string]string{} // ID of each version -> its stages
		if s != nil {
			for _, v := range s.Versions {
				had[v.ID] = strings.Join(v.Stages, " ")
			}
		}
		if s, err = f(s); err != nil {
			return err
		}
		return t.replaceSecret(ctx, name, had, s)
	})
	if err != nil {
		return fmt.Errorf("change secret %s: %w", name, err)
	}
	return nil
}

func (t *tx) replaceSecret(ctx context.Context, name string, had map[string]string, s *Secret) error {
	if s != nil {
		if err := t.putSecret(ctx, name, had, s); err != nil {
			return err
		}
	}
	for id := range had {
		if s != nil && slices.ContainsFunc(s.Versions, func(v SecretVersion) bool { return v.ID == id }) {
			continue
		}
		if _, err := t.exec(ctx, deleteVersion, name, id); err != nil {
			return err
		}
	}
	if s != nil {
		return nil
	}
	_, err := t.exec(ctx, deleteSecret, name)
	return err
}

func (t *tx) putSecret(ctx context.Context, name string, had map[string]string, s *Secret) error {
	if err := checkWord("suffix", s.Suffix); err != nil {
		return err
	}
	_, err := t.exec(ctx, putSecret, name, s.Suffix, []byte(s.Description), notNil(s.Tags), micros(s.Created), micros(s.Changed),
		micros(s.Accessed), micros(s.Deleted), micros(s.DeleteAt))
	if err != nil {
		return err
	}
	last := int64(0)
	for i := range s.Versions {
		v := &s.Versions[i]
		if v.n == 0 {
			v.n = last + 1
		}
		last = v.n
		stages := strings.Join(v.Stages, " ")
		if old, there := had[v.ID]; there && old == stages {
			continue
		}
		if err := checkWord("version", v.ID); err != nil {
			return err
		}
		for _, stage := range v.Stages {
			if err := checkWord("stage", stage); err != nil {
				return err
			}
		}
		if _, err := t.exec(ctx, putVersion, name, v.ID, v.n, stages, v.Binary, notNil(v.Sealed), micros(v.Created)); err != nil {
			return err
		}
	}
	return nil
}

// TouchSecret notes that a value was read, unless a later read was noted.
func (db *DB) TouchSecret(ctx context.Context, name string, at time.Time) error {
	if checkSecretName(name) != nil {
		return noSecret(name)
	}
	return db.tx(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, touchSecret, name, micros(at))
		return err
	})
}

// PurgeSecrets removes the secrets that are to be gone at now.
func (db *DB) PurgeSecrets(ctx context.Context, now time.Time) error {
	var there bool
	err := db.get().row(ctx, hasExpiredSecret, []any{micros(now)}, &there)
	if err == nil && there {
		err = db.tx(ctx, func(ctx context.Context, t *tx) error {
			if _, err := t.exec(ctx, deleteExpiredVersions, micros(now)); err != nil {
				return err
			}
			_, err := t.exec(ctx, deleteExpiredSecrets, micros(now))
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("purge secrets: %w", err)
	}
	return nil
}

func scanSecret(rows *sql.Rows) (*Secret, error) {
	var s Secret
	var description []byte
	var created, changed, accessed, deleted, deleteAt int64
	err := rows.Scan(&s.Name, &s.Suffix, &description, &s.Tags, &created, &changed, &accessed, &deleted, &deleteAt)
	s.Description, s.Tags = string(description), notNil(s.Tags)
	s.Created, s.Changed, s.Accessed = fromMicros(created), fromMicros(changed), fromMicros(accessed)
	s.Deleted, s.DeleteAt = fromMicros(deleted), fromMicros(deleteAt)
	return &s, err
}

// scanVersion scans the columns that lists and single reads have in common, and then
// more.
func scanVersion(rows *sql.Rows, v *SecretVersion, more any) error {
	var stages string
	var created int64
	err := rows.Scan(&v.ID, &v.n, &stages, &v.Binary, &created, more)
	v.Stages, v.Created = strings.Fields(stages), fromMicros(created)
	return err
}

// checkSecretName says whether a name may be stored as text.
func checkSecretName(name string) error { return checkWordOf("secret name", name, 512) }

// Everything is a limit for lists that have none.
const Everything = math.MaxInt32
