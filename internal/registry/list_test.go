package registry_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/pullthrough"
	"github.com/weir-registry/weir/internal/registry"
	"github.com/weir-registry/weir/internal/rule"
)

// lister is an upstream that lists.
type lister struct {
	pullthrough.Upstream
	asked int
}

func (l *lister) Tags(context.Context, string) ([]string, error) {
	l.asked++
	return []string{"theirs"}, nil
}

func (l *lister) Referrers(_ context.Context, _ string, d digest.Digest) ([]oci.Referrer, error) {
	l.asked++
	return []oci.Referrer{{MediaType: oci.MediaTypeManifest, Digest: digest.FromString("r"), Size: 1}}, nil
}

// TestLists: what is held needs one right, and the upstream's the right to import; ECR's
// policies that pull can read referrers, and those that list can list.
func TestLists(t *testing.T) {
	managed := func(name string) iam.Caller {
		p, ok := iam.Managed(name)
		if !ok {
			t.Fatal(name)
		}
		return iam.Caller{Name: "ann", Policies: []iam.Policy{p}}
	}
	for _, tt := range []struct {
		name            string
		caller          iam.Caller
		tags            string
		referrers       int // -1: refused
		catalog         string
		refused         errs.Code
		tagsW, referrsW bool // with a warning
	}{
		{name: "root", caller: root, tags: "held theirs", referrers: 1, catalog: "hub/app own/app"},
		{name: "read only", caller: managed("AmazonEC2ContainerRegistryReadOnly"), tags: "held", referrers: 0, catalog: "hub/app own/app", tagsW: true, referrsW: true},
		{name: "pull only", caller: managed("AmazonEC2ContainerRegistryPullOnly"), refused: errs.Denied, referrers: 1},
		{name: "full access", caller: managed("AmazonEC2ContainerRegistryFullAccess"), tags: "held theirs", referrers: 1, catalog: "hub/app own/app"},
		{name: "weir's own for pulling", caller: iam.Caller{Name: "ann", Policies: []iam.Policy{iam.PullPolicy("*")}}, tags: "held theirs", referrers: 1},
		{name: "one repository", caller: may("ecr:Describe*", arn+"own/*"), refused: errs.Denied, referrers: -1, catalog: "own/app"},
		{name: "nobody", refused: errs.Unauthenticated, referrers: -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db := newDB(t)
			rules, problems := rule.NewSet([]rule.Rule{{Prefix: "hub", Kind: rule.Generic, Upstream: "up.test"}})
			if problems != nil {
				t.Fatal(problems)
			}
			up := &lister{}
			cache := pullthrough.New(pullthrough.Options{Index: db, Upstream: func(*rule.Rule) pullthrough.Upstream { return up }})
			t.Cleanup(cache.Close)
			reg := registry.New(registry.Options{ID: "123456789012", Region: "local", Rules: rules, Cache: cache, DB: db})
			d := put(t, db, "hub/app", "held", oci.MediaTypeIndex, `{"schemaVersion":2,"manifests":[]}`)
			put(t, db, "own/app", "1", oci.MediaTypeIndex, `{"schemaVersion":2,"manifests":[]}`)

			l, err := reg.Tags(t.Context(), tt.caller, "hub/app", "", 10)
			if tt.tags == "" {
				if errs.CodeOf(err) != tt.refused || !strings.Contains(err.Error(), "ecr:ListImages") {
					t.Errorf("tags: %v", err)
				}
			} else if err != nil || strings.Join(l.Tags, " ") != tt.tags || (l.Warning != "") != tt.tagsW || l.Upstream != "up.test" {
				t.Errorf("tags: %+v, %v", l, err)
			}
			refs, err := reg.Referrers(t.Context(), tt.caller, "hub/app", registry.ReferrerQuery{Subject: d, Limit: 10})
			if tt.referrers < 0 {
				if errs.CodeOf(err) != tt.refused || !strings.Contains(err.Error(), "ecr:BatchGetImage") {
					t.Errorf("referrers: %v", err)
				}
			} else if err != nil || len(refs.Referrers) != tt.referrers || (refs.Warning != "") != tt.referrsW {
				t.Errorf("referrers: %+v, %v", refs, err)
			}
			names, more, err := reg.Catalog(t.Context(), tt.caller, "", 10)
			if tt.catalog == "" {
				if errs.As(err) == nil || !strings.Contains(err.Error(), "ecr:DescribeRepositories") {
					t.Errorf("catalog: %v", err)
				}
			} else if err != nil || more || strings.Join(names, " ") != tt.catalog {
				t.Errorf("catalog: %v, %t, %v", names, more, err)
			}
			if tt.tags == "held" && up.asked > 0 {
				t.Error("the upstream was asked for a caller who may not import")
			}
		})
	}
}

