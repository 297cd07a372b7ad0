package ecr_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/awsapi/ecr"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
	"github.com/weir-registry/weir/internal/weirtest"
)

// urlOf has a client ask where a layer is.
func urlOf(t *testing.T, client *sdk.Client, repo string, d digest.Digest) string {
	t.Helper()
	out := ok(client.GetDownloadUrlForLayer(t.Context(), &sdk.GetDownloadUrlForLayerInput{RepositoryName: &repo, LayerDigest: aws.String(string(d))}))(t)
	same(t, "layer", string(d), *out.LayerDigest)
	return *out.DownloadUrl
}

// fetch asks for a URL without a login.
func fetch(t *testing.T, method, url string, header http.Header) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

// weirCall calls an operation of weir's own with the root key.
func weirCall(t *testing.T, s *weirtest.Server, op, body string, out any) {
	t.Helper()
	req, err := http.NewRequest("POST", "http://"+s.Addr+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Amz-Target", "Weir_20261125."+op)
	sum := sha256.Sum256([]byte(body))
	key := aws.Credentials{AccessKeyID: s.Key.ID, SecretAccessKey: s.Key.Secret}
	if err := v4.NewSigner().SignHTTP(t.Context(), key, req, hex.EncodeToString(sum[:]), "ecr", "local", time.Now()); err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s: %s %s %v", op, resp.Status, text, err)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			t.Fatal(err)
		}
	}
}

// as is a client with another key.
func as(s *weirtest.Server, id, secret string) *sdk.Client {
	return sdk.New(clientOf(s).Options(), func(o *sdk.Options) {
		o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}, nil
		})
	})
}

// TestDownload: what a download URL gives, and what it does not. The API has an address of
// its own, which the URL is for.
func TestDownload(t *testing.T) {
	s := weirtest.Start(t, `listeners: {api: "127.0.0.1:0", registry: "127.0.0.1:0", metrics: "127.0.0.1:0"}`+"\n")
	client := clientOf(s)
	for _, repo := range []string{"team/app", "team/other"} {
		ok(client.CreateRepository(t.Context(), &sdk.CreateRepositoryInput{RepositoryName: &repo}))(t)
	}
	content := bytes.Repeat([]byte("<script>0123456789</script>"), 10_000)
	config, layer := upload(t, client, "team/app", []byte("{}")), upload(t, client, "team/app", content)
	ok(client.PutImage(t.Context(), &sdk.PutImageInput{RepositoryName: aws.String("team/app"), ImageManifest: aws.String(imageOf("application/vnd.oci.image.manifest.v1+json", config, layer))}))(t)
	url := urlOf(t, client, "team/app", layer)
	if !strings.HasPrefix(url, "http://"+s.Addr+"/download/team/app/"+string(layer)+"?") {
		t.Fatalf("URL %s", url)
	}

	resp, body := fetch(t, "GET", url, http.Header{"Authorization": {"Basic bm9ib2R5Om5vdGhpbmc="}})
	if resp.StatusCode != 200 || !bytes.Equal(body, content) {
		t.Errorf("GET: %s, %d bytes", resp.Status, len(body))
	}
	for k, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox", "Content-Disposition": "attachment",
		"Content-Type": "application/octet-stream", "Docker-Content-Digest": string(layer), "Accept-Ranges": "bytes",
	} {
		same(t, k, want, resp.Header.Get(k))
	}
	if resp, body = fetch(t, "HEAD", url, nil); resp.StatusCode != 200 || resp.ContentLength != int64(len(content)) || len(body) > 0 {
		t.Errorf("HEAD: %s, %d", resp.Status, resp.ContentLength)
	}
	if resp, body = fetch(t, "GET", url, http.Header{"Range": {"bytes=8-17"}}); resp.StatusCode != 206 || string(body) != "0123456789" {
		t.Errorf("Range: %s %q", resp.Status, body)
	}
	if resp, _ = fetch(t, "GET", url, http.Header{"If-None-Match": {resp.Header.Get("Etag")}}); resp.StatusCode != 304 {
		t.Errorf("If-None-Match: %s", resp.Status)
	}
	path, query, _ := strings.Cut(strings.TrimPrefix(url, "http://"+s.Addr), "?")
	for name, tt := range map[string]struct {
		method, url string
		status      int
	}{
		"another blob":            {"GET", "http://" + s.Addr + "/download/team/app/" + string(config) + "?" + query, 403},
		"another repository":      {"GET", "http://" + s.Addr + "/download/team/other/" + string(layer) + "?" + query, 403},
		"no signature":            {"GET", "http://" + s.Addr + path, 403},
		"a write":                 {"PUT", url, 405},
		"dots":                    {"GET", "http://" + s.Addr + "/download/team/../team/app/" + string(layer) + "?" + query, 400},
		"no digest":               {"GET", "http://" + s.Addr + "/download/team/app?" + query, 400},
		"nothing":                 {"GET", "http://" + s.Addr + "/download/?" + query, 400},
		"the registry's address":  {"GET", "http://" + s.Others[0] + path + "?" + query, 404},
		"a login for /v2/":        {"GET", "http://" + s.Others[0] + "/v2/team/app/blobs/" + string(layer) + "?" + query, 401},
		"escaped, which is wrong": {"GET", "http://" + s.Addr + "/%64ownload/team/app/" + string(layer) + "?" + query, 404},
	} {
		if resp, body := fetch(t, tt.method, tt.url, nil); resp.StatusCode != tt.status {
			t.Errorf("%s: %s %s, want %d", name, resp.Status, body, tt.status)
		}
	}
	_, signature, _ := strings.Cut(query, "signature=")
	if strings.Contains(s.Log.String(), signature) {
		t.Error("the log has the signature")
	}
}

