package iam_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
)

// lists returns a document with each single value that may be a list as a list of
// one.
func lists(t *testing.T, doc string) string {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(doc))
	dec.UseNumber()
	var root map[string]any
	if err := dec.Decode(&root); err != nil {
		t.Fatal(err)
	}
	one := func(m map[string]any, name string) {
		if v, ok := m[name]; ok {
			if _, is := v.([]any); !is {
				m[name] = []any{v}
			}
		}
	}
	one(root, "Statement")
	for _, s := range root["Statement"].([]any) {
		s := s.(map[string]any)
		for _, name := range []string{"Action", "NotAction", "Resource", "NotResource"} {
			one(s, name)
		}
		conditions, _ := s["Condition"].(map[string]any)
		for _, keys := range conditions {
			for key := range keys.(map[string]any) {
				one(keys.(map[string]any), key)
			}
		}
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(root); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// FuzzParsePolicy: the parser never panics, refuses in one short line, and a
// document decides the same with lists for single values, with its statements in
// another order, and with what does not allow taken away; nothing gets past a deny
// of everything.
func FuzzParsePolicy(f *testing.F) {
	for _, statement := range []string{
		all,
		`{"Sid":"S","Effect":"Deny","NotAction":["ecr:Get*","ECR:batch???image"],"NotResource":["` + arn + `a/*","` + arn + `?"]}`,
		`{"Effect":"Allow","Action":"ecr:*","Resource":"` + arn + `a","Condition":{"StringLike":{"aws:username":"a*"},"Bool":{"aws:SecureTransport":true}}}`,
		`{"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","2001:db8::1"]},"NotIpAddress":{"x:y":"0.0.0.0/0"}}}`,
		`{"Effect":"Deny","Action":"ecr:*","Resource":"*","Condition":{"DateLessThan":{"aws:CurrentTime":"2026-11-25T12:00:00Z"},"NumericGreaterThanEqualsIfExists":{"x:y":1.5e3}}}`,
		`{"Effect":"Deny","Action":"ecr:*","Resource":"*","Condition":{"ForAllValues:ArnLike":{"x:y":"arn:*:*:*:*:*"},"ForAnyValue:StringNotEqualsIfExists":{"x:y":["a","b"]},"Null":{"x:y":false}}}`,
		`{"Effect":"Allow","Action":"${x}","Principal":"*"}`,
	} {
		f.Add(in(statement), pull, arn+"a", "x:y", "b")
		f.Add(in(all, statement), "ECR:ListImages", arn+"a/b", "X:Y", "1500")
	}
	f.Add(`{"Version":"2008-10-17","Id":"\ud800","Statement":`+all+`}`, "", "", "", "")
	f.Fuzz(func(t *testing.T, doc, action, resource, key, value string) {
		p, err := iam.ParsePolicy([]byte(doc))
		if err != nil {
			if errs.CodeOf(err) != errs.ParamInvalid || len(err.Error()) > 2000 || strings.ContainsAny(err.Error(), "\n\r\x00") {
				t.Fatalf("refused as %q", err)
			}
			return
		}
		r := iam.Request{Action: action, Resource: resource, Context: map[string][]string{key: {value}}}
		want := ann(p).Decide(r)
		if _, err := json.Marshal(want.Reason()); err != nil {
			t.Fatal(err)
		}
		if q, err := iam.ParsePolicy([]byte(lists(t, doc))); err == nil {
			if got := ann(q).Decide(r); got.Allowed != want.Allowed || got.Explicit != want.Explicit {
				t.Fatalf("as lists: allowed %v, was %v: %s", got.Allowed, want.Allowed, got.Reason())
			}
		} else if !strings.Contains(err.Error(), "white space not counted") {
			t.Fatalf("as lists: %v", err)
		}
		backward := iam.Policy{Statements: slices.Clone(p.Statements)}
		slices.Reverse(backward.Statements)
		if got := ann(backward).Decide(r); got.Allowed != want.Allowed || got.Explicit != want.Explicit {
			t.Fatalf("backward: allowed %v, was %v", got.Allowed, want.Allowed)
		}
		if got := ann(p, parse(t, in(`{"Effect":"Deny","Action":"*","Resource":"*"}`))).Decide(r); got.Allowed || !got.Explicit {
			t.Fatal("it gets past a deny of everything")
		}
		denies := slices.DeleteFunc(slices.Clone(p.Statements), func(s iam.Statement) bool { return !s.Deny })
		if got := ann(iam.Policy{Statements: denies}).Decide(r); got.Allowed || got.Explicit != want.Explicit {
			t.Fatalf("only its denies: allowed %v, explicit %v, was %v", got.Allowed, got.Explicit, want.Explicit)
		}
	})
}

// FuzzFold: actions match as their lower case does.
func FuzzFold(f *testing.F) {
	f.Add("ECR:*", "ecr:ListImages")
	f.Add("ecr:[?@A", "ECR:{x`a")
	f.Fuzz(func(t *testing.T, pattern, action string) {
		lower := func(s string) string {
			b := []byte(s) // strings.ToLower changes what is not ASCII, or not UTF-8
			for i, c := range b {
				if 'A' <= c && c <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
		got := ann(allow(pattern, "*")).Allowed(action, "*") == nil
		if want := iam.Match(lower(pattern), lower(action)); got != want {
			t.Fatalf("%q allows %q: %v", pattern, action, got)
		}
	})
}

// TestAllocations: the decision of every pull costs no garbage.
func TestAllocations(t *testing.T) {
	read, _ := iam.Managed("AmazonEC2ContainerRegistryReadOnly")
	full, _ := iam.Managed("AmazonEC2ContainerRegistryFullAccess")
	for _, tt := range []struct {
		name string
		c    iam.Caller
	}{
		{"read only", ann(read)},
		{"full access", ann(full)},
		{"several", ann(parse(t, in(`{"Effect":"Deny","Action":"ecr:*","Resource":"`+arn+`secret/*"}`)), read, full)},
		{"anonymous", iam.Caller{Name: "anonymous", Anonymous: true, Policies: []iam.Policy{iam.PullPolicy(arn + "*")}}},
		{"root", iam.Caller{Name: "root", Root: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resource := arn + "docker-hub/library/nginx"
			if n := testing.AllocsPerRun(100, func() {
				if err := tt.c.Allowed(pull, resource); err != nil {
					t.Error(err)
				}
			}); n > 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

func BenchmarkAllowed(b *testing.B) {
	read, _ := iam.Managed("AmazonEC2ContainerRegistryReadOnly")
	office := parse(b, in(`{"Effect":"Allow","Action":"ecr:*","Resource":"`+arn+`*","Condition":{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}}`))
	for _, bb := range []struct {
		name string
		c    iam.Caller
	}{{"managed", ann(read)}, {"condition", ann(office)}, {"denied", ann()}} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			resource := arn + "docker-hub/library/nginx"
			for b.Loop() {
				bb.c.Allowed(pull, resource)
			}
		})
	}
}

func BenchmarkParsePolicy(b *testing.B) {
	for b.Loop() {
		iam.Managed("AmazonEC2ContainerRegistryFullAccess")
	}
}
