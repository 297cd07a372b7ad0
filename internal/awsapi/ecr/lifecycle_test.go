package ecr_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/awsapi/ecr"
	"github.com/weir-registry/weir/internal/oci"
)

// lifecycleOf is a policy of one rule, as somebody writes it.
func lifecycleOf(selection, action string) string {
	return "{\n  \"rules\": [ {\n    \"rulePriority\": 10,\n    \"selection\": {" + selection + "},\n    \"action\": {" + action + "}\n  } ]\n}\n"
}

var (
	untaggedGo = lifecycleOf(`"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 1`, `"type": "expire"`)
	unpulledGo = lifecycleOf(`"tagStatus": "any", "countType": "sinceImagePulled", "countUnit": "days", "countNumber": 60`, `"type": "expire"`)
)

func TestLifecyclePolicy(t *testing.T) {
	ctx := t.Context()
	s := start(t, ecr.Options{}, nil)
	client := s.client()
	repo := aws.String("hub/app")
	s.put(t, "hub/app", "v1", 1, "layer")
	const none = "Lifecycle policy does not exist for the repository with name 'hub/app' in the registry with id '123456789012'"
	const noRepo = "The repository with name 'no/app' does not exist in the registry with id '123456789012'"
	put := func(repo, text string) error {
		_, err := client.PutLifecyclePolicy(ctx, &sdk.PutLifecyclePolicyInput{RepositoryName: aws.String(repo), LifecyclePolicyText: aws.String(text)})
		return err
	}
	_, err := client.GetLifecyclePolicy(ctx, &sdk.GetLifecyclePolicyInput{RepositoryName: repo})
	wantFailure(t, "get none", err, "LifecyclePolicyNotFoundException", none)
	_, err = client.DeleteLifecyclePolicy(ctx, &sdk.DeleteLifecyclePolicyInput{RepositoryName: repo})
	wantFailure(t, "delete none", err, "LifecyclePolicyNotFoundException", none)
	_, err = client.StartLifecyclePolicyPreview(ctx, &sdk.StartLifecyclePolicyPreviewInput{RepositoryName: repo})
	wantFailure(t, "preview of none", err, "LifecyclePolicyNotFoundException", none)
	wantFailure(t, "put, no repository", put("no/app", untaggedGo), "RepositoryNotFoundException", noRepo)
	_, err = client.GetLifecyclePolicy(ctx, &sdk.GetLifecyclePolicyInput{RepositoryName: aws.String("no/app")})
	wantFailure(t, "get, no repository", err, "RepositoryNotFoundException", noRepo)
	_, err = client.DeleteLifecyclePolicy(ctx, &sdk.DeleteLifecyclePolicyInput{RepositoryName: aws.String("no/app")})
	wantFailure(t, "delete, no repository", err, "RepositoryNotFoundException", noRepo)
	for text, why := range map[string]string{
		strings.Repeat("x", 100): "Could not map policyString into LifecyclePolicy.",
		strings.Replace(untaggedGo, `"rulePriority": 10`, `"rulePriority": 0`, 1): "numeric instance is lower than the required minimum (minimum: 1, found: 0)",
		strings.Replace(untaggedGo, `"rulePriority"`, `"priority"`, 1):            `object has missing required properties (["rulePriority"])`,
	} {
		wantFailure(t, "malformed", put("hub/app", text), "InvalidParameterException",
			"Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure: "+why+"'")
	}
	if err := put("hub/app", "{}"); err == nil {
		t.Error("a text of two characters was taken, and ECR has at least 100")
	}

	out := ok(client.PutLifecyclePolicy(ctx, &sdk.PutLifecyclePolicyInput{RepositoryName: repo, LifecyclePolicyText: aws.String(unpulledGo)}))(t)
	same(t, "put", []string{registryID, "hub/app", unpulledGo}, []string{*out.RegistryId, *out.RepositoryName, *out.LifecyclePolicyText})
	got := ok(client.GetLifecyclePolicy(ctx, &sdk.GetLifecyclePolicyInput{RepositoryName: repo}))(t)
	if *got.LifecyclePolicyText != unpulledGo || got.LastEvaluatedAt != nil {
		t.Errorf("got %q, evaluated %v", *got.LifecyclePolicyText, got.LastEvaluatedAt)
	}
	if err := s.db.EvaluatedLifecycle(ctx, "hub/app", unpulledGo, epoch); err != nil {
		t.Fatal(err)
	}
	got = ok(client.GetLifecyclePolicy(ctx, &sdk.GetLifecyclePolicyInput{RepositoryName: repo}))(t)
	same(t, "evaluated", epoch, *got.LastEvaluatedAt)
	deleted := ok(client.DeleteLifecyclePolicy(ctx, &sdk.DeleteLifecyclePolicyInput{RepositoryName: repo}))(t)
	same(t, "deleted", unpulledGo, *deleted.LifecyclePolicyText)
	same(t, "evaluated", epoch, *deleted.LastEvaluatedAt)

	strict := start(t, ecr.Options{Strict: true}, nil)
	strict.put(t, "hub/app", "v1", 1, "layer")
	_, err = strict.client().PutLifecyclePolicy(ctx, &sdk.PutLifecyclePolicyInput{RepositoryName: repo, LifecyclePolicyText: aws.String(unpulledGo)})
	wantFailure(t, "what only weir does", err, "InvalidParameterException",
		"Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure: instance failed to match exactly one schema (matched 0 out of 2): sinceImagePulled can only transition, as weir.yaml has ecr.strict'")
}

