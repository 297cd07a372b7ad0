package registry

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/rule"
)

// The actions that describing asks for, beside iam's.
const (
	describeRegistry     = "ecr:DescribeRegistry"
	describeRepositories = "ecr:DescribeRepositories"
)

// emptyConfig is the config of an artifact that says by its artifactType what it is.
const emptyConfig = "application/vnd.oci.empty.v1+json"

// What the faces see of meta, so that they need not import it.
type (
	ImageID = meta.ImageID
	Tagged  = meta.Tagged
	Status  = meta.Status
	Which   = meta.Which
)

// What a list of images may be narrowed to.
const (
	AnyImages      = meta.AnyImages
	TaggedImages   = meta.TaggedImages
	UntaggedImages = meta.UntaggedImages

	ActiveImages   = meta.ActiveImages
	ArchivedImages = meta.ArchivedImages
)

// Image is a manifest or index as it is described.
type Image struct {
	meta.Image
	ArtifactType string // what it is: its artifactType, or its config's media type; "": an index
}

// Describe returns the replication rules, which are all of the registry that
// DescribeRegistry tells beside its ID. Action: ecr:DescribeRegistry.
// Errors: errs.Denied, Unauthenticated.
func (r *Registry) Describe(ctx context.Context, c iam.Caller) (rule.Replication, error) {
	if err := r.overall(ctx, c, describeRegistry, "*"); err != nil {
		return nil, err
	}
	return r.db.Replication(ctx)
}

// Repositories returns the repositories called names, in their order; or, if there
// are none, up to limit of all after the name after, in the order of their bytes, and
// as next the name after which there are more, "" if there are not.
// Errors: errs.Denied, Unauthenticated, NameInvalid, RepoUnknown if any of names is
// not there.
func (r *Registry) Repositories(ctx context.Context, c iam.Caller, names []string, after string, limit int) (repos []Repository, next string, err error) {
	if len(names) > 0 {
		for _, name := range names {
			repo, err := r.described(ctx, c, describeRepositories, name)
			if err != nil {
				return nil, "", err
			}
			repos = append(repos, r.repository(repo))
		}
		return repos, "", nil
	}
	if err := r.overall(ctx, c, describeRepositories, r.ARN("*")); err != nil {
		return nil, "", err
	}
	rows, err := r.db.DescribeRepositories(ctx, after, limit+1)
	if err != nil {
		return nil, "", err
	}
	rows, last := page(rows, limit)
	for _, row := range rows {
		repos = append(repos, r.repository(row))
	}
	return repos, last.Name, nil
}

// page cuts a list that may have one more than limit. last is the last that is left
// if there are more, the zero value if there are not. A limit of 0 is a list of none.
func page[T any](rows []T, limit int) (cut []T, last T) {
	if limit > 0 && len(rows) > limit {
		last = rows[limit-1]
	}
	return rows[:min(len(rows), limit)], last
}

// described returns a repository that is there, after the decision whether c may do
// action there. A name that a rule takes means what it means in a pull; what was
// cached by a rule that is gone is still described.
func (r *Registry) described(ctx context.Context, c iam.Caller, action, repo string) (meta.Repository, error) {
	_, name, err := r.decide(ctx, c, action, repo)
	if err != nil {
		return meta.Repository{}, err
	}
	row, err := r.db.DescribeRepository(ctx, name)
	if errs.CodeOf(err) == errs.RepoUnknown {
		return row, r.unknown(repo)
	}
	return row, err
}

// ImageIDs returns up to limit names of a repository's images after the name after, by
// digest and tag, and as next the name after which there may be more, the zero ImageID
// if there are none: where which leaves out very many, a page may have few or none
// and not be the last. Errors: errs.Denied, Unauthenticated, NameInvalid, RepoUnknown.
func (r *Registry) ImageIDs(ctx context.Context, c iam.Caller, repo string, which Which, after ImageID, limit int) (ids []ImageID, next ImageID, err error) {
	row, err := r.described(ctx, c, iam.ListImages, repo)
	if err != nil {
		return nil, ImageID{}, err
	}
	which, none := narrowed(row, which)
	if none {
		return nil, ImageID{}, nil
	}
	ids, looked, err := r.db.ImageIDs(ctx, row.Name, which, after, limit+1)
	if err != nil {
		return nil, ImageID{}, err
	}
	if ids, next = page(ids, limit); next == (ImageID{}) && limit > 0 {
		next = looked
	}
	return ids, next, nil
}

