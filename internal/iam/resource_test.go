package iam_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
)

const repo = arn + "team/app"

func onRepository(t testing.TB, statements ...string) *iam.Policy {
	t.Helper()
	p, err := iam.ParseRepositoryPolicy([]byte(in(statements...)))
	if err != nil {
		t.Fatal(err)
	}
	p.Name = "team/app"
	return &p
}

func onRegistry(t testing.TB, statements ...string) *iam.Policy {
	t.Helper()
	p, err := iam.ParseRegistryPolicy([]byte(in(statements...)))
	if err != nil {
		t.Fatal(err)
	}
	return &p
}

// whose is one statement of a resource policy with the Sid P.
func whose(effect, principal, more string) string {
	return `{"Sid":"P","Effect":"` + effect + `","Principal":` + principal + `,"Action":"ecr:BatchGetImage"` + more + `}`
}

// callers of the table below.
func callers() map[string]iam.Caller {
	bob := ann()
	bob.Name = "bob"
	elsewhere := ann()
	elsewhere.Account = "999999999999"
	root := ann()
	root.Name, root.Root = "root", true
	anonymous := ann()
	anonymous.Name, anonymous.Anonymous = "anonymous", true
	nameless := ann() // a user of a weir without an account
	nameless.Account = ""
	return map[string]iam.Caller{
		"ann": ann(), "bob": bob, "elsewhere": elsewhere, "root": root, "anonymous": anonymous, "nobody": {}, "no account": nameless,
	}
}

// TestPrincipals: each form of a principal and each caller, with Allow and with Deny.
func TestPrincipals(t *testing.T) {
	everybody := []string{"ann", "bob", "elsewhere", "no account"}
	with := func(more ...string) []string { return append(more, everybody...) }
	for principal, tt := range map[string]struct{ allows, denies []string }{
		`"*"`:                                    {everybody, with("root", "anonymous", "nobody")},
		`{"AWS":"*"}`:                            {everybody, with("root", "anonymous", "nobody")},
		`{"AWS":["*"],"Service":"x.amazon.com"}`: {everybody, with("root", "anonymous", "nobody")},
		`{"AWS":"123456789012"}`:                 {nil, []string{"ann", "bob", "root"}},
		`{"AWS":"arn:aws:iam::123456789012:root"}`:                                             {nil, []string{"ann", "bob", "root"}},
		`{"AWS":"999999999999"}`:                                                               {nil, []string{"elsewhere"}},
		`{"AWS":["999999999999","arn:aws:iam::123456789012:root"]}`:                            {nil, []string{"ann", "bob", "elsewhere", "root"}},
		`{"AWS":"arn:aws:iam::123456789012:user/ann"}`:                                         {[]string{"ann"}, []string{"ann"}},
		`{"AWS":["arn:aws:iam::123456789012:user/ann","123456789012"]}`:                        {[]string{"ann"}, []string{"ann", "bob", "root"}},
		`{"AWS":["arn:aws:iam::123456789012:user/ann","arn:aws:iam::123456789012:user/bob"]}`:  {[]string{"ann", "bob"}, []string{"ann", "bob"}},
		`{"AWS":"arn:aws:iam::999999999999:user/ann"}`:                                         {[]string{"elsewhere"}, []string{"elsewhere"}},
		`{"AWS":"arn:aws:iam::123456789012:user/root"}`:                                        {nil, nil},
		`{"AWS":"arn:aws:iam::123456789012:user/Ann"}`:                                         {nil, nil},
		`{"AWS":"arn:aws:iam::123456789012:user/team/ann"}`:                                    {nil, nil},
		`{"AWS":"arn:aws-cn:iam::123456789012:user/ann"}`:                                      {nil, nil},
		`{"AWS":"arn:aws-cn:iam::123456789012:root"}`:                                          {nil, nil},
		`{"AWS":"arn:aws:iam::123456789012:role/ann"}`:                                         {nil, nil},
		`{"AWS":"arn:aws:sts::123456789012:assumed-role/ann/ann"}`:                             {nil, nil},
		`{"AWS":"arn:aws:sts::123456789012:federated-user/ann"}`:                               {nil, nil},
		`{"Service":"replication.ecr.amazonaws.com"}`:                                          {nil, nil},
		`{"Service":["a.amazonaws.com","b.amazonaws.com"]}`:                                    {nil, nil},
		`{"Federated":"cognito-identity.amazonaws.com"}`:                                       {nil, nil},
		`{"CanonicalUser":"79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"}`: {nil, nil},
	} {
		for who, c := range callers() {
			for effect, want := range map[string][]string{"Allow": tt.allows, "Deny": tt.denies} {
				t.Run(effect+" "+principal+" "+who, func(t *testing.T) {
					c.Policies = nil
					if effect == "Deny" && !c.Root {
						c.Policies = []iam.Policy{allow("*", "*")}
					}
					d := c.Decide(iam.Request{Action: pull, Resource: repo, Repository: onRepository(t, whose(effect, principal, ""))})
					about := false
					for _, w := range want {
						about = about || w == who
					}
					wantAllowed, wantReason := about || c.Root, "no statement allows it"
					if effect == "Deny" {
						wantAllowed = !about
					}
					switch {
					case about && effect == "Deny":
						wantReason = "statement P of the policy of repository team/app denies it"
					case c.Root:
						wantReason = "root may do everything"
					case effect == "Deny":
						wantReason = "statement 1 allows it"
					case about:
						wantReason = "statement P of the policy of repository team/app allows it"
					}
					if document := in(whose(effect, principal, "")); about && effect == "Allow" && !c.Root && !iam.MayGrant([]byte(document), c) {
						t.Errorf("%s is said to grant nothing", document)
					}
					if d.Allowed != wantAllowed || !strings.HasPrefix(d.Reason(), wantReason) || d.Explicit != (about && effect == "Deny") {
						t.Errorf("allowed %v because %q, want %v because %q", d.Allowed, d.Reason(), wantAllowed, wantReason)
					}
				})
			}
		}
	}
}

