package console_test

import (
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weir-registry/weir/internal/app"
	"github.com/weir-registry/weir/internal/weirtest"
)

// markup is what nobody may get into a page.
const markup = `</textarea><script>alert(1)</script>`

// document is a policy of a user's own that allows actions.
func document(actions string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[` + actions + `],"Resource":"*"}]}`
}

// TestBareUser: a user without a policy may do what other policies allow, as the page says.
func TestBareUser(t *testing.T) {
	s := weirtest.Start(t, "")
	b := signedIn(t, s, s.Key)
	b.get("/console/users/new")
	b.shows(200, "A user without a policy may do what policies of repositories and of the registry allow, and nothing else.")
	for _, repo := range []string{"own/app", "own/other"} {
		api(t, s, "AmazonEC2ContainerRegistry_V20150921.CreateRepository", map[string]string{"repositoryName": repo}, nil)
		pushHostile(t, s, repo, "1")
	}
	api(t, s, "AmazonEC2ContainerRegistry_V20150921.SetRepositoryPolicy", map[string]string{
		"repositoryName": "own/app", "policyText": `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"ecr:*"}}`,
	}, nil)
	bare := s.As(newUser(t, s, "bare", ""))
	for path, want := range map[string]int{"/v2/own/app/manifests/1": 200, "/v2/own/other/manifests/1": 403} {
		resp := bare.Do("GET", path, nil)
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, resp.Status, want)
		}
	}
}

func TestUserPages(t *testing.T) {
	s := weirtest.Start(t, "")
	b := signedIn(t, s, s.Key)
	b.get("/console/users")
	b.shows(200, "There are no users yet", "root access key", `href="/console/users/new"`, `aria-current="page">Users`)

	b.get("/console/users/new")
	b.shows(200, "AmazonEC2ContainerRegistryPullOnly", "For nodes and CI")
	b.post("/console/users/new", url.Values{"name": {"a b" + markup}, "policy": {"AmazonEC2ContainerRegistryPullOnly"}})
	b.shows(400, "This cannot be taken as it is.", `value="a b`+html.EscapeString("</textarea>"), `value="AmazonEC2ContainerRegistryPullOnly" checked`)
	b.lacks("<script>alert")
	b.post("/console/users/new", url.Values{"name": {"ann"}, "policy": {"AmazonEC2ContainerRegistryPullOnly"}})
	b.shows(200, "The user was created.", "User ann", "user/ann", "The user has no access key", "The user has no policy of its own")
	b.get("/console/users/new")
	b.post("/console/users/new", url.Values{"name": {"ann"}})
	b.shows(409, "already exists", `value="ann"`)
	b.get("/console/users")
	b.shows(200, `href="/console/user?name=ann"`, "AmazonEC2ContainerRegistryPullOnly")
	b.get("/console/user?name=nobody")
	b.shows(404, "The user with name nobody cannot be found.")

	b.get("/console/user?name=ann")
	b.post("/console/user/detach", url.Values{"name": {"ann"}, "policy": {"AmazonEC2ContainerRegistryPullOnly"}})
	b.shows(200, "The policy was detached.")
	b.post("/console/user/detach", url.Values{"name": {"ann"}, "policy": {"AmazonEC2ContainerRegistryPullOnly"}})
	b.shows(404, "has no policy AmazonEC2ContainerRegistryPullOnly", "User ann")
	b.post("/console/user/attach", url.Values{"name": {"ann"}, "policy": {"AmazonEC2ContainerRegistryReadOnly"}})
	b.shows(200, "The policy was attached.")
	b.post("/console/user/attach", url.Values{"name": {"ann"}, "policy": {"Mine"}})
	b.shows(400, "There is no managed policy Mine", "User ann")

	b.get("/console/user/delete?name=ann")
	b.shows(200, "Delete user ann", "Cancel")
	b.post("/console/user/delete", url.Values{"name": {"ann"}})
	b.shows(200, "The user was deleted.", "There are no users yet")
	b.get("/console/user/delete?name=ann")
	b.shows(404)
}

