package registry

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/rule"
)

// RepositoryQuery is meta's, so that the faces need not import it.
type RepositoryQuery = meta.RepositoryQuery

// Kinds of repositories.
const (
	CachedRepository = meta.Cached
	OwnRepository    = meta.Own
)

// RepositorySummary is a repository as people see it.
type RepositorySummary struct {
	Repository
	meta.RepositoryTotals
	Kind     string // CachedRepository or OwnRepository
	Rule     string // prefix of the rule that fills it; "": none does, or not any more
	Upstream string // its host; "" without a rule
	Pushed   bool   // a cached one, to which somebody pushed
	Pushable bool   // pushes are taken: it is one of one's own, or its rule says so
}

// RepositoryList is a page of repositories.
type RepositoryList struct {
	Repositories []RepositorySummary
	Next         string // the name after which there are more; "": there are not
	MayCreate    bool   // a policy lets the caller create some repository
}

// Browse returns a page of the repositories that q asks for and that the caller may
// describe, in the order of their names' bytes. It costs no more where they have many
// images. Action: ecr:DescribeRepositories.
// Errors: errs.Denied and Unauthenticated where that can be none.
func (r *Registry) Browse(ctx context.Context, c iam.Caller, q RepositoryQuery) (RepositoryList, error) {
	q.Limit = max(q.Limit, 1)
	rows, more, err := r.seen(ctx, c, q)
	if err != nil {
		return RepositoryList{}, err
	}
	l := RepositoryList{MayCreate: c.Root || mayAnywhere(c, createRepository)}
	for _, row := range rows {
		s, err := r.summary(ctx, row)
		if err != nil {
			return RepositoryList{}, err
		}
		l.Repositories = append(l.Repositories, s)
	}
	if more {
		l.Next = rows[len(rows)-1].Name
	}
	return l, nil
}

// Summary returns one repository as Browse does. Action: ecr:DescribeRepositories.
// Errors: errs.Denied, Unauthenticated, NameInvalid, RepoUnknown.
func (r *Registry) Summary(ctx context.Context, c iam.Caller, repo string) (RepositorySummary, error) {
	row, err := r.described(ctx, c, describeRepositories, repo)
	if err != nil {
		return RepositorySummary{}, err
	}
	totals, err := r.db.Totals(ctx, row.Name)
	if err != nil {
		return RepositorySummary{}, r.asked(repo, err)
	}
	return r.summary(ctx, meta.RepositoryRow{Repository: row, RepositoryTotals: totals})
}

func (r *Registry) summary(ctx context.Context, row meta.RepositoryRow) (RepositorySummary, error) {
	s := RepositorySummary{Repository: r.repository(row.Repository), RepositoryTotals: row.RepositoryTotals, Kind: row.Kind, Pushed: row.Pushed, Pushable: row.Kind == meta.Own}
	p, err := r.placeOf(ctx, &row.Repository)
	if err == nil && p.rule != nil {
		s.Rule, s.Upstream, s.Pushable = p.rule.Prefix, p.rule.Upstream, p.rule.Push
	}
	return s, err
}

// seen returns a page of the repositories that q asks for and c may describe, and whether
// there are more.
func (r *Registry) seen(ctx context.Context, c iam.Caller, q RepositoryQuery) (rows []meta.RepositoryRow, more bool, err error) {
	all, err := r.db.RegistryPolicy(ctx)
	if err != nil {
		return nil, false, err
	}
	// What a caller who sees none is told: that all are denied, or that nothing lets the
	// caller see any. Policies of repositories still may, but not who is anonymous.
	var none error
	overall := r.overallBy(iam.Request{Action: describeRepositories, Resource: r.ARN("*")}, all)
	if d := c.Decide(overall); !d.Allowed && (d.Explicit || !c.Root && !mayAnywhere(c, describeRepositories)) {
		none = c.May(overall)
	}
	if none != nil && (errs.CodeOf(none) != errs.Denied || c.Anonymous) {
		return nil, false, none
	}
	if all.Policy == nil && !c.Root {
		q.From, q.To = allowedNames(c, describeRepositories)
	}
	limit := q.Limit
	q.Limit = min(catalogStep, max(limit+1, 100)) // a page of few that all are seen is one read of few
	for {
		found, err := r.db.BrowseRepositories(ctx, q)
		if err != nil {
			return nil, false, err
		}
		for _, row := range found {
			seen, err := r.describes(ctx, c, row.Repository, all)
			if err != nil {
				return nil, false, err
			}
			if !seen {
				continue
			}
			if len(rows) == limit {
				return rows, true, nil
			}
			rows = append(rows, row)
		}
		if len(found) < q.Limit {
			break
		}
		q.After = found[len(found)-1].Name
	}
	if len(rows) == 0 && none != nil {
		return nil, false, none
	}
	return rows, false, nil
}

