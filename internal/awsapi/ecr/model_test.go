package ecr_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/awsapi/ecr"
	"github.com/weir-registry/weir/internal/errs"
)

// model is the API model, read here once more so that the generator is not its own
// witness.
type model struct {
	Operations map[string]struct {
		Input  struct{ Shape string }
		Errors []struct{ Shape string }
	}
	Shapes map[string]shape
}

type shape struct {
	Type     string
	Members  map[string]struct{ Shape string }
	Required []string
	Member   struct{ Shape string }
	Min, Max *int
	Pattern  string
	Enum     []string
}

func readModel(t *testing.T) model {
	t.Helper()
	m, err := parseModel()
	if err != nil || len(m.Operations) != 58 {
		t.Fatalf("%d operations, %v", len(m.Operations), err)
	}
	return m
}

func parseModel() (m model, err error) {
	text, err := os.ReadFile("model/ecr-2015-09-21.json")
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	return m, err
}

// declaring returns the operations that may fail with an exception.
func (m model) declaring(exception string) (ops []string) {
	for _, op := range slices.Sorted(maps.Keys(m.Operations)) {
		if m.declares(op, exception) {
			ops = append(ops, op)
		}
	}
	return ops
}

// declares says whether an operation may fail with an exception.
func (m model) declares(op, exception string) bool {
	for _, e := range m.Operations[op].Errors {
		if e.Shape == exception {
			return true
		}
	}
	return false
}

// invalid is an operation's exception for a malformed input.
func (m model) invalid(op string) string {
	if m.declares(op, "InvalidParameterException") {
		return "InvalidParameterException"
	}
	return "ValidationException"
}

// samples are values that match the model's patterns, and values that nearly do.
var samples = map[string]struct {
	good string
	bad  []string
}{
	`[0-9]{12}`: {"123456789012", []string{"12345678901", "1234567890123", "12345678901a"}},
	`[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*`:             {"a/b-c", []string{"A/b", "a//b", "a/", "a..b", "a/b\n", "a___b", "/a"}},
	`^([a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*\/?|ROOT)$`: {"hub", []string{"Hub", "ROOT/", "hub//", "root_", "hub\n"}},
	`^arn:aws(-\w+)*:secretsmanager:[a-zA-Z0-9-:]+:secret:ecr\-pullthroughcache\/[a-zA-Z0-9\/_+=.@-]+$`: {"arn:aws:secretsmanager:local:123456789012:secret:ecr-pullthroughcache/hub-AbCdEf",
		[]string{"arn:aws:secretsmanager:local:123456789012:secret:another-name/of-a-secret-AbCdEf", "arn:aws:secretsmanager:local:123456789012:secret:ecr-pullthroughcache/"}},
	`[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+`:                                               {"sha256:00ff", []string{"sha256", "sha256:xyz", ":00"}},
	`[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}`: {"01234567-89ab-cdef-0123-456789abcdef", []string{"0123", "01234567-89ab-cdef-0123-456789abcdeg"}},
	`[0-9a-z-]{2,25}`:          {"us-east-1", []string{"US", "us_east"}},
	`^[0-9a-zA-Z._*-]{1,128}$`: {"v*", []string{"v/1"}},
	`^$|arn:aws[a-z0-9-]*:kms:[a-z0-9-]+:[0-9]{12}:key\/[a-z0-9-]+`:                        {"arn:aws:kms:local:123456789012:key/a", []string{"key/a", "xarn:aws:kms:local:123456789012:key/a"}},
	`^arn:aws(-[a-z]+)*:iam::[0-9]{12}:(role|user)/[\w+=,.@-]+(/[\w+=,.@-]+)*$`:            {"arn:aws:iam::123456789012:user/ann", []string{"arn:aws:iam::123456789012:group/ann"}},
	`^(?:[a-z0-9]+(?:[._-][a-z0-9]*)*/)*[a-z0-9]*(?:[._-][a-z0-9]*)*$`:                     {"prod/", []string{"Prod"}},
	`^[a-z0-9*](?:[._\-/a-z0-9*]?[a-z0-9*]+)*$`:                                            {"prod*", []string{"Prod", "-a"}},
	`^arn:aws(-[a-z]+)*:signer:[a-z0-9-]+:[0-9]{12}:\/signing-profiles\/[a-zA-Z0-9_]{2,}$`: {"arn:aws:signer:local:123456789012:/signing-profiles/ab", []string{"arn:aws:signer:local:123456789012:/signing-profiles/a"}},
	`^(?:[a-z0-9*]+(?:[._-][a-z0-9*]+)*/)*[a-z0-9*]+(?:[._-][a-z0-9*]+)*$`:                 {"prod/*", []string{"prod/", "Prod"}},
}

