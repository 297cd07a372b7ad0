package console_test

import (
	"net/url"
	"testing"

	"github.com/weir-registry/weir/internal/weirtest"
)

// TestStaleForms: a form does not undo what somebody else saved since it was loaded.
func TestStaleForms(t *testing.T) {
	s := weirtest.Start(t, "")
	policy := func(sid, more string) string {
		return `{"Version":"2012-10-17","Statement":[{"Sid":"` + sid + `","Effect":"Deny","Action":"ecr:PutImage"` + more + `}]}`
	}
	lifecycle := func(n string) string {
		return `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":` + n + `},"action":{"type":"expire"}}]}`
	}
	newUser(t, s, "ann", policy("zero", `,"Resource":"*"`))
	for action, in := range map[string]any{
		"CreateRepository":                 map[string]string{"repositoryName": "own/app"},
		"CreateRepositoryCreationTemplate": map[string]any{"prefix": "team", "appliedFor": []string{"CREATE_ON_PUSH"}},
	} {
		api(t, s, "AmazonEC2ContainerRegistry_V20150921."+action, in, nil)
	}
	for name, test := range map[string]struct {
		page, button string
		first, late  url.Values
		shown        []string // of both, to who comes late
	}{
		"registry policy": {"/console/registry-policy", "Save", url.Values{"document": {policy("one", `,"Principal":"*","Resource":"*"`)}}, url.Values{"document": {policy("two", `,"Principal":"*","Resource":"*"`)}},
			[]string{"What holds now", "&#34;one&#34;", "&#34;two&#34;"}},
		"user policy": {"/console/user/policy?name=ann&policy=own", "Save", url.Values{"document": {policy("one", `,"Resource":"*"`)}}, url.Values{"document": {policy("two", `,"Resource":"*"`)}},
			[]string{"What holds now", "&#34;one&#34;", "&#34;two&#34;"}},
		"repository policy": {"/console/repositories/own/app?tab=permissions", "put-policy", url.Values{"policy": {policy("one", `,"Principal":"*"`)}}, url.Values{"policy": {policy("two", `,"Principal":"*"`)}},
			[]string{"What holds now", "&#34;one&#34;", "&#34;two&#34;"}},
		"lifecycle policy": {"/console/repositories/own/app?tab=lifecycle", "put-lifecycle", url.Values{"policy": {lifecycle("111")}}, url.Values{"policy": {lifecycle("222")}},
			[]string{"What holds now", "111", "222"}},
		"template": {"/console/template?prefix=team", "Save", url.Values{"mutability": {"IMMUTABLE"}}, url.Values{"description": {"of the team"}},
			[]string{"of the team"}},
	} {
		t.Run(name, func(t *testing.T) {
			one, two := signedIn(t, s, s.Key), signedIn(t, s, s.Key)
			one.get(test.page)
			two.get(test.page)
			one.submit(test.button, test.first)
			one.shows(200)
			two.submit(test.button, test.late)
			two.shows(409, append(test.shown, "was changed since this form was loaded, and nothing was saved")...)
			if name == "template" {
				two.submit(test.button, nil) // which is as old as before
				two.shows(409)
				two.get(test.page)
			}
			two.submit(test.button, test.late)
			two.shows(200)
		})
	}
}
