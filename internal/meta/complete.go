package meta

import (
	"context"
	"database/sql"

	"github.com/opencontainers/go-digest"
)

// completeWith notes which tags of the repository became offline-ready by a blob.
func (t *tx) completeWith(ctx context.Context, repo string, d digest.Digest) error {
	ready, err := list(ctx, t.runner, listReadyParents, []any{repo, string(d)}, text[digest.Digest])
	if err != nil {
		return err
	}
	return t.completeFrom(ctx, repo, ready...)
}

// completeFrom notes which tags of the repository that are one of manifests, or an
// index above one, are offline-ready.
func (t *tx) completeFrom(ctx context.Context, repo string, manifests ...digest.Digest) error {
	s := newSurvey(t.runner, repo)
	done := map[digest.Digest]bool{}
	for len(manifests) > 0 {
		d := manifests[0]
		manifests = manifests[1:]
		if done[d] {
			continue
		}
		done[d] = true
		m, err := s.look(ctx, d, 0)
		if err != nil {
			return err
		}
		if len(m.children) == 0 && !m.ready() {
			continue // nor can it make an index ready
		}
		if err := t.completeTags(ctx, s, d); err != nil {
			return err
		}
		indexes, err := list(ctx, t.runner, listIndexes, []any{repo, string(d)}, text[digest.Digest])
		if err != nil {
			return err
		}
		manifests = append(manifests, indexes...)
	}
	return nil
}

// completeTags sets complete of the tags that are d, as far as they are ready.
func (t *tx) completeTags(ctx context.Context, s *survey, d digest.Digest) error {
	type pending struct{ tag, complete string }
	tags, err := list(ctx, t.runner, listPendingTags, []any{s.repo, string(d)}, func(rows *sql.Rows) (p pending, err error) {
		return p, rows.Scan(&p.tag, &p.complete)
	})
	if err != nil {
		return err
	}
	for _, p := range tags {
		missing, err := s.missingOfHeld(ctx, d, digest.Digest(p.complete))
		if err != nil {
			return err
		}
		if len(missing) > 0 {
			continue
		}
		if _, err := t.exec(ctx, setComplete, s.repo, p.tag); err != nil {
			return err
		}
		t.forgetTag(s.repo, p.tag)
	}
	return nil
}