// May tells which of some actions the caller may do in a repository that is there: what is
// not among them need not be offered. Action: ecr:DescribeRepositories.
// Errors: as Summary.
func (r *Registry) May(ctx context.Context, c iam.Caller, repo string, actions []string) (map[string]bool, error) {
	row, err := r.described(ctx, c, describeRepositories, repo)
	if err != nil {
		return nil, err
	}
	p, err := r.placeOf(ctx, &row)
	if err != nil {
		return nil, err
	}
	all, err := r.db.RegistryPolicy(ctx)
	if err != nil {
		return nil, err
	}
	may := map[string]bool{}
	for _, action := range actions {
		may[action] = r.permitBy(c, iam.Request{Action: action}, p, all) == nil
	}
	return may, nil
}

// mayAnywhere says whether a policy of the caller's allows an action on something.
func mayAnywhere(c iam.Caller, action string) bool {
	for _, p := range c.Policies {
		for _, s := range p.Statements {
			if !s.Deny && about(s, action) {
				return true
			}
		}
	}
	return false
}

// allowedNames returns between which names all repositories are for which the caller's own
// policies may allow an action: so that one who may see few of very many need not
// be decided on for each. It says too much rather than too little.
func allowedNames(c iam.Caller, action string) (from, to string) {
	from, to = "~", "!" // none
	for _, p := range c.Policies {
		for _, s := range p.Statements {
			if s.Deny || !about(s, action) {
				continue
			}
			if len(s.NotResources) > 0 {
				return "", ""
			}
			for _, pattern := range s.Resources {
				// No name has a colon, so what is behind this is of the name alone.
				_, name, ok := strings.Cut(pattern, ":repository/")
				if i := strings.IndexAny(name, "*?"); i >= 0 {
					name = name[:i]
				}
				if i := strings.Index(name, "/l"); i >= 0 { // a name without library/ is decided on by that with it
					name = name[:i]
				}
				if !ok || name == "" {
					return "", ""
				}
				from, to = min(from, name), max(to, name+"~")
			}
		}
	}
	return from, to
}

// about says whether a statement is about an action.
func about(s iam.Statement, action string) bool {
	action = strings.ToLower(action)
	names := func(pattern string) bool { return iam.Match(strings.ToLower(pattern), action) }
	if len(s.NotActions) > 0 {
		return !slices.ContainsFunc(s.NotActions, names)
	}
	return slices.ContainsFunc(s.Actions, names)
}

// What a tag is.
const (
	TagOwn      = "own"      // its repository is filled by pushes
	TagFresh    = "fresh"    // the last check counts
	TagStale    = "stale"    // the next pull asks the upstream again
	TagOrphaned = "orphaned" // the upstream no longer has it; it is kept
	TagKept     = "kept"     // its rule is gone: there is no upstream to ask
)

// TagQuery asks for a page of tags.
type TagQuery struct {
	Part  string // somewhere in the tag, in upper or lower case; "": all
	After string // tag
	Limit int
}

// TagPlatform is meta's, so that the faces need not import it.
type TagPlatform = meta.PlatformRow

