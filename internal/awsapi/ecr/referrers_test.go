package ecr_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/awsapi/ecr"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
)

func TestReferrers(t *testing.T) {
	s := start(t, ecr.Options{}, nil)
	client := s.client()
	subject := s.put(t, "own/app", "1", 1, "layer")
	var want []string
	for i := range 45 {
		d := s.putRaw(t, "own/app", "", 2, oci.MediaTypeManifest, fmt.Sprintf(
			`{"artifactType":"application/%d","layers":[],"n":%d,"annotations":{"a":"b"},"subject":{"mediaType":%q,"digest":%q,"size":1}}`, i%3, i, oci.MediaTypeManifest, subject))
		want = append(want, string(d))
	}
	slices.Sort(want)
	in := sdk.ListImageReferrersInput{RepositoryName: aws.String("own/app"), SubjectId: &types.SubjectIdentifier{ImageDigest: aws.String(string(subject))}}
	for _, limit := range []int32{0, 7, 50} {
		in := in
		if limit > 0 {
			in.MaxResults = aws.Int32(limit)
		}
		var got []string
		for more := true; more; {
			out := ok(client.ListImageReferrers(t.Context(), &in))(t)
			for _, x := range out.Referrers {
				got = append(got, *x.Digest)
				if *x.MediaType != oci.MediaTypeManifest || !strings.HasPrefix(*x.ArtifactType, "application/") || x.Annotations["a"] != "b" || x.ArtifactStatus != types.ArtifactStatusActive || *x.Size == 0 {
					t.Errorf("%+v", x)
				}
			}
			if want := int(max(limit, 20)); limit != 7 && len(out.Referrers) > want {
				t.Errorf("a page of %d", len(out.Referrers))
			}
			in.NextToken = out.NextToken
			more = out.NextToken != nil
		}
		same(t, "by pages", want, got)
	}
	in.MaxResults = aws.Int32(50)
	in.Filter = &types.ListImageReferrersFilter{ArtifactTypes: []string{"application/0", "application/1"}}
	same(t, "of two types", 30, len(ok(client.ListImageReferrers(t.Context(), &in))(t).Referrers))
	in.Filter = &types.ListImageReferrersFilter{ArtifactStatus: types.ArtifactStatusFilterArchived}
	same(t, "archived", 0, len(ok(client.ListImageReferrers(t.Context(), &in))(t).Referrers))
	in.Filter = nil
	in.SubjectId.ImageDigest = aws.String(string(digest.FromString("x")))
	same(t, "of nothing", 0, len(ok(client.ListImageReferrers(t.Context(), &in))(t).Referrers))
	in.RepositoryName = aws.String("own/none")
	_, err := client.ListImageReferrers(t.Context(), &in)
	wantFailure(t, "no repository", err, "RepositoryNotFoundException", "The repository with name 'own/none' does not exist in the registry with id '123456789012'")
}

// TestReferrerFailures: what an upstream does has ECR's name here.
func TestReferrerFailures(t *testing.T) {
	for _, code := range []errs.Code{errs.UpstreamUnreachable, errs.UpstreamTimeout, errs.UpstreamFailed, errs.UpstreamDenied, errs.UpstreamRateLimited} {
		behind := &script{err: errs.New(code, "no")}
		s := start(t, ecr.Options{}, func(o ecr.Options) awsapi.Service { return ecr.NewScripted(o, behind, behind, behind) })
		_, body := s.call(t, "ListImageReferrers", `{"repositoryName":"a/b","subjectId":{"imageDigest":"`+string(digest.FromString("x"))+`"}}`)
		if exception, _ := failure(t, body); exception != "UnableToListUpstreamImageReferrersException" {
			t.Errorf("%s: %s", code, body)
		}
	}
}
