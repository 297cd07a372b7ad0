package ecr_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/awsapi/ecr"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/registry"
)

// own makes an own repository.
func (s *server) own(t *testing.T, repo string) {
	t.Helper()
	if err := s.db.CreateRepository(t.Context(), meta.Repository{Name: repo, Created: epoch, Kind: meta.Own}); err != nil {
		t.Fatal(err)
	}
}

// begin begins an upload by the SDK.
func begin(t *testing.T, client *sdk.Client, repo string) *string {
	t.Helper()
	out := ok(client.InitiateLayerUpload(t.Context(), &sdk.InitiateLayerUploadInput{RepositoryName: &repo}))(t)
	if *out.PartSize != 20<<20 {
		t.Errorf("parts of %d bytes", *out.PartSize)
	}
	return out.UploadId
}

// send sends a part of it that begins at a byte.
func send(t *testing.T, client *sdk.Client, repo string, id *string, first int, part []byte) (*sdk.UploadLayerPartOutput, error) {
	t.Helper()
	return client.UploadLayerPart(t.Context(), &sdk.UploadLayerPartInput{
		RepositoryName: &repo, UploadId: id, LayerPartBlob: part,
		PartFirstByte: aws.Int64(int64(first)), PartLastByte: aws.Int64(int64(first + len(part) - 1)),
	})
}

// complete ends it.
func complete(t *testing.T, client *sdk.Client, repo string, id *string, content string) error {
	t.Helper()
	d := string(digest.FromString(content))
	out, err := client.CompleteLayerUpload(t.Context(), &sdk.CompleteLayerUploadInput{RepositoryName: &repo, UploadId: id, LayerDigests: []string{d}})
	if err == nil && (*out.LayerDigest != d || *out.UploadId != *id || *out.RepositoryName != repo || len(*out.RegistryId) != 12) {
		t.Errorf("completed: %+v", out)
	}
	return err
}

// upload has the SDK send a layer.
func upload(t *testing.T, client *sdk.Client, repo string, content []byte) digest.Digest {
	t.Helper()
	id := begin(t, client, repo)
	for at := 0; at < len(content); at += 20 << 20 {
		part := content[at:min(at+20<<20, len(content))]
		out := ok(send(t, client, repo, id, at, part))(t)
		if want := int64(at + len(part) - 1); *out.LastByteReceived != want || *out.UploadId != *id {
			t.Errorf("received: %d, want %d", *out.LastByteReceived, want)
		}
	}
	if err := complete(t, client, repo, id, string(content)); err != nil {
		t.Fatal(err)
	}
	return digest.FromBytes(content)
}

// wantWords is wantFailure for a message that has words in it.
func wantWords(t *testing.T, what string, err error, exception, words string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != exception || !strings.Contains(e.ErrorMessage(), words) {
		t.Errorf("%s: %v, want %s %q", what, err, exception, words)
	}
}

