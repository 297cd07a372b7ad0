package registry

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

// MaxPushTags is how many tags one push may give a manifest.
const MaxPushTags = 64

// SetTemplates makes templates those by which pushes and pulls make repositories from
// now on.
func (r *Registry) SetTemplates(templates *rule.Templates) { r.templates.Store(templates) }

// target returns the repository that a push of c's goes to, after the decision whether
// c may do action there. One that is not there is made if a template says so and create
// is true. Who replicates needs one right for all of a push. Errors: errs.Denied, also for
// a repository of the cache, Unauthenticated, NameInvalid, RepoUnknown.
func (r *Registry) target(ctx context.Context, c iam.Caller, action, repo string, create bool) (meta.Repository, error) {
	action, err := r.replicated(ctx, c, action, repo)
	if err != nil {
		return meta.Repository{}, err
	}
	rl, name, err := r.decide(ctx, c, action, repo)
	if err != nil {
		return meta.Repository{}, err
	}
	if rl != nil && !rl.Push {
		return meta.Repository{}, errs.New(errs.Denied, "repository %s accepts no pushes: pull through cache rule %s fills it from %s. Push to a repository that no rule takes, or set push: allow on the rule in weir.yaml", name, rl.Prefix, rl.Upstream)
	}
	row, err := r.db.DescribeRepository(ctx, name)
	switch {
	case err == nil && row.Kind == meta.Cached && rl == nil:
		return row, errs.New(errs.Denied, "repository %s accepts no pushes: it was cached by a pull through cache rule that is gone; delete it, and create it anew for pushes", name)
	case errs.CodeOf(err) == errs.RepoUnknown && create:
		return r.createForPush(ctx, c, rl, name)
	case errs.CodeOf(err) == errs.RepoUnknown:
		return row, r.unknown(repo)
	}
	return row, err
}

// unknown is ECR's answer for a repository that is not there.
func (r *Registry) unknown(repo string) error {
	return errs.New(errs.RepoUnknown, "The repository with name '%s' does not exist in the registry with id '%s'", repo, r.id)
}

// createForPush makes the repository of a push, of the cache if a rule takes its name.
// Where it is replicated that needs no template, but the right to create repositories.
// Errors: errs.RepoUnknown if no template makes it, errs.Denied.
func (r *Registry) createForPush(ctx context.Context, c iam.Caller, rl *rule.Rule, name string) (meta.Repository, error) {
	row := meta.Repository{Name: name, Created: time.Now(), Kind: meta.Own}
	reason := rule.ForCreateOnPush
	switch {
	case rl != nil:
		row.Kind, reason = meta.Cached, rule.ForPullThrough
	case c.Replicates:
		reason = rule.ForReplication
		if _, _, err := r.decide(ctx, c, createRepository, name); err != nil {
			return row, err
		}
	}
	t := r.templates.Load().For(name, reason)
	if t == nil && reason == rule.ForCreateOnPush {
		return row, r.unknown(name)
	}
	if t != nil {
		row.Mutability, row.Exclusions, row.ResourceTags = t.Mutability, t.Exclusions, t.Tags
		row.Policy, row.LifecyclePolicy = []byte(t.RepositoryPolicy), t.LifecyclePolicy
	}
	if err := r.db.CreateRepository(ctx, row); err != nil && errs.CodeOf(err) != errs.RepoExists {
		return row, err
	}
	return r.db.DescribeRepository(ctx, name)
}

// Pushed is a manifest that was pushed.
type Pushed struct {
	Digest    digest.Digest
	MediaType string
	Subject   digest.Digest // of what it is about; "": nothing
	Tags      []string
}

// ManifestPush is a manifest as a client pushes it.
type ManifestPush struct {
	Reference   oci.Reference
	Digest      digest.Digest    // of a push by tag: what the client says that it is; "": nothing
	Algorithm   digest.Algorithm // of a push by tag without Digest; "": sha256
	Tags        []string         // further ones
	ContentType string
	Raw         []byte

	// Strict refuses what ECR's API refuses and container clients do not expect to be: an
	// index before its children, and a push that changes nothing.
	Strict bool
}

// PutManifest stores a manifest. Its config and layers are in the repository already;
// children and subject need not be. Errors: as for every push (errs.Denied,
// Unauthenticated, NameInvalid, RepoUnknown), errs.ManifestInvalid, ManifestTooLarge,
// DigestMismatch, ManifestBlobUnknown, TagImmutable, TagInvalid, ParamInvalid; ChildUnknown
// and ImageExists of a strict one.
func (r *Registry) PutManifest(ctx context.Context, c iam.Caller, repo string, p ManifestPush) (Pushed, error) {
	row, err := r.target(ctx, c, iam.PutImage, repo, true)
	if err != nil {
		return Pushed{}, err
	}
	if len(p.Raw) > oci.MaxManifestSize {
		return Pushed{}, errs.New(errs.ManifestTooLarge, "the manifest is larger than %d bytes", oci.MaxManifestSize)
	}
	m := &oci.Manifest{Raw: p.Raw}
	m.Size = int64(len(p.Raw))
	if m.Digest, err = p.digest(); err != nil {
		return Pushed{}, err
	}
	if m.MediaType, err = oci.ManifestType(p.ContentType, p.Raw); err != nil {
		return Pushed{}, err
	}
	edges, err := m.Edges()
	if err != nil {
		return Pushed{}, err
	}
	if err := imageWhole(m.MediaType, edges); err != nil {
		return Pushed{}, err
	}
	tags := p.Tags
	if p.Reference.Tag != "" {
		tags = append([]string{p.Reference.Tag}, tags...)
	}
	if len(tags) > MaxPushTags {
		return Pushed{}, errs.New(errs.ParamInvalid, "%d tags are pushed at once, and %d may be", len(tags), MaxPushTags)
	}
	err = r.db.PutImage(ctx, meta.Push{Repository: row.Name, Manifest: m, Edges: edges, Tags: tags, At: time.Now(), Replica: c.Replicates, Strict: p.Strict})
	if errs.CodeOf(err) == errs.ImageExists {
		tag := "null"
		if len(tags) > 0 {
			tag = tags[0]
		}
		err = errs.New(errs.ImageExists, "Image with digest '%s' and tag '%s' already exists in the repository with name '%s' in registry with id '%s'", m.Digest, tag, repo, r.id)
	}
	if err != nil {
		return Pushed{}, r.asked(repo, err)
	}
	r.pushed(row.Name, m, edges, tags)
	pushed := Pushed{Digest: m.Digest, MediaType: m.MediaType, Tags: tags}
	for _, e := range edges.List {
		if e.Kind == oci.EdgeSubject {
			pushed.Subject = e.Digest
		}
	}
	return pushed, nil
}

