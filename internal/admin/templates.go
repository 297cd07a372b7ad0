package admin

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/lifecycle"
	"github.com/weir-registry/weir/internal/rule"
)

// TemplateInput is what a repository creation template is made from, or changed by, in
// ECR's words. To a change, what is empty or nil is as it was; a list that is empty and
// not nil empties it, and so does a text.
type TemplateInput struct {
	Prefix      string // a slash at its end does not count
	AppliedFor  []string
	Description *string
	Mutability  string // imageTagMutability
	Exclusions  []string
	Tags        []rule.ResourceTag // resourceTags
	CustomRole  *string            // customRoleArn

	RepositoryPolicy *string // a document
	LifecyclePolicy  *string // a document

	// What weir has not is refused in words where it asks for something.
	EncryptionType string // AES256 asks for nothing
}

// The bounds of a template's parts, in characters.
const (
	maxTemplatePrefix      = 256
	maxTemplateDescription = 256
)

// CreateTemplate creates a repository creation template. Repositories that are there
// stay as they are. Action: ecr:CreateRepositoryCreationTemplate, and those of what it
// gives the repositories. Errors: errs.ParamInvalid, errs.Unsupported, errs.TagInvalid and errs.LimitExceeded
// (resource tags), errs.TemplateExists.
func (a *Admin) CreateTemplate(ctx context.Context, c iam.Caller, in TemplateInput) (*rule.Template, error) {
	if err := a.mayTemplate(ctx, c, "ecr:CreateRepositoryCreationTemplate", in); err != nil {
		return nil, err
	}
	t := &rule.Template{Prefix: bare(in.Prefix), Mutability: rule.Mutable}
	if len(t.Prefix) > maxTemplatePrefix || rule.ValidPrefix(t.Prefix) != nil {
		return nil, invalid("prefix", "it is neither a repository name nor ROOT")
	}
	if err := checkAppliedFor(in.AppliedFor); err != nil {
		return nil, err
	}
	if err := in.change(t, a.o.Strict); err != nil {
		return nil, err
	}
	err := a.changeTemplate(ctx, t.Prefix, func(old *rule.Template, _ int) (*rule.Template, error) {
		if old != nil {
			managed := ""
			if old.Declared {
				managed = " It is managed by configuration."
			}
			return nil, errs.New(errs.TemplateExists, "The repository creation template with the prefix '%s' already exists for the private registry with id '%s'. Specify a unique prefix and try again.%s", t.Prefix, a.o.ID, managed)
		}
		t.Created = a.now()
		t.Updated = t.Created
		return t, nil
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// mayTemplate returns nil if c may do action with what a template is made from or changed
// by. What it gives to repositories, whoever makes them, c has to have the right to give,
// on all that its prefix names: or it would be a way to what c may not do. Taking away
// what a template gives is no more than the template.
// Errors: errs.Denied, errs.Unauthenticated.
func (a *Admin) mayTemplate(ctx context.Context, c iam.Caller, action string, in TemplateInput) error {
	asked := []iam.Request{{Action: action, Resource: anything}}
	repositories := "arn:aws:ecr:" + a.o.Region + ":" + a.o.ID + ":repository/*"
	if prefix := bare(in.Prefix); prefix != rule.Root {
		repositories = strings.TrimSuffix(repositories, "*") + prefix + "/*"
	}
	if in.RepositoryPolicy != nil && *in.RepositoryPolicy != "" {
		asked = append(asked, iam.Request{Action: iam.SetRepositoryPolicy, Resource: repositories})
	}
	if in.LifecyclePolicy != nil && *in.LifecyclePolicy != "" {
		asked = append(asked, iam.Request{Action: "ecr:PutLifecyclePolicy", Resource: repositories})
	}
	if len(in.Tags) > 0 {
		asked = append(asked, iam.Request{Action: "ecr:TagResource", Resource: repositories, Context: rule.TagKeys(in.Tags)})
	}
	for _, q := range asked {
		if err := a.mayDo(ctx, c, q); err != nil {
			return err
		}
	}
	return nil
}

// Templates returns up to limit templates after the prefix after, in the order of their
// prefixes, and the prefix to go on after, "" at the end; a limit under 1 is none. With
// prefixes it returns those of them that have one, and after and limit do not count.
// Action: ecr:DescribeRepositoryCreationTemplates.
func (a *Admin) Templates(ctx context.Context, c iam.Caller, prefixes []string, after string, limit int) (templates []*rule.Template, nextAfter string, err error) {
	if err := a.may(ctx, c, "ecr:DescribeRepositoryCreationTemplates"); err != nil {
		return nil, "", err
	}
	all := a.templates.Load().List()
	if len(prefixes) == 0 {
		from := sort.Search(len(all), func(i int) bool { return all[i].Prefix > after })
		templates, nextAfter = next(all[from:], limit, func(t *rule.Template) string { return t.Prefix })
		return templates, nextAfter, nil
	}
	for _, p := range prefixes {
		i := slices.IndexFunc(all, func(t *rule.Template) bool { return t.Prefix == bare(p) })
		if i >= 0 && !slices.Contains(templates, all[i]) {
			templates = append(templates, all[i])
		}
	}
	return templates, "", nil
}

// UpdateTemplate changes what in names of a template.
// Action: ecr:UpdateRepositoryCreationTemplate, and as CreateTemplate those of what in
// gives. Errors: errs.TemplateUnknown, errs.Conflict for a template of the configuration,
// and as CreateTemplate.
func (a *Admin) UpdateTemplate(ctx context.Context, c iam.Caller, in TemplateInput) (*rule.Template, error) {
	if err := a.mayTemplate(ctx, c, "ecr:UpdateRepositoryCreationTemplate", in); err != nil {
		return nil, err
	}
	var updated *rule.Template
	err := a.changeThere(ctx, in.Prefix, func(t *rule.Template) (*rule.Template, error) {
		if err := in.change(t, a.o.Strict); err != nil {
			return nil, err
		}
		t.Updated = a.now()
		updated = t
		return t, nil
	})
	if err != nil {
		return nil, err
	}
	return updated, nil
}

// DeleteTemplate deletes a template and returns it. Repositories stay as they are.
// Action: ecr:DeleteRepositoryCreationTemplate. Errors: errs.TemplateUnknown,
// errs.Conflict for a template of the configuration.
func (a *Admin) DeleteTemplate(ctx context.Context, c iam.Caller, prefix string) (*rule.Template, error) {
	if err := a.may(ctx, c, "ecr:DeleteRepositoryCreationTemplate"); err != nil {
		return nil, err
	}
	var deleted *rule.Template
	err := a.changeThere(ctx, prefix, func(t *rule.Template) (*rule.Template, error) {
		deleted = t
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	return deleted, nil
}

// change makes a template what the input says. strict takes only lifecycle policies that
// ECR takes.
func (in *TemplateInput) change(t *rule.Template, strict bool) error {
	if err := in.refuse(); err != nil {
		return err
	}
	if in.AppliedFor != nil {
		if err := checkAppliedFor(in.AppliedFor); err != nil {
			return err
		}
		t.AppliedFor = in.AppliedFor
	}
	if in.Description != nil {
		t.Description = *in.Description
	}
	if in.CustomRole != nil {
		t.CustomRole = *in.CustomRole
	}
	if in.RepositoryPolicy != nil {
		if _, err := iam.ParseRepositoryPolicy([]byte(*in.RepositoryPolicy)); err != nil && *in.RepositoryPolicy != "" {
			return invalid("repositoryPolicy", "Invalid repository policy provided: "+iam.Fault(err))
		}
		t.RepositoryPolicy = *in.RepositoryPolicy
	}
	if in.LifecyclePolicy != nil {
		if _, err := lifecycle.Parse(*in.LifecyclePolicy, strict); err != nil && *in.LifecyclePolicy != "" {
			return invalid("lifecyclePolicy", errs.As(err).Msg)
		}
		t.LifecyclePolicy = *in.LifecyclePolicy
	}
	if in.Tags != nil {
		tags, err := rule.SetResourceTags(nil, in.Tags)
		if err != nil {
			return err
		}
		t.Tags = tags
	}
	if in.Mutability != "" {
		t.Mutability = in.Mutability
		if in.Mutability == rule.Mutable || in.Mutability == rule.Immutable {
			t.Exclusions = nil // those it had were another mutability's
		}
	}
	if in.Exclusions != nil {
		t.Exclusions = in.Exclusions
	}
	return rule.ValidMutability(t.Mutability, t.Exclusions)
}

// refuse says what weir cannot do of the input.
func (in *TemplateInput) refuse() error {
	switch {
	case in.Description != nil && utf8.RuneCountInString(*in.Description) > maxTemplateDescription:
		return invalid("description", fmt.Sprintf("it is longer than %d characters", maxTemplateDescription))
	case in.CustomRole != nil && len(*in.CustomRole) > maxRole:
		return invalid("customRoleArn", fmt.Sprintf("it is longer than %d bytes", maxRole))
	case in.EncryptionType != "" && in.EncryptionType != "AES256":
		return errs.New(errs.Unsupported, "weir has no keys of a KMS: leave encryptionConfiguration out, or set encryptionType to AES256. Nothing was changed.")
	}
	return nil
}

func checkAppliedFor(all []string) error {
	if len(all) == 0 {
		return invalid("appliedFor", "it is required")
	}
	for i, one := range all {
		switch one {
		case rule.ForReplication, rule.ForPullThrough, rule.ForCreateOnPush:
		default:
			return invalid("appliedFor", "it is none of ECR's")
		}
		if slices.Contains(all[:i], one) {
			return invalid("appliedFor", one+" is there twice")
		}
	}
	return nil
}

// changeThere changes a template that is there, if the API may change it.
func (a *Admin) changeThere(ctx context.Context, prefix string, f func(*rule.Template) (*rule.Template, error)) error {
	prefix = bare(prefix)
	unknown := errs.New(errs.TemplateUnknown, "The repository creation template with the prefix '%s' does not exist for the private registry with id '%s'.", prefix, a.o.ID)
	if rule.ValidPrefix(prefix) != nil {
		return unknown
	}
	return a.changeTemplate(ctx, prefix, func(old *rule.Template, _ int) (*rule.Template, error) {
		switch {
		case old == nil:
			return nil, unknown
		case old.Declared:
			return nil, errs.New(errs.Conflict, "The repository creation template with the prefix '%s' is managed by configuration: it is changed under templates in weir's configuration file.", prefix)
		}
		return f(old)
	})
}

// changeTemplate changes a stored template and publishes the templates, one call at a
// time.
func (a *Admin) changeTemplate(ctx context.Context, prefix string, f func(old *rule.Template, n int) (*rule.Template, error)) error {
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := a.o.DB.ChangeTemplate(ctx, prefix, f); err != nil {
		return err
	}
	// The change is durable: who asked for it may leave, the rest is to be told.
	return a.loadTemplates(context.WithoutCancel(ctx))
}

// declareTemplates makes the declared templates what the configuration says, and loads
// all.
func (a *Admin) declareTemplates(ctx context.Context) error {
	replaced, err := a.o.DB.DeclareTemplates(ctx, a.o.DeclaredTemplates, a.now())
	if err != nil {
		return err
	}
	for _, prefix := range replaced {
		a.o.Logger.Warn("template of the API replaced by the configuration", "prefix", prefix)
	}
	return a.loadTemplates(ctx)
}

// loadTemplates makes the stored templates those that hold.
func (a *Admin) loadTemplates(ctx context.Context) error {
	templates, err := a.o.DB.Templates(ctx)
	if err != nil {
		return err
	}
	set := rule.NewTemplates(templates)
	a.templates.Store(set)
	a.o.TemplatesChanged(set)
	return nil
}
