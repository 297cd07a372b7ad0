package meta_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/lifecycle"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/rule"
)

func testRepositories(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	full := meta.Repository{
		Name: "own/full", Created: at(1), Kind: meta.Cached, Mutability: rule.ImmutableWithExclusion,
		Exclusions: []string{"dev-*", "a*"}, ResourceTags: []rule.ResourceTag{{Key: "team", Value: "\x00\xe2\x82\xac"}, {Key: "a"}},
		Policy: document("Full"),
	}
	check(t, db.CreateRepository(ctx, full))
	check(t, db.CreateRepository(ctx, meta.Repository{Name: "own/bare", Created: at(2)}))
	bare := meta.Repository{Name: "own/bare", Created: at(2), Kind: meta.Own, Mutability: rule.Mutable}
	diff(t, "repositories", []meta.Repository{bare, full}, must(db.DescribeRepositories(ctx, "", 9))(t))
	diff(t, "excluded", false, full.Immutable("dev-1"))
	diff(t, "immutable", true, full.Immutable("v1"))

	wantCode(t, "twice", errs.RepoExists, db.CreateRepository(ctx, meta.Repository{Name: "own/full", Created: at(3)}))
	putManifest(t, db, "own/full", "t", 4, "m")
	diff(t, "what is stored there changes nothing", full, must(db.DescribeRepository(ctx, "own/full"))(t))
	wantCode(t, "kind", errs.ParamInvalid, db.CreateRepository(ctx, meta.Repository{Name: "x", Kind: "other"}))
	wantCode(t, "mutability", errs.ParamInvalid, db.CreateRepository(ctx, meta.Repository{Name: "x", Mutability: "FROZEN"}))
	wantCode(t, "name", errs.NameInvalid, db.CreateRepository(ctx, meta.Repository{Name: "X"}))

	bare.Mutability, bare.Exclusions = rule.MutableWithExclusion, []string{"v*"}
	must(db.DescribeRepository(ctx, "own/bare"))(t) // into the memory
	diff(t, "changed", bare, must(db.PutMutability(ctx, "own/bare", bare.Mutability, bare.Exclusions))(t))
	bare.Mutability, bare.Exclusions = rule.Immutable, nil
	diff(t, "changed again", bare, must(db.PutMutability(ctx, "own/bare", bare.Mutability, nil))(t))
	diff(t, "described", bare, must(db.DescribeRepository(ctx, "own/bare"))(t))
	_, err := db.PutMutability(ctx, "own/none", rule.Mutable, nil)
	wantCode(t, "unknown", errs.RepoUnknown, err)
	_, err = db.PutMutability(ctx, "own/bare", "FROZEN", nil)
	wantCode(t, "unknown word", errs.ParamInvalid, err)

	stop := errors.New("stop")
	err = db.PutResourceTags(ctx, "own/full", func(all []rule.ResourceTag) ([]rule.ResourceTag, error) {
		diff(t, "tags to change", full.ResourceTags, all)
		return nil, stop
	})
	if !errors.Is(err, stop) {
		t.Errorf("error of f: %v", err)
	}
	check(t, db.PutResourceTags(ctx, "own/full", func(all []rule.ResourceTag) ([]rule.ResourceTag, error) { return all[:1], nil }))
	full.ResourceTags = full.ResourceTags[:1]
	wantCode(t, "tags of none", errs.RepoUnknown, db.PutResourceTags(ctx, "own/none", nil))
	check(t, db.Close())
	diff(t, "after reopening", []meta.Repository{bare, full}, must(open(t, o).DescribeRepositories(ctx, "", 9))(t))
}

// testNewRepositories: what a pull makes is as NewRepositories says, and what is there
// stays as it is.
func testNewRepositories(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	putManifest(t, db, "before", "t", 1, "m")
	tags := []rule.ResourceTag{{Key: "k", Value: "v"}}
	db.NewRepositories(func(name string) meta.Repository {
		return meta.Repository{Name: "another", Kind: meta.Own, Created: at(9), Mutability: rule.MutableWithExclusion, Exclusions: []string{name}, ResourceTags: tags, Policy: document("New")}
	})
	putManifest(t, db, "before", "t", 2, "m")
	putManifest(t, db, "manifest", "t", 2, "m")
	putBlob(t, db, "l", 3, "blob")
	must(db.Link(ctx, "link", name("l"), at(4)))(t)
	fresh := func(name string, n int) meta.Repository {
		return meta.Repository{Name: name, Created: at(n), Kind: meta.Cached, Mutability: rule.MutableWithExclusion, Exclusions: []string{name}, ResourceTags: tags, Policy: document("New")}
	}
	diff(t, "repositories", []meta.Repository{
		{Name: "before", Created: at(1), Kind: meta.Cached, Mutability: rule.Mutable}, fresh("blob", 3), fresh("link", 4), fresh("manifest", 2),
	}, must(db.DescribeRepositories(ctx, "", 9))(t))
}

