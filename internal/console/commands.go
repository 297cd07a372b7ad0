package console

import (
	"path"
	"strings"
)

// commandsTab is how a client pulls from a repository, and pushes there.
type commandsTab struct {
	Client   string
	Clients  []client
	Tag      string
	Plain    bool // clients reach weir without TLS
	Commands []command
}

// client is one that commands are shown for.
type client struct{ ID, Name string }

// command is a text to copy, with what it does.
type command struct {
	What string // a text
	Text string
}

func clients() []client {
	return []client{{"docker", "Docker"}, {"containerd", "containerd (ctr)"}, {"podman", "Podman"}, {"helm", "Helm"}, {"kubernetes", "Kubernetes"}}
}

func (v *visit) commandsTab(p *repositoryPage) (any, error) {
	t := commandsTab{Client: "docker", Clients: clients(), Tag: v.firstTag(p), Plain: !v.encrypted()}
	for _, c := range t.Clients {
		if c.ID == v.query("client") {
			t.Client = c.ID
		}
	}
	s := sample{host: v.host(), name: p.Name, tag: t.Tag, region: v.Region, key: v.caller().KeyID, plain: t.Plain}
	s.push = p.Can.May("PutImage") && p.Pushable
	t.Commands = s.commands(t.Client)
	return t, nil
}

// sample is what commands are made of. All of it is of a grammar that shells and YAML take
// as it is, but for the host, which is that of the request.
type sample struct {
	host, name, tag, region, key string
	plain, push                  bool
}

func (s sample) image() string { return s.host + "/" + s.name + ":" + s.tag }

// when is an option with a space before it, if it is needed.
func (s sample) when(needed bool, option string) string {
	if needed {
		return " " + option
	}
	return ""
}

func (s sample) commands(client string) []command {
	var all []command
	add := func(what, text string) { all = append(all, command{what, text}) }
	switch client {
	case "docker":
		add("Sign in", "docker login --username "+s.key+" "+s.host)
		add("Sign in with the AWS CLI, for 12 hours", "aws ecr get-login-password --endpoint-url "+s.url()+" --region "+s.region+" | docker login --username AWS --password-stdin "+s.host)
		add("Pull", "docker pull "+s.image())
		if s.push {
			add("Push", "docker tag IMAGE "+s.image()+"\ndocker push "+s.image())
		}
	case "podman":
		insecure := s.when(s.plain, "--tls-verify=false")
		add("Sign in", "podman login --username "+s.key+insecure+" "+s.host)
		add("Pull", "podman pull"+insecure+" "+s.image())
		if s.push {
			add("Push", "podman push"+insecure+" IMAGE docker://"+s.image())
		}
	case "containerd":
		plain := s.when(s.plain, "--plain-http")
		add("Pull", "ctr images pull --user "+s.key+plain+" "+s.image())
		if s.push {
			add("Push", "ctr images tag IMAGE "+s.image()+"\nctr images push --user "+s.key+plain+" "+s.image())
		}
	case "helm":
		plain := s.when(s.plain, "--plain-http")
		add("Sign in", "helm registry login --username "+s.key+plain+" "+s.host)
		add("Pull", "helm pull oci://"+s.host+"/"+s.name+" --version "+s.tag+plain)
		if s.push {
			add("Push", "helm push "+path.Base(s.name)+"-VERSION.tgz "+strings.TrimSuffix("oci://"+s.host+"/"+parent(s.name), "/")+plain)
		}
	case "kubernetes":
		add("Create the pull secret", "kubectl create secret docker-registry weir --docker-server="+s.host+" --docker-username="+s.key+" --docker-password=SECRET")
		add("A pod that uses it", "apiVersion: v1\nkind: Pod\nmetadata:\n  name: example\nspec:\n  imagePullSecrets:\n  - name: weir\n  containers:\n  - name: example\n    image: "+s.image())
	}
	return all
}

func (s sample) url() string {
	if s.plain {
		return "http://" + s.host
	}
	return "https://" + s.host
}

// parent is a repository's name without its last part, "" for a name of one part.
func parent(name string) string {
	if dir := path.Dir(name); dir != "." {
		return dir
	}
	return ""
}
