package retain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/lifecycle"
	"github.com/weir-registry/weir/internal/meta"
)

const (
	// lifecycleBatch is how many images one transaction removes or archives, about.
	lifecycleBatch = 64
	// lifecycleFollow is how many of what is about one image go in one transaction.
	lifecycleFollow = 512
	// lifecycleTries is how often a repository is evaluated in one run, where pushes
	// and deletions come between.
	lifecycleTries = 32
	// lifecycleServed is how long an image of the cache is left alone after a pull, also after
	// one that is to change no pull time.
	lifecycleServed = time.Hour
	// oldPreviews is how many previews are forgotten in one transaction.
	oldPreviews = 4
)

// LifecycleOptions of a Lifecycle. DB is required.
type LifecycleOptions struct {
	DB *meta.DB

	Every time.Duration // 0: 1 h

	// Untagged is after how many days without a pull images of the cache go that a tag
	// has left, where their repository has no policy and nobody pushed to it. 0: they stay.
	Untagged int

	// Grace is how long an image stays that was pushed again, or that a push was told of.
	Grace time.Duration // 0: 1 h

	// Changed is told of each image that goes, or goes into the archive. It returns at
	// once; nil: nobody is told.
	Changed func(Change)

	Logger *slog.Logger // nil: slog.Default()
}

// Change is an image that a policy removed or archived.
type Change struct {
	Repository string
	Digest     digest.Digest
	Tags       []string // that it had
	Archived   bool     // and not removed
}

// LifecycleTotals is what lifecycle policies did since the process started.
type LifecycleTotals struct {
	Expired, Archived int
	Last              time.Time // when the last run that did all it should was done; zero: none was
}

// Lifecycle does what lifecycle policies say, until Close. It is safe for use by many
// goroutines.
type Lifecycle struct {
	LifecycleOptions
	turn   chan struct{} // holds one: the right to run
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	totals LifecycleTotals
}

