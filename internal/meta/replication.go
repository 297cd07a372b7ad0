package meta

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/rule"
)

// Replication returns the replication rules; nil: there are none.
func (db *DB) Replication(ctx context.Context) (rule.Replication, error) {
	rules, err := db.get().replication(ctx)
	if err != nil {
		return nil, fmt.Errorf("replication rules: %w", err)
	}
	return rules, nil
}

func (r runner) replication(ctx context.Context) (rules rule.Replication, err error) {
	var text []byte
	err = r.row(ctx, getReplication, nil, &text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return rules, json.Unmarshal(text, &rules)
}

// PutReplication replaces the replication rules. What is queued for a destination that no
// rule has any more is dropped. Errors: errs.ParamInvalid.
func (db *DB) PutReplication(ctx context.Context, rules rule.Replication) error {
	for _, d := range rules.Destinations() {
		if err := checkDestination(d); err != nil {
			return err
		}
	}
	text, err := json.Marshal(rules)
	if err != nil {
		return err
	}
	err = db.tx(ctx, func(ctx context.Context, t *tx) error {
		if _, err := t.exec(ctx, putReplication, text); err != nil {
			return err
		}
		queues, err := list(ctx, t.runner, listQueues, nil, scanQueue)
		if err != nil {
			return err
		}
		for _, q := range queues {
			if slices.Contains(rules.Destinations(), q.To) {
				continue
			}
			if _, err := t.exec(ctx, deleteQueueTo, q.To.Region, q.To.RegistryID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("put replication rules: %w", err)
	}
	return nil
}

func checkDestination(d rule.Destination) error {
	return errors.Join(checkWord("region", d.Region), checkWord("registry ID", d.RegistryID))
}

// OnQueued has f called after each push that queued something. f must return at once.
func (db *DB) OnQueued(f func()) { db.queued.Store(&f) }

// queue queues what a push brought to an own repository, once for each destination and
// tag, or for the digest if it has no tag. What waits there under a tag already gives way.
func (t *tx) queue(ctx context.Context, repo Repository, p Push) (n int, err error) {
	if p.Replica || repo.Kind != Own {
		return 0, nil
	}
	rules, err := t.replication(ctx)
	if err != nil {
		return 0, err
	}
	names := p.Tags
	if len(names) == 0 {
		names = []string{string(p.Manifest.Digest)}
	}
	for _, d := range rules.Of(repo.Name) {
		for _, name := range names {
			if _, err := t.exec(ctx, queueReplication, d.Region, d.RegistryID, repo.Name, name, string(p.Manifest.Digest), micros(p.At), []byte{}); err != nil {
				return 0, err
			}
			n++
		}
	}
	return n, nil
}

// Copy is an image that is to be copied to a destination, claimed by who got it.
type Copy struct {
	To         rule.Destination
	Repository string
	Name       string // the tag, or the digest of what was pushed without one
	Digest     digest.Digest
	Queued     time.Time
	Attempts   int // this one included

	claim string
}

// Tag is the tag that the copy is to have, "" for none.
func (c Copy) Tag() string {
	if c.Name == string(c.Digest) {
		return ""
	}
	return c.Name
}

// ClaimCopy claims what is due for a destination longest, until the time until; claim
// names the claim, and no two have one name. Nothing under one name of a repository is
// claimed twice at a time. ok is false if nothing is due.
func (db *DB) ClaimCopy(ctx context.Context, to rule.Destination, claim string, now, until time.Time) (c Copy, ok bool, err error) {
	if err := errors.Join(checkDestination(to), checkWord("claim", claim)); err != nil {
		return Copy{}, false, err
	}
	err = db.tx(ctx, func(ctx context.Context, t *tx) error {
		due, err := list(ctx, t.runner, listDue, []any{to.Region, to.RegistryID, micros(now)}, func(rows *sql.Rows) (c Copy, err error) {
			var queued int64
			var d string
			err = rows.Scan(&c.Repository, &c.Name, &d, &queued, &c.Attempts)
			c.Digest, c.Queued = digest.Digest(d), fromMicros(queued)
			return c, err
		})
		if ok = len(due) > 0; err != nil || !ok {
			return err
		}
		c = due[0]
		c.To, c.claim = to, claim
		c.Attempts++
		_, err = t.exec(ctx, claimQueued, to.Region, to.RegistryID, c.Repository, c.Name, claim, micros(until))
		return err
	})
	if err != nil {
		return Copy{}, false, fmt.Errorf("claim of a copy to %s/%s: %w", to.RegistryID, to.Region, err)
	}
	return c, ok, nil
}

// NextCopy returns when something is due for a destination next, or a claim is over; the
// zero time if nothing is queued.
func (db *DB) NextCopy(ctx context.Context, to rule.Destination) (time.Time, error) {
	var due int64
	err := db.get().row(ctx, getNextDue, []any{to.Region, to.RegistryID}, &due)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("next copy to %s/%s: %w", to.RegistryID, to.Region, err)
	}
	return fromMicros(due), nil
}

// RenewCopy has a claim last until a later time. Errors: errs.Conflict if it is over,
// because another has it, or the image is gone.
func (db *DB) RenewCopy(ctx context.Context, c Copy, until time.Time) error {
	return db.changeCopy(ctx, c, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, renewQueued, c.To.Region, c.To.RegistryID, c.Repository, c.Name, c.claim, micros(until))
		if err == nil && n == 0 {
			return errs.New(errs.Conflict, "the claim is over")
		}
		return err
	})
}

// EndCopy takes a copy that is done from the queue. If its name got another image while
// it was made, that is due at once. stale is true of what was not copied, because its tag
// is another's: it leaves no status. Errors: errs.Conflict if the claim is over, and
// nothing is done.
func (db *DB) EndCopy(ctx context.Context, c Copy, stale bool, at time.Time) error {
	return db.changeCopy(ctx, c, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, endQueued, c.To.Region, c.To.RegistryID, c.Repository, c.Name, c.claim, string(c.Digest))
		if err != nil {
			return err
		}
		if n == 0 {
			if n, err = t.releaseCopy(ctx, c); err != nil {
				return err
			}
			if n == 0 {
				return errs.New(errs.Conflict, "the claim is over")
			}
		}
		if stale {
			return nil
		}
		_, err = t.exec(ctx, putReplicated, c.Repository, string(c.Digest), c.To.Region, c.To.RegistryID, micros(at), "", []byte{})
		return err
	})
}