// TestManyUsers: the list goes on where the page ends, and names of dots are names.
func TestManyUsers(t *testing.T) {
	s := weirtest.Start(t, "")
	long := strings.Repeat("w", 64)
	names := []string{"..", ".", "new", "a+b=c,d@e", long}
	for i := range 60 {
		names = append(names, "user"+string(rune('a'+i/10))+string(rune('0'+i%10)))
	}
	for _, n := range names {
		api(t, s, "Weir_20261125.CreateUser", map[string]string{"userName": n}, nil)
	}
	b := signedIn(t, s, s.Key)
	link, next := regexp.MustCompile(`href="(/console/user\?name=[^"&]*)"`), regexp.MustCompile(`href="(/console/users\?after=[^"]*)"`)
	found := 0
	for page := "/console/users"; page != ""; {
		b.get(page)
		b.shows(200)
		all := link.FindAllStringSubmatch(b.body, -1)
		page = ""
		if m := next.FindStringSubmatch(b.body); m != nil {
			page = html.UnescapeString(m[1])
		}
		for _, m := range all {
			found++
			b.get(html.UnescapeString(m[1]))
			b.shows(200, "The user has no access key")
		}
	}
	if found != len(names) {
		t.Errorf("%d users in the pages, want %d", found, len(names))
	}
	b.get("/console/users?after=zzz")
	b.shows(200, "There are no more users.")
}

func TestOwnPolicies(t *testing.T) {
	s := weirtest.Start(t, "")
	newUser(t, s, "ann", "")
	b := signedIn(t, s, s.Key)
	b.get("/console/user/policy?name=ann")
	b.shows(200, "New policy of user ann", "repository/docker-hub/*")
	b.post("/console/user/policy", url.Values{"name": {"ann"}, "policy": {"p"}, "new": {"yes"}, "document": {"{\r\n \"" + markup}})
	b.shows(400, "This cannot be taken as it is.", html.EscapeString(`"</textarea>`)[5:], `name="policy" value="p"`, `name="new"`)
	b.lacks("<script>alert")
	good := "{\n  \"Statement\": {\"Sid\": \"x\", \"Effect\": \"Allow\", \"Action\": \"ecr:ListImages\", \"Resource\": \"*\"}\n}"
	b.post("/console/user/policy", url.Values{"name": {"ann"}, "policy": {"p"}, "new": {"yes"}, "document": {strings.ReplaceAll(good, "\n", "\r\n")}})
	b.shows(200, "The policy was saved.", "/console/user/policy?name=ann&amp;policy=p")
	b.post("/console/user/policy", url.Values{"name": {"ann"}, "policy": {"p"}, "new": {"yes"}, "document": {document(`"ecr:*"`)}})
	b.shows(409, "has a policy p already", "ecr:*")
	b.post("/console/user/policy", url.Values{"name": {"ann"}, "policy": {"a b"}, "new": {"yes"}, "document": {good}})
	b.shows(400, "is not 1 to 128 letters", `value="a b"`)
	b.get("/console/user/policy?name=ann&policy=p")
	b.shows(200, "Policy p of user ann", html.EscapeString(good))
	b.post("/console/user/policy", url.Values{"name": {"ann"}, "policy": {"p"}, "document": {document(`"ecr:DescribeImages"`)}})
	b.shows(200, "The policy was saved.")
	b.get("/console/user/policy?name=ann&policy=none")
	b.shows(404, "has no policy none")
	b.get("/console/user/policy/delete?name=ann&policy=p")
	b.shows(200, "Delete policy p of user ann")
	b.post("/console/user/policy/delete", url.Values{"name": {"ann"}, "policy": {"p"}})
	b.shows(200, "The policy was deleted.", "The user has no policy of its own")
	b.post("/console/user/policy/delete", url.Values{"name": {"ann"}, "policy": {"p"}})
	b.shows(404, "has no policy p")
}

// shownSecret is a secret access key in the page that shows it.
var shownSecret = regexp.MustCompile(`<code>([A-Z2-7]{40})</code>`)

