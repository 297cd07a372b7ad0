package pullthrough_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/pullthrough"
	"github.com/weir-registry/weir/internal/rule"
)

// referrer puts an artifact about subject upstream, in app, where its API lists it if
// there is one.
func (s *script) referrer(subject digest.Digest, artifactType string, n int) oci.Referrer {
	raw := fmt.Sprintf(`{"schemaVersion":2,"artifactType":%q,"layers":[],"annotations":{"n":"%d"},"subject":{"mediaType":%q,"digest":%q,"size":1}}`,
		artifactType, n, oci.MediaTypeManifest, subject)
	x, err := s.put("app", "", oci.MediaTypeManifest, []byte(raw)).Referrer()
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.referrers != nil {
		key := "app " + string(subject)
		s.referrers[key] = append(s.referrers[key], x)
	}
	return x
}

// fallback puts referrers under the fallback tag of subject.
func (s *script) fallback(subject digest.Digest, list ...oci.Referrer) {
	raw, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeIndex, "manifests": list})
	if err != nil {
		panic(err)
	}
	s.put("app", oci.FallbackTag(subject), oci.MediaTypeIndex, raw)
}

// api gives the upstream a referrers API.
func (s *script) api() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.referrers = map[string][]oci.Referrer{}
}

func (w *world) referrers(s pullthrough.Scope, q pullthrough.ReferrerQuery) (pullthrough.ReferrerList, error) {
	if q.Limit == 0 {
		q.Limit = 1000
	}
	return w.cache.Referrers(w.t.Context(), s, q)
}

func (w *world) wantReferrers(subject digest.Digest, src pullthrough.Source, warned bool, want ...oci.Referrer) {
	w.t.Helper()
	l, err := w.referrers(w.scope("hub/app"), pullthrough.ReferrerQuery{Subject: subject})
	if err != nil {
		w.t.Errorf("referrers: %v", err)
		return
	}
	slices.SortFunc(want, func(a, b oci.Referrer) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
	if diff := cmp.Diff(want, l.Referrers); diff != "" {
		w.t.Errorf("referrers (-want +got):\n%s", diff)
	}
	if l.Source != src || (l.Warning != "") != warned {
		w.t.Errorf("source %s, warning %q, want %s, warned %t", l.Source, l.Warning, src, warned)
	}
}

// subject pulls an image whose referrers a test is about.
func (w *world) subject() digest.Digest {
	w.t.Helper()
	d := w.ups["hub"].image("app", "v1", 1, 1, 100).manifest.Digest
	if _, err := w.tag("hub/app", "v1"); err != nil {
		w.t.Fatal(err)
	}
	w.ups["hub"].asked()
	return d
}

// TestReferrersWindow: asked once in the window, by the API, or by the fallback tag
// where there is none, and kept over a restart.
func TestReferrersWindow(t *testing.T) {
	for _, api := range []bool{true, false} {
		t.Run(fmt.Sprintf("API %t", api), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				up := w.ups["hub"]
				d := w.subject()
				asked := []string{"REFERRERS app " + string(d)}
				if api {
					up.api()
				} else {
					asked = append([]string{"GET app " + oci.FallbackTag(d)}, asked...)
				}
				sbom, sig := up.referrer(d, "application/sbom", 1), up.referrer(d, "application/sig", 2)
				if !api {
					up.fallback(d, sbom, sig)
				}
				w.wantReferrers(d, "miss", false, sbom, sig)
				w.wantAsked("hub", asked...)
				w.restart()
				<-time.After(day - 1)
				w.wantReferrers(d, "hit", false, sbom, sig)
				w.wantAsked("hub")
				<-time.After(1)
				third := up.referrer(d, "application/sig", 3)
				if !api {
					up.fallback(d, sbom, sig, third)
				}
				w.wantReferrers(d, "miss", false, sbom, sig, third)
				w.wantReferrers(d, "hit", false, sbom, sig, third)
				w.wantAsked("hub", asked...)

				// They themselves come by digest, as anything does, and are there offline.
				for _, x := range []oci.Referrer{sbom, sig} {
					if m, err := w.cache.Manifest(t.Context(), w.scope("hub/app"), oci.Reference{Digest: x.Digest}); err != nil || m.Source != "miss" {
						t.Errorf("%+v, %v", m, err)
					}
				}
				up.refusing(answers(errs.UpstreamUnreachable, 0))
				<-time.After(2 * day)
				w.restart()
				w.wantReferrers(d, "stale", true, sbom, sig, third)
				if m, err := w.cache.Manifest(t.Context(), w.scope("hub/app"), oci.Reference{Digest: sig.Digest}); err != nil || m.Source != "hit" {
					t.Errorf("%+v, %v", m, err)
				}
			})
		})
	}
}

