package registry

import (
	"context"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/lifecycle"
	"github.com/weir-registry/weir/internal/meta"
)

// The actions that lifecycle policies ask for.
const (
	putLifecycle    = "ecr:PutLifecyclePolicy"
	getLifecycle    = "ecr:GetLifecyclePolicy"
	deleteLifecycle = "ecr:DeleteLifecyclePolicy"
	startPreview    = "ecr:StartLifecyclePolicyPreview"
	getPreview      = "ecr:GetLifecyclePolicyPreview"
)

// previewBatch is how many results of a preview are written at a time.
const previewBatch = 256

// What the faces see of meta and lifecycle, so that they need not import them.
type (
	LifecycleEvent = meta.LifecycleEvent
	Preview        = meta.Preview
	PreviewResult  = meta.PreviewResult
)

// What a lifecycle policy does to an image, and how far a preview is.
const (
	Expire     = lifecycle.Expire
	Transition = lifecycle.Transition

	PreviewComplete = meta.PreviewComplete
	PreviewFailed   = meta.PreviewFailed
	PreviewExpired  = meta.PreviewExpired
)

// LifecyclePolicy is a repository's lifecycle policy.
type LifecyclePolicy struct {
	Repository string // canonical name
	meta.LifecyclePolicy
}

// parseLifecycle reads a policy that somebody puts.
func (r *Registry) parseLifecycle(text string) (*lifecycle.Policy, error) {
	p, err := lifecycle.Parse(text, r.strict)
	if e := errs.As(err); e != nil {
		return nil, errs.New(errs.ParamInvalid, "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: '%s'", e.Msg)
	}
	return p, err
}

// noLifecycle is ECR's answer for a repository without a policy.
func (r *Registry) noLifecycle(repo string, err error) error {
	if errs.CodeOf(err) == errs.LifecycleUnknown {
		return errs.New(errs.LifecycleUnknown, "Lifecycle policy does not exist for the repository with name '%s' in the registry with id '%s'", repo, r.id)
	}
	return r.asked(repo, err)
}

// PutLifecyclePolicy makes text the lifecycle policy of a repository. What it says is
// done by the next run. Action: ecr:PutLifecyclePolicy. Errors: errs.Denied,
// Unauthenticated, NameInvalid, RepoUnknown, ParamInvalid.
func (r *Registry) PutLifecyclePolicy(ctx context.Context, c iam.Caller, repo, text string) (LifecyclePolicy, error) {
	row, err := r.described(ctx, c, putLifecycle, repo)
	if err != nil {
		return LifecyclePolicy{}, err
	}
	if _, err := r.parseLifecycle(text); err != nil {
		return LifecyclePolicy{}, err
	}
	err = r.db.PutLifecyclePolicy(ctx, row.Name, text)
	return LifecyclePolicy{row.Name, meta.LifecyclePolicy{Text: text}}, r.asked(repo, err)
}

// LifecyclePolicy returns the lifecycle policy of a repository.
// Action: ecr:GetLifecyclePolicy. Errors: errs.Denied, Unauthenticated, NameInvalid,
// RepoUnknown, LifecycleUnknown.
func (r *Registry) LifecyclePolicy(ctx context.Context, c iam.Caller, repo string) (LifecyclePolicy, error) {
	row, err := r.described(ctx, c, getLifecycle, repo)
	if err != nil {
		return LifecyclePolicy{}, err
	}
	p, err := r.db.LifecyclePolicy(ctx, row.Name)
	return LifecyclePolicy{row.Name, p}, r.noLifecycle(repo, err)
}

// DeleteLifecyclePolicy takes the lifecycle policy of a repository away, and returns it.
// Action: ecr:DeleteLifecyclePolicy. Errors: as LifecyclePolicy.
func (r *Registry) DeleteLifecyclePolicy(ctx context.Context, c iam.Caller, repo string) (LifecyclePolicy, error) {
	row, err := r.described(ctx, c, deleteLifecycle, repo)
	if err != nil {
		return LifecyclePolicy{}, err
	}
	p, err := r.db.DeleteLifecyclePolicy(ctx, row.Name)
	return LifecyclePolicy{row.Name, p}, r.noLifecycle(repo, err)
}

