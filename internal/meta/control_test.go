package meta_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/rule"
)

func someRule(prefix string, n int) rule.Rule {
	return rule.Rule{
		Prefix: prefix, Kind: rule.Generic, Upstream: "up.test:5000", UpstreamPrefix: "team", Credential: "arn:x\x00\xff",
		CustomRole: "arn:role", Window: rule.Never, Fixed: []string{"v*"}, Off: true, Prefetch: rule.PrefetchOff,
		VerifyRanges: true, Push: true, Created: at(n), Updated: at(n + 1),
	}
}

func putRule(t *testing.T, db *meta.DB, r rule.Rule) {
	t.Helper()
	check(t, db.ChangeRule(t.Context(), r.Prefix, func(*rule.Rule, int) (*rule.Rule, error) { return &r, nil }))
}

func testRules(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	diff(t, "no rules", []rule.Rule(nil), must(db.Rules(ctx))(t))
	full := someRule("b/full", 0)
	full.Fixed = []string{"v*", "*?"}
	bare := rule.Rule{Prefix: rule.Root, Kind: rule.Quay, Upstream: "quay.io", Prefetch: rule.PrefetchLayer}
	putRule(t, db, full)
	putRule(t, db, bare)
	diff(t, "rules by prefix", []rule.Rule{bare, full}, must(db.Rules(ctx))(t))

	stop := errors.New("stop")
	err := db.ChangeRule(ctx, "b/full", func(r *rule.Rule, n int) (*rule.Rule, error) {
		diff(t, "the rule to change", &full, r)
		diff(t, "how many there are", 2, n)
		return nil, stop
	})
	if !errors.Is(err, stop) {
		t.Errorf("error of f: %v", err)
	}
	check(t, db.ChangeRule(ctx, "b/other", func(r *rule.Rule, n int) (*rule.Rule, error) {
		diff(t, "no rule to change", (*rule.Rule)(nil), r)
		return nil, nil
	}))
	check(t, db.ChangeRule(ctx, "b/full", func(r *rule.Rule, _ int) (*rule.Rule, error) {
		r.Credential, r.Updated = "", at(9)
		return r, nil
	}))
	full.Credential, full.Updated = "", at(9)
	diff(t, "rules after a change", []rule.Rule{bare, full}, must(db.Rules(ctx))(t))
	check(t, db.ChangeRule(ctx, "b/full", func(*rule.Rule, int) (*rule.Rule, error) { return nil, nil }))
	check(t, db.Close())
	diff(t, "rules after reopening", []rule.Rule{bare}, must(open(t, o).Rules(ctx))(t))
}

func testBadRules(t *testing.T, o meta.Options) {
	db := open(t, o)
	for name, break_ := range map[string]func(*rule.Rule){
		"prefix":          func(r *rule.Rule) { r.Prefix = "A" },
		"kind":            func(r *rule.Rule) { r.Kind = "x\x00" },
		"upstream":        func(r *rule.Rule) { r.Upstream = "\xff" },
		"upstream prefix": func(r *rule.Rule) { r.UpstreamPrefix = "a//b" },
		"prefetch":        func(r *rule.Rule) { r.Prefetch = "" },
	} {
		r := someRule("a", 0)
		break_(&r)
		err := db.ChangeRule(t.Context(), r.Prefix, func(*rule.Rule, int) (*rule.Rule, error) { return &r, nil })
		wantCode(t, name, errs.ParamInvalid, err)
	}
}

func testDeclaredRules(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	api := someRule("api", 0)
	api.Fixed = nil
	putRule(t, db, api)
	taken := api
	taken.Prefix = "taken"
	putRule(t, db, taken)
	declare := func(n int, rules ...rule.Rule) []string {
		return must(db.DeclareRules(ctx, rules, at(n)))(t)
	}
	a := rule.Rule{Prefix: "a", Kind: rule.Quay, Upstream: "quay.io", Prefetch: rule.PrefetchLayer, Fixed: []string{"v*"}}
	b := rule.Rule{Prefix: "taken", Kind: rule.K8s, Upstream: "registry.k8s.io", Prefetch: rule.PrefetchLayer}
	diff(t, "what gave way", []string{"taken"}, declare(10, a, b))
	times := func(r rule.Rule, created, updated int) rule.Rule {
		r.Declared, r.Created, r.Updated = true, at(created), at(updated)
		return r
	}
	diff(t, "declared", []rule.Rule{times(a, 10, 10), api, times(b, 10, 10)}, must(db.Rules(ctx))(t))
	diff(t, "nothing gives way twice", []string(nil), declare(20, b, a))
	diff(t, "declared again", []rule.Rule{times(a, 10, 10), api, times(b, 10, 10)}, must(db.Rules(ctx))(t))
	a.Fixed = []string{"v*", "1"}
	declare(30, a)
	diff(t, "one changed, one gone", []rule.Rule{times(a, 10, 30), api}, must(db.Rules(ctx))(t))
	_, err := db.DeclareRules(ctx, []rule.Rule{{Prefix: "b"}, {Prefix: "A"}}, at(40))
	wantCode(t, "a rule that cannot be", errs.ParamInvalid, err)
	diff(t, "as it was", []rule.Rule{times(a, 10, 30), api}, must(db.Rules(ctx))(t))
	declare(50)
	diff(t, "none declared", []rule.Rule{api}, must(db.Rules(ctx))(t))
}

