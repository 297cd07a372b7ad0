package meta

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/lifecycle"
	"github.com/weir-registry/weir/internal/oci"
)

// PreviewStatus is how far a preview is, in ECR's words.
type PreviewStatus string

// The states of a preview.
const (
	PreviewInProgress PreviewStatus = "IN_PROGRESS"
	PreviewComplete   PreviewStatus = "COMPLETE"
	PreviewExpired    PreviewStatus = "EXPIRED"
	PreviewFailed     PreviewStatus = "FAILED"
)

// How long a preview may be made, how long its results are there, and how long it is
// known that there was one.
const (
	previewTime = 5 * time.Minute
	previewAge  = 24 * time.Hour
	previewKept = 7 * 24 * time.Hour
)

// Preview is what a policy would do to a repository.
type Preview struct {
	Text    string // the policy
	Status  PreviewStatus
	Started time.Time
	Expire  int // so many images would go
	Archive int // so many would be archived
}

// PreviewResult is what a policy would do to one image.
type PreviewResult struct {
	Digest   digest.Digest
	Tags     []string
	Pushed   time.Time
	Archived bool // it is in the archive
	Action   lifecycle.Action
	Priority int // of the rule
}

// StartPreview notes that a preview is being made, in place of the one that there may
// be. Errors: errs.PreviewRunning if one is being made, errs.RepoUnknown,
// errs.NameInvalid.
func (db *DB) StartPreview(ctx context.Context, repo, policy string, at time.Time) error {
	if _, err := oci.ParseRepository(repo); err != nil {
		return err
	}
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		if _, err := t.repository(ctx, repo); err != nil {
			return err
		}
		p, err := t.preview(ctx, repo, at)
		switch {
		case errs.CodeOf(err) == errs.PreviewUnknown:
		case err != nil:
			return err
		case p.Status == PreviewInProgress:
			return errs.New(errs.PreviewRunning, "a preview of a lifecycle policy is being made for repository %s: ask for it, and start another one after that", repo)
		}
		if _, err := t.exec(ctx, deleteResultsOf, repo); err != nil {
			return err
		}
		_, err = t.exec(ctx, putPreview, repo, []byte(policy), string(PreviewInProgress), micros(at), int64(0), int64(0))
		return err
	})
	if err != nil {
		return fmt.Errorf("start preview of %s: %w", repo, err)
	}
	return nil
}

