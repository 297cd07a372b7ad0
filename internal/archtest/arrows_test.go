package archtest_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// leaves may be imported by everybody.
var leaves = []string{"errs", "oci", "rule", "iam"}

// set is a set of names; graph maps a package to what it imports.
type (
	set   map[string]bool
	graph map[string]set
)

func forTests(pkg string) bool { return strings.HasSuffix(pkg, "test") }

// pkgOf returns the short name of the package in a folder of this module.
func pkgOf(dir string) string { return strings.TrimPrefix(dir, "internal/") }

// parseArrows reads lines of the form "a -> b, c".
func parseArrows(lines []string) (graph, error) {
	g := graph{}
	for _, line := range lines {
		from, to, ok := strings.Cut(line, "->")
		from = strings.TrimSpace(from)
		if !ok || from == "" || g[from] != nil {
			return nil, fmt.Errorf("line %q is no arrow, or the second of its package", line)
		}
		g[from] = set{}
		for name := range strings.SplitSeq(to, ",") {
			if name = strings.TrimSpace(name); name != "" {
				g[from][name] = true
			}
		}
	}
	return g, nil
}

// imports returns what the packages of the root module import outside of tests:
// their own packages by short name, others by import path.
func imports(t *testing.T, all []file) graph {
	t.Helper()
	var nested []string // folders of other modules
	for _, f := range all {
		if path.Base(f.name) == "go.mod" && f.name != "go.mod" {
			nested = append(nested, path.Dir(f.name)+"/")
		}
	}
	g := graph{}
	for _, f := range all {
		other := slices.ContainsFunc(nested, func(dir string) bool { return strings.HasPrefix(f.name, dir) })
		if !f.isGo() || f.isTest() || other {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.name, f.text, parser.ImportsOnly)
		if err != nil {
			t.Errorf("%s: %v", f.name, err)
			continue
		}
		pkg := pkgOf(path.Dir(f.name))
		if g[pkg] == nil {
			g[pkg] = set{}
		}
		for _, spec := range parsed.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if own, ok := strings.CutPrefix(name, module+"/"); ok {
				name = pkgOf(own)
			}
			g[pkg][name] = true
		}
	}
	return g
}