func TestLifecyclePreview(t *testing.T) {
	ctx := t.Context()
	s := start(t, ecr.Options{}, nil)
	client := s.client()
	repo := aws.String("hub/app")
	kept := s.put(t, "hub/app", "v1", 1, "layer")
	want := map[digest.Digest]int{}
	for i := range 7 {
		want[s.put(t, "hub/app", "", i, fmt.Sprint("layer", i))] = i
	}
	get := func(in sdk.GetLifecyclePolicyPreviewInput) (*sdk.GetLifecyclePolicyPreviewOutput, error) {
		in.RepositoryName = repo
		return client.GetLifecyclePolicyPreview(ctx, &in)
	}
	_, err := get(sdk.GetLifecyclePolicyPreviewInput{})
	wantFailure(t, "none yet", err, "LifecyclePolicyPreviewNotFoundException", "Lifecycle policy preview does not exist for the repository with name 'hub/app' in the registry with id '123456789012'")
	_, err = client.StartLifecyclePolicyPreview(ctx, &sdk.StartLifecyclePolicyPreviewInput{RepositoryName: aws.String("no/app"), LifecyclePolicyText: aws.String(untaggedGo)})
	wantFailure(t, "no repository", err, "RepositoryNotFoundException", "The repository with name 'no/app' does not exist in the registry with id '123456789012'")
	_, err = client.GetLifecyclePolicyPreview(ctx, &sdk.GetLifecyclePolicyPreviewInput{RepositoryName: aws.String("no/app")})
	wantFailure(t, "no repository", err, "RepositoryNotFoundException", "The repository with name 'no/app' does not exist in the registry with id '123456789012'")
	_, err = client.StartLifecyclePolicyPreview(ctx, &sdk.StartLifecyclePolicyPreviewInput{RepositoryName: repo, LifecyclePolicyText: aws.String(strings.Replace(untaggedGo, "expire", "remove", 1))})
	wantFailure(t, "malformed", err, "InvalidParameterException", `Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure: instance value ("remove") not found in enum (possible values: ["expire","transition"])'`)

	started := ok(client.StartLifecyclePolicyPreview(ctx, &sdk.StartLifecyclePolicyPreviewInput{RepositoryName: repo, LifecyclePolicyText: aws.String(untaggedGo)}))(t)
	same(t, "started", []string{untaggedGo, "COMPLETE"}, []string{*started.LifecyclePolicyText, string(started.Status)})
	out := ok(sdk.NewLifecyclePolicyPreviewCompleteWaiter(client).WaitForOutput(ctx, &sdk.GetLifecyclePolicyPreviewInput{RepositoryName: repo}, time.Minute))(t)
	same(t, "waited for", []string{"COMPLETE", untaggedGo, "7", "0"}, []string{string(out.Status), *out.LifecyclePolicyText,
		fmt.Sprint(*out.Summary.ExpiringImageTotalCount), fmt.Sprint(len(out.Summary.TransitioningImageTotalCounts))})
	for _, limit := range []int32{1, 3, 7} {
		seen := map[digest.Digest]int{}
		pages := sdk.NewGetLifecyclePolicyPreviewPaginator(client, &sdk.GetLifecyclePolicyPreviewInput{RepositoryName: repo}, func(o *sdk.GetLifecyclePolicyPreviewPaginatorOptions) { o.Limit = limit })
		for pages.HasMorePages() {
			for _, r := range ok(pages.NextPage(ctx))(t).PreviewResults {
				seen[digest.Digest(*r.ImageDigest)] = int(r.ImagePushedAt.Sub(epoch) / time.Second)
				if *r.AppliedRulePriority != 10 || r.Action.Type != types.ImageActionTypeExpire || r.StorageClass != types.LifecyclePolicyStorageClassStandard || len(r.ImageTags) > 0 {
					t.Errorf("result %+v", r)
				}
			}
		}
		same(t, "by pages", want, seen)
	}
	same(t, "tagged ones", 0, len(ok(get(sdk.GetLifecyclePolicyPreviewInput{Filter: &types.LifecyclePolicyPreviewFilter{TagStatus: types.TagStatusTagged}}))(t).PreviewResults))
	var goes digest.Digest
	for goes = range want {
		break
	}
	ids := []types.ImageIdentifier{{ImageTag: aws.String("v1")}, {ImageDigest: aws.String(string(goes))}, {ImageDigest: aws.String(string(goes))}, {ImageDigest: aws.String(string(digest.FromString("no")))}}
	named := ok(get(sdk.GetLifecyclePolicyPreviewInput{ImageIds: ids}))(t)
	same(t, "named ones", []string{string(goes)}, []string{*named.PreviewResults[0].ImageDigest})
	same(t, "the others stay", 1, len(named.PreviewResults))
	_, err = get(sdk.GetLifecyclePolicyPreviewInput{ImageIds: ids, MaxResults: aws.Int32(1)})
	wantFailure(t, "names and pages", err, "InvalidParameterException", "Invalid request parameters: nextToken and maxResults cannot be used together with imageIds")
	if _, err := s.db.Image(ctx, "hub/app", goes); err != nil {
		t.Errorf("a preview removed it: %v", err)
	}

	// The repository's own policy, with an image to archive and what goes with it.
	own := lifecycleOf(`"tagStatus": "tagged", "tagPrefixList": ["v"], "countType": "sinceImagePulled", "countUnit": "days", "countNumber": 2`, `"type": "transition", "targetStorageClass": "archive"`)
	sig := s.putRaw(t, "hub/app", "", 9, oci.MediaTypeManifest, `{"schemaVersion":2,"artifactType":"a/sig","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"`+
		string(digest.FromString("{}"))+`","size":2},"layers":[],"subject":{"mediaType":"`+oci.MediaTypeManifest+`","digest":"`+string(kept)+`","size":1}}`)
	ok(client.PutLifecyclePolicy(ctx, &sdk.PutLifecyclePolicyInput{RepositoryName: repo, LifecyclePolicyText: aws.String(own)}))(t)
	started = ok(client.StartLifecyclePolicyPreview(ctx, &sdk.StartLifecyclePolicyPreviewInput{RepositoryName: repo}))(t)
	same(t, "its own policy", own, *started.LifecyclePolicyText)
	out = ok(get(sdk.GetLifecyclePolicyPreviewInput{}))(t)
	var moved []string
	for _, r := range out.PreviewResults {
		moved = append(moved, *r.ImageDigest)
		if r.Action.Type != types.ImageActionTypeTransition || r.Action.TargetStorageClass != types.LifecyclePolicyTargetStorageClassArchive {
			t.Errorf("result %+v", r)
		}
	}
	both := []string{string(kept), string(sig)}
	slices.Sort(both)
	same(t, "to the archive", both, moved)
	counts := out.Summary.TransitioningImageTotalCounts
	if len(counts) != 1 || *counts[0].ImageTotalCount != 2 || *out.Summary.ExpiringImageTotalCount != 0 {
		t.Errorf("summary %+v", out.Summary)
	}

	if err := s.db.StartPreview(ctx, "hub/app", own, time.Now()); err != nil {
		t.Fatal(err)
	}
	_, err = client.StartLifecyclePolicyPreview(ctx, &sdk.StartLifecyclePolicyPreviewInput{RepositoryName: repo})
	wantFailure(t, "two at once", err, "LifecyclePolicyPreviewInProgressException", "a preview of a lifecycle policy is being made for repository hub/app: ask for it, and start another one after that")
	out = ok(get(sdk.GetLifecyclePolicyPreviewInput{}))(t)
	if out.Status != types.LifecyclePolicyPreviewStatusInProgress || len(out.PreviewResults) > 0 || out.Summary != nil {
		t.Errorf("in progress: %+v", out)
	}
}
