package ecr_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weir-registry/weir/internal/awsapi/ecr"
)

func like(t *testing.T, what string, want, got any) {
	t.Helper()
	opts := cmpopts.IgnoreUnexported(types.RegistryScanningConfiguration{}, types.RegistryScanningRule{}, types.ScanningRepositoryFilter{},
		types.RepositoryScanningConfiguration{}, types.RepositoryScanningConfigurationFailure{}, types.SigningConfiguration{},
		types.SigningRule{}, types.SigningRepositoryFilter{}, types.ImageIdentifier{}, types.ImageSigningStatus{})
	if d := cmp.Diff(want, got, opts); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func scanFilter(s string) types.ScanningRepositoryFilter {
	return types.ScanningRepositoryFilter{Filter: aws.String(s), FilterType: types.ScanningRepositoryFilterTypeWildcard}
}

// TestScanningOperations: what is set is read back as it was set, as Terraform needs it,
// and repositories tell what follows for them.
func TestScanningOperations(t *testing.T) {
	ctx := t.Context()
	s := start(t, ecr.Options{}, nil)
	client := s.client()
	get := func() *types.RegistryScanningConfiguration {
		t.Helper()
		out := ok(client.GetRegistryScanningConfiguration(ctx, &sdk.GetRegistryScanningConfigurationInput{}))(t)
		like(t, "registry", registryID, *out.RegistryId)
		return out.ScanningConfiguration
	}
	none := &types.RegistryScanningConfiguration{ScanType: types.ScanTypeBasic, Rules: []types.RegistryScanningRule{}}
	like(t, "at first", none, get())

	for name, on := range map[string]bool{"prod/app": true, "dev/app": false, "dev/scanned": true} {
		ok(client.CreateRepository(ctx, &sdk.CreateRepositoryInput{RepositoryName: aws.String(name), ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: on}}))(t)
	}
	want := &types.RegistryScanningConfiguration{ScanType: types.ScanTypeEnhanced, Rules: []types.RegistryScanningRule{
		{ScanFrequency: types.ScanFrequencyScanOnPush, RepositoryFilters: []types.ScanningRepositoryFilter{scanFilter("z"), scanFilter("app"), scanFilter("prod/*")}},
		{ScanFrequency: types.ScanFrequencyContinuousScan, RepositoryFilters: []types.ScanningRepositoryFilter{scanFilter("prod*app")}},
	}}
	put := ok(client.PutRegistryScanningConfiguration(ctx, &sdk.PutRegistryScanningConfigurationInput{ScanType: want.ScanType, Rules: want.Rules}))(t)
	like(t, "put", want, put.RegistryScanningConfiguration)
	like(t, "got", want, get())
	of := func(names ...string) *sdk.BatchGetRepositoryScanningConfigurationOutput {
		t.Helper()
		return ok(client.BatchGetRepositoryScanningConfiguration(ctx, &sdk.BatchGetRepositoryScanningConfigurationInput{RepositoryNames: names}))(t)
	}
	one := func(name string, on bool, f types.ScanFrequency, filters ...types.ScanningRepositoryFilter) types.RepositoryScanningConfiguration {
		return types.RepositoryScanningConfiguration{
			RepositoryName: aws.String(name), RepositoryArn: aws.String("arn:aws:ecr:local:123456789012:repository/" + name), ScanOnPush: on,
			ScanFrequency: f, AppliedScanFilters: append([]types.ScanningRepositoryFilter{}, filters...),
		}
	}
	out := of("dev/app", "none", "prod/app", "dev/scanned")
	like(t, "repositories", []types.RepositoryScanningConfiguration{
		one("dev/app", true, types.ScanFrequencyScanOnPush, scanFilter("app")),
		one("prod/app", true, types.ScanFrequencyContinuousScan, scanFilter("prod*app")),
		one("dev/scanned", true, types.ScanFrequencyManual),
	}, out.ScanningConfigurations)
	like(t, "failures", []types.RepositoryScanningConfigurationFailure{{RepositoryName: aws.String("none"), FailureCode: "REPOSITORY_NOT_FOUND",
		FailureReason: aws.String("The repository with name 'none' does not exist in the registry with id '123456789012'")}}, out.Failures)

	// Terraform's destroy.
	ok(client.PutRegistryScanningConfiguration(ctx, &sdk.PutRegistryScanningConfigurationInput{ScanType: types.ScanTypeBasic, Rules: []types.RegistryScanningRule{}}))(t)
	like(t, "destroyed", none, get())
	like(t, "repository's own", []types.RepositoryScanningConfiguration{
		one("dev/app", false, types.ScanFrequencyManual), one("dev/scanned", true, types.ScanFrequencyScanOnPush),
	}, of("dev/app", "dev/scanned").ScanningConfigurations)

	set := ok(client.PutImageScanningConfiguration(ctx, &sdk.PutImageScanningConfigurationInput{RepositoryName: aws.String("dev/app"), ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: true}}))(t)
	like(t, "put on a repository", true, set.ImageScanningConfiguration.ScanOnPush)
	described := ok(client.DescribeRepositories(ctx, &sdk.DescribeRepositoriesInput{RepositoryNames: []string{"dev/app"}}))(t)
	like(t, "described", true, described.Repositories[0].ImageScanningConfiguration.ScanOnPush)
	_, err := client.PutImageScanningConfiguration(ctx, &sdk.PutImageScanningConfigurationInput{RepositoryName: aws.String("none"), ImageScanningConfiguration: &types.ImageScanningConfiguration{}})
	wantFailure(t, "no repository", err, "RepositoryNotFoundException", "The repository with name 'none' does not exist in the registry with id '123456789012'")
}

