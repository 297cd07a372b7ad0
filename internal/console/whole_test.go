package console_test

import (
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/weirtest"
)

const ecr = "AmazonEC2ContainerRegistry_V20150921."

func TestRegistryPolicy(t *testing.T) {
	s := weirtest.Start(t, "")
	b := signedIn(t, s, s.Key)
	b.get("/console/registry-policy")
	b.shows(200, "There is no registry policy.", "<textarea", `aria-current="page">Registry policy`)
	b.lacks("/console/registry-policy/delete")
	b.get("/console/registry-policy/delete")
	b.shows(404, "Registry policy does not exist")
	good := "{\n  \"Statement\": [{\"Sid\": \"<b>&amp;\", \"Effect\": \"Deny\", \"Principal\": \"*\", \"Action\": \"ecr:PutImage\", \"Resource\": \"*\"}]\n}"
	b.get("/console/registry-policy")
	b.post("/console/registry-policy", url.Values{"document": {"{" + markup}})
	b.shows(400, "Invalid registry policy provided", html.EscapeString("{</textarea>"))
	b.lacks("<script>alert")
	b.post("/console/registry-policy", url.Values{"document": {strings.ReplaceAll(good, "\n", "\r\n")}})
	b.shows(200, "The registry policy was saved.", html.EscapeString(good), "/console/registry-policy/delete")
	var out struct{ PolicyText string }
	api(t, s, ecr+"GetRegistryPolicy", struct{}{}, &out)
	if diff := cmp.Diff(good, out.PolicyText); diff != "" {
		t.Error(diff)
	}

	looker := signedIn(t, s, newUser(t, s, "looker", document(`"ecr:GetRegistryPolicy"`)))
	looker.get("/console/registry-policy")
	looker.shows(200, html.EscapeString(good))
	looker.lacks("<textarea", "/console/registry-policy/delete")
	looker.get("/console/registry-policy/delete")
	looker.shows(403, "is not authorized to perform: ecr:DeleteRegistryPolicy")
	mallory := signedIn(t, s, newUser(t, s, "mallory", ""))
	mallory.lacks("/console/registry-policy")
	mallory.get("/console/registry-policy")
	mallory.shows(403, "is not authorized to perform: ecr:GetRegistryPolicy")
	for _, b := range []*browser{looker, mallory} {
		for _, path := range []string{"/console/registry-policy", "/console/registry-policy/delete"} {
			b.get("/console/users/new")
			b.post(path, url.Values{"document": {good}})
			b.shows(403, "is not authorized to perform")
		}
	}
	b.get("/console/registry-policy/delete")
	b.shows(200, "Delete the registry policy")
	b.post("/console/registry-policy/delete", url.Values{})
	b.shows(200, "The policy was deleted.", "There is no registry policy.")
}

const twoDestinations = `registry: {id: "123456789012", region: site-a}
replication:
  destinations:
    - {region: site-b, registry_id: "222222222222", url: "http://127.0.0.1:1"}
    - {region: site-c, registry_id: "333333333333", url: "http://127.0.0.1:2"}
`

// was stands for the rules that a form of the page was made of.
var was = regexp.MustCompile(`name="was" value="([^"]*)"`)

func TestReplicationPage(t *testing.T) {
	s := weirtest.Start(t, twoDestinations)
	b := signedIn(t, s, s.Key)
	send := func(form url.Values) {
		t.Helper()
		if m := was.FindStringSubmatch(b.body); m != nil && !form.Has("was") {
			form.Set("was", m[1])
		}
		b.post("/console/replication", form)
	}
	rules := func() any {
		t.Helper()
		var out struct {
			ReplicationConfiguration struct {
				Rules []struct {
					Destinations      []struct{ Region, RegistryID string }
					RepositoryFilters []struct{ Filter, FilterType string }
				}
			}
		}
		api(t, s, ecr+"DescribeRegistry", struct{}{}, &out)
		text := []string{}
		for _, r := range out.ReplicationConfiguration.Rules {
			one := ""
			for _, d := range r.Destinations {
				one += d.Region + " "
			}
			for _, f := range r.RepositoryFilters {
				one += f.Filter + " "
			}
			text = append(text, one)
		}
		return text
	}
	want := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(append([]string{}, want...), rules()); diff != "" {
			t.Errorf("rules (-want +got):\n%s", diff)
		}
	}
	b.get("/console/replication")
	b.shows(200, "site-b", "333333333333", "in no rule", "Rule 1", `name="to-1" value="site-b/222222222222"`)
	old := was.FindStringSubmatch(b.body)[1]
	send(url.Values{"to-1": {"site-b/222222222222", "site-c/333333333333"}, "filters-1": {"team/\r\nprod"}})
	b.shows(200, "The replication rules were saved.", "in use", "Rule 2", `value="site-b/222222222222" checked`)
	want("site-b site-c team/ prod ")

	send(url.Values{"to-1": {"site-b/222222222222"}, "to-2": {"site-c/333333333333"}, "filters-2": {"Team" + markup}})
	b.shows(400, "is not what the name of a repository begins with", html.EscapeString("Team</textarea>"), "Rule 3")
	b.lacks("<script>alert")
	send(url.Values{"to-1": {"site-b/222222222222"}, "filters-2": {"team"}})
	b.shows(400, "Rule 2 has filters and no destination")
	send(url.Values{"to-1": {"nowhere/444444444444"}})
	b.shows(400, "no address is known for registry 444444444444 in region nowhere")
	send(url.Values{"to-1": {"site-a/123456789012"}})
	b.shows(400, "is this one")
	want("site-b site-c team/ prod ")
	send(url.Values{"was": {old}, "to-1": {"site-b/222222222222"}})
	b.shows(409, "changed since this form was loaded", "prod")
	want("site-b site-c team/ prod ")

	many := url.Values{}
	for _, n := range []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"} {
		many["to-"+n] = []string{"site-c/333333333333"}
	}
	send(many)
	b.shows(200, "Rule 10")
	b.lacks("Rule 11")

	looker := signedIn(t, s, newUser(t, s, "looker", document(`"ecr:DescribeRegistry"`)))
	looker.get("/console/replication")
	looker.shows(200, "site-c/333333333333", "all")
	looker.lacks("<textarea", "checkbox")
	mallory := signedIn(t, s, newUser(t, s, "mallory", ""))
	mallory.lacks("/console/replication")
	mallory.get("/console/replication")
	mallory.shows(403, "is not authorized to perform")
	for _, b := range []*browser{looker, mallory} {
		b.get("/console/users/new")
		b.post("/console/replication", url.Values{"was": was.FindStringSubmatch(signedInAt(t, s, "/console/replication"))[1:]})
		b.shows(403, "is not authorized to perform")
	}
	b.get("/console/replication")
	send(url.Values{})
	b.shows(200, "The replication rules were saved.", "in no rule")
	want()
}

