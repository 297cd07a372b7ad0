package lifecycle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// value is JSON that was not looked into.
type value = json.RawMessage

// schema reads JSON by the schema of a policy, and keeps the first thing that is wrong,
// in the words of the validator that ECR has. Nothing that it returns counts then.
type schema struct {
	many bool // there are several rules: which of them it is is worth saying
	err  error
}

// fail notes what is wrong, and where if that is not plain.
func (s *schema) fail(at, format string, args ...any) {
	if s.err != nil {
		return
	}
	msg := fmt.Sprintf(format, args...)
	if at != "" && s.many {
		msg += " (" + at + ")"
	}
	s.err = refused("%s", msg)
}

// mismatch notes members that do not go together.
func (s *schema) mismatch(at, why string) {
	s.fail(at, "instance failed to match exactly one schema (matched 0 out of 2): %s", why)
}

// readObject reads an object that is all of text.
func readObject(text []byte) (value, bool) {
	if !json.Valid(text) || !utf8.Valid(text) {
		return nil, false
	}
	text = bytes.TrimSpace(text)
	return text, kind(text) == "object"
}

// kind is what JSON calls the type of a value; "null" also for none.
func kind(v value) string {
	switch v = bytes.TrimSpace(v); {
	case len(v) == 0 || v[0] == 'n':
		return "null"
	case v[0] == '{':
		return "object"
	case v[0] == '[':
		return "array"
	case v[0] == '"':
		return "string"
	case v[0] == 't' || v[0] == 'f':
		return "boolean"
	}
	if _, err := strconv.ParseInt(string(v), 10, 64); err == nil {
		return "integer"
	}
	return "number"
}

// is says whether v has a type, and notes it if not.
func (s *schema) is(v value, at, want string) bool {
	if k := kind(v); k != want && s.err == nil {
		s.fail(at, "instance type (%s) does not match any allowed primitive type (allowed: [%q])", k, want)
	}
	return s.err == nil
}

// object reads one with members of these names; one with a "?" may be left out.
func (s *schema) object(v value, at string, names ...string) map[string]value {
	if s.err != nil || !s.is(v, at, "object") {
		return nil
	}
	var all map[string]value
	if err := json.Unmarshal(v, &all); err != nil {
		s.fail(at, "Could not map policyString into LifecyclePolicy.")
		return nil
	}
	var missing, more []string
	for _, name := range names {
		name, optional := strings.CutSuffix(name, "?")
		if _, there := all[name]; !there && !optional {
			missing = append(missing, name)
		}
	}
	for name := range all {
		if !slices.Contains(names, name) && !slices.Contains(names, name+"?") {
			more = append(more, name)
		}
	}
	switch {
	case len(missing) > 0:
		s.fail(at, "object has missing required properties (%s)", quotedList(missing))
	case len(more) > 0:
		s.fail(at, "object instance has properties which are not allowed by the schema: (%s)", quotedList(more))
	}
	return all
}

// quotedList is names in order, as JSON.
func quotedList(names []string) string {
	slices.Sort(names)
	text, err := json.Marshal(names)
	if err != nil {
		return fmt.Sprint(names)
	}
	return string(text)
}

// list reads a list of 1 to most values that an object has.
func (s *schema) list(o map[string]value, name string, most int) []value {
	if s.err != nil || !s.is(o[name], "", "array") {
		return nil
	}
	var all []value
	if err := json.Unmarshal(o[name], &all); err != nil {
		s.fail("", "Could not map policyString into LifecyclePolicy.")
	}
	switch n := len(all); {
	case n == 0:
		s.fail("", "array is too short: must have at least 1 elements but instance has 0 elements")
	case n > most:
		s.fail("", "array is too long: must have at most %d elements but instance has %d elements", most, n)
	}
	return all
}

// integer reads a positive number that an object has.
func (s *schema) integer(o map[string]value, at, name string) int {
	if s.err != nil || !s.is(o[name], at+"."+name, "integer") {
		return 0
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(o[name])), 10, 64)
	switch {
	case err != nil || n > maxNumber:
		s.fail(at, "numeric instance is greater than the required maximum (maximum: %d, found: %s)", maxNumber, o[name])
	case n < 1:
		s.fail(at, "numeric instance is lower than the required minimum (minimum: 1, found: %d)", n)
	}
	return int(n)
}

// text reads a text that an object may have.
func (s *schema) text(o map[string]value, at, name string) (text string) {
	v, there := o[name]
	if !there || s.err != nil || !s.is(v, at+"."+name, "string") {
		return ""
	}
	if err := json.Unmarshal(v, &text); err != nil {
		s.fail(at, "Could not map policyString into LifecyclePolicy.")
	}
	return text
}

// word reads a text that an object may have, and that is one of words.
func (s *schema) word(o map[string]value, at, name string, words ...string) string {
	if _, there := o[name]; !there || s.err != nil {
		return ""
	}
	w := s.text(o, at, name)
	if s.err == nil && !slices.Contains(words, w) {
		quoted := make([]string, len(words))
		for i := range words {
			quoted[i] = strconv.Quote(words[i])
		}
		s.fail(at, "instance value (%q) not found in enum (possible values: [%s])", w, strings.Join(quoted, ","))
	}
	return w
}

// texts reads a list of texts that an object may have.
func (s *schema) texts(o map[string]value, at, name string) (texts []string) {
	if _, there := o[name]; !there || s.err != nil {
		return nil
	}
	for _, v := range s.list(o, name, maxPatterns) {
		if s.err != nil || !s.is(v, at+"."+name, "string") {
			return nil
		}
		var one string
		if err := json.Unmarshal(v, &one); err != nil {
			s.fail(at, "Could not map policyString into LifecyclePolicy.")
		}
		if one == "" {
			s.fail(at, "string %q is too short (length: 0, required minimum: 1)", one)
		}
		texts = append(texts, one)
	}
	return texts
}
