package registry_test

import (
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/registry"
	"github.com/weir-registry/weir/internal/rule"
)

const (
	policyText = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}`
	unpulled   = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"sinceImagePulled","countUnit":"days","countNumber":1},"action":{"type":"expire"}}]}`
)

// TestLifecycleActions: each method asks for its own action, and for no other.
func TestLifecycleActions(t *testing.T) {
	ctx := t.Context()
	for action, call := range map[string]func(*registry.Registry, iam.Caller) error{
		"ecr:PutLifecyclePolicy": func(r *registry.Registry, c iam.Caller) error {
			_, err := r.PutLifecyclePolicy(ctx, c, "own", policyText)
			return err
		},
		"ecr:GetLifecyclePolicy": func(r *registry.Registry, c iam.Caller) error {
			if _, err := r.LifecycleEvents(ctx, c, "own", 0, 1); err != nil {
				return err
			}
			_, err := r.LifecyclePolicy(ctx, c, "own")
			return err
		},
		"ecr:DeleteLifecyclePolicy": func(r *registry.Registry, c iam.Caller) error {
			_, err := r.DeleteLifecyclePolicy(ctx, c, "own")
			return err
		},
		"ecr:StartLifecyclePolicyPreview": func(r *registry.Registry, c iam.Caller) error {
			_, err := r.StartPreview(ctx, c, "own", "")
			return err
		},
		"ecr:GetLifecyclePolicyPreview": func(r *registry.Registry, c iam.Caller) error {
			_, _, _, err := r.Preview(ctx, c, "own", registry.PreviewQuery{Limit: 1})
			return err
		},
		"ecr:UpdateImageStorageClass": func(r *registry.Registry, c iam.Caller) error {
			_, err := r.SetArchived(ctx, c, "own", registry.ImageID{Tag: "v1"}, true)
			return err
		},
	} {
		reg, db := ownRegistry(t, rule.Template{})
		if err := db.PutLifecyclePolicy(ctx, "own", policyText); err != nil {
			t.Fatal(err)
		}
		err := call(reg, may(action, reg.ARN("own")))
		switch code := errs.CodeOf(err); {
		case action == "ecr:GetLifecyclePolicyPreview" && code == errs.PreviewUnknown:
		case err != nil:
			t.Errorf("%s: %v", action, err)
		}
		if err := call(reg, may("ecr:Describe*", "*")); errs.CodeOf(err) != errs.Denied || !strings.Contains(err.Error(), action) {
			t.Errorf("%s by one who may describe: %v", action, err)
		}
	}
}

// ownRegistry is a registry with the repository own, which has the image v1, and a template.
func ownRegistry(t *testing.T, template rule.Template) (*registry.Registry, *meta.DB) {
	t.Helper()
	db := newDB(t)
	rules, _ := rule.NewSet(nil)
	reg := registry.New(registry.Options{ID: "123456789012", Region: "local", Rules: rules, DB: db})
	if template.Prefix != "" {
		reg.SetTemplates(rule.NewTemplates([]rule.Template{template}))
	}
	if err := db.CreateRepository(t.Context(), meta.Repository{Name: "own"}); err != nil {
		t.Fatal(err)
	}
	m := &oci.Manifest{Raw: []byte("{}"), Descriptor: oci.Descriptor{Digest: digest.FromString("{}")}}
	if err := db.PutImage(t.Context(), meta.Push{Repository: "own", Manifest: m, Tags: []string{"v1"}}); err != nil {
		t.Fatal(err)
	}
	return reg, db
}

// TestLifecycleOfTemplates: what a push or a pull makes has the policy of its template.
func TestLifecycleOfTemplates(t *testing.T) {
	ctx := t.Context()
	reg, db := ownRegistry(t, rule.Template{Prefix: rule.Root, AppliedFor: []string{rule.ForCreateOnPush, rule.ForPullThrough}, LifecyclePolicy: unpulled})
	root := iam.Caller{Name: "root", Root: true}
	push := registry.ManifestPush{Reference: oci.Reference{Tag: "v1"}, Raw: []byte(`{"schemaVersion":2,"mediaType":"` + oci.MediaTypeIndex + `","manifests":[]}`), ContentType: oci.MediaTypeIndex}
	if _, err := reg.PutManifest(ctx, root, "new/app", push); err != nil {
		t.Fatal(err)
	}
	m := &oci.Manifest{Raw: []byte("{}"), Descriptor: oci.Descriptor{Digest: digest.FromString("{}")}}
	if _, err := db.PutManifest(ctx, "cached/app", m, oci.Edges{}, "v1", time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, repo := range []string{"new/app", "cached/app"} {
		p, err := reg.LifecyclePolicy(ctx, root, repo)
		if err != nil || p.Text != unpulled {
			t.Errorf("%s has %+v, %v", repo, p, err)
		}
	}
	if _, err := reg.LifecyclePolicy(ctx, root, "own"); errs.CodeOf(err) != errs.LifecycleUnknown {
		t.Errorf("one that was there has %v", err)
	}
}

// TestToldToPushes: HEAD by who may push there saves an image from lifecycle policies for
// a while, as the push goes by it; by others it does not, nor where nobody pushes. A pull
// that is not noted does so in the cache.
func TestToldToPushes(t *testing.T) {
	ctx := t.Context()
	w := newWorld(t, onDisk(t))
	raw := `{"schemaVersion":2,"manifests":[]}`
	d := digest.FromString(raw)
	m := &oci.Manifest{Raw: []byte(raw), Descriptor: oci.Descriptor{MediaType: oci.MediaTypeIndex, Digest: d}}
	pulls, replicates := may(iam.BatchGetImage, "*"), may(iam.ReplicateImage, "*")
	replicates.Replicates = true
	scans := may(iam.BatchGetImage, "*")
	scans.Name, scans.Account = "scanner", "123456789012"
	w.SetSettings(&rule.Settings{Unnoted: []string{scans.ARN()}})
	pushes := may(iam.BatchGetImage, "*")
	pushes.Policies = append(pushes.Policies, may(iam.PutImage, "*").Policies...)
	for _, repo := range []string{"team/app", "mirror/app", "hub/app"} {
		if _, err := w.db.PutManifest(ctx, repo, m, oci.Edges{}, "", time.Now()); err != nil {
			t.Fatal(err)
		}
		for _, by := range []struct {
			name   string
			c      iam.Caller
			pull   bool
			counts bool
		}{
			{"a pull's HEAD", pulls, false, false},
			{"a GET", pushes, true, false},
			{"a push's HEAD", pushes, false, repo != "hub/app"},
			{"another registry's", replicates, false, repo != "hub/app"},
			{"an excluded one's HEAD", scans, false, false},
			{"an excluded one's GET", scans, true, repo != "team/app"},
		} {
			before := time.Now()
			if _, err := w.Manifest(ctx, by.c, repo, oci.Reference{Digest: d}, by.pull); err != nil {
				t.Fatal(err)
			}
			facts, err := w.db.Facts(ctx, repo)
			if err != nil {
				t.Fatal(err)
			}
			if got := !facts.Images[0].Needed.Before(before); got != by.counts {
				t.Errorf("%s in %s: %t, want %t", by.name, repo, got, by.counts)
			}
		}
	}
}
