package traffic

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/weir-registry/weir/internal/rule"
)

// How much a Report has.
const (
	Hours = 24
	Days  = 31

	day = 24 * time.Hour
)

// Step is the traffic of all repositories in a time that begins at At.
type Step struct {
	At time.Time
	rule.Traffic
}

// Report is the traffic of the last Hours hours and the last Days days, the present ones
// among them. Days begin at midnight UTC.
type Report struct {
	Hours []Step // oldest first; each, also where there was nothing
	Days  []Step
	Rules map[string]RuleTraffic // by prefix, those that had any; "": of repositories that no rule fills
}

// RuleTraffic is the traffic of a rule's repositories in the times of a Report.
type RuleTraffic struct{ Day, Month rule.Traffic }

// kept is what the database has, but for what others have added since at.
type kept struct {
	at          time.Time
	hours, days []rule.TrafficRow
}

// Report returns what was counted up to now, here; by other processes on the same database
// up to some minutes ago.
func (c *Counter) Report(ctx context.Context) (*Report, error) {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-c.turn }()
	now := c.o.Now().UTC()
	old, err := c.kept(ctx, now)
	if err != nil {
		return nil, err
	}
	r := newReport(now)
	for _, row := range old.hours {
		r.addHour(row)
	}
	for _, row := range old.days {
		r.addDay(row)
	}
	add := func(hour time.Time, prefix string, t rule.Traffic) {
		row := rule.TrafficRow{At: hour, Prefix: prefix, Traffic: t}
		r.addHour(row)
		r.addDay(row)
	}
	for k, t := range c.pending {
		add(k.hour, k.prefix, t)
	}
	for prefix, t := range *c.rules.Load() {
		if n := t.look(); n != (rule.Traffic{}) {
			add(c.began.UTC().Truncate(time.Hour), prefix, n)
		}
	}
	return r, nil
}

// kept returns what the database has. The caller has the turn.
func (c *Counter) kept(ctx context.Context, now time.Time) (*kept, error) {
	if k := c.known; k != nil && now.Sub(k.at) < readEvery {
		return k, nil
	}
	k := &kept{at: now}
	var err error
	if k.hours, err = c.o.Index.Traffic(ctx, firstHour(now), time.Hour); err != nil {
		return nil, err
	}
	if k.days, err = c.o.Index.Traffic(ctx, firstDay(now), day); err != nil {
		return nil, err
	}
	c.known = k
	return k, nil
}

func firstHour(now time.Time) time.Time { return now.Truncate(time.Hour).Add(-(Hours - 1) * time.Hour) }
func firstDay(now time.Time) time.Time  { return now.Truncate(day).Add(-(Days - 1) * day) }

func newReport(now time.Time) *Report {
	r := &Report{Rules: map[string]RuleTraffic{}}
	for n := range Hours {
		r.Hours = append(r.Hours, Step{At: firstHour(now).Add(time.Duration(n) * time.Hour)})
	}
	for n := range Days {
		r.Days = append(r.Days, Step{At: firstDay(now).Add(time.Duration(n) * day)})
	}
	return r
}

func (r *Report) addHour(row rule.TrafficRow) {
	n := int(row.At.Sub(r.Hours[0].At) / time.Hour)
	if row.At.Before(r.Hours[0].At) || n >= Hours {
		return
	}
	r.Hours[n].Traffic = r.Hours[n].Plus(row.Traffic)
	of := r.Rules[row.Prefix]
	of.Day = of.Day.Plus(row.Traffic)
	r.Rules[row.Prefix] = of
}

func (r *Report) addDay(row rule.TrafficRow) {
	n := int(row.At.Sub(r.Days[0].At) / day)
	if row.At.Before(r.Days[0].At) || n >= Days {
		return
	}
	r.Days[n].Traffic = r.Days[n].Plus(row.Traffic)
	of := r.Rules[row.Prefix]
	of.Month = of.Month.Plus(row.Traffic)
	r.Rules[row.Prefix] = of
}

func sortRows(rows []rule.TrafficRow) {
	slices.SortFunc(rows, func(a, b rule.TrafficRow) int {
		return cmp.Or(a.At.Compare(b.At), strings.Compare(a.Prefix, b.Prefix))
	})
}
