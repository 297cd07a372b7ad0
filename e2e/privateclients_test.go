package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// others pulls with other clients than docker that people have in such networks.
func (n *network) others(t *testing.T, ref string) {
	t.Helper()
	password := n.aws.loginPassword(t)
	ca := filepath.Join(n.dir, "certs", "ca.crt")
	prints := func(client, out string) {
		t.Helper()
		if strings.TrimSpace(out) != first {
			t.Errorf("%s runs %s, which prints %q, want %q", client, ref, out, first)
		}
	}

	skopeo := command{n.private.inside(t, program(t, "skopeo", "skopeo")), nil}
	skopeo.ok(t, "copy", "--src-creds", "AWS:"+password, "docker://"+ref, "dir:"+t.TempDir())

	podman := newPodman(t)
	podman.path = n.private.inside(t, podman.path)
	podman.ok(t, append(podman.dirs, "pull", "--creds", "AWS:"+password, ref)...)
	prints("podman", podman.runImage(t, ref))

	// The engine's own containerd, in a namespace that the engine does not see.
	socket := strings.TrimSuffix(strings.TrimPrefix(n.d.env[0], "DOCKER_HOST=unix://"), "docker.sock") + "exec/containerd/containerd.sock"
	ctr := command{n.private.inside(t, program(t, "ctr", "containerd")), []string{"CONTAINERD_ADDRESS=" + socket, "CONTAINERD_NAMESPACE=e2e"}}
	ctr.ok(t, "images", "pull", "--user", "AWS:"+password, "--tlscacert", ca, ref)
	prints("containerd", ctr.ok(t, "run", "--rm", ref, "private"))

	n.helper(t, ref)
}

// helper pulls with nothing in docker's configuration but amazon-ecr-credential-helper,
// which accepts no other host names than ECR's.
func (n *network) helper(t *testing.T, ref string) {
	t.Helper()
	helper := tool(t, "docker-credential-ecr-login")
	config := t.TempDir()
	text := `{"credHelpers": {"` + ecrHost + `": "ecr-login"}}`
	if err := os.WriteFile(filepath.Join(config, "config.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d := *n.d
	d.config = config
	d.engine = nil // the other's goes on
	d.clean(t)
	d.env = append(append(d.env, n.aws.env...),
		"PATH="+filepath.Dir(helper)+":"+os.Getenv("PATH"), "AWS_ECR_CACHE_DIR="+config, "AWS_ECR_DISABLE_CACHE=true")
	d.ok(t, "pull", ref)
	if got := strings.TrimSpace(d.runImage(t, ref)); got != first {
		t.Errorf("%s prints %q, want %q", ref, got, first)
	}
}
