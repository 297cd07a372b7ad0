package registry_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/registry"
	"github.com/weir-registry/weir/internal/rule"
)

var (
	root  = iam.Caller{Name: "root", Root: true}
	epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

const arn = "arn:aws:ecr:local:123456789012:repository/"

// may is a caller with one right.
func may(action string, resources ...string) iam.Caller {
	return iam.Caller{Name: "ann", Policies: []iam.Policy{{Statements: []iam.Statement{{Actions: []string{action}, Resources: resources}}}}}
}

// put stores a manifest of some JSON and returns its digest.
func put(t *testing.T, db *meta.DB, repo, tag, mediaType, raw string) digest.Digest {
	t.Helper()
	m := &oci.Manifest{Descriptor: oci.Descriptor{MediaType: mediaType, Digest: digest.FromString(raw), Size: int64(len(raw))}, Raw: []byte(raw)}
	e, err := m.Edges()
	if err == nil {
		_, err = db.PutManifest(t.Context(), repo, m, e, tag, epoch)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m.Digest
}

// described is a registry with repositories old/app, hub/library/nginx and hub/x/y;
// old is of no rule.
func described(t *testing.T) (reg *registry.Registry, image, artifact digest.Digest) {
	t.Helper()
	db, err := meta.Open(t.Context(), meta.Options{Path: filepath.Join(t.TempDir(), "weir.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	rules, problems := rule.NewSet([]rule.Rule{{Prefix: "hub", Kind: rule.DockerHub, Upstream: "registry-1.docker.io"}})
	if problems != nil {
		t.Fatal(problems)
	}
	descriptor := func(mediaType string) string {
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":7}`, mediaType, digest.FromString(mediaType))
	}
	image = put(t, db, "old/app", "1", oci.MediaTypeManifest, `{"schemaVersion":2,"config":`+descriptor("application/vnd.oci.image.config.v1+json")+`,"layers":[`+descriptor("application/x")+`]}`)
	artifact = put(t, db, "old/app", "", oci.MediaTypeManifest, `{"schemaVersion":2,"artifactType":"application/sbom","config":`+descriptor("application/vnd.oci.empty.v1+json")+
		fmt.Sprintf(`,"layers":[],"subject":{"mediaType":"x/y","digest":%q,"size":1}}`, image))
	for _, repo := range []string{"hub/library/nginx", "hub/x/y"} {
		put(t, db, repo, "1", oci.MediaTypeIndex, `{"schemaVersion":2,"manifests":[]}`)
	}
	return registry.New(registry.Options{ID: "123456789012", Region: "local", Rules: rules, DB: db}), image, artifact
}

func TestRepositories(t *testing.T) {
	reg, _, _ := described(t)
	tests := []struct {
		name   string
		caller iam.Caller
		names  []string
		after  string
		limit  int
		want   []string
		next   string
		code   errs.Code
	}{
		{"all", root, nil, "", 9, []string{"hub/library/nginx", "hub/x/y", "old/app"}, "", 0},
		{"exactly all", root, nil, "", 3, []string{"hub/library/nginx", "hub/x/y", "old/app"}, "", 0},
		{"a page", root, nil, "", 2, []string{"hub/library/nginx", "hub/x/y"}, "hub/x/y", 0},
		{"the next", root, nil, "hub/x/y", 2, []string{"old/app"}, "", 0},
		{"after all", root, nil, "z", 2, nil, "", 0},
		{"none", root, nil, "", 0, nil, "", 0},
		{"named, in their order", root, []string{"old/app", "hub/x/y"}, "", 1, []string{"old/app", "hub/x/y"}, "", 0},
		{"what a pull means by it", root, []string{"hub/nginx"}, "", 1, []string{"hub/library/nginx"}, "", 0},
		{"one is not there", root, []string{"old/app", "hub/z"}, "", 1, nil, "", errs.RepoUnknown},
		{"malformed", root, []string{"A"}, "", 1, nil, "", errs.NameInvalid},
		{"may see all", may("ecr:DescribeRepositories", arn+"*"), nil, "", 1, []string{"hub/library/nginx"}, "hub/library/nginx", 0},
		{"may see some, asks for all", may("ecr:DescribeRepositories", arn+"hub/*"), nil, "", 1, nil, "", errs.Denied},
		{"may see some", may("ecr:DescribeRepositories", arn+"hub/library/*"), []string{"hub/nginx"}, "", 1, []string{"hub/library/nginx"}, "", 0},
		{"may not see one of them", may("ecr:DescribeRepositories", arn+"hub/*"), []string{"hub/nginx", "old/app"}, "", 1, nil, "", errs.Denied},
		{"is not told that there is none", may("ecr:DescribeRepositories", arn+"hub/*"), []string{"secret/app"}, "", 1, nil, "", errs.Denied},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			repos, next, err := reg.Repositories(t.Context(), tt.caller, tt.names, tt.after, tt.limit)
			var got []string
			for _, r := range repos {
				got = append(got, r.Name)
				if r.ARN != arn+r.Name || !r.Created.Equal(epoch) {
					t.Errorf("%+v", r)
				}
			}
			if (err == nil) != (tt.code == 0) || errs.CodeOf(err) != tt.code {
				t.Fatalf("error %v, want code %v", err, tt.code)
			}
			if d := cmp.Diff(tt.want, got); err == nil && d != "" || next != tt.next {
				t.Errorf("next %q, want %q; (-want +got):\n%s", next, tt.next, d)
			}
		})
	}
	_, _, err := reg.Repositories(t.Context(), root, []string{"hub/z"}, "", 1)
	if want := "The repository with name 'hub/z' does not exist in the registry with id '123456789012'"; errs.As(err).Msg != want {
		t.Errorf("got %q, want %q", errs.As(err).Msg, want)
	}
}

func TestImages(t *testing.T) {
	reg, image, artifact := described(t)
	both := func(a, b registry.Image) []registry.Image {
		if a.Digest < b.Digest {
			return []registry.Image{a, b}
		}
		return []registry.Image{b, a}
	}
	held := registry.Image{ArtifactType: "application/vnd.oci.image.config.v1+json", Image: meta.Image{
		Digest: image, MediaType: oci.MediaTypeManifest, Tags: []string{"1"}, Size: 14, ConfigType: "application/vnd.oci.image.config.v1+json", Stored: epoch, Pulled: epoch,
	}}
	about := registry.Image{ArtifactType: "application/sbom", Image: meta.Image{
		Digest: artifact, MediaType: oci.MediaTypeManifest, Size: 7, ConfigType: "application/vnd.oci.empty.v1+json", Subject: image, Stored: epoch, Pulled: epoch,
	}}
	check := func(what string, want, got any, err error) {
		t.Helper()
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%s: %v (-want +got):\n%s", what, err, d)
		}
	}
	all := both(held, about)
	got, next, err := reg.Images(t.Context(), root, "old/app", registry.Which{}, "", 2)
	check("all", all, got, err)
	check("no next", digest.Digest(""), next, err)
	got, next, err = reg.Images(t.Context(), root, "old/app", registry.Which{}, "", 1)
	check("first", all[:1], got, err)
	check("next", all[0].Digest, next, err)
	got, _, err = reg.Images(t.Context(), root, "old/app", registry.Which{}, next, 1)
	check("second", all[1:], got, err)
	got, _, err = reg.Images(t.Context(), root, "old/app", registry.Which{Tagged: registry.UntaggedImages}, "", 9)
	check("untagged", []registry.Image{about}, got, err)

	ids, nextID, err := reg.ImageIDs(t.Context(), root, "old/app", registry.Which{}, registry.ImageID{}, 1)
	check("first name", []registry.ImageID{{Digest: all[0].Digest, Tag: append(all[0].Tags, "")[0]}}, ids, err)
	check("next name", ids[0], nextID, err)
	ids, nextID, err = reg.ImageIDs(t.Context(), root, "old/app", registry.Which{Tagged: registry.TaggedImages}, registry.ImageID{}, 9)
	check("tagged names", []registry.ImageID{{Digest: image, Tag: "1"}}, ids, err)
	check("no more names", registry.ImageID{}, nextID, err)

	got, err = reg.NamedImages(t.Context(), root, "old/app", []registry.ImageID{{Tag: "1"}, {Digest: artifact}, {Digest: image}, {Digest: image, Tag: "1"}})
	check("named, each once", []registry.Image{held, about}, got, err)
}

func TestNoSuchImage(t *testing.T) {
	reg, image, artifact := described(t)
	for _, tt := range []struct {
		id   registry.ImageID
		want string
	}{
		{registry.ImageID{Tag: "2"}, "{imageDigest:'null', imageTag:'2'}"},
		{registry.ImageID{Tag: "-"}, "{imageDigest:'null', imageTag:'-'}"},
		{registry.ImageID{Digest: "sha256:12"}, "{imageDigest:'sha256:12', imageTag:'null'}"},
		{registry.ImageID{Digest: artifact, Tag: "1"}, "{imageDigest:'" + string(artifact) + "', imageTag:'1'}"},
	} {
		_, err := reg.NamedImages(t.Context(), root, "old/app", []registry.ImageID{{Digest: image}, tt.id})
		want := "The image with imageId " + tt.want + " does not exist within the repository with name 'old/app' in the registry with id '123456789012'"
		if e := errs.As(err); e == nil || e.Code != errs.ManifestUnknown || e.Msg != want {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	for _, err := range []error{
		second(reg.NamedImages(t.Context(), root, "no/app", nil)),
		third(reg.Images(t.Context(), root, "no/app", registry.Which{}, "", 1)),
		third(reg.ImageIDs(t.Context(), root, "no/app", registry.Which{}, registry.ImageID{}, 1)),
	} {
		if errs.CodeOf(err) != errs.RepoUnknown {
			t.Errorf("no repository: %v", err)
		}
	}
}

func second[A any](_ A, err error) error        { return err }
func third[A, B any](_ A, _ B, err error) error { return err }
