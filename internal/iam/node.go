package iam

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

// kind is what a JSON value is.
type kind string

const (
	object kind = "an object"
	list   kind = "a list"
	text   kind = "a string"
	number kind = "a number"
	truth  kind = "true or false"
	null   kind = "null"
)

// maxDepth is deeper than any policy document: Statement, its list, a statement,
// Condition, an operator, a key, its list.
const maxDepth = 8

// node is a JSON value that remembers what encoding/json forgets: the order of an
// object's members, and that one was there twice.
type node struct {
	kind  kind
	text  string   // of a string, number, true or false
	items []node   // of a list; of an object the members' values
	names []string // of an object, one for each item
}

// readJSON returns doc as a node. Errors say where in words.
func readJSON(doc []byte) (node, error) {
	if !utf8.Valid(doc) {
		return node{}, errors.New("it is not UTF-8 text")
	}
	var whole json.RawMessage
	if err := json.Unmarshal(doc, &whole); err != nil {
		var at *json.SyntaxError
		if !errors.As(err, &at) {
			return node{}, err
		}
		before := doc[:min(int64(len(doc)), at.Offset)]
		line := bytes.Count(before, []byte("\n")) + 1
		return node{}, malformed("", "it is not JSON: line %d: %v", line, err)
	}
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	return readNode(dec, "", maxDepth)
}

// readNode reads one value of valid JSON.
func readNode(dec *json.Decoder, where string, depth int) (node, error) {
	tok, err := dec.Token()
	if err != nil {
		return node{}, err
	}
	switch tok := tok.(type) {
	case string:
		return node{kind: text, text: tok}, nil
	case json.Number:
		return node{kind: number, text: tok.String()}, nil
	case bool:
		if tok {
			return node{kind: truth, text: "true"}, nil
		}
		return node{kind: truth, text: "false"}, nil
	case json.Delim:
		if depth == 0 {
			return node{}, malformed(where, "this is nested deeper than anything in a policy document")
		}
		if tok == '{' {
			return readObject(dec, where, depth)
		}
		return readList(dec, where, depth)
	}
	return node{kind: null}, nil
}

func readObject(dec *json.Decoder, where string, depth int) (node, error) {
	n := node{kind: object}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return node{}, err
		}
		name, _ := tok.(string) // valid JSON has nothing else here
		at := member(where, name)
		if slices.Contains(n.names, name) {
			return node{}, malformed(at, "it is there twice")
		}
		item, err := readNode(dec, at, depth-1)
		if err != nil {
			return node{}, err
		}
		n.names, n.items = append(n.names, name), append(n.items, item)
	}
	_, err := dec.Token()
	return n, err
}

func readList(dec *json.Decoder, where string, depth int) (node, error) {
	n := node{kind: list}
	for dec.More() {
		item, err := readNode(dec, element(where, len(n.items)), depth-1)
		if err != nil {
			return node{}, err
		}
		n.items = append(n.items, item)
	}
	_, err := dec.Token()
	return n, err
}

// get returns a member of an object.
func (n node) get(name string) (node, bool) {
	i := slices.Index(n.names, name)
	if i < 0 {
		return node{}, false
	}
	return n.items[i], true
}

func (n node) has(name string) bool { return slices.Contains(n.names, name) }

// all returns the items of a list, or the one value that may stand for it.
func (n node) all() []node {
	if n.kind == list {
		return n.items
	}
	return []node{n}
}

// member and element name a place in a document, as in
// Statement[1].Condition.IpAddress.
func member(where, name string) string {
	if len(name) > 80 {
		name = strings.ToValidUTF8(name[:80], "") + "..."
	}
	if where == "" {
		return printable(name)
	}
	return where + "." + printable(name)
}
