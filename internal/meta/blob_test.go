package meta_test

import (
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

func testBlobs(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	want := func(what, repo string, b rule.Blob) {
		t.Helper()
		diff(t, what, b, must(db.Blob(ctx, repo, name("b")))(t))
		diff(t, what+" again", b, must(db.Blob(ctx, repo, name("b")))(t))
	}
	want("nothing known", "r", rule.Blob{Size: -1})
	check(t, db.DropBlob(ctx, name("b")))
	want("dropped unknown", "r", rule.Blob{Size: -1})

	check(t, store(ctx, db, name("b"), 7, false, []string{"r", "s", "r"}, at(1)))
	want("held and linked", "r", rule.Blob{Linked: true, Held: true, Size: 7})
	want("held and linked in the second", "s", rule.Blob{Linked: true, Held: true, Size: 7})
	want("held but not linked", "x", rule.Blob{Held: true, Size: 7})
	diff(t, "repositories", []string{"r", "s"}, must(db.Repositories(ctx, "", 10))(t))

	check(t, store(ctx, db, name("b"), 7, true, nil, at(2)))
	want("public", "r", rule.Blob{Linked: true, Held: true, Public: true, Size: 7})
	check(t, store(ctx, db, name("b"), 7, false, nil, at(3)))
	want("still public", "r", rule.Blob{Linked: true, Held: true, Public: true, Size: 7})

	check(t, db.DropBlob(ctx, name("b")))
	want("dropped", "r", rule.Blob{Linked: true, Public: true, Size: -1})
	want("dropped, not linked", "x", rule.Blob{Public: true, Size: -1})
	check(t, store(ctx, db, name("b"), 7, false, []string{"x"}, at(4)))
	want("back", "r", rule.Blob{Linked: true, Held: true, Public: true, Size: 7})
	want("back and linked", "x", rule.Blob{Linked: true, Held: true, Public: true, Size: 7})
	diff(t, "empty blob", rule.Blob{Size: -1}, must(db.Blob(ctx, "r", digest.FromString("")))(t))
	check(t, store(ctx, db, digest.FromString(""), 0, false, []string{"r"}, at(4)))
	diff(t, "empty blob put", rule.Blob{Linked: true, Held: true}, must(db.Blob(ctx, "r", digest.FromString("")))(t))
	sha512 := digest.SHA512.FromString("b")
	check(t, store(ctx, db, sha512, 7, false, []string{"r"}, at(4)))
	diff(t, "blob by sha512", rule.Blob{Linked: true, Held: true, Size: 7}, must(db.Blob(ctx, "r", sha512))(t))
}

func testBlobSizes(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	put := func(repo, m string, kind oci.EdgeKind, size int64) {
		t.Helper()
		mf, _ := manifest(t, m)
		e := oci.Edges{List: []oci.Edge{{Kind: kind, Descriptor: oci.Descriptor{Digest: name("b"), Size: size}}}}
		must(db.PutManifest(ctx, repo, mf, e, "", at(0)))(t)
	}
	size := func() int64 {
		t.Helper()
		return must(db.Blob(ctx, "r", name("b")))(t).Size
	}
	put("other", "m0", oci.EdgeLayer, 1)
	diff(t, "another repository does not tell", int64(-1), size())
	put("r", "subject", oci.EdgeSubject, 2)
	put("r", "index", oci.EdgeChild, 2)
	diff(t, "a subject's or child's size is not a blob's", int64(-1), size())
	put("r", "m1", oci.EdgeLayer, 3)
	diff(t, "of a layer", int64(3), size())
	put("r", "m2", oci.EdgeConfig, 3)
	diff(t, "two agree", int64(3), size())
	put("r", "m3", oci.EdgeLayer, 4)
	diff(t, "one lies", int64(-1), size())
	check(t, store(ctx, db, name("b"), 5, false, nil, at(1)))
	diff(t, "held", int64(5), size())
}

func testLinks(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	diff(t, "nothing to link", false, must(db.Link(ctx, "r", name("b"), at(1)))(t))
	diff(t, "no repository is made", []string(nil), must(db.Repositories(ctx, "", 10))(t))
	putBlob(t, db, "b", 1)
	diff(t, "held", true, must(db.Link(ctx, "r", name("b"), at(2)))(t))
	diff(t, "linked again", true, must(db.Link(ctx, "r", name("b"), at(3)))(t))
	diff(t, "served", rule.Blob{Linked: true, Held: true, Size: 10}, must(db.Blob(ctx, "r", name("b")))(t))
	diff(t, "served only there", rule.Blob{Held: true, Size: 10}, must(db.Blob(ctx, "s", name("b")))(t))
	check(t, db.DropBlob(ctx, name("b")))
	diff(t, "going", false, must(db.Link(ctx, "s", name("b"), at(4)))(t))
	diff(t, "going, linked before", false, must(db.Link(ctx, "r", name("b"), at(4)))(t))

	// A manifest's word gives nothing.
	for _, kind := range []string{"child", "config", "layer", "subject"} {
		putManifest(t, db, "evil", "", 5, "names it as "+kind, kind+" secret")
	}
	putBlob(t, db, "secret", 5, "private")
	diff(t, "named", rule.Blob{Held: true, Size: 10}, must(db.Blob(ctx, "evil", name("secret")))(t))
}

func testParents(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	putManifest(t, db, "r", "", 0, "index", "child m1", "child m2", "child m1")
	putManifest(t, db, "r", "", 0, "m1", "config c", "layer l")
	putManifest(t, db, "r", "", 0, "m2", "config l", "layer l", "layer l")
	putManifest(t, db, "r", "", 0, "sig", "subject l", "layer s")
	putManifest(t, db, "s", "", 0, "m3", "layer l")
	for _, tt := range []struct {
		digest  string
		parents []string
		kinds   []oci.EdgeKind
	}{
		{"l", []string{"m1", "m2"}, []oci.EdgeKind{"config", "layer", "subject"}},
		{"c", []string{"m1"}, []oci.EdgeKind{"config"}},
		{"m1", []string{"index"}, []oci.EdgeKind{"child"}},
		{"index", nil, nil},
		{"unknown", nil, nil},
	} {
		got := map[digest.Digest]bool{}
		for _, p := range must(db.Parents(ctx, "r", name(tt.digest)))(t) {
			got[p] = true
		}
		want := map[digest.Digest]bool{}
		for _, p := range tt.parents {
			want[name(p)] = true
		}
		diff(t, "parents of "+tt.digest, want, got)
		diff(t, "kinds of "+tt.digest, tt.kinds, must(db.EdgeKinds(ctx, "r", name(tt.digest)))(t))
	}
	diff(t, "parents elsewhere", []digest.Digest(nil), must(db.Parents(ctx, "none", name("l")))(t))
}
