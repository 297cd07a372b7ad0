package ecr_test

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/awsapi/ecr"
)

// TestDocs compares docs/ecr.md with the code: a row for every operation, in order,
// that says what it does.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../../docs/ecr.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "\n| operation | here | how it differs |\n|---|---|---|\n")
	if !found {
		t.Fatal("docs/ecr.md has no table of three columns")
	}
	var names []string
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) == 1 {
			break // the end of the table
		}
		if len(cells) != 5 {
			t.Fatalf("row %q has not three cells", line)
		}
		name, status, how := strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2]), strings.TrimSpace(cells[3])
		names = append(names, name)
		switch {
		case !slices.Contains([]string{"exact", "differs"}, status):
			t.Errorf("%s: status %q", name, status)
		case (status == "differs") != (how != ""):
			t.Errorf("%s %s: %q", name, status, how)
		}
	}
	if d := cmp.Diff(slices.Sorted(maps.Keys(readModel(t).Operations)), names); d != "" {
		t.Errorf("operations of the model and of the page (-model +page):\n%s", d)
	}
	if d := cmp.Diff(names, ecr.Built()); d != "" {
		t.Errorf("operations of the page and those that are built (-page +built):\n%s", d)
	}
}
