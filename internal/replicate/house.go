package replicate

import (
	"context"
	"time"

	"github.com/weir-registry/weir/internal/meta"
)

// keepHouse gives up what was tried for too long, and has what a clock put off for too
// long be due.
func (r *Replicator) keepHouse(ctx context.Context) {
	start := time.Now()
	old := newLimit(r.o.GiveUp, start)
	for ctx.Err() == nil {
		now := time.Now()
		for _, d := range r.all {
			r.hurry(ctx, d, now)
		}
		all, err := r.o.DB.GiveUpCopies(ctx, old.at(now, now.Sub(start)), now, page)
		if err != nil && ctx.Err() == nil {
			r.o.Logger.Error("replication queue cannot be looked through; trying again", "error", err)
		}
		for _, g := range all {
			host, there := "", g.Repository
			for _, d := range r.all {
				if d.Destination.Destination == g.To {
					host, there = d.Host, d.name(g.Repository)
					d.failed.Add(1)
				}
			}
			r.o.Logger.Error("copy given up; it is made if the image is pushed again", "repository", g.Repository, "name", g.Name, "digest", g.Digest,
				"region", g.To.Region, "registry", g.To.RegistryID, "destination", host, "failure", g.Failure, "reason", g.Reason)
			r.o.Ended(Outcome{To: g.To, Repository: g.Repository, There: there, Tag: meta.Copy{Name: g.Name, Digest: g.Digest}.Tag(), Digest: g.Digest, Failed: true})
		}
		if len(all) < page {
			sleep(ctx, look, nil)
		}
	}
}

// hurry has copies be due that are due only after more than any pause.
func (r *Replicator) hurry(ctx context.Context, d *destination, now time.Time) {
	n, err := r.o.DB.HurryCopies(ctx, d.Destination.Destination, now, now.Add(tooFar))
	switch {
	case err != nil && ctx.Err() == nil:
		r.o.Logger.Error("replication queue cannot be looked through; trying again", "destination", d.Host, "error", err)
	case n > 0:
		r.o.Logger.Warn("copies were put off for more than a day, as the clock was ahead; they are tried now", "destination", d.Host, "copies", n)
		d.wakeUp()
	}
}

// limit is when what is given up was queued at the latest. By a clock that jumps ahead, or
// was wrong when things were queued, they look old though they were hardly tried: it is
// believed when it was so for an hour, and this process has run for one.
type limit struct {
	giveUp, lag time.Duration
	start       time.Time
	ahead       time.Duration // how far the clock that is believed has gone, beside how long it is
	since       time.Duration // that was so last
}

func newLimit(giveUp time.Duration, start time.Time) *limit {
	return &limit{giveUp: giveUp, lag: min(giveUp, time.Hour), start: start.Round(0)}
}

// at returns the limit where the clock says now, and this process has run for a time; the
// zero time if nothing is to be given up.
func (l *limit) at(now time.Time, run time.Duration) time.Time {
	ahead := now.Round(0).Sub(l.start) - run
	if ahead-l.ahead < time.Minute || run-l.since >= l.lag {
		l.ahead, l.since = ahead, run
	}
	if run < l.lag {
		return time.Time{}
	}
	return l.start.Add(run + l.ahead - l.giveUp)
}