func TestLayerUpload(t *testing.T) {
	s := start(t, ecr.Options{}, nil)
	s.own(t, "team/app")
	client, long := s.client(), strings.Repeat("0123456789", 524289) // a little over 5 MiB
	d := upload(t, client, "team/app", []byte(long))
	out := ok(client.BatchCheckLayerAvailability(t.Context(), &sdk.BatchCheckLayerAvailabilityInput{RepositoryName: aws.String("team/app"), LayerDigests: []string{string(d)}}))(t)
	if len(out.Layers) != 1 || out.Layers[0].LayerAvailability != types.LayerAvailabilityAvailable || *out.Layers[0].LayerSize != int64(len(long)) {
		t.Errorf("%+v", out.Layers)
	}

	id := begin(t, client, "team/app")
	wantFailure(t, "no parts", complete(t, client, "team/app", id, ""), "EmptyUploadException",
		"The upload with id '"+*id+"' in the repository with name 'team/app' in registry with id '123456789012' cannot be completed because it does not have any parts")
	ok(send(t, client, "team/app", id, 0, []byte(long)))(t)
	ok(send(t, client, "team/app", id, 0, []byte(long)))(t) // as after an answer that was lost
	wantWords(t, "other bytes", complete(t, client, "team/app", id, "other"), "InvalidLayerException", "do not have digest")
	wantWords(t, "again", complete(t, client, "team/app", id, long), "LayerAlreadyExistsException", "already exists in the repository with name 'team/app'")
	wantWords(t, "an upload that is over", complete(t, client, "team/app", id, long), "UploadNotFoundException", *id)
	_, err := send(t, client, "team/app", id, 0, []byte(long))
	wantWords(t, "a part of it", err, "UploadNotFoundException", *id)

	id = begin(t, client, "team/app")
	ok(send(t, client, "team/app", id, 0, []byte("short")))(t)
	ok(send(t, client, "team/app", id, 5, []byte("er")))(t)
	wantWords(t, "short parts", complete(t, client, "team/app", id, "shorter"), "LayerPartTooSmallException", "less than 5242880 bytes")
	for what, tt := range map[string]struct {
		id    *string
		first int
		last  *int64 // that every such exception tells; nil: none
	}{
		"a gap":              {id, 8, aws.Int64(6)},
		"over what is there": {id, 3, aws.Int64(6)},
		"nothing yet":        {begin(t, client, "team/app"), 1, nil},
	} {
		_, err := send(t, client, "team/app", tt.id, tt.first, []byte("part"))
		var invalid *types.InvalidLayerPartException
		if !errors.As(err, &invalid) {
			t.Errorf("%s: %v", what, err)
			continue
		}
		same(t, what, tt.last, invalid.LastValidByteReceived)
		if *invalid.UploadId != *tt.id || *invalid.RepositoryName != "team/app" || *invalid.RegistryId != registryID || !strings.Contains(*invalid.Message, "not consecutive") {
			t.Errorf("%s: %+v", what, invalid)
		}
	}
	row := ok(s.db.Upload(t.Context(), "team/app", *id))(t)
	row.Parts = registry.MaxParts
	if err := s.db.PutUpload(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	_, err = send(t, client, "team/app", id, 7, []byte("more"))
	wantWords(t, "too many parts", err, "LimitExceededException", "4200 parts")

	_, err = client.InitiateLayerUpload(t.Context(), &sdk.InitiateLayerUploadInput{RepositoryName: aws.String("no/app")})
	wantFailure(t, "no repository", err, "RepositoryNotFoundException", "The repository with name 'no/app' does not exist in the registry with id '123456789012'")
	_, err = client.InitiateLayerUpload(t.Context(), &sdk.InitiateLayerUploadInput{RepositoryName: aws.String("team/app"), RegistryId: aws.String(other)})
	wantWords(t, "another registry", err, "RepositoryNotFoundException", "'999999999999'")
	two := []string{string(d), string(digest.FromString("x"))}
	_, err = client.CompleteLayerUpload(t.Context(), &sdk.CompleteLayerUploadInput{RepositoryName: aws.String("team/app"), UploadId: id, LayerDigests: two})
	wantWords(t, "two digests", err, "InvalidParameterException", "one digest")
}

// TestSamePart: a part that a client sends again while its first try is still on its way
// comes to the same.
func TestSamePart(t *testing.T) {
	s := start(t, ecr.Options{}, nil)
	s.own(t, "team/app")
	client := s.client(func(o *sdk.Options) { o.RetryMaxAttempts = 10 })
	id := begin(t, client, "team/app")
	part := make([]byte, 10<<20)
	var sending sync.WaitGroup
	for range 3 {
		sending.Go(func() {
			if _, err := send(t, client, "team/app", id, 0, part); err != nil {
				t.Error(err)
			}
		})
	}
	sending.Wait()
	if err := complete(t, client, "team/app", id, string(part)); err != nil {
		t.Error(err)
	}
}
