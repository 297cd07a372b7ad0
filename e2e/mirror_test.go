package e2e

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	corpHost = "weir.corp.example"
	hubHost  = "hub.corp.example" // the same, as Docker Hub's mirror

	mirrorConfig = `listen: :443
data: data
tls: {cert_file: certs/server.crt, key_file: certs/server.key}
registry: {host: weir.corp.example}
mirrors: {hub.corp.example: docker.io}
anonymous:
  - {cidr: [192.0.2.0/24], repositories: ["docker-hub/*", "corp/*"]}
rules:
  - {prefix: docker-hub, upstream: docker.io, credential: right}
  - {prefix: corp, upstream: registry.example.com, credential: right}
  - {prefix: closed, upstream: closed.example.com, credential: right}
credentials:
  right: {username: upstream-user, password_file: right}
upstreams:
  docker.io:
    endpoints: ["http://registry-1.docker.io"]
    allow_hosts: ["blobs.example.com:80", "tokens.example.com:80"]
    realms: ["http://tokens.example.com/token"]
    proxy: direct
  registry.example.com:
    endpoints: ["http://registry.example.com"]
    allow_hosts: ["blobs.example.com:80", "tokens.example.com:80"]
    realms: ["http://tokens.example.com/token"]
    proxy: direct
  closed.example.com:
    endpoints: ["http://registry.example.com"]
    allow_hosts: ["blobs.example.com:80", "tokens.example.com:80"]
    realms: ["http://tokens.example.com/token"]
    proxy: direct
`
)

// mirrored is a private network whose clients have no login, no way out, and no other
// configuration than what weir client-config gave them.
type mirrored struct {
	*network
	verb   command // weir's own, of a client
	podman *podman
}

func newMirrored(t *testing.T) *mirrored {
	t.Helper()
	m := &mirrored{network: lay(t, []string{corpHost, hubHost}, upstreamHost, "registry-1.docker.io")}
	m.configure(t, mirrorConfig, corpHost, hubHost)
	m.start(t)
	m.verb = command{m.private.inside(t, os.Getenv("WEIR_BIN")), nil}
	m.podman = newPodman(t)
	m.podman.path = m.private.inside(t, m.podman.path)

	m.client(t, "docker", "--config", filepath.Join(m.dir, "weir.yaml"))
	m.client(t, "containerd", "--data", filepath.Join(m.dir, "data"), "--server", "https://"+corpHost)
	m.client(t, "podman", "--data", filepath.Join(m.dir, "data"), "--server", "https://"+corpHost)
	policy, err := os.ReadFile("/etc/containers/policy.json") // what is written covers the folder
	if err != nil {
		t.Fatal(err)
	}
	m.private.write(t, "containers/policy.json", string(policy))

	m.d = &docker{dockerd: m.private.inside(t, program(t, "dockerd", "docker.io")), cli: m.private.inside(t, program(t, "docker", "docker.io")),
		config: t.TempDir(), daemon: filepath.Join(m.private.etc, "docker", "daemon.json")}
	m.d.clean(t)
	return m
}

// client writes a client's files where that client reads them.
func (m *mirrored) client(t *testing.T, client string, args ...string) {
	t.Helper()
	ca := filepath.Join(m.dir, "certs", "ca.crt")
	m.verb.ok(t, append([]string{"client-config", client, "--ca", ca, "--out", filepath.Dir(m.private.etc)}, args...)...)
}

// ctr is containerd's client, to the engine's own containerd.
func (m *mirrored) ctr(t *testing.T) command {
	t.Helper()
	socket := strings.TrimSuffix(strings.TrimPrefix(m.d.env[0], "DOCKER_HOST=unix://"), "docker.sock") + "exec/containerd/containerd.sock"
	return command{m.private.inside(t, program(t, "ctr", "containerd")), []string{"CONTAINERD_ADDRESS=" + socket, "CONTAINERD_NAMESPACE=e2e"}}
}

var hostsDir = []string{"images", "pull", "--hosts-dir", "/etc/containerd/certs.d"}

// pulls pulls by upstreams' own names and runs what came.
func (m *mirrored) pulls(t *testing.T, when string) {
	t.Helper()
	prints := func(client, ref, out, want string) {
		t.Helper()
		if strings.TrimSpace(out) != want {
			t.Errorf("%s: %s runs %s, which prints %q, want %q", when, client, ref, out, want)
		}
	}
	m.d.ok(t, "pull", "alpine:v1")
	prints("docker", "alpine:v1", m.d.runImage(t, "alpine:v1"), hubGreeting)
	for ref, greeting := range map[string]string{"docker.io/library/alpine:v1": hubGreeting, upstreamHost + "/" + repo + ":" + tag: first} {
		ctr := m.ctr(t)
		ctr.ok(t, append(hostsDir, ref)...)
		prints("containerd", ref, ctr.ok(t, "run", "--rm", ref, "mirror"), greeting)
		m.podman.ok(t, append(m.podman.dirs, "pull", ref)...)
		prints("podman", ref, m.podman.runImage(t, ref), greeting)
	}
}

