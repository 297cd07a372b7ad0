package e2e

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Each client walks through the life of a cached image: refused without the right
// key, cold, hot, checked, served while the upstream is gone, moved.
func TestPull(t *testing.T) {
	for _, c := range []struct {
		name string
		new  func(t *testing.T) client
	}{
		{"docker", func(t *testing.T) client { return newDocker(t) }},
		{"skopeo", func(t *testing.T) client { return newSkopeo(t) }},
		{"podman", func(t *testing.T) client { return newPodman(t) }},
		{"crane", func(t *testing.T) client { return newCrane(t) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, c.new(t))
			s.refuses(t)
			s.cold(t)
			s.hot(t)
			s.pushes(t)
			s.checks(t)
			s.honest(t, `(?i)unknown|not found`, ``)
			s.u.kill()
			s.outlives(t, "upstream killed", s.img.index)
			s.fetch(t, s.w.ref("day", repo+":"+tag)) // within its window
			s.w.restart(t)
			s.outlives(t, "upstream killed, weir restarted", s.img.index, s.img.child)
			s.honest(t, gone, `(?i)manifest unknown|not found|\b404\b`)
			s.u.revive(t)
			release := s.u.hang()
			s.outlives(t, "upstream hanging")
			s.w.restart(t)
			s.outlives(t, "upstream hanging, weir restarted", s.img.index, s.img.child)
			s.honest(t, gone, `(?i)manifest unknown|not found|\b404\b`)
			release()
			s.moves(t)
		})
	}
}

// gone is how clients show 502 and 504, and weir's words for them.
const gone = `(?i)\b50[24]\b|bad gateway|gateway time-?out|unreachable|time-?d? ?out|refused|(no|not) answer`

const (
	repo  = "team/app"
	tag   = "v1"
	first = "greetings from the first image"
)

// soon is what a pull of held bytes may take here. In fake time it is two seconds;
// this machine may be busy.
const soon = 10 * time.Second

// scene is one client before one weir before one upstream.
type scene struct {
	c   client
	u   *upstream
	w   *server
	img *pushed
}

func newScene(t *testing.T, c client) *scene {
	t.Helper()
	u := newUpstream(t)
	img := u.push(t, repo, tag, first)
	return &scene{c: c, u: u, w: newServer(t, u), img: img}
}

// fetch pulls with a clean client, and says how long that took.
func (s *scene) fetch(t *testing.T, ref string) time.Duration {
	t.Helper()
	s.c.clean(t)
	begin := time.Now()
	if out, err := s.c.pull(t, ref); err != nil {
		t.Fatalf("pull %s: %v\n%s", ref, err, out)
	}
	return time.Since(begin)
}

// pull is fetch, and runs the image where the client can.
func (s *scene) pull(t *testing.T, ref, greeting string) time.Duration {
	t.Helper()
	took := s.fetch(t, ref)
	r, ok := s.c.(runner)
	if !ok {
		return took
	}
	if got := strings.TrimSpace(r.runImage(t, ref)); got != greeting {
		t.Errorf("%s prints %q, want %q", ref, got, greeting)
	}
	return took
}

// expect compares what the upstream was asked since the last time.
func (s *scene) expect(t *testing.T, what string, want []string) (bytes int64) {
	t.Helper()
	got, n := s.u.take()
	if diff := cmp.Diff(sorted(want), got); diff != "" {
		t.Errorf("%s: requests to the upstream (-want +got):\n%s", what, diff)
	}
	return n
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}

// without leaves out one line, however often it is there.
func without(lines []string, line string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return l == line })
}

func (s *scene) refuses(t *testing.T) {
	t.Helper()
	ref := s.w.ref("day", repo+":"+tag)
	words := regexp.MustCompile(`(?i)unauthorized|authentication required|incorrect username or password|no basic auth|invalid username.password|credential not found`)
	if out, err := s.c.pull(t, ref); err == nil || !words.MatchString(out) {
		t.Errorf("pull without a key: %v\n%s", err, out)
	}
	out, err := s.c.login(t, s.w.addr, s.w.id, "guessed")
	if err == nil { // crane only notes the key
		out, err = s.c.pull(t, ref)
	}
	if err == nil || !words.MatchString(out) {
		t.Errorf("login with a wrong password: %v\n%s", err, out)
	}
	t.Logf("a wrong password is refused so: %s", strings.TrimSpace(out))
	s.expect(t, "a caller without a key", nil)
	if out, err := s.c.login(t, s.w.addr, s.w.id, s.w.secret); err != nil {
		t.Fatalf("login: %v\n%s", err, out)
	}
}

