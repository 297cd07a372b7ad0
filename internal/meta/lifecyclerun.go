package meta

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/lifecycle"
	"github.com/weir-registry/weir/internal/oci"
)

// maxEvents is how many events are kept of a repository.
const maxEvents = 1000

// LifecycleEvent is one image that a policy removed or archived.
type LifecycleEvent struct {
	N        int64 // counts up in each repository
	At       time.Time
	Action   lifecycle.Action
	Priority int // of the rule; 0: of weir's own
	Digest   digest.Digest
	Subject  digest.Digest // the image that it went with; "": it went by itself
	Tags     []string      // that it had
	Pushed   time.Time
}

// LifecycleBatch is some of what a policy does to a repository.
type LifecycleBatch struct {
	Repository string
	Policy     string // that was evaluated; "": none of the repository's
	Facts      *Facts // that it was evaluated over; they are brought up to date
	Marks      []lifecycle.Mark
	Ages       bool      // no rule of the policy counts images
	OnlyFollow bool      // what follows the images goes, and they stay for another batch
	Spare      time.Time // an image that was pulled since then stays, and what it follows; zero: none
	At         time.Time
}

// LifecycleDone is what came of a batch.
type LifecycleDone struct {
	Events []LifecycleEvent
	Spared int  // marks that do not hold any more
	Stale  bool // no mark that goes by these facts holds any more, if its rule counts images
}

// ApplyLifecycle does what the marks say, in one transaction, as far as that which they
// went by still holds: the image as it was pushed, its last pull and whether somebody
// counted on it otherwise, its tags, where it is stored, that no index which stays names
// it; without a policy of the repository's also that it is no tag's last whole image. What
// follows it is looked at in the same way, and without a policy has no tag either: if one
// of these is another by now, none of them goes. A mark by a rule that counts images holds
// only if no image came to the repository, left it or went into the archive or out of it,
// and no tag came, moved or went, since the facts were read, other than by batches with
// the same facts. Without a policy, what an index names that goes is Left from then on:
// it may stay for now.
// Errors: errs.Conflict if the repository has another policy by now, or none and somebody
// pushed to it; errs.RepoUnknown, errs.NameInvalid.
func (db *DB) ApplyLifecycle(ctx context.Context, b LifecycleBatch) (done LifecycleDone, err error) {
	if _, err := oci.ParseRepository(b.Repository); err != nil {
		return done, err
	}
	after := *b.Facts
	err = db.tx(ctx, func(ctx context.Context, t *tx) error {
		done, after = LifecycleDone{}, *b.Facts
		if err := t.samePolicy(ctx, b.Repository, b.Policy); err != nil {
			return err
		}
		if !b.Ages {
			if err := t.row(ctx, getChanges, []any{b.Repository}, &after.changes); err != nil {
				return err
			}
		}
		if done.Stale = after.changes != b.Facts.changes; done.Stale {
			after = *b.Facts
		}
		for _, m := range b.Marks {
			holds := !done.Stale || m.Rule.Count != lifecycle.MoreThan
			if holds {
				holds, err = t.holds(ctx, b, m)
			}
			if err != nil {
				return err
			}
			if !holds {
				done.Spared++
				continue
			}
			if err := t.apply(ctx, b, m, &done); err != nil {
				return err
			}
		}
		if !done.Stale && !b.Ages { // what this batch itself took away
			if err := t.row(ctx, getChanges, []any{b.Repository}, &after.changes); err != nil {
				return err
			}
		}
		return t.putEvents(ctx, b.Repository, done.Events)
	})
	if err != nil {
		return LifecycleDone{}, fmt.Errorf("lifecycle of %s: %w", b.Repository, err)
	}
	*b.Facts = after
	return done, nil
}

func (t *tx) samePolicy(ctx context.Context, repo, text string) error {
	r, err := t.repository(ctx, repo)
	if err != nil {
		return err
	}
	if text == "" && r.Pushed {
		return errs.New(errs.Conflict, "images were pushed to repository %s by now", repo)
	}
	p, err := t.policy(ctx, repo)
	if err != nil && errs.CodeOf(err) != errs.LifecycleUnknown {
		return err
	}
	if p.Text != text {
		return errs.New(errs.Conflict, "repository %s has another lifecycle policy by now", repo)
	}
	return nil
}

// holds says whether a mark still does.
func (t *tx) holds(ctx context.Context, b LifecycleBatch, m lifecycle.Mark) (bool, error) {
	if free, err := t.free(ctx, b, m.Image); err != nil || !free {
		return false, err
	}
	for _, f := range m.Follow {
		if b.Policy == "" && len(f.Tags) > 0 {
			return false, nil
		}
		if free, err := t.free(ctx, b, f); err != nil || !free {
			return false, err
		}
	}
	q := listIndexes
	if m.Rule.Action == lifecycle.Transition {
		q = listActiveIndexes
	}
	named, err := list(ctx, t.runner, q, []any{b.Repository, string(m.Image.Digest)}, text[digest.Digest])
	return err == nil && len(named) == 0, err
}