// RunLifecycle returns a Lifecycle that runs now, and again every
// LifecycleOptions.Every.
func RunLifecycle(o LifecycleOptions) *Lifecycle {
	if o.Every == 0 {
		o.Every = time.Hour
	}
	if o.Grace == 0 {
		o.Grace = time.Hour
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Changed == nil {
		o.Changed = func(Change) {}
	}
	l := &Lifecycle{LifecycleOptions: o, turn: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	l.wg.Go(func() { l.run(ctx) })
	return l
}

// Close ends a run, after the batch that it is at, and waits for that. Run is not to be
// called after it.
func (l *Lifecycle) Close() {
	l.cancel()
	l.wg.Wait()
}

func (l *Lifecycle) run(ctx context.Context) {
	ticker := time.NewTicker(l.Every)
	defer ticker.Stop()
	for {
		if err := l.Run(ctx, time.Now()); err != nil && ctx.Err() == nil {
			l.Logger.Error("lifecycle run failed; the next one goes on with it", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// Totals returns what was done since the process started.
func (l *Lifecycle) Totals() LifecycleTotals {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.totals
}

// Run evaluates the policies of all repositories at now and applies them. One run is at
// work at a time. An error of one repository does not keep it from the others.
func (l *Lifecycle) Run(ctx context.Context, now time.Time) (err error) {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-l.turn }()
	for after := ""; ; {
		some, lerr := l.DB.Lifecycles(ctx, after, page)
		if lerr != nil {
			return errors.Join(err, lerr)
		}
		for _, r := range some {
			if ctx.Err() != nil {
				return errors.Join(err, context.Cause(ctx))
			}
			if rerr := l.repository(ctx, r, now); rerr != nil {
				err = errors.Join(err, fmt.Errorf("repository %s: %w", r.Repository, rerr))
			}
		}
		if len(some) < page {
			break
		}
		after = some[len(some)-1].Repository
	}
	for {
		n, derr := l.DB.DropPreviews(ctx, now, oldPreviews)
		if derr != nil {
			return errors.Join(err, derr)
		}
		if n < oldPreviews {
			break
		}
	}
	if err == nil {
		l.mu.Lock()
		l.totals.Last = time.Now()
		l.mu.Unlock()
	}
	return err
}

// policy is what holds in a repository, nil if nothing does.
func (l *Lifecycle) policy(r meta.Lifecycle) (*lifecycle.Policy, error) {
	switch {
	case r.Policy != "":
		return lifecycle.Parse(r.Policy, false) // it was put, strictly or not
	case l.Untagged == 0:
		return nil, nil
	}
	return &lifecycle.Policy{Rules: []lifecycle.Rule{
		{Tags: lifecycle.Untagged, Count: lifecycle.SincePulled, Number: l.Untagged, Action: lifecycle.Expire},
	}}, nil
}

// repository evaluates and applies what holds in one.
func (l *Lifecycle) repository(ctx context.Context, r meta.Lifecycle, now time.Time) error {
	p, err := l.policy(r)
	if err != nil || p == nil {
		return err
	}
	for range lifecycleTries {
		again, err := l.evaluate(ctx, r, p, now)
		switch errs.CodeOf(err) {
		case errs.Conflict, errs.RepoUnknown: // what holds there is another thing by now
			return nil
		}
		if err != nil {
			return err
		}
		if !again {
			break
		}
	}
	if r.Policy == "" {
		return nil
	}
	return l.DB.EvaluatedLifecycle(ctx, r.Repository, r.Policy, now)
}

// evaluate does it once, and says whether marks were out of date that a new evaluation may
// make again. What else spared an image spares it then too.
func (l *Lifecycle) evaluate(ctx context.Context, r meta.Lifecycle, p *lifecycle.Policy, now time.Time) (again bool, err error) {
	var left map[digest.Digest]bool
	if r.Policy == "" { // most repositories of the cache: no tag of theirs ever moved
		if left, err = l.DB.Left(ctx, r.Repository); err != nil || len(left) == 0 {
			return false, err
		}
	}
	facts, err := l.DB.Facts(ctx, r.Repository)
	if err != nil {
		return false, err
	}
	marks := p.Evaluate(facts.Images, now)
	if r.Policy == "" {
		marks = slices.DeleteFunc(ofLeft(left, marks), func(m lifecycle.Mark) bool { return wanted(m, now) })
	}
	counts := func(r lifecycle.Rule) bool { return r.Count == lifecycle.MoreThan }
	b := meta.LifecycleBatch{Repository: r.Repository, Policy: r.Policy, Facts: facts, At: now, Ages: !slices.ContainsFunc(p.Rules, counts)}
	needed := now.Add(-l.Grace)
	if r.Cached {
		b.Spare = now.Add(-lifecycleServed)
	}
	spared := func(m *lifecycle.Image) bool {
		return m.Needed.After(needed) || r.Cached && (m.Pulled.After(b.Spare) || m.Needed.After(b.Spare))
	}
	marks = slices.DeleteFunc(marks, func(m lifecycle.Mark) bool { return spared(m.Image) || slices.ContainsFunc(m.Follow, spared) })
	for len(marks) > 0 {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		b.Marks, b.OnlyFollow, marks = next(marks)
		done, err := l.DB.ApplyLifecycle(ctx, b)
		if err != nil {
			return false, err
		}
		l.tell(r.Repository, done.Events)
		if b.OnlyFollow && done.Spared > 0 {
			marks = marks[1:] // some of what is about it stays, so it stays
		}
		if done.Stale {
			again = true
			marks = slices.DeleteFunc(marks, func(m lifecycle.Mark) bool { return counts(*m.Rule) })
		}
	}
	return again, nil
}

// ofLeft returns those marks that are of images which a tag was once, and of what only
// such images name: who pulls by digest alone has no tag to come back to.
func ofLeft(left map[digest.Digest]bool, marks []lifecycle.Mark) (kept []lifecycle.Mark) {
	for _, m := range marks { // an index comes before what it names
		if !left[m.Image.Digest] {
			continue
		}
		kept = append(kept, m)
		for _, child := range m.Image.Children {
			left[child] = true
		}
	}
	return kept
}

// wanted says of a mark by weir's own rule whether what is about the image has a tag, or
// was pulled in the time in which the image was not.
func wanted(m lifecycle.Mark, now time.Time) bool {
	since := now.Add(-time.Duration(m.Rule.Number) * 24 * time.Hour)
	return slices.ContainsFunc(m.Follow, func(f *lifecycle.Image) bool { return len(f.Tags) > 0 || !f.Used().Before(since) })
}

// next takes from marks what one transaction does.
func next(marks []lifecycle.Mark) (batch []lifecycle.Mark, onlyFollow bool, rest []lifecycle.Mark) {
	if first := &marks[0]; len(first.Follow) > lifecycleFollow {
		some := *first
		cut := len(first.Follow) - lifecycleFollow
		some.Follow = first.Follow[cut:] // the last are about those before
		first.Follow = first.Follow[:cut]
		return []lifecycle.Mark{some}, true, marks
	}
	n, images := 0, 0
	for n < len(marks) && images < lifecycleBatch && len(marks[n].Follow) <= lifecycleFollow {
		images += 1 + len(marks[n].Follow)
		n++
	}
	return marks[:n], false, marks[n:]
}

// tell counts, logs and tells what was done.
func (l *Lifecycle) tell(repo string, events []meta.LifecycleEvent) {
	l.mu.Lock()
	for _, e := range events {
		if e.Action == lifecycle.Expire {
			l.totals.Expired++
		} else {
			l.totals.Archived++
		}
	}
	l.mu.Unlock()
	for _, e := range events {
		l.Logger.Info("lifecycle", "action", string(e.Action), "repository", repo, "digest", string(e.Digest), "tags", e.Tags,
			"rule", e.Priority, "with", string(e.Subject), "pushed", e.Pushed)
		l.Changed(Change{repo, e.Digest, e.Tags, e.Action != lifecycle.Expire})
	}
}
