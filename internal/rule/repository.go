package rule

import "path"

// What a repository lets pushes do to its tags, in ECR's words.
const (
	Mutable                = "MUTABLE"
	Immutable              = "IMMUTABLE"
	ImmutableWithExclusion = "IMMUTABLE_WITH_EXCLUSION" // the tags that a filter takes are mutable
	MutableWithExclusion   = "MUTABLE_WITH_EXCLUSION"   // the tags that a filter takes are immutable
)

// TagImmutable says whether a tag that is there cannot be given to another image, in a
// repository of this mutability with these exclusion filters, in which * stands for
// any characters.
func TagImmutable(mutability string, exclusions []string, tag string) bool {
	switch mutability {
	case Immutable:
		return true
	case ImmutableWithExclusion:
		return !anyMatches(exclusions, tag)
	case MutableWithExclusion:
		return anyMatches(exclusions, tag)
	}
	return false
}

func anyMatches(patterns []string, tag string) bool {
	for _, p := range patterns {
		if ok, _ := path.Match(p, tag); ok {
			return true
		}
	}
	return false
}
