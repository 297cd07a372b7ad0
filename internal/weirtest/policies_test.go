package weirtest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/app"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
	"github.com/weir-registry/weir/internal/weirtest"
)

// guarded is a weir with users, each with an access key.
type guarded struct {
	*weirtest.Server
	root clients
}

// user makes a user with a policy document, "" for none, and returns who asks with the
// user's key.
func (g *guarded) user(t *testing.T, name, document string) *weirtest.Server {
	t.Helper()
	call := func(op string, in any) (out struct {
		Key             struct{ AccessKeyID string }
		SecretAccessKey string
	}) {
		t.Helper()
		body, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		status, text := signedCall(t, g.Server, "Weir_20261125."+op, string(body))
		if status != 200 {
			t.Fatalf("%s: %d %s", op, status, text)
		}
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	call("CreateUser", map[string]string{"userName": name})
	if document != "" {
		call("PutUserPolicy", map[string]string{"userName": name, "policyName": "own", "policyDocument": document})
	}
	k := call("CreateKey", map[string]string{"userName": name})
	return g.As(app.Key{ID: k.Key.AccessKeyID, Secret: k.SecretAccessKey})
}

func (g *guarded) set(t *testing.T, repo string, statements ...string) {
	t.Helper()
	_, err := g.root.ecr.SetRepositoryPolicy(t.Context(), &ecr.SetRepositoryPolicyInput{RepositoryName: &repo, PolicyText: aws.String(policy(statements...))})
	if err != nil {
		t.Fatal(err)
	}
}

func (g *guarded) setRegistry(t *testing.T, statements ...string) {
	t.Helper()
	if _, err := g.root.ecr.PutRegistryPolicy(t.Context(), &ecr.PutRegistryPolicyInput{PolicyText: aws.String(policy(statements...))}); err != nil {
		t.Fatal(err)
	}
}

func policy(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

// about is a statement about one user of the registry.
func about(effect, user, actions, more string) string {
	return fmt.Sprintf(`{"Sid":"%s %s","Effect":%q,"Principal":{"AWS":"arn:aws:iam::123456789012:user/%s"},"Action":["%s"]%s}`,
		effect, user, effect, user, strings.ReplaceAll(actions, " ", `","`), more)
}

// image pushes an image of one layer as s's user, and returns what the pushes answered:
// the last is the manifest's.
func image(t *testing.T, s *weirtest.Server, repo, tag, layer string) (d digest.Digest, last pushed) {
	t.Helper()
	blob := func(content string) string {
		d := digest.FromString(content)
		last = push(t, s, "POST", "/v2/"+repo+"/blobs/uploads/?digest="+string(d), content)
		return fmt.Sprintf(`"digest":%q,"size":%d}`, d, len(content))
	}
	config := blob(`{"layer":"` + layer + `"}`)
	if last.StatusCode != 201 {
		return "", last
	}
	manifest := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json",` +
		config + `,"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip",` + blob(layer) + `]}`
	last = push(t, s, "PUT", "/v2/"+repo+"/manifests/"+tag, manifest, "Content-Type", "application/vnd.oci.image.manifest.v1+json")
	return digest.FromString(layer), last
}

func guard(t *testing.T) (*guarded, *upstreamtest.Registry) {
	t.Helper()
	up := upstreamtest.New(upstreamtest.Options{})
	s := weirtest.Start(t, weirtest.Settings(up.Listen(t), "", `registry: {id: "123456789012", region: local}
templates:
  - {prefix: team, applied_for: [CREATE_ON_PUSH]}
  - prefix: up
    applied_for: [PULL_THROUGH_CACHE]
    repository_policy: |
      `+policy(about("Allow", "gina", reads, ""))+`
`))
	return &guarded{s, clientsOf(s)}, up
}

const reads = "ecr:BatchGetImage ecr:GetDownloadUrlForLayer"

// TestRepositoryPolicy: who may pull, may not, and may push by nothing but a
// repository's policy, on both faces.
func TestRepositoryPolicy(t *testing.T) {
	g, _ := guard(t)
	ann, dora := g.user(t, "ann", ""), g.user(t, "dora", "")
	bob := g.user(t, "bob", policy(`{"Effect":"Allow","Action":"ecr:*","Resource":"*"}`))
	layer, last := image(t, g.Server, "team/app", "1", "the layer")
	last.want(t, "root's push", 201, "")
	other, last := image(t, g.Server, "team/base", "1", "the base")
	last.want(t, "root's other push", 201, "")
	manifest, blob := "/v2/team/app/manifests/1", "/v2/team/app/blobs/"+string(layer)

	push(t, ann, "GET", manifest, "").want(t, "before", 403, "DENIED")
	push(t, bob, "GET", manifest, "").want(t, "before, by a policy of one's own", 200, "")
	g.set(t, "team/app", about("Allow", "ann", reads+" ecr:DescribeRepositories ecr:DescribeImages", ""), about("Deny", "bob", "ecr:*", ""),
		about("Allow", "dora", "ecr:InitiateLayerUpload ecr:UploadLayerPart ecr:CompleteLayerUpload ecr:PutImage", ""))
	push(t, ann, "GET", manifest, "").want(t, "pull", 200, "")
	push(t, ann, "GET", blob, "").want(t, "pull of a layer", 200, "")
	push(t, ann, "HEAD", blob, "").want(t, "HEAD of a layer", 200, "")
	push(t, ann, "GET", "/v2/team/base/manifests/1", "").want(t, "pull elsewhere", 403, "DENIED")
	_, last = image(t, ann, "team/app", "2", "x")
	last.want(t, "push of who may pull", 403, "DENIED")
	push(t, bob, "HEAD", blob, "").want(t, "HEAD of who is denied", 403, "")
	denied := push(t, bob, "GET", manifest, "").want(t, "pull of who is denied", 403, "DENIED")
	const sentence = "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: ecr:BatchGetImage on resource: arn:aws:ecr:local:123456789012:repository/team/app with an explicit deny in a resource-based policy"
	if denied.message != sentence {
		t.Errorf("bob was told %q", denied.message)
	}
	if reason := `statement \"Deny bob\" of the policy of repository team/app denies it`; !strings.Contains(g.Log.String(), reason) {
		t.Errorf("the log does not say %s", reason)
	}

	// Lists, and ECR's face.
	catalog := func(s *weirtest.Server) (names []string) {
		t.Helper()
		resp, err := s.Try("GET", "/v2/_catalog", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		var list struct{ Repositories []string }
		if err := json.Unmarshal(text, &list); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != 200 {
			return []string{resp.Status}
		}
		return list.Repositories
	}
	for who, tt := range map[string]struct {
		s    *weirtest.Server
		want []string
	}{"ann": {ann, []string{"team/app"}}, "bob": {bob, []string{"team/base"}}, "dora": {dora, []string{"403 Forbidden"}}, "root": {g.Server, []string{"team/app", "team/base"}}} {
		if d := cmp.Diff(tt.want, catalog(tt.s)); d != "" {
			t.Errorf("catalog of %s (-want +got):\n%s", who, d)
		}
	}
	describe := func(s *weirtest.Server, names ...string) string {
		t.Helper()
		_, err := clientsOf(s).ecr.DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{RepositoryNames: names})
		return codeOf(err)
	}
	got := []string{describe(ann, "team/app"), describe(ann, "team/app", "team/base"), describe(ann), describe(bob, "team/app"), describe(bob, "team/base")}
	if want := []string{"", "AccessDeniedException", "AccessDeniedException", "AccessDeniedException", ""}; !slices.Equal(want, got) {
		t.Errorf("DescribeRepositories: %q, want %q", got, want)
	}

	// A push by the policy alone, and a mount: only from where one may read.
	_, last = image(t, dora, "team/app", "2", "dora's layer")
	last.want(t, "push", 201, "")
	mount := "/v2/team/app/blobs/uploads/?mount=" + string(other)
	push(t, dora, "POST", mount+"&from=team/base", "").want(t, "mount from where dora may not read", 202, "")
	push(t, dora, "POST", mount, "").want(t, "mount from any of these", 202, "")
	g.set(t, "team/base", about("Allow", "dora", "ecr:GetDownloadUrlForLayer", ""))
	push(t, dora, "POST", mount, "").want(t, "mount from any", 201, "")

	// What decides on a pull is told to who may see the policy.
	const question = `{"repositoryName":"team/app","reference":"1","userName":"bob"}`
	status, text := signedCall(t, g.Server, "Weir_20261125.Explain", question)
	if want := `{"action":"ecr:BatchGetImage","allowed":false,"reason":"statement \"Deny bob\" of the policy of repository team/app denies it"}`; status != 200 || !strings.Contains(text, want) {
		t.Errorf("explained: %d %s", status, text)
	}
	if status, text = signedCall(t, ann, "Weir_20261125.Explain", question); status != 400 || !strings.Contains(text, "iam:SimulatePrincipalPolicy") {
		t.Errorf("explained to ann: %d %s", status, text)
	}

	// Nobody is let in by a Principal of everybody; a user is.
	g.set(t, "team/app", `{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}`)
	push(t, dora, "GET", manifest, "").want(t, "everybody", 200, "")
	resp, err := http.Get("http://" + g.Addr + manifest)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 401 {
		t.Errorf("without a login: %s", resp.Status)
	}
	g.set(t, "team/app", `{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"ecr:BatchGetImage"}`)
	push(t, dora, "GET", manifest, "").want(t, "the account", 403, "DENIED")
	push(t, bob, "GET", manifest, "").want(t, "the account, and a policy of one's own", 200, "")
}

// codeOf is the exception that the SDK found in an answer, "" for none.
func codeOf(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// TestRegistryPolicy: a pull through a rule by nothing but the registry's policy, as in
// AWS's guide; root behind a deny; and rules by it.
func TestRegistryPolicy(t *testing.T) {
	g, up := guard(t)
	up.Push("app", "1", upstreamtest.NewImage(1, 1000))
	up.Push("app", "2", upstreamtest.NewImage(2, 1000))
	eve, frank := g.user(t, "eve", ""), g.user(t, "frank", "")
	const one, two = "/v2/up/app/manifests/1", "/v2/up/app/manifests/2"
	resource := `,"Resource":"arn:aws:ecr:local:123456789012:repository/up/*"`
	push(t, eve, "GET", one, "").want(t, "before", 403, "DENIED")
	g.setRegistry(t, about("Allow", "frank", reads, resource), about("Allow", "eve", reads+" ecr:BatchImportUpstreamImage", resource))
	push(t, frank, "GET", one, "").want(t, "pull of what is not held, without the right to import", 403, "DENIED")
	if n := len(up.Requests()); n != 0 {
		t.Errorf("%d requests to the upstream", n)
	}
	if err := pull(eve, "up/app", "1"); err != nil {
		t.Errorf("pull: %v", err)
	}
	push(t, frank, "GET", one, "").want(t, "pull of what is held", 200, "")
	push(t, eve, "GET", "/v2/other/app/manifests/1", "").want(t, "elsewhere", 403, "DENIED")
	push(t, g.user(t, "gina", ""), "GET", one, "").want(t, "by the policy of the template that the pull was by", 200, "")

	// A repository's policy may let one import, too, and the registry's may deny it.
	g.set(t, "up/app", about("Allow", "frank", "ecr:BatchImportUpstreamImage", ""))
	push(t, frank, "GET", two, "").want(t, "import by the repository's policy", 200, "")
	g.setRegistry(t, about("Allow", "frank", reads, resource), about("Deny", "frank", "ecr:*", `,"Resource":"*","Condition":{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`))
	push(t, frank, "GET", two, "").want(t, "from another network", 403, "DENIED")

	// Actions on the registry itself.
	create := func(s *weirtest.Server, prefix string) string {
		_, err := clientsOf(s).ecr.CreatePullThroughCacheRule(t.Context(), &ecr.CreatePullThroughCacheRuleInput{EcrRepositoryPrefix: &prefix, UpstreamRegistryUrl: aws.String("quay.io")})
		return codeOf(err)
	}
	scope := func(value string) {
		t.Helper()
		in := &ecr.PutAccountSettingInput{Name: aws.String("REGISTRY_POLICY_SCOPE"), Value: &value}
		if _, err := g.root.ecr.PutAccountSetting(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	g.setRegistry(t, about("Allow", "eve", "ecr:CreatePullThroughCacheRule ecr:BatchGetImage ecr:CreateRepository", `,"Resource":"*"`))
	scope("V1")
	got := []string{create(eve, "quay")}
	push(t, eve, "GET", one, "").want(t, "in the old scope", 403, "DENIED")
	_, err := clientsOf(eve).ecr.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("eves")})
	got = append(got, codeOf(err))
	scope("V2")
	got = append(got, create(eve, "quay"), create(frank, "quay2"))
	if want := []string{"AccessDeniedException", "", "", "AccessDeniedException"}; !slices.Equal(want, got) {
		t.Errorf("by the registry's policy: %q, want %q", got, want)
	}

	// Root is denied like everybody, and has the way out.
	g.setRegistry(t, `{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}`)
	push(t, g.Server, "GET", one, "").want(t, "root", 403, "DENIED")
	if got := create(g.Server, "more"); got != "AccessDeniedException" {
		t.Errorf("root creates a rule: %q", got)
	}
	if _, err := g.root.ecr.DeleteRegistryPolicy(t.Context(), &ecr.DeleteRegistryPolicyInput{}); err != nil {
		t.Fatal(err)
	}
	push(t, g.Server, "GET", one, "").want(t, "root then", 200, "")
}

// TestLockOut: a policy that would keep its author from setting another one is refused
// unless force is set; and policies of templates and conditions on tags decide.
func TestLockOut(t *testing.T) {
	g, _ := guard(t)
	bob := g.user(t, "bob", policy(`{"Effect":"Allow","Action":"ecr:*","Resource":"*"}`))
	client, name := clientsOf(bob).ecr, aws.String("team/app")
	ctx := t.Context()
	create := func(tags ...types.Tag) string {
		_, err := client.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: name, Tags: tags})
		return codeOf(err)
	}
	set := func(text string, force bool) error {
		_, err := client.SetRepositoryPolicy(ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: name, PolicyText: &text, Force: force})
		return err
	}
	if got := create(); got != "" {
		t.Fatal(got)
	}
	lock := policy(about("Deny", "bob", "ecr:SetRepositoryPolicy", ""))
	err := set(lock, false)
	if codeOf(err) != "InvalidParameterException" || !strings.Contains(err.Error(), "'Invalid repository policy provided': it would keep you from setting another one") {
		t.Errorf("a policy that locks its author out: %v", err)
	}
	_, err = client.GetRepositoryPolicy(ctx, &ecr.GetRepositoryPolicyInput{RepositoryName: name})
	if codeOf(err) != "RepositoryPolicyNotFoundException" {
		t.Errorf("it was set: %v", err)
	}
	if err := set(policy(about("Deny", "bob", "ecr:PutImage", "")), false); err != nil {
		t.Errorf("one that does not: %v", err)
	}
	if err := set(lock, true); err != nil {
		t.Errorf("with force: %v", err)
	}
	if got := codeOf(set(lock, true)); got != "AccessDeniedException" {
		t.Errorf("after that: %q", got)
	}
	if _, err := g.root.ecr.DeleteRepositoryPolicy(ctx, &ecr.DeleteRepositoryPolicyInput{RepositoryName: name}); err != nil {
		t.Error(err)
	}
	if err := set(policy(about("Deny", "bob", "ecr:PutImage", "")), false); err != nil {
		t.Errorf("after root's help: %v", err)
	}

	// What a template gives is that of what a push makes. Tags of the repository decide.
	red := types.Tag{Key: aws.String("Team"), Value: aws.String("red")}
	ann := g.user(t, "ann", "")
	_, err = g.root.ecr.CreateRepositoryCreationTemplate(ctx, &ecr.CreateRepositoryCreationTemplateInput{
		Prefix: aws.String("shared"), AppliedFor: []types.RCTAppliedFor{types.RCTAppliedForCreateOnPush},
		RepositoryPolicy: aws.String(policy(about("Allow", "ann", reads, `,"Condition":{"StringEquals":{"ecr:ResourceTag/team":"red"}}`))),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, last := image(t, g.Server, "shared/app", "1", "x")
	last.want(t, "push", 201, "")
	push(t, ann, "GET", "/v2/shared/app/manifests/1", "").want(t, "without the tag", 403, "DENIED")
	arn := aws.String("arn:aws:ecr:local:123456789012:repository/shared/app")
	if _, err := g.root.ecr.TagResource(ctx, &ecr.TagResourceInput{ResourceArn: arn, Tags: []types.Tag{red}}); err != nil {
		t.Fatal(err)
	}
	push(t, ann, "GET", "/v2/shared/app/manifests/1", "").want(t, "with the tag", 200, "")
	if _, err := g.root.ecr.UntagResource(ctx, &ecr.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"Team"}}); err != nil {
		t.Fatal(err)
	}
	push(t, ann, "GET", "/v2/shared/app/manifests/1", "").want(t, "the tag is gone", 403, "DENIED")

	// A deny by a key that no request has here is taken, and warned of.
	pasted := policy(`{"Sid":"Pasted","Effect":"Deny","Principal":"*","Action":"ecr:PutImage","Condition":{"StringNotEquals":{"aws:sourceVpce":"vpce-1"}}}`)
	if err := set(pasted, false); err != nil {
		t.Error(err)
	}
	if want := "statement Pasted of the policy of repository team/app denies whatever the condition StringNotEquals aws:sourceVpce says"; !strings.Contains(g.Log.String(), want) {
		t.Errorf("the log does not say %q", want)
	}

	// Tags that a request gives decide on the request.
	g.setRegistry(t, `{"Effect":"Deny","Principal":"*","Action":["ecr:CreateRepository","ecr:TagResource"],"Resource":"*","Condition":{"StringNotEquals":{"aws:RequestTag/Team":"red"}}}`)
	name = aws.String("team/tagged")
	if got := create(); got != "AccessDeniedException" {
		t.Errorf("created without a tag: %q", got)
	}
	if got := create(types.Tag{Key: aws.String("Team"), Value: aws.String("blue")}); got != "AccessDeniedException" {
		t.Errorf("created with another tag: %q", got)
	}
	if got := create(red); got != "" {
		t.Errorf("created with the tag: %q", got)
	}
}

// signedCall calls an operation of ECR's or of weir's own by its target with s's key.
func signedCall(t *testing.T, s *weirtest.Server, target, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+s.Addr+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", target)
	service := "weir"
	if strings.HasPrefix(target, "AmazonEC2") {
		service = "ecr"
	}
	sum := sha256.Sum256([]byte(body))
	key := aws.Credentials{AccessKeyID: s.Key.ID, SecretAccessKey: s.Key.Secret}
	if err := v4.NewSigner().SignHTTP(t.Context(), key, req, hex.EncodeToString(sum[:]), service, "local", time.Now()); err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
