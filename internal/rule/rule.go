// Package rule has pull through cache rules: which repository names lead to which
// upstream, and what an upstream's repository is called here. It is pure: no I/O,
// no clock.
//
// A Set answers by longest prefix; the prefix ROOT takes every name that no other
// rule takes, as Amazon ECR's rules do.
package rule

import (
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
)

// Root is the prefix of the rule that takes what no other takes, and the upstream
// prefix that adds nothing.
const Root = "ROOT"

// Never is the window of a rule whose tags are not checked again.
const Never = time.Duration(-1)

// DefaultWindow is how long a check counts where a rule does not say, as in ECR.
const DefaultWindow = 24 * time.Hour

// Prefetch says what starts the download of an image's layers.
type Prefetch string

const (
	PrefetchLayer    Prefetch = "layer"    // the first layer asked for starts the rest (the default)
	PrefetchManifest Prefetch = "manifest" // a platform manifest starts them
	PrefetchOff      Prefetch = "off"
)

// Rule is one pull through cache rule. A Rule in a Set is never changed.
type Rule struct {
	Prefix         string // repository prefix without a slash at its end, or Root
	Kind           Kind
	Upstream       string // host or host:port, as people write it in a reference
	UpstreamPrefix string // goes before the upstream's repository name; "" or Root: nothing

	Credential   string        // name of a credential of the configuration, or a secret's ARN; "": anonymous
	CustomRole   string        // the role to assume at an ECR in another account; "": none
	Window       time.Duration // how long a check counts; 0: at most a second; Never: for ever
	Fixed        []string      // tag patterns (* and ?) that never change once held
	Off          bool          // held only: the upstream is never asked
	Prefetch     Prefetch
	VerifyRanges bool // a range of a blob that is still arriving waits for the whole, verified blob
	Push         bool // clients may push to its repositories too

	Created  time.Time // zero where nobody keeps it
	Updated  time.Time
	Declared bool // of the configuration: only the configuration changes it
}

// UpstreamRepository returns the upstream's name of the cached repository repo,
// which must be the rule's own, as Set.Match returned it.
func (r *Rule) UpstreamRepository(repo string) string {
	if r.Prefix != Root {
		repo = strings.TrimPrefix(repo, r.Prefix+"/")
	}
	return r.upstreamPath(repo)
}

func (r *Rule) upstreamPath(rest string) string {
	if r.UpstreamPrefix == "" || r.UpstreamPrefix == Root {
		return rest
	}
	return r.UpstreamPrefix + "/" + rest
}

// Cached returns the name here of an upstream's repository, and false if the rule
// does not reach it. Another rule of the Set may take that name: Set.Match tells.
func (r *Rule) Cached(upstream string) (string, bool) {
	rest := upstream
	if r.UpstreamPrefix != "" && r.UpstreamPrefix != Root {
		rest, _ = strings.CutPrefix(upstream, r.UpstreamPrefix+"/")
		if rest == upstream {
			return "", false
		}
	}
	if rest == "" {
		return "", false
	}
	rest = r.canonical(rest)
	if r.Prefix == Root {
		return rest, true
	}
	return r.Prefix + "/" + rest, true
}

// canonical gives Docker Hub's one-word names the library/ that they mean, so
// that nginx and library/nginx are one repository.
func (r *Rule) canonical(rest string) string {
	if r.Kind == DockerHub && (r.UpstreamPrefix == "" || r.UpstreamPrefix == Root) && !strings.Contains(rest, "/") {
		return "library/" + rest
	}
	return rest
}

// IsFixed says whether a held tag is never checked again.
func (r *Rule) IsFixed(tag string) bool { return anyMatches(r.Fixed, tag) }

// WithFixed returns the rule for a repository in which a tag never changes.
func (r *Rule) WithFixed(tag string) *Rule {
	fixed := *r
	fixed.Fixed = append(slices.Clone(r.Fixed), tag) // tags have no characters of patterns
	return &fixed
}

// Fresh says whether a check at checked still counts at now. A clock that was set
// back makes every check old, never young for ever.
func (r *Rule) Fresh(checked, now time.Time) bool {
	if r.Window == Never {
		return !checked.IsZero()
	}
	age := now.Sub(checked)
	return !checked.IsZero() && age >= 0 && age < max(r.Window, time.Second)
}

// Set is rules by prefix. It does not change; the zero value has none.
type Set struct {
	byPrefix map[string]*Rule
	rules    []*Rule // by prefix
}

// NewSet returns a set of rules, or every problem that they have between them.
func NewSet(rules []Rule) (*Set, []error) {
	s := &Set{byPrefix: make(map[string]*Rule, len(rules))}
	var problems []error
	for i := range rules {
		r := rules[i]
		r.Fixed = slices.Clone(r.Fixed)
		r.Prefix = trimSlash(r.Prefix)
		r.UpstreamPrefix = trimSlash(r.UpstreamPrefix)
		if r.Prefetch == "" {
			r.Prefetch = PrefetchLayer
		}
		if err := r.validate(); err != nil {
			problems = append(problems, err)
			continue
		}
		if _, dup := s.byPrefix[r.Prefix]; dup {
			problems = append(problems, errs.New(errs.ParamInvalid, "prefix %q has two rules", r.Prefix))
			continue
		}
		s.byPrefix[r.Prefix] = &r
		s.rules = append(s.rules, &r)
	}
	sort.Slice(s.rules, func(i, j int) bool { return s.rules[i].Prefix < s.rules[j].Prefix })
	return s, problems
}

