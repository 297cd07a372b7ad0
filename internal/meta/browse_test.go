package meta_test

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

// counted is what a repository comes to by its images, one by one.
func counted(t *testing.T, db *meta.DB, repo string) (total meta.RepositoryTotals) {
	t.Helper()
	for _, m := range first(db.Images(t.Context(), repo, meta.Which{}, "", 1000))(t) {
		total.Images++
		if m.MediaType != oci.MediaTypeIndex {
			total.Bytes += min(m.Size, 1<<40)
		}
		if m.Pulled.After(m.Stored) && m.Pulled.After(total.Pulled) {
			total.Pulled = m.Pulled
		}
	}
	return total
}

func testTotals(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	fill(t, db)
	same := func(what string, want meta.RepositoryTotals) {
		t.Helper()
		got := must(db.Totals(ctx, "r"))(t)
		diff(t, what, want, got)
		diff(t, what+", counted", counted(t, db, "r"), got)
	}
	same("images that came", meta.RepositoryTotals{Images: 4, Bytes: 70})
	putManifest(t, db, "r", "again", 9, "amd")
	same("the same again", meta.RepositoryTotals{Images: 4, Bytes: 70})
	_, err := db.DeleteManifest(ctx, "r", name("none"), at(10))
	wantCode(t, "nothing is deleted", errs.ManifestUnknown, err)
	must(db.DeleteManifest(ctx, "r", name("about"), at(10)))(t)
	same("one that went", meta.RepositoryTotals{Images: 3, Bytes: 50})
	_, err = db.DeleteManifest(ctx, "r", name("amd"), at(10))
	wantCode(t, "one that stays", errs.ImageReferenced, err)
	must(db.DeleteManifest(ctx, "r", name("idx"), at(10)))(t)
	same("an index that went", meta.RepositoryTotals{Images: 2, Bytes: 50})

	own(t, db, "pushed")
	upload(t, db, "pushed", "c")
	check(t, push(t, db, "pushed", "m", []string{"config c"}, "1"))
	check(t, push(t, db, "pushed", "m", []string{"config c"}, "2"))
	diff(t, "pushes", meta.RepositoryTotals{Images: 1, Bytes: 10}, must(db.Totals(ctx, "pushed"))(t))
	_, err = db.DeleteTagged(ctx, "pushed", "1", "", at(20))
	check(t, err)
	diff(t, "a tag of two", int64(1), must(db.Totals(ctx, "pushed"))(t).Images)
	_, err = db.DeleteTagged(ctx, "pushed", "2", "", at(20))
	check(t, err)
	diff(t, "the last tag", meta.RepositoryTotals{}, must(db.Totals(ctx, "pushed"))(t))

	db.Touch("r", "again", name("amd"), at(60))
	db.Touch("r", "", name("arm"), at(50))
	db.Touch("r", "", name("l1"), at(70)) // a blob is no image
	check(t, db.Close())
	db = open(t, o)
	same("pulls", meta.RepositoryTotals{Images: 2, Bytes: 50, Pulled: at(60)})
	_, err = db.Totals(ctx, "none")
	wantCode(t, "unknown", errs.RepoUnknown, err)
	_, err = db.Totals(ctx, "R")
	wantCode(t, "malformed", errs.NameInvalid, err)
}

// testTotalsAbsurd: manifests that say of their sizes what they like keep nobody from
// pushing more.
func testTotalsAbsurd(t *testing.T, o meta.Options) {
	db := open(t, o)
	for i := range 9 {
		m, _ := manifest(t, fmt.Sprint("m", i))
		e := oci.Edges{}
		for j := range 3 {
			e.List = append(e.List, oci.Edge{Kind: oci.EdgeLayer, Descriptor: oci.Descriptor{Digest: name(fmt.Sprint(i, j)), Size: 1<<63 - 1}})
		}
		must(db.PutManifest(t.Context(), "r", m, e, "", at(i)))(t)
	}
	diff(t, "1 TiB each", int64(9<<40), must(db.Totals(t.Context(), "r"))(t).Bytes)
}

