package secretsmanager_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go/middleware"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weir-registry/weir/internal/admin"
)

var (
	created = time.Date(2026, 11, 25, 9, 0, 0, 5e8, time.UTC)
	arn     = aws.String("arn:aws:secretsmanager:local:123456789012:secret:ecr-pullthroughcache/hub-AbCdEf")
	token   = aws.String(strings.Repeat("t", 32))
	other   = aws.String(strings.Repeat("u", 32))
)

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	diff := cmp.Diff(want, got, cmpopts.IgnoreTypes(middleware.Metadata{}), cmpopts.IgnoreUnexported(
		client.CreateSecretOutput{}, client.DescribeSecretOutput{}, client.GetSecretValueOutput{}, client.PutSecretValueOutput{},
		client.UpdateSecretOutput{}, client.DeleteSecretOutput{}, client.RestoreSecretOutput{}, client.GetResourcePolicyOutput{},
		client.ListSecretVersionIdsOutput{}, client.UpdateSecretVersionStageOutput{}, client.ListSecretsOutput{},
		types.Tag{}, types.SecretVersionsListEntry{}, types.SecretListEntry{},
	))
	if diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// full is a secret with all that one can have.
func full() *script {
	return &script{
		secret: admin.Secret{
			ARN: *arn, Name: *name, Description: "d", Created: created, Changed: created.Add(time.Second), Accessed: created.Add(-9 * time.Hour),
			Deleted: created.Add(time.Minute), DeleteAt: created.Add(time.Hour), Tags: []admin.Tag{{Key: "k", Value: "v"}},
			Versions: []admin.SecretVersion{{ID: *token, Stages: []string{"AWSCURRENT"}, Created: created}, {ID: *other, Created: created}},
		},
		version: admin.SecretVersion{ID: *token, Stages: []string{"AWSCURRENT"}, Created: created},
	}
}

