package registry_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/pullthrough"
	"github.com/weir-registry/weir/internal/registry"
	"github.com/weir-registry/weir/internal/rule"
)

const noChildren = `{"schemaVersion":2,"manifests":[]}`

// TestBrowse: whoever browses sees what he may describe, by whole pages.
func TestBrowse(t *testing.T) {
	db := newDB(t)
	rules, _ := rule.NewSet([]rule.Rule{{Prefix: "hub", Kind: rule.Generic, Upstream: "up.test"}})
	reg := registry.New(registry.Options{ID: "123456789012", Region: "local", Rules: rules, DB: db})
	for i := range 9 {
		put(t, db, fmt.Sprintf("hub/app%d", i), "1", oci.MediaTypeIndex, noChildren)
	}
	put(t, db, "gone/app", "1", oci.MediaTypeIndex, noChildren)
	if err := db.CreateRepository(t.Context(), meta.Repository{Name: "team/app"}); err != nil {
		t.Fatal(err)
	}
	some := may("ecr:DescribeRepositories", arn+"hub/app3", arn+"hub/app7", arn+"team/*")
	for _, tt := range []struct {
		name   string
		caller iam.Caller
		query  registry.RepositoryQuery
		want   string
		create bool
	}{
		{"root", root, registry.RepositoryQuery{Part: "APP"}, "gone/app hub/app0 hub/app1 hub/app2 hub/app3 hub/app4 hub/app5 hub/app6 hub/app7 hub/app8 team/app", true},
		{"some", some, registry.RepositoryQuery{}, "hub/app3 hub/app7 team/app", false},
		{"some of a kind", some, registry.RepositoryQuery{Kind: registry.OwnRepository}, "team/app", false},
		{"some by part", some, registry.RepositoryQuery{Part: "b/app"}, "hub/app3 hub/app7", false},
		{"none is there", root, registry.RepositoryQuery{Part: "none"}, "", true},
		{"who creates", may("ecr:*", arn+"team/*"), registry.RepositoryQuery{}, "team/app", true},
	} {
		for limit := 1; limit <= 12; limit++ {
			var got []string
			for q := tt.query; ; {
				q.Limit = limit
				l, err := reg.Browse(t.Context(), tt.caller, q)
				if err != nil {
					t.Fatalf("%s: %v", tt.name, err)
				}
				if l.MayCreate != tt.create {
					t.Errorf("%s: may create: %t", tt.name, l.MayCreate)
				}
				for _, s := range l.Repositories {
					got = append(got, s.Name)
				}
				if q.After = l.Next; l.Next == "" {
					break
				}
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("%s by %d: %v, want %s", tt.name, limit, got, tt.want)
			}
		}
	}
	for repo, want := range map[string]registry.RepositorySummary{
		"hub/app1": {Kind: registry.CachedRepository, Rule: "hub", Upstream: "up.test", RepositoryTotals: meta.RepositoryTotals{Images: 1}},
		"gone/app": {Kind: registry.CachedRepository, RepositoryTotals: meta.RepositoryTotals{Images: 1}},
		"team/app": {Kind: registry.OwnRepository, Pushable: true},
	} {
		got, err := reg.Summary(t.Context(), root, repo)
		got.Repository = registry.Repository{}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", repo, err, diff)
		}
	}
	if _, err := reg.Summary(t.Context(), root, "none"); errs.CodeOf(err) != errs.RepoUnknown {
		t.Errorf("unknown: %v", err)
	}
	allowed, err := reg.May(t.Context(), may("ecr:Describe*", arn+"hub/*"), "hub/app1", []string{iam.DescribeImages, iam.PutImage})
	if diff := cmp.Diff(map[string]bool{iam.DescribeImages: true, iam.PutImage: false}, allowed); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestHeldTags: what each tag is, by its rule and repository.
