package console_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/weir-registry/weir/internal/app"
	"github.com/weir-registry/weir/internal/weirtest"
)

// logged returns the lines that the log gets while do runs.
func logged(s *weirtest.Server, do func()) string {
	before := len(s.Log.String())
	do()
	return s.Log.String()[before:]
}

// TestLog: who did what, and what was refused to whom, is in the log.
func TestLog(t *testing.T) {
	s := weirtest.Start(t, "")
	for _, name := range []string{"team/one", "team/two"} {
		api(t, s, "AmazonEC2ContainerRegistry_V20150921.CreateRepository", map[string]string{"repositoryName": name}, nil)
	}
	newUser(t, s, "ann", "")
	root, few := signedIn(t, s, s.Key), signedIn(t, s, newUser(t, s, "few", ""))
	for name, test := range map[string]struct {
		b      *browser
		page   string
		button string
		fill   url.Values
		want   []string
	}{
		"a repository is deleted": {root, "/console/repositories/team/two?tab=delete", "delete", nil,
			[]string{"principal=root", "action=ecr:DeleteRepository", "repository=team/two", "status=303"}},
		"a repository is created": {root, "/console/new-repository", "Create", url.Values{"name": {"team/three"}},
			[]string{"principal=root", "action=ecr:CreateRepository", "repository=team/three", "status=303"}},
		"a form that cannot be followed": {root, "/console/new-repository", "Create", url.Values{"name": {"Team"}},
			[]string{"principal=root", "action=ecr:CreateRepository", "repository=Team", "status=400", "level=INFO", "error="}},
		"an access key": {root, "/console/user?name=ann", "Create access key", nil,
			[]string{"principal=root", "action=iam:CreateAccessKey", `reference="ann AKIA`, "status=200"}},
		"a policy is attached": {root, "/console/user?name=ann", `Attach<span class="hidden"> AmazonEC2ContainerRegistryPullOnly</span>`, nil,
			[]string{"principal=root", "action=iam:AttachUserPolicy", `reference="ann AmazonEC2`, "status=303"}},
		"a refusal": {few, "/console/users/new", "Create user", url.Values{"name": {"evil"}},
			[]string{"principal=few", "action=iam:CreateUser", "reference=evil", "status=403", "error=", "not authorized to perform: iam:CreateUser"}},
		"a refused page": {few, "/console/users", "", nil,
			[]string{"principal=few", `action="GET /console/users"`, "status=403", "iam:ListUsers"}},
	} {
		t.Run(name, func(t *testing.T) {
			line := logged(s, func() {
				test.b.get(test.page)
				if test.button != "" {
					test.b.submit(test.button, test.fill)
				}
			})
			found := false
			for l := range strings.Lines(line) {
				has := 0
				for _, w := range test.want {
					if strings.Contains(l, w) {
						has++
					}
				}
				found = found || has == len(test.want)
			}
			if !found {
				t.Errorf("no line has all of %q:\n%s", test.want, line)
			}
		})
	}
}

// TestLogSignIn: so are those who sign in, and those who try to, but no secret.
func TestLogSignIn(t *testing.T) {
	s := weirtest.Start(t, "")
	key := newUser(t, s, "ann", "")
	b := newBrowser(t, s)
	for name, test := range map[string]struct {
		key  app.Key
		want []string
	}{
		"right":                {key, []string{"principal=ann", `action="POST /console/sign-in"`, "reference=" + key.ID, "status=303"}},
		"a wrong secret":       {app.Key{ID: key.ID, Secret: "a guess"}, []string{"status=401", key.ID, "from 127.0.0.1", "the secret is wrong"}},
		"no such key":          {app.Key{ID: "AKIANOBODY", Secret: "a guess"}, []string{"status=401", "AKIANOBODY", "from 127.0.0.1"}},
		"taken for each other": {app.Key{ID: key.Secret, Secret: key.ID}, []string{"status=401", "from 127.0.0.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			lines := logged(s, func() { b.signIn(test.key) })
			for _, w := range test.want {
				if !strings.Contains(lines, w) {
					t.Errorf("the log lacks %q:\n%s", w, lines)
				}
			}
			if strings.Contains(lines, key.Secret[:20]) || strings.Contains(lines, "a guess") {
				t.Errorf("a secret is in the log:\n%s", lines)
			}
		})
	}
}
