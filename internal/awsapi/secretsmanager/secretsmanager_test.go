package secretsmanager_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/awsapi/secretsmanager"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/seal"
	"github.com/weir-registry/weir/internal/vfs/vfstest"
)

// plane is a real control plane in an empty registry.
func plane(t *testing.T) (*admin.Admin, *client.Client) {
	t.Helper()
	db, err := meta.Open(t.Context(), meta.Options{Path: filepath.Join(t.TempDir(), "weir.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	keys, err := seal.Open(vfstest.NewMem(nil), "keys")
	if err != nil {
		t.Fatal(err)
	}
	a, err := admin.New(t.Context(), admin.Options{DB: db, Keys: keys, ID: "123456789012", Region: "local"})
	if err != nil {
		t.Fatal(err)
	}
	return a, serve(t, secretsmanager.Service(a, make([]byte, 32)))
}

func must[T any](out T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// A secret's life, as people lead it with the CLI and Terraform does.
func TestLife(t *testing.T) {
	a, c := plane(t)
	ctx := t.Context()
	value := func(v string) *string { return aws.String(`{"username":"ann","accessToken":"` + v + `"}`) }
	made := must(c.CreateSecret(ctx, &client.CreateSecretInput{Name: name, SecretString: value("one"), ClientRequestToken: token, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}))(t)
	const prefix = "arn:aws:secretsmanager:local:123456789012:secret:ecr-pullthroughcache/hub-"
	if !strings.HasPrefix(*made.ARN, prefix) || len(*made.ARN) != len(prefix)+6 || *made.VersionId != *token {
		t.Errorf("%s, version %s", *made.ARN, *made.VersionId)
	}
	credential := func(want string) {
		t.Helper()
		if user, got, err := a.Credential(ctx, *made.ARN); err != nil || user != "ann" || got != want {
			t.Errorf("credential %s:%s, %v; want %s", user, got, err, want)
		}
	}
	credential("one")

	// The same again is the same; with another value it is not.
	again := must(c.CreateSecret(ctx, &client.CreateSecretInput{Name: name, SecretString: value("one"), ClientRequestToken: token}))(t)
	if *again.ARN != *made.ARN || *again.VersionId != *token {
		t.Errorf("created again: %s, %s", *again.ARN, *again.VersionId)
	}
	_, err := c.CreateSecret(ctx, &client.CreateSecretInput{Name: name, SecretString: value("two")})
	fails(t, err, "ResourceExistsException", "ecr-pullthroughcache/hub")

	// Rotated: the next request has the new one, the old one is AWSPREVIOUS.
	put := must(c.PutSecretValue(ctx, &client.PutSecretValueInput{SecretId: made.ARN, SecretString: value("two"), ClientRequestToken: other}))(t)
	if !slices.Equal(put.VersionStages, []string{"AWSCURRENT"}) || *put.VersionId != *other {
		t.Errorf("put: %s %v", *put.VersionId, put.VersionStages)
	}
	credential("two")
	must(c.PutSecretValue(ctx, &client.PutSecretValueInput{SecretId: name, SecretString: value("two"), ClientRequestToken: other}))(t)
	_, err = c.PutSecretValue(ctx, &client.PutSecretValueInput{SecretId: name, SecretString: value("three"), ClientRequestToken: other})
	fails(t, err, "ResourceExistsException", *other)
	short := aws.String(strings.TrimSuffix(prefix, "-"))
	for id, stage := range map[*string]*string{name: aws.String("AWSPREVIOUS"), short: aws.String("AWSCURRENT")} {
		got := must(c.GetSecretValue(ctx, &client.GetSecretValueInput{SecretId: id, VersionStage: stage}))(t)
		want := map[string]string{"AWSPREVIOUS": *value("one"), "AWSCURRENT": *value("two")}[*stage]
		if *got.SecretString != want || got.SecretBinary != nil || !slices.Contains(got.VersionStages, *stage) || got.CreatedDate == nil || *got.ARN != *made.ARN {
			t.Errorf("%s: %+v", *stage, got)
		}
	}
	must(c.UpdateSecretVersionStage(ctx, &client.UpdateSecretVersionStageInput{SecretId: name, VersionStage: aws.String("AWSCURRENT"), MoveToVersionId: token, RemoveFromVersionId: other}))(t)
	credential("one")
	updated := must(c.UpdateSecret(ctx, &client.UpdateSecretInput{SecretId: name, Description: aws.String("Docker Hub"), SecretBinary: []byte{0, 255}}))(t)
	if got := must(c.GetSecretValue(ctx, &client.GetSecretValueInput{SecretId: name}))(t); got.SecretString != nil || string(got.SecretBinary) != "\x00\xff" || *got.VersionId != *updated.VersionId {
		t.Errorf("binary: %+v", got)
	}
	if _, _, err := a.Credential(ctx, *made.ARN); err == nil || !strings.Contains(err.Error(), "is not the JSON") {
		t.Errorf("malformed credential: %v", err)
	}

	// Tags, versions, no policy.
	must(c.TagResource(ctx, &client.TagResourceInput{SecretId: name, Tags: []types.Tag{{Key: aws.String("l"), Value: aws.String("w")}}}))(t)
	must(c.UntagResource(ctx, &client.UntagResourceInput{SecretId: name, TagKeys: []string{"k"}}))(t)
	d := must(c.DescribeSecret(ctx, &client.DescribeSecretInput{SecretId: name}))(t)
	if len(d.Tags) != 1 || *d.Tags[0].Key != "l" || *d.Description != "Docker Hub" || len(d.VersionIdsToStages) != 2 || d.DeletedDate != nil || d.RotationEnabled != nil {
		t.Errorf("described: %+v", d)
	}
	all := must(c.ListSecretVersionIds(ctx, &client.ListSecretVersionIdsInput{SecretId: name, IncludeDeprecated: aws.Bool(true)}))(t)
	if len(all.Versions) != 3 {
		t.Errorf("%d versions", len(all.Versions))
	}
	if p := must(c.GetResourcePolicy(ctx, &client.GetResourcePolicyInput{SecretId: name}))(t); p.ResourcePolicy != nil || *p.ARN != *made.ARN {
		t.Errorf("policy %+v", p)
	}

	// Deleted, restored, deleted for good, made anew.
	gone := must(c.DeleteSecret(ctx, &client.DeleteSecretInput{SecretId: name, RecoveryWindowInDays: aws.Int64(7)}))(t)
	if left := time.Until(*gone.DeletionDate); left < 6*24*time.Hour || left > 7*24*time.Hour {
		t.Errorf("goes at %s", gone.DeletionDate)
	}
	_, err = c.GetSecretValue(ctx, &client.GetSecretValueInput{SecretId: name})
	fails(t, err, "InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion.")
	_, err = c.CreateSecret(ctx, &client.CreateSecretInput{Name: name})
	fails(t, err, "InvalidRequestException", "You can't create this secret because a secret with this name is already scheduled for deletion.")
	if d := must(c.DescribeSecret(ctx, &client.DescribeSecretInput{SecretId: name}))(t); d.DeletedDate == nil {
		t.Error("no DeletedDate")
	}
	for planned, want := range map[bool]int{false: 0, true: 1} {
		if l := must(c.ListSecrets(ctx, &client.ListSecretsInput{IncludePlannedDeletion: &planned}))(t); len(l.SecretList) != want {
			t.Errorf("planned %t: %d secrets", planned, len(l.SecretList))
		}
	}
	must(c.RestoreSecret(ctx, &client.RestoreSecretInput{SecretId: name}))(t)
	must(c.DeleteSecret(ctx, &client.DeleteSecretInput{SecretId: name, ForceDeleteWithoutRecovery: aws.Bool(true)}))(t)
	_, err = c.DescribeSecret(ctx, &client.DescribeSecretInput{SecretId: name})
	fails(t, err, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	next := must(c.CreateSecret(ctx, &client.CreateSecretInput{Name: name}))(t)
	if *next.ARN == *made.ARN || next.VersionId != nil {
		t.Errorf("made anew: %s, %v", *next.ARN, next.VersionId)
	}
	_, err = c.GetSecretValue(ctx, &client.GetSecretValueInput{SecretId: name})
	fails(t, err, "ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT")
	_, err = c.DescribeSecret(ctx, &client.DescribeSecretInput{SecretId: made.ARN})
	fails(t, err, "ResourceNotFoundException", "can't find the specified secret")
}

// Failures that tools look for, by the real control plane.
func TestFailures(t *testing.T) {
	_, c := plane(t)
	must(c.CreateSecret(t.Context(), &client.CreateSecretInput{Name: name, SecretString: aws.String("x"), ClientRequestToken: token}))(t)
	for _, test := range []struct {
		name      string
		call      func(context.Context) error
		exception string
		message   string
	}{
		{"another name", func(ctx context.Context) error {
			return second(c.CreateSecret(ctx, &client.CreateSecretInput{Name: aws.String("ecr-pullthroughcache/a b")}))
		}, "InvalidParameterException", "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"},
		{"no rule's name", func(ctx context.Context) error {
			return second(c.CreateSecret(ctx, &client.CreateSecretInput{Name: aws.String("prod/db")}))
		}, "InvalidParameterException", "ecr-pullthroughcache/"},
		{"no secret", func(ctx context.Context) error {
			return second(c.PutSecretValue(ctx, &client.PutSecretValueInput{SecretId: aws.String("ecr-pullthroughcache/x"), SecretString: name}))
		}, "ResourceNotFoundException", "Secrets Manager can't find the specified secret."},
		{"no version", func(ctx context.Context) error {
			return second(c.GetSecretValue(ctx, &client.GetSecretValueInput{SecretId: name, VersionId: other}))
		}, "ResourceNotFoundException", "Secrets Manager can't find the specified secret value for VersionId: " + *other},
		{"no stage", func(ctx context.Context) error {
			return second(c.GetSecretValue(ctx, &client.GetSecretValueInput{SecretId: name, VersionStage: aws.String("A")}))
		}, "ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: A"},
		{"version without the stage", func(ctx context.Context) error {
			return second(c.GetSecretValue(ctx, &client.GetSecretValueInput{SecretId: name, VersionId: token, VersionStage: aws.String("A")}))
		}, "InvalidRequestException", "You provided a VersionStage that is not associated to the provided VersionId."},
		{"current taken away", func(ctx context.Context) error {
			return second(c.UpdateSecretVersionStage(ctx, &client.UpdateSecretVersionStageInput{SecretId: name, VersionStage: aws.String("AWSCURRENT"), RemoveFromVersionId: token}))
		}, "InvalidParameterException", "AWSCURRENT"},
		{"51 tags", func(ctx context.Context) error {
			var tags []types.Tag
			for i := range 51 {
				tags = append(tags, types.Tag{Key: aws.String(strings.Repeat("k", i+1)), Value: aws.String("")})
			}
			return second(c.TagResource(ctx, &client.TagResourceInput{SecretId: name, Tags: tags}))
		}, "LimitExceededException", "50 tags"},
	} {
		t.Run(test.name, func(t *testing.T) {
			fails(t, test.call(t.Context()), test.exception, test.message)
		})
	}
}
