package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	awsID     = "123456789012"
	awsRegion = "us-east-1"
)

// awsConfig has one rule of its own; the rest comes by the API.
const awsConfig = `listen: %[1]s
data: %[2]s/data
registry: {id: "123456789012", region: us-east-1, host: "%[1]s"}
rules:
  - {prefix: declared, upstream: registry.example.com}
upstreams:
  registry.example.com:
    endpoints: ["http://%[3]s"]
    allow_hosts: ["%[4]s", "%[5]s"]
    realms: ["http://%[5]s/token"]
replication: {destinations: [{region: eu-west-1, registry_id: "999999999999", url: "http://127.0.0.1:1"}]}
`

// newEmptyServer starts a weir that may reach the upstream and has no credential.
func newEmptyServer(t *testing.T, u *upstream) *server {
	t.Helper()
	s := &server{addr: freeAddr(t, "127.0.0.1"), dir: t.TempDir()}
	text := fmt.Sprintf(awsConfig, s.addr, s.dir, u.front.addr, u.cdn.addr, u.realmHost())
	if err := os.WriteFile(filepath.Join(s.dir, "weir.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	var err error
	if s.id, s.secret, err = readKey(filepath.Join(s.dir, "data", "credentials")); err != nil {
		t.Fatal(err)
	}
	return s
}

// What the AWS CLI prints, as far as it does not differ from run to run.
type (
	cacheRule struct {
		Prefix     string `json:"ecrRepositoryPrefix"`
		Upstream   string `json:"upstreamRegistryUrl"`
		RegistryID string `json:"registryId"`
		Credential string `json:"credentialArn"`
	}
	cacheRules struct {
		Rules []cacheRule `json:"pullThroughCacheRules"`
	}
	validation struct {
		Valid   bool   `json:"isValid"`
		Failure string `json:"failure"`
	}
	repositories struct {
		Repositories []struct {
			ARN  string `json:"repositoryArn"`
			Name string `json:"repositoryName"`
			URI  string `json:"repositoryUri"`
		} `json:"repositories"`
	}
	imageIDs struct {
		IDs []imageID `json:"imageIds"`
	}
	imageID struct {
		Digest string `json:"imageDigest"`
		Tag    string `json:"imageTag"`
	}
	imageDetails struct {
		Details []imageDetail `json:"imageDetails"`
	}
	imageDetail struct {
		Digest    string   `json:"imageDigest"`
		Tags      []string `json:"imageTags"`
		Size      int64    `json:"imageSizeInBytes"`
		MediaType string   `json:"imageManifestMediaType"`
	}
)

// createSecret makes a secret of an upstream's and returns its ARN.
func createSecret(t *testing.T, aws awsCLI, name, password string) string {
	t.Helper()
	var s struct{ ARN string }
	aws.ask(t, &s, "secretsmanager", "create-secret", "--name", "ecr-pullthroughcache/"+name, "--secret-string", credentialOf(password))
	if want := "arn:aws:secretsmanager:" + awsRegion + ":" + awsID + ":secret:ecr-pullthroughcache/" + name + "-"; !strings.HasPrefix(s.ARN, want) {
		t.Fatalf("the secret is %s, want %s and six characters", s.ARN, want)
	}
	return s.ARN
}

func credentialOf(password string) string {
	return fmt.Sprintf(`{"username":%q,"accessToken":%q}`, upstreamUser, password)
}

func (a awsCLI) validate(t *testing.T, prefix string) (v validation) {
	t.Helper()
	a.ask(t, &v, "ecr", "validate-pull-through-cache-rule", "--ecr-repository-prefix", prefix)
	return v
}

func (a awsCLI) rotate(t *testing.T, secret, password string) {
	t.Helper()
	a.text(t, "secretsmanager", "put-secret-value", "--secret-id", secret, "--secret-string", credentialOf(password))
}

// A newcomer's way by the stock AWS CLI: a secret with a slip in it, a rule, login,
// pull, look, rotate.
func TestAWSCLI(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	img := u.push(t, repo, tag, first)
	u.tag(t, repo, "v2", img)
	u.tag(t, repo, "v3", img)
	s := newEmptyServer(t, u)
	aws, d := newAWS(t, s), newDocker(t)

	secret := createSecret(t, aws, "corp", "guessed")
	want := cacheRule{"corp", "registry.example.com", awsID, secret}
	var rule cacheRule
	aws.ask(t, &rule, "ecr", "create-pull-through-cache-rule", "--ecr-repository-prefix", "corp",
		"--upstream-registry-url", "registry.example.com", "--credential-arn", secret)
	if diff := cmp.Diff(want, rule); diff != "" {
		t.Errorf("the rule (-want +got):\n%s", diff)
	}
	if v := aws.validate(t, "corp"); v.Valid || !strings.Contains(v.Failure, "registry.example.com") || !strings.Contains(v.Failure, upstreamUser) {
		t.Errorf("a rule with a wrong password: %+v", v)
	} else {
		t.Logf("a rule with a wrong password: %s", v.Failure)
	}
	if out, err := d.login(t, s.addr, "AWS", aws.loginPassword(t)); err != nil {
		t.Fatalf("docker login: %v\n%s", err, out)
	}
	refusedPull(t, d, s.ref("corp", repo+":"+tag), "registry.example.com")

	aws.rotate(t, secret, upstreamPassword)
	if diff := cmp.Diff(validation{Valid: true}, aws.validate(t, "corp")); diff != "" {
		t.Errorf("a rule with the right password (-want +got):\n%s", diff)
	}
	look(t, aws, d, s, img)

	// Another secret, and a pull that comes right after it: the token that the old one
	// was good for would still do.
	aws.rotate(t, secret, "guessed again")
	refusedPull(t, d, s.ref("corp", repo+":v2"), "registry.example.com")
	aws.rotate(t, secret, upstreamPassword)
	d.ok(t, "pull", s.ref("corp", repo+":v3"))
	for _, word := range []string{"guessed", upstreamPassword} {
		if strings.Contains(s.p.output(), word) {
			t.Errorf("the log has a password: %s", word)
		}
	}
	manage(t, aws, want)
	own(t, aws, d, s, s.ref("corp", repo+":v3"))
}

// own makes repositories and templates, pushes an image that docker has, and takes all
// of it away.
func own(t *testing.T, aws awsCLI, d *docker, s *server, image string) {
	t.Helper()
	type settings struct {
		Name       string                    `json:"repositoryName"`
		Mutability string                    `json:"imageTagMutability"`
		Exclusions []struct{ Filter string } `json:"imageTagMutabilityExclusionFilters"`
	}
	var created struct{ Repository settings }
	aws.ask(t, &created, "ecr", "create-repository", "--repository-name", "own/app", "--tags", "Key=team,Value=a")
	if diff := cmp.Diff(settings{"own/app", "MUTABLE", nil}, created.Repository); diff != "" {
		t.Errorf("the repository (-want +got):\n%s", diff)
	}
	var put settings
	aws.ask(t, &put, "ecr", "put-image-tag-mutability", "--repository-name", "own/app", "--image-tag-mutability", "IMMUTABLE_WITH_EXCLUSION",
		"--image-tag-mutability-exclusion-filters", "filterType=WILDCARD,filter=dev-*")
	if diff := cmp.Diff(settings{"own/app", "IMMUTABLE_WITH_EXCLUSION", []struct{ Filter string }{{"dev-*"}}}, put); diff != "" {
		t.Errorf("its mutability (-want +got):\n%s", diff)
	}
	var tags struct{ Tags []struct{ Key, Value string } }
	aws.ask(t, &tags, "ecr", "list-tags-for-resource", "--resource-arn", "arn:aws:ecr:"+awsRegion+":"+awsID+":repository/own/app")
	if diff := cmp.Diff([]struct{ Key, Value string }{{"team", "a"}}, tags.Tags); diff != "" {
		t.Errorf("its tags (-want +got):\n%s", diff)
	}

	d.ok(t, "tag", image, s.addr+"/pushed/app:v1")
	if out, err := d.run(t, "", "push", s.addr+"/pushed/app:v1"); err == nil || !strings.Contains(out, "pushed/app") {
		t.Errorf("a push without a repository: %v\n%s", err, out)
	}
	var template struct {
		RepositoryCreationTemplate struct {
			Prefix     string
			Mutability string `json:"imageTagMutability"`
			AppliedFor []string
		}
	}
	aws.ask(t, &template, "ecr", "create-repository-creation-template", "--prefix", "pushed", "--applied-for", "CREATE_ON_PUSH", "--image-tag-mutability", "IMMUTABLE")
	if got := template.RepositoryCreationTemplate; got.Prefix != "pushed" || got.Mutability != "IMMUTABLE" || !slices.Equal(got.AppliedFor, []string{"CREATE_ON_PUSH"}) {
		t.Errorf("the template: %+v", got)
	}
	d.ok(t, "push", s.addr+"/pushed/app:v1")
	var made struct{ Repositories []settings }
	aws.ask(t, &made, "ecr", "describe-repositories", "--repository-names", "pushed/app")
	if diff := cmp.Diff([]settings{{"pushed/app", "IMMUTABLE", nil}}, made.Repositories); diff != "" {
		t.Errorf("what the push made (-want +got):\n%s", diff)
	}

	aws.refused(t, "RepositoryNotEmptyException",
		"The repository with name 'pushed/app' in registry with id '"+awsID+"' cannot be deleted because it still contains images",
		"ecr", "delete-repository", "--repository-name", "pushed/app")
	var gone imageIDs
	aws.ask(t, &gone, "ecr", "batch-delete-image", "--repository-name", "pushed/app", "--image-ids", "imageTag=v1")
	if len(gone.IDs) != 1 || gone.IDs[0].Tag != "v1" || gone.IDs[0].Digest == "" {
		t.Errorf("batch-delete-image: %+v", gone)
	}
	aws.text(t, "ecr", "delete-repository", "--repository-name", "pushed/app", "--force")
	aws.text(t, "ecr", "delete-repository", "--repository-name", "own/app")
	aws.text(t, "ecr", "delete-repository-creation-template", "--prefix", "pushed")
	aws.refused(t, "RepositoryNotFoundException", "The repository with name 'own/app' does not exist in the registry with id '"+awsID+"'",
		"ecr", "delete-repository", "--repository-name", "own/app")
}

// refusedPull pulls what the upstream does not give, and looks at how docker puts it.
func refusedPull(t *testing.T, d *docker, ref, say string) {
	t.Helper()
	out, err := d.pull(t, ref)
	if err == nil || !strings.Contains(out, say) {
		t.Errorf("pull %s: %v; want it to say %q:\n%s", ref, err, say, out)
		return
	}
	t.Logf("a pull that the upstream refuses: %s", strings.TrimSpace(out))
}

// look pulls, and asks ECR's API what came.
func look(t *testing.T, aws awsCLI, d *docker, s *server, img *pushed) {
	t.Helper()
	d.ok(t, "pull", s.ref("corp", repo+":"+tag))
	if got := strings.TrimSpace(d.runImage(t, s.ref("corp", repo+":"+tag))); got != first {
		t.Errorf("the image prints %q, want %q", got, first)
	}
	var repos repositories
	aws.ask(t, &repos, "ecr", "describe-repositories")
	if len(repos.Repositories) != 1 || repos.Repositories[0].Name != "corp/"+repo ||
		repos.Repositories[0].ARN != "arn:aws:ecr:"+awsRegion+":"+awsID+":repository/corp/"+repo {
		t.Fatalf("repositories: %+v", repos.Repositories)
	}
	// The URI is good for docker as it is.
	if out := d.ok(t, "pull", repos.Repositories[0].URI+":"+tag); !strings.Contains(out, img.index) {
		t.Errorf("by repositoryUri came another image than %s:\n%s", img.index, out)
	}
	var ids imageIDs
	aws.ask(t, &ids, "ecr", "list-images", "--repository-name", "corp/"+repo)
	wantIDs := []imageID{{img.index, tag}, {img.child, ""}}
	slices.SortFunc(wantIDs, func(a, b imageID) int { return strings.Compare(a.Digest, b.Digest) })
	if diff := cmp.Diff(wantIDs, ids.IDs); diff != "" {
		t.Errorf("list-images (-want +got):\n%s", diff)
	}
	var images imageDetails
	aws.ask(t, &images, "ecr", "describe-images", "--repository-name", "corp/"+repo, "--image-ids", "imageTag="+tag)
	if len(images.Details) != 1 || images.Details[0].Size < img.size-16<<10 || images.Details[0].Size > img.size {
		t.Fatalf("describe-images: %+v, want a size like %d", images.Details, img.size)
	}
	images.Details[0].Size = 0
	wantDetails := []imageDetail{{Digest: img.index, Tags: []string{tag}, MediaType: "application/vnd.oci.image.index.v1+json"}}
	if diff := cmp.Diff(wantDetails, images.Details); diff != "" {
		t.Errorf("describe-images (-want +got):\n%s", diff)
	}
}

// manage lists, changes and deletes the rule.
func manage(t *testing.T, aws awsCLI, rule cacheRule) {
	t.Helper()
	var rules cacheRules
	aws.ask(t, &rules, "ecr", "describe-pull-through-cache-rules")
	if diff := cmp.Diff([]cacheRule{rule, {"declared", rule.Upstream, awsID, ""}}, rules.Rules); diff != "" {
		t.Errorf("the rules (-want +got):\n%s", diff)
	}
	other := createSecret(t, aws, "other", upstreamPassword)
	var updated cacheRule
	aws.ask(t, &updated, "ecr", "update-pull-through-cache-rule", "--ecr-repository-prefix", rule.Prefix, "--credential-arn", other)
	if updated.Credential != other {
		t.Errorf("the rule has the credential %s, want %s", updated.Credential, other)
	}
	var deleted cacheRule
	aws.ask(t, &deleted, "ecr", "delete-pull-through-cache-rule", "--ecr-repository-prefix", rule.Prefix)
	rule.Credential = other
	if diff := cmp.Diff(rule, deleted); diff != "" {
		t.Errorf("the deleted rule (-want +got):\n%s", diff)
	}
	aws.refused(t, "PullThroughCacheRuleNotFoundException",
		"The pull through cache rule with the prefix 'corp' does not exist for the private registry with id '"+awsID+"'.",
		"ecr", "describe-pull-through-cache-rules", "--ecr-repository-prefixes", rule.Prefix)
}

// What newcomers run into, in the words that they see.
func TestAWSCLIRefuses(t *testing.T) {
	t.Parallel()
	s := newEmptyServer(t, newUpstream(t))
	root := newAWS(t, s)
	var me struct{ Account, Arn, UserID string }
	root.ask(t, &me, "sts", "get-caller-identity")
	if me.Account != awsID || me.Arn != "arn:aws:iam::"+awsID+":root" {
		t.Errorf("the root key is %+v", me)
	}
	arn := "arn:aws:secretsmanager:" + awsRegion + ":" + awsID + ":secret:"
	create := func(prefix string, more ...string) []string {
		return append([]string{"ecr", "create-pull-through-cache-rule", "--ecr-repository-prefix", prefix,
			"--upstream-registry-url", "registry.example.com"}, more...)
	}
	root.text(t, create("corp")...)
	for _, c := range []struct {
		name               string
		aws                awsCLI
		exception, message string
		args               []string
	}{
		{"rule exists", root, "PullThroughCacheRuleAlreadyExistsException",
			"A pull through cache rule with the prefix 'corp' already exists for the private registry with id '123456789012'.",
			create("corp")},
		{"rule of the configuration", root, "ValidationException",
			"The pull through cache rule with the prefix 'declared' is managed by configuration: it is changed under rules in weir's configuration file.",
			[]string{"ecr", "delete-pull-through-cache-rule", "--ecr-repository-prefix", "declared"}},
		{"rule unknown", root, "PullThroughCacheRuleNotFoundException",
			"The pull through cache rule with the prefix 'nosuch' does not exist for the private registry with id '123456789012'.",
			[]string{"ecr", "validate-pull-through-cache-rule", "--ecr-repository-prefix", "nosuch"}},
		{"credential unknown", root, "SecretNotFoundException",
			"The ARN of the secret specified in the pull through cache rule was not found. Update the pull through cache rule with a valid secret ARN and try again.",
			create("other", "--credential-arn", arn+"ecr-pullthroughcache/nosuch-AbCdEf")},
		{"secret exists not", root, "ResourceNotFoundException",
			"Secrets Manager can't find the specified secret.",
			[]string{"secretsmanager", "get-secret-value", "--secret-id", "ecr-pullthroughcache/nosuch"}},
		{"secret for something else", root, "InvalidParameterException",
			"Invalid name. weir keeps the secrets of upstreams and no others: their names begin with ecr-pullthroughcache/.",
			[]string{"secretsmanager", "create-secret", "--name", "corp", "--secret-string", "{}"}},
		{"repository unknown", root, "RepositoryNotFoundException",
			"The repository with name 'corp/nosuch' does not exist in the registry with id '123456789012'",
			[]string{"ecr", "describe-images", "--repository-name", "corp/nosuch"}},
		{"key unknown", root.with("AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY=wrong"), "UnrecognizedClientException",
			"The security token included in the request is invalid.",
			[]string{"ecr", "describe-repositories"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.aws.refused(t, c.exception, c.message, c.args...)
		})
	}
	t.Run("secret key wrong", func(t *testing.T) {
		out, err := root.with("AWS_ACCESS_KEY_ID="+s.id, "AWS_SECRET_ACCESS_KEY=wrong").try(t, "ecr", "get-login-password")
		want := "An error occurred (InvalidSignatureException) when calling the GetAuthorizationToken operation: The request signature we calculated " +
			"does not match the signature you provided. Check your AWS Secret Access Key and signing method."
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("%v\ngot  %s\nwant %s", err, out, want)
		}
	})
}
