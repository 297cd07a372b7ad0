package console_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
	"github.com/weir-registry/weir/internal/weirtest"
)

// pullImage pulls an image and all its blobs as the root access key.
func pullImage(t *testing.T, s *weirtest.Server, repo, tag string, img upstreamtest.Image) {
	t.Helper()
	paths := []string{"/v2/" + repo + "/manifests/" + tag}
	for d := range img.Blobs() {
		paths = append(paths, "/v2/"+repo+"/blobs/"+d.String())
	}
	for _, path := range paths {
		resp := s.Do("GET", path, nil)
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Fatalf("%s: %s", path, resp.Status)
		}
	}
}

// TestRuleNamesNoOthers: a rule's page leads to no list of repositories that other rules fill.
func TestRuleNamesNoOthers(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{})
	s := weirtest.Start(t, weirtest.Settings(up.Listen(t), "", ""))
	b := signedIn(t, s, s.Key)
	b.get("/console/rule/up")
	b.shows(200, "Upstream and credential")
	b.lacks("/console/repositories?")
}

// TestRulePages: what there is to see of a rule of the configuration, and that it cannot be
// changed.
func TestRulePages(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{})
	img := upstreamtest.NewImage(1, 3000)
	up.Push("app", "1", img)
	site := up.Listen(t)
	s := weirtest.Start(t, weirtest.Settings(site, `window: 6h, fixed: ["v*"], prefetch: manifest`, ""))
	pullImage(t, s, "up/app", "1", img)
	b := signedIn(t, s, s.Key)
	b.shows(200, `<a href="/console/rules">`, `<a href="/console/secrets">`)
	b.get("/console/rules")
	b.shows(200, `<a href="/console/rule/up">up</a>`, site.Host, "6 h", "configuration", `<td class="number">1</td>`, "0.0%")
	b.get("/console/rule/up")
	b.shows(200, "<h1>up</h1>", "managed by configuration", "<code>v*</code>", "from a platform&#39;s manifest on", "not since the start", site.Host, "docker pull "+s.Addr+"/up/team/app:1.0", "reachable")
	b.lacks("/console/rules/edit", "/console/rules/delete")
	b.submit("verify", nil)
	b.shows(200, "The upstream was asked", "valid")
	b.get("/console/rules")
	b.shows(200, "valid")

	b.get("/console/rule/up")
	b.submit("Ask the upstream now", url.Values{"repository": {"app"}, "tag": {"1"}})
	b.shows(200, "The tag is still the same image at the upstream.")
	up.Push("app", "1", upstreamtest.NewImage(2, 3000))
	b.submit("Ask the upstream now", url.Values{"repository": {"app"}, "tag": {"1"}})
	b.shows(200, "The tag has moved")
	up.Push("app", "new", img)
	b.submit("Ask the upstream now", url.Values{"repository": {"app"}, "tag": {"new"}})
	b.shows(200, "The upstream has this tag.")
	b.submit("Ask the upstream now", url.Values{"repository": {"app"}, "tag": {"none"}})
	b.shows(404, "app:none", `value="none"`)
	b.submit("Ask the upstream now", url.Values{"repository": {"App"}, "tag": {`"><script>`}})
	b.shows(400, "App")
	b.lacks(`"><script>`)
	up.Push("app", "v1", img)
	pullImage(t, s, "up/app", "v1", img)
	up.Push("app", "v1", upstreamtest.NewImage(3, 3000))
	b.get("/console/rule/up")
	b.submit("Ask the upstream now", url.Values{"repository": {"app"}, "tag": {"v1"}})
	b.shows(200, "it was left as it is")

	for do, button := range map[string]string{"edit": "Save and verify", "delete": "Delete the rule"} {
		b.get("/console/rules/" + do + "?prefix=up")
		b.submit(button, nil)
		b.shows(409, "is managed by configuration")
	}
	b.get("/console/rule/nothing")
	b.shows(404, "does not exist")
	b.get("/console/rule/up")
	mark := token.FindStringSubmatch(b.body)
	b.post("/console/rule/up", url.Values{"do": {"more"}, "form": {mark[1]}})
	b.shows(400, "this form is of no page")

	s.Restart(weirtest.Settings(site, "held_only: true", ""))
	b = signedIn(t, s, s.Key)
	b.get("/console/rule/up")
	b.shows(200, "Held only: the upstream is never asked.")
	b.lacks("Ask the upstream now")
	b.shows(200, "never asked: held only")
	b.submit("verify", nil)
	b.shows(200, "no answer", "held_only is set")

	gone := site
	gone.URL = "http://127.0.0.1:1"
	s.Restart(weirtest.Settings(gone, "", ""))
	b = signedIn(t, s, s.Key)
	b.get("/console/rule/up")
	b.shows(200, "not asked yet")
	resp := s.Do("GET", "/v2/up/app/manifests/other", nil)
	resp.Body.Close()
	b.get("/console/rule/up")
	b.shows(200, "failed once", "connection refused")
}

