package meta_test

import (
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/rule"
)

// own makes repositories that take pushes.
func own(t *testing.T, db *meta.DB, names ...string) {
	t.Helper()
	for _, n := range names {
		check(t, db.CreateRepository(t.Context(), meta.Repository{Name: n, Created: at(0)}))
	}
}

func push(t *testing.T, db *meta.DB, repo, s string, edges []string, tags ...string) error {
	t.Helper()
	m, e := manifest(t, s, edges...)
	return db.PutImage(t.Context(), meta.Push{Repository: repo, Manifest: m, Edges: e, Tags: tags, At: at(1)})
}

// upload puts a blob into a repository as a push does.
func upload(t *testing.T, db *meta.DB, repo, s string) {
	t.Helper()
	ctx := t.Context()
	check(t, db.PutUpload(ctx, meta.Upload{ID: "id-" + s, Repository: repo, Algorithm: digest.SHA256, Started: at(0), Updated: at(0)}))
	check(t, db.Claim(ctx, name(s), at(1)))
	check(t, db.FinishUpload(ctx, repo, "id-"+s, name(s), 10, at(1)))
}

func testUploads(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	own(t, db, "r", "s")
	u := meta.Upload{ID: "b", Repository: "r", Algorithm: digest.SHA256, Started: at(1), Updated: at(1)}
	check(t, db.PutUpload(ctx, u))
	diff(t, "new upload", u, must(db.Upload(ctx, "r", "b"))(t))

	u.Size, u.Hash, u.Updated = 7, []byte{0, 1, 255}, at(2)
	u.Parts, u.LastPart, u.ShortParts = 3, 2, 1
	check(t, db.PutUpload(ctx, u))
	diff(t, "upload", u, must(db.Upload(ctx, "r", "b"))(t))

	wantCode(t, "another repository's", errs.UploadUnknown, func() error { _, err := db.Upload(ctx, "s", "b"); return err }())
	wantCode(t, "deletion of another repository's", errs.UploadUnknown, db.DeleteUpload(ctx, "s", "b"))
	stolen := u
	stolen.Repository = "s"
	wantCode(t, "put of another repository's", errs.UploadUnknown, db.PutUpload(ctx, stolen))
	for _, id := range []string{"", "x", "a\x00b", "\xff", string(make([]byte, 65))} {
		wantCode(t, "no ID", errs.UploadUnknown, func() error { _, err := db.Upload(ctx, "r", id); return err }())
	}

	a := meta.Upload{ID: "a", Repository: "s", Algorithm: digest.SHA512, Started: at(3), Updated: at(3)}
	check(t, db.PutUpload(ctx, a))
	diff(t, "all", []meta.Upload{a, u}, must(db.Uploads(ctx, "", 10))(t))
	diff(t, "page", []meta.Upload{u}, must(db.Uploads(ctx, "a", 10))(t))
	diff(t, "idle", []meta.Upload{u}, must(db.IdleUploads(ctx, at(3), 10))(t))

	wantCode(t, "not claimed", errs.Unavailable, db.FinishUpload(ctx, "r", "b", name("l"), 7, at(4)))
	must(db.Upload(ctx, "r", "b"))(t)
	check(t, db.Claim(ctx, name("l"), at(4)))
	check(t, db.FinishUpload(ctx, "r", "b", name("l"), 7, at(4)))
	diff(t, "blob", rule.Blob{Linked: true, Held: true, Size: 7}, must(db.Blob(ctx, "r", name("l")))(t))
	wantCode(t, "twice", errs.UploadUnknown, db.FinishUpload(ctx, "r", "b", name("l"), 7, at(4)))

	gone := meta.Upload{ID: "c", Repository: "nowhere", Algorithm: digest.SHA256}
	wantCode(t, "no repository", errs.RepoUnknown, db.PutUpload(ctx, gone))

	a.Size, a.Updated = 9, at(5)
	check(t, db.SaveUpload(ctx, a))
	diff(t, "saved", a, must(db.Upload(ctx, "s", "a"))(t))
	diff(t, "of a repository", []string{"a"}, must(db.UploadsOf(ctx, "s"))(t))
	must(db.DeleteRepository(ctx, "s", false))(t)
	wantCode(t, "saved after its repository", errs.UploadUnknown, db.SaveUpload(ctx, a))
	own(t, db, "s")
	_, err := db.Upload(ctx, "s", "a")
	wantCode(t, "in another repository of that name", errs.UploadUnknown, err)
	wantCode(t, "finished there", errs.UploadUnknown, db.FinishUpload(ctx, "s", "a", name("l"), 7, at(6)))
}

