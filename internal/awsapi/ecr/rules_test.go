package ecr_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/weir-registry/weir/internal/awsapi/ecr"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/rule"
)

// TestRules is the life of a rule, by the SDK.
func TestRules(t *testing.T) {
	s := start(t, ecr.Options{}, nil)
	client, ctx := s.client(), t.Context()
	made := ok(client.CreatePullThroughCacheRule(ctx, &sdk.CreatePullThroughCacheRuleInput{
		EcrRepositoryPrefix: aws.String("docker-hub"), UpstreamRegistryUrl: aws.String("registry-1.docker.io"), UpstreamRegistry: types.UpstreamRegistryDockerHub,
	}))(t)
	same(t, "prefix", "docker-hub", *made.EcrRepositoryPrefix)
	same(t, "registry", registryID, *made.RegistryId)
	same(t, "upstream", types.UpstreamRegistryDockerHub, made.UpstreamRegistry)
	if made.UpstreamRepositoryPrefix != nil || made.CredentialArn != nil || made.CustomRoleArn != nil || made.CreatedAt == nil {
		t.Errorf("created %+v", made)
	}
	_, err := client.CreatePullThroughCacheRule(ctx, &sdk.CreatePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("docker-hub"), UpstreamRegistryUrl: aws.String("quay.io")})
	var exists *types.PullThroughCacheRuleAlreadyExistsException
	if !errors.As(err, &exists) {
		t.Errorf("created twice: %v", err)
	}
	_, err = client.CreatePullThroughCacheRule(ctx, &sdk.CreatePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("bad"), UpstreamRegistryUrl: aws.String("https://quay.io")})
	wantFailure(t, "URL", err, "UnsupportedUpstreamRegistryException", "The upstream registry URL https://quay.io is invalid. Specify a valid upstream registry URL and try again")
	_, err = client.CreatePullThroughCacheRule(ctx, &sdk.CreatePullThroughCacheRuleInput{
		EcrRepositoryPrefix: aws.String("bad"), UpstreamRegistryUrl: aws.String("quay.io"), CredentialArn: aws.String("arn:aws:secretsmanager:local:123456789012:secret:ecr-pullthroughcache/none-AbCdEf"),
	})
	var noSecret *types.SecretNotFoundException
	if !errors.As(err, &noSecret) {
		t.Errorf("secret that is not there: %v", err)
	}

	described := ok(client.DescribePullThroughCacheRules(ctx, &sdk.DescribePullThroughCacheRulesInput{EcrRepositoryPrefixes: []string{"docker-hub"}}))(t).PullThroughCacheRules
	same(t, "described", []types.PullThroughCacheRule{{
		EcrRepositoryPrefix: made.EcrRepositoryPrefix, UpstreamRegistryUrl: made.UpstreamRegistryUrl, UpstreamRegistry: types.UpstreamRegistryDockerHub,
		RegistryId: made.RegistryId, CreatedAt: made.CreatedAt, UpdatedAt: described[0].UpdatedAt,
	}}, described)
	_, err = client.DescribePullThroughCacheRules(ctx, &sdk.DescribePullThroughCacheRulesInput{EcrRepositoryPrefixes: []string{"docker-hub", "none"}})
	var none *types.PullThroughCacheRuleNotFoundException
	if !errors.As(err, &none) {
		t.Errorf("no such rule: %v", err)
	}

	valid := ok(client.ValidatePullThroughCacheRule(ctx, &sdk.ValidatePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("docker-hub")}))(t)
	if !valid.IsValid || valid.Failure != nil || *valid.UpstreamRegistryUrl != "registry-1.docker.io" {
		t.Errorf("validated %+v", valid)
	}
	s.validate = func(context.Context, *rule.Rule) error { return errs.New(errs.UpstreamDenied, "the upstream says no") }
	valid = ok(client.ValidatePullThroughCacheRule(ctx, &sdk.ValidatePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("docker-hub")}))(t)
	if valid.IsValid || aws.ToString(valid.Failure) != "the upstream says no" {
		t.Errorf("validated %+v", valid)
	}

	updated := ok(client.UpdatePullThroughCacheRule(ctx, &sdk.UpdatePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("docker-hub"), CustomRoleArn: aws.String("arn:aws:iam::123456789012:role/r")}))(t)
	if updated.UpdatedAt.Before(*made.CreatedAt) || *updated.CustomRoleArn != "arn:aws:iam::123456789012:role/r" {
		t.Errorf("updated %+v", updated)
	}
	deleted := ok(client.DeletePullThroughCacheRule(ctx, &sdk.DeletePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("docker-hub")}))(t)
	same(t, "deleted", "registry-1.docker.io", *deleted.UpstreamRegistryUrl)
	_, err = client.DeletePullThroughCacheRule(ctx, &sdk.DeletePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("docker-hub")})
	if !errors.As(err, &none) {
		t.Errorf("deleted twice: %v", err)
	}
	_, err = client.DeletePullThroughCacheRule(ctx, &sdk.DeletePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("declared"), RegistryId: aws.String(registryID)})
	var invalid *types.ValidationException
	if !errors.As(err, &invalid) || !strings.Contains(invalid.ErrorMessage(), "configuration") {
		t.Errorf("rule of the configuration: %v", err)
	}
	_, err = client.DeletePullThroughCacheRule(ctx, &sdk.DeletePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("declared"), RegistryId: aws.String(other)})
	wantFailure(t, "other registry", err, "InvalidParameterException", "Invalid parameter at 'registryId' failed to satisfy constraint: 'The only registry here is 123456789012'")
}

