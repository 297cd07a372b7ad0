package ecr_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/weir-registry/weir/internal/awsapi/ecr"
)

// anyone is a policy for both kinds, in a spelling that nobody would make again.
const anyone = "{ \"Version\":\t\"2012-10-17\", \"Statement\": [\n {\"Sid\":\"new policy\",\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":[\"ecr:BatchGetImage\"],\"Resource\":\"*\"}\n]}\n"

// TestRepositoryPolicies: what is put comes back byte for byte, in ECR's shapes.
func TestRepositoryPolicies(t *testing.T) {
	ctx := t.Context()
	client := start(t, ecr.Options{}, nil).client()
	name, text := aws.String("team/app"), aws.String(anyone)
	ok(client.CreateRepository(ctx, &sdk.CreateRepositoryInput{RepositoryName: name}))(t)
	const none = "Repository policy does not exist for the repository with name 'team/app' in the registry with id '123456789012'"
	_, err := client.GetRepositoryPolicy(ctx, &sdk.GetRepositoryPolicyInput{RepositoryName: name})
	wantFailure(t, "get none", err, "RepositoryPolicyNotFoundException", none)
	_, err = client.DeleteRepositoryPolicy(ctx, &sdk.DeleteRepositoryPolicyInput{RepositoryName: name})
	wantFailure(t, "delete none", err, "RepositoryPolicyNotFoundException", none)

	set := ok(client.SetRepositoryPolicy(ctx, &sdk.SetRepositoryPolicyInput{RepositoryName: name, PolicyText: text, RegistryId: aws.String(registryID)}))(t)
	got := ok(client.GetRepositoryPolicy(ctx, &sdk.GetRepositoryPolicyInput{RepositoryName: name}))(t)
	for what, is := range map[string][3]*string{
		"set": {set.PolicyText, set.RepositoryName, set.RegistryId}, "got": {got.PolicyText, got.RepositoryName, got.RegistryId},
	} {
		same(t, what, []string{anyone, "team/app", registryID}, []string{*is[0], *is[1], *is[2]})
	}
	for policy, want := range map[string]string{
		``:   "it is not JSON: line 1: unexpected end of JSON input",
		`{}`: "it has no Statement",
		`{"Statement":{"Effect":"Allow","Action":"ecr:*"}}`:                                                                   `Statement: it has no Principal: it is "*", or an object such as {"AWS": "arn:aws:iam::123456789012:user/name"}`,
		`{"Statement":[{"Effect":"Allow","Principal":{"AWS":"ann"},"Action":"ecr:*"}]}`:                                       `Statement[0].Principal.AWS: "ann": a principal is "*", an account such as "123456789012", or the ARN of a user, a role or an account's root`,
		`{"Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:*","Condition":{"StringEqual":{"aws:username":"x"}}}]}`: "",
	} {
		_, err = client.SetRepositoryPolicy(ctx, &sdk.SetRepositoryPolicyInput{RepositoryName: name, PolicyText: &policy, Force: true})
		if want != "" {
			wantFailure(t, policy, err, "InvalidParameterException", "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid repository policy provided': "+want)
		} else if err == nil || !strings.Contains(err.Error(), "'Invalid repository policy provided': Statement[0].Condition.StringEqual: weir has no such condition operator") {
			t.Errorf("%s: %v", policy, err)
		}
	}
	long := anyone + strings.Repeat(" ", 10240)
	if _, err = client.SetRepositoryPolicy(ctx, &sdk.SetRepositoryPolicyInput{RepositoryName: name, PolicyText: &long}); err == nil || !strings.Contains(err.Error(), "10240") {
		t.Errorf("a long policy: %v", err)
	}
	deleted := ok(client.DeleteRepositoryPolicy(ctx, &sdk.DeleteRepositoryPolicyInput{RepositoryName: name}))(t)
	same(t, "deleted", []string{anyone, "team/app", registryID}, []string{*deleted.PolicyText, *deleted.RepositoryName, *deleted.RegistryId})
	_, err = client.GetRepositoryPolicy(ctx, &sdk.GetRepositoryPolicyInput{RepositoryName: name})
	wantFailure(t, "after the deletion", err, "RepositoryPolicyNotFoundException", none)

	// It goes with its repository.
	ok(client.SetRepositoryPolicy(ctx, &sdk.SetRepositoryPolicyInput{RepositoryName: name, PolicyText: text}))(t)
	ok(client.DeleteRepository(ctx, &sdk.DeleteRepositoryInput{RepositoryName: name}))(t)
	_, err = client.SetRepositoryPolicy(ctx, &sdk.SetRepositoryPolicyInput{RepositoryName: name, PolicyText: text})
	wantFailure(t, "without a repository", err, "RepositoryNotFoundException", "The repository with name 'team/app' does not exist in the registry with id '123456789012'")
	ok(client.CreateRepository(ctx, &sdk.CreateRepositoryInput{RepositoryName: name}))(t)
	_, err = client.GetRepositoryPolicy(ctx, &sdk.GetRepositoryPolicyInput{RepositoryName: name})
	wantFailure(t, "of a new repository", err, "RepositoryPolicyNotFoundException", none)
}

func TestRegistryPolicy(t *testing.T) {
	ctx := t.Context()
	client := start(t, ecr.Options{}, nil).client()
	const none = "Registry policy does not exist in the registry with id '123456789012'"
	_, err := client.GetRegistryPolicy(ctx, &sdk.GetRegistryPolicyInput{})
	wantFailure(t, "get none", err, "RegistryPolicyNotFoundException", none)
	_, err = client.DeleteRegistryPolicy(ctx, &sdk.DeleteRegistryPolicyInput{})
	wantFailure(t, "delete none", err, "RegistryPolicyNotFoundException", none)
	put := ok(client.PutRegistryPolicy(ctx, &sdk.PutRegistryPolicyInput{PolicyText: aws.String(anyone)}))(t)
	same(t, "put", []string{anyone, registryID}, []string{*put.PolicyText, *put.RegistryId})
	got := ok(client.GetRegistryPolicy(ctx, &sdk.GetRegistryPolicyInput{}))(t)
	same(t, "got", []string{anyone, registryID}, []string{*got.PolicyText, *got.RegistryId})
	_, err = client.PutRegistryPolicy(ctx, &sdk.PutRegistryPolicyInput{PolicyText: aws.String(`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:*"}]}`)})
	wantFailure(t, "without a resource", err, "InvalidParameterException", "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid registry policy provided': Statement[0]: it has neither Resource nor NotResource")
	deleted := ok(client.DeleteRegistryPolicy(ctx, &sdk.DeleteRegistryPolicyInput{}))(t)
	same(t, "deleted", []string{anyone, registryID}, []string{*deleted.PolicyText, *deleted.RegistryId})
	_, err = client.GetRegistryPolicy(ctx, &sdk.GetRegistryPolicyInput{})
	wantFailure(t, "after the deletion", err, "RegistryPolicyNotFoundException", none)
}

// TestTemplatePolicy: a template's policy is kept as it is, and is that of what a push
// makes; an empty one takes it away.
func TestTemplatePolicy(t *testing.T) {
	ctx := t.Context()
	client := start(t, ecr.Options{}, nil).client()
	prefix := aws.String("team")
	made := ok(client.CreateRepositoryCreationTemplate(ctx, &sdk.CreateRepositoryCreationTemplateInput{
		Prefix: prefix, AppliedFor: []types.RCTAppliedFor{types.RCTAppliedForCreateOnPush}, RepositoryPolicy: aws.String(anyone),
	}))(t).RepositoryCreationTemplate
	same(t, "created", anyone, *made.RepositoryPolicy)
	_, err := client.UpdateRepositoryCreationTemplate(ctx, &sdk.UpdateRepositoryCreationTemplateInput{Prefix: prefix, RepositoryPolicy: aws.String("{}")})
	wantFailure(t, "malformed", err, "InvalidParameterException", "Invalid parameter at 'repositoryPolicy' failed to satisfy constraint: 'Invalid repository policy provided: it has no Statement'")
	updated := ok(client.UpdateRepositoryCreationTemplate(ctx, &sdk.UpdateRepositoryCreationTemplateInput{Prefix: prefix, Description: aws.String("d")}))(t)
	same(t, "left as it is", anyone, *updated.RepositoryCreationTemplate.RepositoryPolicy)
	updated = ok(client.UpdateRepositoryCreationTemplate(ctx, &sdk.UpdateRepositoryCreationTemplateInput{Prefix: prefix, RepositoryPolicy: aws.String("")}))(t)
	same(t, "emptied", (*string)(nil), updated.RepositoryCreationTemplate.RepositoryPolicy)
}
