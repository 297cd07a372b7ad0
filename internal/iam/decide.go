package iam

import "fmt"

// Policy is an identity policy: what is not allowed is denied, and an explicit
// deny stands above every allow.
type Policy struct {
	Name       string // for reasons; may be empty
	Statements []Statement
}

// Statement allows or denies actions on resources. Patterns have * (any number
// of characters, '/' included) and ? (one character). Actions match without
// regard to case, resources with it, as in IAM.
type Statement struct {
	Sid          string
	Deny         bool
	Actions      []string // patterns; or
	NotActions   []string // all actions but these
	Resources    []string // patterns; or
	NotResources []string // all resources but these
	Conditions   []Condition
}

// Request is what somebody wants to do.
type Request struct {
	Action, Resource string              // Service:Operation, and an ARN or "*"
	Context          map[string][]string // condition keys that the caller's Context does not have, such as the resource's tags
}

// Decision is what the policies of a caller say of a request.
type Decision struct {
	Allowed  bool
	Explicit bool // it is a Deny statement that refuses

	root   bool
	by     place // what decided; zero: nothing
	nearly place // an Allow statement that would, but for unmet
	unmet  *Condition
}

// place is a statement in a policy.
type place struct {
	policy *Policy
	n      int
}

func decide(c *Caller, r *Request) Decision {
	if c.Root {
		return Decision{Allowed: true, root: true}
	}
	var d Decision
	for i := range c.Policies {
		p := &c.Policies[i]
		for n := range p.Statements {
			s := &p.Statements[n]
			if !s.covers(r.Action, r.Resource) {
				continue
			}
			if unmet := s.unmet(c, r); unmet != nil {
				if !s.Deny && d.unmet == nil {
					d.nearly, d.unmet = place{p, n}, unmet
				}
				continue
			}
			if s.Deny {
				return Decision{Explicit: true, by: place{p, n}}
			}
			if !d.Allowed {
				d.Allowed, d.by = true, place{p, n}
			}
		}
	}
	return d
}

// covers says whether a statement is about an action on a resource. One that
// names neither Actions nor NotActions is about nothing, and so with resources.
func (s *Statement) covers(action, resource string) bool {
	return covers(s.Actions, s.NotActions, action, true) && covers(s.Resources, s.NotResources, resource, false)
}

func covers(in, notIn []string, s string, fold bool) bool {
	if len(notIn) > 0 {
		return !matchAny(notIn, s, fold)
	}
	return matchAny(in, s, fold)
}

// unmet returns the first condition that does not hold, nil if all do.
func (s *Statement) unmet(c *Caller, r *Request) *Condition {
	for i := range s.Conditions {
		cond := &s.Conditions[i]
		if !cond.holds(values(c, r, cond.key)) {
			return cond
		}
	}
	return nil
}

// Reason says in words what decided.
func (d Decision) Reason() string {
	switch {
	case d.root:
		return "root may do everything"
	case d.Allowed:
		return d.by.String() + " allows it"
	case d.Explicit:
		return d.by.String() + " denies it"
	case d.unmet != nil:
		return fmt.Sprintf("no statement allows it; %s would, but its condition %s does not hold", d.nearly, d.unmet.name)
	}
	return "no statement allows it"
}

func (p place) String() string {
	text := fmt.Sprintf("statement %d", p.n+1)
	if sid := p.policy.Statements[p.n].Sid; sid != "" {
		text = "statement " + sid
	}
	if p.policy.Name != "" {
		text += " of policy " + p.policy.Name
	}
	return text
}