// good returns a value that satisfies a shape, with required members only.
func (m model) good(t *testing.T, name string) any {
	t.Helper()
	s := m.Shapes[name]
	switch {
	case s.Type == "structure":
		object := map[string]any{}
		for _, member := range s.Required {
			object[member] = m.good(t, s.Members[member].Shape)
		}
		return object
	case s.Type == "list":
		return []any{m.good(t, s.Member.Shape)}
	case s.Type == "integer" || s.Type == "long":
		return 1
	case s.Type == "boolean":
		return true
	case s.Type == "blob":
		return base64.StdEncoding.EncodeToString([]byte("part"))
	case s.Type != "string":
		t.Fatalf("no value of type %s", s.Type)
	case s.Enum != nil:
		return s.Enum[0]
	case s.Pattern != "":
		if _, ok := samples[s.Pattern]; !ok {
			t.Fatalf("no sample for pattern %s", s.Pattern)
		}
		return samples[s.Pattern].good
	}
	least := 1
	if s.Min != nil {
		least = max(1, *s.Min)
	}
	return strings.Repeat("x", least)
}

// wrong is an input that breaks one constraint, or has a value of another type.
type wrong struct {
	what  string
	input any
	want  string // "": of another type
}

// wrongs returns inputs that are wrong at one place. put makes an input of the value
// at that place.
func (m model) wrongs(t *testing.T, name, at string, put func(v any) any) (all []wrong) {
	t.Helper()
	s := m.Shapes[name]
	add := func(what string, v any, why string, args ...any) {
		all = append(all, wrong{at + " " + what, put(v), "Invalid parameter at '" + at + "' failed to satisfy constraint: '" + fmt.Sprintf(why, args...) + "'"})
	}
	size := func(unit string, of func(n int) any) {
		if s.Min != nil && *s.Min > 0 {
			add("too small", of(*s.Min-1), "Member must have %s greater than or equal to %d", unit, *s.Min)
		}
		if s.Max != nil {
			add("too big", of(*s.Max+1), "Member must have %s less than or equal to %d", unit, *s.Max)
		}
	}
	switch s.Type {
	case "structure":
		base := m.good(t, name).(map[string]any)
		for _, member := range slices.Sorted(maps.Keys(s.Members)) {
			here := strings.TrimPrefix(at+"."+member, ".")
			with := func(v any) any {
				object := maps.Clone(base)
				object[member] = v
				return put(object)
			}
			if slices.Contains(s.Required, member) {
				without := maps.Clone(base)
				delete(without, member)
				null := "Invalid parameter at '" + here + "' failed to satisfy constraint: 'Member must not be null'"
				all = append(all, wrong{here + " is not there", put(without), null}, wrong{here + " is null", with(nil), null})
			}
			all = append(all, m.wrongs(t, s.Members[member].Shape, here, with)...)
		}
	case "list":
		member := m.good(t, s.Member.Shape)
		size("length", func(n int) any { return slices.Repeat([]any{member}, n) })
		all = append(all, wrong{at + " has null", put([]any{nil}), "Invalid parameter at '" + at + ".1.member' failed to satisfy constraint: 'Member must not be null'"})
		all = append(all, m.wrongs(t, s.Member.Shape, at+".1.member", func(v any) any { return put([]any{v}) })...)
	case "string":
		size("length", func(n int) any { return strings.Repeat("é", n) }) // characters, not bytes
		if s.Pattern != "" {
			for _, bad := range samples[s.Pattern].bad {
				add("is "+bad, bad, "Member must satisfy regular expression pattern: %s", s.Pattern)
			}
		}
		if s.Enum != nil {
			add("is no such word", "NONE_OF_THEM", "Member must satisfy enum value set: [%s]", strings.Join(s.Enum, ", "))
		}
	case "integer", "long":
		size("value", func(n int) any { return n })
	case "blob":
		size("length", func(n int) any { return base64.StdEncoding.EncodeToString(make([]byte, n)) })
	}
	types := map[string][]any{
		"structure": {"x", []any{}, 1, true}, "list": {"x", map[string]any{}, 1}, "string": {1, true, []any{}, map[string]any{}},
		"integer": {"1", 1.5, 1 << 40, true}, "long": {"1", 1.5, 1e30, []any{}}, "boolean": {"true", 0, []any{}}, "blob": {1, "***", []any{}},
	}
	for _, v := range types[s.Type] {
		if at != "" {
			all = append(all, wrong{fmt.Sprintf("%s is %v", at, v), put(v), ""})
		}
	}
	return all
}

