package pullthrough_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/pullthrough"
	"github.com/weir-registry/weir/internal/rule"
)

const day = 24 * time.Hour

// answers makes every request of the script end in err.
func answers(code errs.Code, retry time.Duration) func(context.Context, string, string, string) error {
	return func(context.Context, string, string, string) error {
		return &errs.Error{Code: code, Msg: "up.test answered " + code.String(), RetryAfter: retry}
	}
}

// hangs makes every request of the script wait for its context.
func hangs(ctx context.Context, _, _, _ string) error {
	<-ctx.Done()
	return errs.Wrap(errs.UpstreamTimeout, ctx.Err(), "up.test did not answer")
}

func (w *world) wantTag(repo, tag string, want digest.Digest, src pullthrough.Source, warned bool) {
	w.t.Helper()
	a, err := w.tag(repo, tag)
	if err != nil {
		w.t.Errorf("%s:%s: %v", repo, tag, err)
		return
	}
	if a.Digest != want || a.Source != src || (a.Warning != "") != warned {
		w.t.Errorf("%s:%s is %s (%s, warning %q), want %s (%s, warned %t)", repo, tag, a.Digest, a.Source, a.Warning, want, src, warned)
	}
}

// whole pulls everything of an image.
func (w *world) whole(repo string, im image) {
	w.t.Helper()
	for _, d := range append([]digest.Digest{im.config}, im.layers...) {
		if _, err := w.pull(repo, d); err != nil {
			w.t.Fatal(err)
		}
	}
	synctest.Wait()
}

func TestWindow(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		v1 := up.image("app", "v1", 1, 1, 100).manifest
		w.wantTag("hub/app", "v1", v1.Digest, "miss", false)
		w.wantAsked("hub", "GET app v1")
		w.wantTag("hub/app", "v1", v1.Digest, "hit", false)
		<-time.After(day - time.Second)
		w.wantTag("hub/app", "v1", v1.Digest, "hit", false)
		w.wantAsked("hub")
		<-time.After(time.Second)
		w.wantTag("hub/app", "v1", v1.Digest, "hit", false)
		w.wantTag("hub/app", "v1", v1.Digest, "hit", false)
		w.wantAsked("hub", "HEAD app v1")

		v2 := up.image("app", "v1", 2, 1, 100).manifest
		<-time.After(day)
		w.wantTag("hub/app", "v1", v2.Digest, "miss", false)
		w.wantAsked("hub", "GET app v1", "HEAD app v1")
		old, err := w.cache.Manifest(t.Context(), w.scope("hub/app"), oci.Reference{Digest: v1.Digest})
		if err != nil || old.Source != "hit" || old.Age != -1 {
			t.Errorf("the old image by digest: %s, %v", old.Source, err)
		}
		w.wantAsked("hub")
		moves, err := w.db.History(t.Context(), "hub/app", "v1", 10)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range moves {
			got = append(got, string(m.From)+" -> "+string(m.To))
		}
		if diff := cmp.Diff([]string{string(v1.Digest + " -> " + v2.Digest), string(" -> " + v1.Digest)}, got); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
	})
}

func TestWindows(t *testing.T) {
	never, zero, fixed, off := hub("never"), hub("zero"), hub("fixed"), hub("off")
	never.Window, zero.Window, fixed.Fixed, off.Off = rule.Never, 0, []string{"v*"}, true
	for _, tt := range []struct {
		rule  rule.Rule
		after time.Duration
		asked []string
	}{
		{never, 1000 * day, nil},
		{zero, 500 * time.Millisecond, nil},
		{zero, time.Second, []string{"HEAD app v1"}},
		{fixed, 1000 * day, nil},
	} {
		t.Run(fmt.Sprintf("%s %s", tt.rule.Prefix, tt.after), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.ups[tt.rule.Prefix].image("app", "v1", 1, 1, 100)
				repo := tt.rule.Prefix + "/app"
				if _, err := w.tag(repo, "v1"); err != nil {
					t.Fatal(err)
				}
				w.ups[tt.rule.Prefix].asked()
				<-time.After(tt.after)
				if _, err := w.tag(repo, "v1"); err != nil {
					t.Error(err)
				}
				w.wantAsked(tt.rule.Prefix, tt.asked...)
			}, tt.rule)
		})
	}
	t.Run("off", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			im := w.ups["off"].image("app", "v1", 1, 1, 100)
			_, err := w.tag("off/app", "v1")
			if errs.CodeOf(err) != errs.ManifestUnknown || !strings.Contains(err.Error(), "held_only") {
				t.Errorf("tag: %v", err)
			}
			if _, err := w.pull("off/app", im.config); errs.CodeOf(err) != errs.BlobUnknown {
				t.Errorf("blob: %v", err)
			}
			w.wantAsked("off")
		}, off)
	})
}

