package ecr_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/awsapi/ecr"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/registry"
	"github.com/weir-registry/weir/internal/rule"
)

// script answers everything with an error, or with little if that is nil.
type script struct{ err error }

func (s *script) CreateRepository(context.Context, iam.Caller, registry.NewRepository) (registry.Repository, error) {
	return registry.Repository{}, s.err
}

func (s *script) DeleteRepository(context.Context, iam.Caller, string, bool) (registry.Repository, error) {
	return registry.Repository{}, s.err
}

func (s *script) PutImageTagMutability(context.Context, iam.Caller, string, string, []string) (registry.Repository, error) {
	return registry.Repository{}, s.err
}

func (s *script) PutScanOnPush(context.Context, iam.Caller, string, bool) (registry.Repository, error) {
	return registry.Repository{}, s.err
}

func (s *script) Scannings(context.Context, iam.Caller, []string) ([]registry.Scanning, []string, error) {
	return nil, nil, s.err
}

func (s *script) StartScan(context.Context, iam.Caller, string, registry.ImageID) (registry.ImageID, error) {
	return registry.ImageID{}, s.err
}

func (s *script) Scanned(context.Context, iam.Caller, string, registry.ImageID) (registry.ImageID, error) {
	return registry.ImageID{}, s.err
}

func (s *script) Signed(context.Context, iam.Caller, string, registry.ImageID) (registry.ImageID, error) {
	return registry.ImageID{}, s.err
}

func (s *script) PutScanning(context.Context, iam.Caller, rule.Scanning) (rule.Scanning, error) {
	return rule.Scanning{}, s.err
}

func (s *script) Scanning(context.Context, iam.Caller) (rule.Scanning, error) {
	return rule.Scanning{}, s.err
}

func (s *script) PutSigning(context.Context, iam.Caller, []admin.SigningRule) error { return s.err }

func (s *script) Signing(context.Context, iam.Caller) ([]admin.SigningRule, error) {
	return nil, s.err
}

func (s *script) DeleteSigning(context.Context, iam.Caller) ([]admin.SigningRule, error) {
	return nil, s.err
}

func (s *script) AccountSetting(context.Context, iam.Caller, string) (string, error) {
	return "", s.err
}

func (s *script) PutAccountSetting(context.Context, iam.Caller, string, string) error { return s.err }

func (s *script) RegisterExclusion(context.Context, iam.Caller, string) (time.Time, error) {
	return time.Time{}, s.err
}

func (s *script) DeregisterExclusion(context.Context, iam.Caller, string) error { return s.err }

func (s *script) Exclusions(context.Context, iam.Caller, string, int) ([]string, string, error) {
	return nil, "", s.err
}

func (s *script) ResourceTags(context.Context, iam.Caller, string) ([]rule.ResourceTag, error) {
	return nil, s.err
}

func (s *script) TagResource(context.Context, iam.Caller, string, []rule.ResourceTag) error {
	return s.err
}

func (s *script) UntagResource(context.Context, iam.Caller, string, []string) error { return s.err }

func (s *script) SetRepositoryPolicy(context.Context, iam.Caller, string, string, bool) (registry.Policy, error) {
	return registry.Policy{}, s.err
}

func (s *script) RepositoryPolicy(context.Context, iam.Caller, string) (registry.Policy, error) {
	return registry.Policy{}, s.err
}

func (s *script) DeleteRepositoryPolicy(context.Context, iam.Caller, string) (registry.Policy, error) {
	return registry.Policy{}, s.err
}

func (s *script) PutRegistryPolicy(context.Context, iam.Caller, string) error { return s.err }

func (s *script) RegistryPolicy(context.Context, iam.Caller) (string, error) { return "", s.err }

func (s *script) DeleteRegistryPolicy(context.Context, iam.Caller) (string, error) {
	return "", s.err
}

func (s *script) DeleteImages(context.Context, iam.Caller, string, []registry.ImageID) ([]registry.ImageID, []registry.ImageFailure, error) {
	return nil, nil, s.err
}

func (s *script) PutLifecyclePolicy(context.Context, iam.Caller, string, string) (registry.LifecyclePolicy, error) {
	return registry.LifecyclePolicy{}, s.err
}

