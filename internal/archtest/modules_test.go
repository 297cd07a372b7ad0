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

// use is one import of a third-party package.
type use struct {
	from string // importing package, or "tests"
	file string
	path string
}

// parseModules reads lines of the form "module package, package": who may import it.
func parseModules(lines []string) (graph, error) {
	g := graph{}
	for _, line := range lines {
		name, users, ok := strings.Cut(line, " ")
		if !ok || g[name] != nil {
			return nil, fmt.Errorf("line %q is no module with its users, or the second of its module", line)
		}
		g[name] = set{}
		for user := range strings.SplitSeq(users, ",") {
			g[name][strings.TrimSpace(user)] = true
		}
	}
	return g, nil
}

// moduleOf returns the module of the list that has the package at importPath.
func moduleOf(list graph, importPath string) string {
	best := ""
	for name := range list {
		if (importPath == name || strings.HasPrefix(importPath, name+"/")) && len(name) > len(best) {
			best = name
		}
	}
	return best
}

// misuses returns what the list of modules does not allow, and what it allows in
// vain: a package of the list that exists and does not use the module.
func misuses(list graph, uses []use, exists set) []string {
	var wrong []string
	used := graph{}
	for _, u := range uses {
		name := moduleOf(list, u.path)
		switch {
		case name == "":
			wrong = append(wrong, fmt.Sprintf("%s: %s is of no module in the list", u.file, u.path))
			continue
		case !list[name]["all"] && !list[name][u.from] && u.from != "tests":
			wrong = append(wrong, fmt.Sprintf("%s: %s may not be imported by %s", u.file, u.path, u.from))
		}
		if used[name] == nil {
			used[name] = set{}
		}
		used[name][u.from] = true
	}
	for _, name := range slices.Sorted(maps.Keys(list)) {
		for _, user := range slices.Sorted(maps.Keys(list[name])) {
			if exists[user] && !used[name][user] {
				wrong = append(wrong, fmt.Sprintf("%s: %s does not import it", name, user))
			}
		}
	}
	return wrong
}

func TestModules(t *testing.T) {
	list, err := parseModules(block(t, "modules"))
	if err != nil {
		t.Fatal(err)
	}
	all := files(t)
	exists := set{}
	for pkg := range imports(t, all) {
		exists[pkg] = true
	}
	var uses []use
	for _, f := range all {
		if !f.isGo() || !exists[pkgOf(path.Dir(f.name))] && !f.isTest() {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.name, f.text, parser.ImportsOnly)
		if err != nil {
			t.Errorf("%s: %v", f.name, err)
			continue
		}
		from := pkgOf(path.Dir(f.name))
		if f.isTest() || forTests(from) {
			from = "tests"
		}
		for _, spec := range parsed.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			host, _, _ := strings.Cut(name, "/")
			if strings.Contains(host, ".") && name != module && !strings.HasPrefix(name, module+"/") {
				uses = append(uses, use{from, f.name, name})
			}
		}
	}
	for _, wrong := range misuses(list, uses, exists) {
		t.Error(wrong)
	}
}

func TestMisuses(t *testing.T) {
	list, err := parseModules([]string{"example.com/all all", "example.com/all/v2 meta", "example.com/t   tests", "example.com/db meta, config"})
	if err != nil {
		t.Fatal(err)
	}
	good := []use{
		{"app", "a.go", "example.com/all"}, {"meta", "m.go", "example.com/all/v2/x"}, {"meta", "m.go", "example.com/db"},
		{"config", "c.go", "example.com/db/sub"}, {"tests", "x_test.go", "example.com/t"}, {"tests", "x_test.go", "example.com/db"},
	}
	exists := set{"app": true, "meta": true, "config": true}
	if wrong := misuses(list, good, exists); len(wrong) != 0 {
		t.Error(wrong)
	}
	for _, test := range []struct {
		name string
		use  use
		want string
	}{
		{"unlisted", use{"app", "a.go", "example.org/x"}, "a.go: example.org/x is of no module in the list"},
		{"longer name", use{"app", "a.go", "example.com/alles"}, "a.go: example.com/alles is of no module in the list"},
		{"unlisted in tests", use{"tests", "a_test.go", "example.org/x"}, "a_test.go: example.org/x is of no module in the list"},
		{"other package", use{"app", "a.go", "example.com/db"}, "a.go: example.com/db may not be imported by app"},
		{"inner module", use{"app", "a.go", "example.com/all/v2"}, "a.go: example.com/all/v2 may not be imported by app"},
		{"test module in the product", use{"app", "a.go", "example.com/t"}, "a.go: example.com/t may not be imported by app"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := misuses(list, append(slices.Clone(good), test.use), exists)
			if diff := cmp.Diff([]string{test.want}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if diff := cmp.Diff([]string{"example.com/db: config does not import it"}, misuses(list, slices.Delete(slices.Clone(good), 3, 4), exists)); diff != "" {
		t.Errorf("a user that is none (-want +got):\n%s", diff)
	}
}
