package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/rule"
)

// templatesPath is the section of repository creation templates.
const templatesPath = Path + "templates"

// templatePath is the page of one. A prefix may have slashes, so it is no part of the path.
func templatePath(prefix string) string {
	return Path + "template?prefix=" + url.QueryEscape(prefix)
}

// templateRoutes has the pages of repository creation templates.
func (c *console) templateRoutes() {
	c.page("GET /console/templates", (*visit).templates)
	c.page("GET /console/templates/new", (*visit).newTemplatePage)
	c.page("POST /console/templates/new", (*visit).newTemplate)
	c.page("GET /console/template", (*visit).templatePage)
	c.page("POST /console/template", (*visit).changeTemplate)
	c.page("GET /console/template/delete", (*visit).deleteTemplatePage)
	c.page("POST /console/template/delete", (*visit).deleteTemplate)
}

// templatesAtOnce is how many templates a page has.
const templatesAtOnce = 100

type templatesPage struct {
	Templates   []*rule.Template
	After, Next string
}

func (v *visit) templates() error {
	p := templatesPage{After: v.query("after")}
	var err error
	if p.Templates, p.Next, err = v.Admin.Templates(v.ctx(), v.caller(), nil, p.After, templatesAtOnce); err != nil {
		return err
	}
	return v.show(http.StatusOK, "templates", &Page{Title: v.T("Repository creation templates"), Section: templatesPath, Data: p})
}

// templateForm is a template as a form has it.
type templateForm struct {
	New      bool
	Declared bool // it is the configuration's
	Prefix   string
	For      []choice
	About    string // the description

	Mutability []choice
	Exclusions string // one to a line
	Tags       []rule.ResourceTag
	Role       string
	Policy     string
	Lifecycle  string

	Was string // stands for the template that the form was made of
}

// choice is something that can be chosen.
type choice struct {
	Value string
	About string // a text; "": the value says it
	Has   bool
}

// appliedFor returns what a template may be for, with a mark at what this one is.
func appliedFor(has []string) []choice {
	return []choice{
		{rule.ForPullThrough, "The first pull through a rule makes a repository.", slices.Contains(has, rule.ForPullThrough)},
		{rule.ForCreateOnPush, "A push to a name that is no repository makes one.", slices.Contains(has, rule.ForCreateOnPush)},
		{rule.ForReplication, "Replication from another registry makes a repository.", slices.Contains(has, rule.ForReplication)},
	}
}

func mutabilities(is string) []choice {
	return []choice{
		{rule.Mutable, "Tags may be moved", is == rule.Mutable},
		{rule.Immutable, "Tags stay what they are", is == rule.Immutable},
		{rule.MutableWithExclusion, "Tags may be moved, but for those of the filters", is == rule.MutableWithExclusion},
		{rule.ImmutableWithExclusion, "Tags stay what they are, but for those of the filters", is == rule.ImmutableWithExclusion},
	}
}

// moreTags is how many empty rows there are for further tags.
const moreTags = 3

func templateFormOf(t *rule.Template) templateForm {
	f := templateForm{
		Declared: t.Declared, Prefix: t.Prefix, For: appliedFor(t.AppliedFor), About: t.Description,
		Mutability: mutabilities(t.Mutability), Exclusions: strings.Join(t.Exclusions, "\n"), Tags: slices.Clone(t.Tags),
		Role: t.CustomRole, Policy: t.RepositoryPolicy, Lifecycle: t.LifecyclePolicy,
	}
	f.Was = fingerprint(f)
	if !t.Declared {
		f.Tags = append(f.Tags, make([]rule.ResourceTag, moreTags)...)
	}
	return f
}

// templateInput reads the form. Everything is in it, so that what was emptied is.
func (v *visit) templateInput() admin.TemplateInput {
	description, role := v.formText("description"), v.formValue("role")
	policy, lifecycle := v.formText("policy"), v.formText("lifecycle")
	return admin.TemplateInput{
		Prefix: v.formValue("prefix"), AppliedFor: append([]string{}, v.r.PostForm["for"]...), Description: &description,
		Mutability: v.formValue("mutability"), Exclusions: v.formLines("exclusions"), Tags: v.formTags(), CustomRole: &role,
		RepositoryPolicy: &policy, LifecyclePolicy: &lifecycle,
	}
}

// formTags reads the rows of tags; one without key and value is none.
func (v *visit) formTags() []rule.ResourceTag {
	keys, values := v.r.PostForm["tag-key"], v.r.PostForm["tag-value"]
	tags := []rule.ResourceTag{}
	for i, key := range keys {
		t := rule.ResourceTag{Key: key}
		if i < len(values) {
			t.Value = values[i]
		}
		if strings.TrimSpace(t.Key+t.Value) != "" {
			tags = append(tags, t)
		}
	}
	return tags
}

// showTemplate shows the form, as it was filled in where it was refused.
func (v *visit) showTemplate(cause error, f templateForm) error {
	page := &Page{Title: v.T("Template %s", f.Prefix), Section: templatesPath, Data: f}
	if f.New {
		page.Title = v.T("Create template")
	}
	if cause != nil {
		return v.refuseIn(cause, "template", page)
	}
	return v.show(http.StatusOK, "template", page)
}