// TestMayGrant: what the words of a document rule out without parsing it.
func TestMayGrant(t *testing.T) {
	for _, tt := range []struct {
		principal, more, who string
		want                 bool
	}{
		{`{"AWS":"arn:aws:iam::123456789012:user/ann"}`, "", "ann", true},
		{`{"AWS":"arn:aws:iam::123456789012:user/\u0061nn"}`, "", "ann", true},
		{`"\u002a"`, "", "ann", true},
		{`{"AWS":"arn:aws:iam::123456789012:user/ann"}`, "", "bob", false},
		{`{"AWS":"arn:aws:iam::123456789012:user/anna"}`, "", "ann", false},
		{`{"AWS":"arn:aws:iam::123456789012:root"}`, "", "ann", false},
		{`{"AWS":"arn:aws:iam::123456789012:user/bob"}`, `,"Resource":"*"`, "ann", true}, // it is not looked what the * is
		{`{"AWS":"arn:aws:iam::123456789012:user/bob"}`, `,"Resource":"` + arn + `*"`, "ann", false},
		{`{"AWS":"arn:aws:iam::123456789012:user/nobody"}`, "", "nobody", false},
	} {
		document := in(whose("Allow", tt.principal, tt.more))
		if got := iam.MayGrant([]byte(document), callers()[tt.who]); got != tt.want {
			t.Errorf("%s, %s: %v, want %v", tt.who, document, got, tt.want)
		}
	}
}

