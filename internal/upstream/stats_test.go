package upstream_test

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/rule"
	"github.com/weir-registry/weir/internal/upstream"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
)

// TestStats pulls an image and has some requests fail: each is counted once, under
// what it was for and what came of it.
func TestStats(t *testing.T) {
	in(t, upstreamtest.Options{Auth: upstreamtest.Token, Users: map[string]string{user: secret}}, func(t *testing.T, w *world) {
		w.connect(t, upstream.Host{Realms: []string{w.site.Realm}}, credential)
		want := []upstream.Stats{{Host: "registry.test", Remaining: -1, Limit: -1}}
		if diff := cmp.Diff(want, w.client.Stats()); diff != "" {
			t.Errorf("before the first request (-want +got):\n%s", diff)
		}
		w.reg.Script(upstreamtest.Fault{Path: "/manifests/v1", Skip: 1, Header: http.Header{"Ratelimit-Limit": {"100;w=21600"}, "Ratelimit-Remaining": {" 76;w=21600"}}, Times: 1})
		w.pull(t)
		if got, want := w.up.Quota(), (rule.Quota{Told: time.Now(), Remaining: 76, Limit: 100, Window: 6 * time.Hour}); got.Told.After(want.Told) || got.Told.IsZero() {
			t.Errorf("told at %s", got.Told)
		} else if got.Told = want.Told; got != want {
			t.Errorf("%+v", got)
		}
		w.reg.Script(upstreamtest.Fault{Path: "/manifests/", Status: 429, Header: http.Header{"Ratelimit-Remaining": {"0;w=21600"}}, Times: 1})
		w.up.Manifest(t.Context(), "app", tag)
		if got := w.up.Quota(); got.Remaining != 0 || got.Limit != 100 {
			t.Errorf("after a 429: %+v", got)
		}
		if got := w.client.Registry("registry.test", rule.Generic, nil).Quota(); got != (rule.Quota{}) {
			t.Errorf("another account has the quota %+v", got)
		}
		w.reg.Script(upstreamtest.Fault{Method: "HEAD", Status: 503, Times: 1})
		w.up.Head(t.Context(), "app", tag)
		d, _ := w.layer(0)
		w.reg.Script(upstreamtest.Fault{Path: "/blobs/", Status: 404, Times: 1})
		if _, _, _, err := w.read(t.Context(), d, 0, -1); err == nil {
			t.Error("the blob was there")
		}
		got := w.client.Stats()[0]
		if got.Bytes < 103_000 || got.Remaining != 0 || got.Limit != 100 {
			t.Errorf("%d bytes, %d of %d left", got.Bytes, got.Remaining, got.Limit)
		}
		counts := []upstream.Count{
			{"manifest", "ok", 2}, {"manifest", "denied", 1}, {"manifest", "rate_limited", 1},
			{"head", "server_error", 1},
			{"blob", "ok", 3}, {"blob", "not_found", 1},
			{"token", "ok", 1},
		}
		if diff := cmp.Diff(counts, got.Counts); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestStatsNoAnswer(t *testing.T) {
	in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
		up := w.connect(t, upstream.Host{}, nil)
		w.Down(syscall.ECONNREFUSED)
		if _, err := up.Manifest(t.Context(), "app", tag); err == nil {
			t.Fatal("the upstream is gone and answers")
		}
		counts := []upstream.Count{{"manifest", "no_answer", 1}}
		if diff := cmp.Diff(counts, w.client.Stats()[0].Counts); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
