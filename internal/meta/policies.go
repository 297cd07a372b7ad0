package meta

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/oci"
)

// Access is what decides on a request to a repository, beside who asks. It is not to be
// changed.
type Access struct {
	Kind   string // Own or Cached; "": there is no such repository
	Policy *iam.Policy
	Tags   []iam.Tag // of the repository

	size int // about how many bytes of memory it takes
}

// Access returns the access of a repository as far as there is one. A policy that cannot
// be read denies everything: it may have been a deny. Errors: errs.NameInvalid.
func (db *DB) Access(ctx context.Context, name string) (Access, error) {
	return remember(&db.cache, &db.cache.access, db.cache.alone, name, costOfAccess, func() (Access, error) {
		if _, err := oci.ParseRepository(name); err != nil {
			return Access{}, err
		}
		r, err := db.get().repository(ctx, name)
		if errs.CodeOf(err) == errs.RepoUnknown {
			return Access{}, nil
		}
		if err != nil {
			return Access{}, fmt.Errorf("access of %s: %w", name, err)
		}
		return r.Access(), nil
	})
}

// costOfAccess counts rows, of 1 KiB.
func costOfAccess(a Access) int { return 1 + a.size/1024 }

// Access returns what decides on requests to r.
func (r *Repository) Access() Access {
	// What is parsed of a policy is several times its document.
	a := Access{Kind: r.Kind, size: 8*len(r.Policy) + sizeOfTags(r.ResourceTags)}
	for _, t := range r.ResourceTags {
		a.Tags = append(a.Tags, iam.Tag(t))
	}
	if len(r.Policy) > 0 {
		p, err := iam.ParseRepositoryPolicy(r.Policy)
		if err != nil {
			p = iam.Unreadable(iam.OfRepository)
		}
		p.Name = r.Name
		a.Policy = &p
	}
	return a
}

// PutRepositoryPolicy makes document, which is kept as it is, the policy of a repository.
// Errors: errs.RepoUnknown, errs.NameInvalid.
func (db *DB) PutRepositoryPolicy(ctx context.Context, name string, document []byte) error {
	_, err := db.changePolicy(ctx, name, document)
	return err
}

// DeleteRepositoryPolicy takes a repository's policy away, and returns it.
// Errors: errs.RepoUnknown, errs.NameInvalid, errs.PolicyUnknown if it has none.
func (db *DB) DeleteRepositoryPolicy(ctx context.Context, name string) ([]byte, error) {
	return db.changePolicy(ctx, name, nil)
}

func (db *DB) changePolicy(ctx context.Context, name string, document []byte) ([]byte, error) {
	if _, err := oci.ParseRepository(name); err != nil {
		return nil, err
	}
	var old []byte
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		t.forget.repos = append(t.forget.repos, name)
		r, err := t.repository(ctx, name)
		if err != nil {
			return err
		}
		if old = r.Policy; len(old) == 0 && len(document) == 0 {
			return errs.New(errs.PolicyUnknown, "repository %s has no policy", name)
		}
		_, err = t.exec(ctx, putRepositoryPolicy, name, blobOf(document))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("policy of %s: %w", name, err)
	}
	return old, nil
}

// blobOf is bytes as they are stored: never NULL.
func blobOf(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// RegistryPolicy is the policy of the registry. It is not to be changed.
type RegistryPolicy struct {
	Document []byte      // as it was put; empty: there is none
	Policy   *iam.Policy // nil: there is none
}

// RegistryPolicy returns the registry's policy, the zero value if there is none. One that
// cannot be read denies everything.
func (db *DB) RegistryPolicy(ctx context.Context) (RegistryPolicy, error) {
	return remember(&db.cache, &db.cache.registry, db.cache.alone, struct{}{}, one, func() (RegistryPolicy, error) {
		document, err := db.get().registryPolicy(ctx)
		if err != nil || len(document) == 0 {
			return RegistryPolicy{}, err
		}
		p, err := iam.ParseRegistryPolicy(document)
		if err != nil {
			p = iam.Unreadable(iam.OfRegistry)
		}
		return RegistryPolicy{document, &p}, nil
	})
}

func (r runner) registryPolicy(ctx context.Context) ([]byte, error) {
	found, err := list(ctx, r, getRegistryPolicy, nil, func(rows *sql.Rows) ([]byte, error) {
		var document []byte
		err := rows.Scan(&document)
		return document, err
	})
	if err != nil {
		return nil, fmt.Errorf("policy of the registry: %w", err)
	}
	if len(found) == 0 {
		return nil, nil
	}
	return found[0], nil
}

// PutRegistryPolicy makes document, which is kept as it is, the registry's policy.
func (db *DB) PutRegistryPolicy(ctx context.Context, document []byte) error {
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		t.forget.registry = true
		_, err := t.exec(ctx, putRegistryPolicy, blobOf(document))
		return err
	})
	if err != nil {
		return fmt.Errorf("policy of the registry: %w", err)
	}
	return nil
}

// DeleteRegistryPolicy takes the registry's policy away, and returns it.
// Errors: errs.PolicyUnknown if there is none.
func (db *DB) DeleteRegistryPolicy(ctx context.Context) ([]byte, error) {
	var old []byte
	err := db.tx(ctx, func(ctx context.Context, t *tx) (err error) {
		t.forget.registry = true
		if old, err = t.registryPolicy(ctx); err != nil {
			return err
		}
		if len(old) == 0 {
			return errs.New(errs.PolicyUnknown, "the registry has no policy")
		}
		_, err = t.exec(ctx, deleteRegistryPolicy)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("policy of the registry: %w", err)
	}
	return old, nil
}
