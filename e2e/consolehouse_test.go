package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
)

// house is a weir with something of everything in it: upstreams that answer, limit and are
// away, cached and own images, people, rules and policies.
type house struct {
	*server
	up         *upstreamtest.Registry
	few        key    // of a user who may look at one team's repositories, and nothing else
	long       string // a repository with a name as long as names may be
	own, index string // digests: of an own image with referrers, and of a cached index
}

type key struct{ id, secret string }

const houseConfig = `listen: %[1]s
data: %[2]s/data
registry: {id: "123456789012", region: us-east-1, host: weir.corp.example}
rules:
  - {prefix: quay, upstream: quay.io}
  - {prefix: k8s, upstream: registry.k8s.io, window: 7d, fixed: ["v*"]}
  - {prefix: docker-hub, upstream: registry-1.docker.io, credential: hub}
  - {prefix: partner, upstream: registry.partner.example, window: 0s}
  - {prefix: limited, upstream: limited.example}
templates:
  - {prefix: quay, applied_for: [PULL_THROUGH_CACHE], description: "What the teams pull from Quay", resource_tags: {owner: platform}}
credentials:
  hub: {username: corp, password_file: %[2]s/hub}
  standby: {username: copier, password_file: %[2]s/hub}
upstreams:
  quay.io: {endpoints: ["http://%[3]s"]}
  registry.k8s.io: {endpoints: ["http://%[3]s"]}
  limited.example: {endpoints: ["http://%[4]s"]}
  registry.partner.example: {endpoints: ["http://%[5]s"]}
replication:
  destinations:
    - {region: eu-central-1, registry_id: "123456789012", url: "http://%[5]s", credential: standby}
timeouts: {check: 1s}
`

// hostile is what people would run in another's browser, if a page let them.
const hostile = `"><script>alert(1)</script><img src=x onerror=alert(1)>`

// written is what people wrote in English, and read in every language.
var written = []string{"What the teams pull from Quay", "Repositories of the teams", "Reads packages of the corp organisation", "candidates go after two weeks"}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{up: upstreamtest.New(upstreamtest.Options{}), long: "team/" + strings.Repeat("averylongname", 14) + "/" + strings.Repeat("part-", 12) + "end"}
	front := newDoor(t, "127.0.0.1", h.up)
	limited := newDoor(t, "127.0.0.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "3600")
		http.Error(w, `{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}`, http.StatusTooManyRequests)
	}))
	away := newDoor(t, "127.0.0.1", h.up)
	h.server = newWeir(t, map[string]string{"hub": "hub-password\n"}, func(s *server) string {
		return fmt.Sprintf(houseConfig, s.addr, s.dir, front.addr, limited.addr, away.addr)
	})
	h.cache(t)
	away.shut()
	for i := range 3 { // more than once, by another tag each time: then it counts as failing
		h.pull(t, fmt.Sprintf("partner/erp/other:%d", i), true)
	}
	h.pull(t, "limited/tools/scanner:latest", true)
	h.api(t, "AmazonEC2ContainerRegistry_V20150921.PutReplicationConfiguration", json.RawMessage(`{"replicationConfiguration":{"rules":[{"destinations":[{"region":"eu-central-1","registryId":"123456789012"}],"repositoryFilters":[{"filter":"team/shop","filterType":"PREFIX_MATCH"}]}]}}`), nil)
	h.push(t)
	h.furnish(t)
	return h
}

// cache has clients pull through the cache.
func (h *house) cache(t *testing.T) {
	t.Helper()
	nginx := upstreamtest.NewIndex(1, 3, 2<<20, 300<<10, 4<<10)
	h.index = nginx.Digest.String()
	h.up.Push("nginx/nginx", "1.29", nginx)
	h.up.Push("nginx/nginx", "stable", nginx)
	h.up.Push("prometheus/node-exporter", "v1.9.1", upstreamtest.NewIndex(2, 2, 1<<20, 64<<10))
	h.up.Push("pause", "3.10", upstreamtest.NewImage(3, 300<<10))
	h.up.Push("erp/batch", "nightly", upstreamtest.NewImage(4, 1<<20, 2<<20))
	signature := upstreamtest.NewReferrer(nginx.Descriptor, "application/vnd.dev.sigstore.bundle.v0.3+json", 1)
	sbom := upstreamtest.NewReferrer(nginx.Descriptor, "application/spdx+json", 2)
	for _, r := range []upstreamtest.Image{signature, sbom} {
		h.up.Push("nginx/nginx", "", r)
	}
	for _, ref := range []string{"quay/nginx/nginx:1.29", "quay/nginx/nginx:1.29", "quay/nginx/nginx:stable", "quay/prometheus/node-exporter:v1.9.1", "k8s/pause:3.10", "partner/erp/batch:nightly"} {
		h.pull(t, ref, false)
	}
	h.up.Push("nginx/nginx", "stable", upstreamtest.NewIndex(5, 3, 2<<20, 300<<10, 4<<10)) // another one: the tag moves
	h.api(t, "Weir_20261125.CheckNow", map[string]any{"repositoryName": "quay/nginx/nginx", "reference": "stable"}, nil)
}

