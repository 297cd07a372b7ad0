package rule

import (
	"slices"
	"strings"
	"time"
)

// What a repository creation template may be applied for, in ECR's words.
const (
	ForReplication  = "REPLICATION"
	ForPullThrough  = "PULL_THROUGH_CACHE" // a rule's first pull makes a repository
	ForCreateOnPush = "CREATE_ON_PUSH"     // a push to a name that is no repository makes one
)

// ResourceTag is a tag of a resource, as AWS has them.
type ResourceTag struct{ Key, Value string }

// TagKeys are the condition keys of a request that gives tags, or takes away those with
// keys; nil if it does neither.
func TagKeys(tags []ResourceTag, keys ...string) map[string][]string {
	if len(tags) == 0 && len(keys) == 0 {
		return nil
	}
	all := map[string][]string{"aws:TagKeys": keys}
	for _, t := range tags {
		all["aws:TagKeys"] = append(all["aws:TagKeys"], t.Key)
		all["aws:RequestTag/"+t.Key] = []string{t.Value}
	}
	return all
}

// Template is a repository creation template: what repositories are like that
// somebody's pull or push makes. Repositories that are there it does not change. A
// Template in a Templates is never changed.
type Template struct {
	Prefix      string   // of the repositories' names, without a slash at its end, or Root
	AppliedFor  []string // in the order in which they were given
	Description string
	Mutability  string
	Exclusions  []string
	Tags        []ResourceTag
	CustomRole  string // is kept, and needed by nothing here

	RepositoryPolicy string // the repositories' policy document; "": none
	LifecyclePolicy  string // as it was given; "": none

	Created  time.Time
	Updated  time.Time
	Declared bool // of the configuration: only the configuration changes it
}

// Same says whether two templates do the same, whenever and by whom they were made.
func (t *Template) Same(other *Template) bool {
	return t.Prefix == other.Prefix && slices.Equal(t.AppliedFor, other.AppliedFor) && t.Description == other.Description &&
		t.Mutability == other.Mutability && slices.Equal(t.Exclusions, other.Exclusions) &&
		slices.Equal(t.Tags, other.Tags) && t.CustomRole == other.CustomRole &&
		t.RepositoryPolicy == other.RepositoryPolicy &&
		t.LifecyclePolicy == other.LifecyclePolicy
}

// Templates is templates by prefix. It does not change; the zero value and nil have
// none.
type Templates struct {
	byPrefix map[string]*Template
	list     []*Template // by prefix
}

// NewTemplates returns a Templates of templates with different prefixes.
func NewTemplates(templates []Template) *Templates {
	t := &Templates{byPrefix: make(map[string]*Template, len(templates))}
	for _, one := range templates {
		t.byPrefix[one.Prefix] = &one
		t.list = append(t.list, &one)
	}
	slices.SortFunc(t.list, func(a, b *Template) int { return strings.Compare(a.Prefix, b.Prefix) })
	return t
}

// List returns the templates in the order of their prefixes.
func (t *Templates) List() []*Template {
	if t == nil {
		return nil
	}
	return slices.Clone(t.list)
}

// For returns the template for a repository that is to be made: of those that are
// applied for this and whose prefix the name begins with, the one with the longest,
// nil if there is none. The prefix "prod" is that of "prod/app", and not of "prod".
func (t *Templates) For(repo, appliedFor string) *Template {
	if t == nil {
		return nil
	}
	for end := strings.LastIndexByte(repo, '/'); end >= 0; end = strings.LastIndexByte(repo[:end], '/') {
		if one := t.byPrefix[repo[:end]]; one != nil && slices.Contains(one.AppliedFor, appliedFor) {
			return one
		}
	}
	if one := t.byPrefix[Root]; one != nil && slices.Contains(one.AppliedFor, appliedFor) {
		return one
	}
	return nil
}
