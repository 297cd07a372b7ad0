package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// Whatever the upstream answers, a held tag is served; for what is not held the
// class of the answer reaches the client, with the upstream's name.
func TestUpstreamAnswers(t *testing.T) {
	s := newScene(t, newCrane(t))
	if out, err := s.c.login(t, s.w.addr, s.w.id, s.w.secret); err != nil {
		t.Fatalf("login: %v\n%s", err, out)
	}
	for _, c := range []struct {
		name   string
		status int
		header http.Header
		want   int    // for what is not held
		code   string // in the body
	}{
		{"404", http.StatusNotFound, nil, http.StatusNotFound, "MANIFEST_UNKNOWN"},
		{"401", http.StatusUnauthorized, nil, http.StatusForbidden, "DENIED"},
		{"403", http.StatusForbidden, nil, http.StatusForbidden, "DENIED"},
		{"500", http.StatusInternalServerError, nil, http.StatusBadGateway, ""},
		{"503", http.StatusServiceUnavailable, nil, http.StatusBadGateway, ""},
		{"504", http.StatusGatewayTimeout, nil, http.StatusGatewayTimeout, ""},
		// The last one, for it is remembered for all of the upstream.
		{"429", http.StatusTooManyRequests, http.Header{"Retry-After": {"60"}}, http.StatusTooManyRequests, "TOOMANYREQUESTS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tag := "held-" + c.name
			s.u.tag(t, repo, tag, s.img)
			s.pull(t, s.w.ref("now", repo+":"+tag), first)
			s.u.answer(c.status, c.header)
			defer s.u.answer(0, nil)

			s.stale(t, "now", repo, tag)
			s.pull(t, s.w.ref("now", repo+":"+tag), first)

			a := s.w.ask(t, http.MethodGet, "day", "team/absent/manifests/"+c.name)
			if a.StatusCode != c.want || !strings.Contains(a.body, c.code) || !strings.Contains(a.body, "upstream.test") {
				t.Errorf("what is not held: %s %s; want %d %s and the upstream's name", a.Status, a.body, c.want, c.code)
			}
			if c.status == http.StatusTooManyRequests && a.Header.Get("Retry-After") == "" {
				t.Error("429 without Retry-After")
			}
		})
	}
}

// A credential that the upstream refuses is no 404 and no fault of the client's key.
func TestUpstreamRefusesCredential(t *testing.T) {
	s := newScene(t, newCrane(t))
	a := s.w.ask(t, http.MethodGet, "wrong", repo+"/manifests/"+tag)
	if a.StatusCode != http.StatusForbidden || !strings.Contains(a.body, "DENIED") || !strings.Contains(a.body, "upstream.test") {
		t.Errorf("%s %s; want 403 DENIED and the upstream's name", a.Status, a.body)
	}
	if strings.Contains(s.w.p.output(), "guessed") {
		t.Error("the credential is in the log")
	}
}

// A tag moves, and the upstream goes away before the new image's layers came: the
// last whole image is served, and nobody is told that the new one is it.
func TestTornMove(t *testing.T) {
	s := newScene(t, newSkopeo(t))
	if out, err := s.c.login(t, s.w.addr, s.w.id, s.w.secret); err != nil {
		t.Fatalf("login: %v\n%s", err, out)
	}
	s.pull(t, s.w.ref("now", repo+":"+tag), first)
	whole := s.img
	s.img = s.u.push(t, repo, tag, "greetings from the image that never came")
	s.moved(t)
	s.u.kill()

	s.stale(t, "now", repo, tag)
	if got := s.w.head(t, "now", repo, tag).Header.Get("Docker-Content-Digest"); got != whole.index {
		t.Errorf("the tag is %s, want the whole image %s", got, whole.index)
	}
	s.pull(t, s.w.ref("now", repo+":"+tag), first)
	if out, err := s.c.pull(t, s.w.ref("now", repo+"@"+s.img.index)); err == nil {
		t.Errorf("an image was pulled that never came:\n%s", out)
	}
	s.w.restart(t)
	s.pull(t, s.w.ref("now", repo+":"+tag), first)

	s.u.revive(t)
	s.moved(t)
	s.pull(t, s.w.ref("now", repo+":"+tag), s.img.greeting)
}
