package registry_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/registry"
	"github.com/weir-registry/weir/internal/rule"
)

// TestArrivingTags: however many look, and how often, the database is asked once in a while.
func TestArrivingTags(t *testing.T) {
	ctx := t.Context()
	db, err := meta.Open(ctx, meta.Options{Path: filepath.Join(t.TempDir(), "weir.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	layer := oci.Edge{Kind: oci.EdgeLayer, Descriptor: oci.Descriptor{Digest: digest.FromString("layer")}}
	for _, repo := range []string{"hub/a", "hub/b"} {
		raw := "image of " + repo
		m := &oci.Manifest{Raw: []byte(raw), Descriptor: oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: digest.FromString(raw), Size: int64(len(raw))}}
		if _, err := db.PutManifest(ctx, repo, m, oci.Edges{List: []oci.Edge{layer}}, "of-"+repo[4:], time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	reg := registry.New(registry.Options{ID: "123456789012", Region: "local", Rules: new(rule.Set), DB: db})
	look := func() {
		t.Helper()
		for repo, want := range map[string][]string{"hub/a": {"of-a"}, "hub/b": {"of-b"}} {
			tags, err := registry.ArrivingTags(ctx, reg, repo, layer.Digest)
			if diff := cmp.Diff(want, tags); diff != "" || err != nil {
				t.Errorf("%s: %s %v", repo, diff, err)
			}
		}
	}
	look()
	before := db.Queries()
	for range 100 {
		look()
	}
	if n := db.Queries() - before; n != 0 {
		t.Errorf("%d statements for what was just looked up", n)
	}
}
