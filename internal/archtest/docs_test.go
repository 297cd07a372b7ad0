package archtest_test

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/config"
	"github.com/weir-registry/weir/internal/rule"
)

// document returns a file of the repository as text.
func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	yamlBlock = regexp.MustCompile("(?s)\n```yaml\n(.*?)\n```\n")
	fileKey   = regexp.MustCompile(`\b(password_file|file|ca_file): ([\w.-]+)`)
)

// load writes a configuration, and the files that it names, and loads it.
func load(t *testing.T, text string) *config.Config {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	contents := map[string][]byte{
		"password_file": []byte("secret\n"),
		"file":          []byte(`{"username": "u", "accessToken": "t"}`),
		"ca_file":       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
	}
	dir := t.TempDir()
	for _, m := range fileKey.FindAllStringSubmatch(text, -1) {
		if err := os.WriteFile(filepath.Join(dir, m[2]), contents[m[1]], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(dir, "weir.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Every configuration in docs/upstreams.md loads, every kind is in it, and the table
// of prefixes says what the rules above it do.
func TestUpstreamsDocument(t *testing.T) {
	text := document(t, "docs/upstreams.md")
	kinds := map[rule.Kind]bool{}
	blocks := yamlBlock.FindAllStringSubmatch(text, -1)
	var prefixes *rule.Set
	for _, m := range blocks {
		set := load(t, m[1]).RuleSet()
		for _, r := range set.Rules() {
			kinds[r.Kind] = true
			if r.Prefix == rule.Root {
				prefixes = set
			}
		}
	}
	for _, kind := range rule.Kinds() {
		if !kinds[kind] {
			t.Errorf("no rule of kind %s", kind)
		}
		if row := "| `" + string(kind) + "` |"; !strings.Contains(text, row) {
			t.Errorf("no row %s", row)
		}
		if host := kind.FixedHost(); host != "" && !strings.Contains(text, "| `"+string(kind)+"` | `"+host+"` |") {
			t.Errorf("%s is not said to be %s", kind, host)
		}
	}
	_, table, _ := strings.Cut(text, "| asked here | rule | upstream |\n|---|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	cell := regexp.MustCompile("^\\| `([^`]+)` \\| `([^`]+)`[^|]*\\| `([^`]+)` \\|$")
	type row struct{ Asked, Prefix, Upstream string }
	rows := 0
	for line := range strings.Lines(table) {
		m := cell.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			t.Fatalf("row %q has another form", line)
		}
		rows++
		r, cached := prefixes.Match(m[1])
		if r == nil {
			t.Fatalf("no rule takes %s", m[1])
		}
		got := row{m[1], r.Prefix, path.Join(r.Upstream, r.UpstreamRepository(cached))}
		if diff := cmp.Diff(row{m[1], m[2], m[3]}, got); diff != "" {
			t.Errorf("(-document +rules):\n%s", diff)
		}
	}
	if rows < 4 || len(blocks) < 8 {
		t.Errorf("only %d rows and %d configurations found", rows, len(blocks))
	}
}

// Every configuration in docs/replication.md loads, and has a destination.
func TestReplicationDocument(t *testing.T) {
	blocks := yamlBlock.FindAllStringSubmatch(document(t, "docs/replication.md"), -1)
	for _, m := range blocks {
		if len(load(t, m[1]).Replication.Destinations) == 0 {
			t.Errorf("no destination in\n%s", m[1])
		}
	}
	if len(blocks) < 2 {
		t.Errorf("only %d configurations found", len(blocks))
	}
}

var (
	quoted      = regexp.MustCompile("`([^`]+)`")
	placeholder = regexp.MustCompile(`<\w+>`)
)

// The tables of realms and hosts of blobs in docs/upstreams.md say what the code does.
func TestUpstreamsTables(t *testing.T) {
	text := document(t, "docs/upstreams.md")
	var kinds []rule.Kind
	for _, row := range rows(t, text, "| kind | upstream | realm | credential | blobs come from |\n|---|---|---|---|---|\n") {
		kind := rule.Kind(strings.Trim(row[0], "`"))
		kinds = append(kinds, kind)
		host := quoted.FindStringSubmatch(row[1])
		if host == nil {
			host = []string{"", "any.other.example"}
		}
		compareHosts(t, kind, host[1], row[2], row[4])
	}
	sort := func(k []rule.Kind) []rule.Kind { slices.Sort(k); return k }
	if diff := cmp.Diff(sort(rule.Kinds()), sort(kinds)); diff != "" {
		t.Errorf("kinds (-code +document):\n%s", diff)
	}
	others := rows(t, text, "| host | realm | blobs come from |\n|---|---|---|\n")
	for _, row := range others {
		for _, host := range quoted.FindAllStringSubmatch(row[0], -1) {
			compareHosts(t, rule.Generic, host[1], row[1], row[2])
		}
	}
	if len(others) < 4 {
		t.Errorf("only %d other registries found", len(others))
	}
}

// compareHosts compares two cells of a row with the code. host may have placeholders,
// which mean the same in the cells; those that only the cells have are unknown to it.
func compareHosts(t *testing.T, kind rule.Kind, host, realm, blobs string) {
	t.Helper()
	example := map[string]string{"<account>": "123456789012", "<region>": "eu-central-1", "<name>": "acme"}
	fill := func(s string) string {
		return placeholder.ReplaceAllStringFunc(s, func(p string) string {
			switch {
			case p == "<host>":
				return placeholder.ReplaceAllStringFunc(host, func(p string) string { return example[p] })
			case strings.Contains(host, p):
				return example[p]
			}
			return "*"
		})
	}
	type known struct {
		Realm string
		Blobs []string
	}
	var want known
	if m := quoted.FindStringSubmatch(realm); m != nil {
		want.Realm = fill(m[1])
	}
	for _, m := range quoted.FindAllStringSubmatch(blobs, -1) {
		want.Blobs = append(want.Blobs, fill(m[1]))
	}
	at := fill(host)
	if diff := cmp.Diff(want, known{kind.Realm(at), kind.BlobHosts(at)}); diff != "" {
		t.Errorf("%s at %s (-document +code):\n%s", kind, at, diff)
	}
}

// rows returns the cells of the table below a head.
func rows(t *testing.T, text, head string) [][]string {
	t.Helper()
	_, table, ok := strings.Cut(text, head)
	if !ok {
		t.Fatalf("no table with the head %s", head)
	}
	table, _, _ = strings.Cut(table, "\n\n")
	columns := strings.Count(head[:strings.Index(head, "\n")], "|") - 1
	var all [][]string
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != columns {
			t.Fatalf("row %q has %d cells", line, len(cells))
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		all = append(all, cells)
	}
	return all
}
