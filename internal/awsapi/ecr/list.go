package ecr

import (
	"context"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/registry"
)

// defaultPage is how many results a page has where the client does not say.
const defaultPage = 100

// pageOf returns where a page begins, "" for the first, and how long it is. filter is
// the input without its paging members.
func (s *service) pageOf(op string, filter any, token string, maxResults *int32) (after string, limit int, err error) {
	limit = defaultPage
	if maxResults != nil {
		limit = int(*maxResults)
	}
	if token == "" {
		return "", limit, nil
	}
	after, ok, err := s.pages.Last(op, filter, token)
	if err == nil && !ok {
		err = errs.New(errs.ParamInvalid, "%s", problem("nextToken", "It is not what this operation returned for these parameters"))
	}
	return after, limit, err
}

// token returns the token for the page after last, "" if there is none.
func (s *service) token(op string, filter any, last string) (string, error) {
	if last == "" {
		return "", nil
	}
	return s.pages.Token(op, filter, last)
}

// elsewhere refuses a repository of another registry as one that is not there.
func (s *service) elsewhere(repo, registryID string) error {
	if registryID == "" || registryID == s.id {
		return nil
	}
	return errs.New(errs.RepoUnknown, "The repository with name '%s' does not exist in the registry with id '%s'", repo, registryID)
}

// pagedNames refuses paging where things are asked for by their names.
func pagedNames(names, token string, maxResults *int32) error {
	if token == "" && maxResults == nil {
		return nil
	}
	return errs.New(errs.ParamInvalid, "Invalid request parameters: nextToken and maxResults cannot be used together with %s", names)
}

func (s *service) describeRepositories(ctx context.Context, c *awsapi.Call, in DescribeRepositoriesRequest) (*DescribeRepositoriesResponse, error) {
	const op = "DescribeRepositories"
	filter := in
	filter.NextToken, filter.MaxResults = "", nil
	after, limit, err := s.pageOf(op, filter, in.NextToken, in.MaxResults)
	if err != nil {
		return nil, err
	}
	if names := in.RepositoryNames; len(names) > 0 {
		c.About(names[0], "")
		if err = s.elsewhere(names[0], in.RegistryId); err == nil {
			err = pagedNames("repositoryNames", in.NextToken, in.MaxResults)
		}
	} else {
		err = s.ours(in.RegistryId)
	}
	if err != nil {
		return nil, err
	}
	repos, next, err := s.images.Repositories(ctx, c.Caller, in.RepositoryNames, after, limit)
	if err != nil {
		return nil, err
	}
	out := &DescribeRepositoriesResponse{Repositories: []Repository{}}
	for _, r := range repos {
		out.Repositories = append(out.Repositories, *s.repository(r))
	}
	out.NextToken, err = s.token(op, filter, next)
	return out, err
}

// which is a filter of ECR's. none says that no image has the imageStatus that it
// names: restoring takes no time here, so that none is on its way.
func which(tagStatus, imageStatus string) (w registry.Which, none bool) {
	switch tagStatus {
	case "TAGGED":
		w.Tagged = registry.TaggedImages
	case "UNTAGGED":
		w.Tagged = registry.UntaggedImages
	}
	switch imageStatus {
	case "", "ACTIVE":
		w.Status = registry.ActiveImages
	case "ARCHIVED":
		w.Status = registry.ArchivedImages
	case "ACTIVATING":
		return w, true
	}
	return w, false
}

func (s *service) listImages(ctx context.Context, c *awsapi.Call, in ListImagesRequest) (*ListImagesResponse, error) {
	const op = "ListImages"
	c.About(in.RepositoryName, "")
	filter := in
	filter.NextToken, filter.MaxResults = "", nil
	last, limit, err := s.pageOf(op, filter, in.NextToken, in.MaxResults)
	if err == nil {
		err = s.elsewhere(in.RepositoryName, in.RegistryId)
	}
	if err != nil {
		return nil, err
	}
	if in.Filter == nil {
		in.Filter = &ListImagesFilter{}
	}
	filtered, none := which(in.Filter.TagStatus, in.Filter.ImageStatus)
	if none {
		limit = 0
	}
	d, tag, _ := strings.Cut(last, " ")
	ids, next, err := s.images.ImageIDs(ctx, c.Caller, in.RepositoryName, filtered, registry.ImageID{Digest: digest.Digest(d), Tag: tag}, limit)
	if err != nil {
		return nil, err
	}
	out := &ListImagesResponse{ImageIds: []ImageIdentifier{}}
	for _, id := range ids {
		out.ImageIds = append(out.ImageIds, ImageIdentifier{ImageDigest: string(id.Digest), ImageTag: id.Tag})
	}
	if next != (registry.ImageID{}) {
		out.NextToken, err = s.token(op, filter, string(next.Digest)+" "+next.Tag)
	}
	return out, err
}

