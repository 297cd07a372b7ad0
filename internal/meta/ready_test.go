package meta_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
)

// ships is a set of manifests, each with its edges, that the tests below hold in part.
// old and new are two states of one tag with two platforms and an attestation.
var ships = map[string][]string{
	"old":       {"child old-amd linux/amd64", "child old-arm linux/arm64/v8", "child old-att unknown/unknown"},
	"old-amd":   {"config oac", "layer base", "layer oal"},
	"old-arm":   {"config orc", "layer orl"},
	"old-att":   {"config otc", "layer otl"},
	"new":       {"child new-amd linux/amd64", "child new-arm linux/arm64/v8", "child new-s390 linux/s390x", "child new-att unknown/unknown"},
	"new-amd":   {"config nac", "layer base", "layer nal"},
	"new-arm":   {"config nrc", "layer nrl"},
	"new-s390":  {"config nsc", "layer nsl"},
	"new-att":   {"config ntc", "layer ntl"},
	"s390-only": {"child new-s390 linux/s390x"},

	"plain":   {"config pc", "layer pl", "layer pl", "subject old"},
	"nothing": {},
	"about":   {"subject old"},

	"no-platform":   {"child old-amd", "child old-arm"},
	"attestations":  {"child old-att unknown/unknown", "child new-att unknown/unknown"},
	"mixed":         {"child old-amd linux/amd64", "child new-amd"},
	"nested":        {"child old", "child plain"},
	"nested-2":      {"child nested linux/amd64"},
	"itself":        {"child itself linux/amd64", "child old-amd linux/amd64"},
	"windows-old":   {"child old-amd windows/amd64 10.0.17763.100", "child old-arm windows/amd64 10.0.20348.100"},
	"windows-new":   {"child new-amd windows/amd64 10.0.20348.200", "child new-arm windows/amd64 10.0.17763.200"},
	"two-alike-old": {"child old-amd linux/amd64", "child old-arm linux/amd64"},
	"two-alike-new": {"child new-amd linux/amd64", "child new-arm linux/amd64"},
}

// hold puts things into repository r: manifests of ships, all else as blobs that are
// held and linked, "-x" as a blob that is held only, "~x" as one that was dropped.
func hold(t *testing.T, db *meta.DB, things string) {
	t.Helper()
	for thing := range strings.FieldsSeq(things) {
		bare := strings.TrimLeft(thing, "-~")
		edges, isManifest := ships[thing]
		switch {
		case isManifest:
			putManifest(t, db, "r", "", 0, thing, edges...)
		case strings.HasPrefix(thing, "-"):
			putBlob(t, db, bare, 0)
		case strings.HasPrefix(thing, "~"):
			putBlob(t, db, bare, 0, "r")
			check(t, db.DropBlob(t.Context(), name(bare)))
		default:
			putBlob(t, db, thing, 0, "r")
		}
	}
}

// names tells what edges lead to, as "layer base child new-amd".
func names(edges []oci.Edge) string {
	known := map[digest.Digest]string{}
	for m, list := range ships {
		known[name(m)] = m
		for _, e := range list {
			thing := strings.Fields(e)[1]
			known[name(thing)] = thing
		}
	}
	var words []string
	for _, e := range edges {
		words = append(words, string(e.Kind), known[e.Digest])
	}
	return strings.Join(words, " ")
}

const (
	oldAmd = "old old-amd oac base oal "
	oldArm = "old old-arm orc orl "
	newAmd = "new new-amd nac base nal "
)