func TestBadScanning(t *testing.T) {
	s := start(t, ecr.Options{}, nil)
	filters := func(f string) string {
		return `"repositoryFilters":[{"filter":"` + f + `","filterType":"WILDCARD"}]`
	}
	for _, tt := range []struct{ name, in, why string }{
		{"continuous in basic", `{"scanType":"BASIC","rules":[{"scanFrequency":"CONTINUOUS_SCAN",` + filters("*") + `}]}`,
			"'scanFrequency' failed to satisfy constraint: 'CONTINUOUS_SCAN is no frequency of the scan type BASIC: it has SCAN_ON_PUSH and MANUAL'"},
		{"manual in enhanced", `{"scanType":"ENHANCED","rules":[{"scanFrequency":"MANUAL",` + filters("*") + `}]}`,
			"'scanFrequency' failed to satisfy constraint: 'MANUAL is no frequency of the scan type ENHANCED: it has SCAN_ON_PUSH and CONTINUOUS_SCAN'"},
		{"a frequency twice", `{"rules":[{"scanFrequency":"MANUAL",` + filters("a") + `},{"scanFrequency":"MANUAL",` + filters("b") + `}]}`,
			"'rules' failed to satisfy constraint: 'two rules have the frequency MANUAL'"},
		{"many wildcards", `{"rules":[{"scanFrequency":"MANUAL",` + filters("*a*b*c*d*") + `}]}`,
			"'repositoryFilters' failed to satisfy constraint: '*a*b*c*d* has more than 4 wildcards'"},
	} {
		status, body := s.call(t, "PutRegistryScanningConfiguration", tt.in)
		if exception, message := failure(t, body); status != 400 || exception != "InvalidParameterException" || message != "Invalid parameter at "+tt.why {
			t.Errorf("%s: %d %s", tt.name, status, body)
		}
	}
}