// putSecret makes or replaces a secret.
func putSecret(t *testing.T, db *meta.DB, s *meta.Secret) {
	t.Helper()
	check(t, db.ChangeSecret(t.Context(), s.Name, func(*meta.Secret) (*meta.Secret, error) { return s, nil }))
}

func sameSecret(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(meta.SecretVersion{})); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func testSecrets(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	_, err := db.Secret(ctx, "s")
	wantCode(t, "no secret", errs.SecretUnknown, err)
	_, err = db.Secret(ctx, "\xff")
	wantCode(t, "no name", errs.SecretUnknown, err)
	want := &meta.Secret{
		Name: "ecr-pullthroughcache/x", Suffix: "AbCdEf", Description: "a\x00\xff", Tags: []byte(`[]`),
		Created: at(0), Changed: at(1), Accessed: at(2), Deleted: at(3), DeleteAt: at(4),
		Versions: []meta.SecretVersion{
			{ID: "v2", Stages: []string{"AWSPREVIOUS"}, Binary: true, Sealed: []byte{0, 1, 0xff}, Created: at(9)},
			{ID: "v1", Stages: []string{"AWSCURRENT", "mine"}, Sealed: []byte{}, Created: at(1)},
		},
	}
	putSecret(t, db, want)
	sameSecret(t, "secret", want, must(db.Secret(ctx, want.Name))(t))

	check(t, db.ChangeSecret(ctx, want.Name, func(s *meta.Secret) (*meta.Secret, error) {
		sameSecret(t, "the secret to change", want, s)
		s.Versions = append(s.Versions[1:], meta.SecretVersion{ID: "v3", Stages: []string{}, Sealed: []byte("z"), Created: at(5)})
		s.Versions[0].Stages = []string{}
		s.Suffix, s.Deleted, s.DeleteAt = "zzzzzz", time.Time{}, time.Time{}
		return s, nil
	}))
	want.Suffix, want.Deleted, want.DeleteAt = "zzzzzz", time.Time{}, time.Time{}
	want.Versions = []meta.SecretVersion{
		{ID: "v1", Stages: []string{}, Sealed: []byte{}, Created: at(1)},
		{ID: "v3", Stages: []string{}, Sealed: []byte("z"), Created: at(5)},
	}
	sameSecret(t, "secret after a change", want, must(db.Secret(ctx, want.Name))(t))

	check(t, db.TouchSecret(ctx, want.Name, at(100)))
	check(t, db.TouchSecret(ctx, want.Name, at(50)))
	want.Accessed = at(100)
	sameSecret(t, "secret after reads", want, must(db.Secret(ctx, want.Name))(t))
	check(t, db.ChangeSecret(ctx, want.Name, func(*meta.Secret) (*meta.Secret, error) { return nil, nil }))
	_, err = db.Secret(ctx, want.Name)
	wantCode(t, "deleted", errs.SecretUnknown, err)

	for name, s := range map[string]*meta.Secret{
		"suffix":  {Name: "s", Suffix: "\xff"},
		"version": {Name: "s", Suffix: "s", Versions: []meta.SecretVersion{{ID: "a b"}}},
		"stage":   {Name: "s", Suffix: "s", Versions: []meta.SecretVersion{{ID: "a", Stages: []string{"a b"}}}},
	} {
		err := db.ChangeSecret(ctx, "s", func(*meta.Secret) (*meta.Secret, error) { return s, nil })
		wantCode(t, name, errs.ParamInvalid, err)
	}
	_, err = db.Secret(ctx, "s")
	wantCode(t, "nothing was stored", errs.SecretUnknown, err)
}

