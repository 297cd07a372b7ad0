package meta

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

// Referrers returns what an upstream said last that there is about subject; the zero
// value if it was never asked. Errors: errs.NameInvalid, errs.DigestInvalid.
func (db *DB) Referrers(ctx context.Context, repo string, subject digest.Digest) (rule.Referrers, error) {
	if err := checkNames(repo, subject); err != nil {
		return rule.Referrers{}, err
	}
	var raw []byte
	var checked int64
	err := db.get().row(ctx, getReferrers, []any{repo, string(subject)}, &raw, &checked)
	if errors.Is(err, sql.ErrNoRows) {
		return rule.Referrers{}, nil
	}
	r := rule.Referrers{Checked: fromMicros(checked)}
	if err == nil {
		err = json.Unmarshal(raw, &r.List)
	}
	if err != nil {
		return rule.Referrers{}, fmt.Errorf("referrers of %s@%s: %w", repo, subject, err)
	}
	return r, nil
}

// PutReferrers notes what an upstream said at at that there is about subject. It makes
// no repository, and gives none of what is listed to anybody.
// Errors: errs.NameInvalid, errs.DigestInvalid.
func (db *DB) PutReferrers(ctx context.Context, repo string, subject digest.Digest, referrers []oci.Referrer, at time.Time) error {
	if err := checkNames(repo, subject); err != nil {
		return err
	}
	raw, err := json.Marshal(referrers)
	if err == nil {
		err = db.tx(ctx, func(ctx context.Context, t *tx) error {
			_, err := t.exec(ctx, putReferrers, repo, string(subject), raw, micros(at))
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("put referrers of %s@%s: %w", repo, subject, err)
	}
	return nil
}

// CheckReferrers notes until when the last answer counts from, if there was one.
// Errors: errs.NameInvalid, errs.DigestInvalid.
func (db *DB) CheckReferrers(ctx context.Context, repo string, subject digest.Digest, checked time.Time) error {
	if err := checkNames(repo, subject); err != nil {
		return err
	}
	return db.tx(ctx, func(ctx context.Context, t *tx) error {
		if _, err := t.exec(ctx, checkReferrers, repo, string(subject), micros(checked)); err != nil {
			return fmt.Errorf("check referrers of %s@%s: %w", repo, subject, err)
		}
		return nil
	})
}

// Referring returns up to limit manifests of the repository that are about subject,
// after the digest after, in the order of their bytes.
// Errors: errs.NameInvalid, errs.DigestInvalid, errs.ParamInvalid.
func (db *DB) Referring(ctx context.Context, repo string, subject, after digest.Digest, limit int) ([]digest.Digest, error) {
	if err := checkNames(repo, subject); err != nil {
		return nil, err
	}
	if err := checkText(string(after)); err != nil {
		return nil, err
	}
	args := []any{repo, string(subject), string(after), int64(max(limit, 0))}
	found, err := list(ctx, db.get(), listReferring, args, text[digest.Digest])
	if err != nil {
		return nil, fmt.Errorf("manifests about %s@%s: %w", repo, subject, err)
	}
	return found, nil
}
