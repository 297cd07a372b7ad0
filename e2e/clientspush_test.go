package e2e

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pusher is a client that pushes what it pulled as from.
type pusher interface {
	push(t *testing.T, from, to string) (string, error)
}

// create makes a repository for pushes.
func (s *server) create(t *testing.T, repository string) {
	t.Helper()
	newAWS(t, s).text(t, "ecr", "create-repository", "--repository-name", repository)
}

// pushes pushes what a rule has pulled to a repository of weir's own, and pulls it back.
func (s *scene) pushes(t *testing.T) {
	t.Helper()
	p, ok := s.c.(pusher)
	if !ok {
		return
	}
	cached, own := s.w.ref("day", repo+":"+tag), s.w.ref("own", repo+":"+tag)
	s.fetch(t, cached)
	if out, err := p.push(t, cached, own); err == nil || !regexp.MustCompile(`(?i)name unknown|does not exist|404 Not Found`).MatchString(out) {
		t.Errorf("push to a repository that is not there: %v\n%s", err, out)
	}
	s.w.create(t, "own/"+repo)
	if out, err := p.push(t, cached, own); err != nil {
		t.Errorf("push %s: %v\n%s", own, err, out)
		return
	}
	s.pull(t, own, first)
	s.expect(t, "a push and a pull of weir's own", nil)
	// By another tag: what the cache has need not be pushed at all.
	if out, err := p.push(t, own, s.w.ref("day", repo+":pushed")); err == nil || !regexp.MustCompile(`(?i)denied|403 Forbidden`).MatchString(out) {
		t.Errorf("push to a repository of the cache: %v\n%s", err, out)
	}
	s.u.take() // some ask first which blobs the cache has of those that they compressed anew
}

func (c crane) push(t *testing.T, from, to string) (string, error) {
	return c.run(t, "", "copy", "--insecure", "--platform", platform, from, to)
}

func (s *skopeo) push(t *testing.T, from, to string) (string, error) {
	return s.run(t, "", "copy", "--src-tls-verify=false", "--dest-tls-verify=false", "--authfile", s.auth, "docker://"+from, "docker://"+to)
}

func (p *podman) push(t *testing.T, from, to string) (string, error) {
	return p.run(t, "", append(p.dirs, "push", "--tls-verify=false", from, "docker://"+to)...)
}

// push renames and pushes: docker has no other way.
func (d *docker) push(t *testing.T, from, to string) (string, error) {
	d.ok(t, "tag", from, to)
	return d.run(t, "", "push", to)
}

// The clients that take long to build: refused without the right key, cold, hot, to a
// repository of weir's own and back, and without the upstream.
func TestBuiltClients(t *testing.T) {
	if !withBuiltClients() {
		return
	}
	for _, c := range []struct {
		name string
		new  func(t *testing.T) client
	}{
		{"regctl", func(t *testing.T) client { return newRegctl(t) }},
		{"oras", func(t *testing.T) client { return newOras(t) }},
		{"buildah", func(t *testing.T) client { return newBuildah(t) }},
		{"ctr", func(t *testing.T) client { return newCtr(t) }},
		{"ctr 1.6", func(t *testing.T) client { return newCtr1(t) }},
		{"crictl", func(t *testing.T) client { return newCrictl(t) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, c.new(t))
			s.refuses(t)
			s.cold(t)
			s.hot(t)
			s.pushes(t)
			s.fetch(t, s.w.ref("now", repo+":"+tag))
			s.u.kill()
			s.outlives(t, "upstream killed", s.img.index)
			s.w.restart(t)
			s.outlives(t, "upstream killed, weir restarted", s.img.index, s.img.child)
			s.honest(t, gone, `(?i)manifest unknown|not found|\b404\b`)
		})
	}
}

// containerd 2 reads one layer in several ranges at once. The upstream is asked for each
// byte once.
func TestParallelPull(t *testing.T) {
	if !withBuiltClients() {
		return
	}
	for _, c := range []struct {
		name string
		new  func(c *ctr) client
	}{
		{"ctr", func(c *ctr) client { return c }},
		{"crictl", func(c *ctr) client { return &crictl{c, tool(t, "crictl")} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := newCtr(t)
			in.parallel = 256 << 10
			s := newScene(t, c.new(in))
			if _, err := s.c.login(t, s.w.addr, s.w.id, s.w.secret); err != nil {
				t.Fatal(err)
			}
			s.pull(t, s.w.ref("day", repo+":"+tag), first)
			if n := strings.Count(s.w.p.output(), "status=206"); n < 4 {
				t.Errorf("containerd asked for %d ranges: it does not pull in parallel", n)
			}
			got, n := s.u.take()
			if limit := s.img.size + 16<<10; n > limit {
				t.Errorf("ranges cost the upstream %d bytes of %d", n, s.img.size)
			}
			t.Log(strings.Join(got, "\n"))
			s.pull(t, s.w.ref("day", repo+":"+tag), first)
			if got, _ := s.u.take(); len(got) > 0 {
				t.Errorf("a hot pull in ranges (-want +got):\n%s", cmp.Diff([]string(nil), got))
			}
			s.u.kill()
			s.pull(t, s.w.ref("day", repo+":"+tag), first)
		})
	}
}
