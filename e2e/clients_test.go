package e2e

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// client is a foreign program that pulls.
type client interface {
	// login gives the client a key for a registry. Crane only notes it.
	login(t *testing.T, addr, user, password string) (string, error)
	// clean makes the client forget what it pulled: no byte is used again.
	clean(t *testing.T)
	// pull pulls. Every client here verifies digests.
	pull(t *testing.T, ref string) (string, error)
}

// runner is a client that can run what it pulled last.
type runner interface {
	runImage(t *testing.T, ref string) string
}

type crane struct{ command }

func newCrane(t *testing.T) crane {
	t.Helper()
	return crane{command{tool(t, "crane"), []string{"DOCKER_CONFIG=" + t.TempDir()}}}
}

func (c crane) login(t *testing.T, addr, user, password string) (string, error) {
	return c.run(t, password, "auth", "login", addr, "-u", user, "--password-stdin", "--insecure")
}

func (c crane) clean(*testing.T) {}

func (c crane) pull(t *testing.T, ref string) (string, error) {
	return c.run(t, "", "pull", "--insecure", "--platform", "linux/"+runtime.GOARCH, ref, filepath.Join(t.TempDir(), "image.tar"))
}

type skopeo struct {
	command
	auth string
}

func newSkopeo(t *testing.T) *skopeo {
	t.Helper()
	s := &skopeo{command{program(t, "skopeo", "skopeo"), nil}, filepath.Join(t.TempDir(), "auth.json")}
	if err := os.WriteFile(s.auth, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *skopeo) login(t *testing.T, addr, user, password string) (string, error) {
	return s.run(t, password, "login", "--tls-verify=false", "--authfile", s.auth, "-u", user, "--password-stdin", addr)
}

func (s *skopeo) clean(*testing.T) {}

func (s *skopeo) pull(t *testing.T, ref string) (string, error) {
	return s.run(t, "", "copy", "--src-tls-verify=false", "--src-authfile", s.auth, "docker://"+ref, "dir:"+t.TempDir())
}

// podman keeps its images in a folder of its own, a new one for each pull.
type podman struct {
	command // with the newest folder
	auth    string
	dirs    []string
}

func newPodman(t *testing.T) *podman {
	t.Helper()
	program(t, "runc", "runc")
	p := &podman{command: command{path: program(t, "podman", "podman")}, auth: filepath.Join(t.TempDir(), "auth.json")}
	if err := os.WriteFile(p.auth, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.clean(t)
	return p
}

func (p *podman) clean(t *testing.T) {
	t.Helper()
	dir := tempDir(t, "weir-podman")
	p.dirs = []string{"--root", dir + "/root", "--runroot", dir + "/run", "--tmpdir", dir + "/tmp", "--storage-driver", "vfs",
		"--cgroup-manager", "cgroupfs", "--events-backend", "file", "--runtime", "/usr/sbin/runc"}
	p.env = []string{"TMPDIR=" + dir, "REGISTRY_AUTH_FILE=" + p.auth}
}

func (p *podman) login(t *testing.T, addr, user, password string) (string, error) {
	return p.run(t, password, append(p.dirs, "login", "--tls-verify=false", "-u", user, "--password-stdin", addr)...)
}

func (p *podman) pull(t *testing.T, ref string) (string, error) {
	return p.run(t, "", append(p.dirs, "pull", "--tls-verify=false", ref)...)
}

func (p *podman) runImage(t *testing.T, ref string) string {
	t.Helper()
	return p.ok(t, append(p.dirs, "run", "--rm", "--network", "none", "--pull", "never",
		"--ulimit", "nofile=1024:4096", "--ulimit", "nproc=1000:1000", ref)...)
}

// docker is the engine and the command line of the same package. The engine keeps
// manifests, too, and forgets them when it likes: only one with a new data folder
// is a clean client.
type docker struct {
	dockerd, cli string
	config       string // folder of the command line's, with its keys
	daemon       string // the engine's daemon.json; "": an empty one
	command             // for the engine that runs
	engine       *process
}

func newDocker(t *testing.T) *docker {
	t.Helper()
	for bin, pkg := range map[string]string{"containerd": "containerd", "runc": "runc", "iptables": "iptables", "ip": "iproute2"} {
		program(t, bin, pkg)
	}
	d := &docker{dockerd: program(t, "dockerd", "docker.io"), cli: program(t, "docker", "docker.io"), config: t.TempDir()}
	d.clean(t)
	return d
}

// clean ends the engine and starts another one, which has nothing.
func (d *docker) clean(t *testing.T) {
	t.Helper()
	if d.engine != nil {
		if err := d.engine.end(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	}
	dir := tempDir(t, "weir-docker") // short: a unix socket's path has 108 bytes
	conf := d.daemon
	if conf == "" {
		conf = filepath.Join(dir, "daemon.json")
		if err := os.WriteFile(conf, []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	socket := "unix://" + dir + "/docker.sock"
	d.command = command{d.cli, []string{"DOCKER_HOST=" + socket, "DOCKER_CONFIG=" + d.config}}
	d.engine = start(t, nil, d.dockerd, "--data-root", dir+"/data", "--exec-root", dir+"/exec", "--pidfile", dir+"/pid",
		"-H", socket, "--config-file", conf, "--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver", "overlay2",
		"--log-level", "error")
	d.engine.alive(t, 40*time.Second, func() error {
		_, err := d.run(t, "", "version")
		return err
	})
}

func (d *docker) login(t *testing.T, addr, user, password string) (string, error) {
	return d.run(t, password, "login", "-u", user, "--password-stdin", addr)
}

func (d *docker) pull(t *testing.T, ref string) (string, error) {
	return d.run(t, "", "pull", ref)
}

func (d *docker) runImage(t *testing.T, ref string) string {
	t.Helper()
	return d.ok(t, "run", "--rm", "--network", "none", ref)
}

// tempDir is a folder with a short path, removed after what was mounted in it.
func tempDir(t *testing.T, pattern string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", pattern)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		mounts, err := os.ReadFile("/proc/self/mounts")
		if err != nil {
			t.Error(err)
		}
		for line := range strings.Lines(string(mounts)) {
			if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], dir+"/") {
				syscall.Unmount(f[1], syscall.MNT_DETACH)
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
