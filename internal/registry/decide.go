package registry

import (
	"context"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

// place is a repository as it is decided on.
type place struct {
	rule   *rule.Rule // nil: no rule fills it
	name   string     // canonical
	access meta.Access
}

// place finds a repository by a name that a client gives. What was pushed before a rule
// took its prefix is no rule's, by whichever of its names it is called: the upstream may
// have another repository of this name, and its images are not those.
func (r *Registry) place(ctx context.Context, repo string) (place, error) {
	if _, err := oci.ParseRepository(repo); err != nil {
		return place{}, err
	}
	access, err := r.db.Access(ctx, repo)
	if err != nil {
		return place{}, err
	}
	rl, name := r.rules.Load().Match(repo)
	if rl == nil || access.Kind == meta.Own {
		return place{nil, repo, access}, nil
	}
	if name != repo {
		if access, err = r.db.Access(ctx, name); access.Kind == meta.Own {
			rl = nil
		}
	}
	return place{rl, name, access}, err
}

// placeOf is place for a repository that is there.
func (r *Registry) placeOf(ctx context.Context, row *meta.Repository) (place, error) {
	rl, name := r.rules.Load().Match(row.Name)
	switch {
	case rl == nil || row.Kind == meta.Own:
		return place{nil, row.Name, row.Access()}, nil
	case name != row.Name:
		return r.place(ctx, row.Name)
	}
	return place{rl, name, row.Access()}, nil
}

// decide returns the rule of a repository, nil for none, and its canonical name, if c
// may do action there.
func (r *Registry) decide(ctx context.Context, c iam.Caller, action, repo string) (*rule.Rule, string, error) {
	return r.decideWith(ctx, c, iam.Request{Action: action}, repo)
}

// decideWith is decide for a request with condition keys of its own.
func (r *Registry) decideWith(ctx context.Context, c iam.Caller, q iam.Request, repo string) (*rule.Rule, string, error) {
	p, err := r.place(ctx, repo)
	if err == nil {
		err = r.permit(ctx, c, q, p)
	}
	if err != nil {
		return nil, "", err
	}
	return p.rule, p.name, nil
}

// permit returns nil if c may do what q asks for with a repository.
// Errors: errs.Denied, errs.Unauthenticated.
func (r *Registry) permit(ctx context.Context, c iam.Caller, q iam.Request, p place) error {
	all, err := r.db.RegistryPolicy(ctx)
	if err != nil {
		return err
	}
	return r.permitBy(c, q, p, all)
}

// permitBy is permit by the registry's policy all. Every decision on a repository is made
// here, by the policies of the caller, of the repository and of the registry.
func (r *Registry) permitBy(c iam.Caller, q iam.Request, p place, all meta.RegistryPolicy) error {
	q = r.request(q, p, all)
	if err := c.May(q); err != nil {
		return err
	}
	if c.Anonymous && !r.open(c, p.rule, p.name) {
		return errs.New(errs.Unauthenticated, "authentication required: anonymous callers are not authorized to perform %s on %s, which holds what needs a credential; a pattern that names it would allow it", q.Action, q.Resource)
	}
	return nil
}

// replicated returns what a caller asks for with action: who replicates needs another
// right in its place, and no allow of action. But an explicit deny of it holds: anybody
// can say in a header that this is replication. Errors: errs.Denied, NameInvalid.
func (r *Registry) replicated(ctx context.Context, c iam.Caller, action, repo string) (string, error) {
	if !c.Replicates {
		return action, nil
	}
	p, err := r.place(ctx, repo)
	if err != nil {
		return "", err
	}
	all, err := r.db.RegistryPolicy(ctx)
	if err != nil {
		return "", err
	}
	return iam.ReplicateImage, c.NotDenied(r.request(iam.Request{Action: action}, p, all))
}

// request completes q with what is known of a repository.
func (r *Registry) request(q iam.Request, p place, all meta.RegistryPolicy) iam.Request {
	q.Resource, q.Repository, q.Tags = r.ARN(p.name), p.access.Policy, p.access.Tags
	return r.overallBy(q, all)
}

// Decision is whether an action is allowed, and what decided that.
type Decision struct {
	Action  string
	Allowed bool
	Reason  string
}

// PullDecisions tells by which policies a pull from a repository by who is allowed or
// not, from where who.Context is. Action: ecr:GetRepositoryPolicy.
// Errors: errs.Denied, Unauthenticated, NameInvalid.
func (r *Registry) PullDecisions(ctx context.Context, c iam.Caller, repo string, who iam.Caller) ([]Decision, error) {
	p, err := r.place(ctx, repo)
	if err == nil {
		err = r.permit(ctx, c, iam.Request{Action: iam.GetRepositoryPolicy}, p)
	}
	if err != nil {
		return nil, err
	}
	all, err := r.db.RegistryPolicy(ctx)
	if err != nil {
		return nil, err
	}
	actions := []string{iam.BatchGetImage, iam.GetDownloadURLForLayer}
	if p.rule != nil {
		actions = append(actions, iam.BatchImportUpstreamImage)
	}
	var decisions []Decision
	for _, action := range actions {
		d := who.Decide(r.request(iam.Request{Action: action}, p, all))
		decisions = append(decisions, Decision{action, d.Allowed, d.Reason()})
	}
	return decisions, nil
}

// overall returns nil if c may do action on what is no single repository: on resource,
// by the policies of the caller and of the registry.
// Errors: errs.Denied, errs.Unauthenticated.
func (r *Registry) overall(ctx context.Context, c iam.Caller, action, resource string) error {
	all, err := r.db.RegistryPolicy(ctx)
	if err != nil {
		return err
	}
	return c.May(r.overallBy(iam.Request{Action: action, Resource: resource}, all))
}

// overallBy completes q with the registry's policy.
func (r *Registry) overallBy(q iam.Request, all meta.RegistryPolicy) iam.Request {
	if r.settings.Load().Decides(q.Action) {
		q.Registry = all.Policy
	}
	return q
}
