package console_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/weir-registry/weir/internal/weirtest"
)

// TestSecrets: a secret's life, none of whose values is ever in a page.
func TestSecrets(t *testing.T) {
	s := weirtest.Start(t, "rules: []")
	b := signedIn(t, s, s.Key)
	values := []string{"first-value", "second-value", "third-value", "refused-value"}
	hidden := func(status int, texts ...string) {
		t.Helper()
		b.shows(status, texts...)
		b.lacks(values...)
	}
	b.get("/console/secrets")
	b.shows(200, "There is no secret yet.")
	b.get("/console/secrets/new")
	for _, wrong := range []struct {
		form url.Values
		says string
	}{
		{url.Values{"name": {"a b"}, "user": {"u"}, "token": {values[3]}}, "Invalid name"},
		{url.Values{"name": {"x"}, "user": {""}, "token": {values[3]}}, "a user name and an access token are needed"},
		{url.Values{"name": {"x"}, "how": {"json"}, "json": {`{"` + values[3]}}, "the value is not JSON"},
		{url.Values{"name": {"x"}, "how": {"json"}, "json": {`{"a":1}`}, "token": {values[3]}}, "only one can be the value"},
		{url.Values{"name": {"x"}, "description": {strings.Repeat("d", 2049)}, "how": {"login"}, "user": {"u"}, "json": {""}, "token": {values[3]}}, "longer than 2048"},
	} {
		b.submit("Create the secret", wrong.form)
		hidden(400, wrong.says, `name="name" value="`+wrong.form.Get("name")+`"`)
	}
	const name = "ecr-pullthroughcache/../a//b=c@d!+"
	const hostile = `<script>alert("x")</script>`
	b.submit("Create the secret", url.Values{"name": {name}, "description": {hostile}, "how": {"login"}, "user": {"robot"}, "token": {values[0]}})
	hidden(200, "The secret was created.", "<h1>ecr-pullthroughcache/../a//b=c@d!&#43;</h1>", "&lt;script&gt;", "AWSCURRENT")
	b.lacks(hostile)
	b.get("/console/secrets/new")
	b.submit("Create the secret", url.Values{"name": {name}, "user": {"robot"}, "token": {values[3]}})
	hidden(409, "already exists")

	at := "/console/secret?name=" + url.QueryEscape(name)
	b.get(at)
	b.submit("Store the new value", url.Values{"user": {"robot"}, "token": {values[1]}})
	hidden(200, "The secret has its new value", "AWSPREVIOUS")
	b.submit("Store the new value", url.Values{"how": {"json"}, "json": {`{"username":"u","accessToken":"` + values[2] + `"}`}})
	hidden(200, "The secret has its new value")
	b.submit("Store the new value", url.Values{"how": {"json"}, "json": {values[3] + `"`}})
	hidden(400, "the value is not JSON", `value="json" id="how-json" checked`)

	b.get("/console/secrets")
	hidden(200, "ecr-pullthroughcache/../a//b=c@d!&#43;", "in use", "&lt;script&gt;")
	b.get(strings.Replace(at, "secret?", "secret/delete?", 1))
	for _, days := range []string{"6", "31", "", "-1", "x", "99999999999999"} {
		b.submit("Delete the secret", url.Values{"days": {days}})
		hidden(400, "30")
	}
	b.submit("Delete the secret", url.Values{"days": {"7"}})
	hidden(200, "The secret is marked for deletion.", "in 6 days")
	b.lacks("Store the new value", "/console/secret/delete")
	b.get("/console/secrets")
	b.shows(200, "marked for deletion")
	b.get(at)
	b.submit("restore", nil)
	b.shows(200, "not marked for deletion any more", "Store the new value")
	b.get(strings.Replace(at, "secret?", "secret/delete?", 1))
	b.submit("Delete the secret", url.Values{"how": {"now"}})
	b.shows(200, "The secret was deleted.", "There is no secret yet.")
	b.get(at)
	b.shows(404, "This is not there.")
	for _, v := range values {
		if strings.Contains(s.Log.String(), v) {
			t.Errorf("%s is in the log", v)
		}
	}
}