// testUpgradeTotals: what was written before there were totals has them.
func testUpgradeTotals(t *testing.T, o meta.Options) {
	ctx := t.Context()
	var totals string
	for name, f := range with(t, nil) {
		if strings.Contains(string(f.Data), "ADD COLUMN image_bytes") {
			totals = path.Base(name)
		}
	}
	db := must(meta.OpenWith(ctx, o, without(with(t, nil), totals)))(t)
	for _, text := range []string{
		`INSERT INTO repositories (name, created_at) VALUES ('r', 1), ('void', 2)`,
		`INSERT INTO manifests (repository, digest, media_type, stored_at, pulled_at, raw) VALUES ('r', 'sha256:1', $1, 5, 5, $1), ('r', 'sha256:2', $1, 5, 7, $1), ('r', 'sha256:3', $1, 5, 6, $1)`,
		`INSERT INTO edges (repository, parent, seq, kind, digest, media_type, size, platform) VALUES
			('r', 'sha256:1', 0, 'config', 'sha256:c', $1, 1, $1), ('r', 'sha256:1', 1, 'layer', 'sha256:l', $1, 10, $1), ('r', 'sha256:1', 2, 'layer', 'sha256:l', $1, 10, $1),
			('r', 'sha256:2', 0, 'config', 'sha256:c', $1, 1, $1), ('r', 'sha256:2', 1, 'subject', 'sha256:1', $1, 100, $1),
			('r', 'sha256:3', 0, 'child', 'sha256:1', $1, 1000, $1)`,
	} {
		var args []any
		if strings.Contains(text, "$1") {
			args = []any{[]byte{}}
		}
		_, err := db.Pool().ExecContext(ctx, text, args...)
		check(t, err)
	}
	check(t, db.Close())
	db = open(t, o)
	diff(t, "r", meta.RepositoryTotals{Images: 3, Bytes: 12, Pulled: time.UnixMicro(7).UTC()}, must(db.Totals(ctx, "r"))(t))
	diff(t, "void", meta.RepositoryTotals{}, must(db.Totals(ctx, "void"))(t))
}

// without returns the migrations before the file called name.
func without(all fstest.MapFS, name string) fstest.MapFS {
	for p := range all {
		if path.Base(p) >= name {
			delete(all, p)
		}
	}
	return all
}

func testBrowseRepositories(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	fill(t, db)
	for _, name := range []string{"hub/library/nginx", "hub/nginx-unit", "team/nginx/a", "team/x"} {
		if strings.HasPrefix(name, "team") {
			own(t, db, name)
		} else {
			putManifest(t, db, name, "", 1, "m")
		}
	}
	for _, test := range []struct {
		part, kind string
		want       []string
	}{
		{"", "", []string{"hub/library/nginx", "hub/nginx-unit", "r", "r2", "team/nginx/a", "team/x"}},
		{"nginx", "", []string{"hub/library/nginx", "hub/nginx-unit", "team/nginx/a"}},
		{"NGINX", meta.Own, []string{"team/nginx/a"}},
		{"nginx", meta.Cached, []string{"hub/library/nginx", "hub/nginx-unit"}},
		{"b/nginx", meta.Cached, []string{"hub/nginx-unit"}},
		{"%", "", nil},
		{"_", "", nil},
		{"'", "", nil},
		{"none", "", nil},
		{"", "other", nil},
	} {
		for limit := 1; limit <= 7; limit++ {
			var got []string
			for after := ""; ; after = got[len(got)-1] {
				page := must(db.BrowseRepositories(ctx, meta.RepositoryQuery{Part: test.part, Kind: test.kind, After: after, Limit: limit}))(t)
				for _, r := range page {
					got = append(got, r.Name)
				}
				if len(page) < limit {
					break
				}
			}
			diff(t, fmt.Sprintf("%q %s by %d", test.part, test.kind, limit), test.want, got)
		}
	}
	r := must(db.BrowseRepositories(ctx, meta.RepositoryQuery{Part: "r2", Limit: 1}))(t)[0]
	diff(t, "what is told", meta.RepositoryRow{
		Repository:       meta.Repository{Name: "r2", Kind: meta.Cached, Mutability: rule.Mutable, Created: at(1)},
		RepositoryTotals: meta.RepositoryTotals{Images: 4, Bytes: 70},
	}, r)
	_, err := db.BrowseRepositories(ctx, meta.RepositoryQuery{Part: "\x00"})
	wantCode(t, "no text", errs.ParamInvalid, err)
}

