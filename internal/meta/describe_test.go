package meta_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

func testDescribeRepositories(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	want := []meta.Repository{}
	for i, name := range []string{"a", "a-b", "a/b", "b"} {
		putManifest(t, db, name, "", i, "m")
		putManifest(t, db, name, "", i+100, "later")
		want = append(want, meta.Repository{Name: name, Created: at(i), Kind: meta.Cached, Mutability: rule.Mutable})
	}
	for limit := 1; limit <= 5; limit++ {
		var got []meta.Repository
		for after := ""; ; after = got[len(got)-1].Name {
			page := must(db.DescribeRepositories(ctx, after, limit))(t)
			if got = append(got, page...); len(page) < limit {
				break
			}
		}
		diff(t, "repositories by pages", want, got)
	}
	diff(t, "one", want[2], must(db.DescribeRepository(ctx, "a/b"))(t))
	_, err := db.DescribeRepository(ctx, "a/c")
	wantCode(t, "unknown", errs.RepoUnknown, err)
	_, err = db.DescribeRepository(ctx, "A")
	wantCode(t, "malformed", errs.NameInvalid, err)
	_, err = db.DescribeRepositories(ctx, "\x00", 1)
	wantCode(t, "no text", errs.ParamInvalid, err)
}

// fill stores an image with two tags, an index of it, something about it, and the same
// in another repository.
func fill(t *testing.T, db *meta.DB) {
	t.Helper()
	for _, repo := range []string{"r", "r2"} {
		putManifest(t, db, repo, "", 1, "amd", "config c", "layer l1", "layer l2", "layer l1")
		putManifest(t, db, repo, "", 2, "arm", "config c", "layer l1")
		putManifest(t, db, repo, "1", 3, "idx", "child amd linux/amd64", "child arm linux/arm64", "child absent linux/s390x")
		putManifest(t, db, repo, "latest", 4, "idx")
		putManifest(t, db, repo, "", 5, "about", "config c", "layer l3", "subject amd")
	}
	putManifest(t, db, "r2", "other", 9, "amd")
}

func testImages(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	fill(t, db)
	image := func(s string, n int, size int64) meta.Image {
		return meta.Image{Digest: name(s), MediaType: oci.MediaTypeManifest, Size: size, ConfigType: "application/config", Stored: at(n), Pulled: at(n)}
	}
	amd, arm, idx, about := image("amd", 1, 30), image("arm", 2, 20), image("idx", 3, 30), image("about", 5, 20)
	idx.MediaType, idx.ConfigType, idx.Tags = oci.MediaTypeIndex, "", []string{"1", "latest"}
	about.Subject = name("amd")
	byDigest := func(images ...meta.Image) []meta.Image {
		slices.SortFunc(images, func(a, b meta.Image) int {
			if a.Digest < b.Digest {
				return -1
			}
			return 1
		})
		return images
	}
	for which, want := range map[meta.Tagged][]meta.Image{
		meta.AnyImages: byDigest(amd, arm, idx, about), meta.TaggedImages: {idx}, meta.UntaggedImages: byDigest(amd, arm, about),
	} {
		for limit := 1; limit <= 5; limit++ {
			var got []meta.Image
			for after := digest.Digest(""); ; after = got[len(got)-1].Digest {
				page := first(db.Images(ctx, "r", meta.Which{Tagged: which}, after, limit))(t)
				if got = append(got, page...); len(page) < limit {
					break
				}
			}
			diff(t, string(which)+" images by pages", want, got)
		}
	}
	diff(t, "one", idx, must(db.Image(ctx, "r", idx.Digest))(t))
	_, err := db.Image(ctx, "r", name("none"))
	wantCode(t, "unknown", errs.ManifestUnknown, err)
	_, err = db.Image(ctx, "r", "sha256:1")
	wantCode(t, "malformed digest", errs.DigestInvalid, err)
	_, _, err = db.Images(ctx, "R", meta.Which{}, "", 1)
	wantCode(t, "malformed name", errs.NameInvalid, err)
	diff(t, "no repository, no images", 0, len(first(db.Images(ctx, "none", meta.Which{}, "", 9))(t)))
	db.Touch("r", "1", idx.Digest, at(60))
	check(t, db.Close())
	diff(t, "pulled", at(60), must(open(t, o).Image(ctx, "r", idx.Digest))(t).Pulled)
}

// first is must for what says how far it looked, too.
func first[T, L any](v T, _ L, err error) func(*testing.T) T { return must(v, err) }