func TestHeldTags(t *testing.T) {
	ctx := t.Context()
	db := newDB(t)
	now := time.Now()
	if err := db.CreateRepository(ctx, meta.Repository{Name: "team/app"}); err != nil {
		t.Fatal(err)
	}
	if err := db.CreateRepository(ctx, meta.Repository{Name: "hub/fixed", Kind: meta.Cached, Mutability: rule.Immutable}); err != nil {
		t.Fatal(err)
	}
	for _, repo := range []string{"team/app", "hub/app", "hub/fixed", "off/app", "never/app", "gone/app"} {
		for _, tag := range []string{"lost", "new", "old", "v1"} {
			put(t, db, repo, tag, oci.MediaTypeIndex, noChildren)
			checked := map[string]time.Time{"new": now, "lost": now}[tag]
			if err := db.CheckTag(ctx, repo, tag, checked, tag == "lost"); err != nil {
				t.Fatal(err)
			}
		}
	}
	rules, problems := rule.NewSet([]rule.Rule{
		{Prefix: "hub", Kind: rule.Generic, Upstream: "up.test", Window: time.Hour, Fixed: []string{"v*"}},
		{Prefix: "off", Kind: rule.Generic, Upstream: "up.test", Window: time.Hour, Off: true},
		{Prefix: "never", Kind: rule.Generic, Upstream: "up.test", Window: rule.Never},
	})
	if problems != nil {
		t.Fatal(problems)
	}
	cache := pullthrough.New(pullthrough.Options{Index: db})
	t.Cleanup(cache.Close)
	reg := registry.New(registry.Options{ID: "123456789012", Region: "local", Rules: rules, Cache: cache, DB: db})
	for repo, want := range map[string]string{
		"team/app":  "own own own own",
		"hub/app":   "orphaned+ fresh+ stale fresh",
		"hub/fixed": "orphaned fresh fresh fresh",
		"off/app":   "orphaned fresh stale stale",
		"never/app": "orphaned fresh stale stale",
		"gone/app":  "kept kept kept kept",
	} {
		var got []string
		for q := (registry.TagQuery{Limit: 3}); ; {
			p, err := reg.HeldTags(ctx, root, repo, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range p.Tags {
				word := s.State
				if !s.Next.IsZero() {
					word += "+"
				}
				got = append(got, word)
			}
			if q.After = p.Next; p.Next == "" {
				break
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", repo, got, want)
		}
	}
	if _, err := reg.HeldTags(ctx, root, "none", registry.TagQuery{Limit: 1}); errs.CodeOf(err) != errs.RepoUnknown {
		t.Errorf("unknown: %v", err)
	}
}

// TestMoves: who moved a tag is told as far as it is known.
func TestMoves(t *testing.T) {
	ctx := t.Context()
	w := newWorld(t, onDisk(t))
	put(t, w.db, "hub/app", "1", oci.MediaTypeIndex, noChildren)
	for _, repo := range []string{"team/app", "mirror/app"} {
		push := registry.ManifestPush{Reference: oci.Reference{Tag: "1"}, ContentType: oci.MediaTypeIndex, Raw: []byte(noChildren)}
		if _, err := w.PutManifest(ctx, root, repo, push); err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.DeleteImages(ctx, root, repo, []registry.ImageID{{Tag: "1"}}); err != nil {
			t.Fatal(err)
		}
	}
	for repo, want := range map[string][]string{"hub/app": {registry.MovedByUpstream}, "team/app": {registry.MovedByDelete, registry.MovedByPush}, "mirror/app": {registry.MovedByDelete, ""}} {
		var by []string
		q := registry.MoveQuery{Limit: 1}
		for more := true; more; {
			moves, m, err := w.Moves(ctx, root, repo, q)
			if err != nil {
				t.Fatal(err)
			}
			last := moves[len(moves)-1]
			by = append(by, last.By)
			q.Before, more = registry.MoveBefore(last.Tag, last.N, last.At), m
		}
		if !slices.Equal(by, want) {
			t.Errorf("%s: %q, want %q", repo, by, want)
		}
	}
}

// TestTree: what an image names, which of it is here, what its config says and what is
// about it.
func TestTree(t *testing.T) {
	ctx := t.Context()
	w := newWorld(t, onDisk(t))
	const imageType, artifactType = "application/vnd.oci.image.config.v1+json", "application/spdx+json"
	config := `{"architecture":"arm64","os":"linux","created":"2026-01-02T03:04:05Z","config":{"Labels":{"b":"<script>","a":"1"},"Env":["A=b"],"ExposedPorts":{"80/tcp":{}}},` +
		`"history":[{"created_by":"RUN x","created":"2026-01-02T03:04:05Z"},{"created_by":"ENV A=b","empty_layer":true}]}`
	c, layer := w.blob("team/app", config), w.blob("team/app", "layer")
	manifest := func(tag, configType string, c digest.Digest, size int, more string) digest.Digest {
		raw := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":5}]%s}`,
			oci.MediaTypeManifest, configType, c, size, layer, more)
		ref := oci.Reference{Tag: tag, Digest: digest.FromString(raw)}
		if tag != "" {
			ref.Digest = ""
		}
		push := registry.ManifestPush{Reference: ref, ContentType: oci.MediaTypeManifest, Raw: []byte(raw)}
		if _, err := w.PutManifest(ctx, root, "team/app", push); err != nil {
			t.Fatal(err)
		}
		return digest.FromString(raw)
	}
	image := manifest("", imageType, c, len(config), "")
	sbom := manifest("", artifactType, c, len(config), fmt.Sprintf(`,"subject":{"mediaType":%q,"digest":%q,"size":9},"annotations":{"k":"v"}`, oci.MediaTypeManifest, image))
	signature := manifest("sha256-"+image.Encoded()+".sig", artifactType, c, len(config), "")
	absent := digest.FromString("absent")
	raw := fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":7,"platform":{"os":"linux","architecture":"arm64"}},{"mediaType":%q,"digest":%q,"size":8}]}`,
		oci.MediaTypeManifest, image, oci.MediaTypeManifest, absent)
	push := registry.ManifestPush{Reference: oci.Reference{Tag: "1"}, ContentType: oci.MediaTypeIndex, Raw: []byte(raw)}
	if _, err := w.PutManifest(ctx, root, "team/app", push); err != nil {
		t.Fatal(err)
	}
	index := digest.FromString(raw)

	tree, err := w.Tree(ctx, root, "team/app", index)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	var walk func(registry.Node, string)
	walk = func(n registry.Node, indent string) {
		told = append(told, fmt.Sprintf("%s%s %s %t", indent, n.Kind, n.Digest.Encoded()[:6], n.Held))
		for _, p := range n.Parts {
			walk(p, indent+" ")
		}
	}
	walk(tree, "")
	short := func(d digest.Digest) string { return d.Encoded()[:6] }
	want := []string{" " + short(index) + " true", " child " + short(image) + " true", "  config " + short(c) + " true", "  layer " + short(layer) + " true", " child " + short(absent) + " false"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}

	if of, err := w.Tree(ctx, root, "team/app", image); err != nil || !slices.Equal(of.Of, []digest.Digest{index}) {
		t.Errorf("part of %v, %v", of.Of, err)
	}

	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		name string
		d    digest.Digest
		want registry.Config
	}{
		{"index", index, registry.Config{State: registry.ConfigNone}},
		{"artifact", sbom, registry.Config{State: registry.ConfigOther}},
		{"image", image, registry.Config{
			State: registry.ConfigRead, Created: at, Platform: oci.Platform{OS: "linux", Architecture: "arm64"},
			Env: []string{"A=b"}, Ports: []string{"80/tcp"}, Labels: []string{"a", "1", "b", "<script>"},
			History: []registry.Step{{Created: at, CreatedBy: "RUN x"}, {CreatedBy: "ENV A=b", Empty: true}},
		}},
		{"no JSON", manifest("", imageType, layer, 5, ""), registry.Config{State: registry.ConfigBad}},
	} {
		got, err := w.Config(ctx, root, "team/app", tt.d)
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("config of %s: %v (-want +got):\n%s", tt.name, err, diff)
		}
	}
	large := w.blob("team/app", `{"author":"`+strings.Repeat("x", 1<<20)+`"}`)
	if got, err := w.Config(ctx, root, "team/app", manifest("", imageType, large, 1<<20, "")); err != nil || got.State != registry.ConfigLarge {
		t.Errorf("large: %+v, %v", got, err)
	}
	if err := w.db.DropBlob(ctx, c); err != nil {
		t.Fatal(err)
	}
	if got, err := w.Config(ctx, root, "team/app", image); err != nil || got.State != registry.ConfigMissing {
		t.Errorf("dropped: %+v, %v", got, err)
	}

	about, err := w.About(ctx, root, "team/app", image)
	wantAbout := registry.AboutList{List: []registry.About{
		{Referrer: oci.Referrer{MediaType: oci.MediaTypeManifest, Digest: sbom, ArtifactType: artifactType, Annotations: map[string]string{"k": "v"}}, Held: true},
		{Referrer: oci.Referrer{MediaType: oci.MediaTypeManifest, Digest: signature, ArtifactType: artifactType}, Held: true, Tag: "sha256-" + image.Encoded() + ".sig"},
	}}
	if diff := cmp.Diff(wantAbout, about, cmpopts.IgnoreFields(oci.Referrer{}, "Size")); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	theirs := oci.Referrer{MediaType: oci.MediaTypeManifest, Digest: absent, Size: 3}
	if err := w.db.PutReferrers(ctx, "team/app", image, []oci.Referrer{theirs, {Digest: sbom}}, at); err != nil {
		t.Fatal(err)
	}
	about, err = w.About(ctx, root, "team/app", image)
	if err != nil || !about.Checked.Equal(at) || len(about.List) != 3 || about.List[1].Digest != absent || about.List[1].Held {
		t.Errorf("with the upstream's: %+v, %v", about, err)
	}
	if _, err := w.Tree(ctx, root, "team/app", absent); errs.CodeOf(err) != errs.ManifestUnknown {
		t.Errorf("a tree of what is not held: %v", err)
	}
}