func testMount(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	own(t, db, "r", "s", "t")
	upload(t, db, "r", "l")
	mount := func(to, from, s string) bool {
		t.Helper()
		return must(db.Mount(ctx, to, from, name(s), at(2)))(t)
	}
	diff(t, "from one that has not", false, mount("s", "t", "l"))
	diff(t, "from one that is not", false, mount("s", "nowhere", "l"))
	diff(t, "what nobody has", false, mount("s", "r", "x"))
	diff(t, "nothing is linked", false, must(db.Blob(ctx, "s", name("l")))(t).Linked)
	diff(t, "mount", true, mount("s", "r", "l"))
	diff(t, "again", true, mount("s", "r", "l"))
	diff(t, "linked", true, must(db.Blob(ctx, "s", name("l")))(t).Linked)
	diff(t, "in", []string{"r", "s"}, must(db.LinkedIn(ctx, name("l"), 10))(t))
	_, err := db.Mount(ctx, "nowhere", "r", name("l"), at(2))
	wantCode(t, "into nothing", errs.RepoUnknown, err)

	check(t, db.DeleteLink(ctx, "r", name("l")))
	wantCode(t, "twice", errs.BlobUnknown, db.DeleteLink(ctx, "r", name("l")))
	diff(t, "in after", []string{"s"}, must(db.LinkedIn(ctx, name("l"), 10))(t))
	diff(t, "unlinked", rule.Blob{Held: true, Size: 10}, must(db.Blob(ctx, "r", name("l")))(t))
	diff(t, "from where it was", false, mount("t", "r", "l"))
	check(t, db.DropBlob(ctx, name("l")))
	diff(t, "what is not held", false, mount("t", "s", "l"))
}

// testPutImage: what registries need not have is not asked for, and not given.
func testPutImage(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	own(t, db, "r", "s")
	wantCode(t, "unknown repository", errs.RepoUnknown, push(t, db, "nowhere", "m", nil, "v1"))
	upload(t, db, "r", "c")
	upload(t, db, "s", "l")
	wantCode(t, "a layer of another's", errs.ManifestBlobUnknown, push(t, db, "r", "m", []string{"config c", "layer l"}, "v1"))
	_, err := db.Manifest(ctx, "r", name("m"))
	wantCode(t, "nothing came of it", errs.ManifestUnknown, err)
	_, err = db.Tag(ctx, "r", "v1")
	wantCode(t, "nor a tag", errs.ManifestUnknown, err)

	check(t, push(t, db, "s", "x", []string{"layer l"}))
	m, e := manifest(t, "w", "config c", "layer l")
	e.List[1].MediaType = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	check(t, db.PutImage(ctx, meta.Push{Repository: "r", Manifest: m, Edges: e, Tags: []string{"w"}, At: at(1)}))
	diff(t, "a foreign layer is not served", false, must(db.Blob(ctx, "r", name("l")))(t).Linked)

	must(db.Mount(ctx, "r", "s", name("l"), at(1)))(t)
	check(t, push(t, db, "r", "m", []string{"config c", "layer l"}, "v1", "v2"))
	diff(t, "tag", rule.Tag{Digest: name("m"), Complete: name("m"), Checked: at(1)}, must(db.Tag(ctx, "r", "v1"))(t))
	check(t, push(t, db, "r", "i", []string{"child m linux/amd64", "child elsewhere linux/arm64"}, "i"))
	diff(t, "tags", []string{"i", "v1", "v2", "w"}, must(db.Tags(ctx, "r", "", 10))(t))
}

