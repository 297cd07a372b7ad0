package clientconfig

import (
	"fmt"
	"strings"
)

// containerd reads hosts.toml at each pull. It says by ns which upstream it means, so
// no name changes and no path is needed.
func containerd(s *site) (Config, error) {
	const dir = "/etc/containerd/certs.d/"
	ca := dir + s.host + "/ca.crt"
	files := s.authority(ca)
	trust := ""
	if len(files) > 0 {
		trust = fmt.Sprintf("ca = %q\n", ca)
	}
	own := fmt.Sprintf("server = %q\n%s%s", s.url(s.host), trust, noHosts)
	files = append(files, File{dir + s.host + "/hosts.toml", own})
	for _, u := range s.upstreams {
		const read = "capabilities = [\"pull\", \"resolve\"]\n"
		text := fmt.Sprintf("# %s through %s, and from nowhere else.\nserver = %q\n%s%s%s", u.name, s.host, s.url(s.host), read, trust, noHosts)
		if s.Fallback {
			text = fmt.Sprintf("# %s through %s.\nserver = %q\n\n[host.%q]\n%s%s", u.name, s.host, "https://"+u.rules[0].Upstream, s.url(s.host), indent(read), indent(trust))
		}
		files = append(files, File{dir + u.name + "/hosts.toml", text})
	}
	return Config{files, `# Once, in /etc/containerd/config.toml, then systemctl restart containerd. Version 3 (containerd 2):
#     [plugins."io.containerd.cri.v1.images".registry]
#       config_path = "/etc/containerd/certs.d"
# Version 2 (containerd 1):
#     [plugins."io.containerd.grpc.v1.cri".registry]
#       config_path = "/etc/containerd/certs.d"
# The files above are read at each pull, without a restart.
ctr images pull --hosts-dir /etc/containerd/certs.d ` + s.example() + "\n"}, nil
}

// noHosts says that there are no hosts before the server. Without it containerd 1.6
// takes the file for broken and goes to the upstream.
const noHosts = "\n[host]\n"

func indent(text string) string {
	if text == "" {
		return ""
	}
	return "  " + strings.TrimSuffix(strings.ReplaceAll(text, "\n", "\n  "), "  ")
}

// example is an image to try, by its upstream's name.
func (s *site) example() string {
	known := map[string]string{
		"docker.io": "library/alpine:latest", "public.ecr.aws": "amazonlinux/amazonlinux:latest",
		"quay.io": "prometheus/busybox:latest", "registry.k8s.io": "pause:3.10",
	}
	for _, u := range s.upstreams {
		if image := known[u.name]; image != "" && u.rules[0].Whole() {
			return u.name + "/" + image
		}
	}
	return at(s.upstreams[0].rules[0]) + "/IMAGE:TAG"
}
