// Package ecr has Amazon ECR's operations, as the API model in the folder model says
// them. Every operation of the model is built; docs/ecr.md tells for each whether it
// answers as ECR does, and a test compares that page with the code.
//
// It guarantees:
//   - An operation runs only for an input that satisfies every constraint of the
//     model (but see Options.Strict); one that does not is told all that is wrong
//     with it.
//   - An operation fails only with what the model declares for it, or with what every
//     AWS operation may fail with.
//   - A paging token is good for the operation and the filter that it was given for.
//
// What callers may do is decided below it, in registry, admin and auth.
package ecr

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/auth"
	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/registry"
	"github.com/weir-registry/weir/internal/rule"
)

//go:generate go run ./gen model/ecr-2015-09-21.json .

// Options of the service; all are required but Host and Strict.
type Options struct {
	Registry *registry.Registry
	Admin    *admin.Admin
	Auth     *auth.Auth
	ID       string // registry ID
	Region   string
	Host     string // what repositoryUri begins with; "": the ECR-shaped name
	PageKey  []byte // 32 bytes, for paging tokens
	Strict   bool   // every limit of ECR's, also those that weir has no need of

	// Fetch is how long BatchGetImage may ask upstreams, so that it answers before the
	// minute after which clients give up; 0: 45 s
	Fetch time.Duration
}

// Service returns ECR's operations.
func Service(o Options) awsapi.Service {
	return newService(o, o.Registry, o.Admin, o.Auth)
}

// images is what the operations ask of *registry.Registry.
type images interface {
	Describe(ctx context.Context, c iam.Caller) (rule.Replication, error)
	ReplicationStatus(ctx context.Context, c iam.Caller, repo string, id registry.ImageID) ([]registry.ReplicationStatus, error)
	Repositories(ctx context.Context, c iam.Caller, names []string, after string, limit int) (repos []registry.Repository, next string, err error)
	CreateRepository(ctx context.Context, c iam.Caller, in registry.NewRepository) (registry.Repository, error)
	DeleteRepository(ctx context.Context, c iam.Caller, repo string, force bool) (registry.Repository, error)
	PutImageTagMutability(ctx context.Context, c iam.Caller, repo, mutability string, exclusions []string) (registry.Repository, error)
	PutScanOnPush(ctx context.Context, c iam.Caller, repo string, on bool) (registry.Repository, error)
	Scannings(ctx context.Context, c iam.Caller, names []string) (found []registry.Scanning, missing []string, err error)
	StartScan(ctx context.Context, c iam.Caller, repo string, id registry.ImageID) (registry.ImageID, error)
	Scanned(ctx context.Context, c iam.Caller, repo string, id registry.ImageID) (registry.ImageID, error)
	Signed(ctx context.Context, c iam.Caller, repo string, id registry.ImageID) (registry.ImageID, error)
	ResourceTags(ctx context.Context, c iam.Caller, repo string) ([]rule.ResourceTag, error)
	TagResource(ctx context.Context, c iam.Caller, repo string, tags []rule.ResourceTag) error
	UntagResource(ctx context.Context, c iam.Caller, repo string, keys []string) error
	SetRepositoryPolicy(ctx context.Context, c iam.Caller, repo, text string, force bool) (registry.Policy, error)
	RepositoryPolicy(ctx context.Context, c iam.Caller, repo string) (registry.Policy, error)
	DeleteRepositoryPolicy(ctx context.Context, c iam.Caller, repo string) (registry.Policy, error)
	PutRegistryPolicy(ctx context.Context, c iam.Caller, text string) error
	RegistryPolicy(ctx context.Context, c iam.Caller) (string, error)
	DeleteRegistryPolicy(ctx context.Context, c iam.Caller) (string, error)
	ImageIDs(ctx context.Context, c iam.Caller, repo string, which registry.Which, after registry.ImageID, limit int) (ids []registry.ImageID, next registry.ImageID, err error)
	Images(ctx context.Context, c iam.Caller, repo string, which registry.Which, after digest.Digest, limit int) (images []registry.Image, next digest.Digest, err error)
	Referrers(ctx context.Context, c iam.Caller, repo string, q registry.ReferrerQuery) (*registry.ReferrerList, error)
	NamedImages(ctx context.Context, c iam.Caller, repo string, ids []registry.ImageID) ([]registry.Image, error)
	DeleteImages(ctx context.Context, c iam.Caller, repo string, ids []registry.ImageID) (deleted []registry.ImageID, failures []registry.ImageFailure, err error)
	PutLifecyclePolicy(ctx context.Context, c iam.Caller, repo, text string) (registry.LifecyclePolicy, error)
	LifecyclePolicy(ctx context.Context, c iam.Caller, repo string) (registry.LifecyclePolicy, error)
	DeleteLifecyclePolicy(ctx context.Context, c iam.Caller, repo string) (registry.LifecyclePolicy, error)
	StartPreview(ctx context.Context, c iam.Caller, repo, text string) (registry.Preview, error)
	Preview(ctx context.Context, c iam.Caller, repo string, q registry.PreviewQuery) (p registry.Preview, results []registry.PreviewResult, next digest.Digest, err error)
	SetArchived(ctx context.Context, c iam.Caller, repo string, id registry.ImageID, archived bool) (registry.Image, error)
	PutManifest(ctx context.Context, c iam.Caller, repo string, p registry.ManifestPush) (registry.Pushed, error)
	FetchImages(ctx context.Context, c iam.Caller, repo string, ids []registry.ImageID, within time.Duration) ([]registry.FetchedImage, error)
	Layers(ctx context.Context, c iam.Caller, repo string, digests []string) ([]*registry.Layer, error)
	FetchLayer(ctx context.Context, c iam.Caller, repo string, d digest.Digest) error
	StartUpload(ctx context.Context, c iam.Caller, repo string, algorithm digest.Algorithm) (registry.Upload, error)
	AppendLayerPart(ctx context.Context, c iam.Caller, repo, id string, p registry.Part) (registry.Upload, error)
	FinishLayer(ctx context.Context, c iam.Caller, repo, id string, d digest.Digest) error
}

