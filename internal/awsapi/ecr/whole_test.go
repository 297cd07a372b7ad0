package ecr_test

import (
	"io"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
	"github.com/weir-registry/weir/internal/weirtest"
)

// pullByAPI pulls an image by nothing but ECR's API, and compares it.
func pullByAPI(t *testing.T, s *weirtest.Server, repo, tag string, img upstreamtest.Image) {
	t.Helper()
	client := clientOf(s)
	out := ok(client.BatchGetImage(t.Context(), &sdk.BatchGetImageInput{RepositoryName: &repo, ImageIds: []types.ImageIdentifier{{ImageTag: &tag}}}))(t)
	if len(out.Images) != 1 {
		t.Fatalf("%s:%s: %q", repo, tag, got(out))
	}
	same(t, "manifest", string(img.Raw), *out.Images[0].ImageManifest)
	same(t, "digest", string(img.Digest), *out.Images[0].ImageId.ImageDigest)
	m := &oci.Manifest{Descriptor: oci.Descriptor{MediaType: *out.Images[0].ImageManifestMediaType}, Raw: []byte(*out.Images[0].ImageManifest)}
	edges := ok(m.Edges())(t)
	for _, e := range edges.Blobs() {
		resp, body := fetch(t, "GET", urlOf(t, client, repo, e.Digest), nil)
		if resp.StatusCode != 200 || digest.FromBytes(body) != e.Digest {
			t.Errorf("%s: %s, %d bytes of %d", e.Digest, resp.Status, len(body), e.Size)
		}
	}
}

// TestWholeImage: an image of 60 MiB is pushed and pulled by ECR's API alone, and pulled by
// a container client.
func TestWholeImage(t *testing.T) {
	s := weirtest.Start(t, "")
	client, img := clientOf(s), upstreamtest.NewImage(7, 25<<20, 20<<20, 15<<20)
	ok(client.CreateRepository(t.Context(), &sdk.CreateRepositoryInput{RepositoryName: aws.String("team/app")}))(t)
	for _, layer := range append([][]byte{img.Config}, img.Layers...) {
		upload(t, client, "team/app", layer)
	}
	put := ok(client.PutImage(t.Context(), &sdk.PutImageInput{RepositoryName: aws.String("team/app"), ImageManifest: aws.String(string(img.Raw)), ImageTag: aws.String("v1")}))(t)
	same(t, "digest", string(img.Digest), *put.Image.ImageId.ImageDigest)
	pullByAPI(t, s, "team/app", "v1", img)

	ref := ok(name.ParseReference(s.Addr+"/team/app:v1", name.Insecure))(t)
	pulled := ok(remote.Image(ref, remote.WithAuth(&authn.Basic{Username: s.Key.ID, Password: s.Key.Secret})))(t)
	layers := ok(pulled.Layers())(t)
	if len(layers) != len(img.Layers) {
		t.Fatalf("%d layers", len(layers))
	}
	for i, l := range layers {
		body := ok(l.Compressed())(t)
		content, err := io.ReadAll(body) // which verifies its digest
		if body.Close(); err != nil || len(content) != len(img.Layers[i]) {
			t.Errorf("layer %d: %d bytes, %v", i, len(content), err)
		}
	}
}

// TestWholeImageThroughRule: the same pull, of what an upstream has.
func TestWholeImageThroughRule(t *testing.T) {
	up, img, s, _ := behind(t)
	pullByAPI(t, s, "up/team/app", "v1", img)
	up.Forget()
	pullByAPI(t, s, "up/team/app", "v1", img) // of which the upstream learns nothing
	if asked := up.Requests(); len(asked) > 0 {
		t.Errorf("a second pull asked the upstream: %q", asked)
	}
}