// reference is an image's name for go-containerregistry.
func (h *house) reference(t *testing.T, rest string) (name.Reference, remote.Option) {
	t.Helper()
	ref, err := name.ParseReference(h.addr+"/"+rest, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return ref, remote.WithAuth(&authn.Basic{Username: h.id, Password: h.secret})
}

// pull pulls an image for linux/amd64, whole. Where it fails it must be meant to.
func (h *house) pull(t *testing.T, rest string, fails bool) {
	t.Helper()
	ref, auth := h.reference(t, rest)
	img, err := remote.Image(ref, auth, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: "amd64"}), remote.WithRetryStatusCodes())
	if err == nil {
		_, err = img.RawConfigFile()
	}
	var layers []v1.Layer
	if err == nil {
		layers, err = img.Layers()
	}
	for _, l := range layers {
		r, failed := l.Compressed()
		if failed == nil {
			_, failed = io.Copy(io.Discard, r)
			r.Close()
		}
		err = failed
	}
	if (err != nil) != fails {
		t.Fatalf("pull of %s: %v", rest, err)
	}
}

// push pushes images of weir's own.
func (h *house) push(t *testing.T) {
	t.Helper()
	for _, repo := range []string{"team/shop", "team/empty", "ops/tools", h.long} {
		h.api(t, "AmazonEC2ContainerRegistry_V20150921.CreateRepository", map[string]any{"repositoryName": repo}, nil)
	}
	write := func(rest string, img v1.Image) {
		t.Helper()
		ref, auth := h.reference(t, rest)
		if err := remote.Write(ref, img, auth); err != nil {
			t.Fatal(err)
		}
	}
	for i, tag := range []string{"1.0.0", "1.1.0", "2.0.0-rc.1"} {
		write("team/shop:"+tag, shopImage(t, tag, 100<<10*(i+1)))
	}
	latest := shopImage(t, "2.0.0", 900<<10)
	write("team/shop:2.0.0", latest)
	write("team/shop:latest", latest)
	write("ops/tools:1", shopImage(t, "tools", 20<<10))
	write("ops/tools:1", shopImage(t, "tools again", 30<<10)) // the one before has no tag now
	write(h.long+":"+strings.Repeat("a-long-tag.", 11)+"end", shopImage(t, "long", 10<<10))

	digest, err := latest.Digest()
	if err != nil {
		t.Fatal(err)
	}
	h.own = digest.String()
	raw, err := latest.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	subject := v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: digest, Size: int64(len(raw))}
	for kind, body := range map[string]string{
		"application/vnd.dev.sigstore.bundle.v0.3+json": `{"signature":"none, this is a test"}`,
		"application/spdx+json":                         `{"spdxVersion":"SPDX-2.3"}`,
		"text/html":                                     hostile,
	} {
		about := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.MediaType(kind))
		about, err := mutate.AppendLayers(about, static.NewLayer([]byte(body), types.MediaType(kind)))
		if err != nil {
			t.Fatal(err)
		}
		about = mutate.Annotations(about, map[string]string{"org.opencontainers.image.title": hostile}).(v1.Image)
		about = mutate.Subject(about, subject).(v1.Image)
		d, err := about.Digest()
		if err != nil {
			t.Fatal(err)
		}
		write("team/shop@"+d.String(), about)
	}
}