// rules is what they ask of *admin.Admin.
type rules interface {
	CreateRule(ctx context.Context, c iam.Caller, in admin.RuleInput) (*rule.Rule, error)
	Rules(ctx context.Context, c iam.Caller, prefixes []string, after string, limit int) (rules []*rule.Rule, next string, err error)
	UpdateRule(ctx context.Context, c iam.Caller, prefix, credential, customRole string) (*rule.Rule, error)
	DeleteRule(ctx context.Context, c iam.Caller, prefix string) (*rule.Rule, error)
	ValidateRule(ctx context.Context, c iam.Caller, prefix string) (r *rule.Rule, failure string, err error)
	CreateTemplate(ctx context.Context, c iam.Caller, in admin.TemplateInput) (*rule.Template, error)
	Templates(ctx context.Context, c iam.Caller, prefixes []string, after string, limit int) (templates []*rule.Template, next string, err error)
	UpdateTemplate(ctx context.Context, c iam.Caller, in admin.TemplateInput) (*rule.Template, error)
	DeleteTemplate(ctx context.Context, c iam.Caller, prefix string) (*rule.Template, error)
	settings
}

// settings is what they ask of *admin.Admin about the registry as a whole.
type settings interface {
	PutScanning(ctx context.Context, c iam.Caller, s rule.Scanning) (rule.Scanning, error)
	Scanning(ctx context.Context, c iam.Caller) (rule.Scanning, error)
	PutReplication(ctx context.Context, c iam.Caller, rules rule.Replication) error
	PutSigning(ctx context.Context, c iam.Caller, rules []admin.SigningRule) error
	Signing(ctx context.Context, c iam.Caller) ([]admin.SigningRule, error)
	DeleteSigning(ctx context.Context, c iam.Caller) ([]admin.SigningRule, error)
	AccountSetting(ctx context.Context, c iam.Caller, name string) (string, error)
	PutAccountSetting(ctx context.Context, c iam.Caller, name, value string) error
	RegisterExclusion(ctx context.Context, c iam.Caller, arn string) (time.Time, error)
	DeregisterExclusion(ctx context.Context, c iam.Caller, arn string) error
	Exclusions(ctx context.Context, c iam.Caller, after string, limit int) (arns []string, next string, err error)
}

// tokens is what they ask of *auth.Auth.
type tokens interface {
	Token(ctx context.Context, c iam.Caller) (token string, expires time.Time, err error)
	DownloadURL(c iam.Caller, base, repo string, d digest.Digest) (string, error)
}

// service is ECR of one registry.
type service struct {
	images images
	rules  rules
	tokens tokens

	id, region string
	host       string
	pages      awsapi.Pages
	fetch      time.Duration
}

