package ecr

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/registry"
)

// referrersPerPage is how many referrers a page has where the client does not say.
const referrersPerPage = 20

// referrerFailures are the names that failures have where referrers are listed.
var referrerFailures = map[errs.Code]string{
	errs.UpstreamUnreachable: unlistable,
	errs.UpstreamTimeout:     unlistable,
	errs.UpstreamFailed:      unlistable,
	errs.UpstreamDenied:      unlistable,
	errs.UpstreamRateLimited: unlistable,
	errs.LimitExceeded:       unlistable,
}

const unlistable = "UnableToListUpstreamImageReferrersException"

// listReferrers asks the upstream where a client of the registry would have it asked.
func (s *service) listReferrers(ctx context.Context, c *awsapi.Call, in ListImageReferrersRequest) (*ListImageReferrersResponse, error) {
	const op = "ListImageReferrers"
	c.About(in.RepositoryName, in.SubjectId.ImageDigest)
	filter := in
	filter.NextToken, filter.MaxResults = "", nil
	last, limit, err := s.pageOf(op, filter, in.NextToken, in.MaxResults)
	if err == nil {
		err = s.elsewhere(in.RepositoryName, in.RegistryId)
	}
	if err != nil {
		return nil, err
	}
	if in.MaxResults == nil {
		limit = referrersPerPage
	}
	q := registry.ReferrerQuery{Subject: digest.Digest(in.SubjectId.ImageDigest), After: digest.Digest(last), Limit: limit}
	wanted, none := which("", "")
	if in.Filter != nil {
		q.Types = in.Filter.ArtifactTypes
		wanted, none = which("", in.Filter.ArtifactStatus)
	}
	l, err := s.images.Referrers(ctx, c.Caller, in.RepositoryName, q)
	if err != nil {
		return nil, err
	}
	out := &ListImageReferrersResponse{Referrers: []ImageReferrer{}}
	if none {
		return out, nil
	}
	for _, x := range l.Referrers {
		archived := l.Archived[x.Digest]
		if wanted.Status == registry.ActiveImages && archived || wanted.Status == registry.ArchivedImages && !archived {
			continue // a page may be short of what the filter leaves out
		}
		out.Referrers = append(out.Referrers, ImageReferrer{
			Digest: string(x.Digest), MediaType: x.MediaType, Size: new(x.Size),
			ArtifactType: x.ArtifactType, Annotations: x.Annotations, ArtifactStatus: imageStatus(archived),
		})
	}
	if n := len(l.Referrers); l.More && n > 0 {
		out.NextToken, err = s.token(op, filter, string(l.Referrers[n-1].Digest))
	}
	return out, err
}
