package main_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gen "github.com/weir-registry/weir/internal/awsapi/ecr/gen"
)

// TestGenerated: what is in the folder above is what the model makes.
func TestGenerated(t *testing.T) {
	model, err := os.ReadFile("../model/ecr-2015-09-21.json")
	if err != nil {
		t.Fatal(err)
	}
	want, err := gen.Generate(model)
	if err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob("../*_gen.go")
	if err != nil || len(names) != len(want) {
		t.Errorf("files %v, %v; the model makes %d", names, err, len(want))
	}
	for name, text := range want {
		got, err := os.ReadFile("../" + name)
		if err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s is not what the model makes (%v): run go generate ./internal/awsapi/ecr", name, err)
		}
	}
}

func TestRefuses(t *testing.T) {
	in := func(shapes string) string {
		return `{"operations":{"Do":{"input":{"shape":"In"},"output":{"shape":"Out"}}},"shapes":{"Out":{"type":"structure"},"In":{"type":"structure","members":{"a":{"shape":"A"}}},` + shapes + `}}`
	}
	if _, err := gen.Generate([]byte(in(`"A":{"type":"string","min":1}`))); err != nil {
		t.Errorf("a model like any other: %v", err)
	}
	for name, test := range map[string]struct{ model, want string }{
		"no JSON":            {"shapes", "invalid character"},
		"shape is not there": {in(`"B":{"type":"string"}`), `no shape "A"`},
		"unknown type":       {in(`"A":{"type":"document"}`), "shape A is a document"},
		"map in an input":    {in(`"A":{"type":"map","key":{"shape":"S"},"value":{"shape":"S"}},"S":{"type":"string"}`), "a map in an input"},
		"pattern of others":  {in(`"A":{"type":"string","pattern":"(?=a)"}`), "invalid or unsupported Perl syntax"},
	} {
		if _, err := gen.Generate([]byte(test.model)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}
