package weir_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/auth"
	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/awsapi/weir"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/registry"
	"github.com/weir-registry/weir/internal/rule"
	"github.com/weir-registry/weir/internal/seal"
	"github.com/weir-registry/weir/internal/vfs/vfstest"
)

var (
	oldImage = digest.FromString("old")
	newImage = digest.FromString("new")
	at       = time.Date(2026, 11, 25, 9, 0, 0, 5e8, time.UTC)
)

// script is a registry that answers what it is told.
type script struct {
	explanation registry.Explanation
	result      registry.CheckResult
	events      []registry.LifecycleEvent
	err         error
	calls       []string
	folk        folk
}

func (s *script) Explain(_ context.Context, c iam.Caller, repo string, ref oci.Reference) (registry.Explanation, error) {
	s.calls = append(s.calls, fmt.Sprintf("explain %s %+v by %s", repo, ref, c.Name))
	return s.explanation, s.err
}

func (s *script) PullDecisions(_ context.Context, c iam.Caller, repo string, who iam.Caller) ([]registry.Decision, error) {
	s.calls = append(s.calls, fmt.Sprintf("decisions %s of %s by %s", repo, who.Name, c.Name))
	return []registry.Decision{{Action: "ecr:BatchGetImage", Allowed: true, Reason: "a allows it"}, {Action: "ecr:BatchImportUpstreamImage", Reason: "b denies it"}}, nil
}

func (s *script) Check(_ context.Context, c iam.Caller, repo, tag string) (registry.CheckResult, error) {
	s.calls = append(s.calls, fmt.Sprintf("check %s %s by %s", repo, tag, c.Name))
	return s.result, s.err
}

func (s *script) LifecycleEvents(_ context.Context, c iam.Caller, repo string, before int64, limit int) ([]registry.LifecycleEvent, error) {
	s.calls = append(s.calls, fmt.Sprintf("events of %s before %d, %d, by %s", repo, before, limit, c.Name))
	return s.events, s.err
}

// keys is access keys in memory.
type keys map[string]meta.Key

func (k keys) Key(_ context.Context, id string) (meta.Key, error) {
	key, ok := k[id]
	if !ok {
		return meta.Key{}, fmt.Errorf("no key %s", id)
	}
	return key, nil
}
func (k keys) PutKey(_ context.Context, key meta.Key) error { k[key.ID] = key; return nil }

// call calls an operation as a client does, signed for service.
func call(t *testing.T, s *script, operation, service, in string) (int, string) {
	t.Helper()
	sealed, err := seal.Open(vfstest.NewMem(nil), "keys")
	if err != nil {
		t.Fatal(err)
	}
	const id, secret = "AKIATEST", "secret"
	who := auth.New(keys{id: {ID: id, Principal: "root", Root: true, Active: true, Sealed: sealed.Seal([]byte(secret), []byte("access key "+id))}}, sealed, auth.Options{})
	srv := httptest.NewServer(awsapi.New(awsapi.Options{Auth: who, Logger: slog.New(slog.DiscardHandler)}, weir.Scripted(s, &s.folk)))
	defer srv.Close()
	req, err := http.NewRequest("POST", srv.URL+"/", strings.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", operation)
	sum := sha256.Sum256([]byte(in))
	if err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}, req, hex.EncodeToString(sum[:]), service, "local", time.Now()); err != nil {
		t.Fatal(err)
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b strings.Builder
	if err := resp.Write(&b); err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(b.String(), "\r\n\r\n")
	return resp.StatusCode, body
}

