package iam_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
)

// TestRefused: what is no policy document says where it is wrong and how.
func TestRefused(t *testing.T) {
	// with is a statement that would do, with more in it.
	with := func(more string) string {
		return in(all, `{"Effect":"Allow","Action":"*","Resource":"*",`+more+`}`)
	}
	tests := []struct{ name, doc, words string }{
		{"empty", "", "it is not JSON: line 1: unexpected end"},
		{"cut", "{\n\"Version\":\n", "it is not JSON: line 3: unexpected end"},
		{"comma too many", "{\"Version\":\"2012-10-17\",\n\"Statement\":[\n{},\n]}", "it is not JSON: line 4: invalid character ']'"},
		{"more after it", in(all) + "x", "it is not JSON: line 1: invalid character 'x' after"},
		{"two documents", in(all) + in(all), "it is not JSON: line 1: invalid character '{' after"},
		{"not text", "{\"Version\":\"\xff\"}", "it is not UTF-8 text"},
		{"list", `[]`, "it is a list, not an object"},
		{"string", `"x"`, "it is a string, not an object"},
		{"null", `null`, "it is null, not an object"},
		{"too deep", `{"Statement":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`, "[0]: this is nested deeper than anything in a policy document"},
		{"very deep", `{"Statement":` + strings.Repeat("[", 3000) + strings.Repeat("]", 3000) + `}`, "this is nested deeper"},

		{"other version", `{"Version":"2012-10-18","Statement":` + all + `}`, "Version: it is 2012-10-17"},
		{"version as a date", `{"Version":20121017,"Statement":` + all + `}`, "Version: it is 2012-10-17"},
		{"version twice", `{"Version":"2012-10-17","Version":"2008-10-17","Statement":` + all + `}`, "Version: it is there twice"},
		{"Id is a number", `{"Id":1,"Statement":` + all + `}`, "Id: it is a string"},
		{"unknown element", `{"Statement":` + all + `,"Comment":"x"}`, "Comment: no such element; there are Version, Id, Statement"},
		{"element in other case", `{"statement":` + all + `}`, "statement: write it Statement"},
		{"no statement", `{"Version":"2012-10-17"}`, "it has no Statement"},
		{"no statements", in(), "it has no Statement"},
		{"statement is a string", `{"Statement":"x"}`, "Statement: it is a string, not an object"},
		{"second statement is null", in(all, `null`), "Statement[1]: it is null, not an object"},
		{"list in a list", in(`[]`), "Statement[0]: it is a list, not an object"},

		{"Principal", with(`"Principal":"*"`), "Statement[1].Principal: a policy of a user has none"},
		{"NotPrincipal", with(`"NotPrincipal":{"AWS":"*"}`), "Statement[1].NotPrincipal: a policy of a user has none"},
		{"unknown element of a statement", with(`"Resources":"*"`), "Statement[1].Resources: no such element; there are Sid, Effect, Action,"},
		{"element of a statement in other case", with(`"condition":{}`), "Statement[1].condition: write it Condition"},
		{"Sid with a space", with(`"Sid":"a b"`), "Statement[1].Sid: it is a string of letters and digits"},
		{"Sid with a line", with(`"Sid":"a\n"`), "Statement[1].Sid: it is a string of letters and digits"},
		{"Sid is a number", with(`"Sid":1`), "Statement[1].Sid: it is a string"},
		{"Sid twice", with(`"Sid":"All"`), "Statement[1].Sid: another statement has the Sid All"},

		{"no Effect", in(`{"Action":"*","Resource":"*"}`), "Statement[0].Effect: it is \"Allow\" or \"Deny\""},
		{"Effect in other case", in(`{"Effect":"allow","Action":"*","Resource":"*"}`), "Statement[0].Effect: it is \"Allow\" or \"Deny\""},
		{"Effect is a list", in(`{"Effect":["Allow"],"Action":"*","Resource":"*"}`), "Statement[0].Effect: it is"},
		{"Effect twice", with(`"Effect":"Deny"`), "Statement[1].Effect: it is there twice"},
		{"no Action", in(`{"Effect":"Allow","Resource":"*"}`), "Statement[0]: it has neither Action nor NotAction"},
		{"both actions", with(`"NotAction":"*"`), "Statement[1]: it has both Action and NotAction"},
		{"no actions", in(`{"Effect":"Allow","Action":[],"Resource":"*"}`), "Statement[0].Action: the list is empty"},
		{"action is a number", in(`{"Effect":"Allow","Action":["*",1],"Resource":"*"}`), "Statement[0].Action[1]: it is a number, not a string"},
		{"action without service", in(`{"Effect":"Allow","Action":"BatchGetImage","Resource":"*"}`), `Statement[0].Action: "BatchGetImage": an action is service:Operation`},
		{"action without operation", in(`{"Effect":"Allow","NotAction":["ecr:"],"Resource":"*"}`), `Statement[0].NotAction[0]: "ecr:": an action is service:Operation`},
		{"action with a space", in(`{"Effect":"Allow","Action":"ecr: *","Resource":"*"}`), `an action is service:Operation`},
		{"empty action", in(`{"Effect":"Allow","Action":"","Resource":"*"}`), `an action is service:Operation`},
		{"star in the service", in(`{"Effect":"Allow","Action":"ecr*:Get*","Resource":"*"}`), `an action is service:Operation`},
		{"star for the service", in(`{"Effect":"Allow","Action":"*:Get*","Resource":"*"}`), `an action is service:Operation`},
		{"long action", in(`{"Effect":"Allow","Action":"` + strings.Repeat("é", 1000) + `","Resource":"*"}`), `ééé...": an action is service:Operation`},

		{"no Resource", in(`{"Effect":"Allow","Action":"*"}`), "Statement[0]: it has neither Resource nor NotResource"},
		{"both resources", with(`"NotResource":"*"`), "Statement[1]: it has both Resource and NotResource"},
		{"repository's name", in(`{"Effect":"Allow","Action":"*","Resource":"hub/nginx"}`), `Statement[0].Resource: "hub/nginx": a resource is an ARN`},
		{"part of an ARN", in(`{"Effect":"Allow","Action":"*","NotResource":"arn:aws:ecr"}`), `Statement[0].NotResource: "arn:aws:ecr": a resource is an ARN`},
		{"ARN of nothing", in(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:ecr:local:123456789012:"}`), `a resource is an ARN`},
		{"star and words", in(`{"Effect":"Allow","Action":"*","Resource":"*hub"}`), `a resource is an ARN`},
		{"variable in a resource", in(`{"Effect":"Deny","Action":"*","Resource":"` + arn + `${aws:username}/*"}`), "policy variables (${...}) are not supported"},
		{"variable that is a star", in(`{"Effect":"Deny","Action":"*","Resource":"` + arn + `${*}"}`), "policy variables (${...}) are not supported"},
		{"variable in an action", in(`{"Effect":"Deny","Action":"ecr:${x}","Resource":"*"}`), "policy variables (${...}) are not supported"},

		{"Condition is a list", with(`"Condition":[]`), "Statement[1].Condition: it is a list, not an object"},
		{"unknown operator", with(`"Condition":{"StringMatches":{"aws:username":"x"}}`), "Statement[1].Condition.StringMatches: weir has no such condition operator; there are Null,"},
		{"operator in other case", with(`"Condition":{"stringequals":{"aws:username":"x"}}`), "Statement[1].Condition.stringequals: weir has no such condition operator; write it StringEquals"},
		{"operator of binary values", with(`"Condition":{"BinaryEquals":{"x:y":"AA=="}}`), "BinaryEquals: weir has no such condition operator"},
		{"operator that IAM never had", with(`"Condition":{"BoolNotEquals":{"x:y":"true"}}`), "weir has no such condition operator"},
		{"NullIfExists", with(`"Condition":{"NullIfExists":{"x:y":"true"}}`), "NullIfExists: weir has no such condition operator"},
		{"quantified Null", with(`"Condition":{"ForAllValues:Null":{"x:y":"true"}}`), "ForAllValues:Null: weir has no such condition operator"},
		{"unknown quantifier", with(`"Condition":{"ForSomeValues:StringLike":{"x:y":"true"}}`), "weir has no such condition operator"},
		{"two quantifiers", with(`"Condition":{"ForAllValues:ForAnyValue:StringLike":{"x:y":"true"}}`), "weir has no such condition operator"},
		{"IfExists twice", with(`"Condition":{"StringLikeIfExistsIfExists":{"x:y":"true"}}`), "weir has no such condition operator"},
		{"operator twice", with(`"Condition":{"Bool":{"x:y":"true"},"Bool":{"x:z":"true"}}`), "Statement[1].Condition.Bool: it is there twice"},
		{"operator without keys", with(`"Condition":{"Bool":{}}`), "Statement[1].Condition.Bool: it is an object with condition keys"},
		{"operator with a string", with(`"Condition":{"Bool":"true"}`), "Statement[1].Condition.Bool: it is an object with condition keys"},
		{"key without service", with(`"Condition":{"Bool":{"SecureTransport":"true"}}`), `Statement[1].Condition.Bool: "SecureTransport" is no condition key`},
		{"empty key", with(`"Condition":{"Bool":{"":"true"}}`), `"" is no condition key`},
		{"variable in a key", with(`"Condition":{"StringLike":{"aws:ResourceTag/${aws:username}":"x"}}`), "is no condition key"},
		{"key twice", with(`"Condition":{"Bool":{"x:y":"true","x:y":"false"}}`), "Statement[1].Condition.Bool.x:y: it is there twice"},
		{"no values", with(`"Condition":{"Bool":{"x:y":[]}}`), "Statement[1].Condition.Bool.x:y: the list is empty"},
		{"value is null", with(`"Condition":{"StringLike":{"x:y":null}}`), "Statement[1].Condition.StringLike.x:y: it is null, not a string, number, true or false"},
		{"value is an object", with(`"Condition":{"StringLike":{"x:y":["a",{}]}}`), "Statement[1].Condition.StringLike.x:y[1]: it is an object"},
		{"variable in a value", with(`"Condition":{"StringLike":{"x:y":"a${aws:username}"}}`), `Statement[1].Condition.StringLike.x:y: "a${aws:username}": policy variables`},
		{"no number", with(`"Condition":{"NumericLessThan":{"x:y":["1","1O"]}}`), `Statement[1].Condition.NumericLessThan.x:y[1]: "1O": it is not a number`},
		{"hexadecimal", with(`"Condition":{"NumericLessThan":{"x:y":"0x10"}}`), "it is not a number"},
		{"not a number", with(`"Condition":{"NumericNotEquals":{"x:y":"NaN"}}`), "it is not a number"},
		{"infinity", with(`"Condition":{"NumericNotEquals":{"x:y":"1e999"}}`), "it is not a number"},
		{"no date", with(`"Condition":{"DateLessThan":{"aws:CurrentTime":"25.11.2026"}}`), `"25.11.2026": it is not a date such as`},
		{"date with a star", with(`"Condition":{"DateLessThan":{"aws:CurrentTime":"2026-*"}}`), "it is not a date such as"},
		{"neither true nor false", with(`"Condition":{"Bool":{"x:y":"yes"}}`), `"yes": it is neither true nor false`},
		{"Null of something else", with(`"Condition":{"Null":{"x:y":"x"}}`), `"x": it is neither true nor false`},
		{"no address", with(`"Condition":{"IpAddress":{"aws:SourceIp":"300.0.0.1"}}`), `"300.0.0.1": it is not an IP address, nor a network such as`},
		{"address with a star", with(`"Condition":{"IpAddress":{"aws:SourceIp":"10.*"}}`), "it is not an IP address"},
		{"address with a zone", with(`"Condition":{"IpAddress":{"aws:SourceIp":"fe80::1%eth0"}}`), "it is not an IP address"},
		{"too long a mask", with(`"Condition":{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/33"}}`), "it is not an IP address"},
		{"IPv4 in IPv6", with(`"Condition":{"IpAddress":{"aws:SourceIp":"::ffff:10.0.0.0/104"}}`), "write an IPv4 address as one"},
		{"no ARN", with(`"Condition":{"ArnLike":{"aws:PrincipalArn":"user/ann"}}`), `"user/ann": it is not an ARN`},
		{"part of an ARN in a condition", with(`"Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam:*"}}`), "it is not an ARN"},

		{"name that would break a line", with(`"a\nb":1`), `Statement[1]."a\nb": no such element`},
		{"long name", with(`"` + strings.Repeat("x", 2000) + `":1`), strings.Repeat("x", 80) + "...: no such element"},
		{"too long", in(all, `{"Effect":"Allow","Action":"*","Resource":"`+arn+strings.Repeat("x", iam.MaxPolicySize)+`"}`), "white space not counted, and may have 6144: make several policies of it"},
		{"much too long", strings.Repeat(" ", 200_000) + in(all), "it is longer than 131072 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := iam.ParsePolicy([]byte(tt.doc))
			e := errs.As(err)
			if e == nil || e.Code != errs.ParamInvalid || !strings.HasPrefix(e.Msg, "malformed policy document: ") || !strings.Contains(e.Msg, tt.words) {
				t.Errorf("%v, want %q", err, tt.words)
			}
			if len(p.Statements) > 0 {
				t.Errorf("refused, but it has %d statements", len(p.Statements))
			}
			if err != nil && (len(err.Error()) > 900 || strings.Contains(err.Error(), "\n")) {
				t.Errorf("message of %d bytes: %q", len(err.Error()), err)
			}
		})
	}
}

// TestSize: white space does not count.
func TestSize(t *testing.T) {
	doc := func(n int) string {
		return in(`{"Effect":"Allow","Action":"*","Resource":"` + arn + strings.Repeat("x", n) + `"}`)
	}
	room := iam.MaxPolicySize - len(doc(0))
	parse(t, doc(room))
	parse(t, strings.Repeat(" \n\t", 30_000)+doc(room))
	if _, err := iam.ParsePolicy([]byte(doc(room + 1))); err == nil {
		t.Errorf("%d characters are accepted", len(doc(room+1)))
	}
}

// TestManaged: who has one of ECR's policies may do what its name says.
func TestManaged(t *testing.T) {
	const full, power, read, only = "AmazonEC2ContainerRegistryFullAccess", "AmazonEC2ContainerRegistryPowerUser",
		"AmazonEC2ContainerRegistryReadOnly", "AmazonEC2ContainerRegistryPullOnly"
	names := []string{full, power, only, read}
	if got := iam.ManagedNames(); fmt.Sprint(got) != fmt.Sprint(names) {
		t.Fatalf("names are %q", got)
	}
	tests := []struct {
		action                  string
		full, power, only, read bool
	}{
		{"ecr:GetAuthorizationToken", true, true, true, true},
		{"ecr:BatchGetImage", true, true, true, true},
		{"ecr:GetDownloadUrlForLayer", true, true, true, true},
		{"ecr:BatchImportUpstreamImage", true, false, true, false},
		{"ecr:BatchCheckLayerAvailability", true, true, false, true},
		{"ecr:DescribeImages", true, true, false, true},
		{"ecr:ListTagsForResource", true, true, false, true},
		{"ecr:PutImage", true, true, false, false},
		{"ecr:CompleteLayerUpload", true, true, false, false},
		{"ecr:CreateRepository", true, false, false, false},
		{"ecr:DeleteRepository", true, false, false, false},
		{"ecr:CreatePullThroughCacheRule", true, false, false, false},
		{"cloudtrail:LookupEvents", true, false, false, false},
		{"iam:CreateServiceLinkedRole", false, false, false, false},
		{"iam:CreateUser", false, false, false, false},
		{"secretsmanager:GetSecretValue", false, false, false, false},
	}
	for _, tt := range tests {
		for i, want := range []bool{tt.full, tt.power, tt.only, tt.read} {
			p, ok := iam.Managed(names[i])
			if !ok || p.Name != names[i] {
				t.Fatalf("%s: %v, name %q", names[i], ok, p.Name)
			}
			if d := ann(p).Decide(iam.Request{Action: tt.action, Resource: "*"}); d.Allowed != want {
				t.Errorf("%s: %s is %v because %s", names[i], tt.action, d.Allowed, d.Reason())
			}
		}
	}
	p, _ := iam.Managed("arn:aws:iam::aws:policy/" + full)
	service := map[string][]string{"iam:AWSServiceName": {"replication.ecr.amazonaws.com"}}
	if err := ann(p).May(iam.Request{Action: "iam:CreateServiceLinkedRole", Resource: "*", Context: service}); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"", "AdministratorAccess", "managed", "../managed/" + full, full + ".json", "amazonec2containerregistryfullaccess", "*"} {
		if _, ok := iam.Managed(name); ok {
			t.Errorf("there is a managed policy %q", name)
		}
	}
}
