package iam_test

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
)

// ann is who asks in these tests, from where and when.
func ann(policies ...iam.Policy) iam.Caller {
	return iam.Caller{
		Name: "ann", KeyID: "AKIAANN", Account: "123456789012", Policies: policies,
		Context: iam.Context{
			SourceIP: netip.MustParseAddr("203.0.113.7"),
			Time:     time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC),
			TLS:      true,
		},
	}
}

// keys are the condition keys of the request beside ann's.
func keys() map[string][]string {
	return map[string][]string{
		"ecr:ResourceTag/Env": {"prod"},
		"aws:TagKeys":         {"team", "cost"},
		"x:number":            {"10"},
		"x:word":              {"ten"},
		"x:date":              {"2026-11-25"},
		"x:yes":               {"TRUE"},
		"x:six":               {"2001:db8::7"},
		"x:arn":               {"arn:aws:sns:eu-west-1:123456789012:topic:sub"},
		"x:none":              {},
	}
}

func parse(t testing.TB, doc string) iam.Policy {
	t.Helper()
	p, err := iam.ParsePolicy([]byte(doc))
	if err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return p
}

// in makes a document of statements.
func in(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

const (
	pull = "ecr:BatchGetImage"
	all  = `{"Sid":"All","Effect":"Allow","Action":"*","Resource":"*"}`
	yes  = "statement All allows it"
	no   = "no statement allows it"
)

// TestStatements: what is allowed by actions and resources, and why.
func TestStatements(t *testing.T) {
	tests := []struct {
		name, doc, action, resource string
		allowed                     bool
		reason                      string
	}{
		{"all", in(all), pull, arn + "a", true, yes},
		{"one statement, no list", `{"Version":"2012-10-17","Statement":` + all + `}`, pull, arn + "a", true, yes},
		{"old version", `{"Version":"2008-10-17","Statement":` + all + `}`, pull, arn + "a", true, yes},
		{"no version", `{"Statement":` + all + `}`, pull, arn + "a", true, yes},
		{"with an Id", `{"Id":"any words","Statement":` + all + `}`, pull, arn + "a", true, yes},
		{"without Sid", in(`{"Effect":"Allow","Action":"*","Resource":"*"}`), pull, arn + "a", true, "statement 1 allows it"},
		{"exact", in(`{"Sid":"S","Effect":"Allow","Action":"ecr:BatchGetImage","Resource":"` + arn + `a"}`), pull, arn + "a", true, "statement S allows it"},
		{"other action", in(`{"Effect":"Allow","Action":"ecr:ListImages","Resource":"*"}`), pull, arn + "a", false, no},
		{"other service", in(`{"Effect":"Allow","Action":"s3:*","Resource":"*"}`), pull, arn + "a", false, no},
		{"action in a list", in(`{"Sid":"S","Effect":"Allow","Action":["ecr:ListImages","ecr:BatchGetImage"],"Resource":"*"}`), pull, arn + "a", true, "statement S allows it"},
		{"action in other case", in(`{"Sid":"S","Effect":"Allow","Action":"ECR:batchgetIMAGE","Resource":"*"}`), pull, arn + "a", true, "statement S allows it"},
		{"asked in other case", in(`{"Sid":"S","Effect":"Allow","Action":"ecr:BatchGetImage","Resource":"*"}`), "Ecr:BATCHGETIMAGE", arn + "a", true, "statement S allows it"},
		{"service's star", in(`{"Sid":"S","Effect":"Allow","Action":"ecr:*","Resource":"*"}`), pull, arn + "a", true, "statement S allows it"},
		{"star in an action", in(`{"Sid":"S","Effect":"Allow","Action":"ecr:*Image*","Resource":"*"}`), pull, arn + "a", true, "statement S allows it"},
		{"question marks in an action", in(`{"Sid":"S","Effect":"Allow","Action":"ecr:Batch???Image","Resource":"*"}`), pull, arn + "a", true, "statement S allows it"},
		{"a question mark too many", in(`{"Effect":"Allow","Action":"ecr:Batch????Image","Resource":"*"}`), pull, arn + "a", false, no},
		{"star is all of an action or a part", in(`{"Effect":"Allow","Action":"ecr:Get*","Resource":"*"}`), pull, arn + "a", false, no},
		{"star for the service", in(`{"Sid":"S","Effect":"Allow","Action":"*:*","Resource":"*"}`), pull, arn + "a", true, "statement S allows it"},

		{"NotAction is all others", in(`{"Sid":"S","Effect":"Allow","NotAction":"ecr:DeleteRepository","Resource":"*"}`), pull, arn + "a", true, "statement S allows it"},
		{"NotAction is not this", in(`{"Effect":"Allow","NotAction":"ecr:Batch*","Resource":"*"}`), pull, arn + "a", false, no},
		{"NotAction in other case", in(`{"Effect":"Allow","NotAction":"ECR:batch*","Resource":"*"}`), pull, arn + "a", false, no},
		{"NotAction of several", in(`{"Effect":"Allow","NotAction":["iam:*","ecr:*"],"Resource":"*"}`), pull, arn + "a", false, no},
		{"NotAction with Deny", in(all, `{"Sid":"Only","Effect":"Deny","NotAction":"ecr:ListImages","Resource":"*"}`), pull, arn + "a", false, "statement Only denies it"},
		{"NotAction with Deny leaves this", in(all, `{"Effect":"Deny","NotAction":"ecr:Batch*","Resource":"*"}`), pull, arn + "a", true, yes},

		{"other resource", in(`{"Effect":"Allow","Action":"*","Resource":"` + arn + `b"}`), pull, arn + "a", false, no},
		{"resource in other case", in(`{"Effect":"Allow","Action":"*","Resource":"` + arn + `A"}`), pull, arn + "a", false, no},
		{"resource in a list", in(`{"Sid":"S","Effect":"Allow","Action":"*","Resource":["` + arn + `b","` + arn + `a"]}`), pull, arn + "a", true, "statement S allows it"},
		{"prefix", in(`{"Effect":"Allow","Action":"*","Resource":"` + arn + `hub"}`), pull, arn + "hub/x", false, no},
		{"star crosses slashes", in(`{"Sid":"S","Effect":"Allow","Action":"*","Resource":"` + arn + `hub/*"}`), pull, arn + "hub/library/x", true, "statement S allows it"},
		{"star is also nothing", in(`{"Sid":"S","Effect":"Allow","Action":"*","Resource":"` + arn + `hub*"}`), pull, arn + "hub", true, "statement S allows it"},
		{"star in the middle", in(`{"Sid":"S","Effect":"Allow","Action":"*","Resource":"` + arn + `hub/*/x"}`), pull, arn + "hub/a/b/x", true, "statement S allows it"},
		{"question mark is one", in(`{"Effect":"Allow","Action":"*","Resource":"` + arn + `hub?"}`), pull, arn + "hub", false, no},
		{"any region and account", in(`{"Sid":"S","Effect":"Allow","Action":"*","Resource":"arn:aws:ecr:*:*:repository/a"}`), pull, arn + "a", true, "statement S allows it"},
		{"other account", in(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:ecr:*:111111111111:repository/*"}`), pull, arn + "a", false, no},
		{"what is missing after a star", in(`{"Sid":"S","Effect":"Allow","Action":"*","Resource":"arn:aws:ecr:*"}`), pull, arn + "a", true, "statement S allows it"},
		{"an action on nothing in particular", in(`{"Effect":"Allow","Action":"ecr:*","Resource":"` + arn + `*"}`), "ecr:GetAuthorizationToken", "*", false, no},
		{"and on everything", in(`{"Sid":"S","Effect":"Allow","Action":"ecr:*","Resource":"*"}`), "ecr:GetAuthorizationToken", "*", true, "statement S allows it"},

		{"NotResource is all others", in(`{"Sid":"S","Effect":"Allow","Action":"*","NotResource":"` + arn + `secret/*"}`), pull, arn + "a", true, "statement S allows it"},
		{"NotResource is not this", in(`{"Effect":"Allow","Action":"*","NotResource":"` + arn + `a"}`), pull, arn + "a", false, no},
		{"NotResource with Deny", in(all, `{"Sid":"Only","Effect":"Deny","Action":"*","NotResource":"`+arn+`hub/*"}`), pull, arn + "a", false, "statement Only denies it"},
		{"NotResource with Deny leaves this", in(all, `{"Effect":"Deny","Action":"*","NotResource":"`+arn+`hub/*"}`), pull, arn + "hub/x", true, yes},
		{"NotAction and NotResource", in(`{"Sid":"S","Effect":"Allow","NotAction":"iam:*","NotResource":"arn:aws:iam:*"}`), pull, arn + "a", true, "statement S allows it"},

		{"deny after allow", in(all, `{"Sid":"D","Effect":"Deny","Action":"ecr:*","Resource":"*"}`), pull, arn + "a", false, "statement D denies it"},
		{"deny before allow", in(`{"Sid":"D","Effect":"Deny","Action":"ecr:*","Resource":"*"}`, all), pull, arn + "a", false, "statement D denies it"},
		{"deny between", in(all, `{"Effect":"Deny","Action":"*","Resource":"`+arn+`a"}`, `{"Effect":"Allow","Action":"*","Resource":"*"}`), pull, arn + "a", false, "statement 2 denies it"},
		{"deny of another resource", in(all, `{"Effect":"Deny","Action":"*","Resource":"`+arn+`b"}`), pull, arn + "a", true, yes},
		{"deny in other case", in(all, `{"Sid":"D","Effect":"Deny","Action":"ECR:*","Resource":"*"}`), pull, arn + "a", false, "statement D denies it"},
		{"only deny", in(`{"Effect":"Deny","Action":"s3:*","Resource":"*"}`), pull, arn + "a", false, no},
		{"the first that allows", in(all, `{"Sid":"Too","Effect":"Allow","Action":"*","Resource":"*"}`), pull, arn + "a", true, yes},

		{"deny whose condition holds", in(all, `{"Sid":"D","Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:username":"ann"}}}`), pull, arn + "a", false, "statement D denies it"},
		{"deny whose condition does not", in(all, `{"Sid":"D","Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:username":"bob"}}}`), pull, arn + "a", true, yes},
		{"no conditions", in(`{"Sid":"All","Effect":"Allow","Action":"*","Resource":"*","Condition":{}}`), pull, arn + "a", true, yes},
		{"two keys, both hold", in(`{"Sid":"All","Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:username":"ann","x:word":"ten"}}}`), pull, arn + "a", true, yes},
		{"two keys, one holds", in(`{"Sid":"All","Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:username":"ann","x:word":"two"}}}`), pull, arn + "a", false, "no statement allows it; statement All would, but its condition StringEquals x:word does not hold"},
		{"two operators, one holds", in(`{"Sid":"All","Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":true},"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}`), pull, arn + "a", false, "no statement allows it; statement All would, but its condition IpAddress aws:SourceIp does not hold"},
		{"condition of a statement about something else", in(`{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"aws:username":"bob"}}}`), pull, arn + "a", false, no},
		{"a pasted deny of all but an endpoint denies all", in(all, `{"Sid":"Vpce","Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringNotEquals":{"aws:sourceVpce":"vpce-1"}}}`), pull, arn + "a", false, "statement Vpce denies it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := ann(parse(t, tt.doc))
			d := c.Decide(iam.Request{Action: tt.action, Resource: tt.resource, Context: keys()})
			if d.Allowed != tt.allowed || d.Reason() != tt.reason {
				t.Errorf("allowed %v because %q, want %v because %q", d.Allowed, d.Reason(), tt.allowed, tt.reason)
			}
			if d.Explicit != strings.HasSuffix(tt.reason, "denies it") {
				t.Errorf("explicit is %v", d.Explicit)
			}
		})
	}
}

// TestConditions: each operator on values that are as in the policy, that are not,
// and that are not there.
func TestConditions(t *testing.T) {
	tests := []struct {
		operator, key, values string
		want                  bool
	}{
		{"StringEquals", "aws:username", `"ann"`, true},
		{"StringEquals", "AWS:UserName", `"ann"`, true}, // keys have no case
		{"StringEquals", "aws:username", `"Ann"`, false},
		{"StringEquals", "aws:username", `"an*"`, false}, // no wildcards
		{"StringEquals", "aws:username", `["bob","ann"]`, true},
		{"StringEquals", "ecr:resourcetag/env", `"prod"`, true},
		{"StringEquals", "x:missing", `"ann"`, false},
		{"StringEquals", "x:none", `"ann"`, false}, // no values: missing
		{"StringEquals", "x:number", `10`, true},
		{"StringEqualsIfExists", "x:missing", `"ann"`, true},
		{"StringEqualsIfExists", "aws:username", `"bob"`, false},
		{"StringNotEquals", "aws:username", `"bob"`, true},
		{"StringNotEquals", "aws:username", `["bob","ann"]`, false},
		{"StringNotEquals", "x:missing", `"ann"`, true},
		{"StringNotEqualsIfExists", "x:missing", `"ann"`, true},
		{"StringNotEqualsIfExists", "aws:username", `"ann"`, false},
		{"StringEqualsIgnoreCase", "aws:username", `"ANN"`, true},
		{"StringEqualsIgnoreCase", "aws:username", `"bob"`, false},
		{"StringNotEqualsIgnoreCase", "aws:username", `"ANN"`, false},
		{"StringNotEqualsIgnoreCase", "x:missing", `"ANN"`, true},
		{"StringLike", "aws:username", `"a*"`, true},
		{"StringLike", "aws:username", `"A*"`, false},
		{"StringLike", "aws:username", `"?nn"`, true},
		{"StringLike", "aws:username", `["b*","c*"]`, false},
		{"StringLike", "x:missing", `"*"`, false},
		{"StringNotLike", "aws:username", `"a*"`, false},
		{"StringNotLike", "aws:username", `"b*"`, true},
		{"StringNotLike", "x:missing", `"*"`, true},

		{"NumericEquals", "x:number", `"10"`, true},
		{"NumericEquals", "x:number", `10.0`, true},
		{"NumericEquals", "x:word", `"10"`, false},
		{"NumericEquals", "x:missing", `"10"`, false},
		{"NumericNotEquals", "x:number", `"11"`, true},
		{"NumericNotEquals", "x:number", `"10"`, false},
		{"NumericNotEquals", "x:missing", `"10"`, true},
		{"NumericLessThan", "x:number", `"9"`, false},
		{"NumericLessThan", "x:number", `"100"`, true}, // not as text
		{"NumericLessThan", "x:number", `"10"`, false},
		{"NumericLessThanEquals", "x:number", `"10"`, true},
		{"NumericGreaterThan", "x:number", `"9.5"`, true},
		{"NumericGreaterThan", "x:number", `"10"`, false},
		{"NumericGreaterThanEquals", "x:number", `"1e1"`, true},
		{"NumericGreaterThanEqualsIfExists", "x:missing", `"10"`, true},

		{"DateEquals", "aws:CurrentTime", `"2026-11-25T12:00:00Z"`, true},
		{"DateEquals", "aws:CurrentTime", `"2026-11-25T13:00:00+01:00"`, true},
		{"DateEquals", "aws:EpochTime", `"2026-11-25T12:00:00Z"`, true},
		{"DateEquals", "x:date", `"2026-11-25T00:00:00Z"`, true},
		{"DateEquals", "x:word", `"2026-11-25"`, false},
		{"DateNotEquals", "aws:CurrentTime", `"2026-11-25"`, true},
		{"DateNotEquals", "x:missing", `"2026-11-25"`, true},
		{"DateLessThan", "aws:CurrentTime", `"2026-11-25T12:00:00Z"`, false},
		{"DateLessThan", "aws:CurrentTime", `"2027"`, true},
		{"DateLessThan", "x:missing", `"2027"`, false},
		{"DateLessThanEquals", "aws:CurrentTime", `"2026-11-25T12:00Z"`, true},
		{"DateGreaterThan", "aws:CurrentTime", `"2026-11"`, true},
		{"DateGreaterThan", "aws:CurrentTime", `1795608000`, false},
		{"DateGreaterThanEquals", "aws:CurrentTime", `1795608000`, true},
		{"DateGreaterThan", "aws:TokenIssueTime", `"2020-01-01T00:00:01Z"`, false},

		{"Bool", "aws:SecureTransport", `"true"`, true},
		{"Bool", "aws:SecureTransport", `true`, true},
		{"Bool", "aws:SecureTransport", `"false"`, false},
		{"Bool", "x:yes", `"True"`, true},
		{"Bool", "aws:ViaAWSService", `"false"`, true},
		{"Bool", "aws:MultiFactorAuthPresent", `"false"`, false},
		{"BoolIfExists", "aws:MultiFactorAuthPresent", `"false"`, true},

		{"IpAddress", "aws:SourceIp", `"203.0.113.0/24"`, true},
		{"IpAddress", "aws:SourceIp", `"203.0.113.7"`, true},
		{"IpAddress", "aws:SourceIp", `"203.0.113.7/24"`, true},
		{"IpAddress", "aws:SourceIp", `"203.0.113.8"`, false},
		{"IpAddress", "aws:SourceIp", `["10.0.0.0/8","203.0.112.0/20"]`, true},
		{"IpAddress", "aws:SourceIp", `"2001:db8::/32"`, false},
		{"IpAddress", "aws:SourceIp", `"0.0.0.0/0"`, true},
		{"IpAddress", "x:six", `"2001:DB8::/32"`, true},
		{"IpAddress", "x:six", `"0.0.0.0/0"`, false},
		{"IpAddress", "x:word", `"0.0.0.0/0"`, false},
		{"IpAddress", "x:missing", `"0.0.0.0/0"`, false},
		{"NotIpAddress", "aws:SourceIp", `["10.0.0.0/8","203.0.113.0/24"]`, false},
		{"NotIpAddress", "aws:SourceIp", `"10.0.0.0/8"`, true},
		{"NotIpAddress", "x:missing", `"0.0.0.0/0"`, true},

		{"ArnEquals", "aws:PrincipalArn", `"arn:aws:iam::123456789012:user/ann"`, true},
		{"ArnEquals", "aws:PrincipalArn", `"arn:aws:iam::123456789012:user/*"`, true},
		{"ArnLike", "aws:PrincipalArn", `"arn:*:iam::*:user/a??"`, true},
		{"ArnLike", "aws:PrincipalArn", `"arn:aws:iam::123456789012:root"`, false},
		{"ArnLike", "x:arn", `"arn:aws:sns:*:*:topic:*"`, true},
		{"ArnLike", "x:arn", `"arn:aws:*:123456789012:topic:sub:x"`, false}, // part by part
		{"ArnLike", "x:arn", `"*"`, true},
		{"ArnLike", "x:word", `"arn:*:*:*:*:*"`, false},
		{"ArnLike", "x:missing", `"*"`, false},
		{"ArnNotEquals", "aws:PrincipalArn", `"arn:aws:iam::123456789012:user/bob"`, true},
		{"ArnNotLike", "aws:PrincipalArn", `"arn:aws:iam::*:user/*"`, false},
		{"ArnNotLike", "x:missing", `"*"`, true},

		{"Null", "x:missing", `"true"`, true},
		{"Null", "x:missing", `"false"`, false},
		{"Null", "aws:username", `false`, true},
		{"Null", "aws:username", `true`, false},
		{"Null", "x:none", `"true"`, true},

		{"ForAllValues:StringEquals", "aws:TagKeys", `["team","cost","env"]`, true},
		{"ForAllValues:StringEquals", "aws:TagKeys", `["team"]`, false},
		{"ForAllValues:StringEquals", "x:missing", `"team"`, true},
		{"ForAllValues:StringNotEquals", "aws:TagKeys", `"env"`, true},
		{"ForAllValues:StringNotEquals", "aws:TagKeys", `["env","cost"]`, false},
		{"ForAllValues:StringLike", "aws:TagKeys", `["t*","c*"]`, true},
		{"ForAnyValue:StringEquals", "aws:TagKeys", `["cost","env"]`, true},
		{"ForAnyValue:StringEquals", "aws:TagKeys", `"env"`, false},
		{"ForAnyValue:StringEquals", "x:missing", `"env"`, false},
		{"ForAnyValue:StringEqualsIfExists", "x:missing", `"env"`, true},
		{"ForAnyValue:StringNotEquals", "aws:TagKeys", `"cost"`, true},
		{"ForAnyValue:StringNotEquals", "aws:TagKeys", `["cost","team"]`, false},
		{"ForAnyValue:StringNotEquals", "x:missing", `"cost"`, false},
		{"StringEquals", "aws:TagKeys", `"cost"`, true},
		{"StringNotEquals", "aws:TagKeys", `"cost"`, false},

		{"StringEquals", "aws:userid", `"` + ann().UserID() + `"`, true},
		{"StringEquals", "aws:PrincipalAccount", `"123456789012"`, true},
		{"StringEquals", "aws:PrincipalType", `"User"`, true},
		{"StringEquals", "aws:ResourceAccount", `"123456789012"`, true},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s %s %s", tt.operator, tt.key, tt.values), func(t *testing.T) {
			cond := fmt.Sprintf(`"Condition":{%q:{%q:%s}}`, tt.operator, tt.key, tt.values)
			r := iam.Request{Action: pull, Resource: arn + "a", Context: keys()}
			allow := ann(parse(t, in(`{"Sid":"S","Effect":"Allow","Action":"*","Resource":"*",`+cond+`}`)))
			reason := "statement S allows it"
			if !tt.want {
				reason = fmt.Sprintf("no statement allows it; statement S would, but its condition %s %s does not hold", tt.operator, tt.key)
			}
			if d := allow.Decide(r); d.Allowed != tt.want || d.Explicit || d.Reason() != reason {
				t.Errorf("Allow: %v because %q, want %v because %q", d.Allowed, d.Reason(), tt.want, reason)
			}
			deny := ann(parse(t, in(all, `{"Sid":"S","Effect":"Deny","Action":"*","Resource":"*",`+cond+`}`)))
			if d := deny.Decide(r); d.Allowed == tt.want || d.Explicit != tt.want {
				t.Errorf("Deny: allowed %v because %q, want %v", d.Allowed, d.Reason(), !tt.want)
			}
		})
	}
}

// TestOwnKeysStand: what a request says of itself does not replace what is known.
func TestOwnKeysStand(t *testing.T) {
	c := ann(parse(t, in(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}`)))
	r := iam.Request{Action: pull, Resource: arn + "a", Context: map[string][]string{"aws:SourceIp": {"10.0.0.1"}}}
	if d := c.Decide(r); d.Allowed {
		t.Error("the request's own aws:SourceIp counts")
	}
	c.Context.SourceIP = netip.Addr{} // not known is not whatever the request says
	if d := c.Decide(r); d.Allowed {
		t.Error("the request's own aws:SourceIp counts where the address is not known")
	}
}

// TestCallers: who is who, also in conditions.
func TestCallers(t *testing.T) {
	const root = "arn:aws:iam::123456789012:root"
	tests := []struct {
		name         string
		c            iam.Caller
		arn, id      string // id: a pattern
		key, has     string // a condition key and its value; "": it is missing
		everythingIs bool   // allowed
	}{
		{name: "user", c: ann(), arn: "arn:aws:iam::123456789012:user/ann", id: "AIDA[A-Z2-7]{17}", key: "aws:PrincipalType", has: "User"},
		{name: "root", c: iam.Caller{Name: "root", Root: true, Account: "123456789012"}, arn: root, id: "123456789012", everythingIs: true},
		{name: "anonymous", c: iam.Caller{Name: "anonymous", Anonymous: true, Account: "123456789012"}, key: "aws:PrincipalType", has: "Anonymous"},
		{name: "anonymous has no name", c: iam.Caller{Name: "anonymous", Anonymous: true}, key: "aws:username"},
		{name: "anonymous has no account", c: iam.Caller{Name: "anonymous", Anonymous: true, Account: "1"}, key: "aws:PrincipalAccount"},
		{name: "nobody", c: iam.Caller{}, key: "aws:PrincipalType", has: "Anonymous"},
		{name: "nobody's name", c: iam.Caller{}, key: "aws:username"},
		{name: "account not known", c: iam.Caller{Name: "ann"}, key: "aws:PrincipalArn"},
		{name: "address not known", c: iam.Caller{Name: "ann"}, key: "aws:SourceIp"},
		{name: "time not known", c: iam.Caller{Name: "ann"}, key: "aws:CurrentTime"},
		{name: "seconds not known", c: iam.Caller{Name: "ann"}, key: "aws:EpochTime"},
		{name: "not encrypted", c: iam.Caller{Name: "ann"}, key: "aws:SecureTransport", has: "false"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.c.ARN(); got != tt.arn {
				t.Errorf("ARN %q, want %q", got, tt.arn)
			}
			if got := tt.c.UserID(); !regexp.MustCompile("^" + tt.id + "$").MatchString(got) {
				t.Errorf("ID %q, want %q", got, tt.id)
			}
			cond := `{"StringEquals":{"` + tt.key + `":"` + tt.has + `"}}`
			if tt.has == "" {
				cond = `{"Null":{"` + tt.key + `":true}}`
			}
			if !tt.everythingIs {
				tt.c.Policies = []iam.Policy{parse(t, in(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":`+cond+`}`))}
			}
			if d := tt.c.Decide(iam.Request{Action: pull, Resource: "*"}); !d.Allowed || tt.everythingIs && d.Reason() != "root may do everything" {
				t.Errorf("allowed %v because %q", d.Allowed, d.Reason())
			}
		})
	}
	again, bob := ann(), ann()
	bob.Name = "bob"
	if ann().UserID() != again.UserID() || again.UserID() == bob.UserID() {
		t.Error("IDs do not follow from names")
	}
}

// TestRefusal: the client gets AWS's words, the log which statement it was.
func TestRefusal(t *testing.T) {
	named := parse(t, in(all, `{"Sid":"NoSecrets","Effect":"Deny","Action":"*","Resource":"`+arn+`secret/*"}`))
	named.Name = "inline:team"
	for _, tt := range []struct {
		name     string
		policies []iam.Policy
		msg, log string
	}{
		{"implicit", nil,
			"User: arn:aws:iam::123456789012:user/ann is not authorized to perform: ecr:BatchGetImage on resource: " + arn + "secret/x because no identity-based policy allows the ecr:BatchGetImage action",
			"no statement allows it"},
		{"explicit", []iam.Policy{parse(t, in(all)), named},
			"User: arn:aws:iam::123456789012:user/ann is not authorized to perform: ecr:BatchGetImage on resource: " + arn + "secret/x with an explicit deny in an identity-based policy",
			"statement NoSecrets of policy inline:team denies it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := errs.As(ann(tt.policies...).Allowed(pull, arn+"secret/x"))
			if e == nil || e.Code != errs.Denied || e.Msg != tt.msg || e.Err.Error() != tt.log {
				t.Errorf("refused as %v", e)
			}
		})
	}
}
