package ecr_test

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/awsapi/ecr"
	"github.com/weir-registry/weir/internal/oci"
)

// alike compares without times and what the SDK keeps for itself.
func alike(t *testing.T, what string, want, got any) {
	t.Helper()
	opts := cmp.Options{
		cmpopts.IgnoreUnexported(types.Repository{}, types.ImageScanningConfiguration{}, types.EncryptionConfiguration{}, types.Tag{},
			types.ImageTagMutabilityExclusionFilter{}, types.RepositoryCreationTemplate{}, types.EncryptionConfigurationForRepositoryCreationTemplate{},
			types.ImageIdentifier{}, types.ImageFailure{}, types.Layer{}, types.LayerFailure{}),
		cmpopts.IgnoreFields(types.Repository{}, "CreatedAt"), cmpopts.IgnoreFields(types.RepositoryCreationTemplate{}, "CreatedAt", "UpdatedAt"),
	}
	if d := cmp.Diff(want, got, opts); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func filter(s string) types.ImageTagMutabilityExclusionFilter {
	return types.ImageTagMutabilityExclusionFilter{Filter: aws.String(s), FilterType: types.ImageTagMutabilityExclusionFilterTypeWildcard}
}

func resourceTag(k, v string) types.Tag { return types.Tag{Key: aws.String(k), Value: aws.String(v)} }

func TestRepositoryOperations(t *testing.T) {
	ctx := t.Context()
	s := start(t, ecr.Options{Host: "weir.example"}, nil)
	client := s.client()
	want := types.Repository{
		RepositoryArn: aws.String("arn:aws:ecr:local:123456789012:repository/own/app"), RegistryId: aws.String(registryID), RepositoryName: aws.String("own/app"),
		RepositoryUri: aws.String("weir.example/own/app"), ImageTagMutability: types.ImageTagMutabilityImmutableWithExclusion,
		ImageTagMutabilityExclusionFilters: []types.ImageTagMutabilityExclusionFilter{filter("z*"), filter("a")},
		ImageScanningConfiguration:         &types.ImageScanningConfiguration{}, EncryptionConfiguration: &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeAes256},
	}
	in := sdk.CreateRepositoryInput{
		RepositoryName: aws.String("own/app"), ImageTagMutability: want.ImageTagMutability, ImageTagMutabilityExclusionFilters: want.ImageTagMutabilityExclusionFilters,
		Tags: []types.Tag{resourceTag("b", "1"), resourceTag("a", "")}, ImageScanningConfiguration: &types.ImageScanningConfiguration{},
	}
	alike(t, "created", &want, ok(client.CreateRepository(ctx, &in))(t).Repository)
	alike(t, "described", []types.Repository{want}, ok(client.DescribeRepositories(ctx, &sdk.DescribeRepositoriesInput{}))(t).Repositories)
	tags := func() []types.Tag {
		return ok(client.ListTagsForResource(ctx, &sdk.ListTagsForResourceInput{ResourceArn: want.RepositoryArn}))(t).Tags
	}
	alike(t, "tags", in.Tags, tags())
	ok(client.TagResource(ctx, &sdk.TagResourceInput{ResourceArn: want.RepositoryArn, Tags: []types.Tag{resourceTag("b", "2"), resourceTag("c", "3")}}))(t)
	ok(client.UntagResource(ctx, &sdk.UntagResourceInput{ResourceArn: want.RepositoryArn, TagKeys: []string{"a"}}))(t)
	alike(t, "tags after a change", []types.Tag{resourceTag("b", "2"), resourceTag("c", "3")}, tags())

	put := ok(client.PutImageTagMutability(ctx, &sdk.PutImageTagMutabilityInput{RepositoryName: aws.String("own/app"), ImageTagMutability: types.ImageTagMutabilityImmutable}))(t)
	alike(t, "mutability", types.ImageTagMutabilityImmutable, put.ImageTagMutability)
	want.ImageTagMutability, want.ImageTagMutabilityExclusionFilters = types.ImageTagMutabilityImmutable, nil

	s.put(t, "own/app", "v1", 1, "layer")
	_, err := client.CreateRepository(ctx, &sdk.CreateRepositoryInput{RepositoryName: aws.String("own/app")})
	wantFailure(t, "twice", err, "RepositoryAlreadyExistsException", "The repository with name 'own/app' already exists in the registry with id '123456789012'")
	_, err = client.DeleteRepository(ctx, &sdk.DeleteRepositoryInput{RepositoryName: aws.String("own/app")})
	wantFailure(t, "with images", err, "RepositoryNotEmptyException", "The repository with name 'own/app' in registry with id '123456789012' cannot be deleted because it still contains images")
	alike(t, "deleted", &want, ok(client.DeleteRepository(ctx, &sdk.DeleteRepositoryInput{RepositoryName: aws.String("own/app"), Force: true}))(t).Repository)
	_, err = client.DeleteRepository(ctx, &sdk.DeleteRepositoryInput{RepositoryName: aws.String("own/app")})
	wantFailure(t, "deleted twice", err, "RepositoryNotFoundException", "The repository with name 'own/app' does not exist in the registry with id '123456789012'")

	for _, tt := range []struct{ name, in, exception, message string }{
		{"KMS", `{"repositoryName":"a/b","encryptionConfiguration":{"encryptionType":"KMS"}}`, "InvalidParameterException",
			"weir has no keys of a KMS: leave encryptionConfiguration out, or set encryptionType to AES256. Nothing was changed."},
		{"filters of a mutable one", `{"repositoryName":"a/b","imageTagMutabilityExclusionFilters":[{"filterType":"WILDCARD","filter":"a"}]}`, "InvalidParameterException",
			"Invalid parameter at 'imageTagMutabilityExclusionFilters' failed to satisfy constraint: 'ImageTagMutability MUTABLE has no exclusion filters'"},
		{"a tag twice", `{"repositoryName":"a/b","tags":[{"Key":"k","Value":"1"},{"Key":"k","Value":"2"}]}`, "InvalidTagParameterException", `Invalid tag: the key "k" is there twice.`},
	} {
		status, body := s.call(t, "CreateRepository", tt.in)
		if exception, message := failure(t, body); status != 400 || exception != tt.exception || message != tt.message {
			t.Errorf("%s: %d %s", tt.name, status, body)
		}
	}
	alike(t, "nothing was made", 0, len(ok(client.DescribeRepositories(ctx, &sdk.DescribeRepositoriesInput{}))(t).Repositories))
}