// TestTogether: what policies of a user, a repository and the registry decide together.
// Each of them is nothing (-), an Allow (A), a Deny (D), one that names the account (a, d),
// one whose condition does not hold (c), or one about another action (o).
func TestTogether(t *testing.T) {
	statement := func(kind byte, principal string) string {
		who, more := "", ""
		if principal != "" {
			who = `"Principal":{"AWS":"arn:aws:iam::123456789012:user/ann"},`
		}
		action, effect := pull, "Allow"
		switch kind {
		case 'D', 'd':
			effect = "Deny"
		case 'c':
			more = `,"Condition":{"StringEquals":{"aws:username":"bob"}}`
		case 'o':
			action = "ecr:PutImage"
		}
		if (kind == 'a' || kind == 'd') && principal != "" {
			who = `"Principal":{"AWS":"123456789012"},`
		}
		return fmt.Sprintf(`{"Sid":"P",%s"Effect":%q,"Action":%q,"Resource":"*"%s}`, who, effect, action, more)
	}
	names := [3]string{"statement P of policy mine", "statement P of the policy of repository team/app", "statement P of the registry's policy"}
	checked := 0
	for _, identity := range "-ADco" {
		for _, repository := range "-ADadco" {
			for _, registry := range "-ADadco" {
				kinds := [3]byte{byte(identity), byte(repository), byte(registry)}
				t.Run(string(kinds[:]), func(t *testing.T) {
					checked++
					c := ann()
					r := iam.Request{Action: pull, Resource: repo}
					if identity != '-' {
						p := parse(t, in(statement(kinds[0], "")))
						p.Name = "mine"
						c.Policies = []iam.Policy{p}
					}
					if repository != '-' {
						r.Repository = onRepository(t, statement(kinds[1], "ann"))
					}
					if registry != '-' {
						r.Registry = onRegistry(t, statement(kinds[2], "ann"))
					}
					by, text := "", "because no identity-based policy allows the "+pull+" action"
					allowed := false
					for i := 2; i >= 0; i-- {
						if kinds[i] == 'A' {
							by, allowed = names[i]+" allows it", true
						}
					}
					for i := 2; i >= 0; i-- {
						if kinds[i] == 'D' || kinds[i] == 'd' {
							by, allowed = names[i]+" denies it", false
							text = "with an explicit deny in a resource-based policy"
							if i == 0 {
								text = "with an explicit deny in an identity-based policy"
							}
						}
					}
					d := c.Decide(r)
					if d.Allowed != allowed || by != "" && d.Reason() != by || by == "" && !strings.HasPrefix(d.Reason(), "no statement allows it") {
						t.Errorf("allowed %v because %q, want %v because %q", d.Allowed, d.Reason(), allowed, by)
					}
					if by == "" {
						for i, kind := range kinds {
							if kind == 'c' && !strings.Contains(d.Reason(), "its condition StringEquals aws:username") && !strings.Contains(d.Reason(), "leaves it") {
								t.Errorf("%q does not tell of the condition of %s", d.Reason(), names[i])
							}
							if kind == 'a' && !strings.Contains(d.Reason(), "leaves it to the policies of the account's users") {
								t.Errorf("%q does not tell that %s leaves it", d.Reason(), names[i])
							}
						}
					}
					err := c.May(r)
					if allowed != (err == nil) {
						t.Errorf("May: %v", err)
					}
					want := "User: arn:aws:iam::123456789012:user/ann is not authorized to perform: " + pull + " on resource: " + repo + " " + text
					if err != nil && (errs.CodeOf(err) != errs.Denied || errs.As(err).Msg != want) {
						t.Errorf("refused as %q, want %q", errs.As(err).Msg, want)
					}
				})
			}
		}
	}
	if checked < 150 {
		t.Errorf("only %d cases", checked)
	}
}

// TestRoot: root is bound by what denies on resources, but can always look at these
// policies and change them.
func TestRoot(t *testing.T) {
	root := callers()["root"]
	never := `{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}`
	for _, r := range []iam.Request{
		{Repository: onRepository(t, never)},
		{Registry: onRegistry(t, never)},
		{Repository: &[]iam.Policy{iam.Unreadable(iam.OfRepository)}[0]},
		{Registry: &[]iam.Policy{iam.Unreadable(iam.OfRegistry)}[0]},
	} {
		r.Resource = repo
		for action, want := range map[string]bool{
			pull: false, "ecr:DeleteRepository": false, "ecr:TagResource": false,
			iam.SetRepositoryPolicy: true, iam.GetRepositoryPolicy: true, iam.DeleteRepositoryPolicy: true,
			iam.PutRegistryPolicy: true, iam.GetRegistryPolicy: true, iam.DeleteRegistryPolicy: true,
		} {
			r.Action = action
			if d := root.Decide(r); d.Allowed != want {
				t.Errorf("%s: allowed %v because %s, want %v", action, d.Allowed, d.Reason(), want)
			}
			if d := ann(allow("*", "*")).Decide(r); d.Allowed {
				t.Errorf("%s: allowed to a user because %s", action, d.Reason())
			}
		}
	}
}

// TestTagConditions: what a request's resource is tagged with, and what it gives.
func TestTagConditions(t *testing.T) {
	r := iam.Request{
		Action: pull, Resource: repo, Tags: []iam.Tag{{Key: "Team", Value: "red"}, {Key: "cost", Value: ""}},
		Context: map[string][]string{"aws:RequestTag/Team": {"blue"}, "aws:TagKeys": {"Team", "x"}},
	}
	for condition, want := range map[string]bool{
		`{"StringEquals":{"ecr:ResourceTag/Team":"red"}}`:                            true,
		`{"StringEquals":{"aws:ResourceTag/Team":"red"}}`:                            true,
		`{"StringEquals":{"aws:resourcetag/team":"red"}}`:                            true,
		`{"StringEquals":{"aws:ResourceTag/Team":"blue"}}`:                           false,
		`{"StringEquals":{"aws:ResourceTag/Tea":"red"}}`:                             false,
		`{"StringNotEquals":{"aws:ResourceTag/other":"red"}}`:                        true,
		`{"Null":{"aws:ResourceTag/other":"true"}}`:                                  true,
		`{"Null":{"aws:ResourceTag/cost":"true"}}`:                                   false,
		`{"StringEquals":{"aws:RequestTag/team":"blue"}}`:                            true,
		`{"StringEquals":{"aws:RequestTag/team":"red"}}`:                             false,
		`{"ForAllValues:StringEquals":{"aws:TagKeys":["Team","x","y"]}}`:             true,
		`{"ForAllValues:StringEquals":{"aws:TagKeys":["Team"]}}`:                     false,
		`{"ForAnyValue:StringEquals":{"aws:TagKeys":"x"}}`:                           true,
		`{"StringEquals":{"aws:PrincipalArn":"arn:aws:iam::123456789012:user/ann"}}`: true,
	} {
		t.Run(condition, func(t *testing.T) {
			r.Repository = onRepository(t, whose("Allow", `"*"`, `,"Condition":`+condition))
			if d := ann().Decide(r); d.Allowed != want {
				t.Errorf("allowed %v because %s, want %v", d.Allowed, d.Reason(), want)
			}
		})
	}
}