// compare returns what is wrong with the imports, given the table. Only names of
// the table and of the code's own packages are compared.
func compare(table, code graph) []string {
	var wrong []string
	for _, pkg := range slices.Sorted(maps.Keys(code)) {
		row := table[pkg]
		if row == nil {
			wrong = append(wrong, fmt.Sprintf("%s: the package has no line in the table", pkg))
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(code[pkg])) {
			own := table[name] != nil || code[name] != nil
			if own && !row[name] && (!slices.Contains(leaves, name) || slices.Contains(leaves, pkg)) {
				wrong = append(wrong, fmt.Sprintf("%s -> %s: imported, but there is no such arrow", pkg, name))
			}
		}
		for _, name := range slices.Sorted(maps.Keys(row)) {
			if !code[pkg][name] {
				wrong = append(wrong, fmt.Sprintf("%s -> %s: no import uses this arrow", pkg, name))
			}
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(table)) {
		for _, name := range slices.Sorted(maps.Keys(table[pkg])) {
			if table[name] == nil {
				wrong = append(wrong, fmt.Sprintf("%s -> %s: the arrow leads to a package without a line", pkg, name))
			}
		}
	}
	return wrong
}

// forbidden returns the arrows of a table that no table may have.
func forbidden(table graph) []string {
	faces := []string{"ociapi", "awsapi", "console"}
	face := func(pkg string) string {
		top, _, _ := strings.Cut(pkg, "/")
		if slices.Contains(faces, top) {
			return top
		}
		return ""
	}
	stores := []string{"meta", "blob", "blob/disk", "blob/s3", "upstream"}
	var wrong []string
	for _, from := range slices.Sorted(maps.Keys(table)) {
		for _, to := range slices.Sorted(maps.Keys(table[from])) {
			why := ""
			switch {
			case slices.Contains(leaves, from) && !slices.Contains(leaves, to):
				why = "a leaf imports leaves only"
			case face(from) != "" && face(to) != "" && face(from) != face(to):
				why = "faces do not import each other"
			case face(from) != "" && slices.Contains(stores, to):
				why = "faces go through registry"
			case from == "meta" && strings.HasPrefix(to, "blob") || strings.HasPrefix(from, "blob") && to == "meta":
				why = "meta and blob do not know each other"
			case forTests(to) && !forTests(from):
				why = "the product does not import packages for tests"
			default:
				continue
			}
			wrong = append(wrong, fmt.Sprintf("%s -> %s: %s", from, to, why))
		}
	}
	return wrong
}

func TestArrows(t *testing.T) {
	table, err := parseArrows(block(t, "arrows"))
	if err != nil {
		t.Fatal(err)
	}
	code := imports(t, files(t))
	for _, wrong := range compare(table, code) {
		t.Error(wrong)
	}
	for _, wrong := range forbidden(table) {
		t.Error(wrong)
	}
	for pkg, names := range code {
		if names["testing"] && !forTests(pkg) {
			t.Errorf("%s: the product imports testing", pkg)
		}
	}
}

// The comparison itself, on a small house.
func TestCompare(t *testing.T) {
	for _, test := range []struct {
		name        string
		table, code []string
		want        []string
	}{
		{"equal", []string{"a -> b, c", "b ->", "c ->"}, []string{"a -> b, c, fmt", "b ->", "c -> net/http"}, nil},
		{"leaf", []string{"a ->", "errs ->"}, []string{"a -> errs", "errs ->"}, nil},
		{"between leaves", []string{"oci ->", "errs ->"}, []string{"oci -> errs", "errs ->"}, []string{"oci -> errs: imported, but there is no such arrow"}},
		{"arrow only in code", []string{"a ->", "b ->"}, []string{"a -> b", "b ->"}, []string{"a -> b: imported, but there is no such arrow"}},
		{"arrow only in the table", []string{"a -> b", "b ->"}, []string{"a ->", "b ->"}, []string{"a -> b: no import uses this arrow"}},
		{"package only in code", []string{"a ->"}, []string{"a ->", "b ->"}, []string{"b: the package has no line in the table"}},
		{"package only in the table", []string{"a ->", "b -> a"}, []string{"a ->"}, nil},
		{"arrow to nowhere", []string{"a -> b"}, []string{"a -> b"}, []string{"a -> b: the arrow leads to a package without a line"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			table, err := parseArrows(test.table)
			if err != nil {
				t.Fatal(err)
			}
			code, err := parseArrows(test.code)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, compare(table, code)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for _, lines := range [][]string{{"a"}, {"-> b"}, {"a ->", "a -> b"}} {
		if _, err := parseArrows(lines); err == nil {
			t.Errorf("%q is taken for a table", lines)
		}
	}
}

func TestForbidden(t *testing.T) {
	for _, line := range []string{
		"oci -> blob", "ociapi -> awsapi", "awsapi/weir -> ociapi", "ociapi -> meta", "awsapi/weir -> blob/disk",
		"meta -> blob", "blob/disk -> meta", "app -> weirtest",
	} {
		t.Run(line, func(t *testing.T) {
			table, err := parseArrows([]string{line})
			if err != nil {
				t.Fatal(err)
			}
			if len(forbidden(table)) != 1 {
				t.Error("allowed")
			}
		})
	}
	table, err := parseArrows([]string{"awsapi/weir -> awsapi, registry", "rule -> oci", "weirtest -> app, upstream/upstreamtest", "app -> meta, blob"})
	if err != nil {
		t.Fatal(err)
	}
	if wrong := forbidden(table); len(wrong) != 0 {
		t.Error(wrong)
	}
}