// TestConstraints breaks every constraint of every operation's input, one by one.
func TestConstraints(t *testing.T) {
	m := readModel(t)
	service := ecr.NewScripted(ecr.Options{ID: "123456789012", Region: "local", Strict: true}, nil, nil, nil) // to run an operation is to panic
	count := 0
	for _, name := range slices.Sorted(maps.Keys(m.Operations)) {
		t.Run(name, func(t *testing.T) {
			for _, tt := range m.wrongs(t, m.Operations[name].Input.Shape, "", func(v any) any { return v }) {
				count++
				body, err := json.Marshal(tt.input)
				if err != nil {
					t.Fatal(err)
				}
				_, err = service.Operations[name](context.Background(), &awsapi.Call{}, body)
				exception, msg := m.invalid(name), ""
				if tt.want == "" {
					exception, tt.want = "SerializationException", "The value at '"
				}
				if e := errs.As(err); e != nil {
					msg = e.Msg
				}
				seen.note(name, awsapi.NameOf(err))
				if got := awsapi.NameOf(err); got != exception || !strings.Contains(msg, tt.want) {
					t.Errorf("%s: %s %q, want %s %q", tt.what, got, msg, exception, tt.want)
				}
			}
		})
	}
	if count < 1000 {
		t.Errorf("only %d inputs", count)
	}
}