// TestKeys: a key's secret is in the page that answers the form, and in no other.
func TestKeys(t *testing.T) {
	s := weirtest.Start(t, "registry: {host: weir.example:8443}\n")
	api(t, s, "Weir_20261125.CreateUser", map[string]any{"userName": "ann", "policies": []string{"AmazonEC2ContainerRegistryPullOnly"}}, nil)
	b := signedIn(t, s, s.Key)
	for _, days := range []string{"0", "-1", "x", "99999999999999999999", "36501", "1.5"} {
		b.get("/console/user?name=ann")
		b.post("/console/user/key", url.Values{"name": {"ann"}, "days": {days}})
		b.shows(400, "is not a number of days", `name="days" value="`+days+`"`, "The user has no access key")
	}
	b.post("/console/user/key", url.Values{"name": {"nobody"}})
	b.shows(404, "nobody cannot be found")
	b.get("/console/user?name=ann")
	b.post("/console/user/key", url.Values{"name": {"ann"}, "days": {"30"}})
	b.shows(200, "The secret is shown this once", time.Now().Add(30*24*time.Hour).UTC().Format("2006-01-02"), "data-copy", "imagePullSecrets")
	m := shownSecret.FindStringSubmatch(b.body)
	id := regexp.MustCompile(`AKIA[A-Z2-7]{16}`).FindString(b.body)
	if m == nil || id == "" {
		t.Fatalf("no key in the page\n%s", b.body)
	}
	secret := m[1]
	b.shows(200, "echo "+secret+" | docker login -u "+id+" --password-stdin weir.example:8443",
		html.EscapeString(`{"auths":{"weir.example:8443":{"username":"`+id+`","password":"`+secret+`"}}}`))
	if b.head.Get("Cache-Control") != "no-store" {
		t.Error("the page with the secret may be kept")
	}
	for _, page := range crawl(b) {
		b.get(page)
		b.lacks(secret)
	}
	if strings.Contains(s.Log.String(), secret) {
		t.Error("the secret is in the log")
	}

	b.get("/console/user?name=ann")
	b.shows(200, id, "enabled", "Disable")
	signedIn(t, s, app.Key{ID: id, Secret: secret})
	b.post("/console/user/key/active", url.Values{"name": {"ann"}, "key": {id}, "active": {"false"}})
	b.shows(200, "The access key is disabled.", "Enable")
	b.get("/console/users")
	b.shows(200, "1 off or expired")
	out := newBrowser(t, s)
	out.signIn(app.Key{ID: id, Secret: secret})
	out.shows(401)
	b.get("/console/user?name=ann")
	b.post("/console/user/key/active", url.Values{"name": {"ann"}, "key": {id}, "active": {"true"}})
	b.shows(200, "The access key is enabled.")
	signedIn(t, s, app.Key{ID: id, Secret: secret})
	b.post("/console/user/delete", url.Values{"name": {"ann"}})
	b.shows(409, "it has access keys", "Delete user ann")
	b.get("/console/user/key/delete?name=ann&key=" + id)
	b.shows(200, "Delete access key "+id)
	b.post("/console/user/key/delete", url.Values{"name": {"ann"}, "key": {id}})
	b.shows(200, "The access key was deleted.", "The user has no access key")
	b.get("/console/user/key/delete?name=ann&key=" + id)
	b.shows(404, "has no access key "+id)
	b.get("/console/user/key/delete?name=ann&key=" + s.Key.ID) // nobody's
	b.shows(404)
	for _, path := range []string{"/console/user/key/delete", "/console/user/key/active"} {
		b.get("/console/user?name=ann")
		b.post(path, url.Values{"name": {"ann"}, "key": {s.Key.ID}, "active": {"false"}})
		b.shows(404, "cannot be found")
	}
	signedIn(t, s, s.Key)
}

// crawl returns every page that links lead to from the overview.
func crawl(b *browser) []string {
	b.t.Helper()
	links := regexp.MustCompile(`href="(/console/[^"#]*)`)
	seen := map[string]bool{"/console/": true}
	todo := []string{"/console/"}
	for i := 0; i < len(todo); i++ {
		b.get(todo[i])
		for _, m := range links.FindAllStringSubmatch(b.body, -1) {
			page := html.UnescapeString(m[1])
			if !seen[page] && !strings.HasPrefix(page, "/console/static/") {
				seen[page] = true
				todo = append(todo, page)
			}
		}
	}
	return todo
}

func TestWhatMayTheUserPull(t *testing.T) {
	s := weirtest.Start(t, "")
	newUser(t, s, "ann", document(`"ecr:BatchGetImage"`))
	b := signedIn(t, s, s.Key)
	b.get("/console/user?name=ann&repository=docker-hub/library/alpine")
	b.shows(200, "Pulls from docker-hub/library/alpine by ann", "ecr:BatchGetImage", `state good">allowed`, "ecr:BatchImportUpstreamImage", `state bad">denied`)
	b.get("/console/user?name=ann&repository=" + url.QueryEscape("A"+markup))
	b.shows(400, "User ann", `name="repository" value="A&lt;/textarea`)
	b.lacks("<script>alert")
}

