package meta

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Kinds of settings.
const (
	ScanningSetting  = "scanning"  // one, called SettingName
	SigningSetting   = "signing"   // one, called SettingName
	AccountSetting   = "account"   // by ECR's name
	ExclusionSetting = "exclusion" // principals whose pulls are not noted, by ARN
)

// SettingName is the name of a setting of which there is one.
const SettingName = "registry"

// Setting is something that the API set for the whole registry.
type Setting struct {
	Name    string
	Value   []byte
	Created time.Time
}

// Settings returns up to limit settings of a kind after the name after, in the order of
// their names. Errors: errs.ParamInvalid.
func (db *DB) Settings(ctx context.Context, kind, after string, limit int) ([]Setting, error) {
	if err := errors.Join(checkText(kind), checkText(after)); err != nil {
		return nil, err
	}
	all, err := list(ctx, db.get(), listSettings, []any{kind, after, int64(max(limit, 0))}, scanSetting)
	if err != nil {
		return nil, fmt.Errorf("settings %s: %w", kind, err)
	}
	return all, nil
}

// ChangeSetting replaces a setting by what f returns, nil for none, in one transaction.
// f gets the setting, nil if there is none, and the number of all of its kind; it may be
// called again, and its error is returned. Errors: errs.ParamInvalid.
func (db *DB) ChangeSetting(ctx context.Context, kind, name string, f func(s *Setting, n int) (*Setting, error)) error {
	if err := errors.Join(checkWord("kind of setting", kind), checkWord("setting", name)); err != nil {
		return err
	}
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		all, err := list(ctx, t.runner, listSettings, []any{kind, "", int64(Everything)}, scanSetting)
		if err != nil {
			return err
		}
		var old *Setting
		if i := slices.IndexFunc(all, func(s Setting) bool { return s.Name == name }); i >= 0 {
			old = &all[i]
		}
		s, err := f(old, len(all))
		switch {
		case err != nil:
			return err
		case s != nil:
			_, err = t.exec(ctx, putSetting, kind, name, notNil(s.Value), micros(s.Created))
			return err
		}
		_, err = t.exec(ctx, deleteSetting, kind, name)
		return err
	})
	if err != nil {
		return fmt.Errorf("change setting %s %s: %w", kind, name, err)
	}
	return nil
}

func scanSetting(rows *sql.Rows) (Setting, error) {
	var s Setting
	var created int64
	err := rows.Scan(&s.Name, &s.Value, &created)
	s.Value, s.Created = notNil(s.Value), fromMicros(created)
	return s, err
}