// imageWhole refuses an image without what every client goes on with. Manifests of
// other types may have whatever they have.
func imageWhole(mediaType string, e oci.Edges) error {
	t, _, _ := strings.Cut(mediaType, ";")
	isConfig := func(x oci.Edge) bool { return x.Kind == oci.EdgeConfig }
	if t != oci.MediaTypeManifest && t != oci.MediaTypeDocker || slices.ContainsFunc(e.List, isConfig) {
		return nil
	}
	return errs.New(errs.ManifestInvalid, "a manifest of type %s has to name a config", t)
}

// digest returns the digest of what is pushed, which it has.
func (p *ManifestPush) digest() (digest.Digest, error) {
	want := p.Reference.Digest
	if want == "" {
		want = p.Digest
	}
	if want == "" {
		algorithm := p.Algorithm
		if algorithm == "" {
			algorithm = digest.SHA256
		}
		return algorithm.FromBytes(p.Raw), nil
	}
	if p.Digest != "" && p.Digest != want || want.Algorithm().FromBytes(p.Raw) != want {
		return "", errs.New(errs.DigestMismatch, "the %d bytes of the manifest do not have digest %s", len(p.Raw), want)
	}
	return want, nil
}

// DeleteManifest deletes a tag, or a manifest with all its tags. Errors: errs.Denied,
// Unauthenticated, NameInvalid, RepoUnknown, ManifestUnknown, ImageReferenced.
func (r *Registry) DeleteManifest(ctx context.Context, c iam.Caller, repo string, ref oci.Reference) error {
	_, name, err := r.decide(ctx, c, iam.BatchDeleteImage, repo)
	if err != nil {
		return err
	}
	if ref.Digest != "" {
		_, err = r.deleteImage(ctx, name, ImageID{Digest: ref.Digest})
		return r.asked(repo, err)
	}
	d, err := r.db.DeleteTag(ctx, name, ref.Tag, time.Now())
	if err == nil {
		r.deleted(name, ImageID{Digest: d, Tag: ref.Tag})
	}
	return r.asked(repo, err)
}

// DeleteBlob takes a blob from a repository; its bytes go when no repository has it.
// Errors: errs.Denied, Unauthenticated, NameInvalid, RepoUnknown, BlobUnknown.
func (r *Registry) DeleteBlob(ctx context.Context, c iam.Caller, repo string, d digest.Digest) error {
	_, name, err := r.decide(ctx, c, iam.BatchDeleteImage, repo)
	if err != nil {
		return err
	}
	return r.asked(repo, r.db.DeleteLink(ctx, name, d))
}

// asked is an error with ECR's words for a repository that is not there.
func (r *Registry) asked(repo string, err error) error {
	if errs.CodeOf(err) == errs.RepoUnknown {
		return r.unknown(repo)
	}
	return err
}

// Mount links a blob of one repository into another without its bytes, and says
// whether: not if from has not got it, or c may not read it there. Without from, any
// repository that c may read will do. Where the registry's settings turn mounts off,
// there is none. Errors: as for every push, and DigestInvalid.
func (r *Registry) Mount(ctx context.Context, c iam.Caller, repo, from string, d digest.Digest) (bool, error) {
	row, err := r.target(ctx, c, iam.InitiateLayerUpload, repo, true)
	if err != nil {
		return false, err
	}
	if r.settings.Load().NoMounts {
		return false, nil
	}
	sources := []string{from}
	if from == "" {
		if sources, err = r.db.LinkedIn(ctx, d, maxSources); err != nil {
			return false, err
		}
	}
	for _, source := range sources {
		_, name, err := r.decide(ctx, c, iam.GetDownloadURLForLayer, source)
		if err != nil {
			continue // as if it were not there
		}
		mounted, err := r.db.Mount(ctx, row.Name, name, d, time.Now())
		if err != nil || mounted {
			return mounted, r.asked(repo, err)
		}
	}
	return false, nil
}

// maxSources is how many repositories are looked at for a mount from any.
const maxSources = 32

// joined is err, and a failure to put away what is left.
func joined(err, closing error) error {
	if closing == nil {
		return err
	}
	return errors.Join(err, closing)
}
