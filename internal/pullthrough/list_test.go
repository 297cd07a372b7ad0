package pullthrough_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/pullthrough"
)

// lists has the upstream list tags of a repository.
func (s *script) lists(repo string, tags ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(tags)
	s.tags[repo] = tags
}

// wantTags lists a repository's tags in one page: "a b", with " ..." if there are more.
func (w *world) wantTags(repo, want string, src pullthrough.Source, warned bool) {
	w.t.Helper()
	l, err := w.cache.Tags(w.t.Context(), w.scope(repo), "", 100)
	if err != nil {
		w.t.Errorf("tags of %s: %v", repo, err)
		return
	}
	if got := strings.Join(l.Tags, " "); got != want || l.Source != src || (l.Warning != "") != warned {
		w.t.Errorf("tags of %s are %q (%s, warning %q), want %q (%s, warned %t)", repo, got, l.Source, l.Warning, want, src, warned)
	}
}

// times is s, n times.
func times(n int, s string) []string {
	return append([]string(nil), slices.Repeat([]string{s}, n)...)
}

func TestTagsMerge(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		up.image("app", "gone", 1, 1, 100)
		up.image("app", "v2", 2, 1, 100)
		for _, tag := range []string{"gone", "v2"} {
			if _, err := w.tag("hub/app", tag); err != nil {
				t.Fatal(err)
			}
		}
		up.lists("app", "v10", "v2", "V3")
		up.asked()
		w.wantTags("hub/app", "V3 gone v10 v2", "miss", false)
		w.wantAsked("hub", "TAGS app list")
		<-time.After(time.Minute - 1)
		w.wantTags("hub/app", "V3 gone v10 v2", "hit", false)
		w.wantAsked("hub")
		up.lists("app", "v11")
		<-time.After(1)
		w.wantTags("hub/app", "gone v11 v2", "miss", false)
		w.wantAsked("hub", "TAGS app list")
	})
}

// TestTagPages: a page each, in the order of their bytes, nothing twice or left out,
// whatever is held and whatever the client begins after.
func TestTagPages(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		var want, theirs []string
		for i := range 25 {
			tag := fmt.Sprintf("v%02d", i)
			want = append(want, tag)
			if i%3 == 0 || i > 20 {
				up.image("app", tag, uint64(i), 1, 10)
				if _, err := w.tag("hub/app", tag); err != nil {
					t.Fatal(err)
				}
			}
			if i%3 != 0 || i%2 == 0 {
				theirs = append(theirs, tag)
			}
		}
		up.lists("app", theirs...)
		for _, limit := range []int{1, 2, 7, 24, 25, 26, 1000} {
			var got []string
			after := ""
			for {
				l, err := w.cache.Tags(t.Context(), w.scope("hub/app"), after, limit)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, l.Tags...)
				if !l.More {
					break
				}
				if len(l.Tags) != limit {
					t.Fatalf("a page of %d where %d were asked for", len(l.Tags), limit)
				}
				after = l.Tags[limit-1]
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("pages of %d (-want +got):\n%s", limit, diff)
			}
		}
		for after, first := range map[string]string{"v05x": "v06", "": "v00", "v24": "", "~": "", "!": "v00"} {
			l, err := w.cache.Tags(t.Context(), w.scope("hub/app"), after, 1)
			if err != nil || strings.Join(l.Tags, "") != first {
				t.Errorf("after %q: %v, %v", after, l.Tags, err)
			}
		}
	})
}

// TestTagsTogether: who asks at the same time shares one list, and who leaves ends
// nothing.
func TestTagsTogether(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		up.lists("app", "v1")
		up.refusing(func(ctx context.Context, _, _, _ string) error { <-time.After(time.Second); return nil })
		ctx, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := w.cache.Tags(ctx, w.scope("hub/app"), "", 10); err != context.Canceled {
				t.Errorf("who left: %v", err)
			}
		})
		synctest.Wait()
		for range 20 {
			wg.Go(func() { w.wantTags("hub/app", "v1", "join", false) })
		}
		synctest.Wait()
		leave()
		wg.Wait()
		w.wantAsked("hub", "TAGS app list")
	})
}

