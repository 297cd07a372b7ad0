package lifecycle_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/lifecycle"
)

// one is a policy of one rule.
func one(selection, action string) string {
	return `{"rules":[{"rulePriority":1,"selection":` + selection + `,"action":` + action + `}]}`
}

const (
	expire     = `{"type":"expire"}`
	transition = `{"type":"transition","targetStorageClass":"archive"}`
	count      = `{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1}`
)

func TestParse(t *testing.T) {
	got, err := lifecycle.Parse(`
		{"rules": [
			{"rulePriority": 20, "description": "last \"one\"", "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 3, "storageClass": "standard"}, "action": {"type": "expire"}},
			{"rulePriority": 5, "selection": {"tagStatus": "tagged", "tagPrefixList": ["v", "x."], "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 7}, "action": {"type": "transition", "targetStorageClass": "archive"}},
			{"rulePriority": 7, "selection": {"tagStatus": "any", "storageClass": "archive", "countType": "sinceImageTransitioned", "countUnit": "days", "countNumber": 90}, "action": {"type": "expire"}}
		]}`, true)
	if err != nil {
		t.Fatal(err)
	}
	want := &lifecycle.Policy{Rules: []lifecycle.Rule{
		{Priority: 5, Tags: lifecycle.Tagged, Patterns: []string{"v*", "x.*"}, Count: lifecycle.SincePushed, Number: 7, Action: lifecycle.Transition},
		{Priority: 7, Tags: lifecycle.Any, Archived: true, Count: lifecycle.Transitioned, Number: 90, Action: lifecycle.Expire},
		{Priority: 20, Description: `last "one"`, Tags: lifecycle.Any, Count: lifecycle.MoreThan, Number: 3, Action: lifecycle.Expire},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestRefused(t *testing.T) {
	days := func(tags, countType string, n int, more string) string {
		return fmt.Sprintf(`{"tagStatus":%q,"countType":%q,"countUnit":"days","countNumber":%d%s}`, tags, countType, n, more)
	}
	const mismatch = "instance failed to match exactly one schema (matched 0 out of 2): "
	for _, test := range []struct{ name, policy, want string }{
		{"nothing", "", "Could not map policyString into LifecyclePolicy."},
		{"no JSON", `{"rules":[}`, "Could not map policyString into LifecyclePolicy."},
		{"a list", `[]`, "Could not map policyString into LifecyclePolicy."},
		{"two values", `{"rules":[]} {}`, "Could not map policyString into LifecyclePolicy."},
		{"too long", `{"rules":[` + strings.Repeat(" ", lifecycle.MaxText) + `]}`, "the policy is longer than 30720 bytes"},
		{"no rules", `{}`, `object has missing required properties (["rules"])`},
		{"something else", `{"rules":[],"x":1}`, `object instance has properties which are not allowed by the schema: (["x"])`},
		{"case counts", `{"Rules":[]}`, `object has missing required properties (["rules"])`},
		{"rules are no list", `{"rules":{}}`, `instance type (object) does not match any allowed primitive type (allowed: ["array"])`},
		{"an empty list", `{"rules":[]}`, "array is too short: must have at least 1 elements but instance has 0 elements"},
		{"51 rules", `{"rules":[` + strings.Repeat("{},", 50) + `{}]}`, "array is too long: must have at most 50 elements but instance has 51 elements"},
		{"a rule is no object", `{"rules":[1]}`, `instance type (integer) does not match any allowed primitive type (allowed: ["object"])`},
		{"an empty rule", `{"rules":[{}]}`, `object has missing required properties (["action","rulePriority","selection"])`},
		{"an empty rule of two", `{"rules":[{},{}]}`, `object has missing required properties (["action","rulePriority","selection"]) (rules[0])`},
		{"priority 0", strings.Replace(one(count, expire), `ity":1`, `ity":0`, 1), "numeric instance is lower than the required minimum (minimum: 1, found: 0)"},
		{"priority 1.5", strings.Replace(one(count, expire), `ity":1`, `ity":1.5`, 1), `instance type (number) does not match any allowed primitive type (allowed: ["integer"])`},
		{"a huge priority", strings.Replace(one(count, expire), `ity":1`, `ity":2147483648`, 1), "numeric instance is greater than the required maximum (maximum: 2147483647, found: 2147483648)"},
		{"description is a number", strings.Replace(one(count, expire), `"sel`, `"description":1,"sel`, 1), `instance type (integer) does not match any allowed primitive type (allowed: ["string"])`},
		{"unknown tag status", one(days("Tagged", "sinceImagePushed", 1, ""), expire), `instance value ("Tagged") not found in enum (possible values: ["tagged","untagged","any"])`},
		{"unknown count type", one(days("any", "sinceNever", 1, ""), expire), `instance value ("sinceNever") not found in enum (possible values: ["imageCountMoreThan","sinceImagePushed","sinceImagePulled","sinceImageTransitioned"])`},
		{"unknown unit", one(strings.Replace(days("any", "sinceImagePushed", 1, ""), "days", "hours", 1), expire), `instance value ("hours") not found in enum (possible values: ["days"])`},
		{"unknown action", one(count, `{"type":"delete"}`), `instance value ("delete") not found in enum (possible values: ["expire","transition"])`},
		{"unknown target", one(count, `{"type":"transition","targetStorageClass":"glacier"}`), `instance value ("glacier") not found in enum (possible values: ["archive"])`},
		{"number 0", one(days("any", "sinceImagePushed", 0, ""), expire), "numeric instance is lower than the required minimum (minimum: 1, found: 0)"},
		{"null", one(`{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1,"countUnit":null}`, expire), `instance type (null) does not match any allowed primitive type (allowed: ["string"])`},
		{"no target", one(count, `{"type":"transition"}`), mismatch + "action.targetStorageClass is required with type transition"},
		{"target of an expiry", one(count, `{"type":"expire","targetStorageClass":"archive"}`), mismatch + "action.targetStorageClass is only for type transition"},
		{"unit of a count", one(days("any", "imageCountMoreThan", 1, ""), expire), mismatch + "countUnit is only for ages, not for imageCountMoreThan"},
		{"no unit", one(`{"tagStatus":"any","countType":"sinceImagePulled","countNumber":1}`, transition), mismatch + "countUnit days is required with sinceImagePulled"},
		{"archive not said", one(days("any", "sinceImageTransitioned", 90, ""), expire), mismatch + "sinceImageTransitioned needs storageClass archive"},
		{"archive and pushed", one(days("any", "sinceImagePushed", 90, `,"storageClass":"archive"`), expire), mismatch + "storageClass archive is only for sinceImageTransitioned"},
		{"into the archive from there", one(days("any", "sinceImageTransitioned", 90, `,"storageClass":"archive"`), transition), mismatch + "what is in the archive can only expire"},
		{"tagged, and no tags", one(days("tagged", "sinceImagePushed", 1, ""), expire), "Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED"},
		{"untagged, and tags", one(days("untagged", "sinceImagePushed", 1, `,"tagPrefixList":["a"]`), expire), "tagPrefixList and tagPatternList can only be specified when tagStatus=TAGGED"},
		{"both lists", one(days("tagged", "sinceImagePushed", 1, `,"tagPrefixList":["a"],"tagPatternList":["b"]`), expire), "Only one of tagPrefixList and tagPatternList can be specified"},
		{"an empty prefix", one(days("tagged", "sinceImagePushed", 1, `,"tagPrefixList":[""]`), expire), `string "" is too short (length: 0, required minimum: 1)`},
		{"a prefix with a wildcard", one(days("tagged", "sinceImagePushed", 1, `,"tagPrefixList":["v*"]`), expire), "a prefix of tagPrefixList has no '*': use tagPatternList"},
		{"five wildcards", one(days("tagged", "sinceImagePushed", 1, `,"tagPatternList":["test*1*2*3*4*5"]`), expire), `the tag pattern "test*1*2*3*4*5" has more than 4 wildcards`},
		{"a priority twice", strings.Replace(policy("untagged imageCountMoreThan 1 expire", "any imageCountMoreThan 1 expire"), `ity":2`, `ity":1`, 1), "rulePriority must be unique: 1 is there twice"},
		{"any before others", policy("any imageCountMoreThan 1 expire", "untagged imageCountMoreThan 1 expire"), "Rule for tagStatus=ANY must have the lowest priority per storage class"},
		{"any twice", policy("any imageCountMoreThan 1 expire", "any sinceImagePushed 1 expire"), "Rule for tagStatus=ANY must have the lowest priority per storage class"},
		{"untagged twice", policy("untagged imageCountMoreThan 1 expire", "untagged sinceImagePushed 1 expire"), "Only one rule can select Untagged images per storage class"},
		{"tags twice", policy("tagged a*,b* imageCountMoreThan 1 expire", "tagged b*,a*,a* sinceImagePushed 1 expire"), "the set of tags of rule 2 is another rule's already: it would never do anything"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := lifecycle.Parse(test.policy, false)
			e := errs.As(err)
			if e == nil || e.Code != errs.ParamInvalid {
				t.Fatalf("error %v", err)
			}
			if d := cmp.Diff("Lifecycle policy validation failure: "+test.want, e.Msg); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestStrict: what weir takes and ECR does not.
func TestStrict(t *testing.T) {
	for _, text := range []string{policy("any sinceImagePulled 60 expire"), policy("any sinceImageTransitioned 89 expire")} {
		if _, err := lifecycle.Parse(text, false); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if _, err := lifecycle.Parse(text, true); errs.CodeOf(err) != errs.ParamInvalid {
			t.Errorf("strict %s: %v", text, err)
		}
	}
	// One storage class does not know of the other.
	both := policy("tagged a* sinceImagePulled 1 transition", "untagged sinceImagePulled 1 transition", "any sinceImagePulled 1 transition",
		"tagged a* sinceImageTransitioned 90 expire", "untagged sinceImageTransitioned 90 expire", "any sinceImageTransitioned 90 expire")
	if _, err := lifecycle.Parse(both, true); err != nil {
		t.Error(err)
	}
}

func TestPatterns(t *testing.T) {
	for _, test := range []struct {
		pattern, tag string
		want         bool
	}{
		{"v1", "v1", true}, {"v1", "v10", false}, {"*", "x", true}, {"v*", "v", true}, {"v*", "av", false},
		{"*-rc", "1-rc", true}, {"*-rc", "1-rc2", false}, {"a*b*c", "abc", true}, {"a*b*c", "aXbYc", true}, {"a*b*c", "acb", false},
		{"aa*aa", "aaa", false}, {"*a*b*c*", "xxaxbxcx", true}, {"**", "x", true}, {"a?", "ab", false}, {"V*", "v1", false},
	} {
		p, err := lifecycle.Parse(policy("tagged "+test.pattern+" imageCountMoreThan 1 expire"), true)
		if err != nil {
			t.Fatal(err)
		}
		got := len(p.Evaluate([]lifecycle.Image{image("old", 2, test.tag), image("new", 1, "v1", "v", "x", "1-rc", "abc", "aabaa", "ab", "aXbYc", "a?")}, now)) > 0
		if got && !test.want || test.want && !got {
			t.Errorf("%q and %q: %v", test.pattern, test.tag, got)
		}
	}
}

// FuzzParse: what is understood can be evaluated, and marks no image twice, none that
// an index names which stays, and nothing by a rule that is not there.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		policy("tagged a*,b* sinceImagePulled 60 expire", "any imageCountMoreThan 1 expire"), policy("any sinceImageTransitioned 9 expire"),
		policy("untagged sinceImagePushed 1 transition"), one(count, transition), `{"rules":[null]}`, `{"rules":[{"selection":[]}]}`,
	} {
		f.Add(text, "a1,b,,a2", uint8(7))
	}
	f.Fuzz(func(t *testing.T, text, tags string, shape uint8) {
		p, err := lifecycle.Parse(text, false)
		if err != nil {
			if errs.CodeOf(err) != errs.ParamInvalid {
				t.Fatalf("error %v", err)
			}
			return
		}
		if len(p.Rules) == 0 || len(p.Rules) > 50 {
			t.Fatalf("%d rules", len(p.Rules))
		}
		var images []lifecycle.Image
		for i, tag := range strings.Split(tags, ",") {
			m := image(fmt.Sprint(i), float64(i*int(shape)))
			if tag != "" {
				m.Tags = []string{tag}
			}
			m.Archived = shape>>(i%8)&1 == 1
			if i > 0 && shape&4 != 0 {
				m.Children = []digest.Digest{digest.Digest(fmt.Sprint(i - 1)), digest.Digest(fmt.Sprint(i / 2))}
			}
			if i > 0 && shape&8 != 0 {
				m.Subject = digest.Digest(fmt.Sprint(i / 3))
			}
			images = append(images, m)
		}
		done := map[digest.Digest]lifecycle.Action{}
		for _, mark := range p.Evaluate(images, now.Add(time.Duration(shape)*time.Hour)) {
			for _, m := range append([]*lifecycle.Image{mark.Image}, mark.Follow...) {
				if done[m.Digest] != "" {
					t.Errorf("%s is marked twice", m.Digest)
				}
				done[m.Digest] = mark.Rule.Action
			}
			for _, index := range images {
				for _, child := range index.Children {
					if child == mark.Image.Digest && mark.Rule.Action == lifecycle.Expire && done[index.Digest] != lifecycle.Expire {
						t.Errorf("%s expires before its index %s", child, index.Digest)
					}
				}
			}
		}
	})
}