// What the SDK sends is what admin is asked, and what admin says is what the SDK reads.
func TestCalls(t *testing.T) {
	s := full()
	c, ctx := scripted(t, s), t.Context()
	plain := struct{ ARN, Name *string }{arn, name}
	tags := []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}
	at := func(d time.Duration) *time.Time { x := created.Add(d); return &x }
	for _, test := range []struct {
		name string
		call func(context.Context) (any, error)
		want any
		asks string
	}{
		{"create", func(ctx context.Context) (any, error) {
			return c.CreateSecret(ctx, &client.CreateSecretInput{
				Name: name, Description: aws.String("d"), ClientRequestToken: token, SecretString: aws.String("s"), Tags: tags,
				KmsKeyId: aws.String("alias/aws/secretsmanager"), ForceOverwriteReplicaSecret: true,
			})
		}, &client.CreateSecretOutput{ARN: arn, Name: name, VersionId: token},
			`create {Name:ecr-pullthroughcache/hub Description:d ClientToken:` + *token + ` Value:[115] Binary:false Tags:[{Key:k Value:v}]} by root`},
		{"describe", func(ctx context.Context) (any, error) {
			return c.DescribeSecret(ctx, &client.DescribeSecretInput{SecretId: arn})
		}, &client.DescribeSecretOutput{
			ARN: arn, Name: name, Description: aws.String("d"), CreatedDate: at(0), LastChangedDate: at(time.Second), LastAccessedDate: at(-9 * time.Hour),
			DeletedDate: at(time.Hour), Tags: tags, VersionIdsToStages: map[string][]string{*token: {"AWSCURRENT"}},
		}, "secret " + *arn},
		{"value", func(ctx context.Context) (any, error) {
			s.value, s.binary = []byte("s\x00"), false
			return c.GetSecretValue(ctx, &client.GetSecretValueInput{SecretId: name, VersionId: token, VersionStage: aws.String("A")})
		}, &client.GetSecretValueOutput{ARN: arn, Name: name, CreatedDate: at(0), SecretString: aws.String("s\x00"), VersionId: token, VersionStages: []string{"AWSCURRENT"}},
			"value " + *name + ` "` + *token + `" "A"`},
		{"binary value", func(ctx context.Context) (any, error) {
			s.value, s.binary = []byte{0, 255}, true
			return c.GetSecretValue(ctx, &client.GetSecretValueInput{SecretId: name})
		}, &client.GetSecretValueOutput{ARN: arn, Name: name, CreatedDate: at(0), SecretBinary: []byte{0, 255}, VersionId: token, VersionStages: []string{"AWSCURRENT"}},
			"value " + *name + ` "" ""`},
		{"put", func(ctx context.Context) (any, error) {
			return c.PutSecretValue(ctx, &client.PutSecretValueInput{SecretId: name, ClientRequestToken: token, SecretBinary: []byte{0, 255}, VersionStages: []string{"A", "B"}})
		}, &client.PutSecretValueOutput{ARN: arn, Name: name, VersionId: token, VersionStages: []string{"AWSCURRENT"}},
			"put " + *name + ` "` + *token + `" "\x00\xff" true ["A" "B"]`},
		{"update", func(ctx context.Context) (any, error) {
			return c.UpdateSecret(ctx, &client.UpdateSecretInput{SecretId: name, ClientRequestToken: token, Description: aws.String("e"), SecretString: aws.String("s")})
		}, &client.UpdateSecretOutput{ARN: arn, Name: name, VersionId: token}, "update " + *name + ` e "` + *token + `" "s" false`},
		{"delete", func(ctx context.Context) (any, error) {
			return c.DeleteSecret(ctx, &client.DeleteSecretInput{SecretId: name})
		}, &client.DeleteSecretOutput{ARN: arn, Name: name, DeletionDate: at(time.Hour)}, "delete " + *name + " 720h0m0s"},
		{"delete in a week", func(ctx context.Context) (any, error) {
			return c.DeleteSecret(ctx, &client.DeleteSecretInput{SecretId: name, RecoveryWindowInDays: aws.Int64(7)})
		}, &client.DeleteSecretOutput{ARN: arn, Name: name, DeletionDate: at(time.Hour)}, "delete " + *name + " 168h0m0s"},
		{"delete at once", func(ctx context.Context) (any, error) {
			return c.DeleteSecret(ctx, &client.DeleteSecretInput{SecretId: name, ForceDeleteWithoutRecovery: aws.Bool(true)})
		}, &client.DeleteSecretOutput{ARN: arn, Name: name, DeletionDate: at(time.Hour)}, "delete " + *name + " 0s"},
		{"restore", func(ctx context.Context) (any, error) {
			return c.RestoreSecret(ctx, &client.RestoreSecretInput{SecretId: name})
		}, &client.RestoreSecretOutput{ARN: plain.ARN, Name: plain.Name}, "restore " + *name},
		{"policy", func(ctx context.Context) (any, error) {
			return c.GetResourcePolicy(ctx, &client.GetResourcePolicyInput{SecretId: name})
		}, &client.GetResourcePolicyOutput{ARN: arn, Name: name}, "policy " + *name},
		{"versions", func(ctx context.Context) (any, error) {
			return c.ListSecretVersionIds(ctx, &client.ListSecretVersionIdsInput{SecretId: name})
		}, &client.ListSecretVersionIdsOutput{ARN: arn, Name: name, Versions: []types.SecretVersionsListEntry{
			{VersionId: token, VersionStages: []string{"AWSCURRENT"}, CreatedDate: at(0)},
		}}, "versions " + *name},
		{"deprecated versions", func(ctx context.Context) (any, error) {
			return c.ListSecretVersionIds(ctx, &client.ListSecretVersionIdsInput{SecretId: name, IncludeDeprecated: aws.Bool(true)})
		}, &client.ListSecretVersionIdsOutput{ARN: arn, Name: name, Versions: []types.SecretVersionsListEntry{
			{VersionId: token, VersionStages: []string{"AWSCURRENT"}, CreatedDate: at(0)}, {VersionId: other, CreatedDate: at(0)},
		}}, "versions " + *name},
		{"move", func(ctx context.Context) (any, error) {
			return c.UpdateSecretVersionStage(ctx, &client.UpdateSecretVersionStageInput{SecretId: name, VersionStage: aws.String("A"), MoveToVersionId: token, RemoveFromVersionId: other})
		}, &client.UpdateSecretVersionStageOutput{ARN: arn, Name: name}, "move " + *name + ` A from "` + *other + `" to "` + *token + `"`},
		{"tag", func(ctx context.Context) (any, error) {
			_, err := c.TagResource(ctx, &client.TagResourceInput{SecretId: name, Tags: tags})
			return nil, err
		}, nil, "tag " + *name + " [{k v}]"},
		{"untag", func(ctx context.Context) (any, error) {
			_, err := c.UntagResource(ctx, &client.UntagResourceInput{SecretId: name, TagKeys: []string{"k"}})
			return nil, err
		}, nil, "untag " + *name + ` ["k"]`},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.calls = nil
			got, err := test.call(ctx)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "answer", test.want, got)
			same(t, "asked", []string{test.asks}, s.calls)
		})
	}
}

// What a secret does not have is not there, not null and not empty.
func TestAbsent(t *testing.T) {
	s := &script{secret: admin.Secret{ARN: *arn, Name: *name, Created: created, Changed: created}}
	out, err := scripted(t, s).DescribeSecret(t.Context(), &client.DescribeSecretInput{SecretId: name})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "answer", &client.DescribeSecretOutput{ARN: arn, Name: name, CreatedDate: &created, LastChangedDate: &created}, out)
}