// TestOutcomes is the table of what a check's outcome does to a held tag.
func TestOutcomes(t *testing.T) {
	for _, tt := range []struct {
		name     string
		refuse   func(context.Context, string, string, string) error
		orphaned bool
		next     time.Duration // when the next pull asks again; less than it does not
	}{
		{"404", answers(errs.ManifestUnknown, 0), true, day},
		{"401 or 403", answers(errs.UpstreamDenied, 0), false, 5 * time.Minute},
		{"429", answers(errs.UpstreamRateLimited, 3*time.Minute), false, 3 * time.Minute},
		{"500", answers(errs.UpstreamFailed, 0), false, 5 * time.Second},
		{"timeout", answers(errs.UpstreamTimeout, 0), false, 0},
		{"unreachable", answers(errs.UpstreamUnreachable, 0), false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				up := w.ups["hub"]
				im := up.image("app", "v1", 1, 1, 100)
				w.wantTag("hub/app", "v1", im.manifest.Digest, "miss", false)
				<-time.After(day)
				before, err := w.db.Tag(t.Context(), "hub/app", "v1")
				if err != nil {
					t.Fatal(err)
				}
				up.asked()
				up.refusing(tt.refuse)
				w.wantTag("hub/app", "v1", im.manifest.Digest, "stale", true)
				if len(up.asked()) == 0 {
					t.Error("the upstream was not asked")
				}
				after, err := w.db.Tag(t.Context(), "hub/app", "v1")
				if err != nil {
					t.Fatal(err)
				}
				if after.Orphaned != tt.orphaned {
					t.Errorf("orphaned is %t", after.Orphaned)
				}
				if now := time.Now(); tt.orphaned != after.Checked.Equal(now.Truncate(time.Microsecond)) {
					t.Errorf("checked at %s, now %s", after.Checked, now)
				}
				if tt.next < time.Minute && !after.Checked.Equal(before.Checked) {
					t.Errorf("checked changed from %s to %s", before.Checked, after.Checked)
				}
				if tt.next > 0 {
					<-time.After(tt.next - time.Second)
					if _, err := w.tag("hub/app", "v1"); err != nil {
						t.Error(err)
					}
					w.wantAsked("hub")
					<-time.After(time.Second)
				}
				up.refusing(nil)
				w.wantTag("hub/app", "v1", im.manifest.Digest, "hit", false)
				if diff := cmp.Diff([]string{"HEAD app v1"}, up.asked()); diff != "" {
					t.Errorf("next check (-want +got):\n%s", diff)
				}
				if after, _ := w.db.Tag(t.Context(), "hub/app", "v1"); after.Orphaned {
					t.Error("still orphaned")
				}
			})
		})
	}
}

func TestHeadDoesNotTell(t *testing.T) {
	for _, code := range []errs.Code{errs.Unsupported, errs.UpstreamDenied} {
		t.Run(code.String(), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				up := w.ups["hub"]
				im := up.image("app", "v1", 1, 1, 100)
				w.wantTag("hub/app", "v1", im.manifest.Digest, "miss", false)
				up.refusing(func(_ context.Context, op, _, _ string) error {
					if op == "HEAD" {
						return errs.New(code, "no HEAD here")
					}
					return nil
				})
				up.asked()
				<-time.After(day)
				w.wantTag("hub/app", "v1", im.manifest.Digest, "hit", false)
				w.wantAsked("hub", "GET app v1", "HEAD app v1")
				<-time.After(day)
				w.wantTag("hub/app", "v1", im.manifest.Digest, "hit", false)
				w.wantAsked("hub", "GET app v1")
			})
		})
	}
}