// TestDownloadRevoked: a download URL is worth what its access key is at the time.
func TestDownloadRevoked(t *testing.T) {
	s := weirtest.Start(t, "")
	client := clientOf(s)
	ok(client.CreateRepository(t.Context(), &sdk.CreateRepositoryInput{RepositoryName: aws.String("team/app")}))(t)
	config := upload(t, client, "team/app", []byte("{}"))
	ok(client.PutImage(t.Context(), &sdk.PutImageInput{RepositoryName: aws.String("team/app"), ImageManifest: aws.String(imageOf("application/vnd.oci.image.manifest.v1+json", config))}))(t)
	weirCall(t, s, "CreateUser", `{"userName":"ann"}`, nil)
	allow := func(action string) {
		t.Helper()
		doc, _ := json.Marshal(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"` + action + `","Resource":"*"}]}`)
		weirCall(t, s, "PutUserPolicy", `{"userName":"ann","policyName":"p","policyDocument":`+string(doc)+`}`, nil)
	}
	allow("ecr:GetDownloadUrlForLayer")
	var made struct {
		Key             struct{ AccessKeyId string }
		SecretAccessKey string
	}
	weirCall(t, s, "CreateKey", `{"userName":"ann"}`, &made)
	id := made.Key.AccessKeyId
	url := urlOf(t, as(s, id, made.SecretAccessKey), "team/app", config)
	check := func(what string, status int, words string) {
		t.Helper()
		if resp, body := fetch(t, "GET", url, nil); resp.StatusCode != status || !strings.Contains(string(body), words) {
			t.Errorf("%s: %s %s, want %d", what, resp.Status, body, status)
		}
	}
	check("as it was made", 200, "{}")
	allow("ecr:ListImages")
	check("without the right", 403, "not authorized to perform: ecr:GetDownloadUrlForLayer")
	allow("ecr:GetDownloadUrlForLayer")
	check("with it again", 200, "{}")
	weirCall(t, s, "SetKeyActive", `{"accessKeyId":"`+id+`","active":false}`, nil)
	check("with the key off", 403, "not active any more")
	weirCall(t, s, "DeleteKey", `{"accessKeyId":"`+id+`"}`, nil)
	check("without the key", 403, "not active any more")
}

// TestDownloadProxy: who came to a trusted proxy by https goes on so.
func TestDownloadProxy(t *testing.T) {
	for trusted, scheme := range map[string]string{"127.0.0.0/8": "https://", "192.0.2.0/24": "http://"} {
		s := weirtest.Start(t, "trusted_proxies: ["+trusted+"]\n")
		client := clientOf(s)
		ok(client.CreateRepository(t.Context(), &sdk.CreateRepositoryInput{RepositoryName: aws.String("team/app")}))(t)
		config := upload(t, client, "team/app", []byte("{}"))
		ok(client.PutImage(t.Context(), &sdk.PutImageInput{RepositoryName: aws.String("team/app"), ImageManifest: aws.String(imageOf("application/vnd.oci.image.manifest.v1+json", config))}))(t)
		body := `{"repositoryName":"team/app","layerDigest":"` + string(config) + `"}`
		req, err := http.NewRequest("POST", "http://"+s.Addr+"/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "weir.example"
		req.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.GetDownloadUrlForLayer")
		sum := sha256.Sum256([]byte(body))
		key := aws.Credentials{AccessKeyID: s.Key.ID, SecretAccessKey: s.Key.Secret}
		if err := v4.NewSigner().SignHTTP(t.Context(), key, req, hex.EncodeToString(sum[:]), "ecr", "local", time.Now()); err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-Proto", "https")
		req.Header.Set("X-Forwarded-For", "203.0.113.9")
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		var out struct{ DownloadURL string }
		err = json.NewDecoder(resp.Body).Decode(&out)
		if resp.Body.Close(); err != nil || !strings.HasPrefix(out.DownloadURL, scheme+"weir.example/download/") {
			t.Errorf("through %s: %s, %v", trusted, out.DownloadURL, err)
		}
	}
}

// TestDownloadRefused: which layers have a URL.
func TestDownloadRefused(t *testing.T) {
	s := start(t, ecr.Options{}, nil)
	s.own(t, "team/app")
	client := s.client()
	alone, absent := upload(t, client, "team/app", []byte("alone")), digest.FromString("absent")
	for name, tt := range map[string]struct {
		repo, d, exception, message string
	}{
		"not there":             {"team/app", string(absent), "LayersNotFoundException", "The layer with digest " + string(absent) + " does not exist within the repository with name 'team/app' in the registry with id '123456789012'"},
		"no image names it":     {"team/app", string(alone), "LayerInaccessibleException", "is not associated with an image"},
		"no digest":             {"team/app", "sha256:12", "InvalidParameterException", "digest"},
		"no repository":         {"no/app", string(alone), "RepositoryNotFoundException", "The repository with name 'no/app' does not exist in the registry with id '123456789012'"},
		"no digest, nor a repo": {"no/app", "sha256:12", "RepositoryNotFoundException", "'no/app'"},
	} {
		_, err := client.GetDownloadUrlForLayer(t.Context(), &sdk.GetDownloadUrlForLayerInput{RepositoryName: &tt.repo, LayerDigest: &tt.d})
		wantWords(t, name, err, tt.exception, tt.message)
	}
}

// TestUpstreamLayers: a layer of a rule's repository has a URL once its upstream has
// answered for it, and the URL follows what is still arriving.
func TestUpstreamLayers(t *testing.T) {
	up, img, s, _ := behind(t)
	edges, err := img.Edges()
	if err != nil {
		t.Fatal(err)
	}
	blobs := edges.Blobs()
	up.Script(upstreamtest.Fault{Path: "/blobs/", Stall: true, At: 200_000, Times: 1})
	url := urlOf(t, clientOf(s), "up/team/app", blobs[1].Digest)
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	head := make([]byte, 100_000) // while the upstream stalls behind it
	if _, err := io.ReadFull(resp.Body, head); err != nil {
		t.Fatal(err)
	}
	up.Release()
	rest, err := io.ReadAll(resp.Body)
	if d := cmp.Diff(digest.FromBytes(img.Layers[0]), digest.FromBytes(append(head, rest...))); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	for name, fault := range map[string]upstreamtest.Fault{
		"denied":   {Path: "/blobs/", Status: http.StatusForbidden},
		"too many": {Path: "/blobs/", Status: http.StatusTooManyRequests},
		"away":     {Path: "/blobs/", Status: http.StatusServiceUnavailable},
		"broken":   {Path: "/blobs/", Status: http.StatusInternalServerError},
	} {
		up, img, s, _ := behind(t)
		up.Script(fault)
		d := string(digest.FromBytes(img.Layers[1]))
		_, err := clientOf(s).GetDownloadUrlForLayer(t.Context(), &sdk.GetDownloadUrlForLayerInput{RepositoryName: aws.String("up/team/app"), LayerDigest: &d})
		wantWords(t, name, noted("GetDownloadUrlForLayer", err), "UnableToGetUpstreamLayerException", "")
	}
	up, img, s, password := behind(t)
	if err := os.Remove(password); err != nil {
		t.Fatal(err)
	}
	d := string(digest.FromBytes(img.Layers[1]))
	_, err = clientOf(s).GetDownloadUrlForLayer(t.Context(), &sdk.GetDownloadUrlForLayerInput{RepositoryName: aws.String("up/team/app"), LayerDigest: &d})
	wantWords(t, "no secret", err, "UnableToGetUpstreamLayerException", "its credential cannot be read")
	for _, r := range up.Log() {
		if r.Auth != "" {
			t.Errorf("the upstream was asked with a login: %s", r)
		}
	}
}
