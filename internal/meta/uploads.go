package meta

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
)

// Upload is a blob that a client is sending to a repository: what of it is durable.
type Upload struct {
	ID         string
	Repository string
	Size       int64            // bytes
	Algorithm  digest.Algorithm // of Hash
	Hash       []byte           // the hash's state after Size bytes; nil: none yet
	Started    time.Time
	Updated    time.Time

	// Of parts that are counted: how many came, how long the last one is, and how many
	// before it are shorter than such parts are to be.
	Parts, LastPart, ShortParts int64
}

// maxID bounds the ID of an upload in bytes.
const maxID = 64

// checkUpload refuses what cannot be an upload's ID or repository. An ID that nobody
// gave is one that is not there.
func checkUpload(repo, id string) error {
	if _, err := oci.ParseRepository(repo); err != nil {
		return err
	}
	if checkText(id) != nil || id == "" || len(id) > maxID {
		return unknownUpload(repo, id)
	}
	return nil
}

func unknownUpload(repo, id string) error {
	return errs.New(errs.UploadUnknown, "upload %q is not known in %s", id[:min(len(id), maxID)], repo)
}

// PutUpload notes an upload to a repository that is there. It is called
// only after the bytes are durable. Errors: errs.NameInvalid, errs.RepoUnknown,
// errs.UploadUnknown (an ID that cannot be one, or one of another repository).
func (db *DB) PutUpload(ctx context.Context, u Upload) error {
	if err := checkUpload(u.Repository, u.ID); err != nil {
		return err
	}
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		if _, err := t.repository(ctx, u.Repository); err != nil {
			return err
		}
		n, err := t.exec(ctx, putUpload, u.ID, u.Repository, u.Size, string(u.Algorithm), notNil(u.Hash), micros(u.Started), micros(u.Updated), u.Parts, u.LastPart, u.ShortParts)
		if err == nil && n == 0 {
			return unknownUpload(u.Repository, u.ID)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("put upload %s: %w", u.ID, err)
	}
	return nil
}

// SaveUpload notes what there is of an upload. It is called only after the bytes are
// durable. Errors: errs.NameInvalid, errs.UploadUnknown, also once its repository was
// deleted.
func (db *DB) SaveUpload(ctx context.Context, u Upload) error {
	if err := checkUpload(u.Repository, u.ID); err != nil {
		return err
	}
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, saveUpload, u.Repository, u.ID, u.Size, string(u.Algorithm), notNil(u.Hash), micros(u.Updated), u.Parts, u.LastPart, u.ShortParts)
		if err == nil && n == 0 {
			return unknownUpload(u.Repository, u.ID)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("save upload %s: %w", u.ID, err)
	}
	return nil
}

// UploadsOf returns the IDs of a repository's uploads, in no order. Errors: errs.NameInvalid.
func (db *DB) UploadsOf(ctx context.Context, repo string) ([]string, error) {
	if _, err := oci.ParseRepository(repo); err != nil {
		return nil, err
	}
	ids, err := list(ctx, db.get(), listUploadsOf, []any{repo}, text[string])
	if err != nil {
		return nil, fmt.Errorf("uploads of %s: %w", repo, err)
	}
	return ids, nil
}

// Upload returns a repository's upload. Errors: errs.UploadUnknown, errs.NameInvalid.
func (db *DB) Upload(ctx context.Context, repo, id string) (Upload, error) {
	if err := checkUpload(repo, id); err != nil {
		return Upload{}, err
	}
	found, err := list(ctx, db.get(), getUpload, []any{repo, id}, scanUpload)
	if err != nil {
		return Upload{}, fmt.Errorf("upload %s: %w", id, err)
	}
	if len(found) == 0 {
		return Upload{}, unknownUpload(repo, id)
	}
	return found[0], nil
}

// DeleteUpload forgets a repository's upload. Errors: errs.UploadUnknown,
// errs.NameInvalid.
func (db *DB) DeleteUpload(ctx context.Context, repo, id string) error {
	if err := checkUpload(repo, id); err != nil {
		return err
	}
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, deleteUpload, repo, id)
		if err == nil && n == 0 {
			return unknownUpload(repo, id)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("delete upload %s: %w", id, err)
	}
	return nil
}

