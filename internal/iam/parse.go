package iam

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/weir-registry/weir/internal/errs"
)

// How long a policy document may be: IAM's limit for a managed policy, which does
// not count white space, and its limit for a request, which does.
const (
	MaxPolicySize   = 6144    // characters
	maxDocumentSize = 131_072 // bytes
)

// MaxResourcePolicySize is how many characters, white space included, ECR takes of a
// policy of a repository or of the registry.
const MaxResourcePolicySize = 10_240

var (
	sidForm    = regexp.MustCompile(`^[0-9A-Za-z]*$`)
	actionForm = regexp.MustCompile(`^([0-9A-Za-z-]+|\*):[0-9A-Za-z*?]+$`)
	keyForm    = regexp.MustCompile(`^[0-9A-Za-z-]+:[^\s].*$`)

	resourceSidForm = regexp.MustCompile(`^[ -~]{0,256}$`) // policies of resources may have more than letters and digits
)

// ParsePolicy reads an identity-based policy document of version 2012-10-17 or
// 2008-10-17. Nothing in it is ignored: what weir does not evaluate is refused.
// Errors: errs.ParamInvalid, saying where in the document and what to do.
func ParsePolicy(doc []byte) (Policy, error) {
	if len(doc) > maxDocumentSize {
		return Policy{}, malformed("", "it is longer than %d bytes", maxDocumentSize)
	}
	if n := size(doc); n > MaxPolicySize {
		return Policy{}, malformed("", "it has %d characters, white space not counted, and may have %d: make several policies of it", n, MaxPolicySize)
	}
	return parse(doc, OfUser)
}

// ParseRepositoryPolicy reads the policy document of a repository, as ParsePolicy. Each
// statement has a Principal, and without Resource it is about the repository.
// Errors: as ParsePolicy.
func ParseRepositoryPolicy(doc []byte) (Policy, error) { return parseResourcePolicy(doc, OfRepository) }

// ParseRegistryPolicy reads the policy document of the registry, as ParsePolicy. Each
// statement has a Principal. Errors: as ParsePolicy.
func ParseRegistryPolicy(doc []byte) (Policy, error) { return parseResourcePolicy(doc, OfRegistry) }

func parseResourcePolicy(doc []byte, kind Kind) (Policy, error) {
	if n := utf8.RuneCount(doc); n > MaxResourcePolicySize {
		return Policy{}, malformed("", "it has %d characters, and may have %d", n, MaxResourcePolicySize)
	}
	return parse(doc, kind)
}

func parse(doc []byte, kind Kind) (Policy, error) {
	root, err := readJSON(doc)
	if err != nil {
		if errs.As(err) == nil {
			err = malformed("", "%v", err)
		}
		return Policy{}, err
	}
	return parsePolicy(root, kind)
}

// size counts characters other than white space.
func size(doc []byte) int {
	n := 0
	for _, r := range string(doc) {
		if !unicode.IsSpace(r) {
			n++
		}
	}
	return n
}

func malformed(where, format string, args ...any) error {
	if where != "" {
		where += ": "
	}
	return errs.New(errs.ParamInvalid, "%s%s%s", malformedDocument, where, fmt.Sprintf(format, args...))
}

// malformedDocument is what errors of the parsers begin with.
const malformedDocument = "malformed policy document: "

// Fault is what an error of the parsers says is wrong and where, for who says otherwise
// what it is that is malformed.
func Fault(err error) string {
	if e := errs.As(err); e != nil {
		return strings.TrimPrefix(e.Msg, malformedDocument)
	}
	return err.Error()
}