// TestHangingUpstream: the first pull waits 2 s, the next not at all; the check
// goes on, and its late result is applied.
func TestHangingUpstream(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		v1 := up.image("app", "v1", 1, 1, 100).manifest
		w.wantTag("hub/app", "v1", v1.Digest, "miss", false)
		<-time.After(day)
		release := make(chan struct{})
		up.refusing(func(ctx context.Context, op, _, _ string) error { <-release; return nil })
		v2 := up.image("app", "v1", 2, 1, 100).manifest
		for i, most := range []time.Duration{2 * time.Second, 0, 0} {
			start := time.Now()
			w.wantTag("hub/app", "v1", v1.Digest, "stale", true)
			if took := time.Since(start); took > most {
				t.Errorf("pull %d took %s", i, took)
			}
		}
		close(release)
		synctest.Wait()
		w.wantTag("hub/app", "v1", v2.Digest, "hit", false)
	})
}

// TestPathMemory: after two failures in a row nothing is asked for held tags of
// the host but by one probe, ever more rarely; a miss always makes an attempt.
func TestPathMemory(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		var want []digest.Digest
		for i := range 5 {
			want = append(want, up.image("app", fmt.Sprint("t", i), uint64(i+1), 1, 100).manifest.Digest)
			w.wantTag("hub/app", fmt.Sprint("t", i), want[i], "miss", false)
		}
		<-time.After(day)
		up.asked()
		up.refusing(hangs)
		for i := range want {
			start := time.Now()
			w.wantTag("hub/app", fmt.Sprint("t", i), want[i], "stale", true)
			if took := time.Since(start); i < 2 && took != 2*time.Second || i >= 2 && took != 0 {
				t.Errorf("pull %d took %s", i, took)
			}
		}
		w.wantAsked("hub", "HEAD app t0", "HEAD app t1")
		<-time.After(25 * time.Second)
		up.refusing(answers(errs.UpstreamUnreachable, 0))
		<-time.After(30 * time.Second)
		up.asked()
		<-time.After(10 * time.Minute)
		if n := len(up.asked()); n < 9 || n > 11 {
			t.Errorf("%d probes in 10 minutes", n)
		}
		for range 3 {
			_, err := w.tag("hub/app", "new")
			if errs.CodeOf(err) != errs.UpstreamUnreachable {
				t.Errorf("miss: %v", err)
			}
		}
		w.wantAsked("hub", "GET app new") // one in a second
		<-time.After(time.Second)
		if _, err := w.tag("hub/app", "new"); errs.CodeOf(err) != errs.UpstreamUnreachable {
			t.Errorf("miss: %v", err)
		}
		w.wantAsked("hub", "GET app new")

		up.refusing(nil)
		<-time.After(time.Minute)
		w.wantTag("hub/app", "t4", want[4], "hit", false)
	})
}

// TestAnswerMemory: what an upstream says of one name closes nothing else.
func TestAnswerMemory(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		im := up.image("app", "v1", 1, 1, 100)
		up.refusing(func(_ context.Context, _, repo, _ string) error {
			if repo == "nosuch" {
				return errs.New(errs.UpstreamDenied, "401 for what is not there")
			}
			return nil
		})
		for range 10 {
			if _, err := w.tag("hub/nosuch", "v1"); errs.CodeOf(err) != errs.UpstreamDenied {
				t.Errorf("nosuch: %v", err)
			}
		}
		w.wantAsked("hub", "GET nosuch v1")
		w.wantTag("hub/app", "v1", im.manifest.Digest, "miss", false)
		// A tag that appears after a miss is seen within seconds.
		if _, err := w.tag("hub/app", "later"); errs.CodeOf(err) != errs.ManifestUnknown {
			t.Errorf("later: %v", err)
		}
		later := up.image("app", "later", 2, 1, 100)
		<-time.After(10 * time.Second)
		w.wantTag("hub/app", "later", later.manifest.Digest, "miss", false)
	})
}

