package rule_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

func newSet(t testing.TB, rules ...rule.Rule) *rule.Set {
	t.Helper()
	s, problems := rule.NewSet(rules)
	if len(problems) != 0 {
		t.Fatal(problems)
	}
	return s
}

func hub(prefix, upstreamPrefix string) rule.Rule {
	return rule.Rule{Prefix: prefix, Kind: rule.DockerHub, Upstream: "registry-1.docker.io", UpstreamPrefix: upstreamPrefix}
}

func quay(prefix, upstreamPrefix string) rule.Rule {
	return rule.Rule{Prefix: prefix, Kind: rule.Quay, Upstream: "quay.io", UpstreamPrefix: upstreamPrefix}
}

func TestMatch(t *testing.T) {
	type want struct{ Prefix, Cached, Upstream string }
	long := strings.Repeat("n", oci.MaxRepository-len("hub/"))
	for _, test := range []struct {
		name  string
		rules []rule.Rule
		repo  string
		want  want // zero: no rule
	}{
		{"no rules", nil, "a/b", want{}},
		{"prefix", []rule.Rule{quay("q", "")}, "q/org/app", want{"q", "q/org/app", "org/app"}},
		{"upstream prefix", []rule.Rule{quay("q", "team")}, "q/app", want{"q", "q/app", "team/app"}},
		{"upstream prefix that is the prefix", []rule.Rule{quay("team", "team")}, "team/app", want{"team", "team/app", "team/app"}},
		{"upstream prefix ROOT", []rule.Rule{quay("q", rule.Root)}, "q/app", want{"q", "q/app", "app"}},
		{"upstream prefix with a slash", []rule.Rule{quay("q/", "team/")}, "q/app", want{"q", "q/app", "team/app"}},
		{"prefix twice in the name", []rule.Rule{quay("q", "")}, "q/q/app", want{"q", "q/q/app", "q/app"}},
		{"bare prefix", []rule.Rule{quay("q", "")}, "q", want{}},
		{"prefix of a word", []rule.Rule{quay("q", "")}, "quay/app", want{}},
		{"no rule", []rule.Rule{quay("q", "")}, "p/app", want{}},
		{"longest prefix", []rule.Rule{quay("a", "1"), quay("a/b/c", "3"), quay("a/b", "2")}, "a/b/x/c", want{"a/b", "a/b/x/c", "2/x/c"}},
		{"shorter where the longer is bare", []rule.Rule{quay("a", "1"), quay("a/b", "2")}, "a/b", want{"a", "a/b", "1/b"}},
		{"ROOT", []rule.Rule{quay("ROOT", "")}, "org/app", want{"ROOT", "org/app", "org/app"}},
		{"ROOT and one word", []rule.Rule{quay("ROOT", "")}, "app", want{"ROOT", "app", "app"}},
		{"ROOT after the others", []rule.Rule{quay("ROOT", "0"), quay("q", "1")}, "q/app", want{"q", "q/app", "1/app"}},
		{"bare prefix falls to ROOT", []rule.Rule{quay("ROOT", "0"), quay("q", "1")}, "q", want{"ROOT", "q", "0/q"}},
		{"no name is ROOT's by its word", []rule.Rule{quay("ROOT", "")}, "root/app", want{"ROOT", "root/app", "root/app"}},

		{"hub one word", []rule.Rule{hub("hub", "")}, "hub/nginx", want{"hub", "hub/library/nginx", "library/nginx"}},
		{"hub library", []rule.Rule{hub("hub", "")}, "hub/library/nginx", want{"hub", "hub/library/nginx", "library/nginx"}},
		{"hub organisation", []rule.Rule{hub("hub", "")}, "hub/grafana/grafana", want{"hub", "hub/grafana/grafana", "grafana/grafana"}},
		{"hub with an upstream prefix", []rule.Rule{hub("hub", "grafana")}, "hub/grafana", want{"hub", "hub/grafana", "grafana/grafana"}},
		{"hub with the upstream prefix library", []rule.Rule{hub("hub", "library")}, "hub/nginx", want{"hub", "hub/nginx", "library/nginx"}},
		{"hub with the upstream prefix ROOT", []rule.Rule{hub("hub", "ROOT")}, "hub/nginx", want{"hub", "hub/library/nginx", "library/nginx"}},
		{"hub at the root", []rule.Rule{hub("ROOT", "")}, "nginx", want{"ROOT", "library/nginx", "library/nginx"}},
		{"hub two words", []rule.Rule{hub("a/b", "")}, "a/b/nginx", want{"a/b", "a/b/library/nginx", "library/nginx"}},
		{"no library elsewhere", []rule.Rule{quay("q", "")}, "q/nginx", want{"q", "q/nginx", "nginx"}},
		{"library with a rule of its own", []rule.Rule{hub("hub", ""), quay("hub/library", "ours")}, "hub/nginx", want{"hub/library", "hub/library/nginx", "ours/nginx"}},
		{"library of the root with a rule of its own", []rule.Rule{hub("ROOT", ""), quay("library", "ours")}, "nginx", want{"library", "library/nginx", "ours/nginx"}},
		{"hub under hub", []rule.Rule{hub("hub", ""), hub("hub/library", "")}, "hub/nginx", want{"hub/library", "hub/library/library/nginx", "library/nginx"}},
		{"too long with library", []rule.Rule{hub("hub", "")}, "hub/" + long, want{}},
		{"as long without", []rule.Rule{quay("hub", "")}, "hub/" + long, want{"hub", "hub/" + long, long}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, cached := newSet(t, test.rules...).Match(test.repo)
			got := want{Cached: cached}
			if r != nil {
				got.Prefix, got.Upstream = r.Prefix, r.UpstreamRepository(cached)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("Match(%q) (-want +got):\n%s", test.repo, diff)
			}
		})
	}
}