func testDeleteRepository(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	fill(t, db)
	putBlob(t, db, "l1", 6, "r", "r2")
	putBlob(t, db, "empty", 6, "bare")
	for _, repo := range []string{"r", "r2"} { // into the memory
		must(db.DescribeRepository(ctx, repo))(t)
		must(db.Tag(ctx, repo, "1"))(t)
		must(db.Manifest(ctx, repo, name("idx")))(t)
		must(db.Blob(ctx, repo, name("l1")))(t)
	}

	_, err := db.DeleteRepository(ctx, "r", false)
	wantCode(t, "with images", errs.RepoNotEmpty, err)
	must(db.Tag(ctx, "r", "1"))(t)
	was := must(db.DescribeRepository(ctx, "r"))(t)
	diff(t, "as it was", was, must(db.DeleteRepository(ctx, "r", true))(t))
	must(db.DeleteRepository(ctx, "bare", false))(t)

	_, err = db.DescribeRepository(ctx, "r")
	wantCode(t, "repository", errs.RepoUnknown, err)
	_, err = db.Tag(ctx, "r", "1")
	wantCode(t, "tag", errs.ManifestUnknown, err)
	_, err = db.Manifest(ctx, "r", name("idx"))
	wantCode(t, "manifest", errs.ManifestUnknown, err)
	b := must(db.Blob(ctx, "r", name("l1")))(t)
	diff(t, "link", [2]bool{false, true}, [2]bool{b.Linked, b.Held})
	diff(t, "history", 0, len(must(db.History(ctx, "r", "1", 9))(t)))

	diff(t, "the other's tag", name("idx"), must(db.Tag(ctx, "r2", "1"))(t).Digest)
	diff(t, "the other's link", true, must(db.Blob(ctx, "r2", name("l1")))(t).Linked)
	_, err = db.DeleteRepository(ctx, "r", true)
	wantCode(t, "twice", errs.RepoUnknown, err)
	_, err = db.DeleteRepository(ctx, "R", true)
	wantCode(t, "name", errs.NameInvalid, err)

	check(t, db.CreateRepository(ctx, meta.Repository{Name: "r", Created: at(9)}))
	diff(t, "made anew", 0, len(first(db.Images(ctx, "r", meta.Which{}, "", 9))(t)))
	diff(t, "a tag's first move", true, putManifest(t, db, "r", "1", 10, "m"))
	diff(t, "history anew", 1, len(must(db.History(ctx, "r", "1", 9))(t)))
}

// testDeleteEverything: a repository that has something in every table goes with all of it,
// and one that is made anew has nothing.
func testDeleteEverything(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	columns := `SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = 'repository' ORDER BY m.name`
	if o.Path == "" {
		columns = `SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'repository' ORDER BY table_name`
	}
	tables := dump(t, db.Pool(), columns)
	if len(tables) < 10 {
		t.Fatalf("only %v have something of repositories", tables)
	}
	with := func(repo string) (some []string) {
		for _, table := range tables {
			var n int
			check(t, db.Pool().QueryRowContext(ctx, "SELECT COUNT(*) FROM "+table+" WHERE repository = $1", repo).Scan(&n))
			if n > 0 {
				some = append(some, table)
			}
		}
		return some
	}
	fillAll := func(repo string) {
		putBlob(t, db, repo+"-l", 0, repo)
		check(t, db.PutUpload(ctx, meta.Upload{ID: repo, Repository: repo, Algorithm: digest.SHA256, Started: at(0), Updated: at(0)}))
		putManifest(t, db, repo, "", 1, "amd")
		putManifest(t, db, repo, "v1", 1, "idx", "child amd linux/amd64")
		putManifest(t, db, repo, "v1", 2, "m1", "layer "+repo+"-l")
		putManifest(t, db, repo, "v2", 2, "m2")
		must(db.SetArchived(ctx, repo, name("m2"), true, at(3)))(t)
		check(t, db.PutReferrers(ctx, repo, name("m1"), nil, at(3)))
		facts := must(db.Facts(ctx, repo))(t)
		i := slices.IndexFunc(facts.Images, func(m lifecycle.Image) bool { return m.Digest == name("idx") })
		mark := lifecycle.Mark{Image: &facts.Images[i], Rule: &lifecycle.Rule{Action: lifecycle.Expire}}
		must(db.ApplyLifecycle(ctx, meta.LifecycleBatch{Repository: repo, Facts: facts, Marks: []lifecycle.Mark{mark}, At: at(4)}))(t)
		check(t, db.PutLifecyclePolicy(ctx, repo, unused))
		check(t, db.StartPreview(ctx, repo, unused, at(5)))
		check(t, db.AddPreviewResults(ctx, repo, at(5), []meta.PreviewResult{{Digest: name("m1"), Action: lifecycle.Expire, Priority: 1}}))
		check(t, push(t, db, repo, "amd", nil)) // is needed then
		_, err := db.Pool().ExecContext(ctx, `INSERT INTO replicated (repository, digest, region, registry_id, ended_at, failure, reason) VALUES ($1, $2, 'r', '1', 1, '', $3)`,
			repo, string(name("m1")), []byte{})
		check(t, err)
		_, err = db.Pool().ExecContext(ctx, `INSERT INTO replication_queue (region, registry_id, repository, name, digest, queued_at, due_at, attempts, claim, failure, reason)
			VALUES ('r', '1', $1, 'v1', $2, 1, 1, 0, '', '', $3)`, repo, string(name("m1")), []byte{})
		check(t, err)
	}
	fillAll("r")
	fillAll("r2")
	diff(t, "tables with something of it", tables, with("r"))
	must(db.DeleteRepository(ctx, "r", true))(t)
	diff(t, "tables with something of it afterwards", []string(nil), with("r"))
	diff(t, "tables with something of another", tables, with("r2"))

	own(t, db, "r")
	diff(t, "events", 0, len(must(db.LifecycleEvents(ctx, "r", 0, 9))(t)))
	diff(t, "results", 0, len(must(db.PreviewResults(ctx, "r", "", "", 9))(t)))
	_, err := db.Preview(ctx, "r", at(6))
	wantCode(t, "preview", errs.PreviewUnknown, err)
	_, err = db.LifecyclePolicy(ctx, "r")
	wantCode(t, "policy", errs.LifecycleUnknown, err)
}