// StartPreview finds out what a lifecycle policy would do to a repository, without a
// text what its own would do. It returns when that is stored.
// Action: ecr:StartLifecyclePolicyPreview. Errors: errs.Denied, Unauthenticated,
// NameInvalid, RepoUnknown, ParamInvalid, LifecycleUnknown (no text, and no policy),
// PreviewRunning.
func (r *Registry) StartPreview(ctx context.Context, c iam.Caller, repo, text string) (Preview, error) {
	row, err := r.described(ctx, c, startPreview, repo)
	if err != nil {
		return Preview{}, err
	}
	if text == "" {
		own, err := r.db.LifecyclePolicy(ctx, row.Name)
		if err != nil {
			return Preview{}, r.noLifecycle(repo, err)
		}
		text = own.Text
	}
	policy, err := r.parseLifecycle(text)
	if err != nil {
		return Preview{}, err
	}
	p := Preview{Text: text, Status: meta.PreviewComplete, Started: time.Now().UTC().Truncate(time.Microsecond)}
	if err := r.db.StartPreview(ctx, row.Name, text, p.Started); err != nil {
		return Preview{}, r.asked(repo, err)
	}
	if err := r.preview(ctx, row.Name, policy, &p); err != nil {
		failed := Preview{Status: meta.PreviewFailed, Started: p.Started}
		return Preview{}, joined(err, r.db.EndPreview(context.WithoutCancel(ctx), row.Name, failed))
	}
	return p, r.db.EndPreview(ctx, row.Name, p)
}

// preview stores what a policy would do.
func (r *Registry) preview(ctx context.Context, repo string, policy *lifecycle.Policy, p *Preview) error {
	facts, err := r.db.Facts(ctx, repo)
	if err != nil {
		return err
	}
	var results []PreviewResult
	for _, m := range policy.Evaluate(facts.Images, p.Started) {
		for _, image := range append([]*lifecycle.Image{m.Image}, m.Follow...) {
			results = append(results, PreviewResult{
				Digest: image.Digest, Tags: image.Tags, Pushed: image.Pushed, Archived: image.Archived,
				Action: m.Rule.Action, Priority: m.Rule.Priority,
			})
			if m.Rule.Action == lifecycle.Expire {
				p.Expire++
			} else {
				p.Archive++
			}
		}
	}
	for some := range slices.Chunk(results, previewBatch) {
		if err := r.db.AddPreviewResults(ctx, repo, p.Started, some); err != nil {
			return err
		}
	}
	return nil
}

// PreviewQuery asks for a part of a preview's results.
type PreviewQuery struct {
	IDs    []ImageID // only of these images
	Tagged Tagged    // "": any
	After  digest.Digest
	Limit  int
}

// Preview returns the last preview of a repository, and of its results those that q
// asks for: the images that would go or be archived, in the order of their digests, and
// as next the digest after which there are more, "" if there are not. What is not
// complete, or was so for too long, has none.
// Action: ecr:GetLifecyclePolicyPreview. Errors: errs.Denied, Unauthenticated,
// NameInvalid, RepoUnknown, PreviewUnknown.
func (r *Registry) Preview(ctx context.Context, c iam.Caller, repo string, q PreviewQuery) (p Preview, results []PreviewResult, next digest.Digest, err error) {
	row, err := r.described(ctx, c, getPreview, repo)
	if err != nil {
		return p, nil, "", err
	}
	p, err = r.db.Preview(ctx, row.Name, time.Now())
	switch {
	case errs.CodeOf(err) == errs.PreviewUnknown:
		return p, nil, "", errs.New(errs.PreviewUnknown, "Lifecycle policy preview does not exist for the repository with name '%s' in the registry with id '%s'", repo, r.id)
	case err != nil:
		return p, nil, "", r.asked(repo, err)
	case p.Status != meta.PreviewComplete:
		return p, nil, "", nil
	case len(q.IDs) > 0:
		results, err = r.previewOf(ctx, row.Name, q.IDs)
		return p, results, "", err
	}
	results, err = r.db.PreviewResults(ctx, row.Name, q.Tagged, q.After, q.Limit+1)
	if err != nil {
		return p, nil, "", err
	}
	results, last := page(results, q.Limit)
	return p, results, last.Digest, nil
}

// previewOf returns the results for images; those to which nothing would happen, and
// those that are not there, have none.
func (r *Registry) previewOf(ctx context.Context, repo string, ids []ImageID) (results []PreviewResult, err error) {
	for _, id := range ids {
		m, err := r.named(ctx, repo, id)
		switch errs.CodeOf(err) {
		case errs.ManifestUnknown, errs.TagInvalid, errs.DigestInvalid:
			continue
		}
		if err != nil {
			return nil, err
		}
		p, err := r.db.PreviewResult(ctx, repo, m.Digest)
		if err != nil {
			return nil, err
		}
		if p != nil && !slices.ContainsFunc(results, func(o PreviewResult) bool { return o.Digest == p.Digest }) {
			results = append(results, *p)
		}
	}
	return results, nil
}

// LifecycleEvents returns up to limit images that lifecycle policies, or weir's own rule
// for what tags left, removed from a repository or archived there, newest first, before
// the number before; 0 is the end. Action: ecr:GetLifecyclePolicy. Errors: errs.Denied,
// Unauthenticated, NameInvalid, RepoUnknown.
func (r *Registry) LifecycleEvents(ctx context.Context, c iam.Caller, repo string, before int64, limit int) ([]LifecycleEvent, error) {
	row, err := r.described(ctx, c, getLifecycle, repo)
	if err != nil {
		return nil, err
	}
	return r.db.LifecycleEvents(ctx, row.Name, before, limit)
}
