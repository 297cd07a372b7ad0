package clientconfig_test

import (
	"encoding/json"
	"encoding/pem"
	"flag"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/clientconfig"
	"github.com/weir-registry/weir/internal/rule"
)

var update = flag.Bool("update", false, "write golden files")

var authority = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("an authority's certificate")})

func rules(t *testing.T, all ...rule.Rule) *rule.Set {
	t.Helper()
	for i := range all {
		all[i].Kind = rule.KindOf(all[i].Upstream)
	}
	s, problems := rule.NewSet(all)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return s
}

func corp(t *testing.T) *rule.Set {
	return rules(t,
		rule.Rule{Prefix: "docker-hub", Upstream: "registry-1.docker.io"},
		rule.Rule{Prefix: "acme", Upstream: "registry-1.docker.io", UpstreamPrefix: "acme"},
		rule.Rule{Prefix: "quay", Upstream: "quay.io"},
		rule.Rule{Prefix: "team", Upstream: "ghcr.io", UpstreamPrefix: "acme"},
		rule.Rule{Prefix: "deep", Upstream: "ghcr.io", UpstreamPrefix: "acme/deep"},
		rule.Rule{Prefix: "inner", Upstream: "registry.inner.example:5000"},
	)
}

// TestGolden compares what each client gets of each weir.
func TestGolden(t *testing.T) {
	for name, w := range map[string]clientconfig.Weir{
		"corp":     {URL: "https://weir.corp.example", CA: authority, Rules: corp(t), Mirrors: map[string]string{"hub.corp.example": "docker.io", "inner.corp.example": "inner"}},
		"port":     {URL: "https://weir.corp.example:5443/", CA: authority, Rules: corp(t), Mirrors: map[string]string{"hub.corp.example": "docker-hub"}, Upstreams: []string{"docker.io"}},
		"fallback": {URL: "https://weir.corp.example", CA: authority, Rules: corp(t), Mirrors: map[string]string{"hub.corp.example:8443": "docker-hub"}, Fallback: true},
		"plain":    {URL: "http://127.0.0.1:5000", CA: authority, Rules: corp(t), Mirrors: map[string]string{"localhost": "docker-hub"}},
		"root":     {URL: "https://weir.corp.example:443", Rules: rules(t, rule.Rule{Prefix: "ROOT", Upstream: "registry-1.docker.io"}, rule.Rule{Prefix: "quay", Upstream: "quay.io"})},
	} {
		for _, client := range clientconfig.Clients() {
			t.Run(name+" "+client, func(t *testing.T) {
				c, err := clientconfig.For(client, w)
				if err != nil {
					t.Fatal(err)
				}
				golden(t, filepath.Join("testdata", name+"-"+client+".golden"), c.String())
				whole(t, c)
			})
		}
	}
}

// whole checks that files are of the languages that their names say, and that no
// certificate is missing which they name.
func whole(t *testing.T, c clientconfig.Config) {
	t.Helper()
	has := map[string]bool{}
	for _, f := range c.Files {
		has[f.Path] = true
		if !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path || !strings.HasSuffix(f.Text, "\n") {
			t.Errorf("file %q, %q", f.Path, f.Text)
		}
		var v any
		var err error
		switch path.Ext(f.Path) {
		case ".json":
			err = json.Unmarshal([]byte(f.Text), &v)
		case ".yaml":
			err = yaml.Unmarshal([]byte(f.Text), &v)
		}
		if err != nil {
			t.Errorf("%s: %v", f.Path, err)
		}
	}
	for _, f := range c.Files {
		for word := range strings.FieldsFuncSeq(f.Text, func(r rune) bool { return strings.ContainsRune("\"[]{} \n", r) }) {
			if strings.HasSuffix(word, ".crt") && !has[word] {
				t.Errorf("%s names %s, which is not there", f.Path, word)
			}
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; go test -update writes it):\n%s", name, diff)
	}
}