// TestReferrersOutcomes has what a failing check of known referrers does: the list
// stays, and is checked again when it makes sense.
func TestReferrersOutcomes(t *testing.T) {
	for _, tt := range []struct {
		code  errs.Code
		after time.Duration // when the next check is made
	}{
		{errs.UpstreamDenied, 5 * time.Minute},
		{errs.UpstreamRateLimited, time.Minute},
		{errs.UpstreamFailed, 5 * time.Second},
		{errs.LimitExceeded, 0},
	} {
		t.Run(tt.code.String(), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				up := w.ups["hub"]
				up.api()
				d := w.subject()
				x := up.referrer(d, "application/sbom", 1)
				w.wantReferrers(d, "miss", false, x)
				<-time.After(day)
				up.refusing(answers(tt.code, 0))
				w.wantReferrers(d, "stale", true, x)
				up.asked()
				up.refusing(nil)
				if tt.after > 0 {
					<-time.After(tt.after - time.Second)
					l, err := w.referrers(w.scope("hub/app"), pullthrough.ReferrerQuery{Subject: d})
					if err != nil || len(l.Referrers) != 1 {
						t.Errorf("%+v, %v", l, err)
					}
					w.wantAsked("hub")
					<-time.After(time.Second)
				}
				w.wantReferrers(d, "miss", false, x)
				w.wantAsked("hub", "REFERRERS app "+string(d))
			})
		})
	}
}

// TestReferrersSlow: what is known is listed after two seconds, and the check goes on.
func TestReferrersSlow(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		up.api()
		d := w.subject()
		x := up.referrer(d, "application/sbom", 1)
		w.wantReferrers(d, "miss", false, x)
		<-time.After(day)
		y := up.referrer(d, "application/sig", 2)
		up.refusing(func(context.Context, string, string, string) error { <-time.After(5 * time.Second); return nil })
		start := time.Now()
		w.wantReferrers(d, "stale", true, x)
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("waited %s", took)
		}
		<-time.After(4 * time.Second)
		w.wantReferrers(d, "hit", false, x, y)
	})
}

// TestReferrersAway: of a held image that nobody asked about, what is held is listed
// while the upstream is away; of what is not held, the failure keeps its class.
func TestReferrersAway(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		up.api()
		d := w.subject()
		x := up.referrer(d, "application/sbom", 1)
		up.refusing(answers(errs.UpstreamUnreachable, 0))
		w.wantReferrers(d, "stale", true)
		if _, err := w.referrers(w.scope("hub/app"), pullthrough.ReferrerQuery{Subject: digest.FromString("x")}); errs.CodeOf(err) != errs.UpstreamUnreachable {
			t.Errorf("of what is not held: %v", err)
		}
		up.refusing(nil)
		if _, err := w.cache.Manifest(t.Context(), w.scope("hub/app"), oci.Reference{Digest: x.Digest}); errs.CodeOf(err) == errs.ManifestUnknown {
			t.Fatal(err)
		}
		<-time.After(2 * time.Minute)
		if _, err := w.cache.Manifest(t.Context(), w.scope("hub/app"), oci.Reference{Digest: x.Digest}); err != nil {
			t.Fatal(err)
		}
		w.restart()
		up.refusing(answers(errs.UpstreamTimeout, 0))
		<-time.After(2 * day)
		w.wantReferrers(d, "stale", true, x)
	})
}

