// Package archtest_test keeps the house in order: it compares the code with the
// arrows and modules of ARCHITECTURE.md, and looks for what the rules of the house
// forbid. It guarantees nothing about what the code does.
package archtest_test

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// module is weir's own module path.
const module = "github.com/weir-registry/weir"

// file is one text file of the repository.
type file struct {
	name string // slash-separated, relative to the repository's root
	text []byte
}

func (f file) isGo() bool   { return path.Ext(f.name) == ".go" && !strings.Contains(f.name, "testdata/") }
func (f file) isTest() bool { return strings.HasSuffix(f.name, "_test.go") }

// root returns the folder that has go.mod.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the working folder")
		}
		dir = parent
	}
}

// ignored returns the folders and files that .gitignore names at the root.
func ignored(t *testing.T, dir string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{".git": true}
	for line := range strings.Lines(string(text)) {
		names[strings.Trim(strings.TrimSpace(line), "/")] = true
	}
	return names
}

// files returns every text file of the repository, except what .gitignore names.
func files(t *testing.T) []file {
	t.Helper()
	dir := root(t)
	skip := ignored(t, dir)
	var all []file
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch {
		case skip[rel] && d.IsDir():
			return fs.SkipDir
		case skip[rel] || !d.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if bytes.IndexByte(text, 0) < 0 {
			all = append(all, file{rel, text})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("only %d files found under %s", len(all), dir)
	}
	return all
}

// block returns the lines of the fenced block of ARCHITECTURE.md that is called name.
func block(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "\n```"+name+"\n")
	body, _, closed := strings.Cut(rest, "\n```\n")
	if !ok || !closed {
		t.Fatalf("ARCHITECTURE.md has no block ```%s", name)
	}
	var lines []string
	for line := range strings.Lines(body) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}
