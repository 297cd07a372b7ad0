package rule_test

import (
	"strings"
	"testing"

	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

// takes says, the slow way, whether the rule r takes the name repo.
func takes(r *rule.Rule, repo string) bool {
	return r.Prefix == rule.Root || strings.HasPrefix(repo, r.Prefix+"/")
}

func FuzzMatch(f *testing.F) {
	for _, repo := range []string{"hub/nginx", "hub/library/nginx", "hub", "a/b/c", "nginx", "hub/library/library", strings.Repeat("n", 250), "a/" + strings.Repeat("n", 254)} {
		f.Add(repo, "hub", "", "hub/library", "ours", true)
		f.Add(repo, "ROOT", "ROOT", "a", "b/c", true)
		f.Add(repo, "a/b", "a/b", "a", "", false)
	}
	f.Fuzz(func(t *testing.T, repo, prefix1, upstream1, prefix2, upstream2 string, hubFirst bool) {
		if _, err := oci.ParseRepository(repo); err != nil {
			return
		}
		first, second := hub(prefix1, upstream1), quay(prefix2, upstream2)
		if !hubFirst {
			first, second = quay(prefix1, upstream1), hub(prefix2, upstream2)
		}
		s, problems := rule.NewSet([]rule.Rule{first, second})
		if len(problems)+len(s.Rules()) != 2 {
			t.Fatalf("2 rules gave %d and the problems %v", len(s.Rules()), problems)
		}
		r, cached := s.Match(repo)
		if r == nil {
			for _, other := range s.Rules() {
				if takes(other, repo) && len(repo)+len("library/")*8 < oci.MaxRepository {
					t.Fatalf("no rule takes %q, but %v does", repo, other)
				}
			}
			return
		}
		if _, err := oci.ParseRepository(cached); err != nil {
			t.Fatalf("Match(%q) gives the name %q: %v", repo, cached, err)
		}
		for _, other := range s.Rules() {
			if takes(other, cached) && (!takes(r, cached) || r.Prefix == rule.Root && other.Prefix != rule.Root || len(other.Prefix) > len(r.Prefix) && other.Prefix != rule.Root) {
				t.Fatalf("%q is given to %v, but %v has the longer prefix", cached, r, other)
			}
		}
		if again, name := s.Match(cached); again != r || name != cached {
			t.Fatalf("Match(%q) = %v, %q, but Match(%q) = %v, %q", repo, r, cached, cached, again, name)
		}
		upstream := r.UpstreamRepository(cached)
		if back, ok := r.Cached(upstream); !ok || back != cached {
			t.Fatalf("%q is upstream %q, which is cached as %q, %v", cached, upstream, back, ok)
		}
		if strings.HasPrefix(upstream, "/") || strings.HasSuffix(upstream, "/") || strings.Contains(upstream, "//") || upstream == "" {
			t.Fatalf("upstream repository %q", upstream)
		}
		if len(upstream) <= oci.MaxRepository {
			if _, err := oci.ParseRepository(upstream); err != nil {
				t.Fatalf("upstream repository %q: %v", upstream, err)
			}
		}
	})
}

func FuzzCached(f *testing.F) {
	f.Add("library/nginx", "hub", "")
	f.Add("nginx", "ROOT", "ROOT")
	f.Add("org/app", "q", "org")
	f.Fuzz(func(t *testing.T, upstream, prefix, upstreamPrefix string) {
		if _, err := oci.ParseRepository(upstream); err != nil {
			return
		}
		for _, given := range []rule.Rule{hub(prefix, upstreamPrefix), quay(prefix, upstreamPrefix)} {
			s, problems := rule.NewSet([]rule.Rule{given})
			if len(problems) != 0 {
				return
			}
			r := s.Rules()[0]
			cached, ok := r.Cached(upstream)
			if !ok || len(cached) > oci.MaxRepository {
				continue
			}
			if _, err := oci.ParseRepository(cached); err != nil {
				t.Fatalf("%q is cached as %q: %v", upstream, cached, err)
			}
			matched, name := s.Match(cached)
			if matched != r || name != cached {
				t.Fatalf("%q is cached as %q, which Match takes for %v, %q", upstream, cached, matched, name)
			}
			if back := r.UpstreamRepository(cached); back != upstream && back != "library/"+upstream {
				t.Fatalf("%q is cached as %q, which is upstream %q", upstream, cached, back)
			}
		}
	})
}

func FuzzValidHost(f *testing.F) {
	for _, s := range []string{"quay.io", "[::1]:5000", "a:1", "a..b", "http://x", "[", "]:1", "a:b:c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if rule.ValidHost(s) != nil {
			return
		}
		if s == "" || s != strings.ToLower(s) || strings.ContainsAny(s, "/@?#%\\ \t\r\n\x00") || len(s) > 260 {
			t.Fatalf("%q is taken for a host", s)
		}
	})
}