// AddPreviewResults adds to what comes of the preview that was started at started, which
// is not told before it has ended. Errors: errs.Conflict if another one was started
// since, errs.NameInvalid.
func (db *DB) AddPreviewResults(ctx context.Context, repo string, started time.Time, results []PreviewResult) error {
	return db.changePreview(ctx, repo, started, func(ctx context.Context, t *tx, _ []byte) error {
		for _, p := range results {
			tags, err := marshalList(p.Tags)
			if err != nil {
				return err
			}
			_, err = t.exec(ctx, putResult, repo, string(p.Digest), string(p.Action), int64(p.Priority), p.Archived, len(p.Tags) > 0, tags, micros(p.Pushed))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// EndPreview says how the preview ended that was started at p.Started: all its results
// are there, or there will be none. Errors: as AddPreviewResults.
func (db *DB) EndPreview(ctx context.Context, repo string, p Preview) error {
	return db.changePreview(ctx, repo, p.Started, func(ctx context.Context, t *tx, document []byte) error {
		_, err := t.exec(ctx, putPreview, repo, document, string(p.Status), micros(p.Started), int64(p.Expire), int64(p.Archive))
		return err
	})
}

func (db *DB) changePreview(ctx context.Context, repo string, started time.Time, f func(context.Context, *tx, []byte) error) error {
	if _, err := oci.ParseRepository(repo); err != nil {
		return err
	}
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		var document []byte
		var status string
		var at, expire, archive int64
		err := t.row(ctx, getPreview, []any{repo}, &document, &status, &at, &expire, &archive)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err != nil || at != micros(started) || PreviewStatus(status) != PreviewInProgress {
			return errs.New(errs.Conflict, "the preview for repository %s gave way to another", repo)
		}
		return f(ctx, t, document)
	})
	if err != nil {
		return fmt.Errorf("preview of %s: %w", repo, err)
	}
	return nil
}

// Preview returns a repository's last preview as it is at at, without its results.
// Errors: errs.RepoUnknown, errs.PreviewUnknown, errs.NameInvalid.
func (db *DB) Preview(ctx context.Context, repo string, at time.Time) (Preview, error) {
	if _, err := db.DescribeRepository(ctx, repo); err != nil {
		return Preview{}, err
	}
	p, err := db.get().preview(ctx, repo, at)
	if err != nil {
		return Preview{}, fmt.Errorf("preview of %s: %w", repo, err)
	}
	return p, nil
}

func (r runner) preview(ctx context.Context, repo string, at time.Time) (Preview, error) {
	var document []byte
	var status string
	var started, expire, archive int64
	err := r.row(ctx, getPreview, []any{repo}, &document, &status, &started, &expire, &archive)
	if errors.Is(err, sql.ErrNoRows) {
		return Preview{}, errs.New(errs.PreviewUnknown, "no preview of a lifecycle policy was made for repository %s", repo)
	}
	p := Preview{Text: string(document), Status: PreviewStatus(status), Started: fromMicros(started), Expire: int(expire), Archive: int(archive)}
	switch age := at.Sub(p.Started); {
	case p.Status == PreviewInProgress && age > previewTime: // who made it is gone
		p.Status = PreviewFailed
	case p.Status == PreviewComplete && age > previewAge:
		p.Status = PreviewExpired
	}
	return p, err
}

// PreviewResults returns up to limit results of a repository's last preview after the
// digest after, in the order of their bytes. Errors: errs.NameInvalid, errs.ParamInvalid.
func (db *DB) PreviewResults(ctx context.Context, repo string, which Tagged, after digest.Digest, limit int) ([]PreviewResult, error) {
	if err := checkList(repo, string(after)); err != nil {
		return nil, err
	}
	if which == "" {
		which = AnyImages
	}
	results, err := list(ctx, db.get(), listResults, []any{repo, string(after), string(which), int64(max(limit, 0))}, scanResult)
	if err != nil {
		return nil, fmt.Errorf("results of the preview of %s: %w", repo, err)
	}
	return results, nil
}

// PreviewResult returns what a repository's last preview says of an image; nil if
// nothing would happen to it. Errors: errs.NameInvalid, errs.DigestInvalid.
func (db *DB) PreviewResult(ctx context.Context, repo string, d digest.Digest) (*PreviewResult, error) {
	if err := checkNames(repo, d); err != nil {
		return nil, err
	}
	results, err := list(ctx, db.get(), getResult, []any{repo, string(d)}, scanResult)
	if err != nil {
		return nil, fmt.Errorf("result of the preview of %s: %w", repo, err)
	}
	if len(results) == 0 {
		return nil, nil
	}
	return &results[0], nil
}

func scanResult(rows *sql.Rows) (p PreviewResult, err error) {
	var d, action string
	var priority, pushed int64
	var tags []byte
	err = rows.Scan(&d, &action, &priority, &p.Archived, &tags, &pushed)
	p.Digest, p.Action, p.Priority, p.Pushed = digest.Digest(d), lifecycle.Action(action), int(priority), fromMicros(pushed)
	return p, errors.Join(err, unmarshalList(tags, &p.Tags))
}

// DropPreviews forgets up to limit previews that are old, and says how many.
func (db *DB) DropPreviews(ctx context.Context, now time.Time, limit int) (n int, err error) {
	err = db.tx(ctx, func(ctx context.Context, t *tx) error {
		old, err := list(ctx, t.runner, listOldPreviews, []any{micros(now.Add(-previewKept)), int64(limit)}, text[string])
		if err != nil {
			return err
		}
		for _, repo := range old {
			for _, q := range []query{deleteResultsOf, deletePreview} {
				if _, err := t.exec(ctx, q, repo); err != nil {
					return err
				}
			}
		}
		n = len(old)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("drop old previews: %w", err)
	}
	return n, nil
}