func TestRefused(t *testing.T) {
	hub := map[string]string{"hub.corp.example": "docker.io"}
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})
	for _, tt := range []struct {
		name, client string
		weir         clientconfig.Weir
		words        string
	}{
		{"client", "crane", clientconfig.Weir{URL: "https://w.example", Rules: corp(t)}, `"crane" is not one of buildkit, containerd, cri-o, docker, helm, k3s, podman`},
		{"no URL", "helm", clientconfig.Weir{URL: "w.example", Rules: corp(t)}, "is not a URL"},
		{"path", "helm", clientconfig.Weir{URL: "https://w.example/v2", Rules: corp(t)}, "is not a URL"},
		{"host", "helm", clientconfig.Weir{URL: "https://w_.ex ample", Rules: corp(t)}, "is not a URL"},
		{"quotes", "helm", clientconfig.Weir{URL: `https://w".example`, Rules: corp(t)}, "is not a URL"},
		{"a key", "podman", clientconfig.Weir{URL: "https://w.example", CA: append(append([]byte{}, authority...), key...), Rules: corp(t)}, "the CA file has a PRIVATE KEY"},
		{"no CA", "podman", clientconfig.Weir{URL: "https://w.example", CA: []byte("nonsense"), Rules: corp(t)}, "no certificate in PEM form"},
		{"no rules", "podman", clientconfig.Weir{URL: "https://w.example", Rules: rules(t)}, "this weir has no rule"},
		{"upstream", "podman", clientconfig.Weir{URL: "https://w.example", Rules: corp(t), Upstreams: []string{"gcr.io"}}, "no rule of this weir leads to gcr.io: they lead to docker.io, ghcr.io, quay.io, registry.inner.example:5000"},
		{"docker and quay", "docker", clientconfig.Weir{URL: "https://w.example", Rules: corp(t), Mirrors: hub, Upstreams: []string{"quay.io"}}, "docker has mirrors of docker.io alone"},
		{"docker without a mirror", "docker", clientconfig.Weir{URL: "https://w.example", CA: authority, Rules: corp(t), Upstreams: []string{"docker.io"}}, "add to weir's configuration `mirrors:"},
		{"docker with nothing to say", "docker", clientconfig.Weir{URL: "https://w.example", Rules: corp(t)}, "add to weir's configuration `mirrors:"},
		{"docker with another's mirror", "docker", clientconfig.Weir{URL: "https://w.example", Rules: corp(t), Mirrors: map[string]string{"q.example": "quay", "part.example": "acme", "gone.example": "gone"}}, "add to weir's configuration `mirrors:"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := clientconfig.For(tt.client, tt.weir)
			if err == nil || !strings.Contains(err.Error(), tt.words) {
				t.Errorf("%v; want %q\n%s", err, tt.words, c)
			}
		})
	}
	if c, err := clientconfig.For("docker", clientconfig.Weir{URL: "https://w.example", CA: authority, Rules: corp(t)}); err != nil || len(c.Files) != 1 {
		t.Errorf("docker without a mirror needs the CA all the same: %v\n%s", err, c)
	}
}

// TestManual: docs/clients.md has every client with the paths of its files, and shows
// what is printed.
func TestManual(t *testing.T) {
	b, err := os.ReadFile("../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	manual := strings.ReplaceAll(string(b), "\n    ", "\n")
	for _, client := range clientconfig.Clients() {
		c, err := clientconfig.For(client, clientconfig.Weir{
			URL: "https://weir.corp.example", Rules: rules(t, rule.Rule{Prefix: "docker-hub", Upstream: "registry-1.docker.io"}), Mirrors: map[string]string{"hub.corp.example": "docker.io"}, CA: authority,
		})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(manual, "`"+client+"`") {
			t.Errorf("docs/clients.md does not name %s", client)
		}
		for _, f := range c.Files {
			name := strings.Replace(f.Path, "docker.io", "UPSTREAM", 1)
			if path.Ext(name) != ".crt" && !strings.Contains(name, "weir.corp.example") && !strings.Contains(manual, "`"+name+"`") {
				t.Errorf("docs/clients.md does not name %s", name)
			}
			_, text, commented := strings.Cut(f.Text, "nowhere else.\n")
			if !commented {
				text = f.Text
			}
			if shown := client == "containerd" && commented || client == "podman" && path.Ext(name) == ".conf"; shown && !strings.Contains(manual, text) {
				t.Errorf("docs/clients.md does not show %s as it is:\n%s", name, text)
			}
		}
	}
}
