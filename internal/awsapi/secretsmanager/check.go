package secretsmanager

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/errs"
)

// checks collects what the constraints of the API's model do not let through, in the
// words of AWS's validation. Values of secrets are in none of them.
type checks struct{ problems []string }

func (c *checks) add(member, format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf("Value at '%s' failed to satisfy constraint: Member must ", member)+fmt.Sprintf(format, args...))
}

// required checks a string that must be there.
func (c *checks) required(member, s string, max int) {
	if s == "" {
		c.add(member, "not be null")
		return
	}
	c.length(member, &s, 1, max)
}

// optional checks a string that may be left out, as "".
func (c *checks) optional(member, s string, min, max int) {
	if s != "" {
		c.length(member, &s, min, max)
	}
}

// length checks the characters of a string; nil is left out.
func (c *checks) length(member string, s *string, min, max int) {
	if s == nil {
		return
	}
	c.number(member, "have length", utf8.RuneCountInString(*s), min, max)
}

func (c *checks) number(member, what string, n, min, max int) {
	switch {
	case n < min:
		c.add(member, "%s greater than or equal to %d", what, min)
	case n > max:
		c.add(member, "%s less than or equal to %d", what, max)
	}
}

// err returns everything at once.
func (c *checks) err() error {
	switch n := len(c.problems); n {
	case 0:
		return nil
	case 1:
		return awsapi.Except("ValidationException", errs.ParamInvalid, "1 validation error detected: %s", c.problems[0])
	default:
		return awsapi.Except("ValidationException", errs.ParamInvalid, "%d validation errors detected: %s", n, strings.Join(c.problems, "; "))
	}
}

func invalidParameter(format string, args ...any) error {
	return awsapi.Except("InvalidParameterException", errs.ParamInvalid, format, args...)
}
