package registry_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/pullthrough"
	"github.com/weir-registry/weir/internal/registry"
	"github.com/weir-registry/weir/internal/rule"
)

const (
	denyAll = `{"Statement":{"Sid":"Never","Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}}`
	letAnn  = `{"Statement":{"Sid":"Ann","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:user/ann"},"Action":"ecr:*","Resource":"*"}}`
)

// user is one of the account's without policies.
func user(name string) iam.Caller {
	return iam.Caller{Name: name, KeyID: "AKIA", Account: "123456789012"}
}

// full is a user who may do everything by a policy of the user's own.
func full(name string) iam.Caller {
	c := user(name)
	c.Policies = []iam.Policy{{Statements: []iam.Statement{{Actions: []string{"*"}, Resources: []string{"*"}}}}}
	return c
}

// TestEveryMethodHeedsPolicies calls every exported method that takes a caller where a
// policy of the repository, or the registry's, denies everything: each must refuse
// and touch nothing, root's too but for the way out.
func TestEveryMethodHeedsPolicies(t *testing.T) {
	free := []string{"ARN", "SetRules", "SetTemplates", "SetSettings"}
	overall := []string{"Describe", "PutRegistryPolicy", "RegistryPolicy", "DeleteRegistryPolicy", "Catalog", "Browse", "RuleRepositories", "Arriving"} // about no repository
	wayOut := []string{"PullDecisions", "SetRepositoryPolicy", "RepositoryPolicy", "DeleteRepositoryPolicy", "PutRegistryPolicy", "RegistryPolicy", "DeleteRegistryPolicy"}
	for _, of := range []string{"repository", "registry"} {
		rules, _ := rule.NewSet([]rule.Rule{{Prefix: "hub", Kind: rule.Generic, Upstream: "up.test"}})
		cache := pullthrough.New(pullthrough.Options{Index: untouchable{}})
		t.Cleanup(cache.Close)
		db := newDB(t)
		reg := registry.New(registry.Options{ID: "123456789012", Region: "local", Rules: rules, Cache: cache, DB: db})
		for _, row := range []meta.Repository{{Name: "hub/app", Kind: meta.Cached}, {Name: "own"}} {
			if of == "repository" {
				row.Policy = []byte(denyAll)
			}
			if err := db.CreateRepository(t.Context(), row); err != nil {
				t.Fatal(err)
			}
		}
		if of == "registry" {
			if err := db.PutRegistryPolicy(t.Context(), []byte(denyAll)); err != nil {
				t.Fatal(err)
			}
		}
		root := iam.Caller{Name: "root", KeyID: "AKIAROOT", Account: "123456789012", Root: true}
		v := reflect.ValueOf(reg)
		for i := range v.NumMethod() {
			name := v.Type().Method(i).Name
			if slices.Contains(free, name) || of == "repository" && slices.Contains(overall, name) {
				continue
			}
			for _, c := range []iam.Caller{full("ann"), root} {
				if c.Root && slices.Contains(wayOut, name) {
					continue
				}
				for _, repo := range []string{"hub/app", "own"} {
					t.Run(of+" "+name+" "+c.Name+" "+repo, func(t *testing.T) {
						err := call(t, v.Method(i), c, repo)
						if e := errs.As(err); errs.CodeOf(err) != errs.Denied || !strings.HasSuffix(e.Msg, "with an explicit deny in a resource-based policy") {
							t.Errorf("got %v (%s), want Denied", err, errs.CodeOf(err))
						} else if cause := e.Err; cause == nil || !strings.HasPrefix(cause.Error(), "statement Never of the ") {
							t.Errorf("its cause is %v", cause)
						}
					})
				}
			}
		}
		for _, c := range []iam.Caller{full("ann"), root} {
			names, more, err := reg.Catalog(t.Context(), c, "", 10)
			if denied := errs.CodeOf(err) == errs.Denied; len(names) > 0 || more || denied != (of == "registry") || err != nil && !denied {
				t.Errorf("catalog of %s by the policy of the %s: %q, %v, %v", c.Name, of, names, more, err)
			}
		}
		if _, err := reg.SetRepositoryPolicy(t.Context(), root, "own", letAnn, false); err != nil {
			t.Errorf("root has no way out: %v", err)
		}
		if err := reg.PutRegistryPolicy(t.Context(), root, letAnn); err != nil {
			t.Errorf("root has no way out: %v", err)
		}
		if _, _, err := reg.Repositories(t.Context(), user("ann"), []string{"own"}, "", 0); err != nil {
			t.Errorf("ann is not let in: %v", err)
		}
	}
}

// TestHotPullByPolicies: policies on resources cost a pull of what is held no SQL
// statement, and a change of one counts for the next request.
func TestHotPullByPolicies(t *testing.T) {
	ctx := t.Context()
	w := newWorld(t, onDisk(t))
	layer := w.blob("team/app", "layer")
	raw := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":5}]}`,
		oci.MediaTypeManifest, w.blob("team/app", "{}"), layer)
	if _, err := w.PutManifest(ctx, root, "team/app", registry.ManifestPush{Reference: oci.Reference{Tag: "1"}, ContentType: oci.MediaTypeManifest, Raw: []byte(raw)}); err != nil {
		t.Fatal(err)
	}
	ann := user("ann")
	pull := func() error {
		if _, err := w.Manifest(ctx, ann, "team/app", oci.Reference{Tag: "1"}, true); err != nil {
			return err
		}
		if _, _, err := w.StatBlob(ctx, ann, "team/app", layer); err != nil {
			return err
		}
		b, err := w.Blob(ctx, ann, "team/app", layer)
		if err != nil {
			return err
		}
		var got flushed
		return errors.Join(b.WriteRange(ctx, &got, 0, -1), b.Close())
	}
	wantDenied := func(what string) {
		t.Helper()
		if err := pull(); errs.CodeOf(err) != errs.Denied {
			t.Errorf("%s: %v", what, err)
		}
	}
	wantHot := func(what string) {
		t.Helper()
		if err := pull(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		before := w.db.Queries()
		for range 3 {
			if err := pull(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		if n := w.db.Queries() - before; n != 0 {
			t.Errorf("%s: %d statements", what, n)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	wantDenied("without a policy")
	_, err := w.SetRepositoryPolicy(ctx, root, "team/app", letAnn, false)
	must(err)
	wantHot("by the repository's policy")
	must(w.PutRegistryPolicy(ctx, root, denyAll))
	wantDenied("denied by the registry's")
	must(w.PutRegistryPolicy(ctx, root, letAnn))
	_, err = w.DeleteRepositoryPolicy(ctx, root, "team/app")
	must(err)
	wantHot("by the registry's policy")
	w.SetSettings(&rule.Settings{OldScope: true})
	wantDenied("in the old scope")
	w.SetSettings(nil)
	_, err = w.DeleteRegistryPolicy(ctx, root)
	must(err)
	wantDenied("without any again")
}
