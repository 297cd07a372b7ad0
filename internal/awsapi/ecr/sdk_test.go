package ecr_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/awsapi/ecr"
	"github.com/weir-registry/weir/internal/oci"
)

var ignoreMore = cmpopts.IgnoreUnexported(
	types.Repository{}, types.ImageScanningConfiguration{}, types.EncryptionConfiguration{}, types.ImageDetail{},
	types.ImageIdentifier{}, types.PullThroughCacheRule{}, types.ReplicationConfiguration{},
)

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got, ignoreMore); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func ok[T any](out T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

func TestToken(t *testing.T) {
	s := start(t, ecr.Options{Host: "weir.example:5000"}, nil)
	out := ok(s.client().GetAuthorizationToken(t.Context(), &sdk.GetAuthorizationTokenInput{}))(t)
	data := out.AuthorizationData[0]
	same(t, "endpoint", "https://123456789012.dkr.ecr.local.amazonaws.com", *data.ProxyEndpoint)
	if left := time.Until(*data.ExpiresAt); left < 11*time.Hour || left > 12*time.Hour {
		t.Errorf("expires in %s", left)
	}
	text, err := base64.StdEncoding.DecodeString(*data.AuthorizationToken)
	user, password, _ := strings.Cut(string(text), ":")
	if err != nil || user != "AWS" {
		t.Fatalf("token of %q: %v", user, err)
	}
	if caller, err := s.auth.Basic(t.Context(), netip.MustParseAddr("127.0.0.1"), user, password); err != nil || !caller.Root {
		t.Errorf("login: %+v, %v", caller, err)
	}
	// As amazon-ecr-credential-helper checks what it is answered.
	shaped := regexp.MustCompile(`^https://(\d{12})\.dkr[\.\-]ecr(\-fips)?\.([a-zA-Z0-9][a-zA-Z0-9-_]*)\.(amazonaws\.(?:com(?:\.cn)?|eu)|on\.aws)$`)
	_, body := s.call(t, "GetAuthorizationToken", `{"registryIds":["`+other+`","`+registryID+`"]}`)
	var answer struct {
		AuthorizationData []struct{ ProxyEndpoint string }
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || len(answer.AuthorizationData) != 2 {
		t.Fatalf("%v: %s", err, body)
	}
	for i, id := range []string{other, registryID} {
		if at := shaped.FindStringSubmatch(answer.AuthorizationData[i].ProxyEndpoint); at == nil || at[1] != id {
			t.Errorf("endpoint for %s: %s", id, body)
		}
	}
}

func TestRegistry(t *testing.T) {
	s := start(t, ecr.Options{}, nil)
	out := ok(s.client().DescribeRegistry(t.Context(), &sdk.DescribeRegistryInput{}))(t)
	same(t, "ID", registryID, *out.RegistryId)
	same(t, "replication", &types.ReplicationConfiguration{Rules: []types.ReplicationRule{}}, out.ReplicationConfiguration)
}

func TestRepositories(t *testing.T) {
	s := start(t, ecr.Options{}, nil)
	client := s.client()
	out := ok(client.DescribeRepositories(t.Context(), &sdk.DescribeRepositoriesInput{}))(t)
	same(t, "none", 0, len(out.Repositories))
	var want []types.Repository
	for i := range 7 {
		name := fmt.Sprintf("hub/app%d", i)
		s.put(t, name, "1", i, "layer")
		want = append(want, types.Repository{
			RepositoryArn: aws.String("arn:aws:ecr:local:123456789012:repository/" + name), RegistryId: aws.String(registryID), RepositoryName: aws.String(name),
			RepositoryUri: aws.String("123456789012.dkr.ecr.local.amazonaws.com/" + name), CreatedAt: aws.Time(epoch.Add(time.Duration(i) * time.Second)),
			ImageTagMutability: types.ImageTagMutabilityMutable, ImageScanningConfiguration: &types.ImageScanningConfiguration{},
			EncryptionConfiguration: &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeAes256},
		})
	}
	for _, limit := range []int32{0, 1, 2, 3, 7} {
		var got []types.Repository
		pages := sdk.NewDescribeRepositoriesPaginator(client, &sdk.DescribeRepositoriesInput{}, func(o *sdk.DescribeRepositoriesPaginatorOptions) { o.Limit = limit })
		for pages.HasMorePages() {
			got = append(got, ok(pages.NextPage(t.Context()))(t).Repositories...)
		}
		same(t, "all by pages", want, got)
	}
	out = ok(client.DescribeRepositories(t.Context(), &sdk.DescribeRepositoriesInput{RepositoryNames: []string{"hub/app3", "hub/app1"}, RegistryId: aws.String(registryID)}))(t)
	same(t, "named", []types.Repository{want[3], want[1]}, out.Repositories)
	if out.NextToken != nil {
		t.Error("a next token where names were asked for")
	}

	for what, tt := range map[string]struct {
		in                 sdk.DescribeRepositoriesInput
		exception, message string
	}{
		"not there":                {sdk.DescribeRepositoriesInput{RepositoryNames: []string{"hub/app1", "no/app"}}, "RepositoryNotFoundException", "The repository with name 'no/app' does not exist in the registry with id '123456789012'"},
		"in another registry":      {sdk.DescribeRepositoriesInput{RepositoryNames: []string{"hub/app1"}, RegistryId: aws.String(other)}, "RepositoryNotFoundException", "The repository with name 'hub/app1' does not exist in the registry with id '999999999999'"},
		"all of another registry":  {sdk.DescribeRepositoriesInput{RegistryId: aws.String(other)}, "InvalidParameterException", "Invalid parameter at 'registryId' failed to satisfy constraint: 'The only registry here is 123456789012'"},
		"names and a page":         {sdk.DescribeRepositoriesInput{RepositoryNames: []string{"hub/app1"}, MaxResults: aws.Int32(5)}, "InvalidParameterException", "Invalid request parameters: nextToken and maxResults cannot be used together with repositoryNames"},
		"a token of somebody else": {sdk.DescribeRepositoriesInput{NextToken: aws.String("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")}, "InvalidParameterException", "Invalid parameter at 'nextToken' failed to satisfy constraint: 'It is not what this operation returned for these parameters'"},
	} {
		_, err := client.DescribeRepositories(t.Context(), &tt.in)
		wantFailure(t, what, err, tt.exception, tt.message)
	}
}

// images stores an untagged image, one with two tags, an index of both, something
// about it, and returns their digests.
func (s *server) images(t *testing.T, repo string) (bare, tagged, index, about digest.Digest) {
	t.Helper()
	bare = s.put(t, repo, "", 1, "a")
	tagged = s.put(t, repo, "1", 2, "a", "bc", "a")
	s.put(t, repo, "latest", 3, "a", "bc", "a")
	child := func(d digest.Digest, arch string) string {
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":1,"platform":{"os":"linux","architecture":%q}}`, oci.MediaTypeManifest, d, arch)
	}
	index = s.putRaw(t, repo, "all", 4, oci.MediaTypeIndex, `{"schemaVersion":2,"manifests":[`+child(bare, "arm64")+","+child(tagged, "amd64")+","+child(digest.FromString("not held"), "s390x")+`]}`)
	about = s.putRaw(t, repo, "", 5, oci.MediaTypeManifest, fmt.Sprintf(`{"schemaVersion":2,"artifactType":"application/spdx+json","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":2},"layers":[],"subject":{"mediaType":%q,"digest":%q,"size":1}}`, digest.FromString("{}"), oci.MediaTypeManifest, tagged))
	return bare, tagged, index, about
}

func TestListImages(t *testing.T) {
	s := start(t, ecr.Options{}, nil)
	client := s.client()
	bare, tagged, index, about := s.images(t, "hub/app")
	id := func(d digest.Digest, tag string) types.ImageIdentifier {
		if tag == "" {
			return types.ImageIdentifier{ImageDigest: aws.String(string(d))}
		}
		return types.ImageIdentifier{ImageDigest: aws.String(string(d)), ImageTag: aws.String(tag)}
	}
	withTag := []types.ImageIdentifier{id(tagged, "1"), id(tagged, "latest"), id(index, "all")}
	without := []types.ImageIdentifier{id(bare, ""), id(about, "")}
	for what, tt := range map[string]struct {
		filter *types.ListImagesFilter
		want   []types.ImageIdentifier
	}{
		"no filter":        {nil, append(slices.Clone(withTag), without...)},
		"empty filter":     {&types.ListImagesFilter{}, append(slices.Clone(withTag), without...)},
		"any":              {&types.ListImagesFilter{TagStatus: types.TagStatusAny, ImageStatus: types.ImageStatusFilterAny}, append(slices.Clone(withTag), without...)},
		"tagged":           {&types.ListImagesFilter{TagStatus: types.TagStatusTagged}, withTag},
		"untagged, active": {&types.ListImagesFilter{TagStatus: types.TagStatusUntagged, ImageStatus: types.ImageStatusFilterActive}, without},
		"archived":         {&types.ListImagesFilter{ImageStatus: types.ImageStatusFilterArchived}, nil},
	} {
		slices.SortStableFunc(tt.want, func(a, b types.ImageIdentifier) int { return strings.Compare(*a.ImageDigest, *b.ImageDigest) })
		for _, limit := range []int32{0, 1, 2, 5} {
			var got []types.ImageIdentifier
			pages := sdk.NewListImagesPaginator(client, &sdk.ListImagesInput{RepositoryName: aws.String("hub/app"), Filter: tt.filter}, func(o *sdk.ListImagesPaginatorOptions) { o.Limit = limit })
			for pages.HasMorePages() {
				got = append(got, ok(pages.NextPage(t.Context()))(t).ImageIds...)
			}
			same(t, what, tt.want, got)
		}
	}
	first := ok(client.ListImages(t.Context(), &sdk.ListImagesInput{RepositoryName: aws.String("hub/app"), MaxResults: aws.Int32(1)}))(t)
	const noToken = "Invalid parameter at 'nextToken' failed to satisfy constraint: 'It is not what this operation returned for these parameters'"
	s.images(t, "hub/app2")
	_, err := client.ListImages(t.Context(), &sdk.ListImagesInput{RepositoryName: aws.String("hub/app2"), NextToken: first.NextToken})
	wantFailure(t, "token of another repository", err, "InvalidParameterException", noToken)
	_, err = client.DescribeImages(t.Context(), &sdk.DescribeImagesInput{RepositoryName: aws.String("hub/app"), NextToken: first.NextToken})
	wantFailure(t, "token of another operation", err, "InvalidParameterException", noToken)
	_, err = client.ListImages(t.Context(), &sdk.ListImagesInput{RepositoryName: aws.String("no/app")})
	wantFailure(t, "no repository", err, "RepositoryNotFoundException", "The repository with name 'no/app' does not exist in the registry with id '123456789012'")
	_, err = client.ListImages(t.Context(), &sdk.ListImagesInput{RepositoryName: aws.String("hub/app"), RegistryId: aws.String(other)})
	wantFailure(t, "other registry", err, "RepositoryNotFoundException", "The repository with name 'hub/app' does not exist in the registry with id '999999999999'")
}

func TestDescribeImages(t *testing.T) {
	s := start(t, ecr.Options{}, nil)
	client := s.client()
	bare, tagged, index, about := s.images(t, "hub/app")
	detail := func(d digest.Digest, n int, size int64, tags ...string) types.ImageDetail {
		at := aws.Time(epoch.Add(time.Duration(n) * time.Second))
		return types.ImageDetail{
			RegistryId: aws.String(registryID), RepositoryName: aws.String("hub/app"), ImageDigest: aws.String(string(d)), ImageTags: tags, ImageSizeInBytes: aws.Int64(size),
			ImagePushedAt: at, LastRecordedPullTime: at, ImageStatus: types.ImageStatusActive,
			ImageManifestMediaType: aws.String(oci.MediaTypeManifest), ArtifactMediaType: aws.String("application/vnd.oci.image.config.v1+json"),
		}
	}
	all := []types.ImageDetail{detail(bare, 1, 7), detail(tagged, 2, 9, "1", "latest"), detail(index, 4, 9, "all"), detail(about, 5, 2)}
	all[2].ImageManifestMediaType, all[2].ArtifactMediaType = aws.String(oci.MediaTypeIndex), nil
	all[3].ArtifactMediaType, all[3].SubjectManifestDigest = aws.String("application/spdx+json"), aws.String(string(tagged))
	named := map[digest.Digest]types.ImageDetail{bare: all[0], tagged: all[1], index: all[2], about: all[3]}
	slices.SortFunc(all, func(a, b types.ImageDetail) int { return strings.Compare(*a.ImageDigest, *b.ImageDigest) })
	for _, limit := range []int32{0, 1, 3, 4} {
		var got []types.ImageDetail
		pages := sdk.NewDescribeImagesPaginator(client, &sdk.DescribeImagesInput{RepositoryName: aws.String("hub/app")}, func(o *sdk.DescribeImagesPaginatorOptions) { o.Limit = limit })
		for pages.HasMorePages() {
			got = append(got, ok(pages.NextPage(t.Context()))(t).ImageDetails...)
		}
		same(t, "by pages", all, got)
	}
	out := ok(client.DescribeImages(t.Context(), &sdk.DescribeImagesInput{RepositoryName: aws.String("hub/app"), ImageIds: []types.ImageIdentifier{
		{ImageTag: aws.String("all")}, {ImageTag: aws.String("latest")}, {ImageDigest: aws.String(string(about))}, {ImageTag: aws.String("1"), ImageDigest: aws.String(string(tagged))},
	}}))(t)
	same(t, "named", []types.ImageDetail{named[index], named[tagged], named[about]}, out.ImageDetails)
	out = ok(client.DescribeImages(t.Context(), &sdk.DescribeImagesInput{RepositoryName: aws.String("hub/app"), Filter: &types.DescribeImagesFilter{TagStatus: types.TagStatusTagged, ImageStatus: types.ImageStatusFilterActivating}}))(t)
	same(t, "none of this status", 0, len(out.ImageDetails))

	for what, tt := range map[string]struct {
		id                 types.ImageIdentifier
		exception, message string
	}{
		"no such tag":    {types.ImageIdentifier{ImageTag: aws.String("2")}, "ImageNotFoundException", "The image with imageId {imageDigest:'null', imageTag:'2'} does not exist within the repository with name 'hub/app' in the registry with id '123456789012'"},
		"no such digest": {types.ImageIdentifier{ImageDigest: aws.String("sha256:00")}, "ImageNotFoundException", "The image with imageId {imageDigest:'sha256:00', imageTag:'null'} does not exist within the repository with name 'hub/app' in the registry with id '123456789012'"},
		"neither":        {types.ImageIdentifier{}, "InvalidParameterException", "Invalid request parameters: both tag and digest cannot be null"},
		"no digest":      {types.ImageIdentifier{ImageDigest: aws.String("latest")}, "InvalidParameterException", "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"},
	} {
		_, err := client.DescribeImages(t.Context(), &sdk.DescribeImagesInput{RepositoryName: aws.String("hub/app"), ImageIds: []types.ImageIdentifier{tt.id}})
		wantFailure(t, what, err, tt.exception, tt.message)
	}
	_, err := client.DescribeImages(t.Context(), &sdk.DescribeImagesInput{RepositoryName: aws.String("hub/app"), MaxResults: aws.Int32(1), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("1")}}})
	wantFailure(t, "IDs and a page", err, "InvalidParameterException", "Invalid request parameters: nextToken and maxResults cannot be used together with imageIds")
}