// Uploads returns up to limit uploads after the ID after, in the order of their bytes.
// Errors: errs.ParamInvalid.
func (db *DB) Uploads(ctx context.Context, after string, limit int) ([]Upload, error) {
	if err := checkText(after); err != nil {
		return nil, err
	}
	all, err := list(ctx, db.get(), listUploads, []any{after, int64(max(limit, 0))}, scanUpload)
	if err != nil {
		return nil, fmt.Errorf("uploads: %w", err)
	}
	return all, nil
}

// IdleUploads returns up to limit uploads that were last updated before before, the
// longest idle first.
func (db *DB) IdleUploads(ctx context.Context, before time.Time, limit int) ([]Upload, error) {
	all, err := list(ctx, db.get(), listIdleUploads, []any{micros(before), int64(max(limit, 0))}, scanUpload)
	if err != nil {
		return nil, fmt.Errorf("idle uploads: %w", err)
	}
	return all, nil
}

// FinishUpload makes an upload a blob of its repository: held and linked, and the
// upload is gone. It is called only after Claim and then the store has the bytes.
// Errors: errs.UploadUnknown, errs.RepoUnknown (it was deleted meanwhile),
// errs.NameInvalid, errs.DigestInvalid.
func (db *DB) FinishUpload(ctx context.Context, repo, id string, d digest.Digest, size int64, at time.Time) error {
	if err := checkUpload(repo, id); err != nil {
		return err
	}
	if _, err := oci.ParseDigest(string(d)); err != nil {
		return err
	}
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, deleteUpload, repo, id)
		if err != nil {
			return err
		}
		if n == 0 {
			return unknownUpload(repo, id)
		}
		if _, err := t.repository(ctx, repo); err != nil {
			return err
		}
		if err := t.putBlob(ctx, d, size, false, at); err != nil {
			return err
		}
		return t.link(ctx, repo, d, at)
	})
	if err != nil {
		return fmt.Errorf("finish upload %s: %w", id, err)
	}
	return nil
}

// Mount links a blob that one repository may serve into another, and says whether:
// not if the first may not serve it. Errors: errs.RepoUnknown (the repository to link
// it into), errs.NameInvalid, errs.DigestInvalid.
func (db *DB) Mount(ctx context.Context, repo, from string, d digest.Digest, at time.Time) (bool, error) {
	if err := checkNames(repo, d); err != nil {
		return false, err
	}
	if _, err := oci.ParseRepository(from); err != nil {
		return false, err
	}
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		if _, err := t.repository(ctx, repo); err != nil {
			return err
		}
		var linked bool
		if err := t.row(ctx, isServable, []any{from, string(d)}, &linked); err != nil {
			return err
		}
		if !linked {
			return errNotHeld
		}
		return t.link(ctx, repo, d, at)
	})
	if errors.Is(err, errNotHeld) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("mount %s of %s in %s: %w", d, from, repo, err)
	}
	return true, nil
}

// LinkedIn returns up to limit repositories that may serve a blob, in the order of
// their names' bytes. Errors: errs.DigestInvalid.
func (db *DB) LinkedIn(ctx context.Context, d digest.Digest, limit int) ([]string, error) {
	if _, err := oci.ParseDigest(string(d)); err != nil {
		return nil, err
	}
	repos, err := list(ctx, db.get(), listLinkedIn, []any{string(d), int64(max(limit, 0))}, text[string])
	if err != nil {
		return nil, fmt.Errorf("repositories with %s: %w", d, err)
	}
	return repos, nil
}

func scanUpload(rows *sql.Rows) (Upload, error) {
	var u Upload
	var algorithm string
	var started, updated int64
	err := rows.Scan(&u.ID, &u.Repository, &u.Size, &algorithm, &u.Hash, &started, &updated, &u.Parts, &u.LastPart, &u.ShortParts)
	u.Algorithm, u.Started, u.Updated = digest.Algorithm(algorithm), fromMicros(started), fromMicros(updated)
	if len(u.Hash) == 0 {
		u.Hash = nil
	}
	return u, err
}