func TestResourcePolicyForms(t *testing.T) {
	for name, tt := range map[string]struct {
		statement string
		registry  bool
		want      string // "": it is taken
	}{
		"no Resource in a repository's":  {whose("Allow", `"*"`, ""), false, ""},
		"Resource in a repository's":     {whose("Allow", `"*"`, `,"Resource":"`+arn+`*"`), false, ""},
		"NotResource in a repository's":  {whose("Allow", `"*"`, `,"NotResource":"`+arn+`x"`), false, ""},
		"Sid of several words":           {`{"Sid":"new policy","Effect":"Allow","Principal":"*","Action":"ecr:*"}`, false, ""},
		"Sid of another script":          {`{"Sid":"né","Effect":"Allow","Principal":"*","Action":"ecr:*"}`, false, "Statement[0].Sid: it is a string of at most 256"},
		"Resource in the registry's":     {whose("Allow", `"*"`, `,"Resource":"*"`), true, ""},
		"no Resource in the registry's":  {whose("Allow", `"*"`, ""), true, "Statement[0]: it has neither Resource nor NotResource"},
		"no Principal":                   {`{"Effect":"Allow","Action":"ecr:*"}`, false, "Statement[0]: it has no Principal"},
		"no Principal in the registry's": {all, true, "Statement[0]: it has no Principal"},
		"NotPrincipal":                   {`{"Effect":"Deny","NotPrincipal":{"AWS":"123456789012"},"Action":"ecr:*"}`, false, "Statement[0].NotPrincipal: weir does not evaluate it: write Principal"},
		"both":                           {`{"Effect":"Deny","Principal":"*","NotPrincipal":"*","Action":"ecr:*"}`, false, "Statement[0].NotPrincipal"},
		"another element":                {whose("Allow", `"*"`, `,"principal":"*"`), false, "Statement[0].principal: write it Principal"},
		"a word":                         {whose("Allow", `"123456789012"`, ""), false, `Statement[0].Principal: "123456789012": it is "*", or an object`},
		"a list":                         {whose("Allow", `["*"]`, ""), false, "Statement[0].Principal: it is"},
		"nobody":                         {whose("Allow", `{}`, ""), false, "Statement[0].Principal: it is"},
		"an empty list":                  {whose("Allow", `{"AWS":[]}`, ""), false, "Statement[0].Principal.AWS: the list is empty"},
		"null":                           {whose("Allow", `{"AWS":null}`, ""), false, "Statement[0].Principal.AWS: it is null"},
		"a number":                       {whose("Allow", `{"AWS":123456789012}`, ""), false, "Statement[0].Principal.AWS: it is a number, not a string"},
		"another kind":                   {whose("Allow", `{"Aws":"*"}`, ""), false, "Statement[0].Principal.Aws: there is no such kind"},
		"wildcard in an ARN":             {whose("Allow", `{"AWS":"arn:aws:iam::123456789012:user/*"}`, ""), false, "a principal has no wildcards"},
		"a group":                        {whose("Allow", `{"AWS":"arn:aws:iam::123456789012:group/x"}`, ""), false, `"arn:aws:iam::123456789012:group/x": a principal is`},
		"a unique ID":                    {whose("Allow", `{"AWS":"AIDAEXAMPLE"}`, ""), false, "a principal is"},
		"a short account":                {whose("Allow", `{"AWS":"12345678901"}`, ""), false, "a principal is"},
		"a user without a name":          {whose("Allow", `{"AWS":"arn:aws:iam::123456789012:user/"}`, ""), false, "a principal is"},
		"a variable":                     {whose("Allow", `{"AWS":"arn:aws:iam::123456789012:user/${aws:username}"}`, ""), false, "policy variables"},
		"the second of a list":           {whose("Allow", `{"AWS":["*","x"]}`, ""), false, `Statement[0].Principal.AWS[1]: "x"`},
		"a service that is a word":       {whose("Allow", `{"Service":"ecr"}`, ""), false, "Statement[0].Principal.Service"},
		"a service of wildcards":         {whose("Allow", `{"Service":"*"}`, ""), false, "Statement[0].Principal.Service"},
		"a canonical user of wildcards":  {whose("Allow", `{"CanonicalUser":"*"}`, ""), false, "without spaces or wildcards"},
		"too long":                       {whose("Allow", `"*"`, strings.Repeat(" ", iam.MaxResourcePolicySize)), false, "characters, and may have 10240"},
		"unknown operator":               {whose("Deny", `"*"`, `,"Condition":{"StringEqual":{"a:b":"c"}}`), false, "Statement[0].Condition.StringEqual: weir has no such condition operator"},
	} {
		t.Run(name, func(t *testing.T) {
			parse := iam.ParseRepositoryPolicy
			if tt.registry {
				parse = iam.ParseRegistryPolicy
			}
			_, err := parse([]byte(in(tt.statement)))
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if errs.CodeOf(err) != errs.ParamInvalid || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if strings.HasPrefix(iam.Fault(err), "malformed") {
				t.Errorf("the fault is %q", iam.Fault(err))
			}
		})
	}
}