func TestMatchZeroSet(t *testing.T) {
	var s rule.Set
	if r, name := s.Match("a/b"); r != nil || name != "" || len(s.Rules()) != 0 {
		t.Errorf("the zero Set has %v, %q, %v", r, name, s.Rules())
	}
}

func TestCached(t *testing.T) {
	for _, test := range []struct {
		name     string
		rule     rule.Rule
		upstream string
		want     string // "": the rule does not reach it
	}{
		{"prefix", quay("q", ""), "org/app", "q/org/app"},
		{"root", quay("ROOT", ""), "org/app", "org/app"},
		{"upstream prefix", quay("q", "org"), "org/app", "q/app"},
		{"other upstream prefix", quay("q", "org"), "other/app", ""},
		{"bare upstream prefix", quay("q", "org"), "org", ""},
		{"upstream prefix of a word", quay("q", "org"), "organ/app", ""},
		{"nothing after the upstream prefix", quay("q", "org"), "org/", ""},
		{"nothing", quay("q", ""), "", ""},
		{"hub one word", hub("hub", ""), "nginx", "hub/library/nginx"},
		{"hub library", hub("hub", ""), "library/nginx", "hub/library/nginx"},
		{"hub at the root", hub("ROOT", ""), "nginx", "library/nginx"},
		{"hub with an upstream prefix", hub("hub", "library"), "library/nginx", "hub/nginx"},
		{"hub one word with an upstream prefix", hub("hub", "library"), "nginx", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newSet(t, test.rule).Rules()[0]
			got, ok := r.Cached(test.upstream)
			if got != test.want || ok != (test.want != "") {
				t.Errorf("Cached(%q) = %q, %v, want %q", test.upstream, got, ok, test.want)
			}
		})
	}
}

func TestNewSetProblems(t *testing.T) {
	with := func(change func(*rule.Rule)) rule.Rule {
		r := quay("q", "")
		change(&r)
		return r
	}
	for _, test := range []struct {
		name string
		rule rule.Rule
		says string
	}{
		{"prefix", with(func(r *rule.Rule) { r.Prefix = "Q" }), `prefix "Q"`},
		{"no prefix", with(func(r *rule.Rule) { r.Prefix = "" }), `prefix ""`},
		{"upstream prefix", with(func(r *rule.Rule) { r.UpstreamPrefix = "../x" }), "upstream prefix"},
		{"upstream", with(func(r *rule.Rule) { r.Upstream = "https://quay.io" }), "scheme"},
		{"kind", with(func(r *rule.Rule) { r.Kind = "quey" }), `unknown kind "quey"`},
		{"no kind", with(func(r *rule.Rule) { r.Kind = "" }), "unknown kind"},
		{"prefetch", with(func(r *rule.Rule) { r.Prefetch = "all" }), `prefetch "all"`},
		{"window", with(func(r *rule.Rule) { r.Window = -time.Hour }), "negative"},
		{"pattern", with(func(r *rule.Rule) { r.Fixed = []string{"v*", "v[1"} }), `pattern "v[1"`},
		{"duplicate", quay("good", ""), `prefix "good" has two rules`},
		{"duplicate but for a slash", quay("good/", ""), `prefix "good" has two rules`},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, problems := rule.NewSet([]rule.Rule{quay("good", ""), test.rule})
			if len(problems) != 1 || !strings.Contains(problems[0].Error(), test.says) || errs.CodeOf(problems[0]) != errs.ParamInvalid {
				t.Fatalf("problems %q, want one that says %q", problems, test.says)
			}
			if rules := s.Rules(); len(rules) != 1 || rules[0].Prefix != "good" {
				t.Errorf("the good rule is not all that is left: %v", rules)
			}
		})
	}
	_, problems := rule.NewSet([]rule.Rule{{}, {Prefix: "a"}, quay("a", ""), quay("a", ""), quay("b", "")})
	if len(problems) != 3 {
		t.Errorf("not every problem is told: %q", problems)
	}
}

