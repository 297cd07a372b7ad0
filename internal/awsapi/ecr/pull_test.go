package ecr_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go"

	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
	"github.com/weir-registry/weir/internal/weirtest"
)

// clientOf is the SDK's client of a whole weir, with its root key.
func clientOf(s *weirtest.Server) *sdk.Client {
	return sdk.New(sdk.Options{
		BaseEndpoint: aws.String("http://" + s.Addr), Region: "local", RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: s.Key.ID, SecretAccessKey: s.Key.Secret}, nil
		}),
	})
}

// noted is err, which a whole weir answered op with.
func noted(op string, err error) error {
	var e smithy.APIError
	if errors.As(err, &e) {
		seen.note(op, e.ErrorCode())
	}
	return err
}

// behind is an upstream with an image of two layers, team/app:v1, and a weir with the
// rule up for it, which logs in.
func behind(t *testing.T) (up *upstreamtest.Registry, img upstreamtest.Image, s *weirtest.Server, password string) {
	t.Helper()
	up = upstreamtest.New(upstreamtest.Options{Auth: upstreamtest.Token, Users: map[string]string{"robot": "s3cret"}})
	img = upstreamtest.NewImage(1, 300_000, 200_000)
	up.Push("team/app", "v1", img)
	password = filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = weirtest.Start(t, weirtest.Settings(up.Listen(t), "credential: robot", "credentials: {robot: {username: robot, password_file: "+password+"}}\n"))
	return up, img, s, password
}

// TestUpstreamImages: images of a rule's repository come through it, and what its upstream
// does instead is the image's failure.
func TestUpstreamImages(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault upstreamtest.Fault
		want  types.ImageFailureCode // "": none
	}{
		{"as it should", upstreamtest.Fault{}, ""},
		{"denied", upstreamtest.Fault{Path: "/manifests/", Status: http.StatusForbidden}, types.ImageFailureCodeUpstreamAccessDenied},
		{"too many", upstreamtest.Fault{Path: "/manifests/", Status: http.StatusTooManyRequests}, types.ImageFailureCodeUpstreamTooManyRequests},
		{"away", upstreamtest.Fault{Path: "/manifests/", Status: http.StatusServiceUnavailable}, types.ImageFailureCodeUpstreamUnavailable},
		{"broken", upstreamtest.Fault{Path: "/manifests/", Status: http.StatusInternalServerError}, types.ImageFailureCodeUpstreamUnavailable},
		{"late", upstreamtest.Fault{Path: "/manifests/", Status: http.StatusGatewayTimeout}, types.ImageFailureCodeUpstreamUnavailable},
		{"a page", upstreamtest.HTML(), types.ImageFailureCodeUpstreamUnavailable},
		{"not there", upstreamtest.Fault{Path: "/manifests/", Status: http.StatusNotFound}, types.ImageFailureCodeImageNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			up, img, s, _ := behind(t)
			if tt.fault.Status != 0 {
				up.Script(tt.fault)
			}
			out := ok(clientOf(s).BatchGetImage(t.Context(), &sdk.BatchGetImageInput{
				RepositoryName: aws.String("up/team/app"), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v1")}},
			}))(t)
			if tt.want == "" {
				same(t, "images", []string{"v1 " + string(img.Digest) + " " + string(img.Digest)}, got(out))
				return
			}
			if len(out.Failures) != 1 || out.Failures[0].FailureCode != tt.want || aws.ToString(out.Failures[0].FailureReason) == "" {
				t.Errorf("%q, want %s", got(out), tt.want)
			}
		})
	}
}

// TestUpstreamSecret: that the rule's secret cannot be read is told as such.
func TestUpstreamSecret(t *testing.T) {
	up, _, s, password := behind(t)
	if err := os.Remove(password); err != nil {
		t.Fatal(err)
	}
	_, err := clientOf(s).BatchGetImage(t.Context(), &sdk.BatchGetImageInput{
		RepositoryName: aws.String("up/team/app"), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v1")}, {ImageTag: aws.String("v2")}},
	})
	wantWords(t, "no secret", noted("BatchGetImage", err), "UnableToGetUpstreamImageException", "its credential cannot be read")
	for _, r := range up.Log() {
		if r.Auth != "" {
			t.Errorf("the upstream was asked with a login: %s", r)
		}
	}
}

// TestUpstreamTogether: many images are asked for a few at a time, and not one by one.
func TestUpstreamTogether(t *testing.T) {
	up, img, s, _ := behind(t)
	var ids []types.ImageIdentifier
	for _, tag := range strings.Fields("a b c d e f g h i j k l m n o p q r s t") {
		up.Push("team/app", tag, img)
		ids = append(ids, types.ImageIdentifier{ImageTag: &tag})
	}
	up.Script(upstreamtest.Fault{Path: "/manifests/", Hang: true, Times: 8})
	answered := make(chan *sdk.BatchGetImageOutput)
	go func() {
		out, err := clientOf(s).BatchGetImage(t.Context(), &sdk.BatchGetImageInput{RepositoryName: aws.String("up/team/app"), ImageIds: ids})
		if err != nil {
			t.Error(err)
			out = &sdk.BatchGetImageOutput{}
		}
		answered <- out
	}()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for asked := 0; asked < 8; { // eight at once, or the test hangs
		asked = 0
		for _, r := range up.Log() {
			if strings.Contains(r.Path, "/manifests/") {
				asked++
			}
		}
		<-again.C
	}
	up.Release()
	if out := <-answered; len(out.Images) != len(ids) {
		t.Errorf("%q", got(out))
	}
}
