package meta

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

// Kinds of repositories.
const (
	Cached = "cached" // a pull through a rule made it
	Own    = "own"    // somebody made it; pushes go here
)

// Repository is a repository as it is described.
type Repository struct {
	Name       string
	Created    time.Time
	Kind       string   // Cached or Own
	Mutability string   // a word of package rule
	Exclusions []string // filters of tags; nil: none

	ResourceTags []rule.ResourceTag // nil: none
	ScanOnPush   bool               // is told, and nothing scans

	Policy []byte // its policy document as it was put; nil: none

	// Archives says that an image of it is or was in the archive. It does not count
	// where a repository is made.
	Archives bool
	// Pushed says of a cached repository that somebody pushed an image to it. It does not
	// count where a repository is made.
	Pushed bool
	// LifecyclePolicy is what a repository is made with; it is not told of one that is
	// there. See DB.LifecyclePolicy.
	LifecyclePolicy string
}

// Immutable says whether a tag that is there cannot be given to another image.
func (r *Repository) Immutable(tag string) bool {
	return rule.TagImmutable(r.Mutability, r.Exclusions, tag)
}

// NewRepositories says what a repository is like that PutManifest, PutBlob or Link
// makes; its name, kind and time do not count. Until it is called, such a repository is
// mutable and has nothing else. f must return at once, and without calling the DB.
func (db *DB) NewRepositories(f func(name string) Repository) { db.fresh.Store(&f) }

// makeRepository makes a cached repository, if none of this name is there.
func (t *tx) makeRepository(ctx context.Context, name string, at time.Time) error {
	var r Repository
	if f := t.db.fresh.Load(); f != nil {
		r = (*f)(name)
	}
	r.Name, r.Kind, r.Created = name, Cached, at
	_, err := t.createRepository(ctx, r)
	return err
}

// createRepository says whether it made it: not if one of this name is there.
func (t *tx) createRepository(ctx context.Context, r Repository) (bool, error) {
	mutability, exclusions, err := mutabilityColumns(r.Mutability, r.Exclusions)
	if err != nil {
		return false, err
	}
	tags, err := marshalList(r.ResourceTags)
	if err != nil {
		return false, err
	}
	n, err := t.exec(ctx, createRepository, r.Name, micros(r.Created), r.Kind, mutability, exclusions, tags, r.ScanOnPush, blobOf(r.Policy))
	if err != nil || n == 0 {
		return false, err
	}
	t.forget.repos = append(t.forget.repos, r.Name)
	if r.LifecyclePolicy != "" {
		_, err = t.exec(ctx, putPolicyOf, r.Name, []byte(r.LifecyclePolicy))
	}
	return true, err
}

// CreateRepository makes a repository. A kind or mutability that is not given is Own,
// or rule.Mutable. Errors: errs.RepoExists, errs.NameInvalid, errs.ParamInvalid.
func (db *DB) CreateRepository(ctx context.Context, r Repository) error {
	if _, err := oci.ParseRepository(r.Name); err != nil {
		return err
	}
	r.Kind = cmp.Or(r.Kind, Own)
	if r.Kind != Own && r.Kind != Cached {
		return errs.New(errs.ParamInvalid, "repository %s: unknown kind %q", r.Name, r.Kind)
	}
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		made, err := t.createRepository(ctx, r)
		if err == nil && !made {
			return errs.New(errs.RepoExists, "repository %s exists already", r.Name)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("create repository %s: %w", r.Name, err)
	}
	return nil
}

// PutMutability changes what pushes may do to a repository's tags, and returns the
// repository as it is then. Errors: errs.RepoUnknown, errs.NameInvalid, errs.ParamInvalid.
func (db *DB) PutMutability(ctx context.Context, name, mutability string, exclusions []string) (Repository, error) {
	if _, err := oci.ParseRepository(name); err != nil {
		return Repository{}, err
	}
	word, filters, err := mutabilityColumns(mutability, exclusions)
	if err != nil {
		return Repository{}, err
	}
	var r Repository
	err = db.tx(ctx, func(ctx context.Context, t *tx) error {
		t.forget.repos = append(t.forget.repos, name)
		if _, err := t.exec(ctx, putMutability, name, word, filters); err != nil {
			return err
		}
		r, err = t.repository(ctx, name)
		return err
	})
	if err != nil {
		return Repository{}, fmt.Errorf("mutability of %s: %w", name, err)
	}
	return r, nil
}

// PutScanOnPush changes what a repository says of scanning, and returns the repository
// as it is then. Errors: errs.RepoUnknown, errs.NameInvalid.
func (db *DB) PutScanOnPush(ctx context.Context, name string, on bool) (Repository, error) {
	if _, err := oci.ParseRepository(name); err != nil {
		return Repository{}, err
	}
	var r Repository
	err := db.tx(ctx, func(ctx context.Context, t *tx) (err error) {
		t.forget.repos = append(t.forget.repos, name)
		if _, err := t.exec(ctx, putScanOnPush, name, on); err != nil {
			return err
		}
		r, err = t.repository(ctx, name)
		return err
	})
	if err != nil {
		return Repository{}, fmt.Errorf("scan on push of %s: %w", name, err)
	}
	return r, nil
}

// PutResourceTags replaces a repository's resource tags by what f returns for them, in
// one transaction; f may be called again, and its error is returned.
// Errors: errs.RepoUnknown, errs.NameInvalid.
func (db *DB) PutResourceTags(ctx context.Context, name string, f func([]rule.ResourceTag) ([]rule.ResourceTag, error)) error {
	if _, err := oci.ParseRepository(name); err != nil {
		return err
	}
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		r, err := t.repository(ctx, name)
		if err != nil {
			return err
		}
		all, err := f(r.ResourceTags)
		if err != nil {
			return err
		}
		tags, err := marshalList(all)
		if err != nil {
			return err
		}
		t.forget.repos = append(t.forget.repos, name)
		_, err = t.exec(ctx, putResourceTags, name, tags)
		return err
	})
	if err != nil {
		return fmt.Errorf("resource tags of %s: %w", name, err)
	}
	return nil
}

