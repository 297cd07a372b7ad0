package ecr_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/smithy-go"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/auth"
	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/awsapi/ecr"
	"github.com/weir-registry/weir/internal/blob"
	"github.com/weir-registry/weir/internal/blob/disk"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/pullthrough"
	"github.com/weir-registry/weir/internal/registry"
	"github.com/weir-registry/weir/internal/rule"
	"github.com/weir-registry/weir/internal/seal"
	"github.com/weir-registry/weir/internal/vfs"
	"github.com/weir-registry/weir/internal/vfs/vfstest"
)

const (
	registryID = "123456789012"
	other      = "999999999999"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 250e6, time.UTC)

// server is a registry with ECR's face, over HTTP. Its clients have the root key.
type server struct {
	*httptest.Server
	key, secret string
	db          *meta.DB
	keys        *seal.Keys
	auth        *auth.Auth
	validate    func(ctx context.Context, r *rule.Rule) error // of rules
}

// start serves what service makes, the real thing if that is nil.
func start(t *testing.T, o ecr.Options, service func(ecr.Options) awsapi.Service) *server {
	t.Helper()
	s := &server{validate: func(context.Context, *rule.Rule) error { return nil }}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	s.db, err = meta.Open(t.Context(), meta.Options{Path: filepath.Join(t.TempDir(), "weir.db")})
	must(err)
	t.Cleanup(func() { s.db.Close() })
	s.keys, err = seal.Open(vfstest.NewMem(nil), "keys")
	must(err)
	s.auth = auth.New(s.db, s.keys, auth.Options{Registry: registryID})
	s.key, s.secret, _, err = s.auth.CreateRoot(t.Context(), registryID)
	must(err)
	o.ID, o.Region, o.Auth, o.PageKey = registryID, "local", s.auth, s.keys.Derive("pages")
	real := service == nil
	if real {
		service = ecr.Service
		rules, _ := rule.NewSet(nil)
		dir, err := vfs.OpenDir(t.TempDir())
		must(err)
		t.Cleanup(func() { dir.Close() })
		store, err := disk.Open(dir)
		must(err)
		uploads, err := blob.OpenUploads(blob.UploadsOptions{FS: dir, Dir: "uploads", KeepFree: func(int64) int64 { return 0 }})
		must(err)
		cache := pullthrough.New(pullthrough.Options{Index: s.db, Store: store})
		t.Cleanup(cache.Close)
		o.Registry = registry.New(registry.Options{Strict: o.Strict, ID: o.ID, Region: o.Region, Rules: rules, DB: s.db, Cache: cache, Store: store, Uploads: uploads})
		o.Admin, err = admin.New(t.Context(), admin.Options{
			DB: s.db, Keys: s.keys, ID: o.ID, Region: o.Region,
			Destinations:    []rule.Destination{{Region: "east", RegistryID: other}, {Region: "west", RegistryID: registryID}},
			Declared:        []rule.Rule{{Prefix: "declared", Kind: rule.Quay, Upstream: "quay.io", Credential: "of-the-file"}},
			Validate:        func(ctx context.Context, r *rule.Rule) error { return s.validate(ctx, r) },
			SettingsChanged: o.Registry.SetSettings,
		})
		must(err)
	}
	handler := awsapi.New(awsapi.Options{Auth: s.auth, Logger: slog.New(slog.DiscardHandler)}, service(o))
	if real {
		handler = seen.watch(handler)
	}
	s.Server = httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s
}

// client is the SDK's.
func (s *server) client(change ...func(*sdk.Options)) *sdk.Client {
	return sdk.New(sdk.Options{
		BaseEndpoint: aws.String(s.URL), Region: "us-east-1", RetryMaxAttempts: 1, HTTPClient: s.Client(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: s.key, SecretAccessKey: s.secret}, nil
		}),
	}, change...)
}

// call calls an operation with a body as it is, and returns what comes back.
func (s *server) call(t *testing.T, op, body string) (int, string) {
	t.Helper()
	return signed(t, s.URL, s.key, s.secret, op, body)
}

// signed calls an operation at url with an access key.
func signed(t *testing.T, url, key, secret, op, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest("POST", url+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921."+op)
	sum := sha256.Sum256([]byte(body))
	err = v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: key, SecretAccessKey: secret}, req, hex.EncodeToString(sum[:]), "ecr", "local", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// failure is the exception and the message of an error's body.
func failure(t *testing.T, body string) (exception, message string) {
	t.Helper()
	var e struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return e.Type, e.Message
}

// wantFailure checks what the SDK made of an error.
func wantFailure(t *testing.T, what string, err error, exception, message string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != exception || e.ErrorMessage() != message {
		t.Errorf("%s: %v, want %s %q", what, err, exception, message)
	}
}

// put stores an image manifest of some layers, at second n.
func (s *server) put(t *testing.T, repo, tag string, n int, layers ...string) digest.Digest {
	t.Helper()
	descriptor := func(mediaType, s string) string {
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, digest.FromString(s), len(s))
	}
	all := make([]string, len(layers))
	for i, l := range layers {
		all[i] = descriptor("application/vnd.oci.image.layer.v1.tar+gzip", l)
	}
	return s.putRaw(t, repo, tag, n, oci.MediaTypeManifest,
		`{"schemaVersion":2,"config":`+descriptor("application/vnd.oci.image.config.v1+json", "config")+`,"layers":[`+strings.Join(all, ",")+`]}`)
}

func (s *server) putRaw(t *testing.T, repo, tag string, n int, mediaType, raw string) digest.Digest {
	t.Helper()
	m := &oci.Manifest{Descriptor: oci.Descriptor{MediaType: mediaType, Digest: digest.FromString(raw), Size: int64(len(raw))}, Raw: []byte(raw)}
	e, err := m.Edges()
	if err == nil {
		_, err = s.db.PutManifest(t.Context(), repo, m, e, tag, epoch.Add(time.Duration(n)*time.Second))
	}
	if err != nil {
		t.Fatal(err)
	}
	return m.Digest
}
