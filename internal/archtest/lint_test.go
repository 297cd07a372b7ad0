package archtest_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The most lines that a file of code may have.
const (
	maxLines     = 600
	maxTestLines = 1000
)

var (
	code = []string{".go", ".sh", ".py", ".sql"}

	// Marks of work that was put off, written so that this file has none.
	unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX)\b`)

	// Absolute paths of one person's machine: they work nowhere else.
	machine = regexp.MustCompile(`(?:^|[^\w.~/-])/(?:wo` + `rk|root|home/\w+|Users/\w+)/`)

	bannedPackages = []string{"util", "utils", "common", "helper", "helpers", "types", "manager"}

	skips = regexp.MustCompile(`^(t|b|f|tb)\.Skip(f|Now)?$`)

	systems = []string{"linux", "darwin", "freebsd", "windows", "unix"}
)

// lint returns what the rules of the house have against a file, as "line: what".
func lint(f file) []string {
	var wrong []string
	say := func(line int, format string, args ...any) {
		wrong = append(wrong, fmt.Sprintf("%d: ", line)+fmt.Sprintf(format, args...))
	}
	limit := maxLines
	if f.isTest() {
		limit = maxTestLines
	}
	isCode := slices.Contains(code, path.Ext(f.name)) || bytes.HasPrefix(f.text, []byte("#!"))
	generated := strings.HasSuffix(f.name, "_gen.go") && bytes.HasPrefix(f.text, []byte("// Code generated ")) // nobody reads it from end to end
	if n := bytes.Count(f.text, []byte("\n")); isCode && !generated && n > limit {
		say(n, "%d lines, the limit is %d", n, limit)
	}
	n := 0
	for line := range bytes.Lines(f.text) {
		n++
		if mark := unfinished.Find(line); mark != nil {
			say(n, "%s: do it or say in words what is not done", mark)
		}
		if machine.Match(line) {
			say(n, "path of one machine: %s", bytes.TrimSpace(line))
		}
	}
	if f.isGo() {
		lintGo(f, say)
	}
	return wrong
}

func lintGo(f file, say func(line int, format string, args ...any)) {
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, f.name, f.text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		say(0, "%v", err)
		return
	}
	line := func(n ast.Node) int { return fset.Position(n.Pos()).Line }
	pkg := parsed.Name.Name
	if slices.Contains(bannedPackages, strings.TrimSuffix(pkg, "_test")) {
		say(line(parsed.Name), "package %s has a name that says nothing", pkg)
	}
	for _, group := range parsed.Comments {
		for _, c := range group.List {
			if group.Pos() < parsed.Package && constraint.IsGoBuild(c.Text) {
				lintConstraint(c.Text, func(what string) { say(line(c), "%s", what) })
			}
		}
	}
	timeName, inTests := importName(parsed, "time"), importName(parsed, "testing") != ""
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Name.Name == "init" && n.Recv == nil {
				say(line(n), "func init: do it where it is asked for")
			}
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && timeName != "" && x.Name == timeName && n.Sel.Name == "Sleep" {
				say(line(n), "time.Sleep: wait for what is to happen")
			}
		case *ast.CallExpr:
			if name := calledMethod(n); inTests && skips.MatchString(name) {
				say(line(n), "%s: a test that does not run says nothing", name)
			}
		}
		return true
	})
}

// calledMethod returns "x.M" of the call x.M(...), "" of any other.
func calledMethod(call *ast.CallExpr) string {
	if sel, ok := call.Fun.(*ast.SelectorExpr); ok {
		if x, ok := sel.X.(*ast.Ident); ok {
			return x.Name + "." + sel.Sel.Name
		}
	}
	return ""
}

// importName returns the name by which a file knows the package at importPath.
func importName(parsed *ast.File, importPath string) string {
	for _, spec := range parsed.Imports {
		if name, err := strconv.Unquote(spec.Path.Value); err != nil || name != importPath {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}

// lintConstraint says which tags of a build constraint are no operating system.
func lintConstraint(text string, say func(what string)) {
	expr, err := constraint.Parse(text)
	if err != nil {
		say(err.Error())
		return
	}
	expr.Eval(func(tag string) bool {
		if !slices.Contains(systems, tag) {
			say("build tag " + tag + ": only operating systems may be told apart")
		}
		return true
	})
}

func TestLint(t *testing.T) {
	for _, f := range files(t) {
		if f.name == "go.sum" || strings.Contains(f.name, "testdata/fuzz/") {
			continue
		}
		for _, wrong := range lint(f) {
			t.Errorf("%s:%s", f.name, wrong)
		}
	}
}

// Every package says what it guarantees, and is tested from outside: a test in the
// package itself would hold its insides in place.
func TestPackages(t *testing.T) {
	has := set{}
	inside := map[string]string{} // folder -> a test in the package itself
	for _, f := range files(t) {
		if !f.isGo() || path.Base(f.name) == "export_test.go" {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.name, f.text, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Errorf("%s: %v", f.name, err)
			continue
		}
		dir := path.Dir(f.name)
		if f.isTest() {
			if !strings.HasSuffix(parsed.Name.Name, "_test") {
				inside[dir] = f.name
			}
			continue
		}
		has[dir] = has[dir] || parsed.Doc != nil
	}
	for dir, ok := range has {
		if !ok {
			t.Errorf("%s: the package has no comment", dir)
		}
		if inside[dir] != "" {
			t.Errorf("%s: the test is inside the package that it tests", inside[dir])
		}
	}
}

// A lint that finds nothing proves nothing: each rule finds its fault, and leaves
// alone what is like it.
func TestLintFinds(t *testing.T) {
	todo, work, home := "TO"+"DO", "/wo"+"rk", "/home"+"/anna"
	for _, test := range []struct{ what, name, text, want string }{
		{"file too long", "a.go", "package a\n" + strings.Repeat("\n", maxLines), "601: 601 lines"},
		{"long file", "a.go", "package a\n" + strings.Repeat("\n", maxLines-1), ""},
		{"test too long", "a_test.go", "package a_test\n" + strings.Repeat("\n", maxTestLines), "1001: 1001 lines"},
		{"long test", "a_test.go", "package a_test\n" + strings.Repeat("\n", maxTestLines-1), ""},
		{"script too long", "run", "#!/bin/sh\n" + strings.Repeat("\n", maxLines), "601: 601 lines"},
		{"generated", "a_gen.go", "// Code generated by a; DO NOT EDIT.\npackage a\n" + strings.Repeat("\n", maxLines), ""},
		{"generated by its name only", "a_gen.go", "package a\n" + strings.Repeat("\n", maxLines), "601: 601 lines"},
		{"long text", "a.md", strings.Repeat("\n", 5000), ""},
		{"sleep", "a_test.go", "package a_test\nimport \"time\"\nfunc f() { time.Sleep(1) }\n", "3: time.Sleep"},
		{"sleep by another name", "a.go", "package a\nimport clock \"time\"\nvar wait = clock.Sleep\n", "3: time.Sleep"},
		{"other sleep", "a.go", "package a\nimport \"example.com/time\"\nfunc f() { time.Sleep(1) }\n", ""},
		{"sleep in words", "a.go", "package a\n\n// no time.Sleep here\n", ""},
		{"skip", "a_test.go", "package a_test\nimport \"testing\"\nfunc f(t *testing.T) { t.Skip() }\n", "3: t.Skip"},
		{"skip with a reason", "a_test.go", "package a_test\nimport \"testing\"\nfunc f(b *testing.B) { b.Skipf(\"x\") }\n", "3: b.Skipf"},
		{"skip of a decoder", "a_test.go", "package a_test\nimport \"testing\"\nfunc f() { dec.Skip() }\n", ""},
		{"skip outside of tests", "a.go", "package a\nfunc f() { t.Skip() }\n", ""},
		{"init", "a.go", "package a\nfunc init() {}\n", "2: func init"},
		{"method init", "a.go", "package a\nfunc (a A) init() {}\n", ""},
		{"mark in a comment", "a.go", "package a\n\n// " + todo + ": later\n", "3: " + todo},
		{"mark in a script", "run.sh", "# FIX" + "ME\n", "1: FIX" + "ME"},
		{"mark in a word", "a.md", "S" + todo + " " + todo + "S\n", ""},
		{"machine path", "a.go", "package a\nvar x = \"" + work + "/main\"\n", "2: path of one machine"},
		{"machine path in text", "a.md", "see " + work + "/x\n", "1: path of one machine"},
		{"home", "a.yaml", "dir: " + home + "/data\n", "1: path of one machine"},
		{"path below another", "a.md", "/var" + work + "/x and ~" + work + "/x and https://a.example" + work + "/x\n", ""},
		{"name that begins alike", "a.md", work + "er/x\n", ""},
		{"banned name", "a.go", "package utils\n", "1: package utils"},
		{"build tag", "a.go", "//go:build cgo\n\npackage a\n", "1: build tag cgo"},
		{"operating system", "a.go", "//go:build linux && !windows\n\npackage a\n", ""},
		{"no Go", "a.go", "package\n", "0: a.go:"},
	} {
		t.Run(test.what, func(t *testing.T) {
			got := lint(file{test.name, []byte(test.text)})
			if test.want == "" && len(got) != 0 || test.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], test.want)) {
				t.Errorf("found %q, want %q", got, test.want)
			}
		})
	}
}