// shopImage is an image of two layers with a history and labels, some of them hostile.
func shopImage(t *testing.T, version string, size int) v1.Image {
	t.Helper()
	img, err := mutate.ConfigFile(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), &v1.ConfigFile{
		Architecture: "amd64", OS: "linux", Author: "The shop's team", Created: v1.Time{Time: time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC)},
		RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{Entrypoint: []string{"/shop"}, Cmd: []string{"serve", "--port=8080"}, User: "65532", Env: []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8"}, WorkingDir: "/srv",
			ExposedPorts: map[string]struct{}{"8080/tcp": {}},
			Labels: map[string]string{"org.opencontainers.image.version": version, "org.opencontainers.image.source": "https://git.corp.example/shop",
				"hostile": hostile, hostile: "a label's name", "long": strings.Repeat("without-an-end", 40)}},
	})
	for i, by := range []string{"COPY rootfs / # the base", `RUN /bin/sh -c echo "` + hostile + `" > /srv/index.html`} {
		var layer v1.Layer
		if err == nil {
			layer, err = tarball.LayerFromOpener(func() (io.ReadCloser, error) { return oneFile("file", noise(version+by, size/(1+9*i))) }, tarball.WithMediaType(types.OCILayer))
		}
		if err == nil {
			img, err = mutate.Append(img, mutate.Addendum{Layer: layer, History: v1.History{CreatedBy: by, Created: v1.Time{Time: time.Date(2026, 11, 20, 9, i, 0, 0, time.UTC)}}})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// furnish makes people, policies, secrets and settings.
func (h *house) furnish(t *testing.T) {
	t.Helper()
	const ecr, secrets, own = "AmazonEC2ContainerRegistry_V20150921.", "secretsmanager.", "Weir_20261125."
	call := func(op string, in string) {
		t.Helper()
		h.api(t, op, json.RawMessage(in), nil)
	}
	call(ecr+"PutLifecyclePolicy", `{"repositoryName":"team/shop","lifecyclePolicyText":"{\"rules\":[{\"rulePriority\":1,\"description\":\"candidates go after two weeks\",\"selection\":{\"tagStatus\":\"tagged\",\"tagPrefixList\":[\"2.0.0-rc\"],\"countType\":\"sinceImagePushed\",\"countUnit\":\"days\",\"countNumber\":14},\"action\":{\"type\":\"expire\"}}]}"}`)
	call(ecr+"SetRepositoryPolicy", `{"repositoryName":"team/shop","policyText":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"everybodyPulls\",\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":[\"ecr:BatchGetImage\",\"ecr:GetDownloadUrlForLayer\"]}]}"}`)
	call(ecr+"PutRegistryPolicy", `{"policyText":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"noNewRepositories\",\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"ecr:CreateRepository\",\"Resource\":\"arn:aws:ecr:us-east-1:123456789012:repository/quay/test/*\"}]}"}`)
	call(ecr+"CreateRepositoryCreationTemplate", `{"prefix":"team","description":"Repositories of the teams","appliedFor":["CREATE_ON_PUSH"],"imageTagMutability":"IMMUTABLE","resourceTags":[{"Key":"kind","Value":"team"}]}`)
	call(secrets+"CreateSecret", `{"Name":"ecr-pullthroughcache/ghcr","ClientRequestToken":"11111111-1111-1111-1111-111111111111","Description":"Reads packages of the corp organisation","SecretString":"{\"username\":\"corp-bot\",\"accessToken\":\"never-to-be-seen\"}"}`)
	call(secrets+"CreateSecret", `{"Name":"ecr-pullthroughcache/old","ClientRequestToken":"22222222-2222-2222-2222-222222222222","SecretString":"{\"username\":\"x\",\"accessToken\":\"never-to-be-seen\"}"}`)
	call(secrets+"DeleteSecret", `{"SecretId":"ecr-pullthroughcache/old","RecoveryWindowInDays":7}`)
	var secret struct{ ARN string }
	h.api(t, secrets+"DescribeSecret", map[string]string{"SecretId": "ecr-pullthroughcache/ghcr"}, &secret)
	h.api(t, ecr+"CreatePullThroughCacheRule", map[string]string{"ecrRepositoryPrefix": "ghcr", "upstreamRegistryUrl": "ghcr.io", "upstreamRegistry": "github-container-registry", "credentialArn": secret.ARN}, nil)
	call(ecr+"CreatePullThroughCacheRule", `{"ecrRepositoryPrefix":"registry-k8s","upstreamRegistryUrl":"registry.k8s.io","upstreamRegistry":"k8s"}`)

	call(own+"CreateUser", `{"userName":"ci","policies":["AmazonEC2ContainerRegistryPowerUser"]}`)
	call(own+"CreateKey", `{"userName":"ci","expiresAt":1985597200}`)
	call(own+"CreateUser", `{"userName":"ann"}`)
	call(own+"PutUserPolicy", `{"userName":"ann","policyName":"team","policyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":[\"ecr:DescribeRepositories\",\"ecr:DescribeImages\",\"ecr:ListImages\",\"ecr:BatchGetImage\",\"ecr:GetDownloadUrlForLayer\"],\"Resource\":\"arn:aws:ecr:us-east-1:123456789012:repository/team/*\"}]}"}`)
	var made struct {
		Key             struct{ AccessKeyID string }
		SecretAccessKey string
	}
	h.api(t, own+"CreateKey", map[string]string{"userName": "ann"}, &made)
	h.few = key{made.Key.AccessKeyID, made.SecretAccessKey}
}

// api calls an operation of one of weir's APIs by its X-Amz-Target, with the root key, and
// reads its answer into out, if that is not nil.
func (s *server) api(t *testing.T, target string, in, out any) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.addr+"/", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", target)
	service := "ecr"
	if strings.HasPrefix(target, "secretsmanager.") {
		service = "secretsmanager"
	}
	sum := sha256.Sum256(body)
	keys := aws.Credentials{AccessKeyID: s.id, SecretAccessKey: s.secret}
	if err := v4.NewSigner().SignHTTP(t.Context(), keys, req, hex.EncodeToString(sum[:]), service, "us-east-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s", resp.Status, text)
	}
	if err == nil && out != nil {
		err = json.Unmarshal(text, out)
	}
	if err != nil {
		t.Fatalf("%s: %v", target, err)
	}
}