func testBrowseTags(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	fill(t, db)
	putManifest(t, db, "r", "V1", 6, "amd")
	hold(t, db, "c l1")
	must(db.SetArchived(ctx, "r", name("about"), true, at(8)))(t)
	platform := func(arch string, held, ready bool) meta.PlatformRow {
		return meta.PlatformRow{Platform: oci.Platform{OS: "linux", Architecture: arch}, Held: held, Ready: ready}
	}
	tags := first(db.BrowseTags(ctx, "r", "", "", 9))(t)
	var got []string
	for _, x := range tags {
		got = append(got, x.Name)
		image := must(db.Image(ctx, "r", x.Digest))(t)
		diff(t, "size of "+x.Name, image.Size, x.Size)
		diff(t, "stored of "+x.Name, image.Stored, x.Stored)
		tag := must(db.Tag(ctx, "r", x.Name))(t)
		diff(t, "tag "+x.Name, tag, x.Tag)
		diff(t, "missing of "+x.Name, must(db.Missing(ctx, "r", x.Digest, tag.Complete))(t), x.Missing)
	}
	diff(t, "tags", []string{"1", "V1", "latest"}, got)
	idx, amd := tags[0], tags[1]
	diff(t, "platforms", []meta.PlatformRow{platform("amd64", true, false), platform("arm64", true, true), platform("s390x", false, false)}, idx.Platforms)
	diff(t, "index", []bool{true, false}, []bool{idx.Index, amd.Index})
	diff(t, "what amd lacks", []digest.Digest{name("l2")}, []digest.Digest{amd.Missing[0].Digest})

	for _, test := range []struct {
		part string
		want []string
	}{{"v1", []string{"V1"}}, {"1", []string{"1", "V1"}}, {"LATE", []string{"latest"}}, {"%", nil}} {
		for limit := 1; limit <= 3; limit++ {
			var got []string
			for after := ""; ; after = got[len(got)-1] {
				page := first(db.BrowseTags(ctx, "r", test.part, after, limit))(t)
				for _, x := range page {
					got = append(got, x.Name)
				}
				if len(page) < limit {
					break
				}
			}
			diff(t, "tags with "+test.part, test.want, got)
		}
	}
	diff(t, "no repository, no tags", 0, len(first(db.BrowseTags(ctx, "none", "", "", 9))(t)))
	_, _, err := db.BrowseTags(ctx, "R", "", "", 9)
	wantCode(t, "malformed", errs.NameInvalid, err)
	_, _, err = db.BrowseTags(ctx, "r", "\xff", "", 9)
	wantCode(t, "no text", errs.ParamInvalid, err)
}