func (s *script) LifecyclePolicy(context.Context, iam.Caller, string) (registry.LifecyclePolicy, error) {
	return registry.LifecyclePolicy{}, s.err
}

func (s *script) DeleteLifecyclePolicy(context.Context, iam.Caller, string) (registry.LifecyclePolicy, error) {
	return registry.LifecyclePolicy{}, s.err
}

func (s *script) StartPreview(context.Context, iam.Caller, string, string) (registry.Preview, error) {
	return registry.Preview{}, s.err
}

func (s *script) Preview(context.Context, iam.Caller, string, registry.PreviewQuery) (registry.Preview, []registry.PreviewResult, digest.Digest, error) {
	return registry.Preview{}, nil, "", s.err
}

func (s *script) SetArchived(context.Context, iam.Caller, string, registry.ImageID, bool) (registry.Image, error) {
	return registry.Image{}, s.err
}

func (s *script) Layers(context.Context, iam.Caller, string, []string) ([]*registry.Layer, error) {
	return nil, s.err
}

func (s *script) PutManifest(context.Context, iam.Caller, string, registry.ManifestPush) (registry.Pushed, error) {
	return registry.Pushed{}, s.err
}

func (s *script) FetchImages(context.Context, iam.Caller, string, []registry.ImageID, time.Duration) ([]registry.FetchedImage, error) {
	return nil, s.err
}

func (s *script) FetchLayer(context.Context, iam.Caller, string, digest.Digest) error { return s.err }

func (s *script) StartUpload(context.Context, iam.Caller, string, digest.Algorithm) (registry.Upload, error) {
	return registry.Upload{}, s.err
}

func (s *script) AppendLayerPart(context.Context, iam.Caller, string, string, registry.Part) (registry.Upload, error) {
	return registry.Upload{}, s.err
}

func (s *script) FinishLayer(context.Context, iam.Caller, string, string, digest.Digest) error {
	return s.err
}

func (s *script) CreateTemplate(context.Context, iam.Caller, admin.TemplateInput) (*rule.Template, error) {
	return &rule.Template{}, s.err
}

func (s *script) Templates(context.Context, iam.Caller, []string, string, int) ([]*rule.Template, string, error) {
	return nil, "", s.err
}

func (s *script) UpdateTemplate(context.Context, iam.Caller, admin.TemplateInput) (*rule.Template, error) {
	return &rule.Template{}, s.err
}

func (s *script) DeleteTemplate(context.Context, iam.Caller, string) (*rule.Template, error) {
	return &rule.Template{}, s.err
}

func (s *script) Describe(context.Context, iam.Caller) (rule.Replication, error) { return nil, s.err }

func (s *script) PutReplication(context.Context, iam.Caller, rule.Replication) error { return s.err }

func (s *script) ReplicationStatus(context.Context, iam.Caller, string, registry.ImageID) ([]registry.ReplicationStatus, error) {
	return nil, s.err
}

func (s *script) Repositories(context.Context, iam.Caller, []string, string, int) ([]registry.Repository, string, error) {
	return nil, "", s.err
}

func (s *script) Referrers(context.Context, iam.Caller, string, registry.ReferrerQuery) (*registry.ReferrerList, error) {
	return &registry.ReferrerList{}, s.err
}

func (s *script) ImageIDs(context.Context, iam.Caller, string, registry.Which, registry.ImageID, int) ([]registry.ImageID, registry.ImageID, error) {
	return nil, registry.ImageID{}, s.err
}

func (s *script) Images(context.Context, iam.Caller, string, registry.Which, digest.Digest, int) ([]registry.Image, digest.Digest, error) {
	return nil, "", s.err
}

func (s *script) NamedImages(context.Context, iam.Caller, string, []registry.ImageID) ([]registry.Image, error) {
	return nil, s.err
}

func (s *script) CreateRule(context.Context, iam.Caller, admin.RuleInput) (*rule.Rule, error) {
	return &rule.Rule{}, s.err
}

func (s *script) Rules(context.Context, iam.Caller, []string, string, int) ([]*rule.Rule, string, error) {
	return nil, "", s.err
}

func (s *script) UpdateRule(context.Context, iam.Caller, string, string, string) (*rule.Rule, error) {
	return &rule.Rule{}, s.err
}

