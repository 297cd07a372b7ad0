package meta_test

import (
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

func testReferrers(t *testing.T, o meta.Options) {
	ctx, db := t.Context(), open(t, o)
	diff(t, "never asked", rule.Referrers{}, must(db.Referrers(ctx, "r", name("s")))(t))
	check(t, db.CheckReferrers(ctx, "r", name("s"), at(1)))
	diff(t, "a check of nothing", rule.Referrers{}, must(db.Referrers(ctx, "r", name("s")))(t))

	some := []oci.Referrer{
		{MediaType: oci.MediaTypeManifest, Digest: name("a"), Size: 7, ArtifactType: "application/sbom", Annotations: map[string]string{"k": "\x00 \u00e4 <&>"}},
		{MediaType: oci.MediaTypeIndex, Digest: name("b")},
	}
	check(t, db.PutReferrers(ctx, "r", name("s"), some, at(2)))
	check(t, db.PutReferrers(ctx, "r", name("other"), nil, at(3)))
	diff(t, "some", rule.Referrers{List: some, Checked: at(2)}, must(db.Referrers(ctx, "r", name("s")))(t))
	diff(t, "none", rule.Referrers{Checked: at(3)}, must(db.Referrers(ctx, "r", name("other")))(t))
	diff(t, "another repository", rule.Referrers{}, must(db.Referrers(ctx, "q", name("s")))(t))
	check(t, db.CheckReferrers(ctx, "r", name("s"), at(1)))
	diff(t, "checked", rule.Referrers{List: some, Checked: at(1)}, must(db.Referrers(ctx, "r", name("s")))(t))
	check(t, db.PutReferrers(ctx, "r", name("s"), some[:1], at(4)))
	diff(t, "fewer", rule.Referrers{List: some[:1], Checked: at(4)}, must(db.Referrers(ctx, "r", name("s")))(t))
	diff(t, "no repository is made", []string(nil), must(db.Repositories(ctx, "", 10))(t))

	putManifest(t, db, "r", "", 5, "s")
	must(db.DeleteManifest(ctx, "r", name("s"), at(6)))(t)
	diff(t, "of an image that was deleted", rule.Referrers{}, must(db.Referrers(ctx, "r", name("s")))(t))
	diff(t, "of another", at(3), must(db.Referrers(ctx, "r", name("other")))(t).Checked)

	check(t, db.PutReferrers(ctx, "r", name("s"), some, at(7)))
	must(db.DeleteRepository(ctx, "r", true))(t)
	diff(t, "of a repository that was deleted", rule.Referrers{}, must(db.Referrers(ctx, "r", name("s")))(t))

	_, err := db.Referrers(ctx, "R", name("s"))
	wantCode(t, "repository", errs.NameInvalid, err)
	wantCode(t, "subject", errs.DigestInvalid, db.PutReferrers(ctx, "r", "x", nil, time.Now()))
	wantCode(t, "subject", errs.DigestInvalid, db.CheckReferrers(ctx, "r", "x", time.Now()))
}

func testReferring(t *testing.T, o meta.Options) {
	ctx, db := t.Context(), open(t, o)
	putManifest(t, db, "r", "", 1, "m", "layer l")
	putManifest(t, db, "r", "", 1, "i", "child m")
	var want []digest.Digest
	for _, s := range []string{"x", "y", "z"} {
		putManifest(t, db, "r", "", 1, s, "config c", "subject m")
		want = append(want, name(s))
	}
	putManifest(t, db, "q", "", 1, "elsewhere", "subject m")
	slices.Sort(want)
	all := must(db.Referring(ctx, "r", name("m"), "", 10))(t)
	diff(t, "all", want, all)
	diff(t, "first", want[:1], must(db.Referring(ctx, "r", name("m"), "", 1))(t))
	diff(t, "the rest", want[1:], must(db.Referring(ctx, "r", name("m"), want[0], 10))(t))
	diff(t, "no more", []digest.Digest(nil), must(db.Referring(ctx, "r", name("m"), want[2], 10))(t))
	diff(t, "about nothing", []digest.Digest(nil), must(db.Referring(ctx, "r", name("x"), "", 10))(t))
	_, err := db.Referring(ctx, "r", name("m"), "\x00", 10)
	wantCode(t, "after", errs.ParamInvalid, err)
}
