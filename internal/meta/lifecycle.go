package meta

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/lifecycle"
	"github.com/weir-registry/weir/internal/oci"
)

// LifecyclePolicy is a repository's policy.
type LifecyclePolicy struct {
	Text      string // as it was put
	Evaluated time.Time
}

// LifecyclePolicy returns a repository's policy.
// Errors: errs.RepoUnknown, errs.LifecycleUnknown, errs.NameInvalid.
func (db *DB) LifecyclePolicy(ctx context.Context, repo string) (LifecyclePolicy, error) {
	if _, err := oci.ParseRepository(repo); err != nil {
		return LifecyclePolicy{}, err
	}
	if _, err := db.DescribeRepository(ctx, repo); err != nil {
		return LifecyclePolicy{}, err
	}
	p, err := db.get().policy(ctx, repo)
	if err != nil {
		return LifecyclePolicy{}, fmt.Errorf("lifecycle policy of %s: %w", repo, err)
	}
	return p, nil
}

func (r runner) policy(ctx context.Context, repo string) (LifecyclePolicy, error) {
	var document []byte
	var evaluated int64
	err := r.row(ctx, getPolicy, []any{repo}, &document, &evaluated)
	if errors.Is(err, sql.ErrNoRows) {
		return LifecyclePolicy{}, errs.New(errs.LifecycleUnknown, "repository %s has no lifecycle policy", repo)
	}
	return LifecyclePolicy{string(document), fromMicros(evaluated)}, err
}

// PutLifecyclePolicy gives a repository a policy in place of the one that it may have.
// Errors: errs.RepoUnknown, errs.NameInvalid.
func (db *DB) PutLifecyclePolicy(ctx context.Context, repo, document string) error {
	_, err := db.changeLifecycle(ctx, repo, func(ctx context.Context, t *tx) (LifecyclePolicy, error) {
		if _, err := t.exec(ctx, putPolicyOf, repo, []byte(document)); err != nil {
			return LifecyclePolicy{}, err
		}
		return LifecyclePolicy{}, t.change(ctx, repo) // there may have been others without a policy
	})
	return err
}

// DeleteLifecyclePolicy deletes a repository's policy and returns it as it was.
// Errors: errs.RepoUnknown, errs.LifecycleUnknown, errs.NameInvalid.
func (db *DB) DeleteLifecyclePolicy(ctx context.Context, repo string) (LifecyclePolicy, error) {
	return db.changeLifecycle(ctx, repo, func(ctx context.Context, t *tx) (LifecyclePolicy, error) {
		was, err := t.policy(ctx, repo)
		if err != nil {
			return was, err
		}
		_, err = t.exec(ctx, deletePolicyOf, repo)
		return was, err
	})
}

func (db *DB) changeLifecycle(ctx context.Context, repo string, f func(context.Context, *tx) (LifecyclePolicy, error)) (p LifecyclePolicy, err error) {
	if _, err := oci.ParseRepository(repo); err != nil {
		return p, err
	}
	err = db.tx(ctx, func(ctx context.Context, t *tx) error {
		if _, err := t.repository(ctx, repo); err != nil {
			return err
		}
		p, err = f(ctx, t)
		return err
	})
	if err != nil {
		return LifecyclePolicy{}, fmt.Errorf("lifecycle policy of %s: %w", repo, err)
	}
	return p, nil
}

// Lifecycle is a repository whose images may be removed.
type Lifecycle struct {
	Repository string
	Cached     bool
	Policy     string // "": none of its own
}

