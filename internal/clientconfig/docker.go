package clientconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// docker is dockerd's: registry-mirrors are of Docker Hub alone and have no path, so
// they need a host whose root is Docker Hub. Other upstreams are pulled from by this
// registry's own names, which needs the CA.
func docker(s *site) (Config, error) {
	hub := s.hub()
	if len(s.Upstreams) > 0 && (len(s.upstreams) > 1 || s.upstreams[0].name != "docker.io") {
		return Config{}, errors.New("docker has mirrors of docker.io alone: images of others are pulled by their names here")
	}
	const path = "/etc/docker/certs.d/"
	files := s.authority(path + s.host + "/ca.crt")
	if hub == "" {
		if len(s.Upstreams) > 0 || len(files) == 0 && !s.plain {
			return Config{}, errors.New("docker's registry-mirrors need a host that is Docker Hub's mirror at its root: add to weir's configuration `mirrors: {HOST: docker.io}`, with a HOST of its own in DNS and in the certificate, or a rule ROOT for docker.io")
		}
		names := fmt.Sprintf("Images are pulled by their names here, such as %s/...: for docker.io/...\n# as it is, docker needs a mirror, which needs mirrors in weir's configuration.\n", s.under(s.upstreams[0].rules[0]))
		if s.plain {
			f, err := daemon(map[string][]string{"insecure-registries": {s.host}})
			return Config{append(files, f), merge + restart + "# " + names}, err
		}
		return Config{files, "# Nothing has to be restarted. " + names}, nil
	}
	settings := map[string][]string{"registry-mirrors": {s.url(hub)}}
	if hub != s.host {
		files = append(files, s.authority(path+hub+"/ca.crt")...)
	}
	if s.plain {
		settings["insecure-registries"] = []string{s.host}
		if hub != s.host {
			settings["insecure-registries"] = []string{hub, s.host}
		}
	}
	f, err := daemon(settings)
	return Config{append(files, f), merge + restart + "docker pull alpine        # docker asks Docker Hub where the mirror has no answer: that cannot be turned off\n"}, err
}

const (
	merge   = "# If there is a daemon.json already, add these keys to it.\n"
	restart = "systemctl restart docker\n"
)

func daemon(settings map[string][]string) (File, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	err := e.Encode(settings)
	return File{"/etc/docker/daemon.json", b.String()}, err
}
