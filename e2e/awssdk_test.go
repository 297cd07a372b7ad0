package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

// TestSDK is a program with aws-sdk-go-v2: its paginators, waiters and types of errors.
func TestSDK(t *testing.T) {
	t.Parallel()
	s := newEmptyServer(t, newUpstream(t))
	ctx := t.Context()
	client := ecr.New(ecr.Options{
		BaseEndpoint: aws.String("http://" + s.addr), Region: awsRegion, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(s.id, s.secret, ""),
	})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var want []string
	for i := range 3 {
		name := fmt.Sprintf("sdk/app%d", i)
		_, err := client.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: &name})
		must(err)
		want = append(want, name)
	}
	repo := &want[0]
	var got []string
	repos := ecr.NewDescribeRepositoriesPaginator(client, &ecr.DescribeRepositoriesInput{}, func(o *ecr.DescribeRepositoriesPaginatorOptions) { o.Limit = 2 })
	for repos.HasMorePages() {
		page, err := repos.NextPage(ctx)
		must(err)
		for _, r := range page.Repositories {
			got = append(got, *r.RepositoryName)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("repositories %v, want %v", got, want)
	}

	pushed := map[string]bool{}
	for _, tag := range []string{"a", "b", "c"} {
		pushed[s.pushOwn(t, *repo, tag)] = true
	}
	images := ecr.NewListImagesPaginator(client, &ecr.ListImagesInput{RepositoryName: repo}, func(o *ecr.ListImagesPaginatorOptions) { o.Limit = 1 })
	for images.HasMorePages() {
		page, err := images.NextPage(ctx)
		must(err)
		for _, id := range page.ImageIds {
			if !pushed[*id.ImageDigest] {
				t.Errorf("%s: nobody pushed it, or it came twice", *id.ImageDigest)
			}
			delete(pushed, *id.ImageDigest)
		}
	}
	if len(pushed) > 0 {
		t.Errorf("not listed: %v", pushed)
	}

	_, err := client.StartLifecyclePolicyPreview(ctx, &ecr.StartLifecyclePolicyPreviewInput{RepositoryName: repo, LifecyclePolicyText: aws.String(
		`{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}`)})
	must(err)
	preview, err := ecr.NewLifecyclePolicyPreviewCompleteWaiter(client).WaitForOutput(ctx, &ecr.GetLifecyclePolicyPreviewInput{RepositoryName: repo}, time.Minute)
	must(err)
	if preview.Status != types.LifecyclePolicyPreviewStatusComplete || *preview.Summary.ExpiringImageTotalCount != 2 {
		t.Errorf("the preview: %+v", preview)
	}
	err = ecr.NewImageScanCompleteWaiter(client).Wait(ctx, &ecr.DescribeImageScanFindingsInput{RepositoryName: repo, ImageId: &types.ImageIdentifier{ImageTag: aws.String("a")}}, time.Minute)
	var noScan *types.ScanNotFoundException
	if !errors.As(err, &noScan) {
		t.Errorf("waiting for a scan: %v", err)
	}
	_, err = client.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: repo})
	var full *types.RepositoryNotEmptyException
	if !errors.As(err, &full) || !strings.Contains(full.ErrorMessage(), "'"+*repo+"'") {
		t.Errorf("deleting a repository with images: %v", err)
	}
}
