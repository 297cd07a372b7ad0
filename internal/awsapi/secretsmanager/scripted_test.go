package secretsmanager_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	client "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/auth"
	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/awsapi/secretsmanager"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/seal"
	"github.com/weir-registry/weir/internal/vfs/vfstest"
)

// keys is access keys in memory.
type keys map[string]meta.Key

func (k keys) Key(_ context.Context, id string) (meta.Key, error) {
	key, ok := k[id]
	if !ok {
		return meta.Key{}, fs.ErrNotExist
	}
	return key, nil
}
func (k keys) PutKey(_ context.Context, key meta.Key) error { k[key.ID] = key; return nil }

// script is a control plane that answers what it is told, and tells what it was asked.
type script struct {
	calls   []string
	secret  admin.Secret
	all     []*admin.Secret
	version admin.SecretVersion
	value   []byte
	binary  bool
	err     error
}

func (s *script) called(format string, args ...any) {
	s.calls = append(s.calls, fmt.Sprintf(format, args...))
}

func (s *script) CreateSecret(_ context.Context, c iam.Caller, in admin.CreateSecretInput) (*admin.Secret, string, error) {
	s.called("create %+v by %s", in, c.Name)
	return &s.secret, s.version.ID, s.err
}

func (s *script) Secret(_ context.Context, _ iam.Caller, id string) (*admin.Secret, error) {
	s.called("secret %s", id)
	return &s.secret, s.err
}

func (s *script) Secrets(_ context.Context, _ iam.Caller, after string, limit int, deleted bool) ([]*admin.Secret, string, error) {
	s.called("secrets after %q, %d, %t", after, limit, deleted)
	return append([]*admin.Secret(nil), s.all...), "", s.err
}

func (s *script) SecretValue(_ context.Context, _ iam.Caller, id, version, stage string) (*admin.Secret, admin.SecretVersion, []byte, bool, error) {
	s.called("value %s %q %q", id, version, stage)
	return &s.secret, s.version, s.value, s.binary, s.err
}

func (s *script) SecretPolicy(_ context.Context, _ iam.Caller, id string) (*admin.Secret, error) {
	s.called("policy %s", id)
	return &s.secret, s.err
}

func (s *script) SecretVersions(_ context.Context, _ iam.Caller, id string) (*admin.Secret, error) {
	s.called("versions %s", id)
	return &s.secret, s.err
}

func (s *script) PutSecretValue(_ context.Context, _ iam.Caller, id, token string, value []byte, binary bool, stages []string) (*admin.Secret, admin.SecretVersion, error) {
	s.called("put %s %q %q %t %q", id, token, value, binary, stages)
	return &s.secret, s.version, s.err
}

func (s *script) UpdateSecret(_ context.Context, _ iam.Caller, id string, description *string, token string, value []byte, binary bool) (*admin.Secret, string, error) {
	s.called("update %s %s %q %q %t", id, aws.ToString(description), token, value, binary)
	return &s.secret, s.version.ID, s.err
}

func (s *script) MoveStage(_ context.Context, _ iam.Caller, id, stage, from, to string) (*admin.Secret, error) {
	s.called("move %s %s from %q to %q", id, stage, from, to)
	return &s.secret, s.err
}

func (s *script) DeleteSecret(_ context.Context, _ iam.Caller, id string, window time.Duration) (*admin.Secret, error) {
	s.called("delete %s %s", id, window)
	return &s.secret, s.err
}

func (s *script) RestoreSecret(_ context.Context, _ iam.Caller, id string) (*admin.Secret, error) {
	s.called("restore %s", id)
	return &s.secret, s.err
}

func (s *script) TagSecret(_ context.Context, _ iam.Caller, id string, tags []admin.Tag) error {
	s.called("tag %s %v", id, tags)
	return s.err
}

func (s *script) UntagSecret(_ context.Context, _ iam.Caller, id string, keys []string) error {
	s.called("untag %s %q", id, keys)
	return s.err
}