func testMissing(t *testing.T, o meta.Options) {
	db := open(t, o)
	for _, tt := range []struct {
		name    string
		held    string
		d, like string
		want    string
	}{
		{"nothing is held", "", "plain", "", "child plain"},
		{"image without blobs", "nothing", "nothing", "", ""},
		{"subjects do not count", "about", "about", "", ""},
		{"image, nothing of it", "plain", "plain", "", "config pc layer pl layer pl"},
		{"image, config only", "plain pc", "plain", "", "layer pl layer pl"},
		{"image, layers only", "plain pl", "plain", "", "config pc"},
		{"image, held but not linked", "plain pc -pl", "plain", "", "layer pl layer pl"},
		{"image, linked but dropped", "plain pc ~pl", "plain", "", "layer pl layer pl"},
		{"image, whole", "plain pc pl", "plain", "", ""},
		{"image, manifest not held", "pc pl", "plain", "", "child plain"},
		{"image, whole, like an index", oldAmd + "plain pc pl", "plain", "old", ""},
		{"image, torn, like an index", oldAmd + "plain pc", "plain", "old", "layer pl layer pl"},

		{"index, no child held", "old", "old", "", "child old-amd child old-arm"},
		{"index, one child whole", oldAmd, "old", "", ""},
		{"index, one child torn", "old old-amd oac base", "old", "", "layer oal"},
		{"index, one whole and one torn", oldAmd + "old-arm orc", "old", "", ""},
		{"index, two torn", "old old-amd old-arm base", "old", "", "config oac layer oal config orc layer orl"},
		{"index, both whole", oldAmd + oldArm, "old", "", ""},
		{"index, torn attestation does not matter", oldAmd + "old-att otc", "old", "", ""},
		{"index, a whole attestation is not enough", "old old-att otc otl", "old", "", "child old-amd child old-arm"},
		{"index, child held in another repository", "old oac base oal", "old", "", "child old-amd child old-arm"},
		{"index of nothing else than attestations", "attestations old-att otc otl new-att", "attestations", "", ""},
		{"index of attestations, none whole", "attestations old-att otc", "attestations", "", "layer otl"},
		{"no platforms, one whole, one torn", "no-platform old-amd oac base oal old-arm", "no-platform", "", ""},
		{"no platforms, one torn", "no-platform old-arm orc", "no-platform", "", "layer orl"},
		{"no platforms, none held", "no-platform", "no-platform", "", "child old-amd child old-arm"},
		{"with and without platform", "mixed new-amd nac base nal old-amd", "mixed", "", ""},

		{"like: the platform in use is absent", oldAmd + "new", "new", "old", "child new-amd"},
		{"like: the platform in use is torn", oldAmd + "new new-amd nac", "new", "old", "layer nal"},
		{"like: the platform in use is whole", oldAmd + newAmd, "new", "old", ""},
		{"like: another is torn, but not in use", oldAmd + newAmd + "new-arm nrc", "new", "old", ""},
		{"like: another is whole, that in use is not", oldAmd + "new new-s390 nsc nsl", "new", "old", "child new-amd"},
		{"like: two in use, one absent", oldAmd + oldArm + newAmd, "new", "old", "child new-arm"},
		{"like: two in use, both absent", oldAmd + oldArm + "new", "new", "old", "child new-amd child new-arm"},
		{"like: two in use, both whole", oldAmd + oldArm + newAmd + "new-arm nrc nrl", "new", "old", ""},
		{"like: an attestation is not in use", oldAmd + "old-att otc otl " + newAmd + "new-att", "new", "old", ""},
		{"like: what is in use is no more, nothing else", oldAmd + "s390-only", "s390-only", "old", "child new-s390"},
		{"like: what is in use is no more, another is whole", oldAmd + "s390-only new-s390 nsc nsl", "s390-only", "old", ""},
		{"like: nothing of it is whole", "old old-amd " + newAmd, "new", "old", ""},
		{"like: nothing of it is whole, another is only begun", "old old-amd " + newAmd + "new-arm nrc", "new", "old", ""},
		{"like: it is not held", newAmd + "new-arm", "new", "old", ""},
		{"like: an image", "plain pc pl " + newAmd, "new", "plain", ""},
		{"like: itself, whole", oldAmd, "old", "old", ""},
		{"like: itself, second torn", oldAmd + "old-arm", "old", "old", ""},

		{"windows: the build decides", "windows-old old-amd oac base oal windows-new", "windows-new", "windows-old", "child new-arm"},
		{"windows: the other build", "windows-old old-arm orc orl windows-new", "windows-new", "windows-old", "child new-amd"},
		{"of two alike the first stays the first", "two-alike-old old-amd oac base oal two-alike-new", "two-alike-new", "two-alike-old", "child new-amd"},
		{"of two alike the second stays the second", "two-alike-old old-arm orc orl two-alike-new", "two-alike-new", "two-alike-old", "child new-arm"},

		{"nested: nothing inside", "nested", "nested", "", "child old child plain"},
		{"nested: inner index held only", "nested old", "nested", "", "child old-amd child old-arm"},
		{"nested: inner whole", "nested " + oldAmd, "nested", "", ""},
		{"nested: image beside it whole", "nested old plain pc pl", "nested", "", ""},
		{"nested twice", "nested-2 nested " + oldAmd, "nested-2", "", ""},
		{"nested twice, torn", "nested-2 nested old old-amd oac base", "nested-2", "", "layer oal"},
		{"an index that names itself ends", "itself old-amd oac base oal", "itself", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			empty(t, db)
			hold(t, db, tt.held)
			like := digest.Digest("")
			if tt.like != "" {
				like = name(tt.like)
			}
			diff(t, "missing", tt.want, names(must(db.Missing(t.Context(), "r", name(tt.d), like))(t)))
		})
	}
}

