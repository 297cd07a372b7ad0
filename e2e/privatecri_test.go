package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// criConfig is the configuration of docs/private-network.md for containerd 1, in
// DIR instead of the machine's folders.
const criConfig = `version = 2
root = "DIR/root"
state = "DIR/state"
[grpc]
  address = "DIR/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "DIR/opt"
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "/etc/containerd/certs.d"
`

// criHosts is the hosts.toml of the same document.
const criHosts = `server = "https://HOST"
[host."https://HOST"]
  capabilities = ["pull", "resolve"]
  ca = "/etc/containerd/certs.d/HOST/ca.crt"
`

// criRepo is what crictl is the first to ask for.
const criRepo = "team/pod"

// newCRI starts a containerd in the private network that holds nothing, and returns
// crictl for it. The engine's own containerd does not speak CRI, the kubelet's protocol.
// No network plugin and no pause image are there: pods need them, pulls do not.
func (n *network) newCRI(t *testing.T) command {
	t.Helper()
	dir := tempDir(t, "weir-cri") // short, as docker's
	socket := "unix://" + dir + "/containerd.sock"
	for name, text := range map[string]string{
		"containerd.toml": strings.ReplaceAll(criConfig, "DIR", dir),
		"crictl.yaml":     "runtime-endpoint: " + socket + "\nimage-endpoint: " + socket + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	crictl := command{n.private.inside(t, tool(t, "crictl")), []string{"CRI_CONFIG_FILE=" + dir + "/crictl.yaml"}}
	p := start(t, nil, n.private.inside(t, program(t, "containerd", "containerd")), "--config", dir+"/containerd.toml", "--log-level", "error")
	p.alive(t, 20*time.Second, func() error {
		_, err := crictl.run(t, "", "images")
		return err
	})
	return crictl
}

// criImages asks crictl which images there are, as REPOSITORY@DIGEST.
func criImages(t *testing.T, crictl command) (digests []string) {
	t.Helper()
	var list struct {
		Images []struct {
			RepoDigests []string `json:"repoDigests"`
		} `json:"images"`
	}
	out := crictl.ok(t, "images", "--output", "json")
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("crictl images: %v\n%s", err, out)
	}
	for _, img := range list.Images {
		digests = append(digests, img.RepoDigests...)
	}
	return sorted(digests)
}

// criCold pulls what nobody asked for before. Of the layer that it shares with another
// repository's image the upstream only gives one byte: the proof that it would give all.
func (n *network) criCold(t *testing.T, password string) *pushed {
	t.Helper()
	img := n.u.push(t, criRepo, tag, "greetings from a pod")
	crictl := n.newCRI(t)
	begin := time.Now()
	crictl.ok(t, "pull", "--creds", "AWS:"+password, ecrHost+"/corp/"+criRepo+":"+tag)
	t.Logf("crictl: %s came in %v", criRepo, time.Since(begin).Round(time.Millisecond))
	if diff := cmp.Diff([]string{ecrHost + "/corp/" + criRepo + "@" + img.index}, criImages(t, crictl)); diff != "" {
		t.Errorf("crictl images (-want +got):\n%s", diff)
	}
	want := img.cold(criRepo, tag, false)
	want[slices.Index(want, "200 cdn layer-1")] = "206 cdn layer-1"
	got, _ := n.u.take()
	if diff := cmp.Diff(sorted(want), got); diff != "" {
		t.Errorf("requests to the upstream for crictl (-want +got):\n%s", diff)
	}
	return img
}

// criHeld pulls without the upstream: a tag with what ECR's GetAuthorizationToken
// answers, a digest as pods pin it, and what is not held.
func (n *network) criHeld(t *testing.T, password, digest, podDigest string) {
	t.Helper()
	token := n.aws.text(t, "ecr", "get-authorization-token", "--query", "authorizationData[0].authorizationToken", "--output", "text")
	crictl := n.newCRI(t)
	app, pod := ecrHost+"/corp/"+repo, ecrHost+"/corp/"+criRepo
	begin := time.Now()
	crictl.ok(t, "pull", "--auth", token, app+":"+tag)
	crictl.ok(t, "pull", "--creds", "AWS:"+password, pod+"@"+podDigest)
	took := time.Since(begin)
	t.Logf("crictl: two held images came in %v", took.Round(time.Millisecond))
	if took > soon {
		t.Errorf("crictl: the pulls took %v", took)
	}
	if diff := cmp.Diff(sorted([]string{app + "@" + digest, pod + "@" + podDigest}), criImages(t, crictl)); diff != "" {
		t.Errorf("crictl images (-want +got):\n%s", diff)
	}
	out, err := crictl.run(t, "", "pull", "--creds", "AWS:"+password, ecrHost+"/corp/team/absent:v1")
	if err == nil || !regexp.MustCompile(gone).MatchString(out) {
		t.Errorf("crictl pull of what is not held: %v; want it to say %s:\n%s", err, gone, out)
	}
}
