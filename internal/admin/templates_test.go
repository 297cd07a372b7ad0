package admin_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/rule"
)

var onPush = []string{rule.ForCreateOnPush}

func (h *house) template(in admin.TemplateInput) *rule.Template {
	h.t.Helper()
	t, err := h.CreateTemplate(h.t.Context(), root, in)
	check(h.t, err)
	return t
}

// anyone is a policy of repositories in a spelling of its own.
const anyone = `{"Statement": [{"Effect":"Allow", "Principal":"*", "Action":"ecr:BatchGetImage"}]}`

// unpulled is a lifecycle policy in a spelling of its own.
const unpulled = `{ "rules": [{"rulePriority": 7, "selection": {"tagStatus":"any","countType":"sinceImagePulled","countUnit":"days","countNumber":60}, "action":{"type":"expire"}}]}`

func TestTemplates(t *testing.T) {
	ctx := t.Context()
	h := newHouse(t)
	diff(t, "none at first", 0, len(h.made.List()))
	full := h.template(admin.TemplateInput{
		Prefix: "prod/team/", AppliedFor: []string{rule.ForPullThrough, rule.ForCreateOnPush}, Description: new("d"),
		Mutability: rule.ImmutableWithExclusion, Exclusions: []string{"dev*"}, Tags: []rule.ResourceTag{{Key: "b", Value: "1"}, {Key: "a"}},
		CustomRole: new("arn:aws:iam::123456789012:role/r"), EncryptionType: "AES256",
		RepositoryPolicy: new(anyone), LifecyclePolicy: new(unpulled),
	})
	want := &rule.Template{
		Prefix: "prod/team", AppliedFor: []string{rule.ForPullThrough, rule.ForCreateOnPush}, Description: "d",
		Mutability: rule.ImmutableWithExclusion, Exclusions: []string{"dev*"}, Tags: []rule.ResourceTag{{Key: "b", Value: "1"}, {Key: "a"}},
		CustomRole: "arn:aws:iam::123456789012:role/r", Created: h.now, Updated: h.now,
		RepositoryPolicy: anyone, LifecyclePolicy: unpulled,
	}
	diff(t, "created", want, full)
	bare := h.template(admin.TemplateInput{Prefix: rule.Root, AppliedFor: onPush})
	diff(t, "defaults", &rule.Template{Prefix: rule.Root, AppliedFor: onPush, Mutability: rule.Mutable, Created: h.now, Updated: h.now}, bare)
	diff(t, "what holds for a push", want, h.made.For("prod/team/app", rule.ForCreateOnPush))

	_, err := h.CreateTemplate(ctx, root, admin.TemplateInput{Prefix: "prod/team", AppliedFor: onPush})
	wantCode(t, "twice", errs.TemplateExists, err)

	h.pass(time.Hour)
	got, err := h.UpdateTemplate(ctx, root, admin.TemplateInput{Prefix: "prod/team/", Mutability: rule.Mutable, Tags: []rule.ResourceTag{}})
	check(t, err)
	want.Mutability, want.Exclusions, want.Tags, want.Updated = rule.Mutable, nil, nil, h.now
	diff(t, "updated", want, got)
	diff(t, "what holds then", want, h.made.For("prod/team/app", rule.ForPullThrough))
	_, err = h.UpdateTemplate(ctx, root, admin.TemplateInput{Prefix: "prod/team", Mutability: rule.MutableWithExclusion})
	wantCode(t, "update without the filters that it needs", errs.ParamInvalid, err)
	_, err = h.UpdateTemplate(ctx, root, admin.TemplateInput{Prefix: "prod/team", AppliedFor: []string{}})
	wantCode(t, "update to nothing", errs.ParamInvalid, err)

	got, err = h.UpdateTemplate(ctx, root, admin.TemplateInput{Prefix: "prod/team", RepositoryPolicy: new("")})
	check(t, err)
	want.RepositoryPolicy = ""
	diff(t, "without its policy", want, got)

	h.start()
	all, next, err := h.Templates(ctx, root, nil, "", 1)
	check(t, err)
	diff(t, "first page", []*rule.Template{bare}, all)
	all, next, err = h.Templates(ctx, root, nil, next, 1)
	check(t, err)
	diff(t, "last page", []*rule.Template{want}, all)
	diff(t, "and its end", "", next)
	all, _, err = h.Templates(ctx, root, []string{"nowhere", "prod/team/", "prod/team"}, "", 0)
	check(t, err)
	diff(t, "by prefix", []*rule.Template{want}, all)

	got, err = h.DeleteTemplate(ctx, root, "prod/team/")
	check(t, err)
	diff(t, "deleted", want, got)
	for _, prefix := range []string{"prod/team", "A B"} {
		_, err = h.DeleteTemplate(ctx, root, prefix)
		wantCode(t, "delete of none", errs.TemplateUnknown, err)
		_, err = h.UpdateTemplate(ctx, root, admin.TemplateInput{Prefix: prefix})
		wantCode(t, "update of none", errs.TemplateUnknown, err)
	}
	if h.made.For("prod/team/app", rule.ForPullThrough) != nil {
		t.Error("the template still holds")
	}
}

