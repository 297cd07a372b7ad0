package console_test

import (
	"html"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/weirtest"
)

// template is a repository creation template as ECR's API tells it.
type template struct {
	Prefix                             string
	AppliedFor                         []string
	Description                        string
	ImageTagMutability                 string
	ImageTagMutabilityExclusionFilters []struct{ Filter string }
	ResourceTags                       []struct{ Key, Value string }
	CustomRoleArn                      string
	RepositoryPolicy                   string
	LifecyclePolicy                    string
}

func templates(t *testing.T, s *weirtest.Server) []template {
	t.Helper()
	var out struct{ RepositoryCreationTemplates []template }
	api(t, s, "AmazonEC2ContainerRegistry_V20150921.DescribeRepositoryCreationTemplates", struct{}{}, &out)
	return out.RepositoryCreationTemplates
}

const (
	repositoryPolicy = "{\n\"Statement\": [{\"Effect\": \"Allow\", \"Principal\": \"*\", \"Action\": \"ecr:BatchGetImage\"}]\n}"
	lifecyclePolicy  = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}`
)

func TestTemplates(t *testing.T) {
	s := weirtest.Start(t, "")
	b := signedIn(t, s, s.Key)
	b.get("/console/templates")
	b.shows(200, "There are no templates", `href="/console/templates/new"`, `aria-current="page">Repository creation templates`)
	b.get("/console/templates/new")
	b.shows(200, `value="PULL_THROUGH_CACHE" checked`, `value="MUTABLE" selected`, `maxlength="256"`)

	form := url.Values{
		"prefix": {"team/apps"}, "for": {"CREATE_ON_PUSH", "PULL_THROUGH_CACHE"}, "description": {"About " + markup}, "mutability": {"IMMUTABLE_WITH_EXCLUSION"},
		"exclusions": {"latest\r\n\r\n dev-* \r\n"}, "tag-key": {"a=b", "", "c"}, "tag-value": {"x y", "", ""}, "role": {"arn:aws:iam::123456789012:role/r"},
		"policy": {strings.ReplaceAll(repositoryPolicy, "\n", "\r\n")}, "lifecycle": {lifecyclePolicy},
	}
	for _, wrong := range []struct{ field, value, says string }{
		{"prefix", "Team", "neither a repository name nor ROOT"},
		{"prefix", "", "neither a repository name nor ROOT"},
		{"for", "SOMETHING", "it is none of ECR"},
		{"mutability", "MUTABLE", "has no exclusion filters"},
		{"exclusions", "", "needs 1 to 5 exclusion filters"},
		{"tag-key", "aws:x", "which is reserved"},
		{"policy", "{" + markup, "Invalid repository policy provided"},
		{"lifecycle", "{}" + markup, "lifecyclePolicy"},
		{"description", strings.Repeat("x", 257), "longer than 256 characters"},
	} {
		bad := url.Values{}
		for k, v := range form {
			bad[k] = v
		}
		bad[wrong.field] = []string{wrong.value}
		b.get("/console/templates/new")
		b.post("/console/templates/new", bad)
		b.shows(400, "This cannot be taken as it is.", wrong.says, "Create template", `name="prefix"`)
		b.lacks("<script>alert")
		if wrong.field != "exclusions" {
			b.shows(400, "dev-*")
		}
		if wrong.field != "lifecycle" {
			b.shows(400, html.EscapeString(`"rulePriority":1`))
		}
	}
	b.get("/console/templates/new")
	b.post("/console/templates/new", form)
	b.shows(200, "The template was created.", "Template team/apps", "About &lt;/textarea&gt;", `value="a=b"`, `value="x y"`)
	b.lacks("<script>alert")
	want := []template{{
		Prefix: "team/apps", AppliedFor: []string{"CREATE_ON_PUSH", "PULL_THROUGH_CACHE"}, Description: "About " + markup, ImageTagMutability: "IMMUTABLE_WITH_EXCLUSION",
		ImageTagMutabilityExclusionFilters: []struct{ Filter string }{{"latest"}, {"dev-*"}}, ResourceTags: []struct{ Key, Value string }{{"a=b", "x y"}, {"c", ""}},
		CustomRoleArn: "arn:aws:iam::123456789012:role/r", RepositoryPolicy: repositoryPolicy, LifecyclePolicy: lifecyclePolicy,
	}}
	if diff := cmp.Diff(want, templates(t, s)); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	b.get("/console/templates/new")
	b.post("/console/templates/new", form)
	b.shows(409, "already exists", `value="team/apps"`)
	b.get("/console/templates")
	b.shows(200, "/console/template?prefix=team%2fapps", "IMMUTABLE_WITH_EXCLUSION", "About &lt;/textarea&gt;")

	// Everything of it is emptied but what a template needs.
	b.get("/console/template?prefix=team/apps")
	b.post("/console/template", url.Values{"prefix": {"team/apps"}, "for": {"REPLICATION"}, "mutability": {"MUTABLE"}})
	b.shows(200, "The template was saved.")
	want = []template{{Prefix: "team/apps", AppliedFor: []string{"REPLICATION"}, ImageTagMutability: "MUTABLE"}}
	if diff := cmp.Diff(want, templates(t, s)); diff != "" {
		t.Errorf("emptied (-want +got):\n%s", diff)
	}
	b.post("/console/template", url.Values{"prefix": {"team/apps"}, "mutability": {"MUTABLE"}, "description": {"kept"}})
	b.shows(400, "it is required", `value="kept"`)
	b.get("/console/templates/new")
	b.post("/console/template", url.Values{"prefix": {"nowhere"}, "for": {"REPLICATION"}, "mutability": {"MUTABLE"}})
	b.shows(404)

	b.get("/console/template/delete?prefix=team/apps")
	b.shows(200, "Delete template team/apps")
	b.post("/console/template/delete", url.Values{"prefix": {"team/apps"}})
	b.shows(200, "The template was deleted.", "There are no templates")
	b.get("/console/template?prefix=team/apps")
	b.shows(404, "There is no repository creation template")
}

// TestDeclaredTemplates: those of the configuration are shown, and changed there only.
func TestDeclaredTemplates(t *testing.T) {
	s := weirtest.Start(t, "templates: [{prefix: ROOT, applied_for: [CREATE_ON_PUSH], description: mine, resource_tags: {team: blue}, repository_policy: '"+
		`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}]}`+"'}]\n")
	b := signedIn(t, s, s.Key)
	b.get("/console/templates")
	b.shows(200, "ROOT", ">configuration<")
	b.get("/console/template?prefix=ROOT")
	b.shows(200, "managed by the configuration", "CREATE_ON_PUSH", "mine", "Tag team", "blue", "ecr:BatchGetImage")
	b.lacks("<textarea", "/console/template/delete")
	b.get("/console/template/delete?prefix=ROOT")
	b.shows(409, "managed by configuration")
	b.get("/console/templates/new")
	b.post("/console/template", url.Values{"prefix": {"ROOT"}, "for": {"REPLICATION"}, "mutability": {"MUTABLE"}})
	b.shows(409, "managed by configuration")
	b.get("/console/templates/new")
	b.post("/console/template/delete", url.Values{"prefix": {"ROOT"}})
	b.shows(409, "managed by configuration", "Delete template ROOT")
}

// TestTemplateRights: who may change a template, and not give repositories a policy, may
// save what leaves the policy as it is.
func TestTemplateRights(t *testing.T) {
	s := weirtest.Start(t, "")
	api(t, s, "AmazonEC2ContainerRegistry_V20150921.CreateRepositoryCreationTemplate", map[string]any{
		"prefix": "team", "appliedFor": []string{"CREATE_ON_PUSH"}, "repositoryPolicy": repositoryPolicy + "\n", "lifecyclePolicy": lifecyclePolicy,
		"resourceTags": []map[string]string{{"Key": "a", "Value": "b"}},
	}, nil)
	clerk := signedIn(t, s, newUser(t, s, "clerk", document(`"ecr:DescribeRepositoryCreationTemplates","ecr:UpdateRepositoryCreationTemplate"`)))
	clerk.get("/console/templates")
	clerk.shows(200, "team")
	clerk.lacks("/console/templates/new")
	clerk.get("/console/template?prefix=team")
	clerk.lacks("/console/template/delete")
	form := url.Values{"prefix": {"team"}, "for": {"CREATE_ON_PUSH"}, "mutability": {"MUTABLE"}, "description": {"new"}, "policy": {strings.ReplaceAll(repositoryPolicy, "\n", "\r\n")},
		"lifecycle": {lifecyclePolicy}, "tag-key": {"a", "", "", ""}, "tag-value": {"b", "", "", ""}}
	clerk.post("/console/template", form)
	clerk.shows(200, "The template was saved.")
	if got := templates(t, s)[0]; got.Description != "new" || got.RepositoryPolicy != repositoryPolicy+"\n" {
		t.Errorf("saved: %+v", got)
	}
	for field, value := range map[string]string{"policy": strings.Replace(repositoryPolicy, "BatchGetImage", "*", 1), "lifecycle": strings.Replace(lifecyclePolicy, "1", "2", 1), "tag-value": "c"} {
		bad := url.Values{}
		for k, v := range form {
			bad[k] = v
		}
		bad[field] = []string{value}
		clerk.get("/console/template?prefix=team")
		clerk.post("/console/template", bad)
		clerk.shows(403, "is not authorized to perform", "Template team")
	}
	looker := signedIn(t, s, newUser(t, s, "looker", document(`"ecr:DescribeRepositoryCreationTemplates"`)))
	looker.get("/console/template?prefix=team")
	looker.shows(200, "CREATE_ON_PUSH", "ecr:BatchGetImage", "rulePriority")
	looker.lacks("<textarea", `action="/console/template"`)
	for _, page := range []string{"/console/templates/new", "/console/template/delete?prefix=team"} {
		looker.get(page)
		looker.shows(403, "is not authorized to perform")
	}
	mallory := signedIn(t, s, newUser(t, s, "mallory", ""))
	mallory.lacks("/console/templates")
	for _, page := range []string{"/console/templates", "/console/template?prefix=team", "/console/template/delete?prefix=team", "/console/template/delete?prefix=no"} {
		mallory.get(page)
		mallory.shows(403, "is not authorized to perform")
	}
	for _, b := range []*browser{looker, mallory} {
		for _, path := range []string{"/console/templates/new", "/console/template", "/console/template/delete"} {
			b.get("/console/users/new") // which has a form
			b.post(path, url.Values{"prefix": {"team"}, "for": {"CREATE_ON_PUSH"}, "mutability": {"MUTABLE"}})
			b.shows(403, "is not authorized to perform")
		}
	}
}