func TestNewSetKeepsItsOwn(t *testing.T) {
	given := []rule.Rule{quay("b/", ""), quay("a", "")}
	given[0].Fixed = []string{"v*"}
	s := newSet(t, given...)
	given[0].Fixed[0], given[0].Upstream = "w*", "elsewhere.example"
	want := []*rule.Rule{
		{Prefix: "a", Kind: rule.Quay, Upstream: "quay.io", Prefetch: rule.PrefetchLayer},
		{Prefix: "b", Kind: rule.Quay, Upstream: "quay.io", Prefetch: rule.PrefetchLayer, Fixed: []string{"v*"}},
	}
	if diff := cmp.Diff(want, s.Rules()); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	s.Rules()[0] = nil
	if s.Rules()[0] == nil {
		t.Error("Rules gives out its own slice")
	}
	if got := s.Rules()[1].String(); got != "b -> quay.io" {
		t.Errorf("String() = %q", got)
	}
}

func TestIsFixed(t *testing.T) {
	r := quay("q", "")
	r.Fixed = []string{"v*", "20??-*", "sha256-*"}
	for _, test := range []struct {
		tag  string
		want bool
	}{
		{"v1.2.3", true}, {"v", true}, {"2026-01", true}, {"sha256-" + strings.Repeat("a", 64), true},
		{"latest", false}, {"1v", false}, {"202-01", false}, {"V1", false}, {"", false},
	} {
		t.Run(test.tag, func(t *testing.T) {
			if got := newSet(t, r).Rules()[0].IsFixed(test.tag); got != test.want {
				t.Errorf("IsFixed(%q) = %v", test.tag, got)
			}
		})
	}
}

func TestFresh(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name    string
		window  time.Duration
		checked time.Time
		want    bool
	}{
		{"just now", time.Hour, now, true},
		{"within", time.Hour, now.Add(-time.Hour + 1), true},
		{"the window's end", time.Hour, now.Add(-time.Hour), false},
		{"never checked", time.Hour, time.Time{}, false},
		{"clock set back", time.Hour, now.Add(1), false},
		{"clock set back a year", time.Hour, now.AddDate(1, 0, 0), false},
		{"window 0, this second", 0, now.Add(-time.Second + 1), true},
		{"window 0, a second ago", 0, now.Add(-time.Second), false},
		{"never", rule.Never, now.AddDate(-10, 0, 0), true},
		{"never, clock set back", rule.Never, now.AddDate(10, 0, 0), true},
		{"never, not checked", rule.Never, time.Time{}, false},
		{"longest window", 1<<63 - 1, now.AddDate(-200, 0, 0), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := rule.Rule{Window: test.window}
			if got := r.Fresh(test.checked, now); got != test.want {
				t.Errorf("Fresh = %v, want %v", got, test.want)
			}
		})
	}
}

// A memory of a check is at most a second old whatever the window, so a herd on one
// tag of a rule with window 0 still costs one check.
func TestFreshHerd(t *testing.T) {
	r := rule.Rule{Window: time.Millisecond}
	now := time.Unix(1_800_000_000, 0)
	if !r.Fresh(now.Add(-500*time.Millisecond), now) {
		t.Error("a check of half a second ago does not count")
	}
}

func TestNamedBy(t *testing.T) {
	for _, test := range []struct {
		prefix, pattern string
		want            bool
	}{
		{"hub", "*", false}, {"hub", "h*", false}, {"hub", "hub*", false}, {"hub", "hu?/x", false}, {"hub", "hub/*", true},
		{"hub", "hub/x*", true}, {"hub", "hub/?", true}, {"hub", "hub/x", true}, {"hub", "other/*", false}, {"hub", "hubs/*", false},
		{"a/b", "a/*", false}, {"a/b", "a/b/*", true}, {rule.Root, "*", false}, {rule.Root, "?x", false}, {rule.Root, "x*", true},
	} {
		r := hub(test.prefix, "")
		if got := r.NamedBy(test.pattern); got != test.want {
			t.Errorf("%s named by %s: %v", test.prefix, test.pattern, got)
		}
	}
}
