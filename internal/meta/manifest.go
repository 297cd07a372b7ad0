package meta

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
)

// Manifest returns a manifest exactly as it was put, which is not to be changed.
// Errors: errs.ManifestUnknown, errs.NameInvalid, errs.DigestInvalid.
func (db *DB) Manifest(ctx context.Context, repo string, d digest.Digest) (*oci.Manifest, error) {
	if !db.cache.alone { // another process may have deleted it
		if err := db.stillThere(ctx, repo, d); err != nil {
			return nil, err
		}
	}
	cost := func(m *oci.Manifest) int { return len(m.Raw) + 1024 }
	return remember(&db.cache, &db.cache.manifests, true, digestKey{repo, d}, cost, func() (*oci.Manifest, error) {
		if err := checkNames(repo, d); err != nil {
			return nil, err
		}
		var mediaType []byte
		m := &oci.Manifest{Descriptor: oci.Descriptor{Digest: d}}
		err := db.get().row(ctx, getManifest, []any{repo, string(d)}, &mediaType, &m.Raw)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, errs.New(errs.ManifestUnknown, "manifest %s is not held in %s", d, repo)
		}
		if err != nil {
			return nil, fmt.Errorf("manifest %s@%s: %w", repo, d, err)
		}
		m.MediaType, m.Size = string(mediaType), int64(len(m.Raw))
		return m, nil
	})
}

// stillThere returns errs.ManifestUnknown for a manifest that is not.
func (db *DB) stillThere(ctx context.Context, repo string, d digest.Digest) error {
	if err := checkNames(repo, d); err != nil {
		return err
	}
	var there bool
	if err := db.get().row(ctx, hasManifest, []any{repo, string(d)}, &there); err != nil {
		return fmt.Errorf("manifest %s@%s: %w", repo, d, err)
	}
	if !there {
		return errs.New(errs.ManifestUnknown, "manifest %s is not held in %s", d, repo)
	}
	return nil
}

// PutManifest stores a manifest and what it names in a repository, which is made if
// it is not there. A manifest that is there already stays as it is, its media type
// too. With a tag, the tag is m's from now on: checked at at, not orphaned, and moved,
// with a row of its history, if it was another's or not there. An archived manifest comes
// out of the archive if the tag was another's; a tag that was not there does not become
// its. Whoever calls has verified that the bytes have the digest.
// Errors: errs.NameInvalid, errs.TagInvalid, errs.DigestInvalid, errs.ManifestTooLarge,
// errs.TagImmutable for a tag that is another's and immutable in the repository.
func (db *DB) PutManifest(ctx context.Context, repo string, m *oci.Manifest, e oci.Edges, tag string, at time.Time) (moved bool, err error) {
	var tags []string
	if tag != "" {
		tags = []string{tag}
	}
	if err := checkPut(repo, m, e, tags); err != nil {
		return false, err
	}
	err = db.tx(ctx, func(ctx context.Context, t *tx) error {
		if err := t.makeRepository(ctx, repo, at); err != nil {
			return err
		}
		if _, err := t.putManifest(ctx, repo, m, e, at); err != nil {
			return err
		}
		if tag != "" {
			row, err := t.repository(ctx, repo)
			if err != nil {
				return err
			}
			if err := t.mayBe(ctx, row, tag, m.Digest); err != nil {
				return err
			}
			if moved, err = t.pullTag(ctx, row, tag, m.Digest, at); err != nil {
				return err
			}
		}
		return t.completeFrom(ctx, repo, m.Digest)
	})
	if err != nil {
		return false, fmt.Errorf("put manifest %s@%s: %w", repo, m.Digest, err)
	}
	return moved, nil
}

// pullTag makes the tag d's, as an upstream says that it is. No archived image has it then
// that it did not have when it was archived: such a tag is not checked, and would be that
// for ever.
func (t *tx) pullTag(ctx context.Context, repo Repository, tag string, d digest.Digest, at time.Time) (moved bool, err error) {
	if repo.Archives {
		s, err := t.storage(ctx, repo.Name, d)
		if err != nil {
			return false, err
		}
		if s.Archived {
			old, err := t.tag(ctx, repo.Name, tag)
			if errs.CodeOf(err) == errs.ManifestUnknown {
				return false, nil
			}
			if err == nil && old.Digest != d {
				err = t.moveImage(ctx, repo.Name, d, false, at)
			}
			if err != nil {
				return false, err
			}
		}
	}
	return t.moveTag(ctx, repo.Name, tag, d, at)
}

