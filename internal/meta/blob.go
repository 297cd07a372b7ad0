package meta

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

// Blob returns what is remembered of a blob as the repository sees it; that nothing
// is remembered is no error. A size that the repository's manifests do not agree on
// is not known. Errors: errs.NameInvalid, errs.DigestInvalid.
func (db *DB) Blob(ctx context.Context, repo string, d digest.Digest) (rule.Blob, error) {
	b, ok, writes := db.cache.blob(repo, d)
	if ok {
		return b, nil
	}
	if err := checkNames(repo, d); err != nil {
		return rule.Blob{}, err
	}
	b = rule.Blob{}
	if err := db.get().row(ctx, getBlob, []any{repo, string(d)}, &b.Linked, &b.Held, &b.Public, &b.Size); err != nil {
		return rule.Blob{}, fmt.Errorf("blob %s@%s: %w", repo, d, err)
	}
	db.cache.keepBlob(repo, d, b, writes)
	return b, nil
}

// BlobType returns the media type that a manifest of the repository has for a blob, which
// may be "", and whether one names it as config or layer; of several, the one whose digest
// is first. Errors: errs.NameInvalid, errs.DigestInvalid.
func (db *DB) BlobType(ctx context.Context, repo string, d digest.Digest) (mediaType string, named bool, err error) {
	if err := checkNames(repo, d); err != nil {
		return "", false, err
	}
	types, err := list(ctx, db.get(), getBlobType, []any{repo, string(d)}, text[string])
	if err != nil {
		return "", false, fmt.Errorf("type of blob %s@%s: %w", repo, d, err)
	}
	if len(types) == 0 {
		return "", false, nil
	}
	return types[0], true, nil
}

// PutBlob says that the store holds a blob, which was claimed before its bytes came to
// it, and links it to repositories, which are made if they are not there. It is called
// only after the bytes are durable. What was once public stays public.
// Errors: errs.NameInvalid, errs.DigestInvalid, errs.ParamInvalid (a negative size),
// errs.Unavailable if the blob was not claimed, or so long ago that the sweep took it:
// then its bytes are gone.
func (db *DB) PutBlob(ctx context.Context, d digest.Digest, size int64, public bool, repos []string, at time.Time) error {
	if _, err := oci.ParseDigest(string(d)); err != nil {
		return err
	}
	if size < 0 {
		return errs.New(errs.ParamInvalid, "blob %s has size %d", d, size)
	}
	for _, repo := range repos {
		if _, err := oci.ParseRepository(repo); err != nil {
			return err
		}
	}
	// In one order everywhere, so that two processes do not wait for each other.
	repos = slices.Compact(slices.Sorted(slices.Values(repos)))
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		if err := t.putBlob(ctx, d, size, public, at); err != nil {
			return err
		}
		for _, repo := range repos {
			if err := t.link(ctx, repo, d, at); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("put blob %s: %w", d, err)
	}
	return nil
}

func (t *tx) putBlob(ctx context.Context, d digest.Digest, size int64, public bool, at time.Time) error {
	t.forget.blobs = append(t.forget.blobs, d)
	n, err := t.exec(ctx, putBlob, string(d), size, public, micros(at))
	if err == nil && n == 0 {
		err = errs.New(errs.Unavailable, "blob %s was not claimed before it was stored, or was swept since", d)
	}
	return err
}

// Link lets the repository, which is made if it is not there, serve a blob if the
// store holds it, and says whether. Errors: errs.NameInvalid, errs.DigestInvalid.
func (db *DB) Link(ctx context.Context, repo string, d digest.Digest, at time.Time) (bool, error) {
	if err := checkNames(repo, d); err != nil {
		return false, err
	}
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		return t.link(ctx, repo, d, at)
	})
	if errors.Is(err, errNotHeld) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("link %s@%s: %w", repo, d, err)
	}
	return true, nil
}

var errNotHeld = errors.New("blob is not held")

// link inserts the link if the row is held, in one statement: errNotHeld if it is not.
func (t *tx) link(ctx context.Context, repo string, d digest.Digest, at time.Time) error {
	if err := t.makeRepository(ctx, repo, at); err != nil {
		return err
	}
	n, err := t.exec(ctx, putLink, repo, string(d), micros(at))
	if err != nil {
		return err
	}
	if n == 0 {
		return errNotHeld // and so the repository is not made either
	}
	return t.completeWith(ctx, repo, d)
}

// DropBlob says that the store does not hold a blob, whatever its row says. Links to
// it give nothing until it is put again. Errors: errs.DigestInvalid.
func (db *DB) DropBlob(ctx context.Context, d digest.Digest) error {
	if _, err := oci.ParseDigest(string(d)); err != nil {
		return err
	}
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		t.forget.blobs = append(t.forget.blobs, d)
		_, err := t.exec(ctx, dropBlob, string(d))
		return err
	})
	if err != nil {
		return fmt.Errorf("drop blob %s: %w", d, err)
	}
	return nil
}
