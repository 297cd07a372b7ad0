package e2e

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The table in docs/clients.md has the versions of the clients that the tests run.
func TestClientsTable(t *testing.T) {
	t.Parallel()
	list, err := os.ReadFile("../scripts/tools.list")
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for line := range strings.Lines(string(list)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] != "#" {
			versions[f[0]] = f[2]
		}
	}
	text, err := os.ReadFile("../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}
	_, table, _ := strings.Cut(string(text), "\n## What is tested\n")
	for _, m := range regexp.MustCompile(`(?m)^\| ([a-z-]+) \| (Debian )?v?([0-9.]+) \|`).FindAllStringSubmatch(table, -1) {
		name, version := m[1], m[3]
		told[name] = version
		if m[2] == "" {
			if want := versions[name]; want != "v"+version {
				t.Errorf("docs/clients.md has %s v%s, scripts/tools.list %q", name, version, want)
			}
			continue
		}
		out := command{program(t, name, name), nil}.ok(t, "--version")
		if !strings.Contains(out, " "+version+".") {
			t.Errorf("docs/clients.md has %s %s of Debian, which says %s", name, version, out)
		}
	}
	// No clients: an upstream, and what ctr talks to, which is of ctr's version.
	for _, server := range []string{"registry", "containerd", "containerd-shim-runc-v2"} {
		delete(versions, server)
	}
	for name := range versions {
		if told[name] == "" {
			t.Errorf("docs/clients.md does not have %s", name)
		}
	}
	for _, name := range []string{"docker", "podman", "buildah", "skopeo"} {
		if told[name] == "" {
			t.Errorf("docs/clients.md does not have Debian's %s", name)
		}
	}
}