// PostponeCopy gives a claim back: it is due again at a later time, or at once if it was
// pushed again, or its name got another image, while it was made. failure is a word for
// what went wrong and reason tells it; "": what went wrong before stands. It does nothing
// for a claim that is over.
func (db *DB) PostponeCopy(ctx context.Context, c Copy, due time.Time, failure, reason string) error {
	if failure != "" {
		if err := checkWord("failure", failure); err != nil {
			return err
		}
	}
	return db.changeCopy(ctx, c, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, postponeQueued, c.To.Region, c.To.RegistryID, c.Repository, c.Name, c.claim, string(c.Digest), micros(c.Queued),
			micros(due), failure, []byte(reason))
		if err == nil && n == 0 {
			_, err = t.releaseCopy(ctx, c)
		}
		return err
	})
}

// releaseCopy ends the claim of what was pushed anew while it was made: that is due since.
func (t *tx) releaseCopy(ctx context.Context, c Copy) (int64, error) {
	return t.exec(ctx, releaseQueued, c.To.Region, c.To.RegistryID, c.Repository, c.Name, c.claim)
}

// FreeCopies ends all claims, if no other process can have made one: those who had them
// ended without a word. On PostgreSQL, where others may have them, it does nothing.
func (db *DB) FreeCopies(ctx context.Context, now time.Time) error {
	if !db.engine.alone() {
		return nil
	}
	err := db.tx(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, freeQueued, micros(now))
		return err
	})
	if err != nil {
		return fmt.Errorf("free copies: %w", err)
	}
	return nil
}

// HurryCopies has what is due for a destination after a time be due now, claimed or not,
// and counts from now what seems to be queued later. It returns how much that is.
func (db *DB) HurryCopies(ctx context.Context, to rule.Destination, now, after time.Time) (n int64, err error) {
	var last int64
	err = db.get().row(ctx, getLastDue, []any{to.Region, to.RegistryID}, &last)
	if errors.Is(err, sql.ErrNoRows) || err == nil && last <= micros(after) {
		return 0, nil // mostly there is nothing to write
	}
	if err == nil {
		err = db.tx(ctx, func(ctx context.Context, t *tx) (err error) {
			n, err = t.exec(ctx, hurryQueued, to.Region, to.RegistryID, micros(now), micros(after))
			return err
		})
	}
	if err != nil {
		return 0, fmt.Errorf("copies to %s/%s that are due late: %w", to.RegistryID, to.Region, err)
	}
	return n, nil
}

