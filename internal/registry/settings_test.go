package registry_test

import (
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/pullthrough"
	"github.com/weir-registry/weir/internal/registry"
	"github.com/weir-registry/weir/internal/rule"
)

// TestNoMounts: where mounts are turned off, a client has to send the bytes.
func TestNoMounts(t *testing.T) {
	w := newWorld(t, onDisk(t))
	d := w.blob("team/base", "layer")
	w.SetSettings(&rule.Settings{NoMounts: true})
	for _, from := range []string{"team/base", ""} {
		if got, err := w.Mount(t.Context(), root, "team/app", from, d); err != nil || got {
			t.Errorf("from %q: %v, %v", from, got, err)
		}
	}
	if _, err := w.Mount(t.Context(), iam.Caller{Name: "p", KeyID: "AKIA"}, "team/app", "team/base", d); err == nil {
		t.Error("a caller without rights is told")
	}
	w.SetSettings(&rule.Settings{})
	if got, err := w.Mount(t.Context(), root, "team/app", "team/base", d); err != nil || !got {
		t.Errorf("turned on again: %v, %v", got, err)
	}
}

// TestUnnotedPulls: pulls by an excluded principal change no pull time, those by others do.
func TestUnnotedPulls(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "weir.db")
	index := []byte(`{"schemaVersion":2,"manifests":[]}`)
	d := digest.FromBytes(index)
	puller := func(name string) iam.Caller {
		return iam.Caller{Name: name, KeyID: "AKIA", Account: "123456789012", Policies: []iam.Policy{iam.PullPolicy("*")}}
	}
	for _, tt := range []struct {
		name   string
		caller iam.Caller
		noted  bool
	}{
		{"an excluded one", puller("scanner"), false},
		{"one whose name begins like it", puller("scanner2"), true},
	} {
		db, err := meta.Open(ctx, meta.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		rules, _ := rule.NewSet(nil)
		cache := pullthrough.New(pullthrough.Options{Index: db})
		reg := registry.New(registry.Options{ID: "123456789012", Region: "local", Rules: rules, Cache: cache, DB: db})
		reg.SetSettings(&rule.Settings{Unnoted: []string{"arn:aws:iam::123456789012:user/scanner"}})
		reg.SetTemplates(rule.NewTemplates([]rule.Template{{Prefix: rule.Root, AppliedFor: []string{rule.ForCreateOnPush}}}))
		push := registry.ManifestPush{Reference: oci.Reference{Tag: "v1"}, ContentType: oci.MediaTypeIndex, Raw: index}
		if _, err := reg.PutManifest(ctx, root, "team/app", push); err != nil {
			t.Fatal(err)
		}
		for _, ref := range []oci.Reference{{Tag: "v1"}, {Digest: d}} {
			if _, err := reg.Manifest(ctx, tt.caller, "team/app", ref, true); err != nil {
				t.Fatal(err)
			}
		}
		cache.Close()
		if err := db.Close(); err != nil { // which writes the pull times
			t.Fatal(err)
		}
		if db, err = meta.Open(ctx, meta.Options{Path: path}); err != nil {
			t.Fatal(err)
		}
		image, err := db.Image(ctx, "team/app", d)
		if err != nil {
			t.Fatal(err)
		}
		tag, err := db.Tag(ctx, "team/app", "v1")
		if err != nil {
			t.Fatal(err)
		}
		// A push counts as the first pull of an image, and as none of its tag.
		if image.Pulled.After(image.Stored) != tt.noted || tag.Pulled.IsZero() == tt.noted {
			t.Errorf("%s: image pulled at %v, tag at %v", tt.name, image.Pulled, tag.Pulled)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