// empty empties the database, which is quicker than to make a new one.
func empty(t *testing.T, db *meta.DB) {
	t.Helper()
	for _, table := range []string{"tag_history", "tags", "links", "blobs", "edges", "manifests", "repositories"} {
		if _, err := db.Pool().ExecContext(t.Context(), "DELETE FROM "+table); err != nil {
			t.Fatal(err)
		}
	}
	db.DropCaches()
}

// testComplete walks tags through what happens to them, and looks at complete after
// each step.
func testComplete(t *testing.T, o meta.Options) {
	type step struct {
		do   string // "tag m": tag t becomes m; else as in hold
		want string // complete
	}
	db := open(t, o)
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"image", []step{{"tag plain", ""}, {"pc", ""}, {"pl", "plain"}}},
		{"image that is whole already", []step{{"plain pc pl", ""}, {"tag plain", "plain"}}},
		{"image that needs nothing", []step{{"tag nothing", "nothing"}}},
		{"index, top down", []step{{"tag old", ""}, {"old-amd", ""}, {"oac", ""}, {"base", ""}, {"oal", "old"}, {"old-arm", "old"}, {"orc orl", "old"}}},
		{"index, bottom up", []step{{"oac base oal", ""}, {"old-amd", ""}, {"tag old", "old"}}},
		{"manifest last", []step{{"tag old", ""}, {"oac base oal", ""}, {"old-amd", "old"}}},
		{"attestation alone", []step{{"tag old", ""}, {"old-att otc otl", ""}, {"old-amd oac base oal", "old"}}},
		{"second platform only looked at", []step{{"tag old", ""}, {"old-amd old-arm orc oac base", ""}, {"oal", "old"}, {"orl", "old"}}},
		{"move: torn, then whole", []step{
			{"tag old", ""}, {oldAmd, "old"}, {"tag new", "old"}, {"new-amd nac", "old"}, {"nal", "new"}}},
		{"move: whole another platform first", []step{
			{"tag old", ""}, {oldAmd, "old"}, {"tag new", "old"}, {"new-s390 nsc nsl", "old"}, {"new-amd nac nal", "new"}}},
		{"move: both platforms in use", []step{
			{"tag old", ""}, {oldAmd, "old"}, {oldArm, "old"}, {"tag new", "old"}, {newAmd, "old"}, {"new-arm nrc nrl", "new"}}},
		{"move and back", []step{{"tag old", ""}, {oldAmd, "old"}, {"tag new", "old"}, {"tag old", "old"}}},
		{"move twice", []step{{"tag old", ""}, {oldAmd, "old"}, {"tag new", "old"}, {"tag plain", "old"}, {"nac new-amd nal", "old"}, {"pc pl", "plain"}}},
		{"move to what is whole", []step{{"tag old", ""}, {oldAmd + newAmd, "old"}, {"tag new", "new"}}},
		{"held only", []step{{"tag plain", ""}, {"-pc -pl", ""}, {"pc", ""}, {"pl", "plain"}}},
		{"dropped before the end", []step{{"tag plain", ""}, {"~pc", ""}, {"pl", ""}, {"pc", "plain"}}},
		{"dropped after the end: it was complete", []step{{"tag plain", ""}, {"pc pl", "plain"}, {"~pl", "plain"}}},
		{"the old one is dropped before the new one comes", []step{{"tag old", ""}, {oldAmd, "old"}, {"tag new", "old"}, {"~oal", "old"}, {"new-s390 nsc nsl", "new"}}},
		{"nested", []step{{"tag nested-2", ""}, {"nested", ""}, {oldAmd, "nested-2"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			empty(t, db)
			for n, s := range tt.steps {
				if m, ok := strings.CutPrefix(s.do, "tag "); ok {
					putManifest(t, db, "r", "t", n, m, ships[m]...)
				} else {
					hold(t, db, s.do)
				}
				want := digest.Digest("")
				if s.want != "" {
					want = name(s.want)
				}
				tag, err := db.Tag(t.Context(), "r", "t")
				if err != nil && n > 0 && strings.HasPrefix(tt.steps[0].do, "tag") {
					t.Fatal(err)
				}
				if tag.Complete != want {
					t.Fatalf("after %q complete is %s, want %s", s.do, names([]oci.Edge{{Descriptor: oci.Descriptor{Digest: tag.Complete}}}), s.want)
				}
			}
		})
	}
}

