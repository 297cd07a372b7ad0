package meta

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
)

// Status says which images a list has, by whether they are archived.
type Status string

// What a list may be narrowed to.
const (
	AnyStatus      Status = "" // all
	ActiveImages   Status = "active"
	ArchivedImages Status = "archived"
)

// column is a status as statements have it.
func (s Status) column() string {
	if s == AnyStatus {
		return "any"
	}
	return string(s)
}

// Storage is where an image is kept, as far as its clients see.
type Storage struct {
	Archived    bool
	ArchivedAt  time.Time // last came into the archive; zero: it never was there
	ActivatedAt time.Time // last came out of it
}

// Archived says whether a manifest is in the archive. Of a repository without Archives
// it is not to be asked: nothing is. Errors: errs.NameInvalid, errs.DigestInvalid.
func (db *DB) Archived(ctx context.Context, repo string, d digest.Digest) (bool, error) {
	c := &db.cache
	return remember(c, &c.archived, c.alone, digestKey{repo, d}, one, func() (bool, error) {
		if err := checkNames(repo, d); err != nil {
			return false, err
		}
		s, err := db.get().storage(ctx, repo, d)
		if err != nil {
			return false, fmt.Errorf("storage of %s@%s: %w", repo, d, err)
		}
		return s.Archived, nil
	})
}

// InArchive says whether a blob is named by manifests of the repository that are all
// archived. Errors: errs.NameInvalid, errs.DigestInvalid.
func (db *DB) InArchive(ctx context.Context, repo string, d digest.Digest) (is bool, err error) {
	if err := checkNames(repo, d); err != nil {
		return false, err
	}
	if err := db.get().row(ctx, isInArchive, []any{repo, string(d)}, &is); err != nil {
		return false, fmt.Errorf("archive of blob %s@%s: %w", repo, d, err)
	}
	return is, nil
}

// SetArchived brings an image into the archive, or out of it, and returns it as it is
// then. Its tags stay. With it go what is about it, and of an index the images that it
// names: into the archive those that have no tag and no other index outside; out of it
// all. An image that is there already is left.
// Errors: errs.RepoUnknown, errs.ManifestUnknown, errs.StorageUnsupported for an image
// that is to be archived while an index outside names it, errs.NameInvalid,
// errs.DigestInvalid.
func (db *DB) SetArchived(ctx context.Context, repo string, d digest.Digest, archived bool, at time.Time) (Image, error) {
	if err := checkNames(repo, d); err != nil {
		return Image{}, err
	}
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		if _, err := t.repository(ctx, repo); err != nil {
			return err
		}
		images, err := list(ctx, t.runner, getImage, []any{repo, string(d)}, scanImage)
		switch {
		case err != nil:
			return err
		case len(images) == 0:
			return errs.New(errs.ManifestUnknown, "manifest %s is not held in %s", d, repo)
		}
		if archived {
			indexes, err := list(ctx, t.runner, listActiveIndexes, []any{repo, string(d)}, text[digest.Digest])
			if err != nil {
				return err
			}
			if len(indexes) > 0 {
				return errs.New(errs.StorageUnsupported, "image %s cannot be archived: manifest list %s of repository %s references it, and is to be archived first", d, indexes[0], repo)
			}
		}
		return t.moveImage(ctx, repo, d, archived, at)
	})
	if err != nil {
		return Image{}, fmt.Errorf("storage of %s@%s: %w", repo, d, err)
	}
	return db.Image(ctx, repo, d)
}

// moveImage moves an image, and what goes with it.
func (t *tx) moveImage(ctx context.Context, repo string, d digest.Digest, archived bool, at time.Time) error {
	seen := map[digest.Digest]bool{d: true}
	for next := []digest.Digest{d}; len(next) > 0; next = next[1:] {
		if err := t.setStorage(ctx, repo, next[0], archived, at); err != nil {
			return err
		}
		with, err := t.goesWith(ctx, repo, next[0], archived)
		if err != nil {
			return err
		}
		for _, w := range with {
			if !seen[w] {
				seen[w] = true
				next = append(next, w)
			}
		}
	}
	return nil
}

// goesWith returns what is moved with an image that was moved.
func (t *tx) goesWith(ctx context.Context, repo string, d digest.Digest, archived bool) (with []digest.Digest, err error) {
	const chunk = 1000
	for after := digest.Digest(""); ; {
		about, err := list(ctx, t.runner, listReferring, []any{repo, string(d), string(after), int64(chunk)}, text[digest.Digest])
		if err != nil {
			return nil, err
		}
		with = append(with, about...)
		if len(about) < chunk {
			break
		}
		after = about[chunk-1]
	}
	children, err := list(ctx, t.runner, listHeldChildren, []any{repo, string(d)}, text[digest.Digest])
	if err != nil {
		return nil, err
	}
	for _, child := range children {
		if archived {
			stays, err := t.hasOthers(ctx, repo, child)
			if err != nil {
				return nil, err
			}
			if stays {
				continue
			}
		}
		with = append(with, child)
	}
	return with, nil
}

// hasOthers says whether an image has a tag, or an index outside the archive.
func (t *tx) hasOthers(ctx context.Context, repo string, d digest.Digest) (bool, error) {
	tags, err := list(ctx, t.runner, listTagsOf, []any{repo, string(d)}, text[string])
	if err != nil || len(tags) > 0 {
		return len(tags) > 0, err
	}
	indexes, err := list(ctx, t.runner, listActiveIndexes, []any{repo, string(d)}, text[digest.Digest])
	return len(indexes) > 0, err
}

// setStorage moves one manifest.
func (t *tx) setStorage(ctx context.Context, repo string, d digest.Digest, archived bool, at time.Time) error {
	s, err := t.storage(ctx, repo, d)
	if err != nil || s.Archived == archived {
		return err
	}
	s.Archived = archived
	if archived {
		s.ArchivedAt = at
		t.forget.repos = append(t.forget.repos, repo)
		if _, err := t.exec(ctx, noteArchives, repo); err != nil {
			return err
		}
	} else {
		s.ActivatedAt = at
	}
	t.forget.archived = append(t.forget.archived, digestKey{repo, d})
	if _, err = t.exec(ctx, putStorage, repo, string(d), s.Archived, micros(s.ArchivedAt), micros(s.ActivatedAt)); err != nil {
		return err
	}
	return t.change(ctx, repo)
}

// storage is where a manifest is: outside, if it never was archived.
func (r runner) storage(ctx context.Context, repo string, d digest.Digest) (s Storage, err error) {
	found, err := list(ctx, r, getStorage, []any{repo, string(d)}, func(rows *sql.Rows) (s Storage, err error) {
		return s, scanStorage(rows, &s)
	})
	if err != nil || len(found) == 0 {
		return Storage{}, err
	}
	return found[0], nil
}

// scanStorage scans the columns of s, after others.
func scanStorage(rows *sql.Rows, s *Storage, others ...any) error {
	var archived, activated int64
	err := rows.Scan(append(others, &s.Archived, &archived, &activated)...)
	s.ArchivedAt, s.ActivatedAt = fromMicros(archived), fromMicros(activated)
	return err
}

func scanImageStorage(rows *sql.Rows) (digest.Digest, func(*Image), error) {
	var d string
	var s Storage
	err := scanStorage(rows, &s, &d)
	return digest.Digest(d), func(m *Image) { m.Storage = s }, err
}