// TestReferrersOfNothing: no answer is 404, and asking for what nobody has leaves no row.
func TestReferrersOfNothing(t *testing.T) {
	for _, api := range []bool{true, false} {
		inWorld(t, func(t *testing.T, w *world) {
			up := w.ups["hub"]
			d := digest.FromString("x")
			asked := []string{"REFERRERS app " + string(d)}
			if api {
				up.api()
			} else {
				asked = append([]string{"GET app " + oci.FallbackTag(d)}, asked...)
			}
			w.wantReferrers(d, "miss", false)
			w.wantAsked("hub", asked...)
			<-time.After(time.Minute - 1)
			w.wantReferrers(d, "hit", false)
			w.wantAsked("hub")
			<-time.After(1)
			w.wantReferrers(d, "miss", false)
			w.wantAsked("hub", asked...)
			if kept, err := w.db.Referrers(t.Context(), "hub/app", d); err != nil || !kept.Checked.IsZero() {
				t.Errorf("%+v, %v", kept, err)
			}
			if repos, err := w.db.Repositories(t.Context(), "", 10); err != nil || len(repos) > 0 {
				t.Errorf("repositories %v, %v", repos, err)
			}
			held := w.subject()
			w.wantReferrers(held, "miss", false)
			if kept, err := w.db.Referrers(t.Context(), "hub/app", held); err != nil || kept.Checked.IsZero() {
				t.Errorf("%+v, %v", kept, err)
			}
		})
	}
}

// TestReferrersDenied: an API that refuses is one that is not there, unless the
// fallback tag is refused, too.
func TestReferrersDenied(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		d := digest.FromString("x")
		x := up.referrer(d, "application/sbom", 1)
		up.fallback(d, x)
		up.refusing(func(_ context.Context, op, _, _ string) error {
			if op == "REFERRERS" {
				return errs.New(errs.UpstreamDenied, "no")
			}
			return nil
		})
		w.wantReferrers(d, "miss", false, x)
		up.refusing(answers(errs.UpstreamDenied, 0))
		for range 2 {
			if _, err := w.referrers(w.scope("hub/app"), pullthrough.ReferrerQuery{Subject: digest.FromString("y")}); errs.CodeOf(err) != errs.UpstreamDenied {
				t.Errorf("%v", err)
			}
		}
		y := digest.FromString("y")
		w.wantAsked("hub", "GET app "+oci.FallbackTag(d), "GET app "+oci.FallbackTag(y), "REFERRERS app "+string(d), "REFERRERS app "+string(y))
	})
}

// TestReferrersQuota: a used-up quota of manifests stops the fallback tag, and is not
// asked about again and again.
func TestReferrersQuota(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		d := w.subject()
		up.refusing(func(_ context.Context, op, _, _ string) error {
			if op == "GET" {
				return &errs.Error{Code: errs.UpstreamRateLimited, Msg: "slow down", RetryAfter: time.Hour}
			}
			return nil
		})
		for range 5 {
			w.wantReferrers(d, "stale", true)
		}
		w.wantAsked("hub", "GET app "+oci.FallbackTag(d), "REFERRERS app "+string(d), "REFERRERS app "+string(d))
	})
}