func testSecretLists(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	for _, name := range []string{"b", "a", "Z", "c/d", "c"} {
		s := &meta.Secret{Name: name, Suffix: "s", Tags: []byte("[]"), Versions: []meta.SecretVersion{{ID: name + "1", Stages: []string{"x"}, Sealed: []byte("s")}, {ID: name + "0", Stages: []string{}}}}
		if name == "c" {
			s.Deleted, s.DeleteAt = at(1), at(10)
		}
		putSecret(t, db, s)
	}
	names := func(after string, limit int, marked bool) (all []string) {
		for _, s := range must(db.Secrets(ctx, after, limit, marked))(t) {
			all = append(all, s.Name)
			diff(t, "versions", 2, len(s.Versions))
			diff(t, "first version", s.Name+"1", s.Versions[0].ID)
			diff(t, "no value", true, s.Versions[0].Sealed == nil)
		}
		return all
	}
	diff(t, "all", []string{"Z", "a", "b", "c", "c/d"}, names("", 100, true))
	diff(t, "not marked", []string{"Z", "a", "b", "c/d"}, names("", 100, false))
	diff(t, "page", []string{"b", "c"}, names("a", 2, true))
	diff(t, "end", []string(nil), names("c/d", 2, true))
	_, err := db.Secrets(ctx, "\x00", 1, true)
	wantCode(t, "no text", errs.ParamInvalid, err)

	check(t, db.PurgeSecrets(ctx, at(9)))
	diff(t, "too early", []string{"Z", "a", "b", "c", "c/d"}, names("", 100, true))
	check(t, db.PurgeSecrets(ctx, at(10)))
	diff(t, "purged", []string{"Z", "a", "b", "c/d"}, names("", 100, true))
}

func putUser(t *testing.T, db *meta.DB, u meta.User) {
	t.Helper()
	check(t, db.ChangeUser(t.Context(), u.Name, func(*meta.User, int) (*meta.User, error) { return &u, nil }))
}

func testUsers(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	_, err := db.User(ctx, "ann")
	wantCode(t, "no user", errs.UserUnknown, err)
	diff(t, "policies of nobody", 0, len(must(db.UserPolicies(ctx, "ann"))(t)))
	ann := meta.User{Name: "ann", Created: at(0), Policies: []meta.UserPolicy{{Name: "Managed", Document: []byte{}}, {Name: "inline:x", Document: []byte("{\x00\xff}")}}}
	putUser(t, db, ann)
	putUser(t, db, meta.User{Name: "Bob"})
	diff(t, "user", &ann, must(db.User(ctx, "ann"))(t))
	diff(t, "policies", ann.Policies, must(db.UserPolicies(ctx, "ann"))(t))
	names := func(after string, limit int) (all []string) {
		for _, u := range must(db.Users(ctx, after, limit))(t) {
			all = append(all, fmt.Sprint(u.Name, len(u.Policies)))
		}
		return all
	}
	diff(t, "users", []string{"Bob0", "ann2"}, names("", 10))
	diff(t, "page", []string{"ann2"}, names("Bob", 1))

	check(t, db.ChangeUser(ctx, "ann", func(u *meta.User, keys int) (*meta.User, error) {
		diff(t, "user to change", &ann, u)
		diff(t, "keys", 0, keys)
		u.Policies = u.Policies[1:]
		return u, nil
	}))
	diff(t, "policies after a change", ann.Policies[1:], must(db.UserPolicies(ctx, "ann"))(t))
	err = db.ChangeUser(ctx, "ann", func(u *meta.User, _ int) (*meta.User, error) {
		u.Policies = append(u.Policies, meta.UserPolicy{Name: "a b"})
		return u, nil
	})
	wantCode(t, "bad name of a policy", errs.ParamInvalid, err)
	diff(t, "as it was", ann.Policies[1:], must(db.UserPolicies(ctx, "ann"))(t))
	check(t, db.ChangeUser(ctx, "ann", func(*meta.User, int) (*meta.User, error) { return nil, nil }))
	diff(t, "policies are gone", 0, len(must(db.UserPolicies(ctx, "ann"))(t)))
	diff(t, "users", []string{"Bob0"}, names("", 10))
}

