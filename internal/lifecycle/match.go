package lifecycle

import (
	"slices"
	"strings"
)

// selects says whether the tags of an image are those that a rule is about.
func (r *Rule) selects(tags []string) bool {
	switch r.Tags {
	case Untagged:
		return len(tags) == 0
	case Tagged:
		for _, p := range r.Patterns {
			if !slices.ContainsFunc(tags, func(tag string) bool { return matches(p, tag) }) {
				return false
			}
		}
		return len(r.Patterns) > 0
	}
	return true
}

// matches says whether all of s is like a pattern, in which "*" stands for any
// characters, also for none.
func matches(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	first, last := parts[0], parts[len(parts)-1]
	if !strings.HasPrefix(s, first) || !strings.HasSuffix(s[len(first):], last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return true
}