// free says whether an image is as it was, and nobody needs it as it is.
func (t *tx) free(ctx context.Context, b LifecycleBatch, image *lifecycle.Image) (bool, error) {
	if same, err := t.unchanged(ctx, b.Repository, image); err != nil || !same {
		return false, err
	}
	if !b.Spare.IsZero() && image.Pulled.After(b.Spare) {
		return false, nil
	}
	if b.Policy != "" {
		return true, nil
	}
	// The tag may come back to it: it is what is served while the upstream is away.
	tags, err := list(ctx, t.runner, listCompleteTags, []any{b.Repository, string(image.Digest)}, text[string])
	return err == nil && len(tags) == 0, err
}

// apply does what a mark says, and to what follows first: should there be much of it,
// the image is not without it.
func (t *tx) apply(ctx context.Context, b LifecycleBatch, m lifecycle.Mark, done *LifecycleDone) error {
	for i := len(m.Follow) - 1; i >= 0; i-- { // what is about something before that
		if err := t.act(ctx, b, m, m.Follow[i], m.Image.Digest, done); err != nil {
			return err
		}
	}
	if b.OnlyFollow {
		return nil
	}
	return t.act(ctx, b, m, m.Image, "", done)
}

func (t *tx) act(ctx context.Context, b LifecycleBatch, m lifecycle.Mark, image *lifecycle.Image, with digest.Digest, done *LifecycleDone) error {
	switch m.Rule.Action {
	case lifecycle.Expire:
		if b.Policy == "" {
			if _, err := t.exec(ctx, putReleased, b.Repository, string(image.Digest)); err != nil {
				return err
			}
		}
		_, err := t.deleteManifest(ctx, b.Repository, image.Digest, b.At)
		switch errs.CodeOf(err) {
		case errs.ImageReferenced, errs.ManifestUnknown: // what follows may be another's part
			return nil
		}
		if err != nil {
			return err
		}
	case lifecycle.Transition:
		found, err := list(ctx, t.runner, getFacts, []any{b.Repository, string(image.Digest)}, scanFacts)
		if err != nil || len(found) == 0 || found[0].Archived {
			return err
		}
		if err := t.setStorage(ctx, b.Repository, image.Digest, true, b.At); err != nil {
			return err
		}
	}
	done.Events = append(done.Events, LifecycleEvent{
		At: b.At, Action: m.Rule.Action, Priority: m.Rule.Priority, Digest: image.Digest, Subject: with, Tags: image.Tags, Pushed: image.Pushed,
	})
	return nil
}

// putEvents numbers events and keeps them in place of the oldest.
func (t *tx) putEvents(ctx context.Context, repo string, events []LifecycleEvent) error {
	if len(events) == 0 {
		return nil
	}
	var n int64
	if err := t.row(ctx, getLastEvent, []any{repo}, &n); err != nil {
		return err
	}
	for i := range events {
		n++
		e := &events[i]
		e.N = n
		tags, err := marshalList(e.Tags)
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, putEvent, repo, n, micros(e.At), string(e.Action), int64(e.Priority), string(e.Digest), string(e.Subject), tags, micros(e.Pushed))
		if err != nil {
			return err
		}
	}
	_, err := t.exec(ctx, trimEvents, repo, n-maxEvents)
	return err
}

// EvaluatedLifecycle notes when a repository's policy was evaluated and applied, if it
// still has it. Errors: errs.NameInvalid.
func (db *DB) EvaluatedLifecycle(ctx context.Context, repo, policy string, at time.Time) error {
	if _, err := oci.ParseRepository(repo); err != nil {
		return err
	}
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, notePolicyRun, repo, []byte(policy), micros(at))
		return err
	})
	if err != nil {
		return fmt.Errorf("run of the lifecycle policy of %s: %w", repo, err)
	}
	return nil
}

// LifecycleEvents returns up to limit events of a repository before the number before,
// newest first; 0 is the end. Errors: errs.NameInvalid.
func (db *DB) LifecycleEvents(ctx context.Context, repo string, before int64, limit int) ([]LifecycleEvent, error) {
	if _, err := oci.ParseRepository(repo); err != nil {
		return nil, err
	}
	if before <= 0 {
		before = math.MaxInt64
	}
	events, err := list(ctx, db.get(), listEvents, []any{repo, before, int64(max(limit, 0))}, func(rows *sql.Rows) (e LifecycleEvent, err error) {
		var at, priority, pushed int64
		var action, d, subject string
		var tags []byte
		err = rows.Scan(&e.N, &at, &action, &priority, &d, &subject, &tags, &pushed)
		e.At, e.Pushed, e.Priority = fromMicros(at), fromMicros(pushed), int(priority)
		e.Action, e.Digest, e.Subject = lifecycle.Action(action), digest.Digest(d), digest.Digest(subject)
		return e, errors.Join(err, unmarshalList(tags, &e.Tags))
	})
	if err != nil {
		return nil, fmt.Errorf("lifecycle events of %s: %w", repo, err)
	}
	return events, nil
}
