package config

import (
	"encoding"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// position is where something stands in the file, both from 1.
type position struct{ line, column int }

// decoder puts a YAML document into structs and goes on after a problem, which is
// why it walks the tree itself: a YAML library's decoder stops at the first.
type decoder struct {
	file     string
	problems Problems
	syntax   bool                // the document could not be parsed: nothing else is worth checking
	at       map[string]position // by key, such as rules[2].upstream
}

func (d *decoder) add(key string, n ast.Node, format string, args ...any) {
	p := where(n)
	d.problems = append(d.problems, Problem{d.file, p.line, p.column, key, fmt.Sprintf(format, args...)})
}

// where is the position of a node: of its first key, for a mapping in block style.
func where(n ast.Node) position {
	switch m := n.(type) {
	case *ast.MappingNode:
		if !m.IsFlowStyle && len(m.Values) > 0 {
			return where(m.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return where(m.Key)
	}
	p := n.GetToken().Position
	return position{p.Line, p.Column}
}

// document decodes src, one YAML document, into c.
func (d *decoder) document(src []byte, c *Config) {
	file, err := parser.ParseBytes(src, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntax = true
		p := Problem{File: d.file, Msg: err.Error()}
		if se, ok := errors.AsType[*yaml.SyntaxError](err); ok {
			p.Msg = se.Message
			if se.Token != nil {
				p.Line, p.Column = se.Token.Position.Line, se.Token.Position.Column
			}
		}
		d.problems = append(d.problems, p)
		return
	}
	for i, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case i > 0:
			d.add("", doc.Body, "a second YAML document: one file is one document")
		default:
			d.decode(doc.Body, reflect.ValueOf(c).Elem(), "")
		}
	}
}

// decode puts n into v. What does not fit is a problem, and v stays as it was.
func (d *decoder) decode(n ast.Node, v reflect.Value, key string) {
	d.at[key] = where(n)
	switch n := n.(type) {
	case *ast.NullNode:
		return
	case *ast.AliasNode, *ast.AnchorNode, *ast.TagNode:
		d.add(key, n, "anchors, aliases and tags are not used here: write the value out")
		return
	case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode:
	default:
		if d.scalar(n, v, key) {
			return
		}
	}
	switch v.Kind() {
	case reflect.Struct:
		d.mapping(n, key, func(name string, k, value ast.Node) {
			d.field(name, k, value, v, key)
		})
	case reflect.Map:
		m := reflect.MakeMap(v.Type())
		d.mapping(n, key, func(name string, _, value ast.Node) {
			e := reflect.New(v.Type().Elem()).Elem()
			d.decode(value, e, join(key, name))
			m.SetMapIndex(reflect.ValueOf(name), e)
		})
		v.Set(m)
	case reflect.Slice:
		s, ok := n.(*ast.SequenceNode)
		if !ok {
			d.add(key, n, "must be a list")
			return
		}
		list := reflect.MakeSlice(v.Type(), len(s.Values), len(s.Values))
		for i, e := range s.Values {
			d.decode(e, list.Index(i), fmt.Sprintf("%s[%d]", key, i))
		}
		v.Set(list)
	default:
		d.add(key, n, "must be a single value")
	}
}

// mapping calls f for each key of n, and reports keys that come twice.
func (d *decoder) mapping(n ast.Node, key string, f func(name string, k, value ast.Node)) {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		d.add(key, n, "must be keys and values")
		return
	}
	first := map[string]position{}
	for _, kv := range values {
		if _, merge := kv.Key.(*ast.MergeKeyNode); merge {
			d.add(key, kv.Key, "merge keys are not used here: write the keys out")
			continue
		}
		k := kv.Key.(ast.Node)
		name := k.GetToken().Value
		if p, dup := first[name]; dup {
			d.add(key, k, "key %q is here a second time (first in line %d)", name, p.line)
			continue
		}
		first[name] = where(k)
		f(name, k, kv.Value)
	}
}

// field decodes the value of a struct's key.
func (d *decoder) field(name string, k, value ast.Node, v reflect.Value, key string) {
	names := map[string]reflect.Value{}
	for f, fv := range v.Fields() {
		if tag := f.Tag.Get("yaml"); tag != "" && tag != "-" {
			names[tag] = fv
		}
	}
	if fv, ok := names[name]; ok {
		d.decode(value, fv, join(key, name))
		return
	}
	known := slices.Sorted(maps.Keys(names))
	if near := nearest(name, known); near != "" {
		d.add(key, k, "unknown key %q: did you mean %q?", name, near)
		return
	}
	d.add(key, k, "unknown key %q: the keys here are %s", name, strings.Join(known, ", "))
}

// scalar puts a single value into v and says whether v takes one.
func (d *decoder) scalar(n ast.Node, v reflect.Value, key string) bool {
	text := n.GetToken().Value
	if l, ok := n.(*ast.LiteralNode); ok {
		text = l.Value.Value
	}
	if p, ok := v.Addr().Interface().(*netip.Prefix); ok {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			d.add(key, n, "%q is not a CIDR such as 10.0.0.0/8 or 192.0.2.7/32", text)
			return true
		}
		*p = prefix.Masked()
		return true
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(text)); err != nil {
			d.add(key, n, "%v", err)
		}
		return true
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, ok := n.(*ast.BoolNode)
		if !ok {
			d.add(key, n, "%q is neither true nor false", text)
			return true
		}
		v.SetBool(b.Value)
	default:
		return false
	}
	return true
}

// UnmarshalText takes the word off.
func (t *TLS) UnmarshalText(text []byte) error {
	if string(text) != "off" {
		return fmt.Errorf("%q is neither off nor cert_file and key_file", text)
	}
	*t = TLS{Off: true}
	return nil
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}