func newService(o Options, i images, r rules, t tokens) awsapi.Service {
	s := &service{images: i, rules: r, tokens: t, id: o.ID, region: o.Region, host: o.Host, pages: awsapi.NewPages(o.PageKey), fetch: cmp.Or(o.Fetch, 45*time.Second)}
	if s.host == "" {
		s.host = s.shapedHost(s.id)
	}
	built := s.built()
	all := map[string]awsapi.Operation{}
	for name, op := range operations {
		all[name] = op.serve(built[name], o.Strict)
	}
	return awsapi.Service{Name: "ecr", Target: target, Signing: []string{signing}, Operations: all, Long: long}
}

// long is how long the inputs are that have a long member, in bytes: 20 MiB of a layer in
// base64, or 4 MiB of a manifest, each character of it escaped, and what is beside it.
var long = map[string]int64{"UploadLayerPart": 28 << 20, "PutImage": 28 << 20}

// built returns the operations that do something.
func (s *service) built() map[string]handler {
	return map[string]handler{
		"GetAuthorizationToken": handle(s.getAuthorizationToken, nil),
		"DescribeRegistry":      handle(s.describeRegistry, nil),

		"PutReplicationConfiguration":    handle(s.putReplication, nil),
		"DescribeImageReplicationStatus": handle(s.describeReplication, nil),

		"CreateRepository":      handle(s.createRepository, tagFailures),
		"DescribeRepositories":  handle(s.describeRepositories, nil),
		"DeleteRepository":      handle(s.deleteRepository, nil),
		"PutImageTagMutability": handle(s.putMutability, nil),
		"ListTagsForResource":   handle(s.listTags, nil),
		"TagResource":           handle(s.tagResource, tagFailures),
		"UntagResource":         handle(s.untagResource, nil),

		"SetRepositoryPolicy":    handle(s.setPolicy, nil),
		"GetRepositoryPolicy":    handle(s.getPolicy, repositoryPolicyFailures),
		"DeleteRepositoryPolicy": handle(s.deletePolicy, repositoryPolicyFailures),
		"PutRegistryPolicy":      handle(s.putRegistryPolicy, nil),
		"GetRegistryPolicy":      handle(s.getRegistryPolicy, registryPolicyFailures),
		"DeleteRegistryPolicy":   handle(s.deleteRegistryPolicy, registryPolicyFailures),

		"PutRegistryScanningConfiguration":        handle(s.putScanning, nil),
		"GetRegistryScanningConfiguration":        handle(s.getScanning, nil),
		"PutImageScanningConfiguration":           handle(s.putScanOnPush, nil),
		"BatchGetRepositoryScanningConfiguration": handle(s.getScannings, nil),
		"StartImageScan":                          handle(s.startScan, scanFailures),
		"DescribeImageScanFindings":               handle(s.describeFindings, nil),
		"PutSigningConfiguration":                 handle(s.putSigning, nil),
		"GetSigningConfiguration":                 handle(s.getSigning, nil),
		"DeleteSigningConfiguration":              handle(s.deleteSigning, nil),
		"DescribeImageSigningStatus":              handle(s.describeSigning, nil),
		"GetAccountSetting":                       handle(s.getAccountSetting, nil),
		"PutAccountSetting":                       handle(s.putAccountSetting, nil),
		"RegisterPullTimeUpdateExclusion":         handle(s.registerExclusion, nil),
		"DeregisterPullTimeUpdateExclusion":       handle(s.deregisterExclusion, exclusionFailures),
		"ListPullTimeUpdateExclusions":            handle(s.listExclusions, nil),

		"ListImages":                  handle(s.listImages, nil),
		"ListImageReferrers":          handle(s.listReferrers, referrerFailures),
		"DescribeImages":              handle(s.describeImages, nil),
		"BatchDeleteImage":            handle(s.deleteImages, nil),
		"BatchCheckLayerAvailability": handle(s.checkLayers, nil),
		"PutLifecyclePolicy":          handle(s.putLifecycle, nil),
		"GetLifecyclePolicy":          handle(s.getLifecycle, nil),
		"DeleteLifecyclePolicy":       handle(s.deleteLifecycle, nil),
		"StartLifecyclePolicyPreview": handle(s.startPreview, nil),
		"GetLifecyclePolicyPreview":   handle(s.getPreview, nil),
		"UpdateImageStorageClass":     handle(s.updateStorageClass, nil),

		"BatchGetImage": handle(s.getImages, nil),
		"PutImage":      handleLong("imageManifest", s.putImage, pushFailures),

		"GetDownloadUrlForLayer": handle(s.downloadURL, layerFailures),

		"InitiateLayerUpload": handle(s.initiateUpload, nil),
		"UploadLayerPart":     handleLong("layerPartBlob", s.uploadPart, uploadFailures),
		"CompleteLayerUpload": handle(s.completeUpload, uploadFailures),

		"CreatePullThroughCacheRule":    handle(s.createRule, ruleFailures),
		"DescribePullThroughCacheRules": handle(s.describeRules, ruleFailures),
		"UpdatePullThroughCacheRule":    handle(s.updateRule, ruleFailures),
		"DeletePullThroughCacheRule":    handle(s.deleteRule, ruleFailures),
		"ValidatePullThroughCacheRule":  handle(s.validateRule, ruleFailures),

		"CreateRepositoryCreationTemplate":    handle(s.createTemplate, templateFailures),
		"DescribeRepositoryCreationTemplates": handle(s.describeTemplates, templateFailures),
		"UpdateRepositoryCreationTemplate":    handle(s.updateTemplate, templateFailures),
		"DeleteRepositoryCreationTemplate":    handle(s.deleteTemplate, templateFailures),
	}
}

