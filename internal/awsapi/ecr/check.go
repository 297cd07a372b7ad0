package ecr

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/weir-registry/weir/internal/oci"
)

// shape is what a value in an input must be like.
type shape struct {
	kind     string            // the model's type
	members  map[string]string // of a structure: the names of their shapes
	required []string
	member   string // of a list: the name of its members' shape
	min, max *int64 // of a string's length in characters, a list's, a blob's in bytes; of a number
	pattern  string // as the model has it, for messages
	whole    *regexp.Regexp
	enum     []string
}

// maxShown is how many problems a message tells. It bounds what a request of a
// megabyte of mistakes is answered.
const maxShown = 20

// errSyntax says that an input is not JSON of the operation's form.
type errSyntax struct{ what string }

func (e errSyntax) Error() string { return e.what }

// check reads an input and returns it without the members that its shape does not
// have, nulls and second members of a name, so that what is decoded from it is what
// was checked. problems are the constraints that do not hold.
// strict is false where weir takes more than ECR does: prefixes of rules that are as
// long as names of repositories.
// Errors: errSyntax if it is no JSON object, or has a value of another type.
func check(name string, body []byte, strict bool) (checked []byte, problems []string, err error) {
	if len(body) == 0 {
		return []byte("{}"), required(name, "", nil), nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var in any
	if err := d.Decode(&in); err != nil {
		return nil, nil, errSyntax{"The body is not JSON."}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, nil, errSyntax{"The body goes on after its JSON object."}
	}
	object, ok := in.(map[string]any)
	if !ok {
		return nil, nil, errSyntax{"The body is not a JSON object."}
	}
	c := checker{strict: strict}
	if err := c.value(name, "", object); err != nil {
		return nil, nil, err
	}
	checked, err = json.Marshal(object)
	return checked, c.problems, err
}

// message tells problems, of which there is at least one.
func message(problems []string) string {
	if len(problems) == 1 {
		return problems[0]
	}
	shown := problems[:min(len(problems), maxShown)]
	text := fmt.Sprintf("%d validation errors detected: %s", len(problems), strings.Join(shown, "; "))
	if len(shown) < len(problems) {
		text += "; and so on"
	}
	return text
}

// rulePrefix is the shape of a rule's prefix.
const rulePrefix = "PullThroughCacheRuleRepositoryPrefix"

// checker collects problems.
type checker struct {
	strict   bool
	problems []string
}

func (c *checker) say(at, format string, args ...any) {
	c.problems = append(c.problems, problem(at, format, args...))
}

// problem is a constraint that does not hold, in ECR's words.
func problem(at, format string, args ...any) string {
	return fmt.Sprintf("Invalid parameter at '%s' failed to satisfy constraint: '%s'", at, fmt.Sprintf(format, args...))
}

// required returns what a structure lacks.
func required(name, at string, object map[string]any) (problems []string) {
	for _, member := range shapes[name].required {
		if object[member] == nil {
			problems = append(problems, problem(join(at, member), "Member must not be null"))
		}
	}
	return problems
}

func join(at, member string) string {
	if at == "" {
		return member
	}
	return at + "." + member
}

func (c *checker) value(name, at string, v any) error {
	s := shapes[name]
	switch s.kind {
	case "structure":
		object, ok := v.(map[string]any)
		if !ok {
			return wrongType(at, "an object")
		}
		return c.structure(name, at, object)
	case "list":
		list, ok := v.([]any)
		if !ok {
			return wrongType(at, "a list")
		}
		return c.list(s, at, list)
	case "string":
		text, ok := v.(string)
		if !ok {
			return wrongType(at, "a string")
		}
		if name == rulePrefix && !c.strict {
			longer := *s
			longer.max = new(int64(oci.MaxRepository))
			s = &longer
		}
		c.text(s, at, text)
	case "integer", "long":
		number, ok := v.(json.Number)
		n, err := strconv.ParseInt(string(number), 10, map[string]int{"integer": 32, "long": 64}[s.kind])
		if !ok || err != nil {
			return wrongType(at, "an "+map[string]string{"integer": "integer", "long": "integer of 64 bits"}[s.kind])
		}
		c.size(s, at, n, "value")
	case "boolean":
		if _, ok := v.(bool); !ok {
			return wrongType(at, "true or false")
		}
	case "blob":
		text, ok := v.(string)
		data, err := base64.StdEncoding.DecodeString(text)
		if !ok || err != nil {
			return wrongType(at, "base64")
		}
		c.size(s, at, int64(len(data)), "length")
	}
	return nil
}

func wrongType(at, want string) error {
	return errSyntax{fmt.Sprintf("The value at '%s' is not %s.", at, want)}
}

func (c *checker) structure(name, at string, object map[string]any) error {
	c.problems = append(c.problems, required(name, at, object)...)
	members := shapes[name].members
	for _, member := range slices.Sorted(maps.Keys(object)) {
		of, ok := members[member]
		if !ok || object[member] == nil {
			delete(object, member)
			continue
		}
		if err := c.value(of, join(at, member), object[member]); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) list(s *shape, at string, list []any) error {
	before := len(c.problems)
	c.size(s, at, int64(len(list)), "length")
	tooLong := len(c.problems) > before // its members are no matter then
	for i, v := range list {
		here := fmt.Sprintf("%s.%d.member", at, i+1)
		if v == nil {
			c.say(here, "Member must not be null")
			continue
		}
		if err := c.value(s.member, here, v); err != nil {
			return err
		}
		if tooLong {
			c.problems = c.problems[:before+1]
		}
	}
	return nil
}

func (c *checker) text(s *shape, at, text string) {
	c.size(s, at, int64(utf8.RuneCountInString(text)), "length")
	if s.whole != nil && !s.whole.MatchString(text) {
		c.say(at, "Member must satisfy regular expression pattern: %s", s.pattern)
	}
	if s.enum != nil && !slices.Contains(s.enum, text) {
		c.say(at, "Member must satisfy enum value set: [%s]", strings.Join(s.enum, ", "))
	}
}

func (c *checker) size(s *shape, at string, n int64, what string) {
	if s.min != nil && n < *s.min {
		c.say(at, "Member must have %s greater than or equal to %d", what, *s.min)
	}
	if s.max != nil && n > *s.max {
		c.say(at, "Member must have %s less than or equal to %d", what, *s.max)
	}
}
