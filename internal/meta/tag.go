package meta

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

// maxMoves is how many of its last moves are kept of a tag at least: twice as many at most.
const maxMoves = 100

// Tag returns what is remembered of a tag. Pulled is as of the last time that pull
// times were written (see Touch).
// Errors: errs.ManifestUnknown, errs.NameInvalid, errs.TagInvalid.
func (db *DB) Tag(ctx context.Context, repo, tag string) (rule.Tag, error) {
	c := &db.cache
	return remember(c, &c.tags, c.alone, tagKey{repo, tag}, one, func() (rule.Tag, error) {
		if err := checkTagNames(repo, tag); err != nil {
			return rule.Tag{}, err
		}
		return db.get().tag(ctx, repo, tag)
	})
}

func (r runner) tag(ctx context.Context, repo, tag string) (rule.Tag, error) {
	var d, complete string
	var checked, pulled int64
	var t rule.Tag
	err := r.row(ctx, getTag, []any{repo, tag}, &d, &complete, &checked, &pulled, &t.Orphaned)
	if errors.Is(err, sql.ErrNoRows) {
		return rule.Tag{}, errs.New(errs.ManifestUnknown, "tag %s is not held in %s", tag, repo)
	}
	if err != nil {
		return rule.Tag{}, fmt.Errorf("tag %s:%s: %w", repo, tag, err)
	}
	t.Digest, t.Complete = digest.Digest(d), digest.Digest(complete)
	t.Checked, t.Pulled = fromMicros(checked), fromMicros(pulled)
	return t, nil
}

// CheckTag notes the outcome of a check that did not move the tag: until when the
// last check counts from, and whether the upstream said that the tag is gone.
// Errors: errs.ManifestUnknown, errs.NameInvalid, errs.TagInvalid.
func (db *DB) CheckTag(ctx context.Context, repo, tag string, checked time.Time, orphaned bool) error {
	if err := checkTagNames(repo, tag); err != nil {
		return err
	}
	return db.tx(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, checkTag, repo, tag, micros(checked), orphaned)
		if err != nil {
			return fmt.Errorf("check tag %s:%s: %w", repo, tag, err)
		}
		if n == 0 {
			return errs.New(errs.ManifestUnknown, "tag %s is not held in %s", tag, repo)
		}
		t.forgetTag(repo, tag)
		return nil
	})
}

// moveTag makes the tag d's.
func (t *tx) moveTag(ctx context.Context, repo, tag string, d digest.Digest, at time.Time) (moved bool, err error) {
	old, err := t.tag(ctx, repo, tag)
	if err != nil && errs.CodeOf(err) != errs.ManifestUnknown {
		return false, err
	}
	if _, err := t.exec(ctx, putTag, repo, tag, string(d), micros(at)); err != nil {
		return false, err
	}
	t.forgetTag(repo, tag)
	if old.Digest == d {
		return false, nil
	}
	return true, t.noteMove(ctx, repo, tag, rule.Move{From: old.Digest, To: d, At: at})
}

// noteMove writes the history of a tag, and forgets its oldest moves now and then. What is
// left of them is which manifests the tag was.
func (t *tx) noteMove(ctx context.Context, repo, tag string, m rule.Move) error {
	var n int64
	if err := t.row(ctx, putMove, []any{repo, tag, string(m.From), string(m.To), micros(m.At)}, &n); err != nil {
		return err
	}
	if n%maxMoves == 0 {
		for _, q := range []query{putReleasedMoves, trimMoves} {
			if _, err := t.exec(ctx, q, repo, tag, n-maxMoves); err != nil {
				return err
			}
		}
	}
	return t.change(ctx, repo)
}

func (t *tx) forgetTag(repo, tag string) {
	t.forget.tags = append(t.forget.tags, tagKey{repo, tag})
}

// History returns the last limit moves of a tag, newest first, in the order in which
// they were written whatever the clock said: of more than 100 not all are kept.
// Errors: errs.NameInvalid, errs.TagInvalid.
func (db *DB) History(ctx context.Context, repo, tag string, limit int) ([]rule.Move, error) {
	if err := checkTagNames(repo, tag); err != nil {
		return nil, err
	}
	moves, err := list(ctx, db.get(), listMoves, []any{repo, tag, int64(max(limit, 0))}, func(rows *sql.Rows) (rule.Move, error) {
		var from, to string
		var at int64
		err := rows.Scan(&from, &to, &at)
		return rule.Move{From: digest.Digest(from), To: digest.Digest(to), At: fromMicros(at)}, err
	})
	if err != nil {
		return nil, fmt.Errorf("history of %s:%s: %w", repo, tag, err)
	}
	return moves, nil
}

// Tags returns up to limit tags of a repository after the tag after, in the order of
// their bytes. Errors: errs.RepoUnknown, errs.NameInvalid, errs.ParamInvalid.
func (db *DB) Tags(ctx context.Context, repo, after string, limit int) ([]string, error) {
	if err := checkText(after); err != nil {
		return nil, err
	}
	if _, err := oci.ParseRepository(repo); err != nil {
		return nil, err
	}
	tags, err := list(ctx, db.get(), listTags, []any{repo, after, int64(max(limit, 0))}, text[string])
	if err != nil {
		return nil, fmt.Errorf("tags of %s: %w", repo, err)
	}
	if len(tags) > 0 {
		return tags, nil
	}
	var there bool
	if err := db.get().row(ctx, hasRepository, []any{repo}, &there); err != nil {
		return nil, fmt.Errorf("tags of %s: %w", repo, err)
	}
	if !there {
		return nil, errs.New(errs.RepoUnknown, "repository %s does not exist", repo)
	}
	return nil, nil
}

func checkTagNames(repo, tag string) error {
	if _, err := oci.ParseRepository(repo); err != nil {
		return err
	}
	_, err := oci.ParseTag(tag)
	return err
}

// checkText refuses what PostgreSQL does not take as text, for values that are
// compared but not stored.
func checkText(s string) error {
	if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return errs.New(errs.ParamInvalid, "%q is not text", s)
	}
	return nil
}