// TestTemplateRights: what a template gives to repositories its author has to have the
// right to give to all that its prefix names, and to take it away again needs no more than
// the right to templates.
func TestTemplateRights(t *testing.T) {
	ctx := t.Context()
	const prod = "arn:aws:ecr:local:" + registryID + ":repository/prod/*"
	create, update := "ecr:CreateRepositoryCreationTemplate", "ecr:UpdateRepositoryCreationTemplate"
	policy := admin.TemplateInput{RepositoryPolicy: new(anyone)}
	cycle := admin.TemplateInput{LifecyclePolicy: new(unpulled)}
	tags := admin.TemplateInput{Tags: []rule.ResourceTag{{Key: "team", Value: "a"}}}
	// may is allowed all of actions on resource, and those on templates wherever they are.
	may := func(resource string, actions ...string) iam.Caller {
		c := allow(resource, actions...)
		c.Policies = append(c.Policies, allow("*", create, update).Policies...)
		return c
	}
	denied := func(c iam.Caller, action, resource string) iam.Caller {
		c.Policies = append(c.Policies, iam.Policy{Statements: []iam.Statement{{Deny: true, Actions: []string{action}, Resources: []string{resource}}}})
		return c
	}
	tagger, err := iam.ParsePolicy([]byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:*Template"],"Resource":"*"},
		{"Effect":"Allow","Action":"ecr:TagResource","Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/team":"b"}}}]}`))
	check(t, err)
	all := []string{"ecr:SetRepositoryPolicy", "ecr:PutLifecyclePolicy", "ecr:TagResource"}
	for name, tt := range map[string]struct {
		c      iam.Caller
		prefix string
		in     admin.TemplateInput
		needs  string // "": nothing that c has not
	}{
		"nothing given":                  {may(prod), "prod", admin.TemplateInput{Description: new("d")}, ""},
		"nothing in it":                  {may(prod), "prod", admin.TemplateInput{RepositoryPolicy: new(""), LifecyclePolicy: new(""), Tags: []rule.ResourceTag{}}, ""},
		"a policy":                       {may(prod, all[1:]...), "prod", policy, "ecr:SetRepositoryPolicy on resource: " + prod},
		"a policy, allowed":              {may(prod, all[0]), "prod/", policy, ""},
		"a policy, further down":         {may(prod, all[0]), "prod/team", policy, ""},
		"a policy, of one repository":    {may(strings.TrimSuffix(prod, "*")+"app", all[0]), "prod", policy, "ecr:SetRepositoryPolicy"},
		"a policy, of a name beside":     {may(prod, all[0]), "production", policy, "ecr:SetRepositoryPolicy"},
		"a policy, of all":               {may(prod, all[0]), rule.Root, policy, "ecr:SetRepositoryPolicy"},
		"a policy, of all, allowed":      {may("*", all[0]), rule.Root, policy, ""},
		"a policy, denied":               {denied(may("*", all...), all[0], prod), "prod", policy, "ecr:SetRepositoryPolicy"},
		"a lifecycle policy":             {may(prod, all[0], all[2]), "prod", cycle, "ecr:PutLifecyclePolicy"},
		"a lifecycle policy, allowed":    {may(prod, all[1]), "prod", cycle, ""},
		"tags":                           {may(prod, all[:2]...), "prod", tags, "ecr:TagResource"},
		"tags, allowed":                  {may(prod, all[2]), "prod", tags, ""},
		"tags, others are allowed":       {iam.Caller{Name: "ann", Account: registryID, Policies: []iam.Policy{tagger}}, "prod", tags, "ecr:TagResource"},
		"what is malformed, by a nobody": {may(prod), "prod", admin.TemplateInput{RepositoryPolicy: new("{}")}, "ecr:SetRepositoryPolicy"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			in := tt.in
			in.Prefix, in.AppliedFor = tt.prefix, onPush
			before := h.commits.Load()
			_, err := h.CreateTemplate(ctx, tt.c, in)
			refused := func(what string) {
				t.Helper()
				if e := errs.As(err); tt.needs != "" && (e == nil || e.Code != errs.Denied || !strings.Contains(e.Msg, tt.needs)) || tt.needs == "" && err != nil {
					t.Errorf("%s: %v, want to be refused %q", what, err, tt.needs)
				}
			}
			refused("create")
			if tt.needs != "" {
				if h.commits.Load() != before {
					t.Error("something was written")
				}
				h.template(admin.TemplateInput{Prefix: tt.prefix, AppliedFor: onPush})
			}
			before = h.commits.Load()
			_, err = h.UpdateTemplate(ctx, tt.c, in)
			refused("update")
			if tt.needs != "" && h.commits.Load() != before {
				t.Error("something was written by an update")
			}
		})
	}
}

func TestBadTemplates(t *testing.T) {
	h := newHouse(t)
	for name, tt := range map[string]struct {
		in   admin.TemplateInput
		code errs.Code
		msg  string
	}{
		"no prefix":        {admin.TemplateInput{AppliedFor: onPush}, errs.ParamInvalid, "'prefix'"},
		"malformed prefix": {admin.TemplateInput{Prefix: "A", AppliedFor: onPush}, errs.ParamInvalid, "'prefix'"},
		"long prefix":      {admin.TemplateInput{Prefix: strings.Repeat("a", 257), AppliedFor: onPush}, errs.ParamInvalid, "'prefix'"},
		"for nothing":      {admin.TemplateInput{Prefix: "a"}, errs.ParamInvalid, "'appliedFor'"},
		"for another":      {admin.TemplateInput{Prefix: "a", AppliedFor: []string{"PULL"}}, errs.ParamInvalid, "'appliedFor'"},
		"for one twice":    {admin.TemplateInput{Prefix: "a", AppliedFor: []string{rule.ForCreateOnPush, rule.ForCreateOnPush}}, errs.ParamInvalid, "there twice"},
		"description":      {admin.TemplateInput{Prefix: "a", AppliedFor: onPush, Description: new(strings.Repeat("€", 257))}, errs.ParamInvalid, "'description'"},
		"role":             {admin.TemplateInput{Prefix: "a", AppliedFor: onPush, CustomRole: new(strings.Repeat("a", 2049))}, errs.ParamInvalid, "'customRoleArn'"},
		"mutability":       {admin.TemplateInput{Prefix: "a", AppliedFor: onPush, Mutability: "FROZEN"}, errs.ParamInvalid, "'imageTagMutability'"},
		"filters":          {admin.TemplateInput{Prefix: "a", AppliedFor: onPush, Exclusions: []string{"a"}}, errs.ParamInvalid, "'imageTagMutabilityExclusionFilters'"},
		"a tag twice":      {admin.TemplateInput{Prefix: "a", AppliedFor: onPush, Tags: []rule.ResourceTag{{Key: "k"}, {Key: "k"}}}, errs.TagInvalid, "there twice"},
		"KMS":              {admin.TemplateInput{Prefix: "a", AppliedFor: onPush, EncryptionType: "KMS"}, errs.Unsupported, "KMS"},
		"policy":           {admin.TemplateInput{Prefix: "a", AppliedFor: onPush, RepositoryPolicy: new("{}")}, errs.ParamInvalid, "'repositoryPolicy' failed to satisfy constraint: 'Invalid repository policy provided: it has no Statement'"},
		"lifecycle":        {admin.TemplateInput{Prefix: "a", AppliedFor: onPush, LifecyclePolicy: new("{}")}, errs.ParamInvalid, `'lifecyclePolicy' failed to satisfy constraint: 'Lifecycle policy validation failure: object has missing required properties (["rules"])'`},
	} {
		t.Run(name, func(t *testing.T) {
			before := h.commits.Load()
			_, err := h.CreateTemplate(t.Context(), root, tt.in)
			wantCode(t, "create", tt.code, err)
			if e := errs.As(err); e == nil || !strings.Contains(e.Msg, tt.msg) {
				t.Errorf("%v does not say %q", err, tt.msg)
			}
			if h.commits.Load() != before {
				t.Error("something was written")
			}
		})
	}
}

func TestDeclaredTemplates(t *testing.T) {
	ctx := t.Context()
	var log bytes.Buffer
	h := newHouse(t)
	h.template(admin.TemplateInput{Prefix: "taken", AppliedFor: onPush})
	h.template(admin.TemplateInput{Prefix: "api", AppliedFor: onPush})
	h.start(func(o *admin.Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		o.DeclaredTemplates = []rule.Template{{Prefix: "taken", AppliedFor: onPush, Mutability: rule.Immutable}}
	})
	if !strings.Contains(log.String(), "prefix=taken") {
		t.Errorf("the log does not tell what gave way: %s", &log)
	}
	if one := h.made.For("taken/app", rule.ForCreateOnPush); one == nil || !one.Declared || one.Mutability != rule.Immutable {
		t.Errorf("what holds: %+v", one)
	}
	_, err := h.UpdateTemplate(ctx, root, admin.TemplateInput{Prefix: "taken", Description: new("d")})
	wantCode(t, "update", errs.Conflict, err)
	_, err = h.DeleteTemplate(ctx, root, "taken")
	wantCode(t, "delete", errs.Conflict, err)
	_, err = h.CreateTemplate(ctx, root, admin.TemplateInput{Prefix: "taken", AppliedFor: onPush})
	if e := errs.As(err); e == nil || e.Code != errs.TemplateExists || !strings.Contains(e.Msg, "managed by configuration") {
		t.Errorf("create: %v", err)
	}
	h.start()
	all, _, err := h.Templates(ctx, root, nil, "", 0)
	check(t, err)
	if len(all) != 1 || all[0].Prefix != "api" {
		t.Errorf("templates after the configuration lost its own: %v", all)
	}
}
