package weirtest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
	"github.com/weir-registry/weir/internal/weirtest"
)

// clients are the SDK's clients of a weir, with its root access key.
type clients struct {
	ecr     *ecr.Client
	secrets *secretsmanager.Client
	sts     *sts.Client
}

func clientsOf(s *weirtest.Server) clients {
	c := aws.Config{
		Region: "local", BaseEndpoint: aws.String("http://" + s.Addr), Retryer: func() aws.Retryer { return aws.NopRetryer{} },
		Credentials: credentials.NewStaticCredentialsProvider(s.Key.ID, s.Key.Secret, ""),
	}
	return clients{ecr.NewFromConfig(c), secretsmanager.NewFromConfig(c), sts.NewFromConfig(c)}
}

// The story of a private upstream: secret, rule, validation, pull, rotation.
func TestSecretOfARule(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{Auth: upstreamtest.Token, Users: map[string]string{"ann": "one"}, TokenLife: time.Hour})
	site := up.Listen(t)
	for i, tag := range []string{"0", "1", "2"} {
		up.Push("app", tag, upstreamtest.NewImage(uint64(i), 3000))
	}
	s := weirtest.Start(t, weirtest.Settings(site, "", ""))
	c, ctx := clientsOf(s), t.Context()

	value := func(v string) *string { return aws.String(`{"username":"ann","accessToken":"` + v + `"}`) }
	name := aws.String("ecr-pullthroughcache/corp")
	made, err := c.secrets.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: name, SecretString: value("wrong")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.ecr.CreatePullThroughCacheRule(ctx, &ecr.CreatePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("corp"), UpstreamRegistryUrl: &site.Host, CredentialArn: made.ARN}); err != nil {
		t.Fatal(err)
	}
	put := func(v *string) {
		t.Helper()
		if _, err := c.secrets.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: name, SecretString: v}); err != nil {
			t.Fatal(err)
		}
	}
	// valid checks what validation says; "" is that all is well.
	valid := func(words string) {
		t.Helper()
		out, err := c.ecr.ValidatePullThroughCacheRule(ctx, &ecr.ValidatePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("corp")})
		if err != nil {
			t.Fatal(err)
		}
		if out.IsValid != (words == "") || !strings.Contains(aws.ToString(out.Failure), words) {
			t.Errorf("valid: %t, %q; want %q", out.IsValid, aws.ToString(out.Failure), words)
		}
	}
	valid(`login as "ann"`)
	valid("401 Unauthorized (incorrect username or password)")
	if err := pull(s, "corp/app", "0"); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("pulled with a wrong secret: %v", err)
	}
	put(value("one"))
	valid("")
	if err := pull(s, "corp/app", "1"); err != nil {
		t.Error(err)
	}

	// Rotated at the upstream and here: no request with the old secret or its token.
	up.SetUser("ann", "two")
	valid("incorrect username or password")
	put(value("two"))
	up.Revoke()
	up.Forget()
	if err := pull(s, "corp/app", "2"); err != nil {
		t.Error(err)
	}
	for _, q := range up.Log() {
		if q.Status == 401 || q.Status == 403 {
			t.Errorf("refused: %s", q)
		}
	}
	valid("")

	// Not the JSON, gone, and made anew with another ARN: in words.
	put(aws.String("two"))
	valid(`the value of the secret ecr-pullthroughcache/corp is not the JSON {"username": "...", "accessToken": "..."}`)
	if _, err := c.secrets.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: name}); err != nil {
		t.Fatal(err)
	}
	valid("the secret ecr-pullthroughcache/corp is marked for deletion")
	if _, err := c.secrets.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: name, ForceDeleteWithoutRecovery: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.secrets.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: name, SecretString: value("two")}); err != nil {
		t.Fatal(err)
	}
	valid("does not exist: it was deleted, or deleted and created again")
	if err := pull(s, "corp/app", "2"); err != nil {
		t.Errorf("what is held: %v", err)
	}
	for _, secret := range []string{"wrong", `"one"`, "accessToken", "token-"} {
		if strings.Contains(s.Log.String(), secret) {
			t.Errorf("the log has %s", secret)
		}
	}
}

func TestCallerIdentity(t *testing.T) {
	s := weirtest.Start(t, "registry: {id: \"123456789012\"}\n")
	out, err := clientsOf(s).sts.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || *out.Arn != "arn:aws:iam::123456789012:root" {
		t.Errorf("%+v, %v", out, err)
	}
}

// A weir before a weir: the one in front logs in at the other as at an ECR, with AWS
// credentials, which are an access key of the other's.
func TestWeirBeforeWeir(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{})
	site := up.Listen(t)
	up.Push("app", "1", upstreamtest.NewImage(1, 3000))
	up.Push("app", "2", upstreamtest.NewImage(2, 3000))
	other := weirtest.Start(t, weirtest.Settings(site, "", ""))
	for k, v := range map[string]string{
		"AWS_ACCESS_KEY_ID": other.Key.ID, "AWS_SECRET_ACCESS_KEY": other.Key.Secret, "AWS_SESSION_TOKEN": "", "AWS_REGION": "local", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1",
		"AWS_ENDPOINT_URL_ECR": "http://" + other.Addr,
	} {
		t.Setenv(k, v)
	}
	s := weirtest.Start(t, `rules: [{prefix: aws, upstream: "`+other.Addr+`", kind: ecr, upstream_prefix: up}]
upstreams: {"`+other.Addr+`": {endpoints: ["http://`+other.Addr+`"]}}
`)
	c := clientsOf(s)
	valid := func(words string) {
		t.Helper()
		out, err := c.ecr.ValidatePullThroughCacheRule(t.Context(), &ecr.ValidatePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("aws")})
		if err != nil {
			t.Fatal(err)
		}
		if out.IsValid != (words == "") || !strings.Contains(aws.ToString(out.Failure), words) {
			t.Errorf("valid: %t, %q; want %q", out.IsValid, aws.ToString(out.Failure), words)
		}
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	valid("cannot get an authorization token from ECR with the AWS credentials of this machine: InvalidSignatureException")
	t.Setenv("AWS_SECRET_ACCESS_KEY", other.Key.Secret)
	valid("")
	if err := pull(s, "aws/app", "1"); err != nil {
		t.Fatal(err)
	}
	if err := pull(s, "aws/app", "2"); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(other.Log.String(), "ecr:GetAuthorizationToken"); n != 1 {
		t.Errorf("%d logins, want one that is kept", n)
	}
}