// TestChangeRule: another credential for a rule is verified; deleting it leaves what it
// brought.
func TestChangeRule(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{Auth: upstreamtest.Token, Users: map[string]string{user: secret}})
	img := upstreamtest.NewImage(1, 3000)
	up.Push("org/app", "1", img)
	s := weirtest.Start(t, upstreamsAt(up.Listen(t), "", "quay.io"))
	b := signedIn(t, s, s.Key)
	for name, value := range map[string]string{"good": secret, "bad": "wrong"} {
		b.get("/console/secrets/new")
		b.submit("Create the secret", url.Values{"name": {"ecr-pullthroughcache/" + name}, "user": {user}, "token": {value}})
		b.shows(200, "The secret was created.")
	}
	api(t, s, "AmazonEC2ContainerRegistry_V20150921.CreatePullThroughCacheRule", map[string]string{"ecrRepositoryPrefix": "team/q", "upstreamRegistryUrl": "quay.io", "upstreamRepositoryPrefix": "org"}, nil)
	b.get("/console/rule/team/q")
	b.shows(200, "anonymous", "API", `href="/console/rules/edit?prefix=team%2fq"`, `<code>org</code>`)
	for _, tt := range []struct{ secret, says string }{{"bad", "refused"}, {"good", "valid"}} {
		b.get("/console/rules/edit?prefix=team/q")
		b.submit("Save and verify", url.Values{"secret": {"ecr-pullthroughcache/" + tt.secret}})
		b.shows(200, "The rule was changed.", tt.says, "ecr-pullthroughcache/"+tt.secret)
		b.lacks(secret)
	}
	b.get("/console/secret?name=ecr-pullthroughcache/good")
	b.shows(200, `<a href="/console/rule/team/q">team/q</a>`)
	pullImage(t, s, "team/q/app", "1", img)

	b.get("/console/rules/delete?prefix=team/q")
	b.shows(200, "Nothing new is cached", "What is held is kept", "The secret ecr-pullthroughcache/good stays.", `href="/console/rule/team/q"`)
	b.submit("Delete the rule", nil)
	b.shows(200, "The rule was deleted.", "There is no rule yet.")
	resp := s.Do("GET", "/v2/team/q/app/manifests/1", nil)
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("what the rule brought: %s", resp.Status)
	}
	b.get("/console/rule/team/q")
	b.shows(404)
}

// TestManyRules: a list has pages, and the rules that nobody made are shown as such.
func TestManyRules(t *testing.T) {
	s := weirtest.Start(t, "")
	b := signedIn(t, s, s.Key)
	b.get("/console/rules")
	b.shows(200, "built in", `<a href="/console/rule/docker-hub">`)
	b.get("/console/rule/quay")
	b.shows(200, "This rule is built in", `<a class="button quiet" href="/console/rules/new?kind=quay&amp;at=2&amp;prefix=quay">`)
	for n := range 60 {
		api(t, s, "AmazonEC2ContainerRegistry_V20150921.CreatePullThroughCacheRule", map[string]string{"ecrRepositoryPrefix": fmt.Sprintf("p%02d/%s", n, strings.Repeat("n", 200)), "upstreamRegistryUrl": "quay.io"}, nil)
	}
	seen := map[string]bool{}
	b.get("/console/rules")
	for pages := 1; ; pages++ {
		for _, m := range strings.Split(b.body, `<a href="/console/rule/`)[1:] {
			prefix, _, _ := strings.Cut(m, `"`)
			if seen[prefix] {
				t.Errorf("%s is there twice", prefix)
			}
			seen[prefix] = true
		}
		_, next, more := strings.Cut(b.body, `<a href="/console/rules?after=`)
		if !more {
			if pages != 2 || len(seen) != 64 {
				t.Errorf("%d rules on %d pages", len(seen), pages)
			}
			break
		}
		next, _, _ = strings.Cut(next, `"`)
		b.get("/console/rules?after=" + next)
		b.shows(200, `<a href="/console/rules">`)
	}
}