// TestTagsAway: what is held is listed, with a warning; of what nothing is held the
// failure keeps its class. A failing upstream costs its clients one wait.
func TestTagsAway(t *testing.T) {
	for _, tt := range []struct {
		code  errs.Code
		again int // requests for a second list a moment later
	}{
		{errs.UpstreamUnreachable, 1}, {errs.UpstreamTimeout, 1}, // by the second the path is open
		{errs.UpstreamFailed, 0}, {errs.UpstreamDenied, 0}, {errs.UpstreamRateLimited, 0}, {errs.RepoUnknown, 0},
	} {
		t.Run(tt.code.String(), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				up := w.ups["hub"]
				up.image("app", "v1", 1, 1, 100)
				up.lists("app", "v1", "v2")
				if _, err := w.tag("hub/app", "v1"); err != nil {
					t.Fatal(err)
				}
				up.refusing(answers(tt.code, 0))
				up.asked()
				w.wantTags("hub/app", "v1", "stale", true)
				w.wantAsked("hub", "TAGS app list")
				w.wantTags("hub/app", "v1", "stale", true)
				w.wantAsked("hub", times(tt.again, "TAGS app list")...)
				w.wantTags("hub/app", "v1", "stale", true)
				w.wantAsked("hub")
				_, err := w.cache.Tags(t.Context(), w.scope("hub/other"), "", 10)
				if errs.CodeOf(err) != tt.code {
					t.Errorf("of what is not held: %v, want %s", err, tt.code)
				}
				up.refusing(nil)
				<-time.After(2 * time.Minute)
				w.wantTags("hub/app", "v1 v2", "miss", false)
			})
		})
	}
}

// TestTagsRestart: the list of a minute ago is gone with the process, what is held is not.
func TestTagsRestart(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		up.image("app", "v1", 1, 1, 100)
		up.lists("app", "v1", "v2")
		if _, err := w.tag("hub/app", "v1"); err != nil {
			t.Fatal(err)
		}
		w.wantTags("hub/app", "v1 v2", "miss", false)
		w.restart()
		up.refusing(answers(errs.UpstreamUnreachable, 0))
		w.wantTags("hub/app", "v1", "stale", true)
	})
}

// TestTagsSlow: a slow list is waited for ten seconds where something is held, and is
// there for who asks later.
func TestTagsSlow(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		up.image("app", "v1", 1, 1, 100)
		up.lists("app", "v1", "v2")
		if _, err := w.tag("hub/app", "v1"); err != nil {
			t.Fatal(err)
		}
		up.refusing(func(ctx context.Context, _, _, _ string) error { <-time.After(20 * time.Second); return nil })
		start := time.Now()
		w.wantTags("hub/app", "v1", "stale", true)
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("waited %s", took)
		}
		<-time.After(10 * time.Second)
		synctest.Wait()
		w.wantTags("hub/app", "v1 v2", "hit", false)
		w.wantTag("hub/app", "v1", up.manifests["app v1"].Digest, "hit", false)
	})
}

// TestTagsPart: a list that broke off is used and not remembered; one without an end
// is both.
func TestTagsPart(t *testing.T) {
	for _, tt := range []struct {
		code  errs.Code
		asked int
	}{{errs.UpstreamUnreachable, 1}, {errs.LimitExceeded, 0}} {
		inWorld(t, func(t *testing.T, w *world) {
			up := w.ups["hub"]
			up.part(errs.New(tt.code, "broke off"), "v1")
			w.wantTags("hub/app", "v1", "miss", true)
			up.asked()
			<-time.After(2 * time.Second)
			w.wantTags("hub/app", "v1", map[int]pullthrough.Source{0: "hit", 1: "miss"}[tt.asked], true)
			w.wantAsked("hub", times(tt.asked, "TAGS app list")...)
		})
	}
}

// part has lists of tags break off after some.
func (s *script) part(err error, tags ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = err
	s.tags["app"] = tags
}

// TestTagsHeldOnly: who may not have the upstream asked, and a rule that asks none, get
// what is held, also while another's list is remembered.
func TestTagsHeldOnly(t *testing.T) {
	off := hub("off")
	off.Off = true
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		up.image("app", "v1", 1, 1, 100)
		up.lists("app", "v1", "v2")
		if _, err := w.tag("hub/app", "v1"); err != nil {
			t.Fatal(err)
		}
		w.wantTags("hub/app", "v1 v2", "miss", false)
		up.asked()
		s := w.scope("hub/app")
		s.NoUpstream = errs.New(errs.Denied, "ann may not")
		l, err := w.cache.Tags(t.Context(), s, "", 10)
		if err != nil || strings.Join(l.Tags, " ") != "v1" || l.Source != "hit" || !strings.Contains(l.Warning, "ann may not") {
			t.Errorf("%+v, %v", l, err)
		}
		s.Repository = "hub/other"
		if _, err := w.cache.Tags(t.Context(), s, "", 10); errs.CodeOf(err) != errs.Denied {
			t.Errorf("of what is not held: %v", err)
		}
		if _, err := w.cache.Tags(t.Context(), w.scope("off/app"), "", 10); errs.CodeOf(err) != errs.RepoUnknown {
			t.Errorf("of a rule that asks nobody: %v", err)
		}
		m := up.manifests["app v1"]
		e, err := m.Edges()
		if err == nil {
			_, err = w.db.PutManifest(t.Context(), "off/app", m, e, "kept", time.Now())
		}
		if err != nil {
			t.Fatal(err)
		}
		w.wantTags("off/app", "kept", "hit", false)
		w.wantAsked("hub")
	}, hub("hub"), off)
}