func (s *service) describeImages(ctx context.Context, c *awsapi.Call, in DescribeImagesRequest) (*DescribeImagesResponse, error) {
	const op = "DescribeImages"
	c.About(in.RepositoryName, "")
	filter := in
	filter.NextToken, filter.MaxResults = "", nil
	last, limit, err := s.pageOf(op, filter, in.NextToken, in.MaxResults)
	if err == nil {
		err = s.elsewhere(in.RepositoryName, in.RegistryId)
	}
	if err != nil {
		return nil, err
	}
	if in.Filter == nil {
		in.Filter = &DescribeImagesFilter{}
	}
	filtered, none := which(in.Filter.TagStatus, in.Filter.ImageStatus)
	if none {
		limit = 0
	}
	var images []registry.Image
	var next digest.Digest
	if len(in.ImageIds) > 0 {
		images, err = s.namedImages(ctx, c, in)
	} else {
		images, next, err = s.images.Images(ctx, c.Caller, in.RepositoryName, filtered, digest.Digest(last), limit)
	}
	if err != nil {
		return nil, err
	}
	out := &DescribeImagesResponse{ImageDetails: []ImageDetail{}}
	for _, i := range images {
		out.ImageDetails = append(out.ImageDetails, s.detail(in.RepositoryName, i))
	}
	out.NextToken, err = s.token(op, filter, string(next))
	return out, err
}

// digestForm is what ECR takes for a digest.
var digestForm = regexp.MustCompile(`^[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+$`)

// checkImageID refuses what names no image.
func checkImageID(id ImageIdentifier) error {
	switch {
	case id.ImageDigest == "" && id.ImageTag == "":
		return errs.New(errs.ParamInvalid, "Invalid request parameters: both tag and digest cannot be null")
	case id.ImageDigest != "" && !digestForm.MatchString(id.ImageDigest):
		return errs.New(errs.ParamInvalid, "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'")
	}
	return nil
}

func (s *service) namedImages(ctx context.Context, c *awsapi.Call, in DescribeImagesRequest) ([]registry.Image, error) {
	if err := pagedNames("imageIds", in.NextToken, in.MaxResults); err != nil {
		return nil, err
	}
	var ids []registry.ImageID
	for _, id := range in.ImageIds {
		if err := checkImageID(id); err != nil {
			return nil, err
		}
		ids = append(ids, registry.ImageID{Digest: digest.Digest(id.ImageDigest), Tag: id.ImageTag})
	}
	c.About(in.RepositoryName, in.ImageIds[0].ImageTag)
	return s.images.NamedImages(ctx, c.Caller, in.RepositoryName, ids)
}

func (s *service) detail(repo string, i registry.Image) ImageDetail {
	return ImageDetail{
		RegistryId:             s.id,
		RepositoryName:         repo,
		ImageDigest:            string(i.Digest),
		ImageTags:              i.Tags,
		ImageSizeInBytes:       new(i.Size),
		ImagePushedAt:          awsapi.Time{Time: i.Stored},
		ImageManifestMediaType: i.MediaType,
		ArtifactMediaType:      i.ArtifactType,
		LastRecordedPullTime:   awsapi.Time{Time: i.Pulled},
		SubjectManifestDigest:  string(i.Subject),
		ImageStatus:            imageStatus(i.Archived),
		LastArchivedAt:         awsapi.Time{Time: i.ArchivedAt},
		LastActivatedAt:        awsapi.Time{Time: i.ActivatedAt},
	}
}

// imageStatus is where an image is, in ECR's words.
func imageStatus(archived bool) string {
	if archived {
		return "ARCHIVED"
	}
	return "ACTIVE"
}
