package iam

import "fmt"

// Kind is what a policy belongs to.
type Kind int

// The kinds of policies.
const (
	OfUser       Kind = iota // identity-based: it is about who has it
	OfRepository             // on a repository: it is about its principals
	OfRegistry               // on the registry: about its principals, for every repository
)

// Policy is a policy document: what no policy allows is denied, and an explicit deny
// stands above every allow.
type Policy struct {
	Kind       Kind
	Name       string // for reasons: the policy's, or its repository's; may be empty
	Statements []Statement
}

// Statement allows or denies actions on resources. Patterns have * (any number
// of characters, '/' included) and ? (one character). Actions match without
// regard to case, resources with it, as in IAM.
type Statement struct {
	Sid          string
	Deny         bool
	Principals   *Principals // nil in policies of users
	Actions      []string    // patterns; or
	NotActions   []string    // all actions but these
	Resources    []string    // patterns; or
	NotResources []string    // all resources but these
	Conditions   []Condition
}

// Tag is a tag of a resource.
type Tag struct{ Key, Value string }

// Request is what somebody wants to do.
type Request struct {
	Action, Resource string              // Service:Operation, and an ARN or "*"
	Context          map[string][]string // condition keys that the caller's Context does not have, such as those of tags that are given
	Tags             []Tag               // of the resource

	// The policies on the resource, nil for none. They are not changed.
	Repository, Registry *Policy
}

// Decision is what the policies of a caller say of a request.
type Decision struct {
	Allowed  bool
	Explicit bool // it is a Deny statement that refuses

	root   bool
	by     place // what decided; zero: nothing
	nearly place // an Allow statement that would, but for unmet
	unmet  *Condition
	left   place // an Allow statement that leaves it to the users' policies
}

// place is a statement in a policy.
type place struct {
	policy *Policy
	n      int
}

// decide goes through all policies: a deny of any stands above the allows, and one allow
// will do, whose ever it is, since all are of one account. Root needs none, and is bound
// by the denies of resources only; but it may always change those.
func decide(c *Caller, r *Request) Decision {
	d := Decision{Allowed: c.Root, root: c.Root}
	if !c.Root {
		for i := range c.Policies {
			if d.heed(c, r, &c.Policies[i]) {
				return d
			}
		}
	} else if unlocks(r.Action) {
		return d
	}
	for _, p := range [...]*Policy{r.Repository, r.Registry} {
		if p != nil && d.heed(c, r, p) {
			return d
		}
	}
	return d
}

// unlocks says whether an action looks at or changes the policy of a repository or of
// the registry.
func unlocks(action string) bool {
	switch action {
	case SetRepositoryPolicy, GetRepositoryPolicy, DeleteRepositoryPolicy, PutRegistryPolicy, GetRegistryPolicy, DeleteRegistryPolicy:
		return true
	}
	return false
}

// heed takes a policy into account, and says whether it denies.
func (d *Decision) heed(c *Caller, r *Request, p *Policy) (denied bool) {
	for n := range p.Statements {
		s := &p.Statements[n]
		if !s.covers(r.Action, r.Resource) || p.Kind != OfUser && !s.Principals.about(c) {
			continue
		}
		if unmet := s.unmet(c, r); unmet != nil {
			if !s.Deny && d.unmet == nil {
				d.nearly, d.unmet = place{p, n}, unmet
			}
			continue
		}
		switch {
		case s.Deny:
			*d = Decision{Explicit: true, by: place{p, n}}
			return true
		case p.Kind != OfUser && !s.Principals.grants(c):
			d.left = place{p, n}
		case !d.Allowed:
			d.Allowed, d.by = true, place{p, n}
		}
	}
	return false
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
	case d.left.policy != nil:
		return "no statement allows it; " + d.left.String() + " leaves it to the policies of the account's users"
	case d.unmet != nil:
		return fmt.Sprintf("no statement allows it; %s would, but its condition %s does not hold", d.nearly, d.unmet.name)
	}
	return "no statement allows it"
}

func (p place) String() string {
	text := fmt.Sprintf("statement %d", p.n+1)
	if sid := p.policy.Statements[p.n].Sid; sid != "" {
		text = "statement " + plainly(sid)
	}
	switch name := p.policy.Name; {
	case p.policy.Kind == OfRegistry:
		return text + " of the registry's policy"
	case p.policy.Kind == OfRepository && name == "":
		return text + " of the repository's policy"
	case p.policy.Kind == OfRepository:
		return text + " of the policy of repository " + name
	case name != "":
		return text + " of policy " + name
	}
	return text
}

// Unreadable stands for a policy of a resource that cannot be read any more: it denies
// everything to everybody, since it may have denied anything. Root may put another.
func Unreadable(kind Kind) Policy {
	return Policy{Kind: kind, Statements: []Statement{{
		Sid: "(it cannot be read)", Deny: true, Principals: &Principals{Everybody: true}, Actions: []string{"*"}, Resources: []string{"*"},
	}}}
}
