package iam

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
)

// Principals are whom a statement of a resource policy is about. Of those that AWS knows
// weir has the users and the root of its account; the others are nobody here.
type Principals struct {
	Everybody bool
	Accounts  []string // by ID
	users     []user
}

// user is a user of an account.
type user struct{ account, name string }

// about says whether c is one of them, which is what counts for a Deny. An account stands
// for all who are of it.
func (p *Principals) about(c *Caller) bool {
	switch {
	case p == nil:
		return false
	case p.Everybody:
		return true
	case c.Name == "" || c.Anonymous || c.Account == "":
		return false
	}
	return slices.Contains(p.Accounts, c.Account) || p.names(c)
}

// grants says whether an Allow for them is one for c. An account that is named decides
// by the policies of its users: the statement alone gives them nothing. Who is anonymous
// has what the configuration gives, and nothing else.
func (p *Principals) grants(c *Caller) bool {
	return p != nil && c.Name != "" && !c.Anonymous && (p.Everybody || p.names(c))
}

func (p *Principals) names(c *Caller) bool {
	if c.Root || c.Account == "" {
		return false
	}
	for _, u := range p.users {
		if u.account == c.Account && u.name == c.Name {
			return true
		}
	}
	return false
}

// MayGrant says whether a statement of a resource's policy may let c do something, by the
// words of its document: where it is false, parsing it finds none, however it is parsed.
// It is for who looks at very many of them.
func MayGrant(document []byte, c Caller) bool {
	named := func(principal string) bool { return bytes.Contains(document, []byte(`"`+principal+`"`)) }
	escaped := bytes.IndexByte(document, '\\') >= 0 // a name may be written with escapes
	return escaped || named("*") || c.ARN() != "" && named(c.ARN())
}

var (
	accountForm = regexp.MustCompile(`^[0-9]{12}$`)
	iamForm     = regexp.MustCompile(`^arn:aws(-[a-z-]+)?:iam::([0-9]{12}):(root|user/[!-~]+|role/[!-~]+)$`)
	stsForm     = regexp.MustCompile(`^arn:aws(-[a-z-]+)?:sts::[0-9]{12}:(assumed-role/[!-~]+/[!-~]+|federated-user/[!-~]+)$`)
	serviceForm = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+$`)
	foreignForm = regexp.MustCompile(`^[!-~]+$`)
)

const advice = `it is "*", or an object such as {"AWS": "arn:aws:iam::123456789012:user/name"}`

// parsePrincipals reads the Principal of a statement of a resource policy.
func parsePrincipals(n node, where string) (*Principals, error) {
	p := &Principals{}
	if n.kind == text {
		if n.text != "*" {
			return nil, malformed(where, "%s: %s", quote(n.text), advice)
		}
		p.Everybody = true
		return p, nil
	}
	if n.kind != object || len(n.names) == 0 {
		return nil, malformed(where, "%s", advice)
	}
	for i, kind := range n.names {
		var check func(string) string
		switch kind {
		case "AWS":
			check = p.add
		case "Service":
			check = checkForm(serviceForm, `a service is a name such as "lambda.amazonaws.com"`)
		case "Federated", "CanonicalUser":
			check = checkForm(foreignForm, "it is one word without spaces or wildcards")
		default:
			return nil, malformed(member(where, kind), "there is no such kind of principal; there are AWS, Service, Federated and CanonicalUser")
		}
		if _, err := patterns(n.items[i], member(where, kind), check); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func checkForm(form *regexp.Regexp, wrong string) func(string) string {
	return func(s string) string {
		if form.MatchString(s) && !strings.ContainsAny(s, "*?") {
			return ""
		}
		return wrong
	}
}

// add adds a principal of kind AWS, and says what is wrong with it, "" if nothing is.
func (p *Principals) add(s string) string {
	if s == "*" {
		p.Everybody = true
		return ""
	}
	if accountForm.MatchString(s) {
		p.Accounts = append(p.Accounts, s)
		return ""
	}
	if strings.ContainsAny(s, "*?") {
		return `a principal has no wildcards: name each, or take "*" and a Condition with ArnLike on aws:PrincipalArn`
	}
	if stsForm.MatchString(s) { // there are no sessions here
		return ""
	}
	parts := iamForm.FindStringSubmatch(s)
	switch {
	case parts == nil:
		return `a principal is "*", an account such as "123456789012", or the ARN of a user, a role or an account's root`
	case parts[1] != "": // no account of this partition is ours
	case parts[3] == "root":
		p.Accounts = append(p.Accounts, parts[2])
	case strings.HasPrefix(parts[3], "user/"):
		p.users = append(p.users, user{parts[2], strings.TrimPrefix(parts[3], "user/")})
	}
	return ""
}