// TestReferrersPages: of upstream's and held ones together, filtered or not, nothing is
// listed twice or left out.
func TestReferrersPages(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		up.api()
		d := w.subject()
		var want []digest.Digest
		var theirs []oci.Referrer
		for i := range 230 {
			x := up.referrer(d, []string{"application/sbom", "application/sig"}[i%2], i)
			m := up.manifests["app "+string(x.Digest)]
			e, err := m.Edges()
			if err == nil && i%3 > 0 {
				_, err = w.db.PutManifest(t.Context(), "hub/app", m, e, "", time.Now())
			}
			if err != nil {
				t.Fatal(err)
			}
			if i%3 == 0 || i%5 == 0 {
				theirs, want = append(theirs, x), append(want, x.Digest)
			}
		}
		up.referrers["app "+string(d)] = theirs
		held, err := w.db.Referring(t.Context(), "hub/app", d, "", 1000)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, held...)
		slices.Sort(want)
		want = slices.Compact(want)
		for _, limit := range []int{1, 7, 100, 101, 1000} {
			for _, types := range [][]string{nil, {"application/sig"}, {"application/sig", "application/sbom"}, {"none"}} {
				var got []digest.Digest
				q := pullthrough.ReferrerQuery{Subject: d, Types: types, Limit: limit}
				for more := true; more; {
					l, err := w.referrers(w.scope("hub/app"), q)
					if err != nil {
						t.Fatal(err)
					}
					for _, x := range l.Referrers {
						got = append(got, x.Digest)
						if len(types) > 0 && !slices.Contains(types, x.ArtifactType) {
							t.Errorf("%s is listed", x.ArtifactType)
						}
						q.After = x.Digest
					}
					if more = l.More; more && len(l.Referrers) != limit {
						t.Fatalf("a page of %d where %d were asked for", len(l.Referrers), limit)
					}
				}
				if len(types) == 1 {
					if len(got) >= len(want) || types[0] == "none" && len(got) > 0 || !slices.IsSorted(got) {
						t.Errorf("%v in pages of %d: %d of %d", types, limit, len(got), len(want))
					}
				} else if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%v in pages of %d (-want +got):\n%s", types, limit, diff)
				}
			}
		}
	})
}

// TestReferrersBytes: a page with long annotations ends early, and is never empty.
func TestReferrersBytes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		up.api()
		d := w.subject()
		var list []oci.Referrer
		for i := range 20 {
			list = append(list, oci.Referrer{MediaType: oci.MediaTypeManifest, Digest: digest.FromString(fmt.Sprint(i)), Size: 1, Annotations: map[string]string{"x": strings.Repeat("y", 150_000)}})
		}
		up.mu.Lock()
		up.referrers["app "+string(d)] = list
		up.mu.Unlock()
		pages, seen := 0, 0
		q := pullthrough.ReferrerQuery{Subject: d}
		for more := true; more; pages++ {
			l, err := w.referrers(w.scope("hub/app"), q)
			if err != nil {
				t.Fatal(err)
			}
			if more = l.More; more {
				q.After = l.Referrers[len(l.Referrers)-1].Digest
			}
			seen += len(l.Referrers)
			if raw, err := json.Marshal(l.Referrers); err != nil || len(raw) > 3<<20/2 {
				t.Errorf("a page of %d bytes", len(raw))
			}
		}
		if seen != 20 || pages != 4 {
			t.Errorf("%d in %d pages", seen, pages)
		}
	})
}

// TestHeldReferrers: without an upstream, what is listed is what has the subject, and
// what a pushed fallback tag lists, as far as it is held and about nothing else.
func TestHeldReferrers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d, other := digest.FromString("subject"), digest.FromString("other")
		put := func(tag, mediaType, raw string) oci.Referrer {
			m := &oci.Manifest{Descriptor: oci.Descriptor{MediaType: mediaType, Digest: digest.FromString(raw), Size: int64(len(raw))}, Raw: []byte(raw)}
			e, err := m.Edges()
			if err == nil {
				_, err = w.db.PutManifest(t.Context(), "own/app", m, e, tag, time.Now())
			}
			if err != nil {
				t.Fatal(err)
			}
			x, err := m.Referrer()
			if err != nil {
				t.Fatal(err)
			}
			return x
		}
		about := func(d digest.Digest, n int) string {
			return fmt.Sprintf(`{"artifactType":"application/sbom","layers":[],"n":%d,"subject":{"mediaType":"application/json","digest":%q,"size":1}}`, n, d)
		}
		s := pullthrough.Scope{Rule: &rule.Rule{Window: rule.Never}, Repository: "own/app", NoUpstream: errs.New(errs.ManifestUnknown, "none")}
		plain := put("", oci.MediaTypeManifest, `{"artifactType":"application/sig","layers":[]}`)
		sbom := put("", oci.MediaTypeManifest, about(d, 1))
		stranger := put("", oci.MediaTypeManifest, about(other, 2))
		missing := oci.Referrer{MediaType: oci.MediaTypeManifest, Digest: digest.FromString("missing"), Size: 1}
		lie := plain
		lie.ArtifactType, lie.Size = "application/lie", 1
		raw, err := json.Marshal(map[string]any{"mediaType": oci.MediaTypeIndex, "manifests": []oci.Referrer{lie, sbom, stranger, missing}})
		if err != nil {
			t.Fatal(err)
		}
		want := []oci.Referrer{sbom}
		for range 2 {
			l, err := w.referrers(s, pullthrough.ReferrerQuery{Subject: d})
			slices.SortFunc(want, func(a, b oci.Referrer) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
			if diff := cmp.Diff(want, l.Referrers); err != nil || diff != "" || l.Source != "hit" || l.Warning != "" || l.Age != -1 {
				t.Errorf("%+v, %v (-want +got):\n%s", l, err, diff)
			}
			put(oci.FallbackTag(d), oci.MediaTypeIndex, string(raw))
			want = []oci.Referrer{sbom, plain}
		}
		// A fallback tag that is something else lists nothing.
		put(oci.FallbackTag(other), oci.MediaTypeManifest, `{"layers":[],"x":1}`)
		l, err := w.referrers(s, pullthrough.ReferrerQuery{Subject: other})
		if diff := cmp.Diff([]oci.Referrer{stranger}, l.Referrers); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	})
}