func (db *DB) changeCopy(ctx context.Context, c Copy, f func(context.Context, *tx) error) error {
	if err := db.tx(ctx, f); err != nil {
		return fmt.Errorf("copy of %s@%s to %s/%s: %w", c.Repository, c.Digest, c.To.RegistryID, c.To.Region, err)
	}
	return nil
}

// GivenUp is a copy that will not be made.
type GivenUp struct {
	To               rule.Destination
	Repository, Name string
	Digest           digest.Digest
	Failure, Reason  string // of the last attempt
}

// GiveUpCopies takes from the queue up to limit copies that were queued before a time and
// that nobody is at, and returns them: they have failed.
func (db *DB) GiveUpCopies(ctx context.Context, before, now time.Time, limit int) (all []GivenUp, err error) {
	args := []any{micros(before), micros(now), int64(limit)}
	if all, err = list(ctx, db.get(), listOverdue, args, scanGivenUp); err != nil || len(all) == 0 {
		return nil, err // mostly there is nothing to write
	}
	err = db.tx(ctx, func(ctx context.Context, t *tx) error {
		if all, err = list(ctx, t.runner, listOverdue, args, scanGivenUp); err != nil {
			return err
		}
		for i, g := range all {
			if g.Failure == "" {
				all[i].Failure, all[i].Reason = NotTried, "it was never tried"
				g = all[i]
			}
			if _, err := t.exec(ctx, deleteQueued, g.To.Region, g.To.RegistryID, g.Repository, g.Name); err != nil {
				return err
			}
			if _, err := t.exec(ctx, putReplicated, g.Repository, string(g.Digest), g.To.Region, g.To.RegistryID, micros(now), g.Failure, []byte(g.Reason)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("give up copies: %w", err)
	}
	return all, nil
}

func scanGivenUp(rows *sql.Rows) (g GivenUp, err error) {
	var d string
	var reason []byte
	err = rows.Scan(&g.To.Region, &g.To.RegistryID, &g.Repository, &g.Name, &d, &g.Failure, &reason)
	g.Digest, g.Reason = digest.Digest(d), string(reason)
	return g, err
}

// NotTried is the failure of a copy that nobody has tried to make.
const NotTried = "NotTried"

// ReplicationStatus is how far the copy of an image to a destination is.
type ReplicationStatus struct {
	To      rule.Destination
	Waiting bool   // queued, or being copied
	Failure string // a word, if it failed for good; "": it did not
	Reason  string
}

// ReplicationStatuses returns how far the copies of an image are, by destination. What
// no rule took when it was pushed has none. Errors: errs.NameInvalid, errs.DigestInvalid.
func (db *DB) ReplicationStatuses(ctx context.Context, repo string, d digest.Digest) ([]ReplicationStatus, error) {
	if err := checkNames(repo, d); err != nil {
		return nil, err
	}
	args := []any{repo, string(d)}
	waiting, err := list(ctx, db.get(), listQueuedOf, args, func(rows *sql.Rows) (s ReplicationStatus, err error) {
		s.Waiting = true
		return s, rows.Scan(&s.To.Region, &s.To.RegistryID)
	})
	if err != nil {
		return nil, fmt.Errorf("replication of %s@%s: %w", repo, d, err)
	}
	ended, err := list(ctx, db.get(), listReplicated, args, func(rows *sql.Rows) (s ReplicationStatus, err error) {
		var reason []byte
		err = rows.Scan(&s.To.Region, &s.To.RegistryID, &s.Failure, &reason)
		s.Reason = string(reason)
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("replication of %s@%s: %w", repo, d, err)
	}
	for _, s := range ended {
		if !slices.ContainsFunc(waiting, func(w ReplicationStatus) bool { return w.To == s.To }) {
			waiting = append(waiting, s)
		}
	}
	return waiting, nil
}

// ReplicationQueue is what waits for a destination.
type ReplicationQueue struct {
	To     rule.Destination
	Length int64
	Oldest time.Time // when the oldest was queued
}

// ReplicationQueues returns the queues that are not empty.
func (db *DB) ReplicationQueues(ctx context.Context) ([]ReplicationQueue, error) {
	all, err := list(ctx, db.get(), listQueues, nil, scanQueue)
	if err != nil {
		return nil, fmt.Errorf("replication queues: %w", err)
	}
	return all, nil
}

func scanQueue(rows *sql.Rows) (q ReplicationQueue, err error) {
	var oldest int64
	err = rows.Scan(&q.To.Region, &q.To.RegistryID, &q.Length, &oldest)
	q.Oldest = fromMicros(oldest)
	return q, err
}