// filled is the form as it was sent.
func filled(in admin.TemplateInput) templateForm {
	return templateFormOf(&rule.Template{
		Prefix: in.Prefix, AppliedFor: in.AppliedFor, Description: *in.Description, Mutability: in.Mutability, Exclusions: in.Exclusions,
		Tags: in.Tags, CustomRole: *in.CustomRole, RepositoryPolicy: *in.RepositoryPolicy, LifecyclePolicy: *in.LifecyclePolicy,
	})
}

func (v *visit) newTemplatePage() error {
	if err := v.Admin.May(v.ctx(), v.caller(), "ecr:CreateRepositoryCreationTemplate"); err != nil {
		return err
	}
	f := templateFormOf(&rule.Template{Mutability: rule.Mutable, AppliedFor: []string{rule.ForPullThrough}})
	f.New = true
	return v.showTemplate(nil, f)
}

func (v *visit) newTemplate() error {
	in := v.templateInput()
	v.does("ecr:CreateRepositoryCreationTemplate", in.Prefix)
	t, err := v.Admin.CreateTemplate(v.ctx(), v.caller(), in)
	if err != nil {
		f := filled(in)
		f.New = true
		return v.showTemplate(err, f)
	}
	return v.templateDone(t.Prefix, "The template was created.")
}

// templateDone goes to a template's page, if the visitor may see it.
func (v *visit) templateDone(prefix, done string) error {
	if v.Admin.May(v.ctx(), v.caller(), "ecr:DescribeRepositoryCreationTemplates") != nil {
		return v.done(Path, done)
	}
	return v.done(templatePath(prefix), done)
}

// template finds a template by the prefix that the visit names.
func (v *visit) template(prefix string) (*rule.Template, error) {
	found, _, err := v.Admin.Templates(v.ctx(), v.caller(), []string{prefix}, "", 0)
	if err == nil && len(found) == 0 {
		err = errs.New(errs.TemplateUnknown, "There is no repository creation template with the prefix %q.", prefix)
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

func (v *visit) templatePage() error {
	t, err := v.template(v.query("prefix"))
	if err != nil {
		return err
	}
	return v.showTemplate(nil, templateFormOf(t))
}

// changeTemplate changes what the form has another value for: to give repositories a policy
// or tags takes rights of its own, which nobody needs for what stays as it is.
func (v *visit) changeTemplate() error {
	in := v.templateInput()
	v.does("ecr:UpdateRepositoryCreationTemplate", in.Prefix)
	asSent := filled(in)
	asSent.Was = v.formValue("was")
	t, err := v.template(in.Prefix)
	if err != nil {
		return err
	}
	if err := v.Admin.May(v.ctx(), v.caller(), "ecr:UpdateRepositoryCreationTemplate"); err != nil {
		return v.showTemplate(err, asSent)
	}
	if !t.Declared && asSent.Was != templateFormOf(t).Was {
		return v.showTemplate(errs.New(errs.Conflict, "The template was changed since this form was loaded, and nothing was saved. What was typed is below: load the template's page again, and change what it has now."), asSent)
	}
	if same(*in.RepositoryPolicy, t.RepositoryPolicy) {
		in.RepositoryPolicy = nil
	}
	if same(*in.LifecyclePolicy, t.LifecyclePolicy) {
		in.LifecyclePolicy = nil
	}
	if slices.Equal(in.Tags, t.Tags) {
		in.Tags = nil
	}
	if _, err := v.Admin.UpdateTemplate(v.ctx(), v.caller(), in); err != nil {
		return v.showTemplate(err, asSent)
	}
	return v.templateDone(in.Prefix, "The template was saved.")
}

// same says whether a text that came from a form is what the form was given.
func same(sent, is string) bool { return sent == strings.TrimSpace(unix(is)) }

func (v *visit) deleteTemplateQuestion(prefix string) question {
	return question{
		Section: templatesPath,
		Title:   v.T("Delete template %s", prefix),
		Text:    []string{v.T("Repositories that were made by it stay as they are. Those that are made from now on follow the next template that fits, or none.")},
		Action:  Path + "template/delete", Fields: []field{{"prefix", prefix}}, Button: v.T("Delete template"), Back: templatePath(prefix),
	}
}

func (v *visit) deleteTemplatePage() error {
	t, err := v.template(v.query("prefix"))
	if err != nil {
		return err
	}
	if err := v.Admin.May(v.ctx(), v.caller(), "ecr:DeleteRepositoryCreationTemplate"); err != nil {
		return err
	}
	if t.Declared {
		return errs.New(errs.Conflict, "The repository creation template with the prefix %q is managed by configuration: it is deleted under templates in weir's configuration file.", t.Prefix)
	}
	return v.ask(v.deleteTemplateQuestion(t.Prefix))
}

func (v *visit) deleteTemplate() error {
	prefix := v.formValue("prefix")
	v.does("ecr:DeleteRepositoryCreationTemplate", prefix)
	if _, err := v.Admin.DeleteTemplate(v.ctx(), v.caller(), prefix); err != nil {
		return v.askAgain(err, v.deleteTemplateQuestion(prefix))
	}
	if v.Admin.May(v.ctx(), v.caller(), "ecr:DescribeRepositoryCreationTemplates") != nil {
		return v.done(Path, "The template was deleted.")
	}
	return v.done(templatesPath, "The template was deleted.")
}
