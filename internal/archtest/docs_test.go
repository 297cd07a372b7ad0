package archtest_test

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"regexp"
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
