package rule

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/weir-registry/weir/internal/errs"
)

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

// Of exclusion filters there are at most 5, each with at most 2 wildcards, as in ECR.
const (
	maxExclusions = 5
	maxWildcards  = 2
)

var exclusion = regexp.MustCompile(`^[0-9a-zA-Z._*-]{1,128}$`)

// ValidMutability checks a mutability with its exclusion filters, which those with an
// exclusion need and the others cannot have. Errors: errs.ParamInvalid, in ECR's form.
func ValidMutability(mutability string, exclusions []string) error {
	const filters = "imageTagMutabilityExclusionFilters"
	switch mutability {
	case Mutable, Immutable:
		if len(exclusions) > 0 {
			return refuse(filters, "ImageTagMutability "+mutability+" has no exclusion filters")
		}
		return nil
	case ImmutableWithExclusion, MutableWithExclusion:
	default:
		return refuse("imageTagMutability", "it is none of ECR's")
	}
	if len(exclusions) == 0 || len(exclusions) > maxExclusions {
		return refuse(filters, "ImageTagMutability "+mutability+" needs 1 to 5 exclusion filters")
	}
	for i, f := range exclusions {
		switch {
		case !exclusion.MatchString(f):
			return refuse(filters, "a filter has 1 to 128 of 0-9, a-z, A-Z, dot, underscore, hyphen and *")
		case strings.Count(f, "*") > maxWildcards:
			return refuse(filters, "a filter has at most 2 wildcards")
		case slices.Contains(exclusions[:i], f):
			return refuse(filters, "a filter is there twice")
		}
	}
	return nil
}

func refuse(field, why string) error {
	return errs.New(errs.ParamInvalid, "Invalid parameter at '%s' failed to satisfy constraint: '%s'", field, why)
}

// MaxResourceTags is how many tags a resource has at most.
const MaxResourceTags = 50

// SetResourceTags returns all with tags set, in place of those with the same keys.
// Errors: errs.TagInvalid, errs.LimitExceeded.
func SetResourceTags(all, tags []ResourceTag) ([]ResourceTag, error) {
	all = slices.Clone(all)
	for i, t := range tags {
		same := func(other ResourceTag) bool { return other.Key == t.Key }
		switch {
		case t.Key == "" || len([]rune(t.Key)) > 128 || len([]rune(t.Value)) > 256:
			return nil, errs.New(errs.TagInvalid, "Invalid tag: a tag's key has 1 to 128 characters and its value up to 256.")
		case strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
			return nil, errs.New(errs.TagInvalid, "Invalid tag: the key %q begins with aws:, which is reserved.", t.Key)
		case slices.ContainsFunc(tags[:i], same):
			return nil, errs.New(errs.TagInvalid, "Invalid tag: the key %q is there twice.", t.Key)
		}
		if j := slices.IndexFunc(all, same); j >= 0 {
			all[j] = t
		} else {
			all = append(all, t)
		}
	}
	if len(all) > MaxResourceTags {
		return nil, errs.New(errs.LimitExceeded, "The list of tags has more than %d.", MaxResourceTags)
	}
	return all, nil
}

func anyMatches(patterns []string, tag string) bool {
	for _, p := range patterns {
		if ok, _ := path.Match(p, tag); ok {
			return true
		}
	}
	return false
}
