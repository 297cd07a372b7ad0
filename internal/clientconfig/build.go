package clientconfig

import (
	"fmt"
	"strings"
)

// buildkit is buildkitd's. It asks mirrors as containerd does, by ns: a path would come
// before the names once more.
func buildkit(s *site) (Config, error) {
	const ca = "/etc/buildkit/weir-ca.crt"
	files := s.authority(ca)
	var blocks []string
	for _, u := range s.upstreams {
		blocks = append(blocks, fmt.Sprintf("[registry.%q]\n  mirrors = [%q]\n", u.name, s.host))
	}
	switch {
	case s.plain:
		blocks = append(blocks, fmt.Sprintf("[registry.%q]\n  http = true\n", s.host))
	case len(files) > 0:
		blocks = append(blocks, fmt.Sprintf("[registry.%q]\n  ca = [%q]\n", s.host, ca))
	}
	files = append(files, File{"/etc/buildkit/buildkitd.toml", strings.Join(blocks, "\n")})
	return Config{files, `# A buildkitd of its own reads it when it starts. For docker buildx:
docker buildx create --use --driver docker-container --config /etc/buildkit/buildkitd.toml
# BuildKit asks the upstream where the mirror has no answer: that cannot be turned off.
`}, nil
}

// k3s is that of K3s and, in /etc/rancher/rke2, of RKE2. They make hosts.toml of it.
func k3s(s *site) (Config, error) {
	const ca = "/etc/rancher/k3s/weir-ca.crt"
	files := s.authority(ca)
	var b strings.Builder
	b.WriteString("mirrors:\n")
	for _, u := range s.upstreams {
		fmt.Fprintf(&b, "  %q:\n    endpoint: [%q]\n", u.name, s.url(s.host))
	}
	if s.plain {
		fmt.Fprintf(&b, "  %q:\n    endpoint: [%q]\n", s.host, s.url(s.host))
	}
	if len(files) > 0 {
		fmt.Fprintf(&b, "configs:\n  %q:\n    tls: {ca_file: %q}\n", s.host, ca)
	}
	files = append(files, File{"/etc/rancher/k3s/registries.yaml", b.String()})
	return Config{files, `systemctl restart k3s        # or k3s-agent
# K3s asks the upstream where the mirror has no answer, unless it runs with --disable-default-registry-endpoint.
`}, nil
}

// helm has no mirrors: charts are pulled by their names here.
func helm(s *site) (Config, error) {
	const ca = "/etc/weir/ca.crt"
	files := s.authority(ca)
	flag := ""
	switch {
	case s.plain:
		flag = " --plain-http"
	case len(files) > 0:
		flag = " --ca-file " + ca
	}
	var b strings.Builder
	b.WriteString("# Helm has no mirrors: charts have their names here.\n")
	for _, u := range s.upstreams {
		for _, r := range u.rules {
			fmt.Fprintf(&b, "#     oci://%s/...  is  oci://%s/...\n", at(r), s.under(r))
		}
	}
	fmt.Fprintf(&b, "helm registry login%s %s        # not where anonymous grants the pull\n", flag, s.host)
	fmt.Fprintf(&b, "helm pull%s oci://%s/CHART --version VERSION\n", flag, s.under(s.upstreams[0].rules[0]))
	return Config{files, b.String()}, nil
}
