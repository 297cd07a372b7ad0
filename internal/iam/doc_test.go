package iam_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/weir-registry/weir/internal/iam"
)

// TestDocument: the page about policies is right about what there is.
func TestDocument(t *testing.T) {
	page, err := os.ReadFile("../../docs/policies.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)\n```json\n(.*?)\n```\n").FindAllSubmatch(page, -1)
	if len(blocks) == 0 {
		t.Error("there is no example")
	}
	for _, b := range blocks {
		parse := iam.ParsePolicy
		switch doc := string(b[1]); {
		case strings.Contains(doc, `"Principal"`) && strings.Contains(doc, `"Resource"`):
			parse = iam.ParseRegistryPolicy
		case strings.Contains(doc, `"Principal"`):
			parse = iam.ParseRepositoryPolicy
		}
		if _, err := parse(b[1]); err != nil {
			t.Errorf("%v in\n%s", err, b[1])
		}
	}
	for _, name := range iam.ManagedNames() {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("nothing about %s", name)
		}
	}
	// The refusal of an unknown operator names those that there are.
	_, err = iam.ParsePolicy([]byte(in(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"X":{"x:y":"z"}}}`)))
	_, operators, _ := strings.Cut(err.Error(), "ForAnyValue: ")
	for name := range strings.SplitSeq(operators, ", ") {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("nothing about %s", name)
		}
	}
}