// TestRotation: what was refused to one credential is asked again with the next, at
// once; what is not there is not.
func TestRotation(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		im := up.image("app", "v1", 1, 1, 100)
		up.rotate("wrong")
		up.refusing(func(context.Context, string, string, string) error {
			if up.credential() != "right" {
				return errs.New(errs.UpstreamDenied, "401")
			}
			return nil
		})
		for range 2 {
			if _, err := w.tag("hub/app", "v1"); errs.CodeOf(err) != errs.UpstreamDenied {
				t.Errorf("a wrong credential: %v", err)
			}
		}
		if _, err := w.pull("hub/app", im.config); errs.CodeOf(err) != errs.UpstreamDenied {
			t.Errorf("a blob with a wrong credential: %v", err)
		}
		up.asked()
		up.rotate("right")
		w.wantTag("hub/app", "v1", im.manifest.Digest, "miss", false)
		if _, err := w.pull("hub/app", im.config); err != nil {
			t.Errorf("a blob with the right credential: %v", err)
		}
		up.asked()
		for _, login := range []string{"right", "right again"} {
			up.rotate(login)
			up.refusing(nil)
			if _, err := w.tag("hub/app", "nosuch"); errs.CodeOf(err) != errs.ManifestUnknown {
				t.Errorf("nosuch: %v", err)
			}
		}
		w.wantAsked("hub", "GET app nosuch")
	})
}

// TestQuotaMemory: a 429 stops manifests until Retry-After, and neither checks by
// HEAD nor blobs.
func TestQuotaMemory(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		im := up.image("app", "v1", 1, 1, 100)
		w.wantTag("hub/app", "v1", im.manifest.Digest, "miss", false)
		<-time.After(day)
		up.asked()
		limited := answers(errs.UpstreamRateLimited, 10*time.Minute)
		up.refusing(func(ctx context.Context, op, repo, ref string) error {
			if op == "GET" {
				return limited(ctx, op, repo, ref)
			}
			return nil
		})
		for _, tag := range []string{"a", "b", "c"} {
			_, err := w.tag("hub/other", tag)
			if e := errs.As(err); e == nil || e.Code != errs.UpstreamRateLimited || e.RetryAfter <= 0 || e.RetryAfter > 10*time.Minute {
				t.Errorf("%s: %#v", tag, err)
			}
		}
		w.wantAsked("hub", "GET other a")
		w.wantTag("hub/app", "v1", im.manifest.Digest, "hit", false)
		w.whole("hub/app", im)
		w.wantAsked("hub", "BLOB app blob", "BLOB app blob", "HEAD app v1")
		<-time.After(10 * time.Minute)
		up.refusing(nil)
		w.ups["hub"].image("other", "a", 3, 1, 100)
		if _, err := w.tag("hub/other", "a"); err != nil {
			t.Error(err)
		}
		// No Retry-After is believed for longer than 15 minutes.
		up.refusing(answers(errs.UpstreamRateLimited, 100*time.Hour))
		if _, err := w.tag("hub/other", "b"); errs.CodeOf(err) != errs.UpstreamRateLimited {
			t.Error(err)
		}
		up.refusing(nil)
		w.ups["hub"].image("other", "b", 4, 1, 100)
		<-time.After(15 * time.Minute)
		if _, err := w.tag("hub/other", "b"); err != nil {
			t.Error(err)
		}
	})
}

// TestStampede: all who want one stale tag share one check.
func TestStampede(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		im := up.image("app", "v1", 1, 1, 100)
		pull := func() {
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					if a, err := w.tag("hub/app", "v1"); err != nil || a.Digest != im.manifest.Digest {
						t.Errorf("%v", err)
					}
				})
			}
			wg.Wait()
		}
		up.refusing(func(context.Context, string, string, string) error { <-time.After(time.Second); return nil })
		pull()
		w.wantAsked("hub", "GET app v1")
		<-time.After(day)
		pull()
		w.wantAsked("hub", "HEAD app v1")
	})
}

// TestClockJump: a clock set back makes every tag due, and so does one that jumps
// ahead; the checks are spread.
func TestClockJump(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		for i := range 200 {
			up.image("app", fmt.Sprint("t", i), uint64(i+1), 1, 10)
			if _, err := w.tag("hub/app", fmt.Sprint("t", i)); err != nil {
				t.Fatal(err)
			}
			if err := w.db.CheckTag(t.Context(), "hub/app", fmt.Sprint("t", i), time.Now().Add(365*day), false); err != nil {
				t.Fatal(err)
			}
		}
		up.asked()
		for i := range 200 {
			if _, err := w.tag("hub/app", fmt.Sprint("t", i)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := len(up.asked()); n < 30 || n > 60 {
			t.Errorf("%d checks at once", n)
		}
		<-time.After(20 * time.Second)
		for i := range 200 {
			w.wantTag("hub/app", fmt.Sprint("t", i), up.manifests[fmt.Sprint("app t", i)].Digest, "hit", false)
		}
	})
}

