package registry

import (
	"context"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
)

// Policy is the policy document of a repository, as it was put.
type Policy struct {
	Repository string // canonical name
	Text       string
}

// SetRepositoryPolicy makes text the policy of a repository. One that would keep c from
// setting another is refused, unless force is true.
// Action: ecr:SetRepositoryPolicy. Errors: errs.Denied, Unauthenticated, NameInvalid,
// RepoUnknown, ParamInvalid.
func (r *Registry) SetRepositoryPolicy(ctx context.Context, c iam.Caller, repo, text string, force bool) (Policy, error) {
	row, err := r.described(ctx, c, iam.SetRepositoryPolicy, repo)
	if err != nil {
		return Policy{}, err
	}
	parsed, err := iam.ParseRepositoryPolicy([]byte(text))
	if err != nil {
		return Policy{}, invalidPolicy("repository", iam.Fault(err))
	}
	if !force {
		then := row
		then.Policy = []byte(text)
		p, err := r.placeOf(ctx, &then)
		if err != nil {
			return Policy{}, err
		}
		p.access = then.Access()
		err = r.permit(ctx, c, iam.Request{Action: iam.SetRepositoryPolicy}, p)
		switch errs.CodeOf(err) {
		case errs.Denied, errs.Unauthenticated:
			return Policy{}, invalidPolicy("repository", "it would keep you from setting another one; set force to do so all the same")
		}
		if err != nil {
			return Policy{}, err
		}
	}
	if err := r.db.PutRepositoryPolicy(ctx, row.Name, []byte(text)); err != nil {
		return Policy{}, r.asked(repo, err)
	}
	parsed.Name = row.Name
	r.warn(&parsed)
	return Policy{row.Name, text}, nil
}

// warn says of a policy that was put what may not be as meant.
func (r *Registry) warn(p *iam.Policy) {
	for _, w := range p.Warnings() {
		r.log.Warn("policy may deny more than is meant", "why", w)
	}
}

// RepositoryPolicy returns the policy of a repository.
// Action: ecr:GetRepositoryPolicy. Errors: errs.Denied, Unauthenticated, NameInvalid,
// RepoUnknown, PolicyUnknown.
func (r *Registry) RepositoryPolicy(ctx context.Context, c iam.Caller, repo string) (Policy, error) {
	row, err := r.described(ctx, c, iam.GetRepositoryPolicy, repo)
	if err == nil && row.Policy == nil {
		err = r.noPolicy(repo)
	}
	return Policy{row.Name, string(row.Policy)}, err
}

// DeleteRepositoryPolicy takes the policy of a repository away, and returns it.
// Action: ecr:DeleteRepositoryPolicy. Errors: as RepositoryPolicy.
func (r *Registry) DeleteRepositoryPolicy(ctx context.Context, c iam.Caller, repo string) (Policy, error) {
	_, name, err := r.decide(ctx, c, iam.DeleteRepositoryPolicy, repo)
	if err != nil {
		return Policy{}, err
	}
	text, err := r.db.DeleteRepositoryPolicy(ctx, name)
	if errs.CodeOf(err) == errs.PolicyUnknown {
		return Policy{}, r.noPolicy(repo)
	}
	return Policy{name, string(text)}, r.asked(repo, err)
}

// PutRegistryPolicy makes text the policy of the registry.
// Action: ecr:PutRegistryPolicy. Errors: errs.Denied, Unauthenticated, ParamInvalid.
func (r *Registry) PutRegistryPolicy(ctx context.Context, c iam.Caller, text string) error {
	if err := r.overall(ctx, c, iam.PutRegistryPolicy, "*"); err != nil {
		return err
	}
	parsed, err := iam.ParseRegistryPolicy([]byte(text))
	if err != nil {
		return invalidPolicy("registry", iam.Fault(err))
	}
	if err := r.db.PutRegistryPolicy(ctx, []byte(text)); err != nil {
		return err
	}
	r.warn(&parsed)
	return nil
}

// RegistryPolicy returns the policy of the registry.
// Action: ecr:GetRegistryPolicy. Errors: errs.Denied, Unauthenticated, PolicyUnknown.
func (r *Registry) RegistryPolicy(ctx context.Context, c iam.Caller) (string, error) {
	if err := r.overall(ctx, c, iam.GetRegistryPolicy, "*"); err != nil {
		return "", err
	}
	p, err := r.db.RegistryPolicy(ctx)
	if err == nil && p.Policy == nil {
		err = r.noRegistryPolicy()
	}
	return string(p.Document), err
}

// DeleteRegistryPolicy takes the policy of the registry away, and returns it.
// Action: ecr:DeleteRegistryPolicy. Errors: as RegistryPolicy.
func (r *Registry) DeleteRegistryPolicy(ctx context.Context, c iam.Caller) (string, error) {
	if err := r.overall(ctx, c, iam.DeleteRegistryPolicy, "*"); err != nil {
		return "", err
	}
	text, err := r.db.DeleteRegistryPolicy(ctx)
	if errs.CodeOf(err) == errs.PolicyUnknown {
		err = r.noRegistryPolicy()
	}
	return string(text), err
}

// invalidPolicy is ECR's sentence about a policy, with what is wrong.
func invalidPolicy(of, why string) error {
	return errs.New(errs.ParamInvalid, "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid %s policy provided': %s", of, why)
}

func (r *Registry) noPolicy(repo string) error {
	return errs.New(errs.PolicyUnknown, "Repository policy does not exist for the repository with name '%s' in the registry with id '%s'", repo, r.id)
}

func (r *Registry) noRegistryPolicy() error {
	return errs.New(errs.PolicyUnknown, "Registry policy does not exist in the registry with id '%s'", r.id)
}
