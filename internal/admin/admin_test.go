package admin_test

import (
	"context"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/rule"
	"github.com/weir-registry/weir/internal/seal"
	"github.com/weir-registry/weir/internal/vfs/vfstest"
)

const registryID = "123456789012"

var root = iam.Caller{Name: "root", Root: true, Account: registryID}

// house is an Admin with what it needs, at a time that the test says.
type house struct {
	*admin.Admin
	t       *testing.T
	db      *meta.DB
	keys    *seal.Keys
	now     time.Time
	sets    []*rule.Set     // that Changed was given
	made    *rule.Templates // that TemplatesChanged was given last
	commits atomic.Int64
	path    string
}

func newHouse(t *testing.T, change ...func(*admin.Options)) *house {
	t.Helper()
	h := &house{t: t, now: time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC), path: filepath.Join(t.TempDir(), "weir.db")}
	var err error
	if h.keys, err = seal.Open(vfstest.NewMem(nil), "keys"); err != nil {
		t.Fatal(err)
	}
	if h.db, err = meta.Open(t.Context(), meta.Options{Path: h.path, OnCommit: func() { h.commits.Add(1) }}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.db.Close(); err != nil {
			t.Error(err)
		}
	})
	h.start(change...)
	return h
}

// start makes the Admin anew, as at a start of the process.
func (h *house) start(change ...func(*admin.Options)) {
	h.t.Helper()
	o := admin.Options{
		DB: h.db, Keys: h.keys, ID: registryID, Region: "local",
		Changed:          func(s *rule.Set) { h.sets = append(h.sets, s) },
		TemplatesChanged: func(all *rule.Templates) { h.made = all },
		Now:              func() time.Time { return h.now },
	}
	for _, f := range change {
		f(&o)
	}
	var err error
	if h.Admin, err = admin.New(h.t.Context(), o); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) pass(d time.Duration) { h.now = h.now.Add(d) }

func diff(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, what string, want errs.Code, err error) {
	t.Helper()
	if err == nil || errs.CodeOf(err) != want {
		t.Errorf("%s: %v (%v), want %v", what, err, errs.CodeOf(err), want)
	}
}

func allow(resource string, actions ...string) iam.Caller {
	return iam.Caller{Name: "ann", Account: registryID, Policies: []iam.Policy{{Statements: []iam.Statement{{Actions: actions, Resources: []string{resource}}}}}}
}

// TestEveryMethodAuthorizes calls every method that takes a caller, with callers who
// may not do it: each must refuse, whether what is asked for is there or not, tell
// nothing else and write nothing.
func TestEveryMethodAuthorizes(t *testing.T) {
	h := newHouse(t, func(o *admin.Options) {
		o.Validate = func(context.Context, *rule.Rule) error { t.Error("the upstream was asked"); return nil }
	})
	_, err := h.CreateRule(t.Context(), root, admin.RuleInput{Prefix: "there", UpstreamURL: "quay.io"})
	check(t, err)
	_, err = h.CreateTemplate(t.Context(), root, admin.TemplateInput{Prefix: "there", AppliedFor: []string{rule.ForCreateOnPush}})
	check(t, err)
	_, _, err = h.CreateSecret(t.Context(), root, admin.CreateSecretInput{Name: "there", Value: []byte("v")})
	check(t, err)
	_, err = h.CreateUser(t.Context(), root, "there", nil)
	check(t, err)
	key, _, err := h.CreateKey(t.Context(), root, "there", time.Time{})
	check(t, err)

	free := map[string]bool{"RuleSet": true, "Credential": true, "Policies": true, "May": true, "UpstreamKinds": true} // nobody is asking; or it only decides
	callers := map[string]struct {
		caller iam.Caller
		code   errs.Code
	}{
		"nobody":    {iam.Caller{}, errs.Unauthenticated},
		"anonymous": {iam.Caller{Name: "anonymous", Anonymous: true}, errs.Unauthenticated},
		"no policy": {iam.Caller{Name: "mallory", KeyID: "AKIAMALLORY"}, errs.Denied},
		"elsewhere": {allow("arn:aws:*:other", "*"), errs.Denied},
		"puller":    {iam.Caller{Name: "mallory", Policies: []iam.Policy{iam.PullPolicy("*")}}, errs.Denied},
		"denied": {iam.Caller{Name: "mallory", Policies: []iam.Policy{{Statements: []iam.Statement{
			{Actions: []string{"*"}, Resources: []string{"*"}},
			{Deny: true, Actions: []string{"ecr:*", "secretsmanager:*", "iam:*", "weir:*"}, Resources: []string{"*"}},
		}}}}, errs.Denied},
	}
	value := reflect.ValueOf(h.Admin)
	checked := 0
	for i := range value.NumMethod() {
		name := value.Type().Method(i).Name
		if free[name] {
			continue
		}
		checked++
		for who, c := range callers {
			for _, what := range []string{"there", "nowhere", key.ID, ""} {
				t.Run(name+" "+who+" "+what, func(t *testing.T) {
					before := h.commits.Load()
					out, err := call(t, value.Method(i), c.caller, what)
					wantCode(t, "refusal", c.code, err)
					for _, v := range out {
						if !v.IsZero() {
							t.Errorf("it tells %v", v)
						}
					}
					if h.commits.Load() != before {
						t.Error("something was written")
					}
				})
			}
		}
	}
	if checked < 30 {
		t.Errorf("only %d methods were checked", checked)
	}
}