func parsePolicy(root node, kind Kind) (Policy, error) {
	if root.kind != object {
		return Policy{}, malformed("", "it is %s, not an object", root.kind)
	}
	if err := known(root, "", "Version", "Id", "Statement"); err != nil {
		return Policy{}, err
	}
	if v, ok := root.get("Version"); ok && (v.kind != text || v.text != "2012-10-17" && v.text != "2008-10-17") {
		return Policy{}, malformed("Version", "it is 2012-10-17 (or the old 2008-10-17), a string")
	}
	if id, ok := root.get("Id"); ok && id.kind != text {
		return Policy{}, malformed("Id", "it is a string")
	}
	statements, ok := root.get("Statement")
	if !ok || statements.kind == list && len(statements.items) == 0 {
		return Policy{}, malformed("", "it has no Statement")
	}
	p := Policy{Kind: kind}
	for i, n := range statements.all() {
		where := "Statement"
		if statements.kind == list {
			where = element(where, i)
		}
		s, err := parseStatement(n, where, kind)
		if err != nil {
			return Policy{}, err
		}
		if s.Sid != "" && slices.ContainsFunc(p.Statements, func(other Statement) bool { return other.Sid == s.Sid }) {
			return Policy{}, malformed(where+".Sid", "another statement has the Sid %s", plainly(s.Sid))
		}
		p.Statements = append(p.Statements, s)
	}
	return p, nil
}

// known refuses members of n that are not among names.
func known(n node, where string, names ...string) error {
	for _, name := range n.names {
		if slices.Contains(names, name) {
			continue
		}
		for _, right := range names {
			if strings.EqualFold(name, right) {
				return malformed(member(where, name), "write it %s", right)
			}
		}
		return malformed(member(where, name), "no such element; there are %s", strings.Join(names, ", "))
	}
	return nil
}