// Lifecycles returns up to limit repositories after the name after, in the order of
// their bytes: those that have a policy, and those of the cache that nobody pushed to.
// Errors: errs.ParamInvalid.
func (db *DB) Lifecycles(ctx context.Context, after string, limit int) ([]Lifecycle, error) {
	if err := checkText(after); err != nil {
		return nil, err
	}
	all, err := list(ctx, db.get(), listLifecycles, []any{after, int64(max(limit, 0))}, func(rows *sql.Rows) (l Lifecycle, err error) {
		var kind string
		var document []byte
		err = rows.Scan(&l.Repository, &kind, &document)
		l.Cached, l.Policy = kind == Cached, string(document)
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("lifecycles: %w", err)
	}
	return all, nil
}

// factPage is how many images are read at once.
const factPage = 1000

// Facts is what was known of a repository's images. One goroutine at a time may use it.
type Facts struct {
	Images []lifecycle.Image

	changes int64 // of the repository, before they were read
}

// Facts returns what is known of all images of a repository, for a policy: a few
// hundred bytes for each, read by pages, and not of one moment. What is done about it
// is checked again in ApplyLifecycle. Errors: errs.NameInvalid.
func (db *DB) Facts(ctx context.Context, repo string) (*Facts, error) {
	if _, err := oci.ParseRepository(repo); err != nil {
		return nil, err
	}
	f := &Facts{}
	err := db.get().row(ctx, getChanges, []any{repo}, &f.changes)
	for after := digest.Digest(""); err == nil; {
		var page []lifecycle.Image
		page, err = db.factPage(ctx, repo, after)
		f.Images = append(f.Images, page...)
		if len(page) < factPage {
			break
		}
		after = page[len(page)-1].Digest
	}
	if err != nil {
		return nil, fmt.Errorf("facts of %s: %w", repo, err)
	}
	waiting := db.pulls.of(repo)
	for i := range f.Images {
		waiting[f.Images[i].Digest].bring(&f.Images[i])
	}
	return f, nil
}

// Left returns the manifests of a repository, there or not, that a tag was and is not
// any more, and those that are there of which ApplyLifecycle removed an index without a
// policy. Errors: errs.NameInvalid.
func (db *DB) Left(ctx context.Context, repo string) (map[digest.Digest]bool, error) {
	if _, err := oci.ParseRepository(repo); err != nil {
		return nil, err
	}
	all, err := list(ctx, db.get(), listLeft, []any{repo}, text[digest.Digest])
	if err != nil {
		return nil, fmt.Errorf("what tags of %s left: %w", repo, err)
	}
	left := make(map[digest.Digest]bool, len(all))
	for _, d := range all {
		if d != "" { // a tag that was new
			left[d] = true
		}
	}
	return left, nil
}

// change notes that rules which count images may count others now, once in a transaction.
func (t *tx) change(ctx context.Context, repo string) error {
	if slices.Contains(t.changed, repo) {
		return nil
	}
	t.changed = append(t.changed, repo)
	_, err := t.exec(ctx, noteChange, repo)
	return err
}

func (db *DB) factPage(ctx context.Context, repo string, after digest.Digest) ([]lifecycle.Image, error) {
	r := db.get()
	page, err := list(ctx, r, listFacts, []any{repo, string(after), int64(factPage)}, scanFacts)
	if err != nil || len(page) == 0 {
		return nil, err
	}
	at := make(map[digest.Digest]*lifecycle.Image, len(page))
	for i := range page {
		at[page[i].Digest] = &page[i]
	}
	between := []any{repo, string(page[0].Digest), string(page[len(page)-1].Digest)}
	_, err = list(ctx, r, listImageTags, between, func(rows *sql.Rows) (struct{}, error) {
		var d, tag string
		err := rows.Scan(&d, &tag)
		if m := at[digest.Digest(d)]; m != nil {
			m.Tags = append(m.Tags, tag)
		}
		return struct{}{}, err
	})
	if err != nil {
		return nil, err
	}
	_, err = list(ctx, r, listFactEdges, between, func(rows *sql.Rows) (struct{}, error) {
		var parent, kind, d string
		err := rows.Scan(&parent, &kind, &d)
		switch m := at[digest.Digest(parent)]; {
		case m == nil:
		case oci.EdgeKind(kind) == oci.EdgeSubject:
			m.Subject = digest.Digest(d)
		default:
			m.Children = append(m.Children, digest.Digest(d))
		}
		return struct{}{}, err
	})
	return page, err
}

func scanFacts(rows *sql.Rows) (m lifecycle.Image, err error) {
	var d string
	var pushed, pulled, needed int64
	var s Storage
	err = scanStorage(rows, &s, &d, &pushed, &pulled, &needed)
	m.Digest, m.Pushed, m.Pulled, m.Needed = digest.Digest(d), fromMicros(pushed), fromMicros(pulled), fromMicros(needed)
	m.Archived, m.Moved, m.Activated = s.Archived, s.ArchivedAt, s.ActivatedAt
	return m, err
}

// bring brings an image up to date.
func (u used) bring(m *lifecycle.Image) {
	if m.Pulled.Before(u[wasPulled]) {
		m.Pulled = u[wasPulled]
	}
	if m.Needed.Before(u[wasNeeded]) {
		m.Needed = u[wasNeeded]
	}
}

// unchanged says whether what a mark went by is still so.
func (t *tx) unchanged(ctx context.Context, repo string, was *lifecycle.Image) (bool, error) {
	found, err := list(ctx, t.runner, getFacts, []any{repo, string(was.Digest)}, scanFacts)
	if err != nil || len(found) == 0 {
		return false, err
	}
	is := found[0]
	t.db.pulls.latest(repo, was.Digest).bring(&is)
	tags, err := list(ctx, t.runner, listTagsOf, []any{repo, string(was.Digest)}, text[string])
	return err == nil && is.Pulled.Equal(was.Pulled) && is.Needed.Equal(was.Needed) && is.Pushed.Equal(was.Pushed) && is.Archived == was.Archived &&
		is.Moved.Equal(was.Moved) && is.Activated.Equal(was.Activated) && slices.Equal(tags, was.Tags), err
}