func testImmutable(t *testing.T, o meta.Options) {
	tests := []struct {
		mutability string
		exclusions []string
		tag        string
		immutable  bool
	}{
		{rule.Mutable, nil, "v1", false},
		{rule.Immutable, nil, "v1", true},
		{rule.ImmutableWithExclusion, []string{"dev*"}, "v1", true},
		{rule.ImmutableWithExclusion, []string{"x", "dev*"}, "dev-1", false},
		{rule.MutableWithExclusion, []string{"v*"}, "v1", true},
		{rule.MutableWithExclusion, []string{"v*"}, "dev", false},
	}
	db := open(t, o)
	own(t, db, "r")
	for i, tt := range tests {
		tag := tt.tag + string(rune('a'+i))
		check(t, func() error { _, err := db.PutMutability(t.Context(), "r", tt.mutability, tt.exclusions); return err }())
		check(t, push(t, db, "r", "m1", nil, tag))
		check(t, push(t, db, "r", "m1", nil, tag)) // the same again changes nothing
		want := errs.Internal
		if tt.immutable {
			want = errs.TagImmutable
		}
		if err := push(t, db, "r", "m2", nil, tag, "other"+tag); errs.CodeOf(err) != want {
			t.Errorf("%s %v: %v", tt.mutability, tt.exclusions, err)
		}
		if _, err := db.Tag(t.Context(), "r", "other"+tag); (err == nil) == tt.immutable {
			t.Errorf("%s: the other tag: %v", tt.mutability, err)
		}
		// Who may delete an immutable tag may give it anew.
		must(db.DeleteTag(t.Context(), "r", tag, at(2)))(t)
		check(t, push(t, db, "r", "m2", nil, tag))
	}
}

func testDelete(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	own(t, db, "r", "s")
	check(t, push(t, db, "r", "m1", nil, "v1", "v2"))
	check(t, push(t, db, "r", "m2", nil, "v1"))
	diff(t, "complete", name("m2"), must(db.Tag(ctx, "r", "v1"))(t).Complete)

	_, err := db.DeleteTag(ctx, "s", "v1", at(2))
	wantCode(t, "another repository's tag", errs.ManifestUnknown, err)
	_, err = db.DeleteTag(ctx, "nowhere", "v1", at(2))
	wantCode(t, "no repository", errs.RepoUnknown, err)
	diff(t, "was", name("m2"), must(db.DeleteTag(ctx, "r", "v1", at(2)))(t))
	_, err = db.Tag(ctx, "r", "v1")
	wantCode(t, "deleted", errs.ManifestUnknown, err)
	must(db.Manifest(ctx, "r", name("m2")))(t)
	moves := []rule.Move{{From: name("m2"), At: at(2)}, {From: name("m1"), To: name("m2"), At: at(1)}, {To: name("m1"), At: at(1)}}
	diff(t, "history", moves, must(db.History(ctx, "r", "v1", 10))(t))
	check(t, push(t, db, "r", "m1", nil, "v1"))
	diff(t, "history of the new one", append([]rule.Move{{To: name("m1"), At: at(1)}}, moves...), must(db.History(ctx, "r", "v1", 10))(t))

	check(t, push(t, db, "r", "i", []string{"child m1 linux/amd64"}, "i"))
	_, err = db.DeleteManifest(ctx, "r", name("m1"), at(3))
	wantCode(t, "an index's child", errs.ImageReferenced, err)
	must(db.Tag(ctx, "r", "v1"))(t)
	diff(t, "tags of the index", []string{"i"}, must(db.DeleteManifest(ctx, "r", name("i"), at(3)))(t))
	diff(t, "tags of the child", []string{"v1", "v2"}, must(db.DeleteManifest(ctx, "r", name("m1"), at(3)))(t))
	_, err = db.Manifest(ctx, "r", name("m1"))
	wantCode(t, "deleted manifest", errs.ManifestUnknown, err)
	_, err = db.DeleteManifest(ctx, "r", name("m1"), at(3))
	wantCode(t, "twice", errs.ManifestUnknown, err)
	diff(t, "what is left", []meta.ImageID{{Digest: name("m2")}}, first(db.ImageIDs(ctx, "r", meta.Which{}, meta.ImageID{}, 10))(t))

	// Deleted by one process, a manifest is remembered by none.
	if o.URL != "" {
		other := open(t, o)
		must(other.Manifest(ctx, "r", name("m2")))(t)
		must(db.DeleteManifest(ctx, "r", name("m2"), at(3)))(t)
		_, err = other.Manifest(ctx, "r", name("m2"))
		wantCode(t, "deleted by another process", errs.ManifestUnknown, err)
	}
}