func checkPut(repo string, m *oci.Manifest, e oci.Edges, tags []string) error {
	if err := checkNames(repo, m.Digest); err != nil {
		return err
	}
	for _, tag := range tags {
		if _, err := oci.ParseTag(tag); err != nil {
			return err
		}
	}
	if len(m.Raw) > oci.MaxManifestSize {
		return errs.New(errs.ManifestTooLarge, "manifest %s is larger than %d bytes", m.Digest, oci.MaxManifestSize)
	}
	for _, x := range e.List {
		if _, err := oci.ParseDigest(string(x.Digest)); err != nil {
			return err
		}
	}
	return nil
}

// putManifest says whether the manifest is new.
func (t *tx) putManifest(ctx context.Context, repo string, m *oci.Manifest, e oci.Edges, at time.Time) (bool, error) {
	n, err := t.exec(ctx, putManifest, repo, string(m.Digest), []byte(m.MediaType), micros(at), notNil(m.Raw))
	if err != nil || n == 0 {
		return false, err
	}
	if err := t.putEdges(ctx, repo, m.Digest, e.List); err != nil {
		return false, err
	}
	if _, err := t.exec(ctx, countManifest, repo, string(m.Digest), int64(1)); err != nil {
		return false, err
	}
	return true, t.change(ctx, repo)
}

func (t *tx) putEdges(ctx context.Context, repo string, parent digest.Digest, edges []oci.Edge) error {
	for seq := 0; seq < len(edges); {
		q, batch := putEdge, edges[seq:seq+1]
		if len(edges)-seq >= edgeBatch {
			q, batch = putEdges, edges[seq:seq+edgeBatch]
		}
		args := []any{repo, string(parent)}
		for _, x := range batch {
			platform, err := marshalPlatform(x.Platform)
			if err != nil {
				return err
			}
			args = append(args, int64(seq), string(x.Kind), string(x.Digest), []byte(x.MediaType), x.Size, platform)
			seq++
		}
		if _, err := t.exec(ctx, q, args...); err != nil {
			return err
		}
	}
	return nil
}

// Parents returns the manifests of the repository that name d as child, config or
// layer, by digest.
func (db *DB) Parents(ctx context.Context, repo string, d digest.Digest) ([]digest.Digest, error) {
	if err := checkNames(repo, d); err != nil {
		return nil, err
	}
	parents, err := list(ctx, db.get(), listParents, []any{repo, string(d)}, text[digest.Digest])
	if err != nil {
		return nil, fmt.Errorf("parents of %s@%s: %w", repo, d, err)
	}
	return parents, nil
}

// EdgeKinds returns how manifests of the repository name d, each kind once.
func (db *DB) EdgeKinds(ctx context.Context, repo string, d digest.Digest) ([]oci.EdgeKind, error) {
	if err := checkNames(repo, d); err != nil {
		return nil, err
	}
	kinds, err := list(ctx, db.get(), listKinds, []any{repo, string(d)}, text[oci.EdgeKind])
	if err != nil {
		return nil, fmt.Errorf("edges to %s@%s: %w", repo, d, err)
	}
	return kinds, nil
}

// Repositories returns up to limit repository names after the name after, in the
// order of their bytes. Errors: errs.ParamInvalid.
func (db *DB) Repositories(ctx context.Context, after string, limit int) ([]string, error) {
	if err := checkText(after); err != nil {
		return nil, err
	}
	names, err := list(ctx, db.get(), listRepositories, []any{after, int64(max(limit, 0))}, text[string])
	if err != nil {
		return nil, fmt.Errorf("repositories: %w", err)
	}
	return names, nil
}

// CountCached returns how many cached repositories have names that begin with prefix and a
// slash; "" counts all. It reads the rows that it counts. Errors: errs.ParamInvalid.
func (db *DB) CountCached(ctx context.Context, prefix string) (n int64, err error) {
	if err := checkText(prefix); err != nil {
		return 0, err
	}
	from, to := "", behind
	if prefix != "" {
		from, to = prefix+"/", prefix+"0" // the character behind the slash
	}
	if err := db.get().row(ctx, countCached, []any{from, to}, &n); err != nil {
		return 0, fmt.Errorf("repositories of %q: %w", prefix, err)
	}
	return n, nil
}

func checkNames(repo string, d digest.Digest) error {
	if _, err := oci.ParseRepository(repo); err != nil {
		return err
	}
	_, err := oci.ParseDigest(string(d))
	return err
}

// marshalPlatform is p as it is stored. Its strings are foreign and may hold anything
// that JSON can.
func marshalPlatform(p *oci.Platform) ([]byte, error) {
	if p == nil {
		return []byte{}, nil
	}
	return json.Marshal(p)
}

func unmarshalPlatform(b []byte) (*oci.Platform, error) {
	if len(b) == 0 {
		return nil, nil
	}
	p := new(oci.Platform)
	return p, json.Unmarshal(b, p)
}
