package registry

import (
	"context"
	"slices"
	"time"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

// The actions that changing repositories asks for, beside iam's.
const (
	createRepository = "ecr:CreateRepository"
	deleteRepository = "ecr:DeleteRepository"
	putMutability    = "ecr:PutImageTagMutability"
	tagResource      = "ecr:TagResource"
	untagResource    = "ecr:UntagResource"
	putScanning      = "ecr:PutImageScanningConfiguration"
	listTags         = "ecr:ListTagsForResource"
)

// Repository is a repository as it is described. Its lists are not to be changed.
type Repository struct {
	Name       string
	ARN        string
	Created    time.Time
	Mutability string   // a word of package rule
	Exclusions []string // filters of tags
	ScanOnPush bool
}

func (r *Registry) repository(row meta.Repository) Repository {
	return Repository{row.Name, r.ARN(row.Name), row.Created, row.Mutability, row.Exclusions, row.ScanOnPush}
}

// NewRepository is what a repository is created from.
type NewRepository struct {
	Name       string
	Mutability string // "": rule.Mutable
	Exclusions []string
	Tags       []rule.ResourceTag
	ScanOnPush bool
}

// CreateRepository creates a repository: one of the cache if a rule takes its name, to
// which nothing can be pushed then, else one for pushes.
// Actions: ecr:CreateRepository, and ecr:TagResource with tags.
// Errors: errs.Denied, Unauthenticated, NameInvalid, ParamInvalid, RepoExists,
// errs.TagInvalid and errs.LimitExceeded (resource tags).
func (r *Registry) CreateRepository(ctx context.Context, c iam.Caller, in NewRepository) (Repository, error) {
	keys := rule.TagKeys(in.Tags)
	rl, name, err := r.decideWith(ctx, c, iam.Request{Action: createRepository, Context: keys}, in.Name)
	if err != nil {
		return Repository{}, err
	}
	row := meta.Repository{Name: name, Created: time.Now().UTC().Truncate(time.Microsecond), Kind: meta.Own, Mutability: in.Mutability, Exclusions: in.Exclusions, ScanOnPush: in.ScanOnPush}
	if rl != nil {
		row.Kind = meta.Cached
	}
	if row.Mutability == "" {
		row.Mutability = rule.Mutable
	}
	if err := rule.ValidMutability(row.Mutability, row.Exclusions); err != nil {
		return Repository{}, err
	}
	if len(in.Tags) > 0 {
		if _, _, err := r.decideWith(ctx, c, iam.Request{Action: tagResource, Context: keys}, in.Name); err != nil {
			return Repository{}, err
		}
		if row.ResourceTags, err = rule.SetResourceTags(nil, in.Tags); err != nil {
			return Repository{}, err
		}
	}
	err = r.db.CreateRepository(ctx, row)
	if errs.CodeOf(err) == errs.RepoExists {
		return Repository{}, errs.New(errs.RepoExists, "The repository with name '%s' already exists in the registry with id '%s'", in.Name, r.id)
	}
	return r.repository(row), err
}

// DeleteRepository deletes a repository and returns it as it was. One that has images
// stays, unless force is true. Its uploads end with it. What is pulled through its rule
// later makes it anew.
// Action: ecr:DeleteRepository. Errors: errs.Denied, Unauthenticated, NameInvalid,
// RepoUnknown, RepoNotEmpty.
func (r *Registry) DeleteRepository(ctx context.Context, c iam.Caller, repo string, force bool) (Repository, error) {
	_, name, err := r.decide(ctx, c, deleteRepository, repo)
	if err != nil {
		return Repository{}, err
	}
	uploads, err := r.db.UploadsOf(ctx, name)
	if err != nil {
		return Repository{}, err
	}
	if err := r.cache.Revoke(ctx, name); err != nil {
		return Repository{}, err
	}
	row, err := r.db.DeleteRepository(ctx, name, force)
	if err == nil {
		r.dropUploads(context.WithoutCancel(ctx), name, uploads)
	}
	if errs.CodeOf(err) == errs.RepoNotEmpty {
		return Repository{}, errs.New(errs.RepoNotEmpty, "The repository with name '%s' in registry with id '%s' cannot be deleted because it still contains images", repo, r.id)
	}
	return r.repository(row), r.asked(repo, err)
}

// PutImageTagMutability changes what can be done to a repository's tags from now on.
// Action: ecr:PutImageTagMutability. Errors: errs.Denied, Unauthenticated, NameInvalid,
// ParamInvalid, RepoUnknown.
func (r *Registry) PutImageTagMutability(ctx context.Context, c iam.Caller, repo, mutability string, exclusions []string) (Repository, error) {
	_, name, err := r.decide(ctx, c, putMutability, repo)
	if err != nil {
		return Repository{}, err
	}
	if err := rule.ValidMutability(mutability, exclusions); err != nil {
		return Repository{}, err
	}
	row, err := r.db.PutMutability(ctx, name, mutability, exclusions)
	return r.repository(row), r.asked(repo, err)
}

// ResourceTags returns a repository's resource tags, which are not to be changed.
// Action: ecr:ListTagsForResource. Errors: as Repositories.
func (r *Registry) ResourceTags(ctx context.Context, c iam.Caller, repo string) ([]rule.ResourceTag, error) {
	row, err := r.described(ctx, c, listTags, repo)
	return row.ResourceTags, err
}

// TagResource sets resource tags of a repository, in place of those with the same keys.
// Action: ecr:TagResource. Errors: as Repositories, errs.TagInvalid, errs.LimitExceeded.
func (r *Registry) TagResource(ctx context.Context, c iam.Caller, repo string, tags []rule.ResourceTag) error {
	q := iam.Request{Action: tagResource, Context: rule.TagKeys(tags)}
	return r.changeTags(ctx, c, q, repo, func(all []rule.ResourceTag) ([]rule.ResourceTag, error) {
		return rule.SetResourceTags(all, tags)
	})
}

// UntagResource removes the resource tags with keys, as far as there are any.
// Action: ecr:UntagResource. Errors: as Repositories.
func (r *Registry) UntagResource(ctx context.Context, c iam.Caller, repo string, keys []string) error {
	q := iam.Request{Action: untagResource, Context: rule.TagKeys(nil, keys...)}
	return r.changeTags(ctx, c, q, repo, func(all []rule.ResourceTag) ([]rule.ResourceTag, error) {
		return slices.DeleteFunc(all, func(t rule.ResourceTag) bool { return slices.Contains(keys, t.Key) }), nil
	})
}

func (r *Registry) changeTags(ctx context.Context, c iam.Caller, q iam.Request, repo string, f func([]rule.ResourceTag) ([]rule.ResourceTag, error)) error {
	_, name, err := r.decideWith(ctx, c, q, repo)
	if err != nil {
		return err
	}
	return r.asked(repo, r.db.PutResourceTags(ctx, name, f))
}

// fresh is what a repository is like that a pull through a rule makes.
func (r *Registry) fresh(name string) meta.Repository {
	t := r.templates.Load().For(name, rule.ForPullThrough)
	if t == nil {
		return meta.Repository{}
	}
	return meta.Repository{Mutability: t.Mutability, Exclusions: t.Exclusions, ResourceTags: t.Tags, Policy: []byte(t.RepositoryPolicy), LifecyclePolicy: t.LifecyclePolicy}
}

// settled returns a rule as it counts for a tag: one that is immutable in the
// repository is not asked for again once it is held.
func (r *Registry) settled(ctx context.Context, rl *rule.Rule, repo, tag string) (*rule.Rule, error) {
	if tag == "" {
		return rl, nil
	}
	row, err := r.db.DescribeRepository(ctx, repo)
	switch {
	case errs.CodeOf(err) == errs.RepoUnknown:
		return rl, nil // nothing of it is held
	case err != nil:
		return nil, err
	case !row.Immutable(tag):
		return rl, nil
	}
	return rl.WithFixed(tag), nil
}

// ImageFailure is why one of many images was not dealt with.
type ImageFailure struct {
	ID  ImageID
	Err error // errs.TagInvalid and errs.DigestInvalid (malformed), errs.ManifestUnknown, errs.Conflict (tag and digest are not of one image), errs.ImageReferenced, errs.ParamInvalid (neither)
}

// DeleteImages deletes the images called ids as ECR does: a digest with all its tags, a
// tag alone, and with its last tag the image. Each is dealt with by itself; deleted are
// the names that are gone. An index goes before the images that it names, in whatever
// order they are called. Action: ecr:BatchDeleteImage.
// Errors: errs.Denied, Unauthenticated, NameInvalid, RepoUnknown.
func (r *Registry) DeleteImages(ctx context.Context, c iam.Caller, repo string, ids []ImageID) (deleted []ImageID, failures []ImageFailure, err error) {
	row, err := r.described(ctx, c, iam.BatchDeleteImage, repo)
	if err != nil {
		return nil, nil, err
	}
	for len(ids) > 0 {
		var referenced []ImageFailure
		before := len(deleted)
		for _, id := range ids {
			gone, err := r.deleteImage(ctx, row.Name, id)
			switch code := errs.CodeOf(err); {
			case err == nil:
				deleted = append(deleted, gone...)
			case code == errs.ImageReferenced:
				referenced = append(referenced, ImageFailure{id, err})
			case ofAll(err):
				return nil, nil, r.asked(repo, err)
			case code == errs.ManifestUnknown && slices.ContainsFunc(deleted, func(gone ImageID) bool {
				return (id.Digest == "" || id.Digest == gone.Digest) && (id.Tag == "" || id.Tag == gone.Tag)
			}): // it went by another of its names
			default:
				failures = append(failures, ImageFailure{id, err})
			}
		}
		if len(deleted) == before { // nothing is freed any more
			return deleted, append(failures, referenced...), nil
		}
		ids = nil
		for _, f := range referenced {
			ids = append(ids, f.ID)
		}
	}
	return deleted, failures, nil
}

// deleteImage deletes one, tells of it, and returns the names that are gone with it.
func (r *Registry) deleteImage(ctx context.Context, repo string, id ImageID) ([]ImageID, error) {
	if id.Tag != "" {
		if _, err := oci.ParseTag(id.Tag); err != nil {
			return nil, err
		}
	}
	if id.Digest != "" {
		if _, err := oci.ParseDigest(string(id.Digest)); err != nil {
			return nil, err
		}
	}
	switch {
	case id.Tag != "":
		d, err := r.db.DeleteTagged(ctx, repo, id.Tag, id.Digest, time.Now())
		if err != nil {
			return nil, err
		}
		return r.deleted(repo, ImageID{Digest: d, Tag: id.Tag}), nil
	case id.Digest == "":
		return nil, errs.New(errs.ParamInvalid, "Invalid request parameters: both tag and digest cannot be null")
	}
	tags, err := r.db.DeleteManifest(ctx, repo, id.Digest, time.Now())
	if err != nil {
		return nil, err
	}
	if len(tags) == 0 {
		return r.deleted(repo, ImageID{Digest: id.Digest}), nil
	}
	var gone []ImageID
	for _, tag := range tags {
		gone = append(gone, ImageID{Digest: id.Digest, Tag: tag})
	}
	return r.deleted(repo, gone...), nil
}
