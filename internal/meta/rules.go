package meta

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weir-registry/weir/internal/rule"
)

// Rules returns all rules by prefix.
func (db *DB) Rules(ctx context.Context) ([]rule.Rule, error) {
	rules, err := list(ctx, db.get(), listRules, nil, scanRule)
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	return rules, nil
}

// ChangeRule replaces the rule with a prefix by what f returns, nil for none, in one
// transaction. f gets the rule, nil if there is none, and the number of all rules; it
// may be called again, and its error is returned. Errors: errs.ParamInvalid.
func (db *DB) ChangeRule(ctx context.Context, prefix string, f func(r *rule.Rule, n int) (*rule.Rule, error)) error {
	if err := rule.ValidPrefix(prefix); err != nil {
		return err
	}
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		all, err := list(ctx, t.runner, listRules, nil, scanRule)
		if err != nil {
			return err
		}
		var old *rule.Rule
		if i := slices.IndexFunc(all, func(r rule.Rule) bool { return r.Prefix == prefix }); i >= 0 {
			old = &all[i]
		}
		r, err := f(old, len(all))
		switch {
		case err != nil:
			return err
		case r != nil:
			return t.putRule(ctx, *r)
		}
		_, err = t.exec(ctx, deleteRule, prefix)
		return err
	})
	if err != nil {
		return fmt.Errorf("change rule %s: %w", prefix, err)
	}
	return nil
}

// DeclareRules makes the declared rules exactly these. One that is as it was keeps its
// times, one that was changed its creation; a rule that was not declared gives way to
// a declared one with its prefix, and their prefixes are returned.
// Errors: errs.ParamInvalid.
func (db *DB) DeclareRules(ctx context.Context, rules []rule.Rule, at time.Time) (replaced []string, err error) {
	err = db.tx(ctx, func(ctx context.Context, t *tx) error {
		replaced = nil
		old, err := list(ctx, t.runner, listRules, nil, scanRule)
		if err != nil {
			return err
		}
		byPrefix := map[string]rule.Rule{}
		for _, r := range old {
			byPrefix[r.Prefix] = r
		}
		for _, r := range rules {
			was, there := byPrefix[r.Prefix]
			delete(byPrefix, r.Prefix)
			if there && !was.Declared {
				replaced = append(replaced, r.Prefix)
			}
			r.Declared, r.Created, r.Updated = true, at, at
			if there && was.Declared {
				r.Created, r.Updated = was.Created, was.Updated
				if was.Same(&r) {
					continue
				}
				r.Updated = at
			}
			if err := t.putRule(ctx, r); err != nil {
				return err
			}
		}
		for _, r := range byPrefix {
			if !r.Declared {
				continue
			}
			if _, err := t.exec(ctx, deleteRule, r.Prefix); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("declare rules: %w", err)
	}
	return replaced, nil
}

func (t *tx) putRule(ctx context.Context, r rule.Rule) error {
	err := errors.Join(rule.ValidPrefix(r.Prefix), checkWord("kind", string(r.Kind)), checkWord("upstream", r.Upstream), checkWord("prefetch", string(r.Prefetch)))
	if r.UpstreamPrefix != "" {
		err = errors.Join(err, rule.ValidPrefix(r.UpstreamPrefix))
	}
	if err != nil {
		return err
	}
	fixed, err := json.Marshal(r.Fixed)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, putRule, r.Prefix, string(r.Kind), r.Upstream, r.UpstreamPrefix, []byte(r.Credential), []byte(r.CustomRole),
		int64(r.Window), fixed, r.Off, string(r.Prefetch), r.VerifyRanges, r.Push, r.Declared, micros(r.Created), micros(r.Updated))
	return err
}

func scanRule(rows *sql.Rows) (rule.Rule, error) {
	var r rule.Rule
	var kind, prefetch string
	var credential, role, fixed []byte
	var window, created, updated int64
	err := rows.Scan(&r.Prefix, &kind, &r.Upstream, &r.UpstreamPrefix, &credential, &role,
		&window, &fixed, &r.Off, &prefetch, &r.VerifyRanges, &r.Push, &r.Declared, &created, &updated)
	if err != nil {
		return rule.Rule{}, err
	}
	if err := json.Unmarshal(fixed, &r.Fixed); err != nil {
		return rule.Rule{}, fmt.Errorf("tag patterns of rule %s: %w", r.Prefix, err)
	}
	r.Kind, r.Prefetch, r.Window = rule.Kind(kind), rule.Prefetch(prefetch), time.Duration(window)
	r.Credential, r.CustomRole = string(credential), string(role)
	r.Created, r.Updated = fromMicros(created), fromMicros(updated)
	return r, nil
}
