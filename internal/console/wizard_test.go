package console_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
	"github.com/weir-registry/weir/internal/weirtest"
)

// upstreamsAt is a configuration by which weir finds upstreams with names at a registry's
// site, and has no rules.
func upstreamsAt(site upstreamtest.Site, more string, names ...string) string {
	var all []string
	for _, name := range names {
		all = append(all, fmt.Sprintf(`  %q: {endpoints: [%q], allow_hosts: ["%s"], realms: [%q]}`, name, site.URL, strings.Join(site.Allow, `", "`), site.Realm))
	}
	return "rules: []\nupstreams:\n" + strings.Join(all, "\n") + "\n" + more
}

const (
	user   = "acme-robot"
	secret = "token-that-no-page-shows"
)

// begin goes to the second step for an upstream.
func begin(b *browser, kind, host string) {
	b.t.Helper()
	b.get("/console/rules/new")
	b.shows(200, `aria-current="step">Upstream<`)
	choice := url.Values{"kind": {kind}}
	if host != "" {
		choice.Set("host-"+kind, host)
	}
	b.submit("Next", choice)
}

// TestWizard: a rule of each kind, with a credential and without.
func TestWizard(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{Auth: upstreamtest.Token})
	site := up.Listen(t)
	private := upstreamtest.New(upstreamtest.Options{Auth: upstreamtest.Token, Users: map[string]string{user: secret}})
	privateSite := private.Listen(t)
	hosts := []string{"public.ecr.aws", "registry.k8s.io", "quay.io", "registry-1.docker.io", "ghcr.io", "registry.gitlab.com", "cgr.dev", "corp.azurecr.io", "up.example.com:5000"}
	type upstream struct{ kind, host, prefix, name string }
	kinds := []upstream{
		{"ecr-public", "", "ecr-public", "public.ecr.aws"},
		{"k8s", "", "kubernetes", "registry.k8s.io"},
		{"quay", "", "quay", "quay.io"},
		{"docker-hub", "", "docker-hub", "registry-1.docker.io"},
		{"github-container-registry", "", "github", "ghcr.io"},
		{"gitlab-container-registry", "", "gitlab", "registry.gitlab.com"},
		{"chainguard", "", "chainguard", "cgr.dev"},
		{"azure-container-registry", "corp.azurecr.io", "azure", "corp.azurecr.io"},
		{"generic", "up.example.com:5000", "up.example.com", "up.example.com:5000"},
	}
	t.Run("anonymous", func(t *testing.T) {
		s := weirtest.Start(t, upstreamsAt(site, "", hosts...))
		b := signedIn(t, s, s.Key)
		for _, k := range kinds {
			begin(b, k.kind, k.host)
			b.shows(200, `aria-current="step">Credential<`, k.name)
			b.submit("Verify and go on", nil)
			b.shows(200, `aria-current="step">Namespace<`, "all is well", `name="prefix" value="`+k.prefix+`"`, "docker pull "+s.Addr+"/"+k.prefix+"/", k.name+"/")
			b.submit("Next", nil)
			b.shows(200, `aria-current="step">Review and create<`, "anonymous", "valid")
			b.submit("create", nil)
			b.shows(200, "The rule was created.", "<h1>"+k.prefix+"</h1>", k.name, "valid")
			if !strings.HasPrefix(b.path, "/console/rule/"+k.prefix+"?done=The+rule+was+created.&") {
				t.Errorf("%s: the rule's page is at %s", k.kind, b.path)
			}
		}
		b.get("/console/rules")
		for _, k := range kinds {
			b.shows(200, `<a href="/console/rule/`+k.prefix+`">`, k.name)
		}
	})
	t.Run("with a secret", func(t *testing.T) {
		s := weirtest.Start(t, upstreamsAt(privateSite, "", hosts...))
		b := signedIn(t, s, s.Key)
		for _, k := range kinds[2:] {
			begin(b, k.kind, k.host)
			b.submit("Verify and go on", url.Values{"credential": {"new"}, "name": {k.prefix}, "user": {user}, "token": {secret}})
			b.shows(200, `aria-current="step">Namespace<`, "all is well")
			b.lacks(secret)
			b.submit("Next", url.Values{"prefix": {"team/" + k.prefix}, "upper": {"org"}})
			b.shows(200, "ecr-pullthroughcache/"+k.prefix, "valid", k.name+"/org/")
			b.submit("create", nil)
			b.shows(200, "The rule was created.", "<h1>team/"+k.prefix+"</h1>", "ecr-pullthroughcache/"+k.prefix)
			b.lacks(secret)

			begin(b, k.kind, k.host)
			b.submit("Verify and go on", url.Values{"credential": {"existing"}, "secret": {"ecr-pullthroughcache/" + k.prefix}})
			b.shows(200, `aria-current="step">Namespace<`, "all is well")
			b.lacks(secret, user)
		}
	})
}

