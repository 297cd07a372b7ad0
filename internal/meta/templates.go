package meta

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weir-registry/weir/internal/rule"
)

// Templates returns all repository creation templates by prefix.
func (db *DB) Templates(ctx context.Context) ([]rule.Template, error) {
	all, err := list(ctx, db.get(), listTemplates, nil, scanTemplate)
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	return all, nil
}

// ChangeTemplate replaces the template with a prefix by what f returns, nil for none,
// in one transaction. f gets the template, nil if there is none, and the number of all
// templates; it may be called again, and its error is returned.
// Errors: errs.ParamInvalid.
func (db *DB) ChangeTemplate(ctx context.Context, prefix string, f func(t *rule.Template, n int) (*rule.Template, error)) error {
	if err := rule.ValidPrefix(prefix); err != nil {
		return err
	}
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		all, err := list(ctx, t.runner, listTemplates, nil, scanTemplate)
		if err != nil {
			return err
		}
		var old *rule.Template
		if i := slices.IndexFunc(all, func(t rule.Template) bool { return t.Prefix == prefix }); i >= 0 {
			old = &all[i]
		}
		changed, err := f(old, len(all))
		switch {
		case err != nil:
			return err
		case changed != nil:
			return t.putTemplate(ctx, *changed)
		}
		_, err = t.exec(ctx, deleteTemplate, prefix)
		return err
	})
	if err != nil {
		return fmt.Errorf("change template %s: %w", prefix, err)
	}
	return nil
}

// DeclareTemplates makes the declared templates exactly these. One that is as it was
// keeps its times, one that was changed its creation; a template that was not declared
// gives way to a declared one with its prefix, and their prefixes are returned.
// Errors: errs.ParamInvalid.
func (db *DB) DeclareTemplates(ctx context.Context, templates []rule.Template, at time.Time) (replaced []string, err error) {
	err = db.tx(ctx, func(ctx context.Context, t *tx) error {
		replaced = nil
		old, err := list(ctx, t.runner, listTemplates, nil, scanTemplate)
		if err != nil {
			return err
		}
		byPrefix := map[string]rule.Template{}
		for _, one := range old {
			byPrefix[one.Prefix] = one
		}
		for _, one := range templates {
			was, there := byPrefix[one.Prefix]
			delete(byPrefix, one.Prefix)
			if there && !was.Declared {
				replaced = append(replaced, one.Prefix)
			}
			one.Declared, one.Created, one.Updated = true, at, at
			if there && was.Declared {
				if was.Same(&one) {
					continue
				}
				one.Created = was.Created
			}
			if err := t.putTemplate(ctx, one); err != nil {
				return err
			}
		}
		for _, one := range byPrefix {
			if !one.Declared {
				continue
			}
			if _, err := t.exec(ctx, deleteTemplate, one.Prefix); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("declare templates: %w", err)
	}
	return replaced, nil
}

func (t *tx) putTemplate(ctx context.Context, one rule.Template) error {
	mutability, exclusions, err := mutabilityColumns(one.Mutability, one.Exclusions)
	if err := errors.Join(err, rule.ValidPrefix(one.Prefix)); err != nil {
		return err
	}
	applied, err := marshalList(one.AppliedFor)
	if err != nil {
		return err
	}
	tags, err := marshalList(one.Tags)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, putTemplate, one.Prefix, applied, []byte(one.Description), mutability, exclusions, tags,
		[]byte(one.CustomRole), []byte(one.RepositoryPolicy), one.Declared, micros(one.Created), micros(one.Updated), []byte(one.LifecyclePolicy))
	return err
}

func scanTemplate(rows *sql.Rows) (rule.Template, error) {
	var t rule.Template
	var applied, description, exclusions, tags, role, policy, lifecycle []byte
	var created, updated int64
	err := rows.Scan(&t.Prefix, &applied, &description, &t.Mutability, &exclusions, &tags, &role, &policy, &lifecycle, &t.Declared, &created, &updated)
	if err != nil {
		return rule.Template{}, err
	}
	err = errors.Join(unmarshalList(applied, &t.AppliedFor), unmarshalList(exclusions, &t.Exclusions), unmarshalList(tags, &t.Tags))
	if err != nil {
		return rule.Template{}, fmt.Errorf("lists of template %s: %w", t.Prefix, err)
	}
	t.Description, t.CustomRole, t.RepositoryPolicy = string(description), string(role), string(policy)
	t.LifecyclePolicy = string(lifecycle)
	t.Created, t.Updated = fromMicros(created), fromMicros(updated)
	return t, nil
}