func parseStatement(n node, where string, kind Kind) (Statement, error) {
	var s Statement
	if n.kind != object {
		return s, malformed(where, "it is %s, not an object", n.kind)
	}
	var err error
	if s.Principals, err = parseWho(n, where, kind); err != nil {
		return s, err
	}
	names := []string{"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}
	if kind != OfUser {
		names = append(names, "Principal")
	}
	if err := known(n, where, names...); err != nil {
		return s, err
	}
	if id, ok := n.get("Sid"); ok {
		form, letters := sidForm, "letters and digits"
		if kind != OfUser {
			form, letters = resourceSidForm, "at most 256 printable characters of ASCII"
		}
		if id.kind != text || !form.MatchString(id.text) {
			return s, malformed(where+".Sid", "it is a string of %s", letters)
		}
		s.Sid = id.text
	}
	effect, ok := n.get("Effect")
	if !ok || effect.kind != text || effect.text != "Allow" && effect.text != "Deny" {
		return s, malformed(where+".Effect", `it is "Allow" or "Deny", and cannot be left out`)
	}
	s.Deny = effect.text == "Deny"
	if s.Actions, s.NotActions, err = either(n, where, "Action", checkAction); err != nil {
		return s, err
	}
	if kind == OfRepository && !n.has("Resource") && !n.has("NotResource") {
		s.Resources = []string{"*"} // only the repository's own requests come here
	} else if s.Resources, s.NotResources, err = either(n, where, "Resource", checkResource); err != nil {
		return s, err
	}
	if c, ok := n.get("Condition"); ok {
		s.Conditions, err = parseConditions(c, where+".Condition")
	}
	return s, err
}

// parseWho reads whom a statement is about: who has the policy, if it is a user's.
func parseWho(n node, where string, kind Kind) (*Principals, error) {
	if kind == OfUser {
		for _, name := range [...]string{"Principal", "NotPrincipal"} {
			if n.has(name) {
				return nil, malformed(member(where, name), "a policy of a user has none: it is about whoever has the policy")
			}
		}
		return nil, nil
	}
	if n.has("NotPrincipal") {
		return nil, malformed(member(where, "NotPrincipal"), `weir does not evaluate it: write Principal "*", and a Condition with ArnNotEquals on aws:PrincipalArn for those who are excepted`)
	}
	who, ok := n.get("Principal")
	if !ok {
		return nil, malformed(where, "it has no Principal: %s", advice)
	}
	return parsePrincipals(who, member(where, "Principal"))
}

// either reads the patterns of an element or of its Not form: one of the two.
func either(n node, where, name string, check func(string) string) (in, notIn []string, err error) {
	a, has := n.get(name)
	b, hasNot := n.get("Not" + name)
	switch {
	case has && hasNot:
		return nil, nil, malformed(where, "it has both %s and Not%s", name, name)
	case has:
		in, err = patterns(a, member(where, name), check)
	case hasNot:
		notIn, err = patterns(b, member(where, "Not"+name), check)
	default:
		err = malformed(where, "it has neither %s nor Not%s", name, name)
	}
	return in, notIn, err
}

// patterns reads one string, or a list of one or more. check says what is wrong
// with one, "" if nothing is.
func patterns(n node, where string, check func(string) string) ([]string, error) {
	if n.kind == list && len(n.items) == 0 {
		return nil, malformed(where, "the list is empty")
	}
	var all []string
	for i, item := range n.all() {
		at := where
		if n.kind == list {
			at = element(where, i)
		}
		if item.kind != text {
			return nil, malformed(at, "it is %s, not a string", item.kind)
		}
		wrong := variables(item.text)
		if wrong == "" {
			wrong = check(item.text)
		}
		if wrong != "" {
			return nil, malformed(at, "%s: %s", quote(item.text), wrong)
		}
		all = append(all, item.text)
	}
	return all, nil
}

// variables refuses what IAM would put something in place of. Taken literally it
// would be a Deny that never matches.
func variables(s string) string {
	if strings.Contains(s, "${") {
		return "policy variables (${...}) are not supported: write out what it stands for"
	}
	return ""
}

func checkAction(s string) string {
	if s == "*" || actionForm.MatchString(s) && (s[0] != '*' || s == "*:*") {
		return ""
	}
	return `an action is service:Operation, such as "ecr:BatchGetImage" or "ecr:Describe*", or "*"`
}

func checkResource(s string) string {
	parts := strings.SplitN(s, ":", arnParts)
	// What ends in * stands for the parts that are missing, too.
	if s == "*" || parts[0] == "arn" && (len(parts) == arnParts && parts[arnParts-1] != "" || strings.HasSuffix(s, "*")) {
		return ""
	}
	return `a resource is an ARN, such as "arn:aws:ecr:region:123456789012:repository/name", or "*"`
}

func parseConditions(n node, where string) ([]Condition, error) {
	if n.kind != object {
		return nil, malformed(where, "it is %s, not an object", n.kind)
	}
	var all []Condition
	for i, operator := range n.names {
		at, keys := member(where, operator), n.items[i]
		if keys.kind != object || len(keys.names) == 0 {
			return nil, malformed(at, "it is an object with condition keys and their values")
		}
		for j, key := range keys.names {
			c, err := parseCondition(operator, key, keys.items[j], at)
			if err != nil {
				return nil, err
			}
			all = append(all, c)
		}
	}
	return all, nil
}

func parseCondition(operator, key string, values node, where string) (Condition, error) {
	c, wants, ok := newCondition(operator, key)
	if !ok {
		return c, malformed(where, "weir has no such condition operator; %s", offer(operator))
	}
	if !keyForm.MatchString(key) || variables(key) != "" {
		return c, malformed(where, `%s is no condition key: one is such as "aws:SourceIp"`, quote(key))
	}
	where = member(where, key)
	if values.kind == list && len(values.items) == 0 {
		return c, malformed(where, "the list is empty")
	}
	for i, v := range values.all() {
		at := where
		if values.kind == list {
			at = element(where, i)
		}
		if v.kind != text && v.kind != number && v.kind != truth {
			return c, malformed(at, "it is %s, not a string, number, true or false", v.kind)
		}
		if wrong := variables(v.text); wrong != "" {
			return c, malformed(at, "%s: %s", quote(v.text), wrong)
		}
		t, err := wants(v.text)
		if err != nil {
			return c, malformed(at, "%s: %v", quote(v.text), err)
		}
		c.wants = append(c.wants, t)
	}
	return c, nil
}

// offer names the operators that might be meant.
func offer(written string) string {
	var names []string
	for _, o := range operators() {
		if strings.EqualFold(o.name, written) {
			return "write it " + o.name
		}
		names = append(names, o.name)
	}
	return "there are Null, and with or without IfExists, ForAllValues: and ForAnyValue: " + strings.Join(names, ", ")
}

func element(where string, i int) string { return where + "[" + strconv.Itoa(i) + "]" }

// plainly is a Sid, quoted only where it is more than one word.
func plainly(sid string) string {
	if sidForm.MatchString(sid) {
		return sid
	}
	return quote(sid)
}

// quote and printable keep what somebody sent short and on one line.
func quote(s string) string {
	const most = 120
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return strconv.Quote(s)
}

func printable(name string) string {
	if name != "" && utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return name
	}
	return strconv.Quote(name)
}
