// Package sts has one operation of AWS's Security Token Service: GetCallerIdentity,
// which tools ask to learn whose keys they have and which account they are in. Weir
// issues no session tokens, so there are no others.
//
// Everybody whose signature verifies may call it, whatever policies say, as with AWS.
package sts

import (
	"context"
	"net/url"

	"github.com/weir-registry/weir/internal/awsapi"
)

// identity is an answer's result.
type identity struct {
	ARN     string `xml:"Arn"`
	UserID  string `xml:"UserId"`
	Account string
}

// Service returns the operations. The registry's ID is the account.
func Service() awsapi.Service {
	ops := map[string]awsapi.Operation{
		"GetCallerIdentity": awsapi.Form(func(_ context.Context, c *awsapi.Call, _ url.Values) (identity, error) {
			return identity{c.Caller.ARN(), c.Caller.UserID(), c.Caller.Account}, nil
		}),
	}
	for _, name := range []string{
		"AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "AssumeRoot", "DecodeAuthorizationMessage",
		"GetAccessKeyInfo", "GetDelegatedAccessToken", "GetFederationToken", "GetSessionToken", "GetWebIdentityToken",
	} {
		ops[name] = awsapi.Refuse("InvalidAction", "weir does not do sts:%s: it has no roles and no session tokens. Make an access key that expires, with a policy for what it is for.", name)
	}
	return awsapi.Service{
		Name:       "sts",
		Version:    "2011-06-15",
		Namespace:  "https://sts.amazonaws.com/doc/2011-06-15/",
		Signing:    []string{"sts"},
		Operations: ops,
	}
}
