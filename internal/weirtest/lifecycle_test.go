package weirtest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
	"github.com/weir-registry/weir/internal/weirtest"
)

const day = 24 * time.Hour

// unpulled expires what nobody pulled for 60 days.
const unpulled = `{"rules": [{"rulePriority": 1, "selection": {"tagStatus": "any", "countType": "sinceImagePulled", "countUnit": "days", "countNumber": 60}, "action": {"type": "expire"}}]}`

// fetched asks for a path and returns the status and the body.
func fetched(s *weirtest.Server, method, path string) (int, string) {
	resp := s.Do(method, path, nil)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(b)
}

// TestArchivedPull: what is archived is told from what is not there in words, costs the
// upstream nothing whatever the window, and comes back at once.
func TestArchivedPull(t *testing.T) {
	ctx := t.Context()
	up := upstreamtest.New(upstreamtest.Options{})
	img := upstreamtest.NewImage(1, 1000)
	up.Push("app", "v1", img)
	up.Push("app", "v2", img)
	s := weirtest.Start(t, weirtest.Settings(up.Listen(t), "window: 0", ""))
	client := clientsOf(s).ecr
	repo, id := aws.String("up/app"), &types.ImageIdentifier{ImageTag: aws.String("v1")}
	const manifests = "/v2/up/app/manifests/"
	if status, body := fetched(s, "GET", manifests+"v1"); status != 200 {
		t.Fatalf("pull: %d %s", status, body)
	}
	set := func(class types.TargetStorageClass) {
		t.Helper()
		if _, err := client.UpdateImageStorageClass(ctx, &ecr.UpdateImageStorageClassInput{RepositoryName: repo, ImageId: id, TargetStorageClass: class}); err != nil {
			t.Fatal(err)
		}
	}
	set(types.TargetStorageClassArchive)
	up.Forget()
	for _, path := range []string{manifests + "v1", manifests + string(img.Digest)} {
		status, body := fetched(s, "GET", path)
		if status != 404 || !strings.Contains(body, `"code":"MANIFEST_UNKNOWN"`) || !strings.Contains(body, "is archived and cannot be pulled: restore it (aws ecr update-image-storage-class --repository-name up/app") {
			t.Errorf("%s: %d %s", path, status, body)
		}
		if status, _ := fetched(s, "HEAD", path); status != 404 {
			t.Errorf("HEAD %s: %d", path, status)
		}
	}
	if status, body := signedCall(t, s, "Weir_20261125.CheckNow", `{"repositoryName":"up/app","reference":"v1"}`); status != 400 || !strings.Contains(body, "ImageArchivedException") {
		t.Errorf("check: %d %s", status, body)
	}
	if status, body := signedCall(t, s, "Weir_20261125.Explain", `{"repositoryName":"up/app","reference":"v1"}`); status != 200 || !strings.Contains(body, `"archived":"image `+string(img.Digest)+` of repository up/app is archived`) {
		t.Errorf("explain: %d %s", status, body)
	}
	got, err := client.BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: repo, ImageIds: []types.ImageIdentifier{*id}})
	if err != nil || len(got.Failures) != 1 || got.Failures[0].FailureCode != types.ImageFailureCodeImageInaccessible {
		t.Errorf("BatchGetImage: %+v, %v", got, err)
	}
	if asked := up.Requests(); len(asked) > 0 {
		t.Errorf("the upstream was asked: %v", asked)
	}
	// Another tag of the same image is fetched to know that it is that.
	if status, _ := fetched(s, "GET", manifests+"v2"); status != 404 {
		t.Errorf("by another tag: %d", status)
	}
	up.Push("app", "v1", upstreamtest.NewImage(2, 1000))
	s.Restart(weirtest.Settings(up.Listen(t), "window: 0", ""))
	if status, _ := fetched(s, "GET", manifests+"v1"); status != 404 {
		t.Errorf("after a restart: %d", status)
	}
	client = clientsOf(s).ecr
	set(types.TargetStorageClassStandard)
	if status, _ := fetched(s, "GET", manifests+string(img.Digest)); status != 200 {
		t.Errorf("restored: %d", status)
	}
}

// TestArchivedRollback: a tag that the upstream moves back to what is archived here is
// served and checked as ever, and so is a tag that is seen first while that is archived.
func TestArchivedRollback(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{})
	a, b, c := upstreamtest.NewImage(1, 1000), upstreamtest.NewImage(2, 1000), upstreamtest.NewImage(3, 1000)
	s := weirtest.Start(t, weirtest.Settings(up.Listen(t), "", ""))
	get := func(what, tag string, want int, img upstreamtest.Image) {
		t.Helper()
		up.Push("app", tag, img)
		if status, body := signedCall(t, s, "Weir_20261125.CheckNow", `{"repositoryName":"up/app","reference":"`+tag+`"}`); status != 200 {
			t.Errorf("%s: check: %d %s", what, status, body)
		}
		status, body := fetched(s, "GET", "/v2/up/app/manifests/"+tag)
		if status != want || want == 200 && digest.FromString(body) != img.Digest {
			t.Errorf("%s: %d %s", what, status, body)
		}
	}
	get("a", "latest", 200, a)
	get("b", "latest", 200, b)
	_, err := clientsOf(s).ecr.UpdateImageStorageClass(t.Context(), &ecr.UpdateImageStorageClassInput{
		RepositoryName: aws.String("up/app"), ImageId: &types.ImageIdentifier{ImageDigest: aws.String(string(a.Digest))}, TargetStorageClass: types.TargetStorageClassArchive,
	})
	if err != nil {
		t.Fatal(err)
	}
	get("another tag, of what is archived", "new", 404, a)
	get("that tag, of another", "new", 200, c)
	get("a is archived", "latest", 200, b)
	get("back to a", "latest", 200, a)
	get("and on", "latest", 200, c)
}

