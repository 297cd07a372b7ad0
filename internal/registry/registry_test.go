package registry_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/pullthrough"
	"github.com/weir-registry/weir/internal/registry"
	"github.com/weir-registry/weir/internal/rule"
)

// untouchable fails the test if anything behind the decision is used.
type untouchable struct{ pullthrough.Index }

func newRegistry(t *testing.T) *registry.Registry {
	t.Helper()
	rules, problems := rule.NewSet([]rule.Rule{{Prefix: "hub", Kind: rule.Generic, Upstream: "up.test"}})
	if problems != nil {
		t.Fatal(problems)
	}
	// Index, store and upstream are nil inside: to touch one is to panic.
	cache := pullthrough.New(pullthrough.Options{Index: untouchable{}})
	t.Cleanup(cache.Close)
	return registry.New(registry.Options{ID: "123456789012", Region: "local", Rules: rules, Cache: cache})
}

// TestEveryMethodAuthorizes calls every exported method that takes a caller with
// callers that have no right to anything: each must refuse and touch nothing.
func TestEveryMethodAuthorizes(t *testing.T) {
	reg := reflect.ValueOf(newRegistry(t))
	callers := map[string]struct {
		caller iam.Caller
		code   errs.Code
	}{
		"nobody":    {iam.Caller{}, errs.Unauthenticated},
		"anonymous": {iam.Caller{Name: "anonymous", Anonymous: true}, errs.Unauthenticated},
		"no policy": {iam.Caller{Name: "mallory", KeyID: "AKIAMALLORY"}, errs.Denied},
		"elsewhere": {iam.Caller{Name: "mallory", Policies: []iam.Policy{iam.PullPolicy("arn:aws:ecr:local:123456789012:repository/other/*")}}, errs.Denied},
		"denied": {iam.Caller{Name: "mallory", Policies: []iam.Policy{iam.PullPolicy("*"), {Statements: []iam.Statement{
			{Deny: true, Actions: []string{"ecr:*"}, Resources: []string{"*"}},
		}}}}, errs.Denied},
	}
	free := map[string]bool{"ARN": true} // tell nothing and do nothing
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
		case reflect.TypeFor[string]():
			args = append(args, reflect.ValueOf(repo))
		case reflect.TypeFor[[]string]():
			args = append(args, reflect.ValueOf([]string{repo}))
		case reflect.TypeFor[int]():
			args = append(args, reflect.ValueOf(1))
		case reflect.TypeFor[registry.Tagged]():
			args = append(args, reflect.ValueOf(registry.AnyImages))
		case reflect.TypeFor[registry.ImageID]():
			args = append(args, reflect.ValueOf(registry.ImageID{}))
		case reflect.TypeFor[[]registry.ImageID]():
			args = append(args, reflect.ValueOf([]registry.ImageID{{Tag: "v1"}}))
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