// TestNoScanner: images that are there are not scanned, and nothing says that they are.
func TestNoScanner(t *testing.T) {
	ctx := t.Context()
	s := start(t, ecr.Options{}, nil)
	client := s.client()
	d := s.put(t, "own/app", "v1", 1, "layer")
	id := &types.ImageIdentifier{ImageTag: aws.String("v1")}
	repo := aws.String("own/app")
	_, err := client.StartImageScan(ctx, &sdk.StartImageScanInput{RepositoryName: repo, ImageId: id})
	wantFailure(t, "scan", err, "UnsupportedImageTypeException", "weir has no scanner for images of any type, and nothing was started. Scan the image where it is pulled.")
	_, err = client.DescribeImageScanFindings(ctx, &sdk.DescribeImageScanFindingsInput{RepositoryName: repo, ImageId: id})
	wantFailure(t, "findings", err, "ScanNotFoundException", "Image scan does not exist for the image with '{imageDigest:'null', imageTag:'v1'}' in the repository with name 'own/app' in the registry with id '123456789012'. weir has no scanner.")
	signed := ok(client.DescribeImageSigningStatus(ctx, &sdk.DescribeImageSigningStatusInput{RepositoryName: repo, ImageId: id}))(t)
	like(t, "signed image", &types.ImageIdentifier{ImageTag: aws.String("v1"), ImageDigest: aws.String(string(d))}, signed.ImageId)
	like(t, "signatures", []types.ImageSigningStatus{}, signed.SigningStatuses)

	const noImage = "The image with imageId {imageDigest:'null', imageTag:'v2'} does not exist within the repository with name 'own/app' in the registry with id '123456789012'"
	none := &types.ImageIdentifier{ImageTag: aws.String("v2")}
	_, err = client.StartImageScan(ctx, &sdk.StartImageScanInput{RepositoryName: repo, ImageId: none})
	wantFailure(t, "scan of none", err, "ImageNotFoundException", noImage)
	_, err = client.DescribeImageScanFindings(ctx, &sdk.DescribeImageScanFindingsInput{RepositoryName: repo, ImageId: none})
	wantFailure(t, "findings of none", err, "ImageNotFoundException", noImage)
	_, err = client.DescribeImageSigningStatus(ctx, &sdk.DescribeImageSigningStatusInput{RepositoryName: repo, ImageId: none})
	wantFailure(t, "signatures of none", err, "ImageNotFoundException", noImage)
	_, err = client.StartImageScan(ctx, &sdk.StartImageScanInput{RepositoryName: repo, ImageId: &types.ImageIdentifier{}})
	wantFailure(t, "no name", err, "InvalidParameterException", "Invalid request parameters: both tag and digest cannot be null")
}

func TestSigningOperations(t *testing.T) {
	ctx := t.Context()
	client := start(t, ecr.Options{}, nil).client()
	const missing = "Signing configuration does not exist in the registry with id '123456789012'"
	_, err := client.GetSigningConfiguration(ctx, &sdk.GetSigningConfigurationInput{})
	wantFailure(t, "at first", err, "SigningConfigurationNotFoundException", missing)
	_, err = client.DeleteSigningConfiguration(ctx, &sdk.DeleteSigningConfigurationInput{})
	wantFailure(t, "deletion of none", err, "SigningConfigurationNotFoundException", missing)
	want := &types.SigningConfiguration{Rules: []types.SigningRule{
		{SigningProfileArn: aws.String("arn:aws:signer:local:123456789012:/signing-profiles/all")},
		{SigningProfileArn: aws.String("arn:aws:signer:local:123456789012:/signing-profiles/prod"),
			RepositoryFilters: []types.SigningRepositoryFilter{{Filter: aws.String("prod/*"), FilterType: types.SigningRepositoryFilterTypeWildcardMatch}}},
	}}
	like(t, "put", want, ok(client.PutSigningConfiguration(ctx, &sdk.PutSigningConfigurationInput{SigningConfiguration: want}))(t).SigningConfiguration)
	like(t, "got", want, ok(client.GetSigningConfiguration(ctx, &sdk.GetSigningConfigurationInput{}))(t).SigningConfiguration)
	like(t, "deleted", want, ok(client.DeleteSigningConfiguration(ctx, &sdk.DeleteSigningConfigurationInput{}))(t).SigningConfiguration)
	_, err = client.GetSigningConfiguration(ctx, &sdk.GetSigningConfigurationInput{})
	wantFailure(t, "after the deletion", err, "SigningConfigurationNotFoundException", missing)
}