// TestTreeIsBounded: an image that names very much is told in part.
func TestTreeIsBounded(t *testing.T) {
	w := newWorld(t, onDisk(t))
	var layers []string
	for i := range 300 {
		layers = append(layers, fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar","digest":%q,"size":1}`, digest.FromString(fmt.Sprint(i))))
	}
	raw := `{"schemaVersion":2,"layers":[` + strings.Join(layers, ",") + `]}`
	tree, err := w.Tree(t.Context(), root, "hub/app", put(t, w.db, "hub/app", "1", oci.MediaTypeManifest, raw))
	if err != nil || len(tree.Parts) != 200 || !tree.More {
		t.Errorf("%d parts, more %t, %v", len(tree.Parts), tree.More, err)
	}
}

// TestBrowseNarrowly: that a caller's policies name few repositories leaves out none that
// another policy, or another of its names, lets the caller see.
func TestBrowseNarrowly(t *testing.T) {
	ctx := t.Context()
	db := newDB(t)
	rules, problems := rule.NewSet([]rule.Rule{{Prefix: "docker-hub", Kind: rule.DockerHub, Upstream: "registry-1.docker.io"}})
	if problems != nil {
		t.Fatal(problems)
	}
	reg := registry.New(registry.Options{ID: "123456789012", Region: "local", Rules: rules, DB: db})
	all := []string{"a/app", "docker-hub/library/nginx", "docker-hub/nginx", "docker-hub/zoo", "m/app", "m/application", "m/lib/x", "team/app", "z/app"}
	for _, name := range all {
		row := meta.Repository{Name: name, Kind: meta.Cached}
		if name == "z/app" {
			row.Policy = []byte(letAnn)
		}
		if err := db.CreateRepository(ctx, row); err != nil {
			t.Fatal(err)
		}
	}
	with := func(s ...iam.Statement) iam.Caller {
		c := user("ann")
		c.Policies = []iam.Policy{{Statements: s}}
		return c
	}
	describe := []string{"ecr:Describe*"}
	for name, c := range map[string]iam.Caller{
		"none":            user("ann"),
		"bob has none":    user("bob"),
		"one":             with(iam.Statement{Actions: describe, Resources: []string{arn + "m/app"}}),
		"a pattern":       with(iam.Statement{Actions: describe, Resources: []string{"arn:aws:ecr:*:*:repository/m/app*"}}),
		"two":             with(iam.Statement{Actions: describe, Resources: []string{arn + "team/*", arn + "a/a??"}}),
		"another ARN":     with(iam.Statement{Actions: describe, Resources: []string{"arn:aws:ecr:elsewhere:123456789012:repository/m/*"}}),
		"in the middle":   with(iam.Statement{Actions: describe, Resources: []string{"arn:*app"}}),
		"library":         with(iam.Statement{Actions: describe, Resources: []string{arn + "docker-hub/library/*"}}),
		"a part of it":    with(iam.Statement{Actions: describe, Resources: []string{arn + "docker-hub/li*"}}),
		"all but one":     with(iam.Statement{Actions: describe, NotResources: []string{arn + "m/app"}}),
		"other actions":   with(iam.Statement{NotActions: []string{"ecr:Put*"}, Resources: []string{arn + "team/*"}}, iam.Statement{Actions: []string{"ecr:Put*"}, Resources: []string{"*"}}),
		"with a deny":     with(iam.Statement{Actions: describe, Resources: []string{arn + "m/*"}}, iam.Statement{Deny: true, Actions: describe, Resources: []string{arn + "m/app"}}),
		"everything":      full("ann"),
		"of another kind": with(iam.Statement{Actions: describe, Resources: []string{"arn:aws:secretsmanager:local:123456789012:secret:x"}}),
	} {
		var want, got []string
		for _, repo := range all {
			if _, err := reg.Summary(ctx, c, repo); errs.CodeOf(err) != errs.Denied { // or it has no row under its other name
				want = append(want, repo)
			}
		}
		l, err := reg.Browse(ctx, c, registry.RepositoryQuery{Limit: 100})
		if err != nil && errs.CodeOf(err) != errs.Denied {
			t.Errorf("%s: %v", name, err)
		}
		for _, s := range l.Repositories {
			got = append(got, s.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
