package ecr

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxRest is how long an input may be without what was lifted out of it, in bytes: what is
// left is decoded into many small things.
const maxRest = 1 << 20

// lifted is a long member of an input: a blob, decoded in the place where it came in, or a
// string.
type lifted struct {
	member string
	shape  *shape
	data   []byte // of a blob
	value  string // of a string
}

// problems are the constraints that do not hold.
func (l *lifted) problems() []string {
	c := checker{}
	switch {
	case l == nil:
	case l.shape.kind == "blob":
		c.size(l.shape, l.member, int64(len(l.data)), "length")
	default:
		c.text(l.shape, l.member, l.value)
	}
	return c.problems
}

// lift takes a long member of an input out of its body, and leaves next to nothing there.
// There is none, and the body is as it was, where member is "" or the body does not have
// it as a string: what is wrong then is for check to find. It changes body.
// Errors: errSyntax for a blob that is not base64, text that is not UTF-8, a member that is
// there twice, and too much beside it.
func lift(body []byte, input, member string) (rest []byte, l *lifted, err error) {
	if member == "" {
		return body, nil, nil
	}
	start, end, n := find(body, member)
	if n > 1 {
		return nil, nil, errSyntax{"The member '" + member + "' is there more than once."}
	}
	if len(body)-(end-start) > maxRest {
		return nil, nil, errSyntax{fmt.Sprintf("The input is longer than %d bytes without its member '%s'.", maxRest, member)}
	}
	if n == 0 {
		return body, nil, nil
	}
	l = &lifted{member: member, shape: shapes[shapes[input].members[member]]}
	left := "x"
	if l.shape.kind == "blob" {
		left = ""
	}
	rest = slices.Concat(body[:start], []byte(left), body[end:])
	return rest, l, l.read(body[start-1 : end+1])
}

// read takes the value of a JSON string. Errors: errSyntax.
func (l *lifted) read(quoted []byte) error {
	if l.shape.kind != "blob" {
		if !utf8.Valid(quoted) {
			return wrongType(l.member, "UTF-8")
		}
		if err := json.Unmarshal(quoted, &l.value); err != nil {
			return wrongType(l.member, "a string")
		}
		// Half of a character decodes to this one, and another text would be stored.
		const replaced = "\ufffd"
		if n := strings.Count(l.value, replaced); n > 0 && n > bytes.Count(bytes.ToLower(quoted), []byte(`\ufffd`))+bytes.Count(quoted, []byte(replaced)) {
			return wrongType(l.member, "text: it has half of a character")
		}
		return nil
	}
	raw := quoted[1 : len(quoted)-1]
	ok := !bytes.ContainsAny(raw, "\r\n") // which is no JSON, and base64 leaves it out
	if ok {
		raw, ok = unescape(raw)
	}
	if ok {
		l.data, ok = decode(raw)
	}
	if !ok {
		return wrongType(l.member, "base64")
	}
	return nil
}

// find returns where the text of a string member of a JSON object is, between its quotes,
// and how often there is such a member. It does not say whether the object is valid.
func find(body []byte, member string) (start, end, n int) {
	depth, key := 0, []byte(nil)
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '{', '[':
			depth++
			key = nil
		case '}', ']':
			depth--
		case ',':
			key = nil
		case '"':
			from := i + 1
			to := from + quote(body[from:])
			if i = to; depth != 1 || to == len(body) {
				continue
			}
			if key == nil {
				key = body[from-1 : to+1]
				continue
			}
			if named(key, member) {
				start, end, n = from, to, n+1
			}
		}
	}
	return start, end, n
}

// named says whether a member's name, in its quotes, is member. Few have escapes in it.
func named(key []byte, member string) bool {
	if bytes.IndexByte(key, '\\') < 0 {
		return string(key[1:len(key)-1]) == member
	}
	const most = len(`\u0061`) // of a character
	if len(key) > 2+most*len(member) {
		return false
	}
	name := ""
	return json.Unmarshal(key, &name) == nil && name == member
}

// quote returns where the string ends that text begins within, len(text) if it does not.
func quote(text []byte) int {
	for i := 0; ; i++ {
		at := bytes.IndexByte(text[i:], '"')
		if at < 0 {
			return len(text)
		}
		i += at
		slashes := 0
		for slashes < i && text[i-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return i
		}
	}
}

// unescape takes the escapes out of the text of a JSON string that is to be base64, in its
// place, and line breaks with them. Some clients write \/ for each slash.
func unescape(text []byte) ([]byte, bool) {
	out := bytes.IndexByte(text, '\\')
	if out < 0 {
		return text, true
	}
	for i := out; i < len(text); i++ {
		c := text[i]
		if c == '\\' {
			n := 0
			if c, n = escaped(text[i+1:]); n == 0 {
				return nil, false
			}
			if i += n; c == '\n' || c == '\r' {
				continue
			}
		}
		text[out] = c
		out++
	}
	return text[:out], true
}

// escaped returns the character that an escape stands for and how long it is after its
// backslash, 0 for one that is in no base64.
func escaped(text []byte) (c byte, n int) {
	switch {
	case len(text) > 0 && text[0] == '/':
		return '/', 1
	case len(text) > 0 && text[0] == 'n':
		return '\n', 1
	case len(text) > 0 && text[0] == 'r':
		return '\r', 1
	case len(text) > 4 && text[0] == 'u' && text[1] == '0' && text[2] == '0':
		var one [1]byte
		if _, err := hex.Decode(one[:], text[3:5]); err == nil {
			return one[0], 5
		}
	}
	return 0, 0
}

// decode decodes base64 without line breaks in its place, block by block.
func decode(text []byte) ([]byte, bool) {
	const block = 4 << 10
	var buf [block]byte
	out := 0
	for i := 0; i < len(text); i += block {
		end := min(i+block, len(text))
		n, err := base64.StdEncoding.Decode(buf[:], text[i:end])
		if err != nil || n != block/4*3 && end < len(text) { // padding before the end
			return nil, false
		}
		out += copy(text[out:], buf[:n])
	}
	return text[:out], true
}
