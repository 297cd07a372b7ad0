package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// chain is the rule by which a weir caches what another one serves.
const (
	chain       = "chain"
	chainConfig = `listen: %[1]s
data: %[2]s/data
rules:
  - {prefix: chain, upstream: weir.test, credential: right, window: %[3]s}
credentials:
  right: {username: %[4]s, password_file: %[2]s/right}
upstreams:
  weir.test: {endpoints: ["http://%[5]s"]}
timeouts: {check: 4s}
`
)

// newChained starts a weir whose upstream is another weir.
func newChained(t *testing.T, up *server) *server {
	t.Helper()
	return newWeir(t, map[string]string{"right": up.secret}, func(s *server) string {
		return fmt.Sprintf(chainConfig, s.addr, s.dir, shortWindow, up.id, up.addr)
	})
}

// served counts the requests of the distribution API that a weir has answered.
func (s *server) served() int {
	return len(regexp.MustCompile(`(?m)msg=request .*action=\S`).FindAllString(s.p.output(), -1))
}

// One weir caches another one: for the upstream behind both that is one client, and
// each of them serves what it holds when the next one is gone.
func TestSeries(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	img := u.push(t, repo, tag, first)
	near := newServer(t, u)
	far := newChained(t, near)
	c := newCrane(t)
	s := &scene{c: c, u: u, w: far, img: img}
	if out, err := c.login(t, far.addr, far.id, far.secret); err != nil {
		t.Fatalf("login: %v\n%s", err, out)
	}

	s.fetch(t, far.ref(chain, "day/"+repo+":"+tag))
	s.expect(t, "cold pull through two", img.cold(repo, tag, true))
	asked := near.served()
	if asked == 0 {
		t.Fatalf("no access line of the weir in the middle was found:\n%s", near.p.output())
	}
	for _, ref := range []string{"@" + img.index, "@" + img.child} {
		s.fetch(t, far.ref(chain, "day/"+repo+ref))
	}
	if n := near.served(); n != asked {
		t.Errorf("digests that the first weir holds cost the second one %d requests", n-asked)
	}
	eventually(t, soon, func() error { // the first one's window is short, the second one's a day
		far.head(t, chain, "day/"+repo, tag)
		if near.served() == asked {
			return errors.New("the tag was not checked at the weir in the middle")
		}
		return nil
	})
	s.expect(t, "hot pulls through two", nil)

	// A move arrives through both windows.
	s.fetch(t, far.ref(chain, "now/"+repo+":"+tag))
	moved := u.push(t, repo, tag, "greetings from the second image")
	eventually(t, 90*time.Second, func() error {
		if got := far.head(t, chain, "now/"+repo, tag).Header.Get("Docker-Content-Digest"); got != moved.index {
			return fmt.Errorf("the tag is still %s", got)
		}
		return nil
	})
	s.fetch(t, far.ref(chain, "now/"+repo+":"+tag))

	u.kill()
	s.fetch(t, far.ref(chain, "now/"+repo+":"+tag))
	if a := far.ask(t, http.MethodGet, chain, "day/team/absent/manifests/"+tag); a.StatusCode != http.StatusBadGateway && a.StatusCode != http.StatusGatewayTimeout {
		t.Errorf("what neither holds, with the upstream gone: %s %s", a.Status, a.body)
	}
	if err := near.p.end(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for _, when := range []string{"the weir in the middle killed", "and this one restarted"} {
		for ref, digest := range map[string]string{"day/": img.index, "now/": moved.index} {
			if d := s.fetch(t, far.ref(chain, ref+repo+":"+tag)); d > soon {
				t.Errorf("%s: a tag took %v", when, d)
			}
			s.fetch(t, far.ref(chain, ref+repo+"@"+digest))
			s.stale(t, chain, ref+repo, tag)
		}
		if strings.HasPrefix(when, "the") {
			far.restart(t)
		}
	}

	u.revive(t)
	near.start(t)
	u.push(t, "team/late", tag, "greetings from a late image")
	eventually(t, 90*time.Second, func() error {
		if a := far.ask(t, http.MethodGet, chain, "day/team/late/manifests/"+tag); a.StatusCode != http.StatusOK {
			return fmt.Errorf("mended, and still: %s %s", a.Status, a.body)
		}
		return nil
	})
	s.fetch(t, far.ref(chain, "day/team/late:"+tag))
}
