package ecr_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/awsapi/ecr"
	"github.com/weir-registry/weir/internal/oci"
)

// imageOf is an OCI image of a config and layers, without mediaType unless it is given.
func imageOf(mediaType string, config digest.Digest, layers ...digest.Digest) string {
	descriptor := func(mediaType string, d digest.Digest) map[string]any {
		return map[string]any{"mediaType": mediaType, "digest": d, "size": 1}
	}
	m := map[string]any{"schemaVersion": 2, "config": descriptor("application/vnd.oci.image.config.v1+json", config)}
	if mediaType != "" {
		m["mediaType"] = mediaType
	}
	list := []any{}
	for _, l := range layers {
		list = append(list, descriptor("application/vnd.oci.image.layer.v1.tar+gzip", l))
	}
	m["layers"] = list
	b, _ := json.MarshalIndent(m, "", "   ") // as docker writes it
	return string(b)
}

func indexOf(children ...digest.Digest) string {
	var list []string
	for _, d := range children {
		list = append(list, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":1}`, oci.MediaTypeManifest, d))
	}
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, oci.MediaTypeIndex, strings.Join(list, ","))
}

func TestPutImage(t *testing.T) {
	s := start(t, ecr.Options{}, nil)
	s.own(t, "team/app")
	client := s.client()
	config, layer := upload(t, client, "team/app", []byte(`{"os":"linux"}`)), upload(t, client, "team/app", []byte("<layer> & more"))
	plain, image := imageOf("", config, layer), imageOf(oci.MediaTypeManifest, config, layer)
	d := string(digest.FromString(image))
	locked := ok(client.CreateRepository(t.Context(), &sdk.CreateRepositoryInput{RepositoryName: aws.String("team/locked"), ImageTagMutability: types.ImageTagMutabilityImmutable}))(t)
	upload(t, client, "team/locked", []byte(`{"os":"linux"}`))
	upload(t, client, "team/locked", []byte("<layer> & more"))
	again := "Image with digest '" + d + "' and tag '%s' already exists in the repository with name 'team/app' in registry with id '123456789012'"
	for _, tt := range []struct {
		name               string
		repo               string // "": team/app
		manifest           string
		mediaType          string
		tag, digest        string
		exception, message string // "": none
	}{
		{"by a tag", "", image, "", "v1", d, "", ""},
		{"again", "", image, "", "v1", "", "ImageAlreadyExistsException", fmt.Sprintf(again, "v1")},
		{"again without a tag", "", image, "", "", "", "ImageAlreadyExistsException", fmt.Sprintf(again, "null")},
		{"by another tag", "", image, "", "v2", "", "", ""},
		{"without mediaType", "", plain, "", "v3", "", "InvalidParameterException", "Invalid parameter at 'imageManifestMediaType' failed to satisfy constraint: 'Member must not be null where the manifest has no mediaType'"},
		{"with the type beside it", "", plain, oci.MediaTypeManifest, "v3", "", "", ""},
		{"two types", "", image, oci.MediaTypeIndex, "v4", "", "InvalidParameterException", "both an index and a manifest"},
		{"a page", "", "<html>", "text/html", "v4", "", "InvalidParameterException", "not a manifest's"},
		{"no JSON", "", "{", oci.MediaTypeManifest, "v4", "", "InvalidParameterException", "not a JSON object"},
		{"schema 1", "", `{"schemaVersion":1,"mediaType":"` + oci.MediaTypeDockerV1Sign + `"}`, "", "v4", "", "InvalidParameterException", "schema 1 is not supported"},
		{"digest of another", "", image, "", "v4", string(digest.FromString("x")), "ImageDigestDoesNotMatchException", "do not have digest"},
		{"no digest", "", image, "", "v4", "sha256:12", "InvalidParameterException", "digest"},
		{"no tag", "", image, "", "v4:5", "", "InvalidParameterException", "tag"},
		{"a layer that is not there", "", imageOf(oci.MediaTypeManifest, config, digest.FromString("x")), "", "v4", "", "LayersNotFoundException", string(digest.FromString("x"))},
		{"index of what is not there", "", indexOf(digest.Digest(d), digest.FromString("x")), "", "v4", "", "ReferencedImagesNotFoundException", string(digest.FromString("x"))},
		{"index", "", indexOf(digest.Digest(d)), "", "all", "", "", ""},
		{"no repository", "no/app", image, "", "v1", "", "RepositoryNotFoundException", "The repository with name 'no/app' does not exist in the registry with id '123456789012'"},
		{"by a tag for ever", *locked.Repository.RepositoryName, image, "", "v1", "", "", ""},
		{"another by that tag", "team/locked", imageOf(oci.MediaTypeManifest, config), "", "v1", "", "ImageTagAlreadyExistsException", "The image tag 'v1' already exists in the 'team/locked' repository and cannot be overwritten because the tag is immutable."},
		{"the same by that tag", "team/locked", image, "", "v1", "", "ImageAlreadyExistsException", "already exists in the repository with name 'team/locked'"},
	} {
		in := &sdk.PutImageInput{RepositoryName: aws.String("team/app"), ImageManifest: &tt.manifest}
		if tt.repo != "" {
			in.RepositoryName = &tt.repo
		}
		if tt.mediaType != "" {
			in.ImageManifestMediaType = &tt.mediaType
		}
		if tt.tag != "" {
			in.ImageTag = &tt.tag
		}
		if tt.digest != "" {
			in.ImageDigest = &tt.digest
		}
		out, err := client.PutImage(t.Context(), in)
		if tt.exception != "" {
			wantWords(t, tt.name, err, tt.exception, tt.message)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if i := out.Image; *i.ImageManifest != tt.manifest || *i.ImageId.ImageDigest != string(digest.FromString(tt.manifest)) || *i.ImageId.ImageTag != tt.tag || !strings.HasSuffix(*i.ImageManifestMediaType, "+json") {
			t.Errorf("%s: %+v", tt.name, i)
		}
	}
	checked := ok(client.BatchCheckLayerAvailability(t.Context(), &sdk.BatchCheckLayerAvailabilityInput{RepositoryName: aws.String("team/app"), LayerDigests: []string{string(layer), string(config)}}))(t)
	for i, want := range []string{"application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.oci.image.config.v1+json"} {
		same(t, "media type", want, aws.ToString(checked.Layers[i].MediaType))
	}
}

// got is an answer of BatchGetImage: for each image what it is, for each failure why.
func got(out *sdk.BatchGetImageOutput) []string {
	var all []string
	for _, i := range out.Images {
		all = append(all, fmt.Sprintf("%s %s %s", aws.ToString(i.ImageId.ImageTag), *i.ImageId.ImageDigest, digest.FromString(*i.ImageManifest)))
	}
	for _, f := range out.Failures {
		all = append(all, fmt.Sprintf("%s %s: %s %s", aws.ToString(f.ImageId.ImageTag), aws.ToString(f.ImageId.ImageDigest), f.FailureCode, aws.ToString(f.FailureReason)))
	}
	return all
}

func TestGetImages(t *testing.T) {
	s := start(t, ecr.Options{}, nil)
	s.own(t, "team/app")
	client := s.client()
	config := upload(t, client, "team/app", []byte(`{}`))
	put := func(manifest, mediaType, tag string) string {
		t.Helper()
		ok(client.PutImage(t.Context(), &sdk.PutImageInput{RepositoryName: aws.String("team/app"), ImageManifest: &manifest, ImageManifestMediaType: &mediaType, ImageTag: &tag}))(t)
		return string(digest.FromString(manifest))
	}
	one, two := put(imageOf("", config)+"\n", oci.MediaTypeManifest, "one"), put(indexOf(), oci.MediaTypeIndex, "two")
	latin := string(s.putRaw(t, "team/app", "latin", 1, oci.MediaTypeManifest, `{"config":{"digest":"`+string(config)+`"},"a":"`+"\xe9"+`"}`))
	id := func(tag, d string) (i types.ImageIdentifier) {
		if tag != "" {
			i.ImageTag = &tag
		}
		if d != "" {
			i.ImageDigest = &d
		}
		return i
	}
	const notFound = "ImageNotFound Requested image not found"
	absent := string(digest.FromString("x"))
	for _, tt := range []struct {
		name   string
		ids    []types.ImageIdentifier
		accept []string
		want   []string
	}{
		{"tag", []types.ImageIdentifier{id("one", "")}, nil, []string{"one " + one + " " + one}},
		{"digest", []types.ImageIdentifier{id("", one)}, nil, []string{" " + one + " " + one}},
		{"both", []types.ImageIdentifier{id("one", one)}, nil, []string{"one " + one + " " + one}},
		{"several, one twice", []types.ImageIdentifier{id("two", ""), id("", one), id("two", "")}, nil, []string{"two " + two + " " + two, " " + one + " " + one}},
		{"tag of another", []types.ImageIdentifier{id("one", two)}, nil, []string{"one " + two + ": ImageTagDoesNotMatchDigest tag one of team/app is " + one}},
		{"neither", []types.ImageIdentifier{id("", "")}, nil, []string{" : MissingDigestAndTag Invalid request parameters: both tag and digest cannot be null"}},
		{"no digest", []types.ImageIdentifier{id("", "sha256:12")}, nil, []string{" sha256:12: InvalidImageDigest Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"}},
		{"not there", []types.ImageIdentifier{id("three", ""), id("", absent), id("one", "")}, nil, []string{"one " + one + " " + one, "three : " + notFound, " " + absent + ": " + notFound}},
		{"accepted", []types.ImageIdentifier{id("one", "")}, []string{oci.MediaTypeIndex, oci.MediaTypeManifest}, []string{"one " + one + " " + one}},
		{"not accepted", []types.ImageIdentifier{id("one", "")}, []string{oci.MediaTypeDocker}, []string{"one : ImageNotFound The image has media type " + oci.MediaTypeManifest + ", which acceptedMediaTypes has not"}},
		{"not UTF-8", []types.ImageIdentifier{id("", latin)}, nil, []string{" " + latin + ": ImageInaccessible The manifest is not UTF-8, which this API cannot tell; pull it at /v2/"}},
	} {
		out := ok(client.BatchGetImage(t.Context(), &sdk.BatchGetImageInput{RepositoryName: aws.String("team/app"), ImageIds: tt.ids, AcceptedMediaTypes: tt.accept}))(t)
		same(t, tt.name, tt.want, got(out))
	}
	out := ok(client.BatchGetImage(t.Context(), &sdk.BatchGetImageInput{RepositoryName: aws.String("team/app"), ImageIds: []types.ImageIdentifier{id("a:b", "")}}))(t)
	if len(out.Failures) != 1 || out.Failures[0].FailureCode != types.ImageFailureCodeInvalidImageTag {
		t.Errorf("no tag: %+v", out.Failures)
	}
	_, err := client.BatchGetImage(t.Context(), &sdk.BatchGetImageInput{RepositoryName: aws.String("no/app"), ImageIds: []types.ImageIdentifier{id("one", "")}})
	wantFailure(t, "no repository", err, "RepositoryNotFoundException", "The repository with name 'no/app' does not exist in the registry with id '123456789012'")

	var large []types.ImageIdentifier
	for i := range 5 {
		large = append(large, id("", string(s.putRaw(t, "team/app", "", 1, oci.MediaTypeIndex, fmt.Sprintf(`{"schemaVersion":2,"manifests":[],"n":%d,"x":"%s"}`, i, strings.Repeat("x", 4<<20-100))))))
	}
	_, err = client.BatchGetImage(t.Context(), &sdk.BatchGetImageInput{RepositoryName: aws.String("team/app"), ImageIds: large})
	wantWords(t, "too much at once", err, "LimitExceededException", "ask for fewer images")
	out = ok(client.BatchGetImage(t.Context(), &sdk.BatchGetImageInput{RepositoryName: aws.String("team/app"), ImageIds: large[:3]}))(t)
	if len(out.Images) != 3 {
		t.Errorf("%d large images, %d failures", len(out.Images), len(out.Failures))
	}
}
