package e2e

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// withBuiltClients says whether the clients of scripts/tools.list are to be run. They
// take minutes to build for the first time, so that only `make test-all` does.
func withBuiltClients() bool { return os.Getenv("WEIR_E2E_CLIENTS") != "" }

// platform is this machine's.
const platform = "linux/" + runtime.GOARCH

type regctl struct{ command }

func newRegctl(t *testing.T) regctl {
	t.Helper()
	return regctl{command{tool(t, "regctl"), []string{"REGCTL_CONFIG=" + filepath.Join(t.TempDir(), "config.json")}}}
}

func (c regctl) login(t *testing.T, addr, user, password string) (string, error) {
	c.plain(t, addr)
	return c.run(t, password, "registry", "login", "-u", user, "--pass-stdin", addr)
}

// plain is what regctl has to know of a registry without TLS.
func (c regctl) plain(t *testing.T, ref string) {
	t.Helper()
	host, _, _ := strings.Cut(ref, "/")
	c.ok(t, "registry", "set", "--tls", "disabled", "--skip-check", host)
}

func (c regctl) clean(*testing.T) {}

func (c regctl) pull(t *testing.T, ref string) (string, error) {
	return c.push(t, ref, "ocidir://"+t.TempDir()+":pulled")
}

func (c regctl) push(t *testing.T, from, to string) (string, error) {
	c.plain(t, from)
	return c.run(t, "", "image", "copy", "--platform", platform, from, to)
}

type oras struct{ command }

func newOras(t *testing.T) oras {
	t.Helper()
	return oras{command{tool(t, "oras"), []string{"DOCKER_CONFIG=" + t.TempDir()}}}
}

func (c oras) login(t *testing.T, addr, user, password string) (string, error) {
	return c.run(t, password, "login", "--plain-http", "-u", user, "--password-stdin", addr)
}

func (c oras) clean(*testing.T) {}

func (c oras) pull(t *testing.T, ref string) (string, error) {
	return c.run(t, "", "cp", "--from-plain-http", "--platform", platform, ref, "--to-oci-layout", t.TempDir()+":pulled")
}

func (c oras) push(t *testing.T, from, to string) (string, error) {
	return c.run(t, "", "cp", "--from-plain-http", "--to-plain-http", "--platform", platform, from, to)
}

// buildah is Debian's.
type buildah struct {
	command
	auth string
	dirs []string
}

