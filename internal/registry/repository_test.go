package registry_test

import (
	"errors"
	"strings"
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

var owner = iam.Caller{Name: "root", Root: true}

// house is a registry whose rule hub has an upstream that cannot be reached.
func house(t *testing.T) (*registry.Registry, *meta.DB) {
	t.Helper()
	rules, problems := rule.NewSet([]rule.Rule{{Prefix: "hub", Kind: rule.DockerHub, Upstream: "registry-1.docker.io"}})
	if problems != nil {
		t.Fatal(problems)
	}
	db := newDB(t)
	cache := pullthrough.New(pullthrough.Options{Index: db, Upstream: func(*rule.Rule) pullthrough.Upstream {
		t.Error("the upstream was asked")
		return nil
	}})
	t.Cleanup(cache.Close)
	return registry.New(registry.Options{ID: "123456789012", Region: "local", Rules: rules, Cache: cache, DB: db}), db
}

func wantError(t *testing.T, what string, code errs.Code, words string, err error) {
	t.Helper()
	if e := errs.As(err); e == nil || e.Code != code || !strings.Contains(e.Msg, words) {
		t.Errorf("%s: %v (%v), want %v with %q", what, err, errs.CodeOf(err), code, words)
	}
}

func TestRepositoryIsMadeAndDeleted(t *testing.T) {
	ctx := t.Context()
	reg, db := house(t)
	made, err := reg.CreateRepository(ctx, owner, registry.NewRepository{
		Name: "own/app", Mutability: rule.ImmutableWithExclusion, Exclusions: []string{"dev*"}, Tags: []rule.ResourceTag{{Key: "k", Value: "v"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	all, _, err := reg.Repositories(ctx, owner, []string{"own/app"}, "", 0)
	if d := cmp.Diff([]registry.Repository{made}, all); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	if made.ARN != "arn:aws:ecr:local:123456789012:repository/own/app" || made.Mutability != rule.ImmutableWithExclusion || made.Exclusions[0] != "dev*" {
		t.Errorf("%+v", made)
	}
	_, err = reg.CreateRepository(ctx, owner, registry.NewRepository{Name: "own/app"})
	wantError(t, "twice", errs.RepoExists, "The repository with name 'own/app' already exists in the registry with id '123456789012'", err)
	_, err = reg.CreateRepository(ctx, owner, registry.NewRepository{Name: "own/b", Exclusions: []string{"a"}})
	wantError(t, "filters of none", errs.ParamInvalid, "imageTagMutabilityExclusionFilters", err)
	_, err = reg.CreateRepository(ctx, owner, registry.NewRepository{Name: "own/b", Tags: []rule.ResourceTag{{Key: "k"}, {Key: "k"}}})
	wantError(t, "a tag twice", errs.TagInvalid, "twice", err)
	may := iam.Caller{Name: "ann", Policies: []iam.Policy{{Statements: []iam.Statement{{Actions: []string{"ecr:CreateRepository"}, Resources: []string{"*"}}}}}}
	_, err = reg.CreateRepository(ctx, may, registry.NewRepository{Name: "own/b", Tags: []rule.ResourceTag{{Key: "k"}}})
	wantError(t, "may not tag", errs.Denied, "ecr:TagResource", err)

	cached, err := reg.CreateRepository(ctx, may, registry.NewRepository{Name: "hub/nginx"})
	if err != nil || cached.Name != "hub/library/nginx" {
		t.Errorf("under a rule: %+v, %v", cached, err)
	}
	for name, kind := range map[string]string{"own/app": meta.Own, "hub/library/nginx": meta.Cached} {
		if row, err := db.DescribeRepository(ctx, name); err != nil || row.Kind != kind {
			t.Errorf("%s: %+v, %v", name, row, err)
		}
	}

	put(t, db, "own/app", "v1", oci.MediaTypeIndex, `{"schemaVersion":2,"manifests":[]}`)
	_, err = reg.DeleteRepository(ctx, owner, "own/app", false)
	wantError(t, "with images", errs.RepoNotEmpty, "The repository with name 'own/app' in registry with id '123456789012' cannot be deleted because it still contains images", err)
	deleted, err := reg.DeleteRepository(ctx, owner, "own/app", true)
	if d := cmp.Diff(made, deleted); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	_, err = reg.DeleteRepository(ctx, owner, "own/app", true)
	wantError(t, "twice", errs.RepoUnknown, "The repository with name 'own/app' does not exist in the registry with id '123456789012'", err)
	if _, err := reg.DeleteRepository(ctx, owner, "hub/nginx", false); err != nil {
		t.Error(err)
	}
}

func TestMutabilityAndTags(t *testing.T) {
	ctx := t.Context()
	reg, _ := house(t)
	if _, err := reg.CreateRepository(ctx, owner, registry.NewRepository{Name: "own/app"}); err != nil {
		t.Fatal(err)
	}
	row, err := reg.PutImageTagMutability(ctx, owner, "own/app", rule.MutableWithExclusion, []string{"v*", "a"})
	if err != nil || row.Mutability != rule.MutableWithExclusion || cmp.Diff([]string{"v*", "a"}, row.Exclusions) != "" {
		t.Errorf("%+v, %v", row, err)
	}
	_, err = reg.PutImageTagMutability(ctx, owner, "own/app", rule.MutableWithExclusion, nil)
	wantError(t, "no filters", errs.ParamInvalid, "imageTagMutabilityExclusionFilters", err)
	_, err = reg.PutImageTagMutability(ctx, owner, "own/none", rule.Mutable, nil)
	wantError(t, "unknown", errs.RepoUnknown, "'own/none'", err)

	tag := func(k, v string) rule.ResourceTag { return rule.ResourceTag{Key: k, Value: v} }
	err = errors.Join(
		reg.TagResource(ctx, owner, "own/app", []rule.ResourceTag{tag("a", "1"), tag("b", "2")}),
		reg.TagResource(ctx, owner, "own/app", []rule.ResourceTag{tag("a", "3"), tag("c", "")}),
		reg.UntagResource(ctx, owner, "own/app", []string{"b", "x"}),
	)
	tags, terr := reg.ResourceTags(ctx, owner, "own/app")
	if d := cmp.Diff([]rule.ResourceTag{tag("a", "3"), tag("c", "")}, tags); d != "" || err != nil || terr != nil {
		t.Errorf("%v, %v %s", err, terr, d)
	}
	wantError(t, "tags of none", errs.RepoUnknown, "'own/none'", reg.TagResource(ctx, owner, "own/none", nil))
}

// TestImmutableCache: a tag that is immutable in a cached repository is served as it is
// held, however old the check.
func TestImmutableCache(t *testing.T) {
	ctx := t.Context()
	reg, db := house(t)
	reg.SetTemplates(rule.NewTemplates([]rule.Template{
		{Prefix: "hub", AppliedFor: []string{rule.ForPullThrough}, Mutability: rule.ImmutableWithExclusion, Exclusions: []string{"dev*"}, Tags: []rule.ResourceTag{{Key: "k"}}},
		{Prefix: "hub/team", AppliedFor: []string{rule.ForCreateOnPush}, Mutability: rule.Mutable},
	}))
	held := put(t, db, "hub/team/app", "v1", oci.MediaTypeIndex, `{"schemaVersion":2,"manifests":[]}`) // long ago
	row, err := db.DescribeRepository(ctx, "hub/team/app")
	if err != nil || row.Kind != meta.Cached || row.Mutability != rule.ImmutableWithExclusion || len(row.ResourceTags) != 1 {
		t.Errorf("what the pull made: %+v, %v", row, err)
	}
	m, err := reg.Manifest(ctx, owner, "hub/team/app", oci.Reference{Tag: "v1"}, true)
	if err != nil || m.Digest != held || m.Source != registry.Hit || m.Warning != "" {
		t.Errorf("%+v, %v", m, err)
	}
	x, err := reg.Explain(ctx, owner, "hub/team/app", oci.Reference{Tag: "v1"})
	if err != nil || !x.Fixed || !x.Fresh || !x.Next.IsZero() {
		t.Errorf("%+v, %v", x, err)
	}
	if _, err := reg.PutImageTagMutability(ctx, owner, "hub/team/app", rule.Mutable, nil); err != nil {
		t.Fatal(err)
	}
	if x, err = reg.Explain(ctx, owner, "hub/team/app", oci.Reference{Tag: "v1"}); err != nil || x.Fixed || x.Fresh {
		t.Errorf("once it is mutable: %+v, %v", x, err)
	}
}

func TestDeleteImages(t *testing.T) {
	ctx := t.Context()
	reg, db := house(t)
	if _, err := reg.CreateRepository(ctx, owner, registry.NewRepository{Name: "own/app"}); err != nil {
		t.Fatal(err)
	}
	image := func(n string) string {
		return `{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:` + strings.Repeat(n, 64) + `","size":2},"layers":[]}`
	}
	child := put(t, db, "own/app", "child", oci.MediaTypeManifest, image("a"))
	index := put(t, db, "own/app", "idx", oci.MediaTypeIndex, `{"schemaVersion":2,"manifests":[{"mediaType":"`+oci.MediaTypeManifest+`","digest":"`+string(child)+`","size":1}]}`)
	one := put(t, db, "own/app", "one", oci.MediaTypeManifest, image("b"))
	put(t, db, "own/app", "uno", oci.MediaTypeManifest, image("b"))
	ids := func(all ...registry.ImageID) []registry.ImageID { return all }
	for _, tt := range []struct {
		name    string
		ids     []registry.ImageID
		deleted []registry.ImageID
		failed  []errs.Code
	}{
		{"not there", ids(registry.ImageID{Tag: "none"}), nil, []errs.Code{errs.ManifestUnknown}},
		{"digest is not there", ids(registry.ImageID{Digest: digest.FromString("none")}), nil, []errs.Code{errs.ManifestUnknown}},
		{"neither", ids(registry.ImageID{}), nil, []errs.Code{errs.ParamInvalid}},
		{"malformed", ids(registry.ImageID{Tag: "a b"}, registry.ImageID{Digest: "sha256:0"}), nil, []errs.Code{errs.TagInvalid, errs.DigestInvalid}},
		{"tag of another", ids(registry.ImageID{Tag: "one", Digest: child}), nil, []errs.Code{errs.Conflict}},
		{"named by an index", ids(registry.ImageID{Digest: child}), nil, []errs.Code{errs.ImageReferenced}},
		{"last tag of one that an index names", ids(registry.ImageID{Tag: "child"}), nil, []errs.Code{errs.ImageReferenced}},
		{"one tag of two", ids(registry.ImageID{Tag: "uno"}), ids(registry.ImageID{Tag: "uno", Digest: one}), nil},
		{"the last tag", ids(registry.ImageID{Tag: "one", Digest: one}), ids(registry.ImageID{Tag: "one", Digest: one}), nil},
		{"the image went with it", ids(registry.ImageID{Digest: one}), nil, []errs.Code{errs.ManifestUnknown}},
		{"child before its index", ids(registry.ImageID{Digest: child}, registry.ImageID{Digest: index}),
			ids(registry.ImageID{Tag: "idx", Digest: index}, registry.ImageID{Tag: "child", Digest: child}), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			deleted, failures, err := reg.DeleteImages(ctx, owner, "own/app", tt.ids)
			var failed []errs.Code
			for _, f := range failures {
				failed = append(failed, errs.CodeOf(f.Err))
			}
			if d := cmp.Diff(tt.deleted, deleted) + cmp.Diff(tt.failed, failed); d != "" || err != nil {
				t.Errorf("%v %s", err, d)
			}
		})
	}
	_, _, err := reg.DeleteImages(ctx, owner, "own/none", ids(registry.ImageID{Tag: "a"}))
	wantError(t, "no repository", errs.RepoUnknown, "'own/none'", err)
}