// serve serves a service, and returns the SDK's client for it, as root.
func serve(t *testing.T, s awsapi.Service) *client.Client {
	t.Helper()
	sealed, err := seal.Open(vfstest.NewMem(nil), "keys")
	if err != nil {
		t.Fatal(err)
	}
	const id, secret = "AKIAROOT", "secret"
	k := keys{id: {ID: id, Principal: "root", Root: true, Active: true, Sealed: sealed.Seal([]byte(secret), []byte("access key "+id))}}
	srv := httptest.NewServer(awsapi.New(awsapi.Options{Auth: auth.New(k, sealed, auth.Options{}), Logger: slog.New(slog.DiscardHandler)}, s))
	t.Cleanup(srv.Close)
	return client.New(client.Options{BaseEndpoint: &srv.URL, Region: "local", Credentials: credentials.NewStaticCredentialsProvider(id, secret, ""), Retryer: aws.NopRetryer{}})
}

func scripted(t *testing.T, s *script) *client.Client {
	t.Helper()
	return serve(t, secretsmanager.Scripted(s, make([]byte, 32)))
}

// fails checks an exception and its words.
func fails(t *testing.T, err error, code, message string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), message) {
		t.Errorf("%v\nwant %s: %s", err, code, message)
	}
}

var name = aws.String("ecr-pullthroughcache/hub")

// Every class of failure of admin, as the operations answer it.
func TestExceptions(t *testing.T) {
	for _, test := range []struct {
		name      string
		err       error
		exception string
	}{
		{"no secret", errs.New(errs.SecretUnknown, "why"), "ResourceNotFoundException"},
		{"exists", errs.New(errs.SecretExists, "why"), "ResourceExistsException"},
		{"in another state", errs.New(errs.Conflict, "why"), "InvalidRequestException"},
		{"malformed", errs.New(errs.ParamInvalid, "why"), "InvalidParameterException"},
		{"name", errs.New(errs.NameInvalid, "why"), "InvalidParameterException"},
		{"too many", errs.New(errs.LimitExceeded, "why"), "LimitExceededException"},
		{"denied", errs.New(errs.Denied, "why"), "AccessDeniedException"},
		{"not done", errs.New(errs.Unsupported, "why"), "InvalidRequestException"},
		{"fault", errors.New("why"), "InternalServiceError"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &script{err: test.err}
			c, ctx := scripted(t, s), t.Context()
			for op, err := range map[string]error{
				"CreateSecret":             second(c.CreateSecret(ctx, &client.CreateSecretInput{Name: name})),
				"DescribeSecret":           second(c.DescribeSecret(ctx, &client.DescribeSecretInput{SecretId: name})),
				"GetSecretValue":           second(c.GetSecretValue(ctx, &client.GetSecretValueInput{SecretId: name})),
				"PutSecretValue":           second(c.PutSecretValue(ctx, &client.PutSecretValueInput{SecretId: name, SecretString: name})),
				"UpdateSecret":             second(c.UpdateSecret(ctx, &client.UpdateSecretInput{SecretId: name})),
				"DeleteSecret":             second(c.DeleteSecret(ctx, &client.DeleteSecretInput{SecretId: name})),
				"RestoreSecret":            second(c.RestoreSecret(ctx, &client.RestoreSecretInput{SecretId: name})),
				"ListSecrets":              second(c.ListSecrets(ctx, &client.ListSecretsInput{})),
				"ListSecretVersionIds":     second(c.ListSecretVersionIds(ctx, &client.ListSecretVersionIdsInput{SecretId: name})),
				"GetResourcePolicy":        second(c.GetResourcePolicy(ctx, &client.GetResourcePolicyInput{SecretId: name})),
				"UpdateSecretVersionStage": second(c.UpdateSecretVersionStage(ctx, &client.UpdateSecretVersionStageInput{SecretId: name, VersionStage: name})),
				"TagResource":              second(c.TagResource(ctx, &client.TagResourceInput{SecretId: name, Tags: []types.Tag{}})),
				"UntagResource":            second(c.UntagResource(ctx, &client.UntagResourceInput{SecretId: name, TagKeys: []string{}})),
			} {
				want := "why"
				if test.exception == "InternalServiceError" {
					want = "internal error"
				}
				t.Run(op, func(t *testing.T) { fails(t, err, test.exception, want) })
			}
			if len(s.calls) != 13 {
				t.Errorf("admin was asked %d times: %q", len(s.calls), s.calls)
			}
		})
	}
}

func second[T any](_ T, err error) error { return err }

