package iam_test

import (
	"strings"
	"testing"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
)

const arn = "arn:aws:ecr:local:123456789012:repository/"

func allow(action, resource string) iam.Policy {
	return iam.Policy{Statements: []iam.Statement{{Actions: []string{action}, Resources: []string{resource}}}}
}

func deny(action, resource string) iam.Policy {
	return iam.Policy{Statements: []iam.Statement{{Deny: true, Actions: []string{action}, Resources: []string{resource}}}}
}

func TestAllowed(t *testing.T) {
	user := func(policies ...iam.Policy) iam.Caller {
		return iam.Caller{Name: "ci", KeyID: "AKIAEXAMPLE", Policies: policies}
	}
	anonymous := func(policies ...iam.Policy) iam.Caller {
		return iam.Caller{Name: "anonymous", Anonymous: true, Policies: policies}
	}
	const none = errs.Internal
	for _, test := range []struct {
		name             string
		caller           iam.Caller
		action, resource string
		code             errs.Code // none: allowed
	}{
		{"nobody", iam.Caller{}, iam.BatchGetImage, arn + "a", errs.Unauthenticated},
		{"root", iam.Caller{Name: "root", Root: true}, "ecr:AnythingAtAll", "*", none},
		{"user without policies", user(), iam.BatchGetImage, arn + "a", errs.Denied},
		{"anonymous without policies", anonymous(), iam.BatchGetImage, arn + "a", errs.Unauthenticated},
		{"allowed", user(allow(iam.BatchGetImage, arn+"a")), iam.BatchGetImage, arn + "a", none},
		{"anonymous allowed", anonymous(allow(iam.BatchGetImage, arn+"a")), iam.BatchGetImage, arn + "a", none},
		{"other action", user(allow(iam.BatchGetImage, arn+"a")), iam.ListImages, arn + "a", errs.Denied},
		{"other resource", user(allow(iam.BatchGetImage, arn+"a")), iam.BatchGetImage, arn + "b", errs.Denied},
		{"prefix of the resource", user(allow(iam.BatchGetImage, arn+"a")), iam.BatchGetImage, arn + "ab", errs.Denied},
		{"action in other case", user(allow("ECR:batchgetimage", arn+"a")), iam.BatchGetImage, arn + "a", none},
		{"resource in other case", user(allow(iam.BatchGetImage, arn+"A")), iam.BatchGetImage, arn + "a", errs.Denied},
		{"all actions", user(allow("ecr:*", arn+"*")), iam.ListImages, arn + "a/b", none},
		{"everything", user(allow("*", "*")), iam.ListImages, arn + "a", none},
		{"star crosses slashes", user(allow(iam.ListImages, arn+"a/*/z")), iam.ListImages, arn + "a/b/c/z", none},
		{"question mark", user(allow("ecr:???tImages", arn+"?")), iam.ListImages, arn + "a", none},
		{"deny after allow", user(allow("*", "*"), deny(iam.BatchGetImage, arn+"secret/*")), iam.BatchGetImage, arn + "secret/a", errs.Denied},
		{"deny before allow", user(deny(iam.BatchGetImage, arn+"secret/*"), allow("*", "*")), iam.BatchGetImage, arn + "secret/a", errs.Denied},
		{"deny in other case", user(allow("*", "*"), deny("ECR:BATCHGETIMAGE", "*")), iam.BatchGetImage, arn + "a", errs.Denied},
		{"deny of something else", user(allow("*", "*"), deny(iam.BatchGetImage, arn+"secret/*")), iam.BatchGetImage, arn + "open/a", none},
		{"statement without actions", user(iam.Policy{Statements: []iam.Statement{{Resources: []string{"*"}}}}), iam.ListImages, arn + "a", errs.Denied},
		{"statement without resources", user(iam.Policy{Statements: []iam.Statement{{Actions: []string{"*"}}}}), iam.ListImages, arn + "a", errs.Denied},
		{"deny without resources", user(allow("*", "*"), iam.Policy{Statements: []iam.Statement{{Deny: true, Actions: []string{"*"}}}}), iam.ListImages, arn + "a", none},
		{"second of several", user(iam.Policy{Statements: []iam.Statement{{Actions: []string{"ecr:X", iam.ListImages}, Resources: []string{arn + "x", arn + "a"}}}}), iam.ListImages, arn + "a", none},
		{"empty pattern", user(allow("", "")), iam.ListImages, arn + "a", errs.Denied},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.caller.Allowed(test.action, test.resource)
			if test.code == none {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if errs.CodeOf(err) != test.code {
				t.Fatalf("error %v, want %v", err, test.code)
			}
			if e := errs.As(err); !strings.Contains(e.Msg, test.action) || !strings.Contains(e.Msg, test.resource) {
				t.Errorf("message %q does not name action and resource", e.Msg)
			}
		})
	}
}

