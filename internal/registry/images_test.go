package registry_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/pullthrough"
	"github.com/weir-registry/weir/internal/registry"
	"github.com/weir-registry/weir/internal/rule"
)

// slow is an upstream that takes its time for each manifest.
type slow struct {
	pullthrough.Upstream
	each time.Duration
}

func (s slow) Manifest(ctx context.Context, _ string, ref oci.Reference) (*oci.Manifest, error) {
	select {
	case <-time.After(s.each):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	raw := fmt.Appendf(nil, `{"schemaVersion":2,"manifests":[],"annotations":{"x":%q}}`, ref.Tag)
	return &oci.Manifest{Descriptor: oci.Descriptor{MediaType: oci.MediaTypeIndex, Digest: digest.FromBytes(raw), Size: int64(len(raw))}, Raw: raw}, nil
}

// TestFetchWithin: many images of a slow upstream are answered for in time, each by itself,
// and who asks again gets more.
func TestFetchWithin(t *testing.T) {
	for _, tt := range []struct {
		each        time.Duration
		first, then int // so many have come of 40, after a call and another
	}{
		{5 * time.Second, 32, 40}, {20 * time.Second, 8, 16}, {time.Hour, 0, 0},
	} {
		t.Run(tt.each.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db := newDB(t)
				rules, problems := rule.NewSet([]rule.Rule{{Prefix: "hub", Kind: rule.Generic, Upstream: "up.test", Window: rule.Never}})
				if problems != nil {
					t.Fatal(problems)
				}
				cache := pullthrough.New(pullthrough.Options{Index: db, Upstream: func(*rule.Rule) pullthrough.Upstream { return slow{each: tt.each} }})
				defer cache.Close()
				reg := registry.New(registry.Options{ID: "123456789012", Region: "local", Rules: rules, Cache: cache, DB: db})
				var ids []registry.ImageID
				for i := range 40 {
					ids = append(ids, meta.ImageID{Tag: fmt.Sprint("v", i)})
				}
				for _, want := range []int{tt.first, tt.then} {
					begun, came := time.Now(), 0
					images, err := reg.FetchImages(t.Context(), root, "hub/app", ids, 22*time.Second)
					if err != nil {
						t.Fatal(err)
					}
					for i, m := range images {
						switch {
						case m.ID != ids[i]:
							t.Errorf("%v in the place of %v", m.ID, ids[i])
						case m.Err == nil:
							came++
						case errs.CodeOf(m.Err) != errs.UpstreamTimeout:
							t.Errorf("%v: %v", m.ID, m.Err)
						}
					}
					if took := time.Since(begun); took > 22*time.Second || came != want {
						t.Errorf("%d came after %s, want %d", came, took, want)
					}
				}
			})
		})
	}
}
