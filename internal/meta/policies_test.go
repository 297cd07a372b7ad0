package meta_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/rule"
)

// document is a policy's, in a spelling that nobody would make again.
func document(sid string) []byte {
	return fmt.Appendf(nil, ` {"Version": "2012-10-17",%s"Statement":{"Sid":%q,"Effect":"Allow","Principal":"*","Action":"ecr:*","Resource":"*"}}`, "\n\t", sid)
}

// sidOf is the Sid of a policy's first statement, "" of none.
func sidOf(p *iam.Policy) string {
	if p == nil {
		return ""
	}
	return p.Statements[0].Sid
}

func testRepositoryPolicies(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	tags := []rule.ResourceTag{{Key: "team", Value: "red"}}
	check(t, db.CreateRepository(ctx, meta.Repository{Name: "r", Created: at(1), ResourceTags: tags}))
	check(t, db.CreateRepository(ctx, meta.Repository{Name: "made", Created: at(1), Policy: document("Made"), Kind: meta.Cached}))
	access := func(name, kind, sid string) {
		t.Helper()
		a := must(db.Access(ctx, name))(t)
		diff(t, "kind of "+name, kind, a.Kind)
		diff(t, "policy of "+name, sid, sidOf(a.Policy))
		if a.Policy != nil {
			diff(t, "its name", iam.Policy{Kind: iam.OfRepository, Name: name}, iam.Policy{Kind: a.Policy.Kind, Name: a.Policy.Name})
		}
	}
	access("none", "", "")
	access("r", meta.Own, "")
	access("made", meta.Cached, "Made")
	diff(t, "tags", []iam.Tag{{Key: "team", Value: "red"}}, must(db.Access(ctx, "r"))(t).Tags)
	_, err := db.Access(ctx, "R")
	wantCode(t, "malformed name", errs.NameInvalid, err)

	check(t, db.PutRepositoryPolicy(ctx, "r", document("One")))
	access("r", meta.Own, "One")
	diff(t, "as it was put", string(document("One")), string(must(db.DescribeRepository(ctx, "r"))(t).Policy))
	check(t, db.PutRepositoryPolicy(ctx, "r", document("Two")))
	access("r", meta.Own, "Two")
	check(t, db.PutResourceTags(ctx, "r", func([]rule.ResourceTag) ([]rule.ResourceTag, error) { return nil, nil }))
	diff(t, "tags that are gone", 0, len(must(db.Access(ctx, "r"))(t).Tags))
	access("r", meta.Own, "Two")
	diff(t, "listed", string(document("Two")), string(must(db.DescribeRepositories(ctx, "made", 1))(t)[0].Policy))
	check(t, db.Close())
	db = open(t, o)
	access("r", meta.Own, "Two")
	diff(t, "what is deleted", string(document("Two")), string(must(db.DeleteRepositoryPolicy(ctx, "r"))(t)))
	access("r", meta.Own, "")
	_, err = db.DeleteRepositoryPolicy(ctx, "r")
	wantCode(t, "delete none", errs.PolicyUnknown, err)
	_, err = db.DeleteRepositoryPolicy(ctx, "none")
	wantCode(t, "delete of no repository", errs.RepoUnknown, err)
	wantCode(t, "put to no repository", errs.RepoUnknown, db.PutRepositoryPolicy(ctx, "none", document("X")))
	access("none", "", "")

	// It goes with its repository, and one that cannot be read denies everything.
	must(db.DeleteRepository(ctx, "made", true))(t)
	access("made", "", "")
	check(t, db.CreateRepository(ctx, meta.Repository{Name: "made", Created: at(2)}))
	access("made", meta.Own, "")
	check(t, db.PutRepositoryPolicy(ctx, "made", []byte(`{"Version":"2030-01-01"}`)))
	p := must(db.Access(ctx, "made"))(t).Policy
	if p == nil || !p.Statements[0].Deny || !p.Statements[0].Principals.Everybody {
		t.Errorf("a policy that cannot be read is %+v", p)
	}
}

func testRegistryPolicy(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	has := func(sid string) {
		t.Helper()
		p := must(db.RegistryPolicy(ctx))(t)
		diff(t, "policy", sid, sidOf(p.Policy))
		want := ""
		if sid != "" {
			want = string(document(sid))
			diff(t, "kind", iam.OfRegistry, p.Policy.Kind)
		}
		diff(t, "document", want, string(p.Document))
	}
	has("")
	_, err := db.DeleteRegistryPolicy(ctx)
	wantCode(t, "delete none", errs.PolicyUnknown, err)
	check(t, db.PutRegistryPolicy(ctx, document("One")))
	has("One")
	check(t, db.PutRegistryPolicy(ctx, document("Two")))
	has("Two")
	check(t, db.Close())
	db = open(t, o)
	has("Two")
	diff(t, "what is deleted", string(document("Two")), string(must(db.DeleteRegistryPolicy(ctx))(t)))
	has("")
	check(t, db.PutRegistryPolicy(ctx, []byte(`{}`)))
	p := must(db.RegistryPolicy(ctx))(t).Policy
	if p == nil || !p.Statements[0].Deny {
		t.Errorf("a policy that cannot be read is %+v", p)
	}
}

// testPoliciesTogether: while some put and delete policies and others decide by them,
// nobody is left with one that is not there any more; and of one policy one deletion
// is told that it deleted it.
func testPoliciesTogether(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	check(t, db.CreateRepository(ctx, meta.Repository{Name: "r", Created: at(0)}))
	for round := range 10 {
		sid := fmt.Sprintf("S%d", round)
		check(t, db.PutRepositoryPolicy(ctx, "r", document(sid)))
		check(t, db.PutRegistryPolicy(ctx, document(sid)))
		var wg sync.WaitGroup
		var mu sync.Mutex
		deleted := map[string]int{}
		for range 3 {
			wg.Go(func() {
				if _, err := db.Access(ctx, "r"); err != nil {
					t.Error(err)
				}
				if _, err := db.RegistryPolicy(ctx); err != nil {
					t.Error(err)
				}
			})
			wg.Go(func() {
				_, ofRepository := db.DeleteRepositoryPolicy(ctx, "r")
				_, ofRegistry := db.DeleteRegistryPolicy(ctx)
				for what, err := range map[string]error{"repository": ofRepository, "registry": ofRegistry} {
					mu.Lock()
					switch {
					case err == nil:
						deleted[what]++
					case errs.CodeOf(err) != errs.PolicyUnknown:
						t.Error(err)
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		diff(t, "deletions", map[string]int{"repository": 1, "registry": 1}, deleted)
		diff(t, "policy of the repository", "", sidOf(must(db.Access(ctx, "r"))(t).Policy))
		diff(t, "policy of the registry", "", sidOf(must(db.RegistryPolicy(ctx))(t).Policy))
	}
}