// signedInAt is what root has in a page.
func signedInAt(t *testing.T, s *weirtest.Server, page string) string {
	t.Helper()
	b := signedIn(t, s, s.Key)
	b.get(page)
	return b.body
}

func TestNoDestinations(t *testing.T) {
	s := weirtest.Start(t, "")
	b := signedIn(t, s, s.Key)
	b.get("/console/replication")
	b.shows(200, "The configuration has no destinations", "There are no replication rules.")
	b.lacks("<textarea")
}

// TestCopyFails: why copies wait is told where the destination cannot be reached.
func TestCopyFails(t *testing.T) {
	s := weirtest.Start(t, twoDestinations)
	b := signedIn(t, s, s.Key)
	b.get("/console/replication")
	b.submit("Save", url.Values{"to-1": {"site-b/222222222222"}})
	api(t, s, ecr+"CreateRepository", map[string]string{"repositoryName": "team/app"}, nil)
	pushHostile(t, s, "team/app", "v1")
	for start := time.Now(); !strings.Contains(b.body, "It cannot be reached.") || !strings.Contains(b.body, `<td class="number">2</td>`); {
		if time.Since(start) > time.Minute {
			t.Fatalf("no failure is told\n%s", b.body)
		}
		b.get("/console/replication")
	}
	b.shows(200, "DestinationUnreachable")
	b.lacks("team/app")
}

// TestFilledIn: the forms as browsers fill them in are taken.
func TestFilledIn(t *testing.T) {
	s := weirtest.Start(t, twoDestinations)
	b := signedIn(t, s, s.Key)
	b.get("/console/users/new")
	b.submit("Create user", url.Values{"name": {"ann"}, "policy": {"AmazonEC2ContainerRegistryPullOnly"}})
	b.shows(200, "The user was created.")
	b.submit("Create access key", url.Values{"days": {"1"}})
	b.shows(200, "The secret is shown this once")
	b.get("/console/user/policy?name=ann")
	b.submit("Save", url.Values{"policy": {"mine"}})
	b.shows(200, "The policy was saved.", "mine")
	b.get("/console/user/policy?name=ann&policy=mine")
	b.submit("Save", nil)
	b.shows(200, "The policy was saved.")
	b.submit("Decide", url.Values{"repository": {"docker-hub/library/alpine"}})
	b.shows(200, "statement 1 of policy AmazonEC2ContainerRegistryPullOnly allows it")

	b.get("/console/templates/new")
	b.submit("Create template", url.Values{"prefix": {"ROOT"}, "for": {"CREATE_ON_PUSH", "REPLICATION"}, "description": {"d"}, "mutability": {"IMMUTABLE_WITH_EXCLUSION"},
		"exclusions": {"dev-*"}, "tag-key": {"a", "b"}, "tag-value": {"1", "2"}, "policy": {repositoryPolicy}, "lifecycle": {lifecyclePolicy}, "role": {"r"}})
	b.shows(200, "The template was created.")
	before := templates(t, s)
	b.submit("Save", nil)
	b.shows(200, "The template was saved.")
	if diff := cmp.Diff(before, templates(t, s)); diff != "" {
		t.Errorf("saved as it was (-want +got):\n%s", diff)
	}
	if one := before[0]; one.Description != "d" || len(one.ResourceTags) != 2 || len(one.AppliedFor) != 2 || one.CustomRoleArn != "r" || one.LifecyclePolicy == "" || one.RepositoryPolicy == "" {
		t.Errorf("created: %+v", one)
	}

	b.get("/console/registry-policy")
	b.submit("Save", url.Values{"document": {`{"Statement":{"Effect":"Deny","Principal":"*","Action":"ecr:PutImage","Resource":"*"}}`}})
	b.shows(200, "The registry policy was saved.")
	b.submit("Save", nil)
	b.shows(200, "The registry policy was saved.")
	b.get("/console/replication")
	b.submit("Save", url.Values{"to-1": {"site-b/222222222222"}, "filters-1": {"team/"}})
	b.submit("Save", url.Values{"to-2": {"site-c/333333333333"}})
	b.shows(200, "The replication rules were saved.", "Rule 3")
	b.get("/console/settings")
	b.submit("Add exclusion", url.Values{"add": {"arn:aws:iam::123456789012:role/x"}})
	b.shows(200, "change no pull times from now on")
	b.submit(`Save<span class="hidden"> REGISTRY_POLICY_SCOPE</span>`, url.Values{"value": {"V1"}})
	b.shows(200, "The setting was saved.", "<option selected>V1</option>")
}