func TestBatchDeleteImage(t *testing.T) {
	ctx := t.Context()
	s := start(t, ecr.Options{}, nil)
	client := s.client()
	child := s.put(t, "own/app", "", 1, "layer")
	index := s.putRaw(t, "own/app", "idx", 2, oci.MediaTypeIndex, fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":1}]}`, oci.MediaTypeManifest, child))
	one := s.put(t, "own/app", "one", 3, "other")
	s.put(t, "own/app", "uno", 4, "other")
	id := func(d digest.Digest, tag string) types.ImageIdentifier {
		var out types.ImageIdentifier
		if d != "" {
			out.ImageDigest = aws.String(string(d))
		}
		if tag != "" {
			out.ImageTag = aws.String(tag)
		}
		return out
	}
	del := func(ids ...types.ImageIdentifier) *sdk.BatchDeleteImageOutput {
		return ok(client.BatchDeleteImage(ctx, &sdk.BatchDeleteImageInput{RepositoryName: aws.String("own/app"), ImageIds: ids}))(t)
	}
	out := del(id("", "none"), id(child, ""), id(index, "one"), id("", ""), id("", "uno"))
	alike(t, "deleted", []types.ImageIdentifier{id(one, "uno")}, out.ImageIds)
	var codes []types.ImageFailureCode
	for _, f := range out.Failures {
		codes = append(codes, f.FailureCode)
	}
	alike(t, "failures", []types.ImageFailureCode{"ImageNotFound", "ImageTagDoesNotMatchDigest", "MissingDigestAndTag", "ImageReferencedByManifestList"}, codes)
	out = del(id(child, ""), id(index, ""), id("", "one"))
	alike(t, "the rest", []types.ImageIdentifier{id(index, "idx"), id(one, "one"), id(child, "")}, out.ImageIds)
	alike(t, "no failures", 0, len(out.Failures))
	twice := s.put(t, "own/app", "x", 5, "other")
	out = del(id(twice, ""), id(twice, ""), id("", "x"), id(twice, "x"), id(twice, "y"), id("", "y"))
	alike(t, "by several names", []types.ImageIdentifier{id(twice, "x")}, out.ImageIds)
	alike(t, "names that were none", 2, len(out.Failures))
	images := ok(client.ListImages(ctx, &sdk.ListImagesInput{RepositoryName: aws.String("own/app")}))(t)
	alike(t, "images", 0, len(images.ImageIds))
	_, err := client.BatchDeleteImage(ctx, &sdk.BatchDeleteImageInput{RepositoryName: aws.String("own/none"), ImageIds: []types.ImageIdentifier{id("", "a")}})
	wantFailure(t, "no repository", err, "RepositoryNotFoundException", "The repository with name 'own/none' does not exist in the registry with id '123456789012'")
}

func TestLayerAvailability(t *testing.T) {
	ctx := t.Context()
	s := start(t, ecr.Options{}, nil)
	held, other := digest.FromString("held"), digest.FromString("other")
	if err := s.db.Claim(ctx, held, epoch); err != nil {
		t.Fatal(err)
	}
	if err := s.db.PutBlob(ctx, held, 4, true, []string{"own/app"}, epoch); err != nil {
		t.Fatal(err)
	}
	out := ok(s.client().BatchCheckLayerAvailability(ctx, &sdk.BatchCheckLayerAvailabilityInput{
		RepositoryName: aws.String("own/app"), LayerDigests: []string{string(held), string(other), "sha256:0", ""},
	}))(t)
	alike(t, "layers", []types.Layer{
		{LayerDigest: aws.String(string(held)), LayerAvailability: types.LayerAvailabilityAvailable, LayerSize: aws.Int64(4)},
		{LayerDigest: aws.String(string(other)), LayerAvailability: types.LayerAvailabilityUnavailable},
	}, out.Layers)
	var codes []types.LayerFailureCode
	for _, f := range out.Failures {
		codes = append(codes, f.FailureCode)
	}
	alike(t, "failures", []types.LayerFailureCode{types.LayerFailureCodeInvalidLayerDigest, types.LayerFailureCodeMissingLayerDigest}, codes)
}

func TestTemplateOperations(t *testing.T) {
	ctx := t.Context()
	s := start(t, ecr.Options{}, nil)
	client := s.client()
	want := types.RepositoryCreationTemplate{
		Prefix: aws.String("prod"), AppliedFor: []types.RCTAppliedFor{types.RCTAppliedForReplication, types.RCTAppliedForCreateOnPush},
		Description: aws.String("d"), ImageTagMutability: types.ImageTagMutabilityMutable, ResourceTags: []types.Tag{resourceTag("b", "1"), resourceTag("a", "")},
		CustomRoleArn: aws.String("arn:aws:iam::123456789012:role/r"), EncryptionConfiguration: &types.EncryptionConfigurationForRepositoryCreationTemplate{EncryptionType: types.EncryptionTypeAes256},
	}
	created := ok(client.CreateRepositoryCreationTemplate(ctx, &sdk.CreateRepositoryCreationTemplateInput{
		Prefix: want.Prefix, AppliedFor: want.AppliedFor, Description: want.Description, ResourceTags: want.ResourceTags, CustomRoleArn: want.CustomRoleArn,
	}))(t)
	alike(t, "created", &want, created.RepositoryCreationTemplate)
	alike(t, "registry", registryID, *created.RegistryId)
	bare := types.RepositoryCreationTemplate{Prefix: aws.String("ROOT"), AppliedFor: []types.RCTAppliedFor{types.RCTAppliedForPullThroughCache},
		ImageTagMutability: types.ImageTagMutabilityMutable, EncryptionConfiguration: want.EncryptionConfiguration}
	ok(client.CreateRepositoryCreationTemplate(ctx, &sdk.CreateRepositoryCreationTemplateInput{Prefix: bare.Prefix, AppliedFor: bare.AppliedFor}))(t)

	var got []types.RepositoryCreationTemplate
	pages := sdk.NewDescribeRepositoryCreationTemplatesPaginator(client, &sdk.DescribeRepositoryCreationTemplatesInput{}, func(o *sdk.DescribeRepositoryCreationTemplatesPaginatorOptions) { o.Limit = 1 })
	for pages.HasMorePages() {
		got = append(got, ok(pages.NextPage(ctx))(t).RepositoryCreationTemplates...)
	}
	alike(t, "all by pages", []types.RepositoryCreationTemplate{bare, want}, got)
	some := ok(client.DescribeRepositoryCreationTemplates(ctx, &sdk.DescribeRepositoryCreationTemplatesInput{Prefixes: []string{"nowhere", "prod"}}))(t)
	alike(t, "by prefix, those that are not there left out", []types.RepositoryCreationTemplate{want}, some.RepositoryCreationTemplates)

	want.ImageTagMutability, want.ImageTagMutabilityExclusionFilters = types.ImageTagMutabilityImmutableWithExclusion, []types.ImageTagMutabilityExclusionFilter{filter("dev*")}
	updated := ok(client.UpdateRepositoryCreationTemplate(ctx, &sdk.UpdateRepositoryCreationTemplateInput{
		Prefix: want.Prefix, ImageTagMutability: want.ImageTagMutability, ImageTagMutabilityExclusionFilters: want.ImageTagMutabilityExclusionFilters,
	}))(t)
	alike(t, "updated", &want, updated.RepositoryCreationTemplate)

	want.Description, want.CustomRoleArn = nil, nil
	updated = ok(client.UpdateRepositoryCreationTemplate(ctx, &sdk.UpdateRepositoryCreationTemplateInput{
		Prefix: want.Prefix, Description: aws.String(""), CustomRoleArn: aws.String(""),
	}))(t)
	alike(t, "emptied", &want, updated.RepositoryCreationTemplate)

	_, err := client.CreateRepositoryCreationTemplate(ctx, &sdk.CreateRepositoryCreationTemplateInput{Prefix: aws.String("prod"), AppliedFor: want.AppliedFor})
	wantFailure(t, "twice", err, "TemplateAlreadyExistsException", "The repository creation template with the prefix 'prod' already exists for the private registry with id '123456789012'. Specify a unique prefix and try again.")
	_, err = client.CreateRepositoryCreationTemplate(ctx, &sdk.CreateRepositoryCreationTemplateInput{Prefix: aws.String("a"), AppliedFor: want.AppliedFor, LifecyclePolicy: aws.String(`{"rules":[]}`)})
	wantFailure(t, "lifecycle policy", err, "InvalidParameterException", "Invalid parameter at 'lifecyclePolicy' failed to satisfy constraint: 'Lifecycle policy validation failure: array is too short: must have at least 1 elements but instance has 0 elements'")
	alike(t, "deleted", &want, ok(client.DeleteRepositoryCreationTemplate(ctx, &sdk.DeleteRepositoryCreationTemplateInput{Prefix: want.Prefix}))(t).RepositoryCreationTemplate)
	_, err = client.UpdateRepositoryCreationTemplate(ctx, &sdk.UpdateRepositoryCreationTemplateInput{Prefix: want.Prefix})
	wantFailure(t, "update of none", err, "TemplateNotFoundException", "The repository creation template with the prefix 'prod' does not exist for the private registry with id '123456789012'.")
}