func newBuildah(t *testing.T) *buildah {
	t.Helper()
	b := &buildah{command: command{path: program(t, "buildah", "buildah")}, auth: filepath.Join(t.TempDir(), "auth.json")}
	if err := os.WriteFile(b.auth, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.clean(t)
	return b
}

func (b *buildah) clean(t *testing.T) {
	t.Helper()
	dir := tempDir(t, "weir-buildah")
	b.dirs = []string{"--root", dir + "/root", "--runroot", dir + "/run", "--storage-driver", "vfs"}
	b.env = []string{"TMPDIR=" + dir, "REGISTRY_AUTH_FILE=" + b.auth, "BUILDAH_ISOLATION=chroot"}
}

func (b *buildah) login(t *testing.T, addr, user, password string) (string, error) {
	return b.run(t, password, append(b.dirs, "login", "--tls-verify=false", "-u", user, "--password-stdin", addr)...)
}

func (b *buildah) pull(t *testing.T, ref string) (string, error) {
	return b.run(t, "", append(b.dirs, "pull", "--tls-verify=false", ref)...)
}

func (b *buildah) push(t *testing.T, from, to string) (string, error) {
	return b.run(t, "", append(b.dirs, "push", "--tls-verify=false", from, "docker://"+to)...)
}

// ctr is containerd and its own command line.
type ctr struct {
	command
	containerd, socket string
	config             string
	skip               []string // what leaves other platforms' manifests out of a pull
	creds              string   // ctr keeps none
	parallel           int      // bytes of the ranges that a layer is read in; 0: it is read whole
	p                  *process
}

func newCtr(t *testing.T) *ctr {
	t.Helper()
	program(t, "runc", "runc")
	shim := filepath.Dir(tool(t, "containerd-shim-runc-v2"))
	c := &ctr{command: command{tool(t, "ctr"), []string{"PATH=" + shim + ":" + os.Getenv("PATH")}}, containerd: tool(t, "containerd"),
		config: containerdConfig, skip: []string{"--skip-metadata"}}
	c.clean(t)
	return c
}

// newCtr1 is Debian's containerd 1.6, which leaves them out by itself.
func newCtr1(t *testing.T) *ctr {
	t.Helper()
	program(t, "runc", "runc")
	c := &ctr{command: command{program(t, "ctr", "containerd"), []string{"PATH=/usr/bin:" + os.Getenv("PATH")}}, containerd: program(t, "containerd", "containerd"),
		config: containerd1Config}
	c.clean(t)
	return c
}

const containerd1Config = `version = 2
root = "%[1]s/root"
state = "%[1]s/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "%[1]s/containerd.sock"
[ttrpc]
  address = "%[1]s/containerd.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "%[1]s/opt"
`

const containerdConfig = `version = 3
root = "%[1]s/root"
state = "%[1]s/state"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.erofs", "io.containerd.differ.v1.erofs"]
[grpc]
  address = "%[1]s/containerd.sock"
[ttrpc]
  address = "%[1]s/containerd.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "%[1]s/opt"
[plugins."io.containerd.cri.v1.images".registry]
  config_path = "%[1]s/certs.d"
[plugins."io.containerd.transfer.v1.local"]
  concurrent_layer_fetch_buffer = %[2]d
`

// clean ends containerd and starts another one, which has nothing.
func (c *ctr) clean(t *testing.T) {
	t.Helper()
	if c.p != nil {
		if err := c.p.end(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	}
	dir := tempDir(t, "weir-ctr")
	conf := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(conf, fmt.Appendf(nil, c.config, dir, c.parallel), 0o600); err != nil {
		t.Fatal(err)
	}
	c.socket = dir + "/containerd.sock"
	c.env = append(c.env[:1:1], "CONTAINERD_ADDRESS="+c.socket, "CONTAINERD_NAMESPACE=k8s.io", "CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS=1")
	c.p = start(t, c.env[:1], c.containerd, "--config", conf, "--log-level", "warn")
	c.p.alive(t, 40*time.Second, func() error {
		_, err := c.run(t, "", "version")
		return err
	})
}

// login only notes the key.
func (c *ctr) login(_ *testing.T, _, user, password string) (string, error) {
	c.creds = user + ":" + password
	return "", nil
}

func (c *ctr) images(t *testing.T, verb string, args ...string) (string, error) {
	all := []string{"images", verb, "--plain-http"}
	if c.creds != "" {
		all = append(all, "--user", c.creds)
	}
	return c.run(t, "", append(all, args...)...)
}

// pull leaves out the other platforms' manifests, which it wants otherwise.
func (c *ctr) pull(t *testing.T, ref string) (string, error) {
	return c.images(t, "pull", append(c.skip, ref)...)
}

func (c *ctr) push(t *testing.T, from, to string) (string, error) {
	return c.images(t, "push", "--platform", platform, to, from)
}

func (c *ctr) runImage(t *testing.T, ref string) string {
	t.Helper()
	id := "hello-" + rand.Text() // containers of one name share a cgroup, whoever runs them
	return c.ok(t, "run", "--rm", ref, id)
}

// crictl pulls by the CRI, as a kubelet does. It pushes nothing: ctr pushes what it pulled.
type crictl struct {
	*ctr
	crictl string
}

func newCrictl(t *testing.T) *crictl {
	t.Helper()
	return &crictl{newCtr(t), tool(t, "crictl")}
}

func (c *crictl) pull(t *testing.T, ref string) (string, error) {
	host, _, _ := strings.Cut(ref, "/")
	hosts := filepath.Join(filepath.Dir(c.socket), "certs.d", host)
	if err := os.MkdirAll(hosts, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(hosts, "hosts.toml"), []byte(`server = "http://`+host+`"`), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"--image-endpoint", "unix://" + c.socket, "--runtime-endpoint", "unix://" + c.socket, "--timeout", "50s", "pull"}
	if c.creds != "" {
		args = append(args, "--creds", c.creds)
	}
	return command{c.crictl, nil}.run(t, "", append(args, ref)...)
}