func (s *scene) cold(t *testing.T) {
	t.Helper()
	s.pull(t, s.w.ref("day", repo+":"+tag), first)
	n := s.expect(t, "cold pull", s.img.cold(repo, tag, true))
	if limit := s.img.size + 16<<10; n > limit { // redirects, tokens and one challenge have bodies, too
		t.Errorf("the cold pull cost the upstream %d bytes of %d", n, s.img.size)
	}
}

func (s *scene) hot(t *testing.T) {
	t.Helper()
	s.pull(t, s.w.ref("day", repo+":"+tag), first)
	s.fetch(t, s.w.ref("day", repo+"@"+s.img.index))
	s.fetch(t, s.w.ref("day", repo+"@"+s.img.child))
	s.expect(t, "hot pulls", nil)
}

// checks pulls the image by the rule with the short window: after it, one HEAD.
func (s *scene) checks(t *testing.T) {
	t.Helper()
	s.fetch(t, s.w.ref("now", repo+":"+tag))
	_, n := s.u.take()
	if n > s.img.size/2 {
		t.Errorf("bytes that were held in another repository came again: %d", n)
	}
	var got []string
	eventually(t, 20*time.Second, func() error {
		s.w.head(t, "now", repo, tag)
		if got, _ = s.u.take(); len(got) == 0 {
			return errors.New("the tag was not checked")
		}
		return nil
	})
	// On a slow machine the token's time may be over.
	got = slices.DeleteFunc(got, func(line string) bool { return strings.HasPrefix(line, "200 token ") })
	if diff := cmp.Diff([]string{"200 HEAD " + repo + "/manifests/" + tag}, got); diff != "" {
		t.Errorf("a check of an unchanged tag (-want +got):\n%s", diff)
	}
}

// outlives pulls what is held, by clean clients: a tag whose window is over, then
// the digests.
func (s *scene) outlives(t *testing.T, when string, digests ...string) {
	t.Helper()
	if d := s.pull(t, s.w.ref("now", repo+":"+tag), first); d > soon {
		t.Errorf("%s: a tag took %v", when, d)
	}
	for _, digest := range digests {
		if d := s.fetch(t, s.w.ref("now", repo+"@"+digest)); d > soon {
			t.Errorf("%s: a digest took %v", when, d)
		}
	}
	s.stale(t, "now", repo, tag)
	if !strings.Contains(s.w.p.output(), "cache=stale") {
		t.Errorf("%s: no access line says cache=stale", when)
	}
}

// stale waits until a held tag's window is over: it is served all the same, and
// weir says so.
func (s *scene) stale(t *testing.T, rule, repo, tag string) {
	t.Helper()
	var a answer
	eventually(t, soon, func() error {
		if a = s.w.head(t, rule, repo, tag); !a.stale() {
			return fmt.Errorf("not said to be stale: %v", a.Header)
		}
		return nil
	})
	if w := a.Header.Get("Warning"); !strings.HasPrefix(w, "299 - ") {
		t.Errorf("a stale answer with Warning %q", w)
	}
}

// honest pulls what is not held, and looks at how the client puts the failure.
func (s *scene) honest(t *testing.T, want, not string) {
	t.Helper()
	begin := time.Now()
	out, err := s.c.pull(t, s.w.ref("day", "team/absent:v1"))
	if err == nil || !regexp.MustCompile(want).MatchString(out) || not != "" && regexp.MustCompile(not).MatchString(out) {
		t.Errorf("pull of what is not held: %v; want it to say %s and not %s:\n%s", err, want, not, out)
	}
	t.Logf("not held, after %v: %s", time.Since(begin).Round(time.Millisecond), strings.TrimSpace(tail(out, 400)))
}

// moves moves the tag and lets the window pass: the new image, and the old one by
// its digest.
func (s *scene) moves(t *testing.T) {
	t.Helper()
	const second = "greetings from the second image"
	old := s.img
	s.img = s.u.push(t, repo, tag, second)
	s.moved(t)
	s.pull(t, s.w.ref("now", repo+":"+tag), second)
	s.pull(t, s.w.ref("now", repo+"@"+old.index), first)
	s.fetch(t, s.w.ref("day", repo+":"+tag)) // old, within its window
}

// moved waits until weir has seen the tag at the image that was pushed last. An
// upstream that was away is looked for at growing intervals.
func (s *scene) moved(t *testing.T) {
	t.Helper()
	eventually(t, 90*time.Second, func() error {
		if got := s.w.head(t, "now", repo, tag).Header.Get("Docker-Content-Digest"); got != s.img.index {
			return fmt.Errorf("the tag is still %s", got)
		}
		return nil
	})
}