func TestAccountSettings(t *testing.T) {
	ctx := t.Context()
	client := start(t, ecr.Options{}, nil).client()
	get := func(name string) string {
		t.Helper()
		return *ok(client.GetAccountSetting(ctx, &sdk.GetAccountSettingInput{Name: aws.String(name)}))(t).Value
	}
	for _, tt := range []struct{ name, first, then string }{
		{"BASIC_SCAN_TYPE_VERSION", "AWS_NATIVE", "CLAIR"}, {"REGISTRY_POLICY_SCOPE", "V2", "V1"}, {"BLOB_MOUNTING", "ENABLED", "DISABLED"},
	} {
		like(t, tt.name, tt.first, get(tt.name))
		for _, value := range []string{tt.then, tt.first, tt.then} {
			put := ok(client.PutAccountSetting(ctx, &sdk.PutAccountSettingInput{Name: aws.String(tt.name), Value: aws.String(value)}))(t)
			like(t, tt.name+" put", value, *put.Value)
			like(t, tt.name+" got", value, get(tt.name))
		}
		_, err := client.PutAccountSetting(ctx, &sdk.PutAccountSettingInput{Name: aws.String(tt.name), Value: aws.String("MAYBE")})
		wantFailure(t, tt.name, err, "InvalidParameterException", fmt.Sprintf("Invalid parameter at 'value' failed to satisfy constraint: '%s is one of %s, %s'", tt.name, tt.first, tt.then))
	}
	const names = "Invalid parameter at 'name' failed to satisfy constraint: 'it is one of BASIC_SCAN_TYPE_VERSION, REGISTRY_POLICY_SCOPE, BLOB_MOUNTING'"
	_, err := client.GetAccountSetting(ctx, &sdk.GetAccountSettingInput{Name: aws.String("OTHER")})
	wantFailure(t, "another name", err, "InvalidParameterException", names)
	_, err = client.PutAccountSetting(ctx, &sdk.PutAccountSettingInput{Name: aws.String("OTHER"), Value: aws.String("V1")})
	wantFailure(t, "another name put", err, "InvalidParameterException", names)
}

func TestExclusions(t *testing.T) {
	ctx := t.Context()
	client := start(t, ecr.Options{}, nil).client()
	arn := func(n int) *string { return aws.String(fmt.Sprintf("arn:aws:iam::123456789012:role/scan/r%02d", n)) }
	var want []string
	for n := range 100 {
		out := ok(client.RegisterPullTimeUpdateExclusion(ctx, &sdk.RegisterPullTimeUpdateExclusionInput{PrincipalArn: arn(n)}))(t)
		if out.CreatedAt == nil || *out.PrincipalArn != *arn(n) {
			t.Errorf("%+v", out)
		}
		want = append(want, *arn(n))
	}
	_, err := client.RegisterPullTimeUpdateExclusion(ctx, &sdk.RegisterPullTimeUpdateExclusionInput{PrincipalArn: arn(7)})
	wantFailure(t, "twice", err, "ExclusionAlreadyExistsException", "The pull time update exclusion for 'arn:aws:iam::123456789012:role/scan/r07' already exists in the registry with id '123456789012'")
	_, err = client.RegisterPullTimeUpdateExclusion(ctx, &sdk.RegisterPullTimeUpdateExclusionInput{PrincipalArn: arn(100)})
	wantFailure(t, "too many", err, "LimitExceededException", "The registry with id '123456789012' has 100 pull time update exclusions, and may have no more. Deregister one that is not needed any more.")

	var got []string
	var pages int
	in := &sdk.ListPullTimeUpdateExclusionsInput{MaxResults: aws.Int32(33)}
	for {
		out := ok(client.ListPullTimeUpdateExclusions(ctx, in))(t)
		got, pages = append(got, out.PullTimeUpdateExclusions...), pages+1
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	like(t, "pages", 4, pages)
	like(t, "all", want, got)
	ok(client.DeregisterPullTimeUpdateExclusion(ctx, &sdk.DeregisterPullTimeUpdateExclusionInput{PrincipalArn: arn(7)}))(t)
	_, err = client.DeregisterPullTimeUpdateExclusion(ctx, &sdk.DeregisterPullTimeUpdateExclusionInput{PrincipalArn: arn(7)})
	wantFailure(t, "gone twice", err, "ExclusionNotFoundException", "The pull time update exclusion for 'arn:aws:iam::123456789012:role/scan/r07' does not exist in the registry with id '123456789012'")
	like(t, "after", slices.Delete(want, 7, 8), ok(client.ListPullTimeUpdateExclusions(ctx, &sdk.ListPullTimeUpdateExclusionsInput{}))(t).PullTimeUpdateExclusions)
}
