package admin

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
)

// listEvents is the action for what has happened lately.
const listEvents = "weir:ListEvents"

// Kinds of events.
const (
	ImageEvent       = "image"        // pushed, deleted, archived
	ReferrerEvent    = "referrer"     // as ImageEvent, of what is about another image
	PullThroughEvent = "pull-through" // an upstream was asked for an image
	ReplicationEvent = "replication"  // an image was copied
)

// Event is something that happened to an image.
type Event struct {
	ID         string
	At         time.Time
	Kind       string
	Action     string // PUSH, DELETE and UPDATE_STORAGE_CLASS of an image; else ""
	Repository string
	Tag        string // may be ""
	Digest     string // "" where it is not known
	Where      string // the upstream's host, or the destination's region and registry; may be ""
	Failed     bool
	Code       string // of a failure, in ECR's words
	Reason     string // why it failed, in words
}

// EventQuery says which events are wanted.
type EventQuery struct {
	Kind   string // "": all
	Failed bool   // only those
	Text   string // that the repository, tag, digest, place or reason has in it; case does not count
	After  string // the ID of an event: older ones; one that is forgotten is older than all
	Limit  int    // under 1: all
}

// Events returns the last events of this process that q asks for, newest first, and whether
// there are older ones. What was before it started is not among them.
// Action: weir:ListEvents. Errors: errs.ParamInvalid for a kind that is none,
// errs.Unsupported where nobody remembers events.
func (a *Admin) Events(_ context.Context, c iam.Caller, q EventQuery) (events []Event, more bool, err error) {
	if err := c.Allowed(listEvents, anything); err != nil {
		return nil, false, err
	}
	if a.o.Events == nil {
		return nil, false, errs.New(errs.Unsupported, "this weir remembers no events")
	}
	if kinds := []string{"", ImageEvent, ReferrerEvent, PullThroughEvent, ReplicationEvent}; !slices.Contains(kinds, q.Kind) {
		return nil, false, errs.New(errs.ParamInvalid, "%q is no kind of event: there are %s", q.Kind, strings.Join(kinds[1:], ", "))
	}
	all := a.o.Events()
	if q.After != "" {
		i := slices.IndexFunc(all, func(e Event) bool { return e.ID == q.After })
		if i < 0 {
			return nil, false, nil
		}
		all = all[i+1:]
	}
	text := strings.ToLower(strings.TrimSpace(q.Text))
	for _, e := range all {
		if !e.matches(q, text) {
			continue
		}
		if q.Limit > 0 && len(events) == q.Limit {
			return events, true, nil
		}
		events = append(events, e)
	}
	return events, false, nil
}

func (e Event) matches(q EventQuery, text string) bool {
	has := func(s string) bool { return strings.Contains(strings.ToLower(s), text) }
	return cmp.Or(q.Kind, e.Kind) == e.Kind && (e.Failed || !q.Failed) &&
		(text == "" || slices.ContainsFunc([]string{e.Repository, e.Tag, e.Digest, e.Where, e.Reason}, has))
}
