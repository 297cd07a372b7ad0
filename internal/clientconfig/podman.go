package clientconfig

import (
	"fmt"
	"strings"
)

// podman reads registries.conf, as do Buildah, Skopeo and CRI-O. It puts one name for
// another and says no ns, so the rule's prefix is in the location.
func podman(s *site) (Config, error) {
	return s.registries("podman pull " + s.example() + "\n"), nil
}

// crio is podman's, and what has it read.
func crio(s *site) (Config, error) {
	return s.registries("systemctl reload crio\ncrictl pull " + s.example() + "\n"), nil
}

func (s *site) registries(then string) Config {
	files := s.authority("/etc/containers/certs.d/" + s.host + "/ca.crt")
	var blocks []string
	insecure := ""
	if s.plain {
		insecure = "insecure = true\n"
		blocks = append(blocks, fmt.Sprintf("[[registry]]\nlocation = %q\n%s", s.host, insecure))
	}
	for _, u := range s.upstreams {
		for _, r := range u.rules {
			mirror := ""
			if s.Fallback {
				mirror = fmt.Sprintf("location = %q\n\n[[registry.mirror]]\n", at(r))
			}
			blocks = append(blocks, fmt.Sprintf("[[registry]]\nprefix = %q\n%slocation = %q\n%s", at(r), mirror, s.under(r), insecure))
		}
	}
	files = append(files, File{"/etc/containers/registries.conf.d/50-weir.conf", strings.Join(blocks, "\n")})
	return Config{files, then}
}