// testCompleteElsewhere finishes an image of several repositories and tags at once.
func testCompleteElsewhere(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	for _, repo := range []string{"a", "b", "c"} {
		putManifest(t, db, repo, "one", 0, "plain", ships["plain"]...)
		putManifest(t, db, repo, "two", 0, "plain", ships["plain"]...)
		putManifest(t, db, repo, "other", 0, "old", ships["old"]...)
		putBlob(t, db, "pc", 0, repo)
	}
	complete := func(repo, tag string) bool {
		t.Helper()
		return must(db.Tag(ctx, repo, tag))(t).Complete == name("plain")
	}
	all := func() (s string) {
		t.Helper()
		for _, repo := range []string{"a", "b", "c"} {
			for _, tag := range []string{"one", "two", "other"} {
				if complete(repo, tag) {
					s += repo + ":" + tag + " "
				}
			}
		}
		return s
	}
	diff(t, "before", "", all())
	putBlob(t, db, "pl", 1, "b", "a")
	diff(t, "two repositories", "a:one a:two b:one b:two ", all())
	diff(t, "linked", true, must(db.Link(ctx, "c", name("pl"), at(2)))(t))
	diff(t, "the third by a link", "a:one a:two b:one b:two c:one c:two ", all())
}

// testCompleteShared finishes many images by one layer that all have.
func testCompleteShared(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	const images = 40
	for i := range images {
		config := fmt.Sprintf("c%d", i)
		putManifest(t, db, "r", fmt.Sprintf("t%d", i), 0, fmt.Sprintf("m%d", i), "config "+config, "layer base")
		if i%2 == 0 {
			putBlob(t, db, config, 0, "r")
		}
	}
	putBlob(t, db, "base", 1, "r")
	var got, want []int
	for i := range images {
		if must(db.Tag(ctx, "r", fmt.Sprintf("t%d", i)))(t).Complete != "" {
			got = append(got, i)
		}
		if i%2 == 0 {
			want = append(want, i)
		}
	}
	slices.Sort(got)
	diff(t, "images that are complete", want, got)
}
