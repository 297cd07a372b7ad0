package console_test

import (
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"

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
credentials: {b: {username: AKIAB, password_file: secret}}
replication:
  destinations:
    - {region: site-b, registry_id: "222222222222", url: "http://127.0.0.1:1"}
    - {region: site-c, registry_id: "333333333333", url: "http://127.0.0.1:2"}
`

// was stands for the rules that a form of the page was made of.
var was = regexp.MustCompile(`name="was" value="([^"]*)"`)

func TestReplicationPage(t *testing.T) {
	s := weirtest.Start(t, strings.Replace(twoDestinations, "credentials: {b: {username: AKIAB, password_file: secret}}\n", "", 1))
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
