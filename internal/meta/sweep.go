package meta

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
)

// How long Claim waits for the sweep, and how often it looks.
const (
	claimWait  = 10 * time.Second
	claimPause = 50 * time.Millisecond
)

// Claim says that a blob's bytes are about to come into the store: it is called
// before a commit, PutBlob after it. What is claimed the sweep does not take, as long
// as it is younger than what the sweep goes by; a claim that leads to nothing is swept
// after that, with whatever bytes came of it, so that there are none that no row
// knows. A blob that the sweep is removing is waited for.
// Errors: errs.DigestInvalid, errs.Unavailable if the sweep has it for too long, the
// context's.
func (db *DB) Claim(ctx context.Context, d digest.Digest, at time.Time) error {
	if _, err := oci.ParseDigest(string(d)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, claimWait,
		errs.New(errs.Unavailable, "blob %s is being removed, and that does not come to an end", d))
	defer cancel()
	for pause := time.Millisecond; ; pause = min(2*pause, claimPause) {
		var n int64
		err := db.tx(ctx, func(ctx context.Context, t *tx) (err error) {
			n, err = t.exec(ctx, claimBlob, string(d), micros(at))
			return err
		})
		if err != nil {
			return fmt.Errorf("claim blob %s: %w", d, err)
		}
		if n > 0 {
			return nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

// Link is a repository's right to serve a blob.
type Link struct {
	Repository string
	Digest     digest.Digest
}

// SweepLinks looks at up to limit links after the link after, in one order that stays,
// and drops those that nothing needs: no manifest of the repository names the blob as
// config or layer, no push has counted on the link since linked, and no image that
// has it was pulled since pulled. last is the one to go on after, the zero Link at the
// end.
func (db *DB) SweepLinks(ctx context.Context, after Link, limit int, linked, pulled time.Time) (dropped int, last Link, err error) {
	var loose []Link
	n := 0
	_, err = list(ctx, db.get(), listLinks,
		[]any{after.Repository, string(after.Digest), micros(linked), micros(pulled), int64(limit)},
		func(rows *sql.Rows) (struct{}, error) {
			var is bool
			var d string
			if err := rows.Scan(&last.Repository, &d, &is); err != nil {
				return struct{}{}, err
			}
			n++
			if last.Digest = digest.Digest(d); is {
				loose = append(loose, last)
			}
			return struct{}{}, nil
		})
	if n < limit {
		last = Link{}
	}
	if err == nil && len(loose) > 0 {
		err = db.tx(ctx, func(ctx context.Context, t *tx) error {
			dropped = 0
			for _, l := range loose {
				if db.pulls.latest(l.Repository, l.Digest)[wasPulled].After(linked) {
					continue // a push was told a moment ago that it is there
				}
				// A manifest may have come, or a pull, since they were listed.
				n, err := t.exec(ctx, sweepLink, l.Repository, string(l.Digest), micros(linked), micros(pulled))
				if err != nil {
					return err
				}
				dropped += int(n)
				t.forgetLink(l.Repository, l.Digest)
			}
			return nil
		})
	}
	if err != nil {
		return 0, Link{}, fmt.Errorf("sweep links: %w", err)
	}
	return dropped, last, nil
}

// Unlinked looks at up to limit blobs after the digest after, and returns those that
// are to go: nothing links them, they were neither put nor claimed since stored, and no
// image that had them was pulled since pulled; and those that an earlier sweep has
// begun to remove. last is the one to go on after, "" at the end.
func (db *DB) Unlinked(ctx context.Context, after digest.Digest, limit int, stored, pulled time.Time) (blobs []digest.Digest, last digest.Digest, err error) {
	n := 0
	_, err = list(ctx, db.get(), listUnlinked, []any{string(after), micros(stored), micros(pulled), int64(limit)},
		func(rows *sql.Rows) (struct{}, error) {
			var is bool
			var d string
			if err := rows.Scan(&d, &is); err != nil {
				return struct{}{}, err
			}
			n++
			if last = digest.Digest(d); is {
				blobs = append(blobs, last)
			}
			return struct{}{}, nil
		})
	if err != nil {
		return nil, "", fmt.Errorf("unlinked blobs: %w", err)
	}
	if n < limit {
		last = ""
	}
	return blobs, last, nil
}

// Going gives the sweep those of blobs that are still to go, as Unlinked has it, and
// returns them: from now on nobody serves, links, puts or claims them, and their bytes
// may be removed. One sweep at a time may have blobs of a database.
func (db *DB) Going(ctx context.Context, blobs []digest.Digest, stored, pulled time.Time) (going []digest.Digest, err error) {
	err = db.tx(ctx, func(ctx context.Context, t *tx) error {
		going = nil
		for _, d := range blobs {
			n, err := t.exec(ctx, takeBlob, string(d), micros(stored), micros(pulled))
			if err != nil {
				return err
			}
			if n > 0 {
				going = append(going, d)
				t.forget.blobs = append(t.forget.blobs, d)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("blobs that go: %w", err)
	}
	return going, nil
}

// Gone says that the bytes of blobs which Going returned are removed, durably.
func (db *DB) Gone(ctx context.Context, blobs []digest.Digest) error {
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		for _, d := range blobs {
			if _, err := t.exec(ctx, deleteBlob, string(d)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("blobs that are gone: %w", err)
	}
	return nil
}

// DropUpload forgets an upload that was last updated before before. Errors:
// errs.UploadUnknown if there is none, or it was updated since.
func (db *DB) DropUpload(ctx context.Context, id string, before time.Time) error {
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, dropUpload, id, micros(before))
		if err == nil && n == 0 {
			err = errs.New(errs.UploadUnknown, "upload %s is not idle", id)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("drop upload: %w", err)
	}
	return nil
}

// freed is called before a manifest's row is deleted: a client that has the manifest
// from a while ago still comes for its blobs, so they count as pulled when it was.
func (t *tx) freed(ctx context.Context, repo string, manifest digest.Digest) error {
	pulled, err := list(ctx, t.runner, getPulled, []any{repo, string(manifest)}, func(rows *sql.Rows) (n int64, err error) {
		return n, rows.Scan(&n)
	})
	if err != nil || len(pulled) == 0 {
		return err
	}
	at := pulled[0]
	for _, waiting := range t.db.pulls.latest(repo, manifest) {
		at = max(at, micros(waiting))
	}
	_, err = t.exec(ctx, touchNamed, repo, string(manifest), at)
	return err
}

func (t *tx) forgetLink(repo string, d digest.Digest) {
	t.forget.links = append(t.forget.links, digestKey{repo, d})
}