func TestPullPolicy(t *testing.T) {
	c := iam.Caller{Name: "node", Policies: []iam.Policy{iam.PullPolicy(arn+"hub/*", arn+"quay/app")}}
	for _, action := range []string{iam.GetDownloadURLForLayer, iam.BatchGetImage, iam.BatchImportUpstreamImage, iam.DescribeImages, iam.ListImages} {
		for _, repo := range []string{"hub/library/nginx", "quay/app"} {
			if err := c.Allowed(action, arn+repo); err != nil {
				t.Error(err)
			}
		}
	}
	for _, test := range []struct{ action, resource string }{
		{"ecr:PutImage", arn + "hub/a"},
		{"ecr:DeleteRepository", arn + "hub/a"},
		{"ecr:CreatePullThroughCacheRule", arn + "hub/a"},
		{iam.BatchGetImage, arn + "quay/app2"},
		{iam.BatchGetImage, arn + "hub"},
	} {
		if err := c.Allowed(test.action, test.resource); errs.CodeOf(err) != errs.Denied {
			t.Errorf("%s on %s: %v", test.action, test.resource, err)
		}
	}
	if err := (iam.Caller{Name: "x", Policies: []iam.Policy{iam.PullPolicy()}}).Allowed(iam.BatchGetImage, arn+"a"); errs.CodeOf(err) != errs.Denied {
		t.Errorf("a pull policy of no resources allows: %v", err)
	}
}

// matches is what Match means, written so that it cannot be wrong, in exponential time.
func matches(pattern, s string) bool {
	if pattern == "" {
		return s == ""
	}
	switch pattern[0] {
	case '*':
		return matches(pattern[1:], s) || s != "" && matches(pattern, s[1:])
	case '?':
		return s != "" && matches(pattern[1:], s[1:])
	}
	return s != "" && s[0] == pattern[0] && matches(pattern[1:], s[1:])
}

// Every pattern and every string of up to five letters.
func TestMatchAll(t *testing.T) {
	words := func(alphabet string) []string {
		all, last := []string{""}, []string{""}
		for range 5 {
			var next []string
			for _, w := range last {
				for _, c := range alphabet {
					next = append(next, w+string(c))
				}
			}
			all, last = append(all, next...), next
		}
		return all
	}
	subjects := words("ab")
	for _, p := range words("ab*?") {
		for _, s := range subjects {
			if got, want := iam.Match(p, s), matches(p, s); got != want {
				t.Fatalf("Match(%q, %q) = %v", p, s, got)
			}
		}
	}
}

func FuzzMatch(f *testing.F) {
	for _, seed := range [][2]string{{"", ""}, {"*", ""}, {"a*b?c", "axxbyc"}, {"**a", "aa"}, {"?*?", "x"}, {"*aab", "aaaab"}, {"ecr:*", "ecr:ListImages"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if strings.Count(pattern, "*") > 5 || len(pattern) > 40 || len(s) > 40 {
			return // the oracle is exponential
		}
		if got, want := iam.Match(pattern, s), matches(pattern, s); got != want {
			t.Fatalf("Match(%q, %q) = %v", pattern, s, got)
		}
	})
}

// A pattern that makes a naive matcher take for ever.
func TestMatchHostilePattern(t *testing.T) {
	pattern, s := strings.Repeat("*a", 1000)+"b", strings.Repeat("a", 10_000)
	if iam.Match(pattern, s) {
		t.Error("matched")
	}
	if !iam.Match(pattern, s+"b") {
		t.Error("not matched")
	}
}