// TestWizardECR: a private registry of Amazon's is asked as the machine, or in a role.
func TestWizardECR(t *testing.T) {
	for k, v := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIAMACHINE", "AWS_SECRET_ACCESS_KEY": "secret-of-the-machine", "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1",
		"AWS_ENDPOINT_URL_ECR": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:1",
	} {
		t.Setenv(k, v)
	}
	s := weirtest.Start(t, "rules: []")
	b := signedIn(t, s, s.Key)
	const host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
	begin(b, "ecr", host)
	b.shows(200, "AWS credentials of its machine", "Role (ARN)")
	b.lacks(`name="token"`)
	b.submit("Verify and go on", url.Values{"role": {"arn:aws:iam::999999999999:role/pull"}})
	b.shows(502, "with the AWS credentials of this machine and the role", "Go on without an answer", "arn:aws:iam::999999999999:role/pull")
	b.submit("Go on without an answer", nil)
	b.shows(200, `name="prefix" value="ecr"`)
	b.submit("Next", nil)
	b.shows(200, "AWS credentials of this machine", "arn:aws:iam::999999999999:role/pull", "refused", "with the AWS credentials of this machine and the role", "Nothing comes through the rule until")
	b.submit("create", nil)
	b.shows(200, "The rule was created.", "arn:aws:iam::999999999999:role/pull")

	b.get("/console/rules/edit?prefix=ecr")
	b.submit("Save and verify", url.Values{"role": {""}})
	b.shows(200, "The rule was changed.", "connection refused")
	b.lacks("role/pull")
}

// TestWizardRefused: a credential that the upstream does not take is told in its words, and
// put right on the same page.
func TestWizardRefused(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{Auth: upstreamtest.Token, Users: map[string]string{user: secret}})
	s := weirtest.Start(t, upstreamsAt(up.Listen(t), "", "quay.io"))
	b := signedIn(t, s, s.Key)
	begin(b, "quay", "")
	for _, missing := range []url.Values{
		{"credential": {"new"}, "name": {""}, "user": {user}, "token": {"wrong-token"}},
		{"credential": {"new"}, "name": {"quay"}, "user": {""}, "token": {"wrong-token"}},
		{"credential": {"new"}, "name": {"quay"}, "user": {user}, "token": {""}},
	} {
		b.submit("Verify and go on", missing)
		b.shows(400, "a new secret needs a name, a user name and an access token", `name="name" data-chooses="choose-new" value="`+missing.Get("name")+`"`, `name="user" data-chooses="choose-new" value="`+missing.Get("user")+`"`)
		b.lacks("wrong-token", "is stored. What is typed")
	}
	b.submit("Verify and go on", url.Values{"credential": {"none"}, "name": {"quay"}, "user": {user}, "token": {"wrong-token"}})
	b.shows(400, "no new secret is chosen", `name="user" data-chooses="choose-new" value="`+user+`"`)
	b.lacks("wrong-token")
	b.submit("Verify and go on", url.Values{"credential": {"new"}, "name": {"no space"}, "user": {user}, "token": {"wrong-token"}})
	b.shows(400, "Invalid name")
	b.submit("Verify and go on", url.Values{"credential": {"new"}, "name": {"quay"}, "user": {user}, "token": {"wrong-token"}})
	b.shows(502, "login as", user, "The secret ecr-pullthroughcache/quay is stored.", `name="user" data-chooses="choose-new" value="`+user+`"`)
	b.lacks("wrong-token", "Go on without an answer")
	b.submit("Verify and go on", nil) // without a token
	b.shows(400, "a new secret needs", "The secret ecr-pullthroughcache/quay is stored.")
	b.submit("Verify and go on", url.Values{"token": {secret}})
	b.shows(200, `aria-current="step">Namespace<`, "all is well")
	b.lacks(secret)

	b2 := signedIn(t, s, s.Key)
	b2.get("/console/secret?name=ecr-pullthroughcache/quay")
	b2.shows(200, "AWSCURRENT", "AWSPREVIOUS")

	// A secret of this name that this form did not make is not changed by it.
	begin(b, "quay", "")
	b.submit("Verify and go on", url.Values{"credential": {"new"}, "name": {"ecr-pullthroughcache/quay"}, "user": {user}, "token": {"other"}})
	b.shows(409, "already exists")
	b.submit("Verify and go on", url.Values{"credential": {"existing"}})
	b.shows(200, "all is well")
}