// DeleteRepository deletes a repository with all that it has, and returns it as it
// was. Blobs that nothing links any more stay held. Without force, a repository that
// has manifests stays. Errors: errs.RepoUnknown, errs.RepoNotEmpty, errs.NameInvalid.
func (db *DB) DeleteRepository(ctx context.Context, name string, force bool) (Repository, error) {
	if _, err := oci.ParseRepository(name); err != nil {
		return Repository{}, err
	}
	var r Repository
	err := db.tx(ctx, func(ctx context.Context, t *tx) (err error) {
		t.forget.repos = append(t.forget.repos, name)
		if r, err = t.repository(ctx, name); err != nil {
			return err
		}
		var full bool
		if err := t.row(ctx, hasImages, []any{name}, &full); err != nil {
			return err
		}
		if full && !force {
			return errs.New(errs.RepoNotEmpty, "repository %s still has images", name)
		}
		t.forget.all = true
		for _, q := range []query{deleteResultsOf, deletePreview, deleteEventsOf, deletePolicyOf, deleteStorageOf, deleteNeededOf, deleteReleasedOf,
			deleteHistoryOf, deleteTagsOf, deleteEdgesOf, deleteManifestsOf, deleteReferrersOf, deleteLinksOf, deleteUploadsOf, deleteQueueOf, deleteReplicatedOf, deleteRepository} {
			if _, err := t.exec(ctx, q, name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Repository{}, fmt.Errorf("delete repository %s: %w", name, err)
	}
	return r, nil
}

// mutabilityColumns is a mutability as it is stored.
func mutabilityColumns(mutability string, exclusions []string) (string, []byte, error) {
	if mutability == "" {
		mutability = rule.Mutable
	}
	if !slices.Contains([]string{rule.Mutable, rule.Immutable, rule.ImmutableWithExclusion, rule.MutableWithExclusion}, mutability) {
		return "", nil, errs.New(errs.ParamInvalid, "unknown mutability %q", mutability)
	}
	filters, err := marshalList(exclusions)
	return mutability, filters, err
}

// marshalList is a list as it is stored: JSON, or nothing for an empty one.
func marshalList[T any](all []T) ([]byte, error) {
	if len(all) == 0 {
		return []byte{}, nil
	}
	return json.Marshal(all)
}

func unmarshalList[T any](text []byte, all *[]T) error {
	if len(text) == 0 {
		return nil
	}
	return json.Unmarshal(text, all)
}

// DescribeRepositories returns up to limit repositories after the name after, in the
// order of their bytes. Errors: errs.ParamInvalid.
func (db *DB) DescribeRepositories(ctx context.Context, after string, limit int) ([]Repository, error) {
	if err := checkText(after); err != nil {
		return nil, err
	}
	repos, err := list(ctx, db.get(), describeRepositories, []any{after, int64(max(limit, 0))}, scanRepository)
	if err != nil {
		return nil, fmt.Errorf("describe repositories: %w", err)
	}
	return repos, nil
}

// DescribeRepository returns one, whose lists are not to be changed.
// Errors: errs.RepoUnknown, errs.NameInvalid.
func (db *DB) DescribeRepository(ctx context.Context, name string) (Repository, error) {
	return remember(&db.cache, &db.cache.repos, db.cache.alone, name, costOfRepository, func() (Repository, error) {
		if _, err := oci.ParseRepository(name); err != nil {
			return Repository{}, err
		}
		r, err := db.get().repository(ctx, name)
		if err != nil {
			return Repository{}, fmt.Errorf("describe repository %s: %w", name, err)
		}
		return r, nil
	})
}

// costOfRepository counts rows, of 2 KiB.
func costOfRepository(r Repository) int {
	return 1 + (len(r.Policy)+sizeOfTags(r.ResourceTags))/2048
}

// sizeOfTags is how many bytes of memory tags take: of each, the text and two strings.
func sizeOfTags(tags []rule.ResourceTag) (n int) {
	for _, t := range tags {
		n += 32 + len(t.Key) + len(t.Value)
	}
	return n
}

// repository returns one, or errs.RepoUnknown.
func (r runner) repository(ctx context.Context, name string) (Repository, error) {
	found, err := list(ctx, r, describeRepository, []any{name}, scanRepository)
	if err != nil {
		return Repository{}, err
	}
	if len(found) == 0 {
		return Repository{}, errs.New(errs.RepoUnknown, "repository %s does not exist", name)
	}
	return found[0], nil
}

func scanRepository(rows *sql.Rows) (Repository, error) { return scanRepositoryBefore(rows) }

// scanRepositoryBefore scans the columns of a repository, before others.
func scanRepositoryBefore(rows *sql.Rows, others ...any) (Repository, error) {
	var created int64
	var exclusions, tags []byte
	r := Repository{}
	columns := []any{&r.Name, &created, &r.Kind, &r.Mutability, &exclusions, &tags, &r.ScanOnPush, &r.Policy, &r.Archives, &r.Pushed}
	if err := rows.Scan(append(columns, others...)...); err != nil {
		return Repository{}, err
	}
	r.Created = fromMicros(created)
	if len(r.Policy) == 0 {
		r.Policy = nil
	}
	if err := errors.Join(unmarshalList(exclusions, &r.Exclusions), unmarshalList(tags, &r.ResourceTags)); err != nil {
		return Repository{}, fmt.Errorf("lists of %s: %w", r.Name, err)
	}
	return r, nil
}
