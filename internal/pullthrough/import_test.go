package pullthrough_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/pullthrough"
)

func (w *world) imported(i pullthrough.Import) {
	w.mu.Lock()
	defer w.mu.Unlock()
	what := string(i.Digest)
	if i.Err != nil {
		what = errs.CodeOf(i.Err).String()
	}
	w.told = append(w.told, i.Rule.Prefix+" "+i.Repository+" "+i.Reference.String()+" "+what)
}

// wantTold compares what Imported was told since the last call.
func (w *world) wantTold(what string, want ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if diff := cmp.Diff(want, w.told); diff != "" {
		w.t.Errorf("%s: told (-want +got):\n%s", what, diff)
	}
	w.told = nil
}

// TestImported: what comes from the upstream is told once, and what fails there; nothing
// that the upstream was not asked for, or that is as it was.
func TestImported(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		v1 := up.image("app", "v1", 1, 1, 100).manifest
		var clients sync.WaitGroup
		for range 5 {
			clients.Go(func() {
				if _, err := w.tag("hub/app", "v1"); err != nil {
					t.Error(err)
				}
			})
		}
		clients.Wait()
		w.wantTold("a cold tag, for many", "hub hub/app v1 "+string(v1.Digest))
		<-time.After(day)
		w.wantTag("hub/app", "v1", v1.Digest, "hit", false)
		w.wantTold("a check of what is as it was")

		v2 := up.image("app", "v1", 2, 1, 100).manifest
		<-time.After(day)
		w.wantTag("hub/app", "v1", v2.Digest, "miss", false)
		w.wantTold("a move", "hub hub/app v1 "+string(v2.Digest))
		byDigest := func(d digest.Digest) error {
			_, err := w.cache.Manifest(t.Context(), w.scope("hub/app"), oci.Reference{Digest: d})
			return err
		}
		v3 := up.image("app", "", 3, 1, 100).manifest
		if err := errors.Join(byDigest(v1.Digest), byDigest(v3.Digest), byDigest(v3.Digest)); err != nil {
			t.Fatal(err)
		}
		w.wantTold("digests", "hub hub/app "+string(v3.Digest)+" "+string(v3.Digest))
		if _, err := w.tag("hub/app", "none"); err == nil {
			t.Error("a tag that is not there was found")
		}
		if _, err := w.tag("hub/app", "none"); err == nil {
			t.Error("a tag that is not there was found")
		}
		w.wantTold("a tag that is not there, and is remembered", "hub hub/app none ManifestUnknown")

		for _, tt := range []struct {
			code errs.Code
			want []string
		}{
			{errs.UpstreamFailed, []string{"hub hub/app v1 UpstreamFailed"}},
			{errs.UpstreamDenied, []string{"hub hub/app v1 UpstreamDenied"}}, // of the GET after the HEAD
			{errs.ManifestUnknown, []string{"hub hub/app v1 ManifestUnknown"}},
		} {
			<-time.After(day)
			up.refusing(answers(tt.code, 0))
			w.wantTag("hub/app", "v1", v2.Digest, "stale", true)
			if _, err := w.tag("hub/app", "v1"); err != nil { // asks nobody
				t.Error(err)
			}
			w.wantTold("a check that fails: "+tt.code.String(), tt.want...)
			up.refusing(nil)
		}
	})
}