func TestRulePages(t *testing.T) {
	s := start(t, ecr.Options{}, nil)
	client, want := s.client(), []string{"declared"}
	for i := range 5 {
		prefix := fmt.Sprintf("p%d", i)
		ok(client.CreatePullThroughCacheRule(t.Context(), &sdk.CreatePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String(prefix), UpstreamRegistryUrl: aws.String("quay.io")}))(t)
		want = append(want, prefix)
	}
	for _, limit := range []int32{0, 1, 2, 3, 6} {
		var got []string
		pages := sdk.NewDescribePullThroughCacheRulesPaginator(client, &sdk.DescribePullThroughCacheRulesInput{}, func(o *sdk.DescribePullThroughCacheRulesPaginatorOptions) { o.Limit = limit })
		for pages.HasMorePages() {
			for _, r := range ok(pages.NextPage(t.Context()))(t).PullThroughCacheRules {
				got = append(got, *r.EcrRepositoryPrefix)
			}
		}
		same(t, "rules by pages", want, got)
	}
}

// TestRuleDrift: what Terraform would take for a change that somebody made.
func TestRuleDrift(t *testing.T) {
	s := start(t, ecr.Options{}, nil)
	for _, tt := range []struct {
		name, in         string
		has, mustNotHave []string
	}{
		{"no upstream prefix is not ROOT", `{"ecrRepositoryPrefix":"a1","upstreamRegistryUrl":"quay.io"}`, []string{`"upstreamRegistry":"quay"`}, []string{"upstreamRepositoryPrefix", "ROOT", "credentialArn", "customRoleArn"}},
		{"ROOT that was said is said", `{"ecrRepositoryPrefix":"a2","upstreamRegistryUrl":"quay.io","upstreamRepositoryPrefix":"ROOT"}`, []string{`"upstreamRepositoryPrefix":"ROOT"`}, nil},
		{"upstream prefix", `{"ecrRepositoryPrefix":"a3","upstreamRegistryUrl":"quay.io","upstreamRepositoryPrefix":"org"}`, []string{`"upstreamRepositoryPrefix":"org"`}, nil},
		{"a generic upstream has no word in the enum", `{"ecrRepositoryPrefix":"a4","upstreamRegistryUrl":"harbor.example:8443"}`, []string{`"upstreamRegistryUrl":"harbor.example:8443"`}, []string{`"upstreamRegistry"`, "generic"}},
		{"role", `{"ecrRepositoryPrefix":"a5","upstreamRegistryUrl":"quay.io","customRoleArn":"arn:aws:iam::123456789012:role/r"}`, []string{`"customRoleArn":"arn:aws:iam::123456789012:role/r"`}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, created := s.call(t, "CreatePullThroughCacheRule", tt.in)
			if status != 200 {
				t.Fatal(created)
			}
			_, described := s.call(t, "DescribePullThroughCacheRules", `{"ecrRepositoryPrefixes":["`+tt.in[24:26]+`"]}`)
			for _, body := range []string{created, described} {
				for _, x := range tt.has {
					if !strings.Contains(body, x) {
						t.Errorf("no %s in %s", x, body)
					}
				}
				for _, x := range tt.mustNotHave {
					if strings.Contains(body, x) {
						t.Errorf("%s in %s", x, body)
					}
				}
			}
		})
	}
	_, described := s.call(t, "DescribePullThroughCacheRules", `{"ecrRepositoryPrefixes":["declared"]}`)
	if strings.Contains(described, "of-the-file") {
		t.Errorf("a credential of the configuration is shown as an ARN: %s", described)
	}
}
