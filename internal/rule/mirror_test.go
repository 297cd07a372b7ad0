package rule_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

func TestMirrors(t *testing.T) {
	const weir = "weir.corp.example"
	all := []rule.Rule{
		hub("docker-hub", ""), hub("acme", "acme"), quay("quay", ""),
		{Prefix: "team", Kind: rule.GitHub, Upstream: "ghcr.io", UpstreamPrefix: "acme"},
		{Prefix: "deep", Kind: rule.GitHub, Upstream: "ghcr.io", UpstreamPrefix: "acme/deep"},
		{Prefix: "up", Kind: rule.Generic, Upstream: "up.example:5000"},
	}
	m := rule.Mirrors{
		Own: []string{weir, "weir.corp.example:5000"},
		Hosts: map[string]string{
			"hub.corp.example": "docker.io", "acme.corp.example": "acme", "quay.corp.example:8443": "quay",
			"quay.io": "quay", "gone.corp.example": "gone", "nobody.corp.example": "nobody.example",
		},
	}
	long := strings.Repeat("n", oci.MaxRepository-len("quay/"))
	for _, tt := range []struct {
		name           string
		rules          []rule.Rule
		host, ns, repo string
		want           string // "": it is not here
	}{
		{"own name", all, weir, "", "docker-hub/nginx", "docker-hub/nginx"},
		{"any own name", all, "10.0.0.5:5000", "", "docker-hub/nginx", "docker-hub/nginx"},
		{"no rule's", all, weir, "", "a/b", "a/b"},
		{"ns is the host", all, "10.0.0.5:5000", "10.0.0.5:5000", "quay/a/b", "quay/a/b"},
		{"ns is an own name", all, "10.0.0.5:5000", weir, "quay/a/b", "quay/a/b"},
		{"ns is an own name with a port", all, "10.0.0.5:5000", weir + ":5000", "quay/a/b", "quay/a/b"},

		{"hub", all, weir, "docker.io", "library/nginx", "docker-hub/library/nginx"},
		{"hub, one word", all, weir, "docker.io", "nginx", "docker-hub/library/nginx"},
		{"hub, index", all, weir, "index.docker.io", "library/nginx", "docker-hub/library/nginx"},
		{"hub's registry", all, weir, "registry-1.docker.io", "library/nginx", "docker-hub/library/nginx"},
		{"hub, in capitals", all, weir, "Docker.IO", "library/nginx", "docker-hub/library/nginx"},
		{"hub, all before a part", all, weir, "docker.io", "acme/app", "docker-hub/acme/app"},
		{"hub, with the prefix", all, weir, "docker.io", "docker-hub/library/nginx", "docker-hub/library/nginx"},
		{"hub, an owner like the prefix", all, weir, "docker.io", "docker-hub/nginx", "docker-hub/docker-hub/nginx"},
		{"quay", all, weir, "quay.io", "prometheus/busybox", "quay/prometheus/busybox"},
		{"quay, an owner like the prefix", all, weir, "quay.io", "quay/busybox", "quay/quay/busybox"},
		{"no library elsewhere", all, weir, "quay.io", "busybox", "quay/busybox"},
		{"too long here", all, weir, "quay.io", long + "n", ""},
		{"a part", all, weir, "ghcr.io", "acme/app", "team/app"},
		{"the longest part", all, weir, "ghcr.io", "acme/deep/app", "deep/app"},
		{"no part", all, weir, "ghcr.io", "other/app", ""},
		{"port", all, weir, "up.example:5000", "a/b", "up/a/b"},
		{"another port", all, weir, "up.example:5001", "a/b", ""},
		{"no port", all, weir, "up.example", "a/b", ""},
		{"nobody's", all, weir, "nobody.example", "a/b", ""},
		{"metadata", all, weir, "169.254.169.254", "latest/meta-data", ""},
		{"a prefix is no host", all, weir, "team", "acme/app", ""},
		{"no rules", nil, weir, "docker.io", "library/nginx", ""},

		{"host", all, "hub.corp.example", "", "library/nginx", "docker-hub/library/nginx"},
		{"host, any port", all, "hub.corp.example:8443", "", "nginx", "docker-hub/library/nginx"},
		{"host, in capitals", all, "Hub.corp.example", "", "nginx", "docker-hub/library/nginx"},
		{"host and the same ns", all, "hub.corp.example", "docker.io", "library/nginx", "docker-hub/library/nginx"},
		{"host and another ns", all, "hub.corp.example", "quay.io", "a/b", "quay/a/b"},
		{"host and ns of its name", all, "hub.corp.example", "hub.corp.example", "a/b", "docker-hub/a/b"},
		{"host and this registry as ns", all, "hub.corp.example", weir, "quay/a/b", "quay/a/b"},
		{"host as ns", all, weir, "hub.corp.example", "a/b", "docker-hub/a/b"},
		{"host of a rule", all, "acme.corp.example", "", "acme/app", "acme/app"},
		{"host of a rule without the repository", all, "acme.corp.example", "", "library/nginx", ""},
		{"host with its port", all, "quay.corp.example:8443", "", "a/b", "quay/a/b"},
		{"host with another port", all, "quay.corp.example", "", "a/b", "a/b"},
		{"upstream's own name led here", all, "quay.io", "", "a/b", "quay/a/b"},
		{"host of a rule that is gone", all, "gone.corp.example", "", "a/b", ""},
		{"host of nobody", all, "nobody.corp.example", "", "a/b", ""},

		{"ROOT before others", []rule.Rule{hub("docker-hub", ""), hub("ROOT", "")}, weir, "docker.io", "nginx", "library/nginx"},
		{"two that have all", []rule.Rule{hub("b", ""), hub("a", "ROOT")}, weir, "docker.io", "nginx", "a/library/nginx"},
		{"another rule takes the name", []rule.Rule{hub("hub", ""), quay("hub/library", "")}, weir, "docker.io", "nginx", ""},
		{"another rule takes the name, a third has it", []rule.Rule{hub("hub", ""), quay("hub/library", ""), hub("x", "library")}, weir, "docker.io", "library/nginx", "x/nginx"},
		{"ROOT's name is another's", []rule.Rule{quay("ROOT", ""), hub("a", "")}, weir, "quay.io", "a/b", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := m.Repository(newSet(t, tt.rules...), tt.host, tt.ns, tt.repo)
			if got != tt.want || (errs.CodeOf(err) == errs.RepoUnknown) != (tt.want == "") {
				t.Errorf("%q, %v; want %q", got, err, tt.want)
			}
		})
	}
	for _, ns := range []string{"http://169.254.169.254", "a b", "docker.io/library", "-", strings.Repeat("n", 300)} {
		if got, err := m.Repository(newSet(t, all...), weir, ns, "a/b"); errs.CodeOf(err) != errs.NameInvalid {
			t.Errorf("ns %q: %q, %v", ns, got, err)
		}
	}
}

