package lifecycle

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weir-registry/weir/internal/errs"
)

// The bounds of a policy, as ECR has them.
const (
	maxRules     = 50
	maxPatterns  = 100
	maxWildcards = 4
	minArchived  = 90 // days in the archive
	maxNumber    = 1<<31 - 1
)

// Parse reads a policy. If strict is true, it is one that ECR takes. Errors:
// errs.ParamInvalid, whose message is ECR's without the name of the parameter.
func Parse(text string, strict bool) (*Policy, error) {
	if len(text) > MaxText {
		return nil, refused("the policy is longer than %d bytes", MaxText)
	}
	root, ok := readObject([]byte(text))
	if !ok {
		return nil, refused("Could not map policyString into LifecyclePolicy.")
	}
	s := &schema{}
	rules := s.list(s.object(root, "", "rules"), "rules", maxRules)
	p := &Policy{}
	s.many = len(rules) > 1
	for i, raw := range rules {
		p.Rules = append(p.Rules, s.rule(raw, fmt.Sprintf("rules[%d]", i), strict))
	}
	if s.err != nil {
		return nil, s.err
	}
	slices.SortStableFunc(p.Rules, func(a, b Rule) int { return a.Priority - b.Priority })
	if err := p.check(); err != nil {
		return nil, err
	}
	return p, nil
}

// refused is a policy that is not one.
func refused(format string, args ...any) error {
	return errs.New(errs.ParamInvalid, "Lifecycle policy validation failure: "+format, args...)
}

// rule reads one rule.
func (s *schema) rule(raw []byte, at string, strict bool) Rule {
	o := s.object(raw, at, "rulePriority", "selection", "action", "description?")
	r := Rule{Priority: s.integer(o, at, "rulePriority"), Description: s.text(o, at, "description")}
	where := at + ".selection"
	sel := s.object(o["selection"], where, "tagStatus", "countType", "countNumber", "countUnit?", "storageClass?", "tagPrefixList?", "tagPatternList?")
	r.Tags = TagStatus(s.word(sel, where, "tagStatus", "tagged", "untagged", "any"))
	r.Count = CountType(s.word(sel, where, "countType", string(MoreThan), string(SincePushed), string(SincePulled), string(Transitioned)))
	r.Number = s.integer(sel, where, "countNumber")
	unit := s.word(sel, where, "countUnit", "days")
	class := s.word(sel, where, "storageClass", "standard", "archive")
	r.Archived = class == "archive"
	prefixes, patterns := s.texts(sel, where, "tagPrefixList"), s.texts(sel, where, "tagPatternList")
	r.Patterns = patterns
	for _, p := range prefixes {
		if strings.Contains(p, "*") { // of tags there is none with it, but of patterns
			s.fail(where, "a prefix of tagPrefixList has no '*': use tagPatternList")
		}
		r.Patterns = append(r.Patterns, p+"*")
	}
	where = at + ".action"
	act := s.object(o["action"], where, "type", "targetStorageClass?")
	r.Action = Action(s.word(act, where, "type", string(Expire), string(Transition)))
	target := s.word(act, where, "targetStorageClass", "archive")
	if s.err != nil {
		return r
	}
	if len(prefixes) > 0 && len(patterns) > 0 {
		s.fail(at, "Only one of tagPrefixList and tagPatternList can be specified")
	}
	s.tags(&r, sel, at)
	s.count(&r, unit, at, strict)
	switch {
	case r.Action == Transition && target == "":
		s.mismatch(at, "action.targetStorageClass is required with type transition")
	case r.Action == Expire && target != "":
		s.mismatch(at, "action.targetStorageClass is only for type transition")
	}
	return r
}

// tags checks what a rule says of tags.
func (s *schema) tags(r *Rule, sel map[string]value, at string) {
	_, prefixes := sel["tagPrefixList"]
	_, patterns := sel["tagPatternList"]
	if r.Tags != Tagged {
		if prefixes || patterns {
			s.fail(at, "tagPrefixList and tagPatternList can only be specified when tagStatus=TAGGED")
		}
		return
	}
	if len(r.Patterns) == 0 {
		s.fail(at, "Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED")
	}
	for _, p := range r.Patterns {
		if patterns && strings.Count(p, "*") > maxWildcards {
			s.fail(at, "the tag pattern %q has more than %d wildcards", p, maxWildcards)
		}
	}
}

// count checks what a rule counts, of which images, and what it may do then.
func (s *schema) count(r *Rule, unit, at string, strict bool) {
	switch {
	case r.Count == MoreThan && unit != "":
		s.mismatch(at, "countUnit is only for ages, not for imageCountMoreThan")
	case r.Count != MoreThan && unit == "":
		s.mismatch(at, "countUnit days is required with "+string(r.Count))
	case r.Count == Transitioned && !r.Archived:
		s.mismatch(at, "sinceImageTransitioned needs storageClass archive")
	case r.Count != Transitioned && r.Archived:
		s.mismatch(at, "storageClass archive is only for sinceImageTransitioned")
	case r.Count == Transitioned && r.Action != Expire:
		s.mismatch(at, "what is in the archive can only expire")
	case strict && r.Count == SincePulled && r.Action != Transition:
		s.mismatch(at, "sinceImagePulled can only transition, as weir.yaml has ecr.strict")
	case strict && r.Count == Transitioned && r.Number < minArchived:
		s.mismatch(at, fmt.Sprintf("images stay in the archive for %d days at least, as weir.yaml has ecr.strict", minArchived))
	}
}

// check finds what is wrong between rules, which are in order.
func (p *Policy) check() error {
	type selection struct {
		archived bool
		tags     string
	}
	seen := map[selection]bool{}
	for i, r := range p.Rules {
		if i > 0 && p.Rules[i-1].Priority == r.Priority {
			return refused("rulePriority must be unique: %d is there twice", r.Priority)
		}
		of := selection{r.Archived, string(r.Tags)}
		switch {
		case seen[selection{r.Archived, string(Any)}]:
			return refused("Rule for tagStatus=ANY must have the lowest priority per storage class")
		case r.Tags == Untagged && seen[of]:
			return refused("Only one rule can select Untagged images per storage class")
		case r.Tags == Tagged:
			sorted := slices.Sorted(slices.Values(r.Patterns))
			of.tags += " " + strings.Join(slices.Compact(sorted), " ")
			if seen[of] {
				return refused("the set of tags of rule %d is another rule's already: it would never do anything", r.Priority)
			}
		}
		seen[of] = true
	}
	return nil
}