// TestResourceAllocations: policies on resources cost no garbage either.
func TestResourceAllocations(t *testing.T) {
	r := iam.Request{
		Action: pull, Resource: repo, Tags: []iam.Tag{{Key: "a", Value: "b"}},
		Repository: onRepository(t, whose("Deny", `{"AWS":"arn:aws:iam::123456789012:user/bob"}`, ""), `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:user/ann"},"Action":"ecr:*"}`),
		Registry:   onRegistry(t, whose("Deny", `{"AWS":"999999999999"}`, `,"Resource":"*"`)),
	}
	for _, who := range []string{"ann", "root"} {
		c := callers()[who]
		if n := testing.AllocsPerRun(100, func() {
			if err := c.May(r); err != nil {
				t.Error(err)
			}
		}); n > 0 {
			t.Errorf("%s: %v allocations", who, n)
		}
	}
}

// FuzzResourcePolicy: the parsers of resource policies never panic, refuse in one short
// line, let nobody in who is not named, and nobody but root past a deny of everything.
func FuzzResourcePolicy(f *testing.F) {
	for _, principal := range []string{`"*"`, `{"AWS":"*"}`, `{"AWS":["123456789012","arn:aws:iam::123456789012:user/ann"],"Service":"a.b"}`, `{"Federated":"x","CanonicalUser":["y"]}`, `{"AWS":"arn:aws:iam::1:root"}`} {
		f.Add(in(whose("Allow", principal, `,"Resource":"*"`)), pull)
		f.Add(in(whose("Deny", principal, `,"Condition":{"Bool":{"aws:SecureTransport":"true"}}`)), "ecr:PutImage")
	}
	f.Add(in(`{"Effect":"Deny","NotPrincipal":"*","NotAction":"ecr:*","NotResource":"*"}`), "")
	f.Fuzz(func(t *testing.T, doc, action string) {
		never := iam.Unreadable(iam.OfRegistry)
		for _, parse := range []func([]byte) (iam.Policy, error){iam.ParseRepositoryPolicy, iam.ParseRegistryPolicy} {
			p, err := parse([]byte(doc))
			if err != nil {
				if errs.CodeOf(err) != errs.ParamInvalid || len(err.Error()) > 2000 || strings.ContainsAny(err.Error(), "\n\r\x00") {
					t.Fatalf("refused as %q", err)
				}
				continue
			}
			for name, c := range callers() {
				r := iam.Request{Action: action, Resource: repo, Repository: &p}
				d := c.Decide(r)
				if d.Allowed && (c.Anonymous || c.Name == "") {
					t.Fatalf("%s: %s", name, d.Reason())
				}
				if d.Allowed && !c.Root && !strings.Contains(doc, "*") && !strings.Contains(doc, `\u`) && !strings.Contains(doc, "user/") {
					t.Fatalf("%s is not named: %s", name, d.Reason())
				}
				if d.Allowed && !c.Root && !iam.MayGrant([]byte(doc), c) {
					t.Fatalf("%s is said to be granted nothing: %s", name, d.Reason())
				}
				r.Registry = &never
				if d := c.Decide(r); d.Allowed && !c.Root {
					t.Fatalf("%s gets past a deny of everything: %s", name, d.Reason())
				}
			}
		}
	})
}
