package meta

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/rule"
)

// AddTraffic adds to what is kept of the hours in which rows begin. Others may add to the
// same hours. Errors: errs.ParamInvalid for what is less than nothing.
func (db *DB) AddTraffic(ctx context.Context, rows []rule.TrafficRow) error {
	for _, r := range rows {
		if err := checkText(r.Prefix); err != nil {
			return err
		}
		if min(r.Pulls, r.Hits, r.Bytes, r.HitBytes, r.Upstream) < 0 {
			return errs.New(errs.ParamInvalid, "traffic of %q is less than nothing: %+v", r.Prefix, r.Traffic)
		}
	}
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		for _, r := range rows {
			_, err := t.exec(ctx, addTraffic, micros(r.At.Truncate(time.Hour)), r.Prefix, r.Pulls, r.Hits, r.Bytes, r.HitBytes, r.Upstream)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("add traffic: %w", err)
	}
	return nil
}

// Traffic returns what is kept of the hours that begin at since or later, in steps of
// whole hours that count from midnight UTC, a row for each rule that has any, in the order
// of times and prefixes.
func (db *DB) Traffic(ctx context.Context, since time.Time, step time.Duration) ([]rule.TrafficRow, error) {
	all, err := list(ctx, db.get(), listTraffic, []any{micros(since), max(step, time.Hour).Microseconds()}, func(rows *sql.Rows) (r rule.TrafficRow, err error) {
		var at int64
		err = rows.Scan(&at, &r.Prefix, &r.Pulls, &r.Hits, &r.Bytes, &r.HitBytes, &r.Upstream)
		r.At = fromMicros(at)
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("traffic: %w", err)
	}
	return all, nil
}

// DropTraffic forgets the hours that began before before.
func (db *DB) DropTraffic(ctx context.Context, before time.Time) error {
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, dropTraffic, micros(before))
		return err
	})
	if err != nil {
		return fmt.Errorf("drop traffic: %w", err)
	}
	return nil
}

// Held is what the store holds, as far as rows say so.
type Held struct {
	Blobs, Bytes int64
}

// Held counts what the store holds. It reads a row for each blob.
func (db *DB) Held(ctx context.Context) (h Held, err error) {
	if err = db.get().row(ctx, sumHeld, nil, &h.Blobs, &h.Bytes); err != nil {
		return Held{}, fmt.Errorf("what is held: %w", err)
	}
	return h, nil
}

// maxNaming is how many manifests TagsWith looks at.
const maxNaming = 20

// TagsWith returns up to limit tags of a repository whose image has a blob, in their order,
// those of an index that has it for some platform too. It looks at few manifests: of a blob
// that many images have it may not know the tags that there are.
// Errors: errs.NameInvalid, errs.DigestInvalid.
func (db *DB) TagsWith(ctx context.Context, repo string, d digest.Digest, limit int) (tags []string, err error) {
	if err := checkNames(repo, d); err != nil {
		return nil, err
	}
	next := []digest.Digest{d}
	for n := 0; n < len(next) && len(tags) < limit; n++ {
		if n > 0 {
			some, err := list(ctx, db.get(), listSomeTagsOf, []any{repo, string(next[n]), int64(limit)}, text[string])
			if err != nil {
				return nil, fmt.Errorf("tags of %s@%s: %w", repo, next[n], err)
			}
			tags = append(tags, some...)
		}
		if left := maxNaming - len(next); left > 0 {
			// Half of them, so that there is room for the indexes that have the tags.
			naming, err := list(ctx, db.get(), listNaming, []any{repo, string(next[n]), int64((left + 1) / 2)}, text[digest.Digest])
			if err != nil {
				return nil, fmt.Errorf("what names %s@%s: %w", repo, next[n], err)
			}
			for _, m := range naming {
				if !slices.Contains(next, m) {
					next = append(next, m)
				}
			}
		}
	}
	slices.Sort(tags)
	tags = slices.Compact(tags)
	return tags[:min(len(tags), limit)], nil
}