func (s *script) DeleteRule(context.Context, iam.Caller, string) (*rule.Rule, error) {
	return &rule.Rule{}, s.err
}

func (s *script) ValidateRule(context.Context, iam.Caller, string) (*rule.Rule, string, error) {
	return &rule.Rule{}, "", s.err
}

func (s *script) Token(context.Context, iam.Caller) (string, time.Time, error) {
	return "", time.Time{}, s.err
}

func (s *script) DownloadURL(iam.Caller, string, string, digest.Digest) (string, error) {
	return "", s.err
}

// TestDeclared: whatever goes wrong behind an operation, its clients get an exception
// that they know.
func TestDeclared(t *testing.T) {
	m := readModel(t)
	behind := &script{}
	s := start(t, ecr.Options{}, func(o ecr.Options) awsapi.Service { return ecr.NewScripted(o, behind, behind, behind) })
	common := []string{"AccessDeniedException", "UnrecognizedClientException", "ThrottlingException", "ServiceUnavailableException"}
	for _, name := range slices.Sorted(maps.Keys(m.Operations)) {
		t.Run(name, func(t *testing.T) {
			input := m.good(t, m.Operations[name].Input.Shape).(map[string]any)
			ofARN := slices.Contains([]string{"ListTagsForResource", "TagResource", "UntagResource"}, name)
			if ofARN { // the model does not say what an ARN is like
				input["resourceArn"] = "arn:aws:ecr:local:123456789012:repository/a/b"
			}
			if _, one := input["imageId"]; one { // nor that an image has a name
				input["imageId"] = map[string]any{"imageTag": "v1"}
			}
			in, err := json.Marshal(input)
			if err != nil {
				t.Fatal(err)
			}
			behind.err = nil
			status, body := s.call(t, name, strings.TrimSuffix(string(in), "}")+map[bool]string{true: "", false: ","}[string(in) == "{}"]+`"unknown":[1]}`)
			if status != 200 {
				t.Errorf("%s: %d %s", in, status, body)
			}
			for _, code := range errs.Codes() {
				behind.err = errs.New(code, "words of %s", code)
				status, body := s.call(t, name, string(in))
				exception, message := failure(t, body)
				if !m.declares(name, exception) && !slices.Contains(common, exception) {
					t.Errorf("%s: %s is not declared", code, exception)
				}
				own := code == errs.NameInvalid && ofARN
				if code != errs.Internal && !own && message != "words of "+code.String() {
					t.Errorf("%s: message %q", code, message)
				}
				if server := exception == "ServerException" || exception == "ServiceUnavailableException"; status < 400 || server != (status >= 500) {
					t.Errorf("%s: %s with status %d", code, exception, status)
				}
			}
		})
	}
}