// TestManySecrets: the list has pages, and of very many a rule's is typed.
func TestManySecrets(t *testing.T) {
	s := weirtest.Start(t, "rules: []")
	b := signedIn(t, s, s.Key)
	b.get("/console/secrets/new")
	mark := token.FindStringSubmatch(b.body)[1]
	for n := range 201 {
		b.do("POST", "/console/secrets/new", url.Values{"form": {mark}, "name": {fmt.Sprintf("ecr-pullthroughcache/%03d", n)}, "user": {"u"}, "token": {"t"}})
		b.shows(200, "The secret was created.")
		if n == 199 {
			b.get("/console/rules/new?kind=quay&at=2")
			b.shows(200, `<select name="secret" data-chooses="choose-existing">`, "<option>ecr-pullthroughcache/199</option>")
		}
	}
	b.get("/console/rules/new?kind=quay&at=2&secret=ecr-pullthroughcache/000")
	b.shows(200, `<input name="secret" data-chooses="choose-existing" value="ecr-pullthroughcache/000"`)
	b.get("/console/secrets")
	b.shows(200, ">ecr-pullthroughcache/049<", `<a href="/console/secrets?after=ecr-pullthroughcache%2F049"`)
	b.lacks(">ecr-pullthroughcache/050<")
	b.get("/console/secrets?after=ecr-pullthroughcache%2F199")
	b.shows(200, ">ecr-pullthroughcache/200<")
	b.lacks(`rel="next"`)
}

// TestSecretRights: what the visitor may not do is not offered; a right to some names is
// enough for those.
func TestSecretRights(t *testing.T) {
	s := weirtest.Start(t, "rules: []")
	root := signedIn(t, s, s.Key)
	for _, name := range []string{"ecr-pullthroughcache/team/a", "ecr-pullthroughcache/other"} {
		root.get("/console/secrets/new")
		root.submit("Create the secret", url.Values{"name": {name}, "user": {"u"}, "token": {"t"}})
		root.shows(200, "The secret was created.")
	}
	b := signedIn(t, s, newUser(t, s, "ann", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"secretsmanager:ListSecrets","Resource":"*"},
		{"Effect":"Allow","Action":["secretsmanager:DescribeSecret","secretsmanager:PutSecretValue"],"Resource":"arn:aws:secretsmanager:*:*:secret:ecr-pullthroughcache/team/*"}]}`))
	b.get("/console/secrets")
	b.shows(200, "ecr-pullthroughcache/team/a", "not for you to see")
	b.lacks("/console/secrets/new", "/console/secret?name=ecr-pullthroughcache/other")
	b.get("/console/secret/delete?name=ecr-pullthroughcache/team/a")
	b.shows(403, "secretsmanager:DeleteSecret")
	b.get("/console/secret?name=ecr-pullthroughcache/team/a")
	b.shows(200, "Store the new value")
	b.lacks("/console/secret/delete")
	b.submit("Store the new value", url.Values{"user": {"u"}, "token": {"other"}})
	b.shows(200, "The secret has its new value")
	b.get("/console/secret?name=ecr-pullthroughcache/other")
	b.shows(403, "secretsmanager:DescribeSecret")
	b.get("/console/secrets/new")
	b.shows(403)

	b = signedIn(t, s, newUser(t, s, "maker", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"secretsmanager:CreateSecret","Resource":"arn:aws:secretsmanager:*:*:secret:ecr-pullthroughcache/*"}}`))
	b.get("/console/secrets/new")
	b.submit("Create the secret", url.Values{"name": {"ecr-pullthroughcache/mine"}, "user": {"u"}, "token": {"t"}})
	b.shows(200, "The secret was created.", "Create the secret")
	b.submit("Create the secret", url.Values{"name": {"elsewhere"}, "user": {"u"}, "token": {"t"}})
	b.shows(403, "secretsmanager:CreateSecret")

	b = signedIn(t, s, newUser(t, s, "remover", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["secretsmanager:DescribeSecret","secretsmanager:DeleteSecret"],"Resource":"*"}}`))
	b.get("/console/secret/delete?name=ecr-pullthroughcache/mine")
	b.lacks(`href="/console/secrets`)
	b.submit("Delete the secret", url.Values{"how": {"now"}})
	b.shows(200, "The secret was deleted.")
}
