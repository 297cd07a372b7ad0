package awsapi_test

import (
	"bytes"
	"testing"

	"github.com/weir-registry/weir/internal/awsapi"
)

type filter struct{ Repository, Status string }

func TestPages(t *testing.T) {
	p := awsapi.NewPages(bytes.Repeat([]byte{1}, 32))
	list := filter{"a/b", "TAGGED"}
	for _, last := range []string{"", "a/b", "sha256:00 v1", "\xff\x00"} {
		token, err := p.Token("ListImages", list, last)
		if err != nil {
			t.Fatal(err)
		}
		got, ok, err := awsapi.NewPages(bytes.Repeat([]byte{1}, 32)).Last("ListImages", list, token)
		if got != last || !ok || err != nil {
			t.Errorf("%q: got %q, %v, %v", last, got, ok, err)
		}
		for what, use := range map[string]struct {
			pages  awsapi.Pages
			op     string
			filter any
			token  string
		}{
			"other operation":  {p, "DescribeImages", list, token},
			"other filter":     {p, "ListImages", filter{"a/b", "ANY"}, token},
			"other repository": {p, "ListImages", filter{"a/c", "TAGGED"}, token},
			"other key":        {awsapi.NewPages(bytes.Repeat([]byte{2}, 32)), "ListImages", list, token},
			"cut":              {p, "ListImages", list, token[:len(token)-3]},
			"longer":           {p, "ListImages", list, token + "aaaa"},
			"changed":          {p, "ListImages", list, "A" + "B" + token[2:]},
			"no base64":        {p, "ListImages", list, "*"},
			"empty":            {p, "ListImages", list, ""},
		} {
			if got, ok, err := use.pages.Last(use.op, use.filter, use.token); ok || err != nil {
				t.Errorf("%q, %s: got %q, %v, %v", last, what, got, ok, err)
			}
		}
	}
	if _, err := p.Token("x", func() {}, ""); err == nil {
		t.Error("a filter without JSON has a token")
	}
}