// TestWizardAway: where the upstream cannot be reached now, a rule can be created with a
// warning.
func TestWizardAway(t *testing.T) {
	nowhere := upstreamtest.Site{URL: "http://127.0.0.1:1", Realm: "http://127.0.0.1:1/token", Allow: []string{"127.0.0.1:1"}}
	s := weirtest.Start(t, upstreamsAt(nowhere, "", "quay.io"))
	b := signedIn(t, s, s.Key)
	begin(b, "quay", "")
	b.submit("Verify and go on", url.Values{"credential": {"new"}, "name": {"quay"}, "user": {user}, "token": {secret}})
	b.shows(502, "connection refused", "Go on without an answer", "cannot be asked now", "is stored. What is typed")
	b.submit("Go on without an answer", nil)
	b.shows(200, `aria-current="step">Namespace<`)
	b.submit("Next", nil)
	b.shows(200, "no answer", "connection refused", "ecr-pullthroughcache/quay")
	b.submit("verify", nil)
	b.shows(200, `aria-current="step">Review and create<`, "no answer")
	b.submit("create", nil)
	b.shows(200, "The rule was created.", "no answer", "connection refused")
	b.get("/console/rules")
	b.shows(200, "no answer")
	b.lacks(secret)
}

// TestWizardNames: what is wrong with an upstream or a prefix is said above the form, with
// what was typed in it.
func TestWizardNames(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{})
	site := up.Listen(t)
	s := weirtest.Start(t, strings.Replace(upstreamsAt(site, "", "quay.io", "taken.example.com"), "rules: []", `rules: [{prefix: taken, upstream: "taken.example.com"}]`, 1))
	b := signedIn(t, s, s.Key)
	for _, tt := range []struct{ kind, host, says string }{
		{"generic", "", "upstream host is empty"},
		{"generic", "https://quay.io", "has a scheme"},
		{"generic", `"><script>alert(1)</script>`, "is not a lower-case host"},
		{"azure-container-registry", "quay.io", "one looks like example.azurecr.io"},
		{"ecr", "corp.azurecr.io", "one looks like 123456789012.dkr.ecr."},
	} {
		begin(b, tt.kind, tt.host)
		b.shows(400, tt.says, `aria-current="step">Upstream<`, `value="`+tt.kind+`" id="kind-`+tt.kind+`" checked`)
		b.lacks("<script>alert")
		if tt.host != "" && !strings.Contains(tt.host, "<") {
			b.shows(400, `value="`+tt.host+`"`)
		}
	}
	b.get("/console/rules/new?at=1&next=1&kind=nothing")
	b.shows(400, "choose one of the upstreams")
	b.get("/console/rules/new?at=4&kind=generic")
	b.shows(200, `aria-current="step">Upstream<`)

	begin(b, "generic", "quay.io") // is what it is
	b.shows(200, "Quay")
	begin(b, "generic", "docker.io")
	b.shows(200, "Docker Hub", "registry-1.docker.io")

	begin(b, "quay", "")
	b.submit("Verify and go on", nil)
	for _, tt := range []struct{ prefix, upper, says string }{
		{"", "", "a prefix is needed"},
		{"Team", "", "neither a repository name nor ROOT"},
		{`"><script>alert(1)</script>`, "", "neither a repository name nor ROOT"},
		{"team", "//", "upstreamRepositoryPrefix"},
		{"ROOT", "org", "upstreamRepositoryPrefix"},
		{"taken", "", "already exists"},
	} {
		b.submit("Next", url.Values{"prefix": {tt.prefix}, "upper": {tt.upper}})
		if b.status != 400 && b.status != 409 {
			t.Errorf("%q: %d", tt.prefix, b.status)
		}
		b.shows(b.status, tt.says, `aria-current="step">Namespace<`, `name="upper" value="`+tt.upper+`"`)
		b.lacks("<script>alert")
	}
	b.submit("Show the example", url.Values{"prefix": {"a/b"}, "upper": {"org"}})
	b.shows(200, "docker pull "+s.Addr+"/a/b/prometheus/node-exporter:latest", "quay.io/org/prometheus/node-exporter:latest", "<code>a/b/prometheus/node-exporter</code>")
	b.submit("Show the example", url.Values{"prefix": {"ROOT"}, "upper": {""}})
	b.shows(200, "docker pull "+s.Addr+"/prometheus/node-exporter:latest")
	b.submit("Show the example", url.Values{"prefix": {"A"}})
	b.shows(200, "No name of a repository begins like this")

	// Somebody was quicker.
	b.submit("Next", url.Values{"prefix": {"quick"}, "upper": {""}})
	b.shows(200, `aria-current="step">Review and create<`)
	api(t, s, "AmazonEC2ContainerRegistry_V20150921.CreatePullThroughCacheRule", map[string]string{"ecrRepositoryPrefix": "quick", "upstreamRegistryUrl": "quay.io"}, nil)
	b.submit("create", nil)
	b.shows(409, "already exists", `aria-current="step">Review and create<`)
}