func putTemplate(t *testing.T, db *meta.DB, one rule.Template) {
	t.Helper()
	check(t, db.ChangeTemplate(t.Context(), one.Prefix, func(*rule.Template, int) (*rule.Template, error) { return &one, nil }))
}

func testTemplates(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	diff(t, "no templates", []rule.Template(nil), must(db.Templates(ctx))(t))
	full := rule.Template{
		Prefix: "prod/team", AppliedFor: []string{rule.ForPullThrough, rule.ForCreateOnPush}, Description: "d\x00\xff",
		Mutability: rule.ImmutableWithExclusion, Exclusions: []string{"dev*"}, Tags: []rule.ResourceTag{{Key: "k", Value: "v"}},
		CustomRole: "arn:role", RepositoryPolicy: string(document("T")), Created: at(1), Updated: at(2),
	}
	bare := rule.Template{Prefix: rule.Root, AppliedFor: []string{rule.ForReplication}, Mutability: rule.Mutable, Created: at(1), Updated: at(1)}
	putTemplate(t, db, full)
	putTemplate(t, db, bare)
	diff(t, "templates by prefix", []rule.Template{bare, full}, must(db.Templates(ctx))(t))

	stop := errors.New("stop")
	err := db.ChangeTemplate(ctx, "prod/team", func(one *rule.Template, n int) (*rule.Template, error) {
		diff(t, "the template to change", &full, one)
		diff(t, "how many there are", 2, n)
		return nil, stop
	})
	if !errors.Is(err, stop) {
		t.Errorf("error of f: %v", err)
	}
	err = db.ChangeTemplate(ctx, "A", nil)
	wantCode(t, "prefix", errs.ParamInvalid, err)
	err = db.ChangeTemplate(ctx, "a", func(*rule.Template, int) (*rule.Template, error) {
		return &rule.Template{Prefix: "a", Mutability: "FROZEN"}, nil
	})
	wantCode(t, "mutability", errs.ParamInvalid, err)

	taken := bare
	taken.Prefix = "taken"
	putTemplate(t, db, taken)
	declare := func(n int, all ...rule.Template) []string {
		return must(db.DeclareTemplates(ctx, all, at(n)))(t)
	}
	a := rule.Template{Prefix: "a", AppliedFor: []string{rule.ForPullThrough}, Mutability: rule.Immutable}
	b := rule.Template{Prefix: "taken", AppliedFor: []string{rule.ForCreateOnPush}, Mutability: rule.Mutable}
	diff(t, "what gave way", []string{"taken"}, declare(10, a, b))
	times := func(one rule.Template, created, updated int) rule.Template {
		one.Declared, one.Created, one.Updated = true, at(created), at(updated)
		return one
	}
	diff(t, "declared", []rule.Template{bare, times(a, 10, 10), full, times(b, 10, 10)}, must(db.Templates(ctx))(t))
	diff(t, "nothing gives way twice", []string(nil), declare(20, b, a))
	a.Mutability = rule.Mutable
	declare(30, a)
	diff(t, "one changed, one gone", []rule.Template{bare, times(a, 10, 30), full}, must(db.Templates(ctx))(t))
	check(t, db.ChangeTemplate(ctx, "prod/team", func(*rule.Template, int) (*rule.Template, error) { return nil, nil }))
	check(t, db.Close())
	diff(t, "after reopening", []rule.Template{bare, times(a, 10, 30)}, must(open(t, o).Templates(ctx))(t))
}
