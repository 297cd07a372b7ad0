package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// helm is the command line with folders of its own.
func newHelm(t *testing.T) command {
	t.Helper()
	dir := t.TempDir()
	return command{tool(t, "helm"), []string{"HELM_REGISTRY_CONFIG=" + dir + "/registry.json", "HELM_CACHE_HOME=" + dir + "/cache",
		"HELM_CONFIG_HOME=" + dir + "/config", "HELM_DATA_HOME=" + dir + "/data", "HOME=" + dir, "DOCKER_CONFIG=" + dir}}
}

// chart packages a chart, whose template holds note, and returns its file.
func chart(t *testing.T, helm command, version, note string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"Chart.yaml":           "apiVersion: v2\nname: demo\nversion: " + version + "\n",
		"templates/notes.yaml": "# " + note + "\n",
	} {
		file := filepath.Join(dir, "demo", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	helm.ok(t, "package", "--destination", dir, filepath.Join(dir, "demo"))
	return filepath.Join(dir, "demo-"+version+".tgz")
}

// Charts come from an upstream like images, also by a range of versions, and go to
// repositories of weir's own.
func TestHelm(t *testing.T) {
	if !withBuiltClients() {
		return
	}
	t.Parallel()
	u := newUpstream(t)
	w := newServer(t, u)
	helm := newHelm(t)
	login := func(addr, user, password string) {
		t.Helper()
		if out, err := helm.run(t, password, "registry", "login", "--plain-http", "-u", user, "--password-stdin", addr); err != nil {
			t.Fatalf("helm registry login: %v\n%s", err, out)
		}
	}
	login(u.back, upstreamUser, upstreamPassword)
	login(w.addr, w.id, w.secret)
	for _, version := range []string{"1.0.0", "1.2.0", "2.0.0"} {
		helm.ok(t, "push", "--plain-http", chart(t, helm, version, "of the upstream "+version), "oci://"+u.back+"/charts")
	}
	u.take()

	// pulled says whether the chart at this name and version is the one with this note.
	pulled := func(what, name, version, note string) {
		t.Helper()
		dir := t.TempDir()
		helm.ok(t, "pull", "--plain-http", "--version", version, "--untar", "--destination", dir, "oci://"+w.ref(name, "demo"))
		b, err := os.ReadFile(filepath.Join(dir, "demo", "templates", "notes.yaml"))
		if err != nil || string(b) != "# "+note+"\n" {
			t.Errorf("%s: %v, %q, want a note that it is %s", what, err, b, note)
		}
	}
	pulled("cold", "day/charts", "1.0.0", "of the upstream 1.0.0")
	cold, _ := u.take()
	for _, line := range cold {
		if n := strings.Count(strings.Join(cold, "\n"), line); n > 1 && !strings.HasPrefix(line, "200 token") {
			t.Errorf("the upstream was asked %d times: %s", n, line)
		}
	}
	pulled("hot", "day/charts", "1.0.0", "of the upstream 1.0.0")
	if hot, _ := u.take(); len(hot) > 0 {
		t.Errorf("a hot pull cost the upstream %v", hot)
	}
	pulled("the newest of a range", "day/charts", "^1", "of the upstream 1.2.0")

	w.create(t, "own/charts/demo")
	out := helm.ok(t, "push", "--plain-http", chart(t, helm, "0.3.0", "pushed to weir"), "oci://"+w.ref("own", "charts"))
	if !strings.Contains(out, "Digest: sha256:") {
		t.Errorf("helm push tells no digest: %s", out)
	}
	pulled("pushed", "own/charts", "0.3.0", "pushed to weir")

	u.kill()
	pulled("upstream gone", "day/charts", "1.0.0", "of the upstream 1.0.0")
	pulled("range, upstream gone", "day/charts", "^1", "of the upstream 1.2.0")
	pulled("pushed, upstream gone", "own/charts", "0.3.0", "pushed to weir")
	if out := helm.ok(t, "show", "chart", "--plain-http", "--version", "1.2.0", "oci://"+w.ref("day", "charts/demo")); !strings.Contains(out, "version: 1.2.0") {
		t.Errorf("helm show chart: %s", out)
	}
}