// trimSlash takes the slash from a prefix's end, where ECR's grammar allows one.
func trimSlash(prefix string) string {
	if prefix == Root+"/" {
		return prefix
	}
	return strings.TrimSuffix(prefix, "/")
}

func (r *Rule) validate() error {
	if err := ValidPrefix(r.Prefix); err != nil {
		return err
	}
	if r.UpstreamPrefix != "" {
		if err := ValidPrefix(r.UpstreamPrefix); err != nil {
			return errs.Wrap(errs.ParamInvalid, err, "upstream prefix of %q", r.Prefix)
		}
	}
	if err := ValidHost(r.Upstream); err != nil {
		return errs.Wrap(errs.ParamInvalid, err, "upstream of %q", r.Prefix)
	}
	if !slices.Contains(Kinds(), r.Kind) {
		return errs.New(errs.ParamInvalid, "rule %q: unknown kind %q", r.Prefix, r.Kind)
	}
	if !slices.Contains([]Prefetch{PrefetchLayer, PrefetchManifest, PrefetchOff}, r.Prefetch) {
		return errs.New(errs.ParamInvalid, "rule %q: prefetch %q is not layer, manifest or off", r.Prefix, r.Prefetch)
	}
	if r.Window < 0 && r.Window != Never {
		return errs.New(errs.ParamInvalid, "rule %q: window %s is negative", r.Prefix, r.Window)
	}
	for _, p := range r.Fixed {
		if _, err := path.Match(p, ""); err != nil {
			return errs.New(errs.ParamInvalid, "rule %q: tag pattern %q is malformed", r.Prefix, p)
		}
	}
	return nil
}

// ValidPrefix checks a repository prefix: a repository name, or Root.
func ValidPrefix(p string) error {
	if p == Root {
		return nil
	}
	if _, err := oci.ParseRepository(p); err != nil {
		return errs.Wrap(errs.ParamInvalid, err, "prefix %q is neither a repository name nor ROOT", p)
	}
	return nil
}

// Match returns the rule that takes repo, a repository name, by longest prefix, and
// the cached repository that repo means under it: Docker Hub's one-word names gain
// library/, and the name with library/ is matched again, so that each cached
// repository belongs to one rule. It returns nil if no rule takes repo, or if the
// cached name would be too long; a rule's bare prefix is no repository of it.
func (s *Set) Match(repo string) (*Rule, string) {
	for {
		r, name := s.longest(repo)
		if r == nil || len(name) > oci.MaxRepository {
			return nil, ""
		}
		if name == repo {
			return r, name
		}
		repo = name
	}
}

func (s *Set) longest(repo string) (*Rule, string) {
	for end := strings.LastIndexByte(repo, '/'); end >= 0; end = strings.LastIndexByte(repo[:end], '/') {
		if r := s.byPrefix[repo[:end]]; r != nil {
			return r, r.Prefix + "/" + r.canonical(repo[end+1:])
		}
	}
	if r := s.byPrefix[Root]; r != nil {
		return r, r.canonical(repo)
	}
	return nil, ""
}

// Rules returns the rules in the order of their prefixes.
func (s *Set) Rules() []*Rule { return slices.Clone(s.rules) }

// NamedBy says whether a pattern of repository names (* and ?) names the rule: it can
// match repositories of the rule only because it begins with the rule's prefix. For
// ROOT, whose repositories have none, it must begin with something.
func (r *Rule) NamedBy(pattern string) bool {
	wild := strings.IndexAny(pattern, "*?")
	switch {
	case wild < 0:
		return true
	case r.Prefix == Root:
		return wild > 0
	}
	return strings.HasPrefix(pattern[:wild], r.Prefix+"/")
}

// Same says whether two rules do the same, whenever and by whom they were made.
func (r *Rule) Same(other *Rule) bool {
	return r.Prefix == other.Prefix && r.Kind == other.Kind && r.Upstream == other.Upstream &&
		r.UpstreamPrefix == other.UpstreamPrefix && r.Credential == other.Credential && r.CustomRole == other.CustomRole &&
		r.Window == other.Window && slices.Equal(r.Fixed, other.Fixed) && r.Off == other.Off &&
		r.Prefetch == other.Prefetch && r.VerifyRanges == other.VerifyRanges && r.Push == other.Push
}

func (r *Rule) String() string { return fmt.Sprintf("%s -> %s", r.Prefix, r.Upstream) }

// Tag is what is remembered of a tag.
type Tag struct {
	Digest   digest.Digest // what the tag is, as last heard
	Complete digest.Digest // the last digest of this tag that was offline-ready; "" if none was
	Checked  time.Time     // last check that counts; zero if none does
	Pulled   time.Time     // last pull by a client; zero if never
	Orphaned bool          // the upstream said that the tag is gone
}

// Referrers is what an upstream said that there is about a manifest.
type Referrers struct {
	List    []oci.Referrer
	Checked time.Time // last check that counts; zero if none does
}

// Move is one row of a tag's history.
type Move struct {
	From, To digest.Digest // From is "" at the tag's first appearance
	At       time.Time
}

// Blob is what is remembered of a blob, as one repository sees it.
type Blob struct {
	Linked bool  // the repository may serve it
	Held   bool  // its bytes are in the store
	Public bool  // its bytes were once fetched without a credential: anybody may have them
	Size   int64 // of the held blob, or else what a manifest of this repository says; -1 if neither does

	Archived bool // all images of the repository that name it are archived; only where that was asked
}