const hubGreeting = "greetings from Docker Hub"

// Clients of a private network pull by the names that images have at their upstreams,
// with the files that weir client-config printed, without a login.
func TestMirrors(t *testing.T) {
	t.Parallel()
	m := newMirrored(t)
	m.u.push(t, repo, tag, first)
	img := m.u.push(t, "library/alpine", "v1", hubGreeting)

	m.d.ok(t, "pull", "alpine:v1")
	got, _ := m.u.take()
	if diff := cmp.Diff(sorted(img.cold("library/alpine", "v1", true)), got); diff != "" {
		t.Errorf("docker's cold pull of alpine (-want +got):\n%s", diff)
	}
	m.pulls(t, "cold")
	got, _ = m.u.take()
	for _, line := range got {
		if strings.Contains(line, "alpine") {
			t.Errorf("what docker pulled came again for another client: %s", line)
		}
	}
	m.keyed(t)
	m.builds(t)
	m.logged(t)
	m.unlisted(t)

	m.u.take()
	m.middle.set(t, "link", "set", "outside", "down")
	m.forget(t)
	m.pulls(t, "link down")
	m.client(t, "podman", "--config", filepath.Join(m.dir, "weir.yaml"), "--fallback", "--replace")
	m.forget(t)
	m.pulls(t, "link down, podman with the upstream as fallback")
	if got, _ := m.u.take(); len(got) > 0 {
		t.Errorf("requests over a link that is down: %q", got)
	}
}

// keyed pulls what anonymous does not grant, with a key where docs/clients.md puts it.
func (m *mirrored) keyed(t *testing.T) {
	t.Helper()
	ref := "closed.example.com/" + repo + ":" + tag
	if out, err := m.ctr(t).run(t, "", append(hostsDir, ref)...); err == nil || !strings.Contains(out, "401 Unauthorized") {
		t.Errorf("pull of what is not granted: %v\n%s", err, out)
	}
	id, secret, err := readKey(filepath.Join(m.dir, "data", "credentials"))
	if err != nil {
		t.Fatal(err)
	}
	const name = "containerd/certs.d/closed.example.com/hosts.toml"
	hosts, err := os.ReadFile(filepath.Join(m.private.etc, name))
	if err != nil {
		t.Fatal(err)
	}
	m.private.write(t, name, string(hosts)+"\n[header]\n  authorization = \"Basic "+base64.StdEncoding.EncodeToString([]byte(id+":"+secret))+"\"\n")
	m.ctr(t).ok(t, append(hostsDir, ref)...)
}

// builds has BuildKit, the engine's own, take an image from the mirror. It says ns, too,
// which dockerd itself does not.
func (m *mirrored) builds(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM alpine:v1\nLABEL built=here\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.d.clean(t)
	build := command{m.d.path, append(m.d.env, "DOCKER_BUILDKIT=1")}
	build.ok(t, "build", "--progress", "plain", "--tag", "built", dir)
	if got := strings.TrimSpace(m.d.runImage(t, "built")); got != hubGreeting {
		t.Errorf("the built image prints %q, want %q", got, hubGreeting)
	}
}

// forget makes the clients clean.
func (m *mirrored) forget(t *testing.T) {
	t.Helper()
	m.d.clean(t) // and its containerd
	m.podman.clean(t)
}

// logged looks at the log: names are those here, and callers nobody.
func (m *mirrored) logged(t *testing.T) {
	t.Helper()
	out := m.p.output()
	for _, want := range []string{" repository=docker-hub/library/alpine ", " repository=corp/" + repo + " ", "principal=anonymous"} {
		if !strings.Contains(out, want) {
			t.Errorf("no line of weir's log has %q", want)
		}
	}
	if strings.Contains(out, " repository=library/alpine ") {
		t.Error("a line of weir's log has an upstream's name")
	}
}

// unlisted asks for what no rule leads to: 404, and nobody is asked.
func (m *mirrored) unlisted(t *testing.T) {
	t.Helper()
	hosts, err := os.ReadFile(filepath.Join(m.private.etc, "containerd/certs.d/docker.io/hosts.toml"))
	if err != nil {
		t.Fatal(err)
	}
	m.private.write(t, "containerd/certs.d/registry-2.example.com/hosts.toml", string(hosts))
	out, err := m.ctr(t).run(t, "", append(hostsDir, "registry-2.example.com/team/app:v1")...)
	if err == nil || !strings.Contains(out, "not found") {
		t.Errorf("pull of what no rule leads to: %v\n%s", err, out)
	}
	if !strings.Contains(m.p.output(), "registry-2.example.com is not mirrored here") {
		t.Error("weir's log does not say that registry-2.example.com is not mirrored")
	}
}
