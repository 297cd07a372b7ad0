package ecr_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/weir-registry/weir/internal/awsapi/ecr"
	"github.com/weir-registry/weir/internal/rule"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
	"github.com/weir-registry/weir/internal/weirtest"
)

const repositoryARN = "arn:aws:ecr:local:123456789012:repository/a/b-c"

// meaningful are members of inputs that have to be more than the model asks of them.
var meaningful = map[string]map[string]any{
	"CreateRepository":    {"repositoryName": "a/new"},
	"ListTagsForResource": {"resourceArn": repositoryARN},
	"TagResource":         {"resourceArn": repositoryARN},
	"UntagResource":       {"resourceArn": repositoryARN},

	"DescribeImageScanFindings":      {"imageId": map[string]any{"imageTag": "v1"}},
	"PutReplicationConfiguration":    {"replicationConfiguration": map[string]any{"rules": []any{}}},
	"DescribeImageReplicationStatus": {"imageId": map[string]any{"imageTag": "v1"}},

	"DescribeImageSigningStatus": {"imageId": map[string]any{"imageTag": "v1"}},
	"StartImageScan":             {"imageId": map[string]any{"imageTag": "v1"}},
	"UpdateImageStorageClass":    {"imageId": map[string]any{"imageTag": "v1"}},
	"SetRepositoryPolicy":        {"policyText": anyone},
	"PutRegistryPolicy":          {"policyText": anyone},

	"GetAccountSetting": {"name": "BLOB_MOUNTING"},
	"PutAccountSetting": {"name": "BLOB_MOUNTING", "value": "ENABLED"},
}