// TestReferrersHeldOnly: who may not have the upstream asked gets what is known.
func TestReferrersHeldOnly(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		up.api()
		d := w.subject()
		x := up.referrer(d, "application/sbom", 1)
		s := w.scope("hub/app")
		s.NoUpstream = errs.New(errs.Denied, "ann may not")
		l, err := w.referrers(s, pullthrough.ReferrerQuery{Subject: d})
		if err != nil || len(l.Referrers) != 0 || !strings.Contains(l.Warning, "ann may not") {
			t.Errorf("%+v, %v", l, err)
		}
		w.wantAsked("hub")
		w.wantReferrers(d, "miss", false, x)
		if l, err = w.referrers(s, pullthrough.ReferrerQuery{Subject: d}); err != nil || len(l.Referrers) != 1 {
			t.Errorf("%+v, %v", l, err)
		}
	})
}

// TestListingGivesNoAccess: an upstream that mallory controls lists somebody's private
// things as referrers, by its API and by the fallback tag. Listing is not having.
func TestListingGivesNoAccess(t *testing.T) {
	corp, evil := hub("hub"), hub("evil")
	corp.Credential, evil.Upstream = "corp", "evil.test"
	for _, api := range []bool{true, false} {
		inWorld(t, func(t *testing.T, w *world) {
			im := w.ups["hub"].image("secret", "v1", 1, 1, 2*chunk)
			w.wantTag("hub/secret", "v1", im.manifest.Digest, "miss", false)
			w.whole("hub/secret", im)
			bad := w.ups["evil"]
			subject := bad.image("app", "v1", 7, 1, 10).manifest.Digest
			var list []oci.Referrer
			for _, d := range []digest.Digest{im.manifest.Digest, im.config, im.layers[0]} {
				list = append(list, oci.Referrer{MediaType: oci.MediaTypeManifest, Digest: d, Size: 1})
			}
			if api {
				bad.api()
				bad.referrers["app "+string(subject)] = list
			} else {
				bad.fallback(subject, list...)
			}
			l, err := w.referrers(w.scope("evil/app"), pullthrough.ReferrerQuery{Subject: subject})
			if err != nil || len(l.Referrers) != 3 {
				t.Fatalf("%+v, %v", l, err)
			}
			for _, x := range l.Referrers {
				if _, err := w.cache.Manifest(t.Context(), w.scope("evil/app"), oci.Reference{Digest: x.Digest}); errs.CodeOf(err) != errs.ManifestUnknown {
					t.Errorf("manifest %s: %v", x.Digest, err)
				}
				if got, err := w.pull("evil/app", x.Digest); errs.CodeOf(err) != errs.BlobUnknown || len(got) > 0 {
					t.Errorf("blob %s: %d bytes, %v", x.Digest, len(got), err)
				}
			}
		}, corp, evil)
	}
}