// shapedHost is a registry's host name as ECR's own clients check it.
func (s *service) shapedHost(id string) string {
	return id + ".dkr.ecr." + s.region + ".amazonaws.com"
}

// operation is what the model says of an operation.
type operation struct {
	input  string   // name of its shape
	errors []string // that it declares
}

// handler is an operation.
type handler struct {
	run      func(ctx context.Context, c *awsapi.Call, in []byte, l *lifted) (any, error)
	failures map[errs.Code]string // named otherwise than in awsapi's table
	long     string               // the input's member that is lifted out of it; "": none
}

func handle[In, Out any](f func(ctx context.Context, c *awsapi.Call, in In) (Out, error), failures map[errs.Code]string) handler {
	return handleLong("", func(ctx context.Context, c *awsapi.Call, in In, _ *lifted) (Out, error) { return f(ctx, c, in) }, failures)
}

// handleLong is handle for an input with a member that is long, which f gets beside it.
func handleLong[In, Out any](long string, f func(ctx context.Context, c *awsapi.Call, in In, l *lifted) (Out, error), failures map[errs.Code]string) handler {
	return handler{func(ctx context.Context, c *awsapi.Call, body []byte, l *lifted) (any, error) {
		var in In
		if err := json.Unmarshal(body, &in); err != nil { // it was checked
			return nil, err
		}
		return f(ctx, c, in, l)
	}, failures, long}
}

func (op operation) serve(h handler, strict bool) awsapi.Operation {
	return func(ctx context.Context, c *awsapi.Call, body []byte) (any, error) {
		body, long, err := lift(body, op.input, h.long)
		var in []byte
		var problems []string
		if err == nil {
			in, problems, err = check(op.input, body, strict)
			problems = append(problems, long.problems()...)
		}
		var syntax errSyntax
		switch {
		case errors.As(err, &syntax):
			return nil, awsapi.Except("SerializationException", errs.ParamInvalid, "%s", syntax.what)
		case err != nil:
			return nil, err
		case len(problems) > 0:
			return nil, awsapi.Except(op.invalid(), errs.ParamInvalid, "%s", message(problems))
		}
		out, err := h.run(ctx, c, in, long)
		if err != nil {
			return nil, op.failed(err, h.failures)
		}
		return out, nil
	}
}

// invalid is the operation's name for a malformed input.
func (op operation) invalid() string {
	const usual = "InvalidParameterException"
	if slices.Contains(op.errors, usual) {
		return usual
	}
	return "ValidationException"
}

// failed gives err a name that clients of the operation may expect.
func (op operation) failed(err error, failures map[errs.Code]string) error {
	code := errs.CodeOf(err)
	if code == errs.Internal {
		return err
	}
	name := awsapi.NameOf(err)
	if own := failures[code]; own != "" && (slices.Contains(op.errors, own) || slices.Contains(always, own)) {
		name = own
	} else if !slices.Contains(op.errors, name) && !slices.Contains(always, name) {
		name = op.invalid()
	}
	if name == awsapi.NameOf(err) {
		return err
	}
	return awsapi.Rename(err, name)
}

// always is what every AWS operation may fail with.
var always = []string{
	"AccessDeniedException", "UnrecognizedClientException", "ThrottlingException", "ServiceUnavailableException",
	"ServerException", "SerializationException",
}
