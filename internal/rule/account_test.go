package rule_test

import (
	"testing"

	"github.com/weir-registry/weir/internal/rule"
)

func TestAccount(t *testing.T) {
	for _, test := range []struct {
		name string
		rule rule.Rule
		want string
	}{
		{"anybody", rule.Rule{Kind: rule.Quay}, ""},
		{"credential", rule.Rule{Kind: rule.Quay, Credential: "q"}, "q"},
		{"the machine's, at an ECR", rule.Rule{Kind: rule.ECR}, "aws "},
		{"a role's, at an ECR", rule.Rule{Kind: rule.ECR, CustomRole: "arn:aws:iam::1:role/r"}, "aws arn:aws:iam::1:role/r"},
		{"credential at an ECR", rule.Rule{Kind: rule.ECR, Credential: "e"}, "e"},
	} {
		if got := test.rule.Account(); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
