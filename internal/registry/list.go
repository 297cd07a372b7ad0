package registry

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/pullthrough"
)

// catalogStep is how many names are read at a time where the caller may see few.
const catalogStep = 1000

// ReferrerQuery is pullthrough's, so that the faces need not import it.
type ReferrerQuery = pullthrough.ReferrerQuery

// TagList is a page of a repository's tags for a client.
type TagList struct {
	pullthrough.TagList
	Upstream string // the rule's upstream host
}

// ReferrerList is a page of what there is about a manifest, for a client.
type ReferrerList struct {
	pullthrough.ReferrerList
	Upstream string
	Archived map[digest.Digest]bool // those of them that are in the archive
}

// NoReferrers is a list of none.
func NoReferrers() *ReferrerList {
	return &ReferrerList{ReferrerList: pullthrough.ReferrerList{Source: Hit, Age: -1}}
}

// Tags returns up to limit of a repository's tags after the tag after, in the order of
// their bytes. Of a rule's repository the upstream's are among them, if the caller may
// have them imported. Errors: errs.NameInvalid, Denied, Unauthenticated, RepoUnknown,
// and pullthrough's.
func (r *Registry) Tags(ctx context.Context, c iam.Caller, repo, after string, limit int) (*TagList, error) {
	s, err := r.find(ctx, c, iam.ListImages, repo)
	if err != nil {
		return nil, err
	}
	l, err := r.cache.Tags(ctx, s, after, limit)
	if err != nil {
		return nil, err
	}
	return &TagList{l, s.Rule.Upstream}, nil
}

// Referrers returns a page of what there is about a manifest. Who may pull the manifest
// may know, as in ECR, whose ListImageReferrers asks for that action, too. Errors: as
// Tags.
func (r *Registry) Referrers(ctx context.Context, c iam.Caller, repo string, q ReferrerQuery) (*ReferrerList, error) {
	s, err := r.find(ctx, c, iam.BatchGetImage, repo)
	if errs.CodeOf(err) == errs.RepoUnknown {
		return nil, errs.Wrap(errs.RepoUnknown, err, "The repository with name '%s' does not exist in the registry with id '%s'", repo, r.id)
	}
	if err != nil {
		return nil, err
	}
	l, err := r.cache.Referrers(ctx, s, q)
	if err != nil {
		return nil, err
	}
	archived, err := r.archivedOf(ctx, s.Repository, l.Referrers)
	if err != nil {
		return nil, err
	}
	return &ReferrerList{l, s.Rule.Upstream, archived}, nil
}

// Catalog returns up to limit names of repositories after the name after, in the order
// of their bytes, of those that the caller may describe, and whether there are more.
// Errors: errs.Denied and Unauthenticated where that can be none.
func (r *Registry) Catalog(ctx context.Context, c iam.Caller, after string, limit int) (names []string, more bool, err error) {
	rows, more, err := r.seen(ctx, c, RepositoryQuery{After: after, Limit: limit})
	if err != nil {
		return nil, false, err
	}
	names = []string{}
	for _, row := range rows {
		names = append(names, row.Name)
	}
	return names, more, nil
}

// describes says whether c may describe a repository. Nearly all that a caller may not see
// is left out without its policy, which takes longer to parse than all the rest.
func (r *Registry) describes(ctx context.Context, c iam.Caller, row meta.Repository, all meta.RegistryPolicy) (bool, error) {
	by := func(row meta.Repository) (bool, error) {
		p, err := r.placeOf(ctx, &row)
		return err == nil && r.permitBy(c, iam.Request{Action: describeRepositories}, p, all) == nil, err
	}
	if len(row.Policy) > 0 && !iam.MayGrant(row.Policy, c) {
		bare := row
		bare.Policy = nil
		if seen, err := by(bare); err != nil || !seen {
			return false, err
		}
	}
	return by(row)
}
