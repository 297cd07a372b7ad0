package meta

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

// Push is a manifest that somebody puts into a repository.
type Push struct {
	Repository string
	Manifest   *oci.Manifest
	Edges      oci.Edges
	Tags       []string // that are the manifest's from then on
	At         time.Time
	Replica    bool // another registry's replication brings it: it goes no further

	// Strict has PutImage refuse, as ECR's API does, an index whose children are not all
	// there, and a push that changes nothing.
	Strict bool
}

// PutImage stores a manifest in a repository that is there. Unlike PutManifest it asks
// that the repository may serve the config and every layer, foreign ones aside, and
// that no tag that is immutable there is another's. What the replication rules take is
// queued for their destinations in the same transaction. What was in the archive comes
// out of it. A cached repository counts as pushed to from then on. Whoever calls has
// verified that the bytes have the digest.
// Errors: errs.RepoUnknown, errs.ManifestBlobUnknown, errs.TagImmutable, PutManifest's, and
// errs.ChildUnknown and errs.ImageExists for a strict push.
func (db *DB) PutImage(ctx context.Context, p Push) error {
	if err := checkPut(p.Repository, p.Manifest, p.Edges, p.Tags); err != nil {
		return err
	}
	var queued int
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		repo, err := t.repository(ctx, p.Repository)
		if err != nil {
			return err
		}
		if err := t.changes(ctx, repo, p); err != nil {
			return err
		}
		isNew, err := t.putManifest(ctx, repo.Name, p.Manifest, p.Edges, p.At)
		if err != nil {
			return err
		}
		if !isNew { // it is as old as it was, but an index may be on its way that names it
			if _, err := t.exec(ctx, putNeeded, repo.Name, string(p.Manifest.Digest), micros(p.At)); err != nil {
				return err
			}
		}
		if repo.Archives {
			if err := t.moveImage(ctx, repo.Name, p.Manifest.Digest, false, p.At); err != nil {
				return err
			}
		}
		if repo.Kind == Cached && !repo.Pushed {
			t.forget.repos = append(t.forget.repos, repo.Name)
			if _, err := t.exec(ctx, notePushed, repo.Name); err != nil {
				return err
			}
		}
		if err := t.complain(ctx, repo.Name, p.Manifest.Digest, p.Strict); err != nil {
			return err
		}
		for _, tag := range p.Tags {
			if err := t.pushTag(ctx, repo, tag, p.Manifest.Digest, p.At); err != nil {
				return err
			}
		}
		if queued, err = t.queue(ctx, repo, p); err != nil {
			return err
		}
		return t.completeFrom(ctx, repo.Name, p.Manifest.Digest)
	})
	if errs.CodeOf(err) == errs.ImageExists { // which is to the pusher as if it were pushed
		db.Needed(p.Repository, p.Manifest.Digest, p.At)
	}
	if err != nil {
		return fmt.Errorf("push of %s@%s: %w", p.Repository, p.Manifest.Digest, err)
	}
	if f := db.queued.Load(); f != nil && queued > 0 {
		(*f)()
	}
	return nil
}

