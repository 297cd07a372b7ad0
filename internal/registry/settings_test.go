package registry_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
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

// TestOldScope: with V1 the registry's policy decides on no pull, and still on what it
// decided on before it could decide on everything.
func TestOldScope(t *testing.T) {
	w := newWorld(t, onDisk(t))
	ctx := t.Context()
	ann := iam.Caller{Name: "ann", KeyID: "AKIA", Account: "123456789012"}
	const policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:user/ann"},
		"Action":["ecr:BatchGetImage","ecr:CreateRepository"],"Resource":"*"}]}`
	if err := w.PutRegistryPolicy(ctx, root, policy); err != nil {
		t.Fatal(err)
	}
	for i, tt := range []struct {
		scope string
		pull  errs.Code
	}{{"V2", errs.ManifestUnknown}, {"V1", errs.Denied}, {"V2 again", errs.ManifestUnknown}} {
		w.SetSettings(&rule.Settings{OldScope: tt.scope == "V1"})
		if _, err := w.Manifest(ctx, ann, "team/app", oci.Reference{Tag: "none"}, true); errs.CodeOf(err) != tt.pull {
			t.Errorf("%s: a pull: %v", tt.scope, err)
		}
		if _, err := w.CreateRepository(ctx, ann, registry.NewRepository{Name: fmt.Sprintf("new/r%d", i)}); err != nil {
			t.Errorf("%s: a new repository: %v", tt.scope, err)
		}
	}
}

// TestChanges: what callers do to images is told, and what they fail to do is not.
func TestChanges(t *testing.T) {
	ctx := t.Context()
	var told []registry.ImageChange
	rules, _ := rule.NewSet(nil)
	db := newDB(t)
	cache := pullthrough.New(pullthrough.Options{Index: db})
	t.Cleanup(cache.Close)
	reg := registry.New(registry.Options{
		ID: "123456789012", Region: "local", Rules: rules, Cache: cache, DB: db,
		Changed: func(c registry.ImageChange) { told = append(told, c) },
	})
	if _, err := reg.CreateRepository(ctx, root, registry.NewRepository{Name: "team/app", Mutability: rule.Immutable}); err != nil {
		t.Fatal(err)
	}
	raw := []byte(`{"schemaVersion":2,"manifests":[]}`)
	other := []byte(`{"schemaVersion":2, "manifests":[],"artifactType":"a/b","subject":{"mediaType":"x/y","digest":"` + string(digest.FromBytes(raw)) + `","size":1}}`)
	d, o := digest.FromBytes(raw), digest.FromBytes(other)
	push := func(raw []byte, ref oci.Reference, more ...string) error {
		_, err := reg.PutManifest(ctx, root, "team/app", registry.ManifestPush{Reference: ref, Tags: more, ContentType: oci.MediaTypeIndex, Raw: raw})
		return err
	}
	one := registry.ImageChange{Repository: "team/app", Digest: d}
	with := func(action, tag string) registry.ImageChange {
		c := one
		c.Action, c.Tag = action, tag
		if action != registry.Deleting {
			c.MediaType = oci.MediaTypeIndex
		}
		return c
	}
	moved := with(registry.Moving, "v1")
	moved.StorageClass = "ARCHIVE"
	back := with(registry.Moving, "")
	back.StorageClass = "STANDARD"
	about := registry.ImageChange{Repository: "team/app", Digest: o, MediaType: oci.MediaTypeIndex, ArtifactType: "a/b"}
	aboutPushed, aboutMoved := about, about
	aboutPushed.Action, aboutPushed.Referrer = registry.Pushing, true
	aboutMoved.Action, aboutMoved.StorageClass = registry.Moving, "ARCHIVE"
	for _, tt := range []struct {
		name string
		do   func() error
		fail bool
		want []registry.ImageChange
	}{
		{"push", func() error { return push(raw, oci.Reference{Tag: "v1"}, "v2") }, false, []registry.ImageChange{with(registry.Pushing, "v1"), with(registry.Pushing, "v2")}},
		{"push of a tag that is immutable", func() error { return push(other, oci.Reference{Tag: "v1"}) }, true, nil},
		{"push of a referrer", func() error { return push(other, oci.Reference{Digest: o}) }, false, []registry.ImageChange{aboutPushed}},
		{"archive of the referrer", func() error {
			m, err := reg.SetArchived(ctx, root, "team/app", registry.ImageID{Digest: o}, true)
			if m.ArtifactType != "a/b" {
				t.Errorf("it is described as %q", m.ArtifactType)
			}
			return err
		}, false, []registry.ImageChange{aboutMoved}},
		{"archive", func() error {
			_, err := reg.SetArchived(ctx, root, "team/app", registry.ImageID{Tag: "v1"}, true)
			return err
		}, false, []registry.ImageChange{moved}},
		{"restore", func() error {
			_, err := reg.SetArchived(ctx, root, "team/app", registry.ImageID{Digest: d}, false)
			return err
		}, false, []registry.ImageChange{back}},
		{"archive of none", func() error {
			_, err := reg.SetArchived(ctx, root, "team/app", registry.ImageID{Tag: "v3"}, true)
			return err
		}, true, nil},
		{"deletion of none", func() error { return reg.DeleteManifest(ctx, root, "team/app", oci.Reference{Tag: "v3"}) }, true, nil},
		{"deletion of a tag", func() error { return reg.DeleteManifest(ctx, root, "team/app", oci.Reference{Tag: "v2"}) }, false, []registry.ImageChange{with(registry.Deleting, "v2")}},
		{"deletion of many", func() error {
			_, _, err := reg.DeleteImages(ctx, root, "team/app", []registry.ImageID{{Tag: "v3"}, {Digest: o}, {Digest: d}})
			return err
		}, false, []registry.ImageChange{{Action: registry.Deleting, Repository: "team/app", Digest: o}, with(registry.Deleting, "v1")}},
	} {
		told = nil
		if err := tt.do(); (err != nil) != tt.fail {
			t.Errorf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.want, told); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