// testVastTags: what images name is looked at in part where it is very much, and what others
// name is told nevertheless.
func testVastTags(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	fill(t, db)
	child := func(s, os string) oci.Edge {
		return oci.Edge{Kind: oci.EdgeChild, Descriptor: oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: name(s), Size: 4, Platform: &oci.Platform{OS: os, Architecture: "amd64"}}}
	}
	put := func(s, tag string, children ...oci.Edge) {
		t.Helper()
		m, _ := manifest(t, s)
		must(db.PutManifest(ctx, "r", m, oci.Edges{Index: true, List: children}, tag, at(1)))(t)
	}
	var few, many []oci.Edge
	for i := range 3000 {
		many = append(many, child(fmt.Sprint("c", i), "linux"))
	}
	few = many[:150]
	put("few", "few", few...)
	put("many", "many", many...)
	put("same", "same", many...)
	put("long", "long", child("amd", strings.Repeat("x", 2000)))
	put("above", "above", child("many", "linux"))
	var wide []oci.Edge
	for i := range 6 {
		put(fmt.Sprint("w", i), "", many[i*400:i*400+900]...)
		wide = append(wide, child(fmt.Sprint("w", i), "linux"))
	}
	put("wide", "wide", wide...)

	tags := first(db.BrowseTags(ctx, "r", "", "", 20))(t)
	got := map[string][2]int{} // platforms, and missing or -1: not known
	for _, x := range tags {
		got[x.Name] = [2]int{len(x.Platforms), len(x.Missing)}
		if x.Vast {
			diff(t, "missing of "+x.Name, 0, len(x.Missing))
			got[x.Name] = [2]int{len(x.Platforms), -1}
		} else {
			diff(t, "missing of "+x.Name, must(db.Missing(ctx, "r", x.Digest, x.Complete))(t), x.Missing)
		}
	}
	diff(t, "tags", map[string][2]int{
		"1": {3, 3}, "latest": {3, 3}, "few": {150, 150}, "many": {1000, -1}, "same": {1000, -1}, "long": {0, -1}, "above": {0, -1}, "wide": {4, -1},
	}, got)

	parts, more, err := db.Members(ctx, "r", name("many"), 200)
	check(t, err)
	diff(t, "parts", 200, len(parts))
	diff(t, "more", true, more)

	// Indexes that name the same again and again lack it once.
	below := child("absent", "linux")
	for i := range 5 {
		put(fmt.Sprint("nest", i), "", slices.Repeat([]oci.Edge{below}, 200)...)
		below = child(fmt.Sprint("nest", i), "linux")
	}
	diff(t, "missing of what is nested", []oci.Edge{child("absent", "linux")}, must(db.Missing(ctx, "r", below.Digest, ""))(t))
}

func testMoves(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	for i, s := range []string{"m1", "m2", "m3"} {
		putManifest(t, db, "r", "a", i, s)
		putManifest(t, db, "r", "b", i, s)
	}
	must(db.DeleteTag(ctx, "r", "a", at(9)))(t)
	move := func(tag string, n int64, from, to string, at time.Time) meta.MoveRow {
		m := meta.MoveRow{Tag: tag, N: n, Move: rule.Move{At: at}}
		if from != "" {
			m.From = name(from)
		}
		if to != "" {
			m.To = name(to)
		}
		return m
	}
	a := []meta.MoveRow{move("a", 4, "m3", "", at(9)), move("a", 3, "m2", "m3", at(2)), move("a", 2, "m1", "m2", at(1)), move("a", 1, "", "m1", at(0))}
	b := []meta.MoveRow{move("b", 3, "m2", "m3", at(2)), move("b", 2, "m1", "m2", at(1)), move("b", 1, "", "m1", at(0))}
	all := slices.Concat(a[:1], b[:1], a[1:2], b[1:2], a[2:3], b[2:], a[3:])
	for tag, want := range map[string][]meta.MoveRow{"": all, "a": a, "b": b, "none": nil} {
		for limit := 1; limit <= 8; limit++ {
			var got []meta.MoveRow
			for before := (meta.MoveRow{}); ; before = got[len(got)-1] {
				page := must(db.Moves(ctx, "r", tag, before, limit))(t)
				if got = append(got, page...); len(page) < limit {
					break
				}
			}
			diff(t, fmt.Sprintf("moves of %q by %d", tag, limit), want, got)
		}
	}
	_, err := db.Moves(ctx, "R", "", meta.MoveRow{}, 1)
	wantCode(t, "malformed", errs.NameInvalid, err)
}

func testMembers(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	fill(t, db)
	hold(t, db, "c")
	held := func(d digest.Digest, limit int) (got []bool, more bool) {
		parts, more, err := db.Members(ctx, "r", d, limit)
		check(t, err)
		for _, p := range parts {
			got = append(got, p.Held)
		}
		return got, more
	}
	got, more := held(name("idx"), 9)
	diff(t, "children", []bool{true, true, false}, got)
	diff(t, "no more", false, more)
	got, more = held(name("amd"), 2)
	diff(t, "parts", []bool{true, false}, got)
	diff(t, "more", true, more)
	got, _ = held(name("none"), 2)
	diff(t, "nothing", 0, len(got))

	diff(t, "indexes", []digest.Digest{name("idx")}, must(db.Indexes(ctx, "r", name("amd"), 9))(t))
	diff(t, "no index", 0, len(must(db.Indexes(ctx, "r", name("c"), 9))(t)))
}