func TestOperations(t *testing.T) {
	full := registry.Explanation{
		Repository: "hub/library/nginx", Reference: "1", Rule: "hub", Upstream: "registry-1.docker.io/library/nginx", HeldOnly: "switched off",
		Held: true, Digest: newImage, Complete: oldImage, Fresh: true, Fixed: true, Orphaned: true, Checked: at, Next: at.Add(time.Hour), Away: "refused",
		Missing: []oci.Edge{{Kind: oci.EdgeLayer, Descriptor: oci.Descriptor{Digest: oldImage, Size: 7}}},
		History: []rule.Move{{From: oldImage, To: newImage, At: at}, {To: oldImage, At: at}},
	}
	tests := []struct {
		name, operation, service, in string
		script                       script
		status                       int
		want                         string
		calls                        []string
	}{
		{
			name: "explain, everything", operation: "Weir_20261125.Explain", service: "ecr",
			in:     `{"repositoryName":"hub/nginx","reference":"1"}`,
			script: script{explanation: full},
			status: 200,
			want: `{"repositoryName":"hub/library/nginx","reference":"1","rule":"hub","upstream":"registry-1.docker.io/library/nginx","heldOnly":"switched off",` +
				`"held":true,"imageDigest":"` + string(newImage) + `","completeDigest":"` + string(oldImage) + `","missing":[{"kind":"layer","digest":"` + string(oldImage) + `","size":7}],` +
				`"fresh":true,"fixed":true,"orphaned":true,"checkedAt":1795597200.500,"nextCheckAt":1795600800.500,"away":"refused",` +
				`"history":[{"from":"` + string(oldImage) + `","to":"` + string(newImage) + `","at":1795597200.500},{"to":"` + string(oldImage) + `","at":1795597200.500}]}`,
			calls: []string{"explain hub/nginx 1 by root"},
		},
		{
			name: "explain, nothing held", operation: "Weir_20261125.Explain", service: "weir",
			in:     `{"repositoryName":"hub/nginx","reference":"` + string(newImage) + `"}`,
			script: script{explanation: registry.Explanation{Repository: "hub/library/nginx", Reference: string(newImage), Rule: "hub", Upstream: "registry-1.docker.io/library/nginx"}},
			status: 200,
			want:   `{"repositoryName":"hub/library/nginx","reference":"` + string(newImage) + `","rule":"hub","upstream":"registry-1.docker.io/library/nginx","held":false,"fresh":false,"fixed":false,"orphaned":false}`,
			calls:  []string{"explain hub/nginx " + string(newImage) + " by root"},
		},
		{
			name: "explain, for a user", operation: "Weir_20261125.Explain", service: "ecr",
			in:     `{"repositoryName":"own","reference":"1","userName":"ci"}`,
			script: script{explanation: registry.Explanation{Repository: "own", Reference: "1"}},
			status: 200,
			want: `{"repositoryName":"own","reference":"1","rule":"","upstream":"","held":false,"fresh":false,"fixed":false,"orphaned":false,` +
				`"decisions":[{"action":"ecr:BatchGetImage","allowed":true,"reason":"a allows it"},{"action":"ecr:BatchImportUpstreamImage","allowed":false,"reason":"b denies it"}]}`,
			calls: []string{"explain own 1 by root", "decisions own of ci by root"},
		},
		{
			name: "explain, bad reference", operation: "Weir_20261125.Explain", service: "ecr",
			in:     `{"repositoryName":"hub/nginx","reference":"a b"}`,
			status: 400, want: `{"__type":"InvalidParameterException","message":"tag \"a b\" is malformed: up to 128 letters, digits, '_', '.' and '-', not starting with '.' or '-'"}`,
		},
		{
			name: "explain, refused", operation: "Weir_20261125.Explain", service: "ecr",
			in:     `{"repositoryName":"hub/nginx","reference":"1"}`,
			script: script{err: errs.New(errs.Denied, "User: ann is not authorized")},
			status: 400, want: `{"__type":"AccessDeniedException","message":"User: ann is not authorized"}`,
			calls: []string{"explain hub/nginx 1 by root"},
		},
		{
			name: "check, moved", operation: "Weir_20261125.CheckNow", service: "ecr",
			in:     `{"repositoryName":"hub/nginx","reference":"1"}`,
			script: script{result: registry.CheckResult{Digest: newImage, Was: oldImage, Moved: true, At: at}},
			status: 200, want: `{"imageDigest":"` + string(newImage) + `","previousDigest":"` + string(oldImage) + `","moved":true,"blocked":false,"checkedAt":1795597200.500}`,
			calls: []string{"check hub/nginx 1 by root"},
		},
		{
			name: "check, new", operation: "Weir_20261125.CheckNow", service: "ecr",
			in:     `{"repositoryName":"hub/nginx","reference":"1"}`,
			script: script{result: registry.CheckResult{Digest: newImage, Moved: true, At: at}},
			status: 200, want: `{"imageDigest":"` + string(newImage) + `","moved":true,"blocked":false,"checkedAt":1795597200.500}`,
			calls: []string{"check hub/nginx 1 by root"},
		},
		{
			name: "check, upstream away", operation: "Weir_20261125.CheckNow", service: "ecr",
			in:     `{"repositoryName":"hub/nginx","reference":"1"}`,
			script: script{err: errs.New(errs.UpstreamTimeout, "registry-1.docker.io: no answer in 30s")},
			status: 400, want: `{"__type":"UnableToGetUpstreamImageException","message":"registry-1.docker.io: no answer in 30s"}`,
			calls: []string{"check hub/nginx 1 by root"},
		},
		{
			name: "ECR's", operation: "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken", service: "ecr", in: "{}",
			status: 400,
			want:   `{"__type":"UnknownOperationException","message":"The operation AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken does not exist. There are those of Weir_20261125."}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, body := call(t, &tt.script, tt.operation, tt.service, tt.in)
			if status != tt.status {
				t.Errorf("status %d, want %d", status, tt.status)
			}
			if d := cmp.Diff(tt.want, body); d != "" {
				t.Errorf("body (-want +got):\n%s", d)
			}
			if d := cmp.Diff(tt.calls, tt.script.calls); d != "" {
				t.Errorf("calls (-want +got):\n%s", d)
			}
		})
	}
}