func TestNames(t *testing.T) {
	behind := &script{}
	s := start(t, ecr.Options{}, func(o ecr.Options) awsapi.Service { return ecr.NewScripted(o, behind, behind, behind) })
	const prefix = `{"ecrRepositoryPrefix":"hub","upstreamRegistryUrl":"a.example"}`
	for _, tt := range []struct {
		op, in    string
		code      errs.Code
		exception string
	}{
		{"CreatePullThroughCacheRule", prefix, errs.RuleExists, "PullThroughCacheRuleAlreadyExistsException"},
		{"CreatePullThroughCacheRule", prefix, errs.UnsupportedUpstream, "UnsupportedUpstreamRegistryException"},
		{"CreatePullThroughCacheRule", prefix, errs.SecretUnknown, "SecretNotFoundException"},
		{"CreatePullThroughCacheRule", prefix, errs.LimitExceeded, "LimitExceededException"},
		{"CreatePullThroughCacheRule", prefix, errs.ParamInvalid, "InvalidParameterException"},
		{"UpdatePullThroughCacheRule", prefix, errs.SecretUnknown, "SecretNotFoundException"},
		{"UpdatePullThroughCacheRule", prefix, errs.RuleUnknown, "PullThroughCacheRuleNotFoundException"},
		{"UpdatePullThroughCacheRule", prefix, errs.Conflict, "ValidationException"},
		{"DeletePullThroughCacheRule", prefix, errs.Conflict, "ValidationException"},
		{"ValidatePullThroughCacheRule", prefix, errs.RuleUnknown, "PullThroughCacheRuleNotFoundException"},
		{"ListImages", `{"repositoryName":"a/b"}`, errs.RepoUnknown, "RepositoryNotFoundException"},
		{"DescribeImages", `{"repositoryName":"a/b"}`, errs.ManifestUnknown, "ImageNotFoundException"},
		{"DescribeImages", `{"repositoryName":"a/b"}`, errs.Denied, "AccessDeniedException"},
		{"GetAuthorizationToken", ``, errs.Internal, "ServerException"},
		{"CreateRepository", `{"repositoryName":"a/b"}`, errs.RepoExists, "RepositoryAlreadyExistsException"},
		{"CreateRepository", `{"repositoryName":"a/b"}`, errs.TagInvalid, "InvalidTagParameterException"},
		{"CreateRepository", `{"repositoryName":"a/b"}`, errs.LimitExceeded, "TooManyTagsException"},
		{"DeleteRepository", `{"repositoryName":"a/b"}`, errs.RepoNotEmpty, "RepositoryNotEmptyException"},
		{"DeleteRepository", `{"repositoryName":"a/b"}`, errs.RepoUnknown, "RepositoryNotFoundException"},
		{"PutImageTagMutability", `{"repositoryName":"a/b","imageTagMutability":"MUTABLE"}`, errs.RepoUnknown, "RepositoryNotFoundException"},
		{"CreateRepositoryCreationTemplate", `{"prefix":"a","appliedFor":["CREATE_ON_PUSH"]}`, errs.TemplateExists, "TemplateAlreadyExistsException"},
		{"StartImageScan", `{"repositoryName":"a/b","imageId":{"imageTag":"v1"}}`, errs.Unsupported, "UnsupportedImageTypeException"},
		{"DescribeImageScanFindings", `{"repositoryName":"a/b","imageId":{"imageTag":"v1"}}`, errs.ScanUnknown, "ScanNotFoundException"},
		{"GetSigningConfiguration", ``, errs.SettingUnknown, "SigningConfigurationNotFoundException"},
		{"RegisterPullTimeUpdateExclusion", `{"principalArn":"arn:aws:iam::123456789012:user/a"}`, errs.SettingExists, "ExclusionAlreadyExistsException"},
		{"RegisterPullTimeUpdateExclusion", `{"principalArn":"arn:aws:iam::123456789012:user/a"}`, errs.LimitExceeded, "LimitExceededException"},
		{"DeregisterPullTimeUpdateExclusion", `{"principalArn":"arn:aws:iam::123456789012:user/a"}`, errs.SettingUnknown, "ExclusionNotFoundException"},
		{"UpdateRepositoryCreationTemplate", `{"prefix":"a"}`, errs.TemplateUnknown, "TemplateNotFoundException"},
		{"UpdateRepositoryCreationTemplate", `{"prefix":"a"}`, errs.Conflict, "ValidationException"},
		{"DeleteRepositoryCreationTemplate", `{"prefix":"a"}`, errs.TemplateUnknown, "TemplateNotFoundException"},
	} {
		behind.err = errs.New(tt.code, "words")
		_, body := s.call(t, tt.op, tt.in)
		if exception, _ := failure(t, body); exception != tt.exception {
			t.Errorf("%s, %s: %s, want %s", tt.op, tt.code, body, tt.exception)
		}
	}
}

// TestLongPrefixes: weir has no need of ECR's 30 characters.
func TestLongPrefixes(t *testing.T) {
	for _, strict := range []bool{false, true} {
		behind := &script{}
		s := start(t, ecr.Options{Strict: strict}, func(o ecr.Options) awsapi.Service { return ecr.NewScripted(o, behind, behind, behind) })
		for n, ok := range map[int]bool{1: false, 2: true, 30: true, 31: !strict, 256: !strict, 257: false} {
			status, body := s.call(t, "DeletePullThroughCacheRule", `{"ecrRepositoryPrefix":"`+strings.Repeat("a", n)+`"}`)
			if (status == 200) != ok {
				t.Errorf("strict %v, %d characters: %s", strict, n, body)
			}
		}
	}
}