func TestList(t *testing.T) {
	secret := func(n string, age time.Duration, description string, tags ...admin.Tag) *admin.Secret {
		at := created.Add(-age)
		return &admin.Secret{ARN: "arn:" + n, Name: n, Description: description, Created: at, Changed: at.Add(-2 * age), Accessed: at.Add(3 * age), Tags: tags}
	}
	s := &script{all: []*admin.Secret{
		secret("a/hub", time.Hour, "Docker Hub", admin.Tag{Key: "team", Value: "red"}),
		secret("a/quay", 3*time.Hour, "Quay", admin.Tag{Key: "team", Value: "blue"}, admin.Tag{Key: "tier", Value: "1"}),
		secret("b/ghcr", 2*time.Hour, ""),
	}}
	c := scripted(t, s)
	filter := func(key types.FilterNameStringType, values ...string) []types.Filter {
		return []types.Filter{{Key: key, Values: values}}
	}
	for _, test := range []struct {
		name string
		in   client.ListSecretsInput
		want string
	}{
		{"newest first", client.ListSecretsInput{}, "a/hub b/ghcr a/quay"},
		{"oldest first", client.ListSecretsInput{SortOrder: "asc"}, "a/quay b/ghcr a/hub"},
		{"by name", client.ListSecretsInput{SortBy: "name", SortOrder: "asc"}, "a/hub a/quay b/ghcr"},
		{"by name, last first", client.ListSecretsInput{SortBy: "name"}, "b/ghcr a/quay a/hub"},
		{"by change", client.ListSecretsInput{SortBy: "last-changed-date", SortOrder: "asc"}, "a/quay b/ghcr a/hub"},
		{"by access", client.ListSecretsInput{SortBy: "last-accessed-date", SortOrder: "desc"}, "a/quay b/ghcr a/hub"},
		{"name", client.ListSecretsInput{Filters: filter("name", "a/")}, "a/hub a/quay"},
		{"name, one of two", client.ListSecretsInput{Filters: filter("name", "a/q", "b")}, "b/ghcr a/quay"},
		{"name, other case", client.ListSecretsInput{Filters: filter("name", "A/")}, ""},
		{"not name", client.ListSecretsInput{Filters: filter("name", "!a/")}, "b/ghcr"},
		{"description, other case", client.ListSecretsInput{Filters: filter("description", "docker")}, "a/hub"},
		{"tag key", client.ListSecretsInput{Filters: filter("tag-key", "ti")}, "a/quay"},
		{"tag value", client.ListSecretsInput{Filters: filter("tag-value", "re")}, "a/hub"},
		{"both", client.ListSecretsInput{Filters: append(filter("name", "a/"), filter("tag-value", "blue")...)}, "a/quay"},
		{"any word", client.ListSecretsInput{Filters: filter("all", "GHCR docker")}, "a/hub b/ghcr"},
		{"region", client.ListSecretsInput{Filters: filter("primary-region", "x")}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, err := c.ListSecrets(t.Context(), &test.in)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, e := range out.SecretList {
				names = append(names, *e.Name)
			}
			if got := strings.Join(names, " "); got != test.want || out.NextToken != nil || out.SecretList == nil {
				t.Errorf("%q, next %v; want %q", got, out.NextToken, test.want)
			}
		})
	}
	s.calls = nil
	if _, err := c.ListSecrets(t.Context(), &client.ListSecretsInput{IncludePlannedDeletion: aws.Bool(true)}); err != nil {
		t.Error(err)
	}
	same(t, "asked", []string{`secrets after "", 0, true`}, s.calls)
}

// Pages have everything once, in order; a token is good for its own list.
func TestPages(t *testing.T) {
	s := full()
	for _, n := range []string{"a", "b", "c", "d", "e"} {
		s.all = append(s.all, &admin.Secret{ARN: n, Name: n, Created: created})
		s.secret.Versions = append(s.secret.Versions, admin.SecretVersion{ID: n, Stages: []string{n}, Created: created})
	}
	c := scripted(t, s)
	var names []string
	var next *string
	for pages := client.NewListSecretsPaginator(c, &client.ListSecretsInput{MaxResults: aws.Int32(2), SortBy: "name", SortOrder: "asc"}); pages.HasMorePages(); {
		out, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range out.SecretList {
			names = append(names, *e.Name)
		}
		if next == nil {
			next = out.NextToken
		}
	}
	same(t, "secrets", []string{"a", "b", "c", "d", "e"}, names)
	_, err := c.ListSecrets(t.Context(), &client.ListSecretsInput{NextToken: next, SortBy: "name"})
	fails(t, err, "InvalidNextTokenException", "The NextToken value is invalid.")
	_, err = c.ListSecretVersionIds(t.Context(), &client.ListSecretVersionIdsInput{SecretId: name, NextToken: next})
	fails(t, err, "InvalidNextTokenException", "The NextToken value is invalid.")
	s.all = s.all[2:] // the one that the token names has gone
	_, err = c.ListSecrets(t.Context(), &client.ListSecretsInput{NextToken: next, MaxResults: aws.Int32(2), SortBy: "name", SortOrder: "asc"})
	fails(t, err, "InvalidNextTokenException", "The NextToken value is invalid.")

	var ids []string
	for pages := client.NewListSecretVersionIdsPaginator(c, &client.ListSecretVersionIdsInput{SecretId: name, MaxResults: aws.Int32(4)}); pages.HasMorePages(); {
		out, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range out.Versions {
			ids = append(ids, *v.VersionId)
		}
	}
	same(t, "versions", []string{*token, "a", "b", "c", "d", "e"}, ids)
}