// TestCatalogPages: pages of what a caller may see are whole, whatever lies between.
func TestCatalogPages(t *testing.T) {
	db := newDB(t)
	reg := registry.New(registry.Options{ID: "123456789012", Region: "local", Rules: new(rule.Set), DB: db})
	var all, mine []string
	for i := range 30 {
		name := fmt.Sprintf("a/%02d", i)
		if i%7 == 3 {
			name = fmt.Sprintf("a/%02d-mine", i)
			mine = append(mine, name)
		}
		all = append(all, name)
		put(t, db, name, "1", oci.MediaTypeIndex, `{"schemaVersion":2,"manifests":[]}`)
	}
	for _, tt := range []struct {
		caller iam.Caller
		want   []string
	}{{root, all}, {may("ecr:DescribeRepositories", arn+"*-mine"), mine}, {may("ecr:DescribeRepositories", arn+"none"), []string{}}} {
		for _, limit := range []int{1, 3, 4, 29, 30, 31} {
			got, after := []string{}, ""
			for more := true; more; {
				var names []string
				var err error
				if names, more, err = reg.Catalog(t.Context(), tt.caller, after, limit); err != nil {
					t.Fatal(err)
				}
				if got = append(got, names...); more {
					after = names[len(names)-1]
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("pages of %d (-want +got):\n%s", limit, diff)
			}
		}
	}
}

// TestCatalogCost: of a repository that a caller may not see the policy is not parsed,
// unless it may be what lets the caller see it; one that denies, or that cannot be read,
// hides what another policy shows.
func TestCatalogCost(t *testing.T) {
	db := newDB(t)
	reg := registry.New(registry.Options{ID: "123456789012", Region: "local", Rules: new(rule.Set), DB: db})
	create := func(name, policy string) {
		t.Helper()
		if err := db.CreateRepository(t.Context(), meta.Repository{Name: name, Policy: []byte(policy)}); err != nil {
			t.Fatal(err)
		}
	}
	statement := func(effect, user string) string {
		return `{"Effect":"` + effect + `","Principal":{"AWS":"arn:aws:iam::123456789012:user/` + user + `"},"Action":"ecr:DescribeRepositories"}`
	}
	var others []string
	for i := range 40 {
		others = append(others, statement("Allow", fmt.Sprintf("other%02d", i)))
	}
	const n = 50
	for i := range n {
		create(fmt.Sprintf("a/%02d", i), `{"Statement":[`+strings.Join(others, ",")+`]}`)
	}
	create("b/lets", `{"Statement":[`+strings.Join(append(others, statement("Allow", "ann")), ",")+`]}`)
	create("b/lets-escaped", `{"Statement":[`+statement("Allow", `\u0061nn`)+`]}`)
	create("c/denies", `{"Statement":[`+statement("Deny", "ann")+`]}`)
	create("c/denies-the-account", `{"Statement":[`+strings.Replace(statement("Deny", ""), "user/", "root", 1)+`]}`)
	create("c/unreadable", `{"Statement":"no longer"}`)
	create("d/plain", "")
	for _, tt := range []struct {
		caller iam.Caller
		want   string
	}{
		{user("ann"), "b/lets b/lets-escaped"},
		{may("ecr:DescribeRepositories", arn+"c/*"), "b/lets b/lets-escaped"},
		{may("ecr:DescribeRepositories", arn+"d/*"), "b/lets b/lets-escaped d/plain"},
	} {
		tt.caller.Name, tt.caller.Account = "ann", "123456789012"
		names, more, err := reg.Catalog(t.Context(), tt.caller, "", 100)
		if err != nil || more || strings.Join(names, " ") != tt.want {
			t.Errorf("%v, %t, %v; want %s", names, more, err, tt.want)
		}
	}
	allocations := testing.AllocsPerRun(5, func() {
		if _, _, err := reg.Catalog(t.Context(), user("bob"), "", 100); errs.CodeOf(err) != errs.Denied {
			t.Errorf("bob: %v", err)
		}
	})
	if allocations > 100*n { // parsing one of these policies makes more than 1000
		t.Errorf("%.0f allocations for %d repositories", allocations, n)
	}
}
