package iam_test

import (
	"strings"
	"testing"
)

func TestWarnings(t *testing.T) {
	for condition, want := range map[string]string{
		`{"StringNotEquals":{"aws:sourceVpce":"vpce-1"}}`:                                                       "StringNotEquals aws:sourceVpce",
		`{"StringEqualsIfExists":{"aws:PrincipalOrgID":"o-1"}}`:                                                 "StringEqualsIfExists aws:PrincipalOrgID",
		`{"Null":{"aws:MultiFactorAuthAge":true}}`:                                                              "Null aws:MultiFactorAuthAge",
		`{"ForAllValues:StringEquals":{"aws:CalledVia":"x"}}`:                                                   "ForAllValues:StringEquals aws:CalledVia",
		`{"StringEquals":{"aws:sourceVpce":"vpce-1"}}`:                                                          "",
		`{"BoolIfExists":{"aws:ViaAWSService":"false"}}`:                                                        "",
		`{"NotIpAddress":{"AWS:sourceip":"10.0.0.0/8"}}`:                                                        "",
		`{"StringNotEquals":{"aws:ResourceTag/team":"a"}}`:                                                      "",
		`{"StringNotEquals":{"ecr:ResourceTag/team":"a"}}`:                                                      "",
		`{"StringNotEquals":{"aws:RequestTag/team":"a"}}`:                                                       "",
		`{"ForAllValues:StringNotEquals":{"aws:TagKeys":"a"}}`:                                                  "",
		`{"DateGreaterThan":{"aws:CurrentTime":"2026-01-01"},"ArnNotLike":{"aws:SourceArn":"arn:aws:a:b:c:d"}}`: "ArnNotLike aws:SourceArn",
	} {
		t.Run(condition, func(t *testing.T) {
			p := parse(t, in(all, `{"Effect":"Deny","Action":"*","Resource":"*","Condition":`+condition+`}`, `{"Effect":"Allow","Action":"*","Resource":"*","Condition":`+condition+`}`))
			got := p.Warnings()
			if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || !strings.Contains(got[0], "statement 2 denies whatever the condition "+want+" says")) {
				t.Errorf("warned of %q, want %q", got, want)
			}
		})
	}
}
