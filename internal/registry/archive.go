package registry

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
)

// updateStorageClass is the action that archiving and restoring asks for.
const updateStorageClass = "ecr:UpdateImageStorageClass"

// SetArchived brings an image into the archive, where it cannot be pulled, or out of
// it, at once. Its bytes stay where they are. With an index go the images that it
// names and that nothing else needs, and with each what is about it.
// Action: ecr:UpdateImageStorageClass. Errors: errs.Denied, Unauthenticated,
// NameInvalid, RepoUnknown, ManifestUnknown, ParamInvalid (neither tag nor digest), and
// errs.StorageUnsupported for an image that is to be archived while an index outside
// the archive names it.
func (r *Registry) SetArchived(ctx context.Context, c iam.Caller, repo string, id ImageID, archived bool) (Image, error) {
	row, err := r.described(ctx, c, updateStorageClass, repo)
	if err != nil {
		return Image{}, err
	}
	if id == (ImageID{}) {
		return Image{}, errs.New(errs.ParamInvalid, "Invalid request parameters: both tag and digest cannot be null")
	}
	m, err := r.named(ctx, row.Name, id)
	if err == nil {
		m, err = r.db.SetArchived(ctx, row.Name, m.Digest, archived, time.Now())
	}
	switch errs.CodeOf(err) {
	case errs.ManifestUnknown, errs.TagInvalid, errs.DigestInvalid: // malformed ones are nobody's
		return Image{}, errs.Wrap(errs.ManifestUnknown, err, "The image with imageId %s does not exist within the repository with name '%s' in the registry with id '%s'", quoted(id), repo, r.id)
	}
	if err != nil {
		return Image{}, r.asked(repo, err)
	}
	image, err := r.image(ctx, row.Name, m)
	if err == nil {
		r.moved(row.Name, image, id.Tag, archived)
	}
	return image, err
}

// outside returns errs.ImageArchived for what is held in the archive. A tag of the cache that
// was archived is not checked, and so not fetched again; meta lets none come to be one.
func (r *Registry) outside(ctx context.Context, repo string, ref oci.Reference) error {
	row, err := r.db.DescribeRepository(ctx, repo)
	switch {
	case errs.CodeOf(err) == errs.RepoUnknown:
		return nil // nothing of it is held
	case err != nil:
		return err
	case !row.Archives:
		return nil
	}
	d := ref.Digest
	if d == "" {
		tag, err := r.db.Tag(ctx, repo, ref.Tag)
		if errs.CodeOf(err) == errs.ManifestUnknown {
			return nil
		}
		if err != nil {
			return err
		}
		d = tag.Digest
	}
	archived, err := r.db.Archived(ctx, repo, d)
	if err == nil && archived {
		err = errs.New(errs.ImageArchived, "image %s of repository %s is archived and cannot be pulled: restore it (aws ecr update-image-storage-class --repository-name %s --image-id imageDigest=%s --target-storage-class STANDARD), or push it again", d, repo, repo, d)
	}
	return err
}

// archivedOf tells which of some referrers are held in the archive.
func (r *Registry) archivedOf(ctx context.Context, repo string, all []oci.Referrer) (map[digest.Digest]bool, error) {
	row, err := r.db.DescribeRepository(ctx, repo)
	if errs.CodeOf(err) == errs.RepoUnknown || err == nil && !row.Archives {
		return nil, nil
	}
	archived := map[digest.Digest]bool{}
	for _, x := range all {
		if err != nil {
			return nil, err
		}
		archived[x.Digest], err = r.db.Archived(ctx, repo, x.Digest)
	}
	return archived, err
}

// narrowed is what a list of a repository's images is narrowed to; none says that there
// can be none.
func narrowed(row meta.Repository, which Which) (_ Which, none bool) {
	if row.Archives {
		return which, false
	}
	none = which.Status == ArchivedImages
	which.Status = meta.AnyStatus
	return which, none
}