func testUserKeys(t *testing.T, o meta.Options) {
	ctx := t.Context()
	db := open(t, o)
	k := meta.Key{ID: "AKIA2", Principal: "ann", Active: true, Sealed: []byte("s"), Created: at(0), Expires: at(5)}
	wantCode(t, "key of nobody", errs.UserUnknown, db.CreateKey(ctx, k))
	wantCode(t, "key of no name", errs.UserUnknown, db.CreateKey(ctx, meta.Key{ID: "AKIA2"}))
	putUser(t, db, meta.User{Name: "ann"})
	check(t, db.CreateKey(ctx, k))
	check(t, db.PutKey(ctx, meta.Key{ID: "AKIA1", Principal: "root", Root: true}))
	diff(t, "key", k, must(db.Key(ctx, "AKIA2"))(t))
	diff(t, "keys of ann", []meta.Key{k}, must(db.KeysOf(ctx, "ann"))(t))
	diff(t, "keys of nobody", 0, len(must(db.KeysOf(ctx, "bob"))(t)))
	check(t, db.ChangeUser(ctx, "ann", func(u *meta.User, keys int) (*meta.User, error) {
		diff(t, "how many keys", 1, keys)
		return u, nil
	}))

	check(t, db.ChangeKey(ctx, "AKIA2", func(k *meta.Key) (*meta.Key, error) { k.Active = false; return k, nil }))
	k.Active = false
	diff(t, "key after a change", k, must(db.Key(ctx, "AKIA2"))(t))
	check(t, db.ChangeKey(ctx, "AKIA2", func(*meta.Key) (*meta.Key, error) { return nil, nil }))
	for _, id := range []string{"AKIA2", "", "\xff"} {
		if _, err := db.Key(ctx, id); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("key %q: %v", id, err)
		}
		err := db.ChangeKey(ctx, id, func(k *meta.Key) (*meta.Key, error) { return k, nil })
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("change of key %q: %v", id, err)
		}
	}
}

// testControlTogether: of two who make the same thing one finds the other's, and no key
// outlives its user.
func testControlTogether(t *testing.T, o meta.Options) {
	ctx := t.Context()
	one, two := open(t, o), open(t, o)
	both := func(f func(*meta.DB) error) (failed int) {
		var wg sync.WaitGroup
		var results [2]error
		for i, db := range []*meta.DB{one, two} {
			wg.Go(func() { results[i] = f(db) })
		}
		wg.Wait()
		for _, err := range results {
			if err != nil {
				failed++
				if !strings.Contains(err.Error(), "there already") && errs.CodeOf(err) != errs.UserUnknown {
					t.Error(err)
				}
			}
		}
		return failed
	}
	there := errors.New("there already")
	for n := range 20 {
		name := fmt.Sprint("n", n)
		diff(t, "rules refused", 1, both(func(db *meta.DB) error {
			return db.ChangeRule(ctx, name, func(r *rule.Rule, _ int) (*rule.Rule, error) {
				if r != nil {
					return nil, there
				}
				made := rule.Rule{Prefix: name, Kind: rule.Quay, Upstream: "quay.io", Prefetch: rule.PrefetchOff}
				return &made, nil
			})
		}))
		diff(t, "secrets refused", 1, both(func(db *meta.DB) error {
			return db.ChangeSecret(ctx, name, func(s *meta.Secret) (*meta.Secret, error) {
				if s != nil {
					return nil, there
				}
				return &meta.Secret{Name: name, Suffix: "s"}, nil
			})
		}))
		diff(t, "versions refused", 0, both(func(db *meta.DB) error { return putCurrent(ctx, db, name) }))
		current := 0
		for _, v := range must(one.Secret(ctx, name))(t).Versions {
			current += len(v.Stages)
		}
		diff(t, "current versions", 1, current)

		putUser(t, one, meta.User{Name: name})
		key := meta.Key{ID: "AKIA" + name, Principal: name}
		refused := both(func(db *meta.DB) error {
			if db == one {
				return db.CreateKey(ctx, key)
			}
			return db.ChangeUser(ctx, name, func(_ *meta.User, keys int) (*meta.User, error) {
				if keys > 0 {
					return nil, there
				}
				return nil, nil
			})
		})
		_, err := one.User(ctx, name)
		if keys := must(two.KeysOf(ctx, name))(t); refused != 1 || len(keys) == 1 != (err == nil) {
			t.Errorf("%d keys, %d refused, user: %v", len(keys), refused, err)
		}
	}
}

// putCurrent adds a version that is the only current one.
func putCurrent(ctx context.Context, db *meta.DB, name string) error {
	return db.ChangeSecret(ctx, name, func(s *meta.Secret) (*meta.Secret, error) {
		for i := range s.Versions {
			s.Versions[i].Stages = nil
		}
		s.Versions = append(s.Versions, meta.SecretVersion{ID: fmt.Sprint("v", len(s.Versions)), Stages: []string{"AWSCURRENT"}})
		return s, nil
	})
}
