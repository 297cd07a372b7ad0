package ecr_test

import (
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/awsapi/ecr"
	"github.com/weir-registry/weir/internal/oci"
)

// TestArchive: an image into the archive and out of it, as the SDK sees it in all lists.
func TestArchive(t *testing.T) {
	ctx := t.Context()
	s := start(t, ecr.Options{}, nil)
	client := s.client()
	repo := aws.String("hub/app")
	m := s.put(t, "hub/app", "v1", 1, "alone", "shared")
	active := s.put(t, "hub/app", "v2", 2, "shared")
	raw := `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeManifest + `","artifactType":"application/sig","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"` +
		string(digest.FromString("{}")) + `","size":2},"layers":[],"subject":{"mediaType":"` + oci.MediaTypeManifest + `","digest":"` + string(m) + `","size":1}}`
	sig := s.putRaw(t, "hub/app", "", 3, oci.MediaTypeManifest, raw)
	child := s.put(t, "hub/app", "", 4, "child")
	index := s.putRaw(t, "hub/app", "index", 5, oci.MediaTypeIndex, `{"schemaVersion":2,"manifests":[{"mediaType":"`+oci.MediaTypeManifest+`","digest":"`+string(child)+`","size":1}]}`)
	for _, b := range []string{"alone", "shared", "config"} {
		d := digest.FromString(b)
		if err := s.db.Claim(ctx, d, epoch); err != nil {
			t.Fatal(err)
		}
		if err := s.db.PutBlob(ctx, d, int64(len(b)), false, []string{"hub/app"}, epoch); err != nil {
			t.Fatal(err)
		}
	}
	set := func(id types.ImageIdentifier, class types.TargetStorageClass) (*sdk.UpdateImageStorageClassOutput, error) {
		return client.UpdateImageStorageClass(ctx, &sdk.UpdateImageStorageClassInput{RepositoryName: repo, ImageId: &id, TargetStorageClass: class})
	}
	out := ok(set(types.ImageIdentifier{ImageTag: aws.String("v1")}, types.TargetStorageClassArchive))(t)
	same(t, "answer", []string{registryID, "hub/app", string(m), "v1", "ARCHIVED"},
		[]string{*out.RegistryId, *out.RepositoryName, *out.ImageId.ImageDigest, *out.ImageId.ImageTag, string(out.ImageStatus)})

	list := func(status types.ImageStatusFilter) (all []string) {
		t.Helper()
		in := &sdk.ListImagesInput{RepositoryName: repo}
		if status != "" {
			in.Filter = &types.ListImagesFilter{ImageStatus: status}
		}
		for _, id := range ok(client.ListImages(ctx, in))(t).ImageIds {
			all = append(all, *id.ImageDigest)
		}
		return all
	}
	sorted := func(all ...digest.Digest) (sorted []string) {
		for _, d := range all {
			sorted = append(sorted, string(d))
		}
		slices.Sort(sorted)
		return sorted
	}
	same(t, "archived images", sorted(m, sig), list(types.ImageStatusFilterArchived))
	same(t, "images by default", 3, len(list("")))
	same(t, "active images", 3, len(list(types.ImageStatusFilterActive)))
	same(t, "all images", 5, len(list(types.ImageStatusFilterAny)))
	same(t, "images on their way", 0, len(list(types.ImageStatusFilterActivating)))

	describe := func(status types.ImageStatusFilter) []types.ImageDetail {
		t.Helper()
		return ok(client.DescribeImages(ctx, &sdk.DescribeImagesInput{RepositoryName: repo, Filter: &types.DescribeImagesFilter{ImageStatus: status, TagStatus: types.TagStatusTagged}}))(t).ImageDetails
	}
	details := describe(types.ImageStatusFilterArchived)
	if len(details) != 1 || details[0].ImageStatus != types.ImageStatusArchived || details[0].LastArchivedAt == nil || details[0].LastActivatedAt != nil {
		t.Errorf("described: %+v", details)
	}
	same(t, "active and tagged", 2, len(describe(types.ImageStatusFilterActive)))

	referrers := func(status types.ArtifactStatusFilter) (all []string) {
		t.Helper()
		in := &sdk.ListImageReferrersInput{RepositoryName: repo, SubjectId: &types.SubjectIdentifier{ImageDigest: aws.String(string(m))}}
		if status != "" {
			in.Filter = &types.ListImageReferrersFilter{ArtifactStatus: status}
		}
		for _, r := range ok(client.ListImageReferrers(ctx, in))(t).Referrers {
			all = append(all, *r.Digest+" "+string(r.ArtifactStatus))
		}
		return all
	}
	same(t, "active referrers", 0, len(referrers("")))
	same(t, "archived referrers", []string{string(sig) + " ARCHIVED"}, referrers(types.ArtifactStatusFilterArchived))
	same(t, "any referrers", 1, len(referrers(types.ArtifactStatusFilterAny)))

	layers := func() (all []string) {
		t.Helper()
		for _, l := range ok(client.BatchCheckLayerAvailability(ctx, &sdk.BatchCheckLayerAvailabilityInput{
			RepositoryName: repo, LayerDigests: []string{string(digest.FromString("alone")), string(digest.FromString("shared")), string(digest.FromString("child"))},
		}))(t).Layers {
			all = append(all, string(l.LayerAvailability))
		}
		return all
	}
	same(t, "layers", []string{"ARCHIVED", "AVAILABLE", "UNAVAILABLE"}, layers())

	_, err := set(types.ImageIdentifier{ImageDigest: aws.String(string(child))}, types.TargetStorageClassArchive)
	wantFailure(t, "a part of an index", err, "ImageStorageClassUpdateNotSupportedException",
		"image "+string(child)+" cannot be archived: manifest list "+string(index)+" of repository hub/app references it, and is to be archived first")
	_, err = set(types.ImageIdentifier{ImageTag: aws.String("none")}, types.TargetStorageClassArchive)
	wantFailure(t, "no such tag", err, "ImageNotFoundException", "The image with imageId {imageDigest:'null', imageTag:'none'} does not exist within the repository with name 'hub/app' in the registry with id '123456789012'")
	_, err = set(types.ImageIdentifier{}, types.TargetStorageClassArchive)
	wantFailure(t, "no name", err, "InvalidParameterException", "Invalid request parameters: both tag and digest cannot be null")
	_, err = client.UpdateImageStorageClass(ctx, &sdk.UpdateImageStorageClassInput{RepositoryName: aws.String("no/app"), ImageId: &types.ImageIdentifier{ImageTag: aws.String("v1")}, TargetStorageClass: types.TargetStorageClassStandard})
	wantFailure(t, "no repository", err, "RepositoryNotFoundException", "The repository with name 'no/app' does not exist in the registry with id '123456789012'")

	out = ok(set(types.ImageIdentifier{ImageDigest: aws.String(string(m))}, types.TargetStorageClassStandard))(t)
	same(t, "restored at once", types.ImageStatusActive, out.ImageStatus)
	details = ok(client.DescribeImages(ctx, &sdk.DescribeImagesInput{RepositoryName: repo, ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v1")}}}))(t).ImageDetails
	if len(details) != 1 || details[0].ImageStatus != types.ImageStatusActive || details[0].LastArchivedAt == nil || details[0].LastActivatedAt == nil {
		t.Errorf("described after it was restored: %+v", details)
	}
	same(t, "archived images", 0, len(list(types.ImageStatusFilterArchived)))
	same(t, "layers", []string{"AVAILABLE", "AVAILABLE", "UNAVAILABLE"}, layers())
	same(t, "referrers", []string{string(sig) + " ACTIVE"}, referrers(""))

	// Without its tag it goes from the archive as from anywhere.
	ok(set(types.ImageIdentifier{ImageTag: aws.String("v2")}, types.TargetStorageClassArchive))(t)
	deleted := ok(client.BatchDeleteImage(ctx, &sdk.BatchDeleteImageInput{RepositoryName: repo, ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v2")}}}))(t)
	same(t, "deleted", string(active), *deleted.ImageIds[0].ImageDigest)
}