// What weir does not do is known, and says so.
func TestRefused(t *testing.T) {
	c, ctx := scripted(t, &script{}), t.Context()
	for op, call := range map[string]func() error{
		"BatchGetSecretValue": func() error {
			_, err := c.BatchGetSecretValue(ctx, &client.BatchGetSecretValueInput{SecretIdList: []string{"a"}})
			return err
		},
		"CancelRotateSecret": func() error {
			_, err := c.CancelRotateSecret(ctx, &client.CancelRotateSecretInput{SecretId: name})
			return err
		},
		"DeleteResourcePolicy": func() error {
			_, err := c.DeleteResourcePolicy(ctx, &client.DeleteResourcePolicyInput{SecretId: name})
			return err
		},
		"GetRandomPassword": func() error {
			_, err := c.GetRandomPassword(ctx, &client.GetRandomPasswordInput{})
			return err
		},
		"PutResourcePolicy": func() error {
			_, err := c.PutResourcePolicy(ctx, &client.PutResourcePolicyInput{SecretId: name, ResourcePolicy: aws.String("{}")})
			return err
		},
		"RemoveRegionsFromReplication": func() error {
			_, err := c.RemoveRegionsFromReplication(ctx, &client.RemoveRegionsFromReplicationInput{SecretId: name, RemoveReplicaRegions: []string{"x"}})
			return err
		},
		"ReplicateSecretToRegions": func() error {
			_, err := c.ReplicateSecretToRegions(ctx, &client.ReplicateSecretToRegionsInput{SecretId: name, AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String("x")}}})
			return err
		},
		"RotateSecret": func() error {
			_, err := c.RotateSecret(ctx, &client.RotateSecretInput{SecretId: name})
			return err
		},
		"StopReplicationToReplica": func() error {
			_, err := c.StopReplicationToReplica(ctx, &client.StopReplicationToReplicaInput{SecretId: name})
			return err
		},
		"ValidateResourcePolicy": func() error {
			_, err := c.ValidateResourcePolicy(ctx, &client.ValidateResourcePolicyInput{ResourcePolicy: aws.String("{}")})
			return err
		},
	} {
		fails(t, call(), "InvalidRequestException", "weir does not do secretsmanager:"+op+": ")
	}
}