// call is an input of an operation that gets past all that is looked at before
// anything is read. The names in it are those of the samples.
func (m model) call(t *testing.T, op string) string {
	t.Helper()
	in := m.good(t, m.Operations[op].Input.Shape).(map[string]any)
	maps.Copy(in, meaningful[op])
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestNoRepository: every operation that is about a repository says in the same
// words that there is none.
func TestNoRepository(t *testing.T) {
	m, s := readModel(t), start(t, ecr.Options{}, nil)
	never, _ := neverAnswered()
	for _, op := range m.declaring("RepositoryNotFoundException") {
		in := m.call(t, op)
		if in == "{}" || never[answer{op, "RepositoryNotFoundException"}] { // it needs no name
			continue
		}
		status, body := s.call(t, op, in)
		const want = "The repository with name 'a/b-c' does not exist in the registry with id '123456789012'"
		if exception, message := failure(t, body); status != 400 || exception != "RepositoryNotFoundException" || message != want {
			t.Errorf("%s: %d %s", op, status, body)
		}
	}
}

// TestNoDatabase: an operation that cannot read or write says that it is weir's
// fault, and nothing of what is inside.
func TestNoDatabase(t *testing.T) {
	m, s := readModel(t), start(t, ecr.Options{}, nil)
	for op, in := range map[string]string{ // and from now on the key is known
		"CreatePullThroughCacheRule":       m.call(t, "CreatePullThroughCacheRule"),
		"CreateRepositoryCreationTemplate": m.call(t, "CreateRepositoryCreationTemplate"),
		"CreateRepository":                 `{"repositoryName":"a/b-c"}`,
	} {
		if status, body := s.call(t, op, strings.Replace(in, `"x"`, `"quay.io"`, 1)); status != 200 {
			t.Fatalf("%s: %s", op, body)
		}
	}
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	s.validate = func(ctx context.Context, r *rule.Rule) error { // for which the rule's secret is read
		_, err := s.db.Secret(ctx, "ecr-pullthroughcache/hub")
		return err
	}
	never, _ := neverAnswered()
	for _, op := range slices.Sorted(maps.Keys(m.Operations)) {
		if never[answer{op, "ServerException"}] {
			continue
		}
		in := m.call(t, op)
		if strings.HasPrefix(op, "Create") {
			in = strings.NewReplacer(`"hub"`, `"new"`, `"x"`, `"quay.io"`).Replace(in)
		}
		status, body := s.call(t, op, in)
		if exception, message := failure(t, body); status != 500 || exception != "ServerException" || len(message) > 100 {
			t.Errorf("%s: %d %s", op, status, body)
		}
	}
}

// TestEachDeclared goes for the failures that no other test is about.
func TestEachDeclared(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{})
	w := weirtest.Start(t, weirtest.Settings(up.Listen(t), "", `registry: {id: "123456789012", region: local}
ecr: {strict: true}
templates: [{prefix: declared, applied_for: [CREATE_ON_PUSH]}]
`))
	call := func(op, in string) (int, string) {
		t.Helper()
		status, body := signed(t, "http://"+w.Addr, w.Key.ID, w.Key.Secret, op, in)
		seen.read(op, []byte(body))
		return status, body
	}
	must := func(op, in string) {
		t.Helper()
		if status, body := call(op, in); status != 200 {
			t.Fatalf("%s: %s", op, body)
		}
	}
	must("CreateRepository", `{"repositoryName":"a/b-c"}`)
	for i := range 49 { // one is the configuration's
		must("CreatePullThroughCacheRule", fmt.Sprintf(`{"ecrRepositoryPrefix":"rule%d","upstreamRegistryUrl":"quay.io"}`, i))
	}
	many := make([]string, 51)
	for i := range many {
		many[i] = fmt.Sprintf(`{"Key":"k%d","Value":""}`, i)
	}
	tags := "[" + strings.Join(many, ",") + "]"
	up.Script(upstreamtest.Fault{Status: 500, Times: 100})
	const role = `"customRoleArn":"arn:aws:iam::123456789012:role/r"`
	for _, tt := range []struct{ op, in, exception string }{
		{"CreatePullThroughCacheRule", `{"ecrRepositoryPrefix":"one-more","upstreamRegistryUrl":"quay.io"}`, "LimitExceededException"},
		{"UpdatePullThroughCacheRule", `{"ecrRepositoryPrefix":"none",` + role + `}`, "PullThroughCacheRuleNotFoundException"},
		{"UpdatePullThroughCacheRule", `{"ecrRepositoryPrefix":"up",` + role + `}`, "ValidationException"},
		{"UpdatePullThroughCacheRule", `{"ecrRepositoryPrefix":"rule1","credentialArn":"arn:aws:secretsmanager:local:123456789012:secret:ecr-pullthroughcache/none-AbCdEf"}`, "SecretNotFoundException"},
		{"ValidatePullThroughCacheRule", `{"ecrRepositoryPrefix":"none"}`, "PullThroughCacheRuleNotFoundException"},
		{"CreateRepository", `{"repositoryName":"a/tags","tags":` + tags + `}`, "TooManyTagsException"},
		{"TagResource", `{"resourceArn":"` + repositoryARN + `","tags":` + tags + `}`, "TooManyTagsException"},
		{"TagResource", `{"resourceArn":"` + repositoryARN + `","tags":[{"Key":"aws:a","Value":"b"}]}`, "InvalidTagParameterException"},
		{"DeleteRepositoryCreationTemplate", `{"prefix":"none"}`, "TemplateNotFoundException"},
		{"DeleteRepositoryCreationTemplate", `{"prefix":"declared"}`, "ValidationException"},
		{"UpdateRepositoryCreationTemplate", `{"prefix":"declared","description":"d"}`, "ValidationException"},
		{"ListImageReferrers", `{"repositoryName":"up/app","subjectId":{"imageDigest":"sha256:` + strings.Repeat("0", 64) + `"}}`, "UnableToListUpstreamImageReferrersException"},
	} {
		status, body := call(tt.op, tt.in)
		if exception, _ := failure(t, body); status != 400 || exception != tt.exception {
			t.Errorf("%s %s: %d %s, want %s", tt.op, tt.in, status, body, tt.exception)
		}
	}
}

// TestMalformedImage: every operation that is about one image says the same of a digest
// that is none, and of no name at all.
func TestMalformedImage(t *testing.T) {
	m, s := readModel(t), start(t, ecr.Options{}, nil)
	s.own(t, "team/app")
	n := 0
	for _, op := range slices.Sorted(maps.Keys(m.Operations)) {
		if _, about := m.Shapes[m.Operations[op].Input.Shape].Members["imageId"]; !about {
			continue
		}
		n++
		for id, want := range map[string]string{
			`{"imageDigest":"x"}`: "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'",
			`{}`:                  "Invalid request parameters: both tag and digest cannot be null",
		} {
			status, body := s.call(t, op, `{"repositoryName":"team/app","targetStorageClass":"ARCHIVE","imageId":`+id+`}`)
			if exception, message := failure(t, body); status != 400 || exception != m.invalid(op) || message != want {
				t.Errorf("%s %s: %d %s", op, id, status, body)
			}
		}
	}
	if n < 4 {
		t.Errorf("%d operations are about one image", n)
	}
}