// TestUsersWithoutRights: what a visitor may not do is neither offered nor done.
func TestUsersWithoutRights(t *testing.T) {
	s := weirtest.Start(t, "")
	annKey := newUser(t, s, "ann", document(`"ecr:ListImages"`))
	mallory := signedIn(t, s, newUser(t, s, "mallory", ""))
	mallory.lacks("/console/users")
	for _, page := range []string{
		"/console/users", "/console/user?name=ann", "/console/user/delete?name=ann", "/console/user/policy?name=ann", "/console/user/policy?name=ann&policy=own",
		"/console/user/policy/delete?name=ann&policy=own", "/console/user/key/delete?name=ann&key=" + annKey.ID,
	} {
		mallory.get(page)
		mallory.shows(403, "You may not do this.", "is not authorized to perform")
		mallory.lacks("ecr:ListImages")
	}
	looker := signedIn(t, s, newUser(t, s, "looker", document(`"iam:ListUsers","iam:GetUser"`)))
	looker.get("/console/users")
	looker.shows(200, "/console/user?name=ann")
	looker.lacks("/console/users/new", "<td class=\"number\">1")
	looker.get("/console/user?name=ann")
	looker.shows(200, "You may not see this user&#39;s access keys.", "own")
	looker.lacks(annKey.ID, "Detach", "Attach<", "/console/user/", `name="days"`, "What may this user pull")
	for _, page := range []string{"/console/user/delete?name=ann", "/console/user/policy?name=ann"} {
		looker.get(page)
		looker.shows(403, "is not authorized to perform")
	}
	for _, b := range []*browser{mallory, looker} {
		for path, form := range map[string]url.Values{
			"/console/users/new":          {"name": {"eve"}},
			"/console/user/delete":        {"name": {"ann"}},
			"/console/user/attach":        {"name": {"ann"}, "policy": {"AmazonEC2ContainerRegistryFullAccess"}},
			"/console/user/detach":        {"name": {"ann"}, "policy": {"x"}},
			"/console/user/policy":        {"name": {"ann"}, "policy": {"own"}, "document": {document(`"*"`)}},
			"/console/user/policy/delete": {"name": {"ann"}, "policy": {"own"}},
			"/console/user/key":           {"name": {"ann"}},
			"/console/user/key/active":    {"name": {"ann"}, "key": {annKey.ID}, "active": {"false"}},
			"/console/user/key/delete":    {"name": {"ann"}, "key": {annKey.ID}},
		} {
			b.get("/console/users/new") // which has a form
			b.post(path, form)
			b.shows(403, "You may not do this.", "is not authorized to perform")
		}
	}
	root := signedIn(t, s, s.Key)
	root.get("/console/user?name=ann")
	root.shows(200, annKey.ID, "policy=own")
	root.get("/console/users")
	root.lacks("name=eve")
	signedIn(t, s, annKey)
}

// TestOneUsersRights: who may change one user is offered that for this one.
func TestOneUsersRights(t *testing.T) {
	s := weirtest.Start(t, "registry: {id: \"123456789012\"}\n")
	newUser(t, s, "ann", "")
	newUser(t, s, "bob", "")
	keeper := signedIn(t, s, newUser(t, s, "keeper", `{"Statement":[{"Effect":"Allow","Action":"iam:*","Resource":"arn:aws:iam::123456789012:user/ann"},{"Effect":"Allow","Action":["iam:GetUser","iam:ListUsers"],"Resource":"*"}]}`))
	keeper.get("/console/user?name=ann")
	keeper.shows(200, `name="days"`, "Attach", "AKIA")
	keeper.get("/console/user?name=bob")
	keeper.shows(200)
	keeper.lacks(`name="days"`, "AKIA")
	keeper.get("/console/user?name=ann")
	keeper.post("/console/user/key", url.Values{"name": {"bob"}})
	keeper.shows(403, "is not authorized to perform: iam:CreateAccessKey")
	keeper.get("/console/user?name=ann")
	keeper.post("/console/user/key", url.Values{"name": {"ann"}})
	keeper.shows(200, "The secret is shown this once")
}
