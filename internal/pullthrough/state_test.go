package pullthrough_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/pullthrough"
)

// TestState follows what an operator sees of an upstream that goes away.
func TestState(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		state := func(what string, want pullthrough.State) {
			t.Helper()
			if diff := cmp.Diff(want, w.cache.State()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		state("new", pullthrough.State{})
		up := w.ups["hub"]
		im := up.image("app", "v1", 1, 1, 100)
		w.wantTag("hub/app", "v1", im.manifest.Digest, "miss", false)
		checked := time.Now()
		state("fetched", pullthrough.State{
			Upstreams: []pullthrough.UpstreamState{{Host: "up.test"}},
			Rules:     []pullthrough.RuleState{{Prefix: "hub", Checked: checked}},
		})
		<-time.After(day)
		up.refusing(answers(errs.UpstreamUnreachable, 0))
		for range 3 { // two failures open the path, the next pull starts the probe
			w.wantTag("hub/app", "v1", im.manifest.Digest, "stale", true)
		}
		state("away", pullthrough.State{
			Upstreams: []pullthrough.UpstreamState{{Host: "up.test", Away: true}},
			Rules:     []pullthrough.RuleState{{Prefix: "hub", Stale: 3, Checked: checked}},
		})
		up.refusing(nil)
		<-time.After(time.Minute) // a probe finds it again
		w.wantTag("hub/app", "v1", im.manifest.Digest, "hit", false)
		up.refusing(answers(errs.UpstreamRateLimited, time.Minute))
		<-time.After(day)
		w.wantTag("hub/app", "v1", im.manifest.Digest, "stale", true)
		if got := w.cache.State().Upstreams[0]; got.Away || !got.Limited {
			t.Errorf("after a 429: %+v", got)
		}
	})
}
