package iam

import (
	"slices"
	"strings"
)

// Condition compares one condition key of a request with the values that a policy
// has for it. Only ParsePolicy makes one.
type Condition struct {
	name     string // operator and key as written, for reasons
	key      string // in lower case
	set      quantifier
	negated  bool // the operator is a Not... one
	ifExists bool
	null     bool   // Null: wants are about whether the key is there
	wants    []test // one for each value
}

// quantifier is how the values of a key are taken together.
type quantifier int

const (
	single quantifier = iota
	forAllValues
	forAnyValue
)

// test says whether a request's value is as one in the policy.
type test func(value string) bool

// holds says whether the condition holds for the values of its key.
func (c *Condition) holds(values []string) bool {
	if c.null {
		missing := "false"
		if len(values) == 0 {
			missing = "true"
		}
		return c.wanted(missing)
	}
	if len(values) == 0 {
		switch {
		case c.ifExists || c.set == forAllValues:
			return true
		case c.set == forAnyValue:
			return false
		}
		return c.negated
	}
	// A negated operator without a quantifier means that no value is as in the
	// policy, the other ones that some value is.
	if c.set == forAllValues || c.set == single && c.negated {
		return !slices.ContainsFunc(values, func(v string) bool { return c.wanted(v) == c.negated })
	}
	return slices.ContainsFunc(values, func(v string) bool { return c.wanted(v) != c.negated })
}

// wanted says whether a value is as one of those in the policy.
func (c *Condition) wanted(v string) bool {
	return slices.ContainsFunc(c.wants, func(t test) bool { return t(v) })
}

// operator is a condition operator: how a value in a policy becomes a test.
type operator struct {
	name    string
	negated bool
	test    func(value string) (test, error)
}

// operators are all that weir evaluates, but for Null, which takes no IfExists and
// no quantifier. BinaryEquals is missing: no key of weir's is binary.
func operators() []operator {
	return []operator{
		{"StringEquals", false, equals},
		{"StringNotEquals", true, equals},
		{"StringEqualsIgnoreCase", false, equalsFold},
		{"StringNotEqualsIgnoreCase", true, equalsFold},
		{"StringLike", false, like},
		{"StringNotLike", true, like},
		{"NumericEquals", false, numeric(equal)},
		{"NumericNotEquals", true, numeric(equal)},
		{"NumericLessThan", false, numeric(less)},
		{"NumericLessThanEquals", false, numeric(lessOrEqual)},
		{"NumericGreaterThan", false, numeric(greater)},
		{"NumericGreaterThanEquals", false, numeric(greaterOrEqual)},
		{"DateEquals", false, date(equal)},
		{"DateNotEquals", true, date(equal)},
		{"DateLessThan", false, date(less)},
		{"DateLessThanEquals", false, date(lessOrEqual)},
		{"DateGreaterThan", false, date(greater)},
		{"DateGreaterThanEquals", false, date(greaterOrEqual)},
		{"Bool", false, boolean},
		{"IpAddress", false, network},
		{"NotIpAddress", true, network},
		{"ArnEquals", false, arnLike},
		{"ArnLike", false, arnLike},
		{"ArnNotEquals", true, arnLike},
		{"ArnNotLike", true, arnLike},
	}
}

// newCondition returns a condition without values, and how values become tests. ok
// is false if there is no such operator.
func newCondition(written, key string) (c Condition, values func(string) (test, error), ok bool) {
	c = Condition{name: written + " " + key, key: strings.ToLower(key)}
	if written == "Null" {
		c.null = true
		return c, boolean, true
	}
	name := written
	if rest, found := strings.CutPrefix(name, "ForAllValues:"); found {
		name, c.set = rest, forAllValues
	} else if rest, found := strings.CutPrefix(name, "ForAnyValue:"); found {
		name, c.set = rest, forAnyValue
	}
	name, c.ifExists = strings.CutSuffix(name, "IfExists")
	for _, o := range operators() {
		if o.name == name {
			c.negated = o.negated
			return c, o.test, true
		}
	}
	return c, nil, false
}