// Few among very many: no page looks at all of them, and no image is left out or
// comes twice.
func testFewImages(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	const n = 2*4096 + 10
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("sha256:%064x", i))
	}
	putManifest(t, db, "r", "", 1, "m")
	must(db.Pool().ExecContext(ctx, `DELETE FROM edges`))(t)
	must(db.Pool().ExecContext(ctx, `DELETE FROM manifests`))(t)
	for batch := range slices.Chunk(all, 500) {
		rows := make([]string, len(batch))
		for i, d := range batch {
			rows[i] = "('r', '" + d + "', '', 1, 1, '')"
		}
		text := strings.Join(rows, ", ")
		if o.URL == "" {
			text = strings.ReplaceAll(text, "''", "x''")
		}
		must(db.Pool().ExecContext(ctx, `INSERT INTO manifests (repository, digest, media_type, stored_at, pulled_at, raw) VALUES `+text))(t)
	}
	tagged := []string{all[0], all[4096], all[4097], all[n-1]}
	for i, d := range tagged {
		for _, tag := range []string{"a", "b"} {
			must(db.Pool().ExecContext(ctx, fmt.Sprintf(`INSERT INTO tags (repository, tag, digest, complete, checked_at, pulled_at, orphaned) VALUES ('r', '%s%d', '%s', '', 1, 1, %s)`,
				tag, i, d, map[bool]string{true: "0", false: "FALSE"}[o.URL == ""])))(t)
		}
	}
	for _, limit := range []int{1, 2, 3, 100} {
		var got []string
		pages := 0
		for after, more := digest.Digest(""), true; more; pages++ {
			images, looked, err := db.Images(ctx, "r", meta.Which{Tagged: meta.TaggedImages}, after, limit)
			check(t, err)
			for _, m := range images {
				got = append(got, string(m.Digest))
				diff(t, "tags", 2, len(m.Tags))
			}
			if after, more = looked, looked != ""; len(images) == limit {
				after, more = images[limit-1].Digest, true
			}
		}
		diff(t, fmt.Sprintf("images by %d", limit), tagged, got)
		if limit == 100 {
			diff(t, "pages", 3, pages)
		}
		got = nil
		for after, more := (meta.ImageID{}), true; more; {
			ids, looked, err := db.ImageIDs(ctx, "r", meta.Which{Tagged: meta.TaggedImages}, after, limit)
			check(t, err)
			for _, id := range ids {
				got = append(got, string(id.Digest))
			}
			if after, more = looked, looked != (meta.ImageID{}); len(ids) == limit {
				after, more = ids[limit-1], true
			}
		}
		diff(t, fmt.Sprintf("names by %d", limit), slices.Concat(slices.Repeat(tagged[:1], 2), slices.Repeat(tagged[1:2], 2), slices.Repeat(tagged[2:3], 2), slices.Repeat(tagged[3:], 2)), got)
	}
	few := 0
	for after, more := digest.Digest(""), true; more; {
		images, looked, err := db.Images(ctx, "r", meta.Which{Tagged: meta.UntaggedImages}, after, 1000)
		check(t, err)
		few += len(images)
		if after, more = looked, looked != ""; len(images) == 1000 {
			after, more = images[999].Digest, true
		}
	}
	diff(t, "images without a tag", n-len(tagged), few)
}

// What a manifest says of sizes is foreign, and a sum of it must not overflow.
func testImageSizes(t *testing.T, o meta.Options) {
	db := open(t, o)
	m, _ := manifest(t, "m")
	var e oci.Edges
	for i := range 5 {
		e.List = append(e.List, oci.Edge{Kind: oci.EdgeLayer, Descriptor: oci.Descriptor{Digest: name(string(rune('a' + i))), Size: math.MaxInt64}})
	}
	must(db.PutManifest(t.Context(), "r", m, e, "", time.Time{}))(t)
	putManifest(t, db, "r", "", 1, "idx", "child m linux/amd64")
	putManifest(t, db, "r", "", 1, "bare")
	for s, want := range map[string]int64{"m": 5 << 46, "idx": 5 << 46, "bare": 0} {
		diff(t, "size of "+s, want, must(db.Image(t.Context(), "r", name(s)))(t).Size)
	}
}

func testImageIDs(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	fill(t, db)
	order := []meta.ImageID{{Digest: name("amd")}, {Digest: name("arm")}, {Digest: name("about")}, {Digest: name("idx"), Tag: "1"}, {Digest: name("idx"), Tag: "latest"}}
	slices.SortStableFunc(order, func(a, b meta.ImageID) int {
		if a.Digest < b.Digest {
			return -1
		} else if a.Digest > b.Digest {
			return 1
		}
		return 0
	})
	for _, which := range []meta.Tagged{meta.AnyImages, meta.TaggedImages, meta.UntaggedImages} {
		var want []meta.ImageID
		for _, id := range order {
			if which == meta.AnyImages || (which == meta.TaggedImages) == (id.Tag != "") {
				want = append(want, id)
			}
		}
		for limit := 1; limit <= 6; limit++ {
			var got []meta.ImageID
			for after := (meta.ImageID{}); ; after = got[len(got)-1] {
				page := first(db.ImageIDs(ctx, "r", meta.Which{Tagged: which}, after, limit))(t)
				if got = append(got, page...); len(page) < limit {
					break
				}
			}
			diff(t, string(which)+" names by pages", want, got)
		}
	}
	_, _, err := db.ImageIDs(ctx, "r", meta.Which{}, meta.ImageID{Tag: "\xff"}, 1)
	wantCode(t, "no text", errs.ParamInvalid, err)
}