// TestWizardStrict: only what ECR itself takes is offered, and taken.
func TestWizardStrict(t *testing.T) {
	s := weirtest.Start(t, "rules: []\necr: {strict: true}")
	b := signedIn(t, s, s.Key)
	b.get("/console/rules/new")
	b.lacks(`value="generic"`)
	b.get("/console/rules/new?at=1&next=1&kind=generic&host-generic=up.test")
	b.shows(400, "choose one of the upstreams")
	b.get("/console/rules/new?at=2&kind=docker-hub")
	b.shows(200, "A new secret")
	b.lacks("None: pull anonymously")
	b.submit("Verify and go on", url.Values{"credential": {"none"}})
	b.shows(400, "requires authentication")
}

// TestWizardRights: who may not is refused at every step, and no upstream gets a secret that
// the visitor may not see.
func TestWizardRights(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{})
	s := weirtest.Start(t, upstreamsAt(up.Listen(t), "", "quay.io", "up.example.com"))
	root := signedIn(t, s, s.Key)
	root.get("/console/secrets/new")
	root.submit("Create the secret", url.Values{"name": {"ecr-pullthroughcache/x"}, "user": {"u"}, "token": {secret}})
	root.shows(200, "The secret was created.")
	policy := func(actions ...string) string {
		text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": map[string]any{"Effect": "Allow", "Action": actions, "Resource": "*"}})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	b := signedIn(t, s, newUser(t, s, "nobody", ""))
	b.lacks("/console/rules", "/console/secrets")
	form := url.Values{"kind": {"quay"}, "prefix": {"quay"}, "credential": {"none"}}
	for _, path := range []string{
		"/console/rules", "/console/rules/new", "/console/rules/new?at=4&kind=quay&prefix=q", "/console/rule/quay", "/console/rules/edit?prefix=quay", "/console/rules/delete?prefix=quay",
		"/console/secrets", "/console/secrets/new", "/console/secret?name=ecr-pullthroughcache/x", "/console/secret?name=nothing", "/console/secret/delete?name=ecr-pullthroughcache/x",
	} {
		b.get(path)
		b.shows(403, "You may not do this.", "is not authorized to perform")
	}
	b.get("/console/")
	mark := token.FindStringSubmatch(b.body)
	for path, dos := range map[string][]string{"/console/rules/new": {"credential", "verify", "create"}, "/console/rule/quay": {"verify", "check", "edit", "delete"}, "/console/secret": {"value", "restore", "delete"}, "/console/secrets/new": {""}} {
		for _, do := range dos {
			f := url.Values{"do": {do}, "name": {"ecr-pullthroughcache/x"}, "user": {"u"}, "token": {"t"}, "days": {"7"}}
			for k, v := range form {
				f[k] = v
			}
			if mark != nil {
				f.Set("form", mark[1])
			}
			b.do("POST", path, f)
			b.shows(403)
		}
	}

	// Who may create rules, and not list secrets or validate, types a name and is asked nothing.
	b = signedIn(t, s, newUser(t, s, "maker", policy("ecr:CreatePullThroughCacheRule", "ecr:DescribePullThroughCacheRules")))
	b.lacks("/console/secrets")
	up.Forget()
	begin(b, "quay", "")
	b.shows(200, `<input name="secret" data-chooses="choose-existing"`)
	b.lacks("A new secret", "ecr-pullthroughcache/x")
	b.submit("Next", url.Values{"credential": {"existing"}, "secret": {"ecr-pullthroughcache/x"}})
	b.shows(200, `aria-current="step">Namespace<`)
	b.submit("Next", nil)
	b.shows(200, "not since the start")
	b.lacks("Verify now")
	b.submit("create", nil)
	b.shows(200, "The rule was created.", "ecr-pullthroughcache/x")
	b.lacks("Verify now", "/console/rules/edit", "/console/rules/delete", "/console/secret?")
	begin(b, "generic", "up.example.com")
	b.submit("Next", url.Values{"credential": {"existing"}, "secret": {"ecr-pullthroughcache/x"}})
	b.shows(403, "secretsmanager:GetSecretValue")
	if n := len(up.Log()); n > 0 {
		t.Errorf("the upstream was asked %d times", n)
	}

	b = signedIn(t, s, newUser(t, s, "blind", policy("ecr:CreatePullThroughCacheRule")))
	b.get("/console/rules/new?at=4&kind=quay&prefix=unseen")
	b.submit("create", nil)
	b.shows(200, "The rule was created.")
	b.lacks(`href="/console/rules"`)
}
