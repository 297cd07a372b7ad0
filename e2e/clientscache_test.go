package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A build's cache is a repository of weir's own; its base image comes by a rule.
func TestBuildCache(t *testing.T) {
	if !withBuiltClients() {
		return
	}
	t.Parallel()
	u := newUpstream(t)
	u.push(t, repo, tag, first)
	w := newServer(t, u)
	b := newBuildah(t)
	if out, err := b.login(t, w.addr, w.id, w.secret); err != nil {
		t.Fatalf("login: %v\n%s", err, out)
	}
	w.create(t, "own/cache")
	w.create(t, "own/built")

	dir := t.TempDir()
	for name, text := range map[string]string{
		"Containerfile": "FROM " + w.ref("day", repo+":"+tag) + "\nCOPY greeting /greeting\nLABEL built=yes\n",
		"greeting":      "hello",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := func() string {
		t.Helper()
		b.clean(t)
		return b.ok(t, append(b.dirs, "build", "--tls-verify=false", "--layers", "--timestamp", "1", "--cache-to", w.ref("own", "cache"),
			"--cache-from", w.ref("own", "cache"), "--tag", w.ref("own", "built:v1"), dir)...)
	}
	if out := build(); !strings.Contains(out, "Pushing cache") {
		t.Errorf("the first build pushes no cache:\n%s", out)
	}
	if out := build(); !strings.Contains(out, "Cache pulled from remote") {
		t.Errorf("the second build, of a clean builder, takes nothing of the cache:\n%s", out)
	}
	if out, err := b.push(t, w.ref("own", "built:v1"), w.ref("own", "built:v1")); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
	u.kill()
	b.clean(t)
	if out, err := b.pull(t, w.ref("own", "built:v1")); err != nil {
		t.Errorf("pull of what was built: %v\n%s", err, out)
	}
}