// TestArchivedPush: a client that pushes what is archived finds it absent, pushes it, and
// it is back; platforms and index together.
func TestArchivedPush(t *testing.T) {
	ctx := t.Context()
	s := weirtest.Start(t, "templates: [{prefix: ROOT, applied_for: [CREATE_ON_PUSH]}]\n")
	auth := remote.WithAuth(&authn.Basic{Username: s.Key.ID, Password: s.Key.Secret})
	ref, err := name.ParseReference(s.Addr+"/team/app:v1", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	index, err := random.Index(500, 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	push := func() {
		t.Helper()
		if err := remote.WriteIndex(ref, index, auth); err != nil {
			t.Fatal(err)
		}
	}
	push()
	client, repo := clientsOf(s).ecr, aws.String("team/app")
	count := func(status types.ImageStatusFilter) int {
		t.Helper()
		out, err := client.ListImages(ctx, &ecr.ListImagesInput{RepositoryName: repo, Filter: &types.ListImagesFilter{ImageStatus: status}})
		if err != nil {
			t.Fatal(err)
		}
		return len(out.ImageIds)
	}
	_, err = client.UpdateImageStorageClass(ctx, &ecr.UpdateImageStorageClassInput{RepositoryName: repo, ImageId: &types.ImageIdentifier{ImageTag: aws.String("v1")}, TargetStorageClass: types.TargetStorageClassArchive})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Index(ref, auth); err == nil {
		t.Error("an archived index was pulled")
	}
	if n := count(types.ImageStatusFilterArchived); n != 3 {
		t.Errorf("%d archived images, and the index has two platforms", n)
	}
	push()
	pulled, err := remote.Index(ref, auth)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := pulled.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range manifest.Manifests {
		if _, err := pulled.Image(m.Digest); err != nil {
			t.Errorf("platform %s: %v", m.Digest, err)
		}
	}
	if n := count(types.ImageStatusFilterActive); n != 3 {
		t.Errorf("%d active images", n)
	}
}

// TestLifecycleOfACache is the policy of a cache from a template in the configuration to
// bytes that are gone, and to the next pull.
func TestLifecycleOfACache(t *testing.T) {
	ctx := t.Context()
	up := upstreamtest.New(upstreamtest.Options{})
	img := upstreamtest.NewImage(1, 1000, 2000)
	up.Push("app", "v1", img)
	s := weirtest.Start(t, weirtest.Settings(up.Listen(t), "", "templates: [{prefix: up, applied_for: [PULL_THROUGH_CACHE], lifecycle_policy: '"+unpulled+"'}]\n"))
	client, repo := clientsOf(s).ecr, aws.String("up/app")
	pull := func() {
		t.Helper()
		if status, body := fetched(s, "GET", "/v2/up/app/manifests/v1"); status != 200 {
			t.Fatalf("manifest: %d %s", status, body)
		}
		for d := range img.Blobs() {
			if status, body := fetched(s, "GET", "/v2/up/app/blobs/"+d.String()); status != 200 {
				t.Fatalf("blob: %d %s", status, body)
			}
		}
	}
	pull()
	policy, err := client.GetLifecyclePolicy(ctx, &ecr.GetLifecyclePolicyInput{RepositoryName: repo})
	if err != nil || *policy.LifecyclePolicyText != unpulled {
		t.Fatalf("policy of the template: %+v, %v", policy, err)
	}
	templates, err := client.DescribeRepositoryCreationTemplates(ctx, &ecr.DescribeRepositoryCreationTemplatesInput{})
	if err != nil || len(templates.RepositoryCreationTemplates) != 1 || *templates.RepositoryCreationTemplates[0].LifecyclePolicy != unpulled {
		t.Errorf("template: %+v, %v", templates, err)
	}
	now := time.Now()
	s.ApplyLifecycles(now.Add(59 * day))
	up.Forget()
	pull()
	if asked := up.Requests(); len(asked) > 0 {
		t.Errorf("before its time the upstream was asked: %v", asked)
	}
	s.ApplyLifecycles(now.Add(61 * day))
	if _, err := client.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: repo, ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v1")}}}); err == nil {
		t.Error("the image is still there")
	}
	if n := s.Sweep(now.Add(63 * day)); n != 3 {
		t.Errorf("%d blobs were swept", n)
	}
	status, body := signedCall(t, s, "Weir_20261125.ListLifecycleEvents", `{"repositoryName":"up/app"}`)
	if status != 200 || !strings.Contains(body, `"action":"expire","appliedRulePriority":1,"imageDigest":"`+string(img.Digest)+`","imageTags":["v1"]`) {
		t.Errorf("events: %d %s", status, body)
	}
	if !strings.Contains(s.Log.String(), "msg=lifecycle action=expire repository=up/app digest="+string(img.Digest)) {
		t.Error("the log does not say that it went")
	}
	resp := s.Do(http.MethodGet, "/metrics", nil)
	text, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || !strings.Contains(string(text), "\nweir_lifecycle_expired_total 1\n") {
		t.Errorf("the metrics do not have it: %v", err)
	}
	pull()
}