// TestRegistryPolicyDecides: the registry's policy counts for the methods that are
// actions of ECR's, and for no others.
func TestRegistryPolicyDecides(t *testing.T) {
	h := newHouse(t)
	check(t, h.db.PutRegistryPolicy(t.Context(), []byte(`{"Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}}`)))
	value := reflect.ValueOf(h.Admin)
	checked := 0
	for i := range value.NumMethod() {
		name := value.Type().Method(i).Name
		if value.Type().Method(i).Type.NumIn() < 3 || value.Type().Method(i).Type.In(2) != reflect.TypeFor[iam.Caller]() || name == "May" {
			continue
		}
		_, err := call(t, value.Method(i), iam.Caller{}, "a")
		ofECR := errs.As(err) != nil && strings.Contains(errs.As(err).Msg, "perform ecr:")
		for _, c := range []iam.Caller{allow("*", "*"), root} {
			_, err := call(t, value.Method(i), c, "a")
			denied := errs.CodeOf(err) == errs.Denied && strings.HasSuffix(errs.As(err).Msg, "with an explicit deny in a resource-based policy")
			if denied != ofECR {
				t.Errorf("%s by %s: %v, want a denial: %v", name, c.Name, err, ofECR)
			}
		}
		if ofECR {
			checked++
		}
	}
	if checked < 15 {
		t.Errorf("only %d methods were checked", checked)
	}
}

// call calls a method with plausible arguments and returns its results and its error.
func call(t *testing.T, method reflect.Value, caller iam.Caller, what string) ([]reflect.Value, error) {
	t.Helper()
	var args []reflect.Value
	for i := range method.Type().NumIn() {
		switch in := method.Type().In(i); in {
		case reflect.TypeFor[context.Context]():
			args = append(args, reflect.ValueOf(t.Context()))
		case reflect.TypeFor[iam.Caller]():
			if i != 1 {
				t.Error("the caller does not come first")
			}
			args = append(args, reflect.ValueOf(caller))
		case reflect.TypeFor[string]():
			args = append(args, reflect.ValueOf(what))
		case reflect.TypeFor[[]string]():
			args = append(args, reflect.ValueOf([]string{what}))
		case reflect.TypeFor[[]byte]():
			args = append(args, reflect.ValueOf([]byte(what)))
		case reflect.TypeFor[admin.RuleInput]():
			args = append(args, reflect.ValueOf(admin.RuleInput{Prefix: what, UpstreamURL: "quay.io"}))
		case reflect.TypeFor[admin.TemplateInput]():
			args = append(args, reflect.ValueOf(admin.TemplateInput{Prefix: what, AppliedFor: []string{rule.ForCreateOnPush}}))
		case reflect.TypeFor[admin.CreateSecretInput]():
			args = append(args, reflect.ValueOf(admin.CreateSecretInput{Name: what, Value: []byte("v")}))
		default:
			args = append(args, reflect.Zero(in))
		}
	}
	if len(args) < 2 || method.Type().In(1) != reflect.TypeFor[iam.Caller]() {
		return nil, errors.New("the method takes no caller")
	}
	out := method.Call(args)
	err, _ := out[len(out)-1].Interface().(error)
	return out[:len(out)-1], err
}