// TagState is a tag as people see it.
type TagState struct {
	meta.TagRow
	State string
	Next  time.Time // when a pull checks again, if that is by the clock; else zero
}

// TagPage is a page of tags.
type TagPage struct {
	Tags []TagState
	Next string // the tag after which there may be more; "": there are none. With a Part, a page may have few or none and not be the last
}

// HeldTags returns a page of the tags that a repository holds, in the order of their
// bytes, and asks no upstream. Action: ecr:DescribeImages.
// Errors: errs.Denied, Unauthenticated, NameInvalid, RepoUnknown.
func (r *Registry) HeldTags(ctx context.Context, c iam.Caller, repo string, q TagQuery) (TagPage, error) {
	row, err := r.described(ctx, c, iam.DescribeImages, repo)
	if err != nil {
		return TagPage{}, err
	}
	p, err := r.placeOf(ctx, &row)
	if err != nil {
		return TagPage{}, err
	}
	tags, looked, err := r.db.BrowseTags(ctx, row.Name, q.Part, q.After, q.Limit+1)
	if err != nil {
		return TagPage{}, err
	}
	tags, last := page(tags, q.Limit)
	list := TagPage{Next: last.Name}
	if list.Next == "" {
		list.Next = looked
	}
	for _, t := range tags {
		s := TagState{TagRow: t}
		s.State, s.Next = r.tagState(row, p.rule, t)
		list.Tags = append(list.Tags, s)
	}
	return list, nil
}

// tagState is what a tag is, and when it is checked again.
func (r *Registry) tagState(row meta.Repository, rl *rule.Rule, t meta.TagRow) (state string, next time.Time) {
	switch {
	case row.Kind == meta.Own:
		return TagOwn, next
	case rl == nil:
		return TagKept, next
	}
	fixed := row.Immutable(t.Name) || rl.IsFixed(t.Name)
	if !fixed && !rl.Off && rl.Window != rule.Never && !t.Checked.IsZero() {
		next = t.Checked.Add(rl.Window)
	}
	switch {
	case t.Orphaned:
		return TagOrphaned, next
	case fixed || r.cache.Fresh(rl, t.Name, t.Tag):
		return TagFresh, next
	}
	return TagStale, next
}

// Who moved a tag, as far as that is known.
const (
	MovedByPush     = "push"
	MovedByUpstream = "upstream"
	MovedByDelete   = "delete" // a person, or a lifecycle policy
)

// TagMove is one move of a tag.
type TagMove struct {
	meta.MoveRow
	By string // ""; not known: a repository that both an upstream and pushes fill
}

// MoveQuery asks for a page of moves.
type MoveQuery struct {
	Tag    string // "": of all tags
	Before meta.MoveRow
	Limit  int
}

// Moves returns a page of the moves of a repository's tags, newest first, and whether there
// are more. Tags that are gone have theirs still. Action: ecr:DescribeImages.
// Errors: errs.Denied, Unauthenticated, NameInvalid, RepoUnknown.
func (r *Registry) Moves(ctx context.Context, c iam.Caller, repo string, q MoveQuery) (moves []TagMove, more bool, err error) {
	row, err := r.described(ctx, c, iam.DescribeImages, repo)
	if err != nil {
		return nil, false, err
	}
	rows, err := r.db.Moves(ctx, row.Name, q.Tag, q.Before, q.Limit+1)
	if err != nil {
		return nil, false, err
	}
	rows, last := page(rows, q.Limit)
	for _, m := range rows {
		move := TagMove{MoveRow: m}
		switch {
		case m.To == "":
			move.By = MovedByDelete
		case row.Kind == meta.Own:
			move.By = MovedByPush
		case !row.Pushed:
			move.By = MovedByUpstream
		}
		moves = append(moves, move)
	}
	return moves, last != (meta.MoveRow{}), nil
}

// MoveBefore is the place in a list of moves that a page begins after.
func MoveBefore(tag string, n int64, at time.Time) meta.MoveRow {
	return meta.MoveRow{Tag: tag, N: n, Move: rule.Move{At: at}}
}