func TestLeading(t *testing.T) {
	s := newSet(t, hub("z", ""), hub("long", "library/deep"), hub("short", "library"), quay("q", ""), hub("ROOT", "ROOT"))
	for host, want := range map[string][]string{
		"docker.io": {"ROOT", "z", "long", "short"}, "registry-1.docker.io": {"ROOT", "z", "long", "short"}, "quay.io": {"q"}, "nobody.example": nil,
	} {
		var got []string
		for _, r := range s.Leading(host) {
			got = append(got, r.Prefix)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", host, diff)
		}
	}
}

// FuzzMirrors: what a mirror answers is the named upstream's, and its repository the one
// that was asked for.
func FuzzMirrors(f *testing.F) {
	f.Add("docker.io", "nginx", "hub", "", "hub/library", "ours")
	f.Add("docker.io", "hub/library/nginx", "hub", "", "ROOT", "")
	f.Add("quay.io", "org/app", "q", "org", "ROOT", "q")
	f.Fuzz(func(t *testing.T, ns, repo, prefix1, upstream1, prefix2, upstream2 string) {
		if _, err := oci.ParseRepository(repo); err != nil {
			return
		}
		s, _ := rule.NewSet([]rule.Rule{hub(prefix1, upstream1), quay(prefix2, upstream2)})
		name, err := rule.Mirrors{}.Repository(s, "weir", ns, repo)
		if err != nil || ns == "" || strings.EqualFold(ns, "weir") {
			return
		}
		r, cached := s.Match(name)
		if r == nil || cached != name || r.Kind != rule.KindOf(strings.ToLower(ns)) {
			t.Fatalf("%s/%s is %q here, which leads to %v as %q", ns, repo, name, r, cached)
		}
		if at := r.UpstreamRepository(cached); at != repo && at != "library/"+repo && name != repo {
			t.Fatalf("%s/%s is %q here, which is the upstream's %q", ns, repo, name, at)
		}
	})
}