// TestListQuota: who asks for too many lists may still have manifests, and the other
// way round.
func TestListQuota(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		up.image("app", "v1", 1, 1, 100)
		up.lists("app", "v1")
		up.lists("other", "v1")
		up.refusing(func(_ context.Context, op, _, _ string) error {
			if op == "TAGS" {
				return &errs.Error{Code: errs.UpstreamRateLimited, Msg: "slow down", RetryAfter: time.Minute}
			}
			return nil
		})
		for _, repo := range []string{"hub/app", "hub/other"} {
			if _, err := w.cache.Tags(t.Context(), w.scope(repo), "", 10); errs.CodeOf(err) != errs.UpstreamRateLimited {
				t.Errorf("%s: %v", repo, err)
			}
		}
		w.wantAsked("hub", "TAGS app list")
		if _, err := w.tag("hub/app", "v1"); err != nil {
			t.Errorf("a manifest: %v", err)
		}
		up.refusing(func(_ context.Context, op, _, _ string) error {
			if op == "GET" {
				return &errs.Error{Code: errs.UpstreamRateLimited, Msg: "slow down", RetryAfter: time.Minute}
			}
			return nil
		})
		<-time.After(time.Minute)
		if _, err := w.tag("hub/app", "v2"); errs.CodeOf(err) != errs.UpstreamRateLimited {
			t.Errorf("a manifest: %v", err)
		}
		w.wantTags("hub/app", "v1", "miss", false)
	})
}

// TestListProbe: an upstream of which only lists are asked is found again, too.
func TestListProbe(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		up.image("app", "v1", 1, 1, 100)
		up.lists("app", "v1", "v2")
		if _, err := w.tag("hub/app", "v1"); err != nil {
			t.Fatal(err)
		}
		up.refusing(answers(errs.UpstreamUnreachable, 0))
		for range 3 {
			w.wantTags("hub/app", "v1", "stale", true)
		}
		up.refusing(nil)
		<-time.After(6 * time.Second)
		w.wantTags("hub/app", "v1 v2", "hit", false)
	})
}

// TestSignatureTags: a signature that is not there is a 404, said again from memory for
// seconds, and costs nothing else its answer.
func TestSignatureTags(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		m := up.image("app", "v1", 1, 1, 100).manifest
		if _, err := w.tag("hub/app", "v1"); err != nil {
			t.Fatal(err)
		}
		up.asked()
		for _, ext := range []string{".sig", ".att", ".sbom"} {
			tag := "sha256-" + m.Digest.Encoded() + ext
			for range 3 {
				if _, err := w.tag("hub/app", tag); errs.CodeOf(err) != errs.ManifestUnknown {
					t.Errorf("%s: %v", ext, err)
				}
			}
			w.wantAsked("hub", "GET app "+tag)
			w.wantTag("hub/app", "v1", m.Digest, "hit", false)
			sig := up.image("app", tag, 9, 1, 50).manifest
			<-time.After(10 * time.Second)
			w.wantTag("hub/app", tag, sig.Digest, "miss", false)
			w.wantAsked("hub", "GET app "+tag)
		}
		if _, err := w.tag("hub/app", "v2"); errs.CodeOf(err) != errs.ManifestUnknown {
			t.Error(err)
		}
		<-time.After(day)
		w.wantTag("hub/app", "v1", m.Digest, "hit", false)
		w.wantAsked("hub", "GET app v2", "HEAD app v1")
	})
}

// A list that breaks off after its first page is no reason to leave other names of the
// host alone.
func TestBrokenListIsItsOwn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		up.image("app", "v1", 1, 1, 100)
		if _, err := w.tag("hub/app", "v1"); err != nil {
			t.Fatal(err)
		}
		<-time.After(25 * time.Hour)
		up.lists("huge", "a", "b")
		up.broken = errs.New(errs.UpstreamUnreachable, "broke off after 5 bytes")
		for range 3 {
			if l, err := w.cache.Tags(t.Context(), w.scope("hub/huge"), "", 10); err != nil || len(l.Tags) != 2 || l.Warning == "" {
				t.Errorf("a broken list: %+v, %v", l, err)
			}
			<-time.After(2 * time.Second)
		}
		if a, err := w.tag("hub/app", "v1"); err != nil || a.Warning != "" {
			t.Errorf("another name's tag is not checked: %q, %v", a.Warning, err)
		}
	})
}
