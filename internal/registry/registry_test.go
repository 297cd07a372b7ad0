package registry_test

import (
	"context"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/pullthrough"
	"github.com/weir-registry/weir/internal/registry"
	"github.com/weir-registry/weir/internal/rule"
)

// untouchable fails the test if anything behind the decision is used.
type untouchable struct{ pullthrough.Index }

func newDB(t *testing.T) *meta.DB {
	t.Helper()
	db, err := meta.Open(t.Context(), meta.Options{Path: filepath.Join(t.TempDir(), "weir.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func newRegistry(t *testing.T) *registry.Registry {
	t.Helper()
	rules, problems := rule.NewSet([]rule.Rule{{Prefix: "hub", Kind: rule.Generic, Upstream: "up.test"}})
	if problems != nil {
		t.Fatal(problems)
	}
	// Index, store and upstream are nil inside: to touch one is to panic.
	cache := pullthrough.New(pullthrough.Options{Index: untouchable{}})
	t.Cleanup(cache.Close)
	return registry.New(registry.Options{ID: "123456789012", Region: "local", Rules: rules, Cache: cache, DB: newDB(t)})
}

// TestEveryMethodAuthorizes calls every exported method that takes a caller with
// callers that have no right to anything: each must refuse and touch nothing.
func TestEveryMethodAuthorizes(t *testing.T) {
	reg := reflect.ValueOf(newRegistry(t))
	callers := map[string]struct {
		caller iam.Caller
		code   errs.Code
	}{
		"nobody":     {iam.Caller{}, errs.Unauthenticated},
		"anonymous":  {iam.Caller{Name: "anonymous", Anonymous: true}, errs.Unauthenticated},
		"no policy":  {iam.Caller{Name: "mallory", KeyID: "AKIAMALLORY"}, errs.Denied},
		"replicates": {iam.Caller{Name: "mallory", Replicates: true, Policies: []iam.Policy{iam.PullPolicy("arn:aws:ecr:local:123456789012:repository/other/*")}}, errs.Denied},
		"elsewhere":  {iam.Caller{Name: "mallory", Policies: []iam.Policy{iam.PullPolicy("arn:aws:ecr:local:123456789012:repository/other/*")}}, errs.Denied},
		"denied": {iam.Caller{Name: "mallory", Policies: []iam.Policy{iam.PullPolicy("*"), {Statements: []iam.Statement{
			{Deny: true, Actions: []string{"ecr:*"}, Resources: []string{"*"}},
		}}}}, errs.Denied},
	}
	free := map[string]bool{"ARN": true, "SetRules": true, "SetTemplates": true, "SetSettings": true} // no caller's: they tell nothing
	checked := 0
	for i := range reg.NumMethod() {
		method := reg.Type().Method(i)
		if free[method.Name] {
			continue
		}
		checked++
		for name, c := range callers {
			for _, repo := range []string{"hub/app", "nowhere"} {
				t.Run(method.Name+" "+name+" "+repo, func(t *testing.T) {
					err := call(t, reg.Method(i), c.caller, repo)
					if errs.CodeOf(err) != c.code {
						t.Errorf("got %v (%s), want %s", err, errs.CodeOf(err), c.code)
					}
					if e := errs.As(err); e != nil && !strings.Contains(e.Msg, "ecr:") {
						t.Errorf("the refusal %q does not name the action", e.Msg)
					}
				})
			}
		}
	}
	if checked < 5 {
		t.Errorf("only %d methods were checked", checked)
	}
}

// call calls a method with plausible arguments and returns its error.
func call(t *testing.T, method reflect.Value, caller iam.Caller, repo string) error {
	t.Helper()
	var args []reflect.Value
	seen := false
	for i := range method.Type().NumIn() {
		in := method.Type().In(i)
		switch in {
		case reflect.TypeFor[context.Context]():
			args = append(args, reflect.ValueOf(t.Context()))
		case reflect.TypeFor[iam.Caller]():
			seen = true
			args = append(args, reflect.ValueOf(caller))
		case reflect.TypeFor[oci.Reference]():
			args = append(args, reflect.ValueOf(oci.Reference{Tag: "v1"}))
		case reflect.TypeFor[digest.Digest]():
			args = append(args, reflect.ValueOf(digest.FromString("x")))
		case reflect.TypeFor[time.Duration]():
			args = append(args, reflect.ValueOf(time.Minute))
		case reflect.TypeFor[string]():
			args = append(args, reflect.ValueOf(repo))
		case reflect.TypeFor[registry.NewRepository]():
			args = append(args, reflect.ValueOf(registry.NewRepository{Name: repo, Tags: []rule.ResourceTag{{Key: "k"}}}))
		case reflect.TypeFor[[]rule.ResourceTag]():
			args = append(args, reflect.ValueOf([]rule.ResourceTag{{Key: "k"}}))
		case reflect.TypeFor[[]string]():
			args = append(args, reflect.ValueOf([]string{repo}))
		case reflect.TypeFor[int]():
			args = append(args, reflect.ValueOf(1))
		case reflect.TypeFor[registry.ReferrerQuery]():
			args = append(args, reflect.ValueOf(registry.ReferrerQuery{Subject: digest.FromString("x"), Limit: 1}))
		case reflect.TypeFor[registry.Which]():
			args = append(args, reflect.ValueOf(registry.Which{}))
		case reflect.TypeFor[registry.ImageID]():
			args = append(args, reflect.ValueOf(registry.ImageID{}))
		case reflect.TypeFor[[]registry.ImageID]():
			args = append(args, reflect.ValueOf([]registry.ImageID{{Tag: "v1"}}))
		case reflect.TypeFor[registry.RepositoryQuery](), reflect.TypeFor[registry.TagQuery](), reflect.TypeFor[registry.MoveQuery]():
			args = append(args, reflect.Zero(in))
		case reflect.TypeFor[registry.ManifestPush](), reflect.TypeFor[registry.Part](), reflect.TypeFor[digest.Algorithm]():
			args = append(args, reflect.Zero(in))
		case reflect.TypeFor[registry.PreviewQuery]():
			args = append(args, reflect.ValueOf(registry.PreviewQuery{Limit: 1}))
		case reflect.TypeFor[int64]():
			args = append(args, reflect.ValueOf(int64(1)))
		case reflect.TypeFor[bool]():
			args = append(args, reflect.ValueOf(true))
		default:
			t.Fatalf("no argument for %s: teach this test", in)
		}
	}
	if !seen {
		return errors.New("the method takes no iam.Caller")
	}
	out := method.Call(args)
	err, _ := out[len(out)-1].Interface().(error)
	return err
}

func TestNames(t *testing.T) {
	reg := newRegistry(t)
	root := iam.Caller{Name: "root", Root: true}
	for _, tt := range []struct {
		repo string
		code errs.Code
	}{
		{"nowhere", errs.RepoUnknown},
		{"hub", errs.RepoUnknown},
		{"hubs/app", errs.RepoUnknown},
		{"Hub/app", errs.NameInvalid},
		{"hub/../app", errs.NameInvalid},
		{"", errs.NameInvalid},
		{"hub//app", errs.NameInvalid},
		{strings.Repeat("a", 257), errs.NameInvalid},
	} {
		if _, err := reg.Manifest(t.Context(), root, tt.repo, oci.Reference{Tag: "v1"}, true); errs.CodeOf(err) != tt.code {
			t.Errorf("%q: %v, want %s", tt.repo, err, tt.code)
		}
	}
}

// TestRuleGone: what was held under a rule is served without it, and nothing more.
func TestRuleGone(t *testing.T) {
	db := newDB(t)
	rules, problems := rule.NewSet([]rule.Rule{{Prefix: "hub", Kind: rule.Generic, Upstream: "up.test"}})
	if problems != nil {
		t.Fatal(problems)
	}
	cache := pullthrough.New(pullthrough.Options{Index: db})
	t.Cleanup(cache.Close)
	reg := registry.New(registry.Options{ID: "123456789012", Region: "local", Rules: rules, Cache: cache, DB: db})
	held := put(t, db, "hub/app", "v1", oci.MediaTypeIndex, `{"schemaVersion":2,"manifests":[]}`)
	public := digest.FromString("public")
	if err := db.Claim(t.Context(), public, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := db.PutBlob(t.Context(), public, 6, true, []string{"other/app"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	root := iam.Caller{Name: "root", Root: true}
	reg.SetRules(new(rule.Set))

	for _, ref := range []oci.Reference{{Tag: "v1"}, {Digest: held}} {
		m, err := reg.Manifest(t.Context(), root, "hub/app", ref, true)
		if err != nil || m.Digest != held || m.Source != registry.Hit {
			t.Errorf("%v: %v, %v", ref, m, err)
		}
	}
	x, err := reg.Explain(t.Context(), root, "hub/app", oci.Reference{Tag: "v1"})
	if err != nil || !x.Held || x.Upstream != "" || !strings.Contains(x.HeldOnly, "no pull through cache rule") {
		t.Errorf("%+v, %v", x, err)
	}
	_, notHeld := reg.Manifest(t.Context(), root, "hub/app", oci.Reference{Tag: "v2"}, true)
	_, checked := reg.Check(t.Context(), root, "hub/app", "v1")
	_, noBlob := reg.Blob(t.Context(), root, "hub/app", digest.FromString("x"))
	_, elsewhere := reg.Blob(t.Context(), root, "nowhere/app", public)
	for _, tt := range []struct {
		name string
		code errs.Code
		err  error
	}{
		{"tag that is not held", errs.ManifestUnknown, notHeld},
		{"blob that is not held", errs.BlobUnknown, noBlob},
		{"check", errs.Unsupported, checked},
		{"public blob in no repository", errs.RepoUnknown, elsewhere},
	} {
		if errs.CodeOf(tt.err) != tt.code || !strings.Contains(tt.err.Error(), "no pull through cache rule has a prefix of its name") {
			t.Errorf("%s: %v, want %s", tt.name, tt.err, tt.code)
		}
	}
	if repos, err := db.Repositories(t.Context(), "", 10); err != nil || len(repos) != 2 {
		t.Errorf("repositories %v, %v", repos, err)
	}
	reg.SetRules(rules)
	if m, err := reg.Manifest(t.Context(), root, "hub/app", oci.Reference{Digest: held}, true); err != nil || m.Upstream != "up.test" {
		t.Errorf("with the rule again: %v, %v", m, err)
	}
}

// TestAnonymous: a pattern that does not name a rule with a credential is not meant for
// what the credential brought, nor for what such a rule may have left.
func TestAnonymous(t *testing.T) {
	db := newDB(t)
	rules, problems := rule.NewSet([]rule.Rule{
		{Prefix: "public", Kind: rule.Generic, Upstream: "up.test"},
		{Prefix: "corp/team", Kind: rule.Generic, Upstream: "up.test", Credential: "robot"},
		{Prefix: rule.Root, Kind: rule.ECR, Upstream: "999999999999.dkr.ecr.eu-west-1.amazonaws.com"},
	})
	if problems != nil {
		t.Fatal(problems)
	}
	cache := pullthrough.New(pullthrough.Options{Index: db, HeldOnly: true})
	t.Cleanup(cache.Close)
	reg := registry.New(registry.Options{ID: "123456789012", Region: "local", Rules: rules, Cache: cache, DB: db})
	for _, repo := range []string{"public/app", "corp/team/app", "own/app"} {
		put(t, db, repo, "v1", oci.MediaTypeIndex, `{"schemaVersion":2,"manifests":[]}`)
	}
	for _, tt := range []struct {
		pattern, repo string
		gone, ok      bool
	}{
		{"*", "public/app", false, true},
		{"*", "corp/team/app", false, false},
		{"corp/*", "corp/team/app", false, false},
		{"corp/team*", "corp/team/app", false, false},
		{"corp/team/*", "corp/team/app", false, true},
		{"corp/team/ap?", "corp/team/app", false, true},
		{"corp/team/app", "corp/team/app", false, true},
		{"corp/team/*", "public/app", false, false},
		{"*", "own/app", false, false},
		{"own/*", "own/app", false, true},
		{"*", "public/app", true, false},
		{"public/*", "public/app", true, false},
		{"public/app", "public/app", true, true},
		{"corp/team/*", "corp/team/app", true, false},
	} {
		reg.SetRules(rules)
		if tt.gone {
			reg.SetRules(new(rule.Set))
		}
		c := iam.Caller{Name: "anonymous", Anonymous: true, Policies: []iam.Policy{iam.PullPolicy(reg.ARN(tt.pattern))}}
		_, manifest := reg.Manifest(t.Context(), c, tt.repo, oci.Reference{Tag: "v1"}, true)
		_, _, list := reg.ImageIDs(t.Context(), c, tt.repo, registry.Which{}, registry.ImageID{}, 10)
		for _, err := range []error{manifest, list} {
			if (err == nil) != tt.ok || err != nil && errs.CodeOf(err) != errs.Unauthenticated {
				t.Errorf("%+v: %v", tt, err)
			}
		}
	}
}