// testDeleteComplete: a tag's last whole image may be deleted, and is forgotten.
func testDeleteComplete(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	putManifest(t, db, "r", "t", 1, "old")
	m, e := manifest(t, "new", "layer l")
	must(db.PutManifest(ctx, "r", m, e, "t", at(2)))(t)
	diff(t, "complete", name("old"), must(db.Tag(ctx, "r", "t"))(t).Complete)
	must(db.DeleteManifest(ctx, "r", name("old"), at(3)))(t)
	diff(t, "complete after", digest.Digest(""), must(db.Tag(ctx, "r", "t"))(t).Complete)
}

// An image that lost a blob is not the last whole one any more, nor is an index with it.
func testDeleteLink(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	own(t, db, "r")
	upload(t, db, "r", "a")
	upload(t, db, "r", "b")
	check(t, push(t, db, "r", "image", []string{"layer a"}, "image"))
	check(t, push(t, db, "r", "index", []string{"child image"}, "index"))
	check(t, push(t, db, "r", "other", []string{"layer b"}, "other"))
	whole := func() (is []string) {
		for _, tag := range []string{"image", "index", "other"} {
			if must(db.Tag(ctx, "r", tag))(t).Complete != "" {
				is = append(is, tag)
			}
		}
		return is
	}
	diff(t, "whole", []string{"image", "index", "other"}, whole())
	check(t, db.DeleteLink(ctx, "r", name("a")))
	diff(t, "whole without a", []string{"other"}, whole())
	wantCode(t, "again", errs.BlobUnknown, db.DeleteLink(ctx, "r", name("a")))
	upload(t, db, "r", "a")
	diff(t, "whole again", []string{"image", "index", "other"}, whole())
}

// What an upstream said of a tag before it became immutable, or was pushed, comes too late.
func testPullImmutable(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	check(t, db.CreateRepository(ctx, meta.Repository{Name: "r", Kind: meta.Cached, Created: at(0)}))
	putManifest(t, db, "r", "v", 1, "one")
	must(db.PutMutability(ctx, "r", rule.Immutable, nil))(t)
	m, e := manifest(t, "two")
	_, err := db.PutManifest(ctx, "r", m, e, "v", at(2))
	wantCode(t, "a move", errs.TagImmutable, err)
	diff(t, "tag", name("one"), must(db.Tag(ctx, "r", "v"))(t).Digest)
	_, err = db.Manifest(ctx, "r", m.Digest)
	wantCode(t, "the other manifest", errs.ManifestUnknown, err)
	putManifest(t, db, "r", "v", 3, "one")
	putManifest(t, db, "r", "w", 3, "two")
	putManifest(t, db, "r", "", 3, "three")
}