// changes returns errs.ImageExists for a strict push of an image that is there, outside the
// archive, and has its tags.
func (t *tx) changes(ctx context.Context, repo Repository, p Push) error {
	if !p.Strict {
		return nil
	}
	var there bool
	if err := t.row(ctx, hasManifest, []any{repo.Name, string(p.Manifest.Digest)}, &there); err != nil || !there {
		return err
	}
	if repo.Archives {
		if s, err := t.storage(ctx, repo.Name, p.Manifest.Digest); err != nil || s.Archived {
			return err
		}
	}
	for _, tag := range p.Tags {
		is, err := t.tag(ctx, repo.Name, tag)
		if errs.CodeOf(err) == errs.ManifestUnknown || err == nil && is.Digest != p.Manifest.Digest {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return errs.New(errs.ImageExists, "image %s is in repository %s, and has these tags", p.Manifest.Digest, repo.Name)
}

// complain returns what a stored manifest's repository lacks of it; children: images too.
func (t *tx) complain(ctx context.Context, repo string, d digest.Digest, children bool) error {
	members, err := list(ctx, t.runner, listMembers, []any{repo, string(d)}, scanMember)
	if err != nil {
		return err
	}
	var missing []string
	code := errs.ManifestBlobUnknown
	for _, m := range members {
		if m.Kind == oci.EdgeChild { // an index names nothing else
			code = errs.ChildUnknown
			if m.manifest || !children {
				continue
			}
		} else if m.servable || m.Foreign() {
			continue
		}
		if len(missing) < 32 {
			missing = append(missing, string(m.Digest))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	e := errs.New(code, "the manifest names what is not in repository %s: %s", repo, strings.Join(missing, ", "))
	e.Detail = map[string][]string{"missing": missing}
	return e
}

// pushTag makes the tag d's, if it is nobody's or may be moved.
func (t *tx) pushTag(ctx context.Context, repo Repository, tag string, d digest.Digest, at time.Time) error {
	if err := t.mayBe(ctx, repo, tag, d); err != nil {
		return err
	}
	_, err := t.moveTag(ctx, repo.Name, tag, d, at)
	return err
}

// mayBe returns errs.TagImmutable for a tag that is another's and may not be moved.
func (t *tx) mayBe(ctx context.Context, repo Repository, tag string, d digest.Digest) error {
	if !repo.Immutable(tag) {
		return nil
	}
	old, err := t.tag(ctx, repo.Name, tag)
	if errs.CodeOf(err) == errs.ManifestUnknown {
		return nil
	}
	if err == nil && old.Digest != d {
		err = errs.New(errs.TagImmutable, "The image tag '%s' already exists in the '%s' repository and cannot be overwritten because the tag is immutable.", tag, repo.Name)
	}
	return err
}

// DeleteTag deletes a tag and keeps its history; the image stays. It returns what the
// tag was. Errors: errs.RepoUnknown, errs.ManifestUnknown, errs.NameInvalid,
// errs.TagInvalid.
func (db *DB) DeleteTag(ctx context.Context, repo, tag string, at time.Time) (d digest.Digest, err error) {
	if err := checkTagNames(repo, tag); err != nil {
		return "", err
	}
	err = db.tx(ctx, func(ctx context.Context, t *tx) error {
		if _, err := t.repository(ctx, repo); err != nil {
			return err
		}
		old, err := t.tag(ctx, repo, tag)
		if err != nil {
			return err
		}
		d = old.Digest
		return t.deleteTag(ctx, repo, tag, d, at)
	})
	if err != nil {
		return "", fmt.Errorf("delete tag %s:%s: %w", repo, tag, err)
	}
	return d, nil
}

func (t *tx) deleteTag(ctx context.Context, repo, tag string, was digest.Digest, at time.Time) error {
	if _, err := t.exec(ctx, deleteTag, repo, tag); err != nil {
		return err
	}
	t.forgetTag(repo, tag)
	if _, err := t.exec(ctx, deleteQueuedName, repo, tag); err != nil {
		return err
	}
	return t.noteMove(ctx, repo, tag, rule.Move{From: was, At: at})
}

// DeleteTagged deletes a tag, and its image where that is the last of its tags. It
// returns what the tag was. With a digest, the tag must be that. Errors: as DeleteTag
// and DeleteManifest, and errs.Conflict for a tag that is of another image than d.
func (db *DB) DeleteTagged(ctx context.Context, repo, tag string, d digest.Digest, at time.Time) (was digest.Digest, err error) {
	if err := checkTagNames(repo, tag); err != nil {
		return "", err
	}
	err = db.tx(ctx, func(ctx context.Context, t *tx) error {
		if _, err := t.repository(ctx, repo); err != nil {
			return err
		}
		old, err := t.tag(ctx, repo, tag)
		if err != nil {
			return err
		}
		if was = old.Digest; d != "" && d != was {
			return errs.New(errs.Conflict, "tag %s of %s is %s", tag, repo, was)
		}
		tags, err := list(ctx, t.runner, listTagsOf, []any{repo, string(was)}, text[string])
		if err != nil {
			return err
		}
		if len(tags) > 1 {
			return t.deleteTag(ctx, repo, tag, was, at)
		}
		_, err = t.deleteManifest(ctx, repo, was, at)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("delete image %s:%s: %w", repo, tag, err)
	}
	return was, nil
}

// DeleteManifest deletes a manifest with the tags that are it, which it returns. What
// it names stays, until a sweep finds that nothing else does.
// Errors: errs.RepoUnknown, errs.ManifestUnknown, errs.ImageReferenced if an index of
// the repository names it, errs.NameInvalid, errs.DigestInvalid.
func (db *DB) DeleteManifest(ctx context.Context, repo string, d digest.Digest, at time.Time) (tags []string, err error) {
	if err := checkNames(repo, d); err != nil {
		return nil, err
	}
	err = db.tx(ctx, func(ctx context.Context, t *tx) error {
		if _, err := t.repository(ctx, repo); err != nil {
			return err
		}
		tags, err = t.deleteManifest(ctx, repo, d, at)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("delete manifest %s@%s: %w", repo, d, err)
	}
	return tags, nil
}

func (t *tx) deleteManifest(ctx context.Context, repo string, d digest.Digest, at time.Time) ([]string, error) {
	indexes, err := list(ctx, t.runner, listIndexes, []any{repo, string(d)}, text[digest.Digest])
	if err != nil {
		return nil, err
	}
	if len(indexes) > 0 {
		return nil, errs.New(errs.ImageReferenced, "image %s cannot be deleted: manifest list %s of repository %s references it, and is to be deleted first", d, indexes[0], repo)
	}
	tags, err := list(ctx, t.runner, listTagsOf, []any{repo, string(d)}, text[string])
	if err != nil {
		return nil, err
	}
	for _, tag := range tags {
		if err := t.deleteTag(ctx, repo, tag, d, at); err != nil {
			return nil, err
		}
	}
	if err := t.incomplete(ctx, repo, d); err != nil {
		return nil, err
	}
	if err := t.freed(ctx, repo, d); err != nil {
		return nil, err
	}
	if _, err := t.exec(ctx, countManifest, repo, string(d), int64(-1)); err != nil {
		return nil, err
	}
	for _, q := range []query{deleteQueuedImage, deleteReplicatedImage, deleteStorage, deleteNeeded, deleteReleased, deleteReferrers, deleteEdges} {
		if _, err := t.exec(ctx, q, repo, string(d)); err != nil {
			return nil, err
		}
	}
	n, err := t.exec(ctx, deleteManifest, repo, string(d))
	if err == nil && n == 0 {
		err = errs.New(errs.ManifestUnknown, "manifest %s is not held in %s", d, repo)
	}
	if err != nil {
		return nil, err
	}
	t.forget.manifests = append(t.forget.manifests, digestKey{repo, d})
	t.forget.archived = append(t.forget.archived, digestKey{repo, d})
	return tags, t.change(ctx, repo)
}

// incomplete takes back that an image was the last whole one of tags.
func (t *tx) incomplete(ctx context.Context, repo string, d digest.Digest) error {
	was, err := list(ctx, t.runner, listCompleteTags, []any{repo, string(d)}, text[string])
	if err != nil {
		return err
	}
	for _, tag := range was {
		t.forgetTag(repo, tag)
		if _, err := t.exec(ctx, clearComplete, repo, tag); err != nil {
			return err
		}
	}
	return nil
}

// incompleteWithout takes it back of whatever names d, itself or by other manifests.
func (t *tx) incompleteWithout(ctx context.Context, repo string, d digest.Digest) error {
	seen := map[digest.Digest]bool{d: true}
	for next := []digest.Digest{d}; len(next) > 0; next = next[1:] {
		parents, err := list(ctx, t.runner, listParents, []any{repo, string(next[0])}, text[digest.Digest])
		if err != nil {
			return err
		}
		for _, p := range parents {
			if seen[p] {
				continue
			}
			seen[p] = true
			next = append(next, p)
			if err := t.incomplete(ctx, repo, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// DeleteLink takes a blob from a repository. Its bytes stay until a sweep finds that no
// repository has it. Errors: errs.RepoUnknown, errs.BlobUnknown, errs.NameInvalid,
// errs.DigestInvalid.
func (db *DB) DeleteLink(ctx context.Context, repo string, d digest.Digest) error {
	if err := checkNames(repo, d); err != nil {
		return err
	}
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		if _, err := t.repository(ctx, repo); err != nil {
			return err
		}
		n, err := t.exec(ctx, deleteLink, repo, string(d))
		if err == nil && n == 0 {
			return errs.New(errs.BlobUnknown, "blob %s is not in %s", d, repo)
		}
		if err != nil {
			return err
		}
		t.forget.links = append(t.forget.links, digestKey{repo, d})
		return t.incompleteWithout(ctx, repo, d)
	})
	if err != nil {
		return fmt.Errorf("delete link %s@%s: %w", repo, d, err)
	}
	return nil
}