func TestMessages(t *testing.T) {
	service := ecr.NewScripted(ecr.Options{ID: "123456789012", Region: "local"}, nil, nil, nil)
	const null = "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'Member must not be null'"
	many := make([]string, 50)
	for i := range many {
		many[i] = `{"imageTag":""}`
	}
	tests := []struct{ name, op, body, exception, want string }{
		{"nothing", "ListImages", ``, "InvalidParameterException", null},
		{"empty object", "ListImages", `{}`, "InvalidParameterException", null},
		{"one", "CreateRepository", `{"repositoryName":"UPPER"}`, "InvalidParameterException",
			`Invalid parameter at 'repositoryName' failed to satisfy constraint: 'Member must satisfy regular expression pattern: [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*'`},
		{"two", "ListImages", `{"maxResults":0}`, "InvalidParameterException",
			"2 validation errors detected: " + null + "; Invalid parameter at 'maxResults' failed to satisfy constraint: 'Member must have value greater than or equal to 1'"},
		{"of a list that is too long only that", "DescribeRepositories", `{"repositoryNames":[` + strings.Repeat(`"A",`, 100) + `"A"]}`, "InvalidParameterException",
			"Invalid parameter at 'repositoryNames' failed to satisfy constraint: 'Member must have length less than or equal to 100'"},
		{"names are as they are written", "ListImages", `{"RepositoryName":"a/b"}`, "InvalidParameterException", null},
		{"the second of two counts", "ListImages", `{"repositoryName":"a/b","repositoryName":"Aa"}`, "InvalidParameterException", "Invalid parameter at 'repositoryName' failed"},
		{"no JSON", "ListImages", `{`, "SerializationException", "The body is not JSON."},
		{"more", "ListImages", `{} {}`, "SerializationException", "The body goes on after its JSON object."},
		{"a list", "ListImages", `[]`, "SerializationException", "The body is not a JSON object."},
		{"null", "ListImages", `null`, "SerializationException", "The body is not a JSON object."},
		{"very many", "DescribeImages", `{"repositoryName":"a/b","imageIds":[` + strings.Join(many, ",") + `]}`, "InvalidParameterException", "50 validation errors detected: Invalid parameter at 'imageIds.1.member.imageTag'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := service.Operations[tt.op](t.Context(), &awsapi.Call{}, []byte(tt.body))
			e := errs.As(err)
			if e == nil || awsapi.NameOf(err) != tt.exception || !strings.HasPrefix(e.Msg, tt.want) || len(e.Msg) > 4000 {
				t.Errorf("got %v, want %s %q", err, tt.exception, tt.want)
			}
		})
	}
}

// FuzzInputs: whatever a body is, it is checked the same way each time, what comes of
// a check is right in the same way, and what is decoded is what was checked.
func FuzzInputs(f *testing.F) {
	names := slices.Sorted(maps.Keys(ecr.NewScripted(ecr.Options{}, nil, nil, nil).Operations))
	for i := range names {
		f.Add(uint8(i), []byte(`{"repositoryName":"a/b","imageIds":[{"imageTag":"1"}],"filter":{"tagStatus":"ANY"},"maxResults":5}`))
	}
	f.Add(uint8(0), []byte(`{"layerDigests":[[[{"a":null}]]]}`))
	f.Add(uint8(6), []byte(`{"repositoryname":"A","repositoryName":"a","repositoryName":"b","tags":[{"key":"x","Key":"y","Value":"\ud800"}]}`))
	f.Fuzz(func(t *testing.T, i uint8, body []byte) {
		name := names[int(i)%len(names)]
		checked, problems, err := ecr.Check(name, body, false)
		if _, again, failed := ecr.Check(name, body, false); !slices.Equal(problems, again) || (err == nil) != (failed == nil) {
			t.Fatalf("%s %q: %q %v, then %q %v", name, body, problems, err, again, failed)
		}
		if err != nil {
			return
		}
		twice, again, err := ecr.Check(name, checked, false)
		if err != nil || !slices.Equal(problems, again) || string(checked) != string(twice) {
			t.Fatalf("%s %q: %q is checked, and then %q: %q %v", name, body, checked, twice, again, err)
		}
		decoded, err := ecr.Decoded(name, checked)
		if err != nil {
			t.Fatalf("%s %q: %v", name, checked, err)
		}
		if d := cmp.Diff(bare(t, checked), bare(t, decoded)); d != "" {
			t.Fatalf("%s %q (-checked +decoded):\n%s", name, body, d)
		}
	})
}

// bare is JSON without what an operation's input cannot have in another way than by
// not having it.
func bare(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return strip(v)
}

func strip(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, member := range v {
			switch member := strip(member).(type) {
			case nil:
				delete(v, k)
			case string:
				if data, err := base64.StdEncoding.DecodeString(member); k == "layerPartBlob" && err == nil {
					v[k] = data // there are several ways to write it
				}
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		for i := range v {
			v[i] = strip(v[i])
		}
		if len(v) == 0 {
			return nil
		}
	case string:
		if v == "" {
			return nil
		}
	case float64:
		if v == 0 {
			return nil
		}
	case bool:
		if !v {
			return nil
		}
	}
	return v
}