// The model's constraints, and what AWS or weir refuses before anything is done.
func TestChecks(t *testing.T) {
	s := &script{}
	c, ctx := scripted(t, s), t.Context()
	long := func(n int) *string { return aws.String(strings.Repeat("x", n)) }
	create := func(f func(*client.CreateSecretInput)) func() error {
		return func() error {
			in := &client.CreateSecretInput{Name: name}
			f(in)
			_, err := c.CreateSecret(ctx, in)
			return err
		}
	}
	put := func(in client.PutSecretValueInput) func() error {
		return func() error {
			in.SecretId = name
			_, err := c.PutSecretValue(ctx, &in)
			return err
		}
	}
	remove := func(in client.DeleteSecretInput) func() error {
		return func() error {
			in.SecretId = name
			_, err := c.DeleteSecret(ctx, &in)
			return err
		}
	}
	list := func(in client.ListSecretsInput) func() error {
		return func() error {
			_, err := c.ListSecrets(ctx, &in)
			return err
		}
	}
	const validation, parameter = "ValidationException", "InvalidParameterException"
	for _, test := range []struct {
		name      string
		call      func() error
		exception string
		message   string
	}{
		{"empty name", create(func(in *client.CreateSecretInput) { in.Name = aws.String("") }), validation, "1 validation error detected: Value at 'name' failed to satisfy constraint: Member must not be null"},
		{"long name", create(func(in *client.CreateSecretInput) { in.Name = long(513) }), validation, "Value at 'name' failed to satisfy constraint: Member must have length less than or equal to 512"},
		{"long description", create(func(in *client.CreateSecretInput) { in.Description = long(2049) }), validation, "'description'"},
		{"short token", create(func(in *client.CreateSecretInput) { in.ClientRequestToken = long(31) }), validation, "'clientRequestToken' failed to satisfy constraint: Member must have length greater than or equal to 32"},
		{"empty value", create(func(in *client.CreateSecretInput) { in.SecretString = aws.String("") }), validation, "'secretString'"},
		{"long value", create(func(in *client.CreateSecretInput) { in.SecretString = long(65537) }), validation, "'secretString' failed to satisfy constraint: Member must have length less than or equal to 65536"},
		{"two problems", create(func(in *client.CreateSecretInput) { in.SecretBinary = make([]byte, 65537); in.Description = long(2049) }), validation, "2 validation errors detected: "},
		{"two values", create(func(in *client.CreateSecretInput) { in.SecretString, in.SecretBinary = long(1), []byte{1} }), parameter, "You can't specify both"},
		{"tag without a key", create(func(in *client.CreateSecretInput) { in.Tags = []types.Tag{{Value: aws.String("v")}} }), validation, "'tags.key'"},
		{"own KMS key", create(func(in *client.CreateSecretInput) { in.KmsKeyId = aws.String("arn:aws:kms:x:1:key/2") }), parameter, "KmsKeyId: weir seals secrets with its own key"},
		{"replicas", create(func(in *client.CreateSecretInput) {
			in.AddReplicaRegions = []types.ReplicaRegionType{{Region: aws.String("x")}}
		}), parameter, "AddReplicaRegions"},
		{"type", create(func(in *client.CreateSecretInput) { in.Type = aws.String("x") }), parameter, "Type: "},
		{"no value", put(client.PutSecretValueInput{}), "InvalidRequestException", "You must provide either SecretString or SecretBinary."},
		{"empty stage", put(client.PutSecretValueInput{SecretString: long(1), VersionStages: []string{""}}), validation, "'versionStages.member'"},
		{"21 stages", put(client.PutSecretValueInput{SecretString: long(1), VersionStages: make([]string, 21)}), validation, "'versionStages' failed to satisfy constraint: Member must have length less than or equal to 20"},
		{"rotation token", put(client.PutSecretValueInput{SecretString: long(1), RotationToken: long(40)}), parameter, "RotationToken"},
		{"window and force", remove(client.DeleteSecretInput{ForceDeleteWithoutRecovery: aws.Bool(true), RecoveryWindowInDays: aws.Int64(7)}), parameter, "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays."},
		{"short window", remove(client.DeleteSecretInput{RecoveryWindowInDays: aws.Int64(6)}), parameter, "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive)."},
		{"long window", remove(client.DeleteSecretInput{RecoveryWindowInDays: aws.Int64(31)}), parameter, "between 7 and 30"},
		{"large page", list(client.ListSecretsInput{MaxResults: aws.Int32(101)}), validation, "'maxResults' failed to satisfy constraint: Member must have value less than or equal to 100"},
		{"other list's token", list(client.ListSecretsInput{NextToken: long(30)}), "InvalidNextTokenException", "The NextToken value is invalid."},
		{"unknown filter", list(client.ListSecretsInput{Filters: []types.Filter{{Key: "colour", Values: []string{"x"}}}}), validation, "'filters.key' failed to satisfy constraint: Member must satisfy enum value set: [description, name"},
		{"filter without values", list(client.ListSecretsInput{Filters: []types.Filter{{Key: "name"}}}), validation, "'filters.values'"},
		{"unknown order", list(client.ListSecretsInput{SortOrder: "up"}), validation, "'sortOrder' failed to satisfy constraint: Member must satisfy enum value set: [asc, desc]"},
		{"unknown sort", list(client.ListSecretsInput{SortBy: "x"}), validation, "'sortBy'"},
		{"long ID", func() error {
			_, err := c.DescribeSecret(ctx, &client.DescribeSecretInput{SecretId: long(2049)})
			return err
		}, validation, "'secretId'"},
		{"short version", func() error {
			_, err := c.GetSecretValue(ctx, &client.GetSecretValueInput{SecretId: name, VersionId: long(31)})
			return err
		}, validation, "'versionId'"},
		{"no stage", func() error {
			_, err := c.UpdateSecretVersionStage(ctx, &client.UpdateSecretVersionStageInput{SecretId: name, VersionStage: aws.String("")})
			return err
		}, validation, "'versionStage'"},
		{"empty key", func() error {
			_, err := c.UntagResource(ctx, &client.UntagResourceInput{SecretId: name, TagKeys: []string{""}})
			return err
		}, validation, "'tagKeys.member'"},
		{"key of an update", func() error {
			_, err := c.UpdateSecret(ctx, &client.UpdateSecretInput{SecretId: name, KmsKeyId: aws.String("x")})
			return err
		}, parameter, "KmsKeyId"},
	} {
		t.Run(test.name, func(t *testing.T) { fails(t, test.call(), test.exception, test.message) })
	}
	if diff := cmp.Diff([]string{`secrets after "", 0, false`}, s.calls); diff != "" { // of the token
		t.Errorf("asked admin (-want +got):\n%s", diff)
	}
}