// TestTornMove: a tag that moves just before the upstream goes away serves the last
// whole image, and the new one by its digest honestly.
func TestTornMove(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart %t", restart), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				up := w.ups["hub"]
				v1 := up.image("app", "v1", 1, 2, chunk)
				w.wantTag("hub/app", "v1", v1.manifest.Digest, "miss", false)
				w.whole("hub/app", v1)
				<-time.After(day)
				v2 := up.image("app", "v1", 2, 2, chunk)
				w.wantTag("hub/app", "v1", v2.manifest.Digest, "miss", false)
				if _, err := w.pull("hub/app", v2.config); err != nil {
					t.Fatal(err)
				}
				up.refusing(answers(errs.UpstreamUnreachable, 0))
				<-time.After(time.Minute)
				if restart {
					w.restart()
				}
				w.wantTag("hub/app", "v1", v1.manifest.Digest, "stale", true)
				w.whole("hub/app", v1)
				if a, err := w.cache.Manifest(t.Context(), w.scope("hub/app"), oci.Reference{Digest: v2.manifest.Digest}); err != nil || a.Digest != v2.manifest.Digest {
					t.Errorf("the new image by digest: %v", err)
				}
				if _, err := w.pull("hub/app", v2.layers[0]); errs.CodeOf(err) != errs.UpstreamUnreachable {
					t.Errorf("a layer of it: %v", err)
				}
				up.refusing(nil)
				<-time.After(2 * time.Minute)
				w.wantTag("hub/app", "v1", v2.manifest.Digest, "hit", false)
				w.whole("hub/app", v2)
				<-time.After(time.Minute)
				up.asked()
				up.refusing(answers(errs.UpstreamUnreachable, 0))
				w.wantTag("hub/app", "v1", v2.manifest.Digest, "hit", false)
				w.wantAsked("hub")
			})
		})
	}
}

func TestCheckNow(t *testing.T) {
	fixed := hub("fixed")
	fixed.Fixed = []string{"v*"}
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		check := func(repo string) pullthrough.CheckResult {
			t.Helper()
			res, err := w.cache.CheckNow(t.Context(), w.scope(repo), "v1")
			if err != nil {
				t.Fatal(err)
			}
			return res
		}
		v1 := up.image("app", "v1", 1, 1, 100).manifest.Digest
		if res := check("hub/app"); res.Digest != v1 || !res.Moved || res.Was != "" {
			t.Errorf("not held: %+v", res)
		}
		if res := check("hub/app"); res.Digest != v1 || res.Moved {
			t.Errorf("unchanged: %+v", res)
		}
		if _, err := w.tag("fixed/app", "v1"); err != nil {
			t.Fatal(err)
		}
		v2 := up.image("app", "v1", 2, 1, 100).manifest.Digest
		if res := check("hub/app"); res.Digest != v2 || !res.Moved || res.Was != v1 {
			t.Errorf("moved: %+v", res)
		}
		w.wantTag("hub/app", "v1", v2, "hit", false)
		if res := check("fixed/app"); res.Digest != v2 || res.Moved || !res.Blocked {
			t.Errorf("fixed: %+v", res)
		}
		w.wantTag("fixed/app", "v1", v1, "hit", false)
	}, hub("hub"), fixed)
}

func TestByDigestFirst(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		im := up.image("app", "", 1, 1, 100)
		ref := oci.Reference{Digest: im.manifest.Digest}
		for i, src := range []pullthrough.Source{"miss", "hit"} {
			a, err := w.cache.Manifest(t.Context(), w.scope("hub/app"), ref)
			if err != nil || a.Source != src || a.Digest != im.manifest.Digest {
				t.Errorf("%d: %s, %v", i, a.Source, err)
			}
		}
		<-time.After(1000 * day)
		if _, err := w.cache.Manifest(t.Context(), w.scope("hub/app"), ref); err != nil {
			t.Error(err)
		}
		w.wantAsked("hub", "GET app "+string(im.manifest.Digest))
	})
}