// TestRuleSeen: who may see rules and no repositories is told no number of them.
func TestRuleSeen(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{})
	s := weirtest.Start(t, weirtest.Settings(up.Listen(t), "", ""))
	b := signedIn(t, s, newUser(t, s, "ann", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ecr:DescribePullThroughCacheRules","Resource":"*"}}`))
	b.get("/console/rules")
	b.shows(200, `<a href="/console/rule/up">`)
	b.lacks("/console/rules/new", `<td class="number">0</td>`)
	b.get("/console/rule/up")
	b.shows(200)
	b.lacks("Verify now", "/console/rules/edit", "/console/repositories?")
	for path, action := range map[string]string{"edit": "ecr:UpdatePullThroughCacheRule", "delete": "ecr:DeletePullThroughCacheRule"} {
		b.get("/console/rules/" + path + "?prefix=up")
		b.shows(403, action)
	}
}

// TestDeleteRuleSays: the page that asks names the upstream that answers afterwards, which is
// another one where another rule takes the names.
func TestDeleteRuleSays(t *testing.T) {
	up, other := upstreamtest.New(upstreamtest.Options{}), upstreamtest.New(upstreamtest.Options{})
	for _, name := range []string{"app", "q/app", "team/q/app"} {
		other.Push(name, "1", upstreamtest.NewImage(7, 1000))
	}
	site, elsewhere := up.Listen(t), other.Listen(t)
	more := fmt.Sprintf("  %q: {endpoints: [%q], allow_hosts: [\"%s\"], realms: [%q]}\n", "other.example.com", elsewhere.URL, strings.Join(elsewhere.Allow, `", "`), elsewhere.Realm)
	rules := func(t *testing.T, s *weirtest.Server, hosts ...string) {
		for i := 0; i < len(hosts); i += 2 {
			api(t, s, "AmazonEC2ContainerRegistry_V20150921.CreatePullThroughCacheRule", map[string]string{"ecrRepositoryPrefix": hosts[i], "upstreamRegistryUrl": hosts[i+1]}, nil)
		}
	}
	for name, c := range map[string]struct {
		builtin bool
		prefix  string
		rules   []string
		says    string
		pull    int
	}{
		"alone":        {false, "team/q", []string{"team/q", "quay.io", "elsewhere", "other.example.com"}, "no upstream is asked any more", 404},
		"root":         {false, "team/q", []string{"team/q", "quay.io", "ROOT", "other.example.com"}, "the rule ROOT takes these names, and what is not held is asked for at other.example.com", 200},
		"shorter":      {false, "team/q", []string{"team/q", "quay.io", "team", "other.example.com"}, "the rule team takes these names, and what is not held is asked for at other.example.com", 200},
		"built in":     {true, "quay", []string{"quay", "quay.io"}, "the built-in rule with this prefix takes these names, and what is not held is asked for at quay.io", 200},
		"the root":     {false, "ROOT", []string{"ROOT", "quay.io", "team", "other.example.com"}, "no upstream is asked any more", 404},
		"not built in": {false, "quay", []string{"quay", "quay.io"}, "no upstream is asked any more", 404},
	} {
		t.Run(name, func(t *testing.T) {
			settings := upstreamsAt(site, more, "quay.io")
			if c.builtin {
				settings = strings.TrimPrefix(upstreamsAt(elsewhere, "", "quay.io"), "rules: []\n")
			}
			s := weirtest.Start(t, settings)
			rules(t, s, c.rules...)
			b := signedIn(t, s, s.Key)
			b.get("/console/rules/delete?prefix=" + url.QueryEscape(c.prefix))
			b.says(c.says)
			b.submit("Delete the rule", nil)
			b.shows(200, "The rule was deleted.")
			image := "app/manifests/1"
			if c.prefix != "ROOT" {
				image = c.prefix + "/" + image
			}
			if got := pullStatus(s, image); got != c.pull {
				t.Errorf("a pull of what was never held: %d, want %d", got, c.pull)
			}
		})
	}
}