// Images returns up to limit of a repository's images after the digest after, in the
// order of their bytes, and as next the digest after which there may be more, "" if
// there are none, as ImageIDs. Errors: errs.Denied, Unauthenticated, NameInvalid, RepoUnknown.
func (r *Registry) Images(ctx context.Context, c iam.Caller, repo string, which Which, after digest.Digest, limit int) (images []Image, next digest.Digest, err error) {
	row, err := r.described(ctx, c, iam.DescribeImages, repo)
	if err != nil {
		return nil, "", err
	}
	which, none := narrowed(row, which)
	if none {
		return nil, "", nil
	}
	rows, looked, err := r.db.Images(ctx, row.Name, which, after, limit+1)
	if err != nil {
		return nil, "", err
	}
	rows, last := page(rows, limit)
	if last.Digest == "" && limit > 0 {
		last.Digest = looked
	}
	for _, m := range rows {
		image, err := r.image(ctx, row.Name, m)
		if err != nil {
			return nil, "", err
		}
		images = append(images, image)
	}
	return images, last.Digest, nil
}

// NamedImages returns the images called ids, each once, in their order. An ID with tag
// and digest is of the image that has both.
// Errors: as Images, and errs.ManifestUnknown if any of ids is not there.
func (r *Registry) NamedImages(ctx context.Context, c iam.Caller, repo string, ids []ImageID) ([]Image, error) {
	row, err := r.described(ctx, c, iam.DescribeImages, repo)
	if err != nil {
		return nil, err
	}
	var images []Image
	for _, id := range ids {
		m, err := r.namedAs(ctx, row.Name, repo, id)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(images, func(i Image) bool { return i.Digest == m.Digest }) {
			continue
		}
		image, err := r.image(ctx, row.Name, m)
		if err != nil {
			return nil, err
		}
		images = append(images, image)
	}
	return images, nil
}

// namedAs is named, with ECR's words for an image that is not in the repository that the
// caller called asked.
func (r *Registry) namedAs(ctx context.Context, repo, asked string, id ImageID) (meta.Image, error) {
	m, err := r.named(ctx, repo, id)
	switch errs.CodeOf(err) {
	case errs.ManifestUnknown, errs.TagInvalid, errs.DigestInvalid: // malformed ones are nobody's
		return meta.Image{}, errs.Wrap(errs.ManifestUnknown, err, "The image with imageId %s does not exist within the repository with name '%s' in the registry with id '%s'", quoted(id), asked, r.id)
	}
	return m, err
}

func (r *Registry) named(ctx context.Context, repo string, id ImageID) (meta.Image, error) {
	d := id.Digest
	if id.Tag != "" {
		tag, err := r.db.Tag(ctx, repo, id.Tag)
		if err != nil {
			return meta.Image{}, err
		}
		if d != "" && d != tag.Digest {
			return meta.Image{}, errs.New(errs.ManifestUnknown, "tag %s is %s", id.Tag, tag.Digest)
		}
		d = tag.Digest
	}
	return r.db.Image(ctx, repo, d)
}

// quoted is an ID as ECR writes it in its messages.
func quoted(id ImageID) string {
	d, tag := "null", "null"
	if id.Digest != "" {
		d = string(id.Digest)
	}
	if id.Tag != "" {
		tag = id.Tag
	}
	return "{imageDigest:'" + d + "', imageTag:'" + tag + "'}"
}

// image adds what only the manifest itself tells, which most need not be read for.
func (r *Registry) image(ctx context.Context, repo string, m meta.Image) (Image, error) {
	image := Image{Image: m, ArtifactType: m.ConfigType}
	if m.ConfigType != emptyConfig && m.ConfigType != "" { // an index and an artifact have none
		return image, nil
	}
	manifest, err := r.db.Manifest(ctx, repo, m.Digest)
	if err != nil {
		return Image{}, err
	}
	// A manifest that cannot be read was refused when it came.
	if e, err := manifest.Edges(); err == nil && e.ArtifactType != "" {
		image.ArtifactType = e.ArtifactType
	}
	return image, nil
}
