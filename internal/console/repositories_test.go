package console_test

import (
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
	"github.com/weir-registry/weir/internal/weirtest"
)

const hostile = `"><script>alert(1)</script>'`

// pushHostile pushes an image whose labels, history and annotations have markup, an SBOM
// about it, and returns its digest.
func pushHostile(t *testing.T, s *weirtest.Server, repo, tag string) string {
	t.Helper()
	auth := remote.WithAuth(authn.FromConfig(authn.AuthConfig{Username: s.Key.ID, Password: s.Key.Secret}))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	layer, err := random.Layer(2000, types.OCILayer)
	must(err)
	img, err := mutate.Append(mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1), mutate.Addendum{Layer: layer, History: v1.History{CreatedBy: "RUN " + hostile}})
	must(err)
	img, err = mutate.Config(img, v1.Config{Labels: map[string]string{"label" + hostile: hostile}, Env: []string{"A=" + hostile}, User: hostile})
	must(err)
	ref, err := name.ParseReference(s.Addr+"/"+repo+":"+tag, name.Insecure)
	must(err)
	must(remote.Write(ref, img, auth))
	d, err := img.Digest()
	must(err)
	desc, err := remote.Head(ref, auth)
	must(err)
	sbom := mutate.MediaType(mutate.ConfigMediaType(empty.Image, "application/spdx+json"), types.OCIManifestSchema1)
	about := mutate.Subject(mutate.Annotations(sbom, map[string]string{"note" + hostile: hostile}), *desc).(v1.Image)
	digest, err := about.Digest()
	must(err)
	must(remote.Write(ref.Context().Digest(digest.String()), about, auth))
	return d.String()
}

func TestRepositories(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{})
	index := upstreamtest.NewIndex(1, 3, 1000)
	up.Push("team/app", "v1", index)
	s := weirtest.Start(t, weirtest.Settings(up.Listen(t), "", ""))
	b := signedIn(t, s, s.Key)
	b.get("/console/repositories")
	b.shows(200, "There is no repository yet", `href="/console/new-repository"`, `href="/console/repositories" aria-current="page"`)

	b.get("/console/new-repository")
	b.post("/console/new-repository", url.Values{"name": {"Team/App"}, "mutability": {"MUTABLE"}})
	b.shows(400, "This cannot be taken as it is.", `value="Team/App"`)
	b.post("/console/new-repository", url.Values{"name": {"own/app"}, "mutability": {"IMMUTABLE_WITH_EXCLUSION"}, "exclusions": {"dev-* x*"}})
	b.shows(200, "The repository is there.", "IMMUTABLE_WITH_EXCLUSION <code>dev-*</code> <code>x*</code>", "No tag is held.")
	b.post("/console/new-repository", url.Values{"name": {"own/app"}, "mutability": {"MUTABLE"}})
	b.shows(409, "This is there already.")

	pull(t, s, "up/team/app", "v1", index, 0)
	b.get("/console/repositories")
	b.shows(200, ">own/app</a>", ">up/team/app</a>", "Cached", `<a href="/console/rule/up">up</a>`)
	b.get("/console/repositories?q=TEAM")
	b.shows(200, ">up/team/app</a>")
	b.lacks(">own/app</a>")
	b.get("/console/repositories?kind=own")
	b.lacks(">up/team/app</a>")
	b.get("/console/repositories?q=" + url.QueryEscape(hostile))
	b.shows(200, "No repository that you may see is like this.")
	b.lacks("<script>alert")
	b.get("/console/repositories/")
	b.shows(200, ">own/app</a>")
	for _, path := range []string{"/console/repositories/none", "/console/repositories/none@sha256:1", "/console/repositories/up/team/app@sha256:1", "/console/repositories/up/team/app?tab=none"} {
		b.get(path)
		b.shows(404)
	}
}

// pull pulls an index's manifest, and of its first n children the manifest with all blobs.
func pull(t *testing.T, s *weirtest.Server, repo, tag string, index upstreamtest.Image, n int) {
	t.Helper()
	get := func(path string) {
		t.Helper()
		resp := s.Do(http.MethodGet, "/v2/"+repo+"/"+path, nil)
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s: %s, %v", path, resp.Status, err)
		}
	}
	get("manifests/" + tag)
	for _, child := range index.Children[:n] {
		get("manifests/" + string(child.Digest))
		for d := range child.Blobs() {
			get("blobs/" + string(d))
		}
	}
}

// TestRepositoryPage: a cached repository's tags, what is missing of them, checks, moves, and
// deletion.
func TestRepositoryPage(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{})
	first, second := upstreamtest.NewIndex(1, 3, 1000), upstreamtest.NewIndex(7, 3, 1000)
	up.Push("team/app", "v1", first)
	up.Push("team/app", "other", first)
	s := weirtest.Start(t, weirtest.Settings(up.Listen(t), "", ""))
	pull(t, s, "up/team/app", "v1", first, 0)
	pull(t, s, "up/team/app", "other", first, 0)
	b := signedIn(t, s, s.Key)
	const page = "/console/repositories/up/team/app"
	b.get(page)
	b.shows(200, "Cached: the rule up fills it from 127.0.0.1", `>v1</a>`, "linux/amd64 · not held", "3 missing", `fresh</span>`, "Check now")
	pull(t, s, "up/team/app", "v1", first, 1)
	for range 1000 { // rows of what was pulled are written after the last byte went out
		if b.get(page + "?q=V1"); strings.Contains(b.body, ">ready</span>") {
			break
		}
	}
	b.shows(200, "linux/arm64/v8 · not held", `title="held">linux/amd64</span>`, ">ready</span>")
	b.lacks(">other</a>")
	b.get(page + "?tab=untagged")
	b.shows(200, string(first.Children[0].Digest))
	b.get("/console/repositories/up/team/app@" + string(first.Digest))
	b.shows(200, "linux/amd64", string(first.Children[1].Digest), "not held", "An index has none", "Nothing about this image is known here.")
	b.get(page + "@" + string(first.Children[0].Digest))
	b.shows(200, "application/vnd.oci.image.layer.v1.tar", ">seed</th>", "weir has no scanner", "Part of</dt><dd><a href=\"/console/repositories/up/team/app@"+string(first.Digest))

	b.get(page)
	b.post(page, url.Values{"do": {"check"}, "tag": {"v1"}})
	b.shows(200, "the tag is what it was")
	up.Push("team/app", "v1", second)
	b.post(page, url.Values{"do": {"check"}, "tag": {"v1"}})
	b.shows(200, "the tag has moved", "an older image is whole:")
	b.get(page + "?tab=history&tag=v1")
	b.shows(200, string(first.Digest), string(second.Digest), "the upstream")
	b.post(page, url.Values{"do": {"check"}, "tag": {"none"}})
	b.shows(404, "This is not there.")

	image := page + "@" + string(second.Digest)
	b.get(image + "?delete=1&tag=v1")
	b.shows(200, "Delete the tag v1", "Delete the image with all its tags")
	b.post(image, url.Values{"do": {"delete-image"}, "tag": {"v1"}})
	b.shows(200, "deleted.")
	b.get(page)
	b.lacks(">v1</a>")
	b.get(page + "?tab=delete")
	b.shows(200, "Delete this repository?", "makes it anew")
	b.post(page, url.Values{"do": {"delete"}})
	b.shows(409, "still contains images")
	b.post(page, url.Values{"do": {"delete"}, "force": {"1"}})
	b.shows(200, "The repository is deleted.", "There is no repository yet")
}

// TestHostileImage: whatever an image says of itself is text.
func TestHostileImage(t *testing.T) {
	s := weirtest.Start(t, "")
	b := signedIn(t, s, s.Key)
	long := "own/" + strings.Repeat("a-very-long-name/", 14) + "x"
	b.get("/console/new-repository")
	b.post("/console/new-repository", url.Values{"name": {long}, "mutability": {"MUTABLE"}})
	b.shows(200)
	tag := strings.Repeat("t", 128)
	d := pushHostile(t, s, long, tag)
	page := "/console/repositories/" + long
	for _, path := range []string{
		"/console/repositories", page, page + "?q=" + url.QueryEscape(hostile), page + "@" + d, page + "?tab=history&tag=" + url.QueryEscape(hostile),
		page + "?tab=permissions&user=" + url.QueryEscape(hostile), page + "?tab=commands&client=" + url.QueryEscape(hostile) + "&tag=" + url.QueryEscape(hostile), page + "?tab=untagged", page + "?tab=" + url.QueryEscape(hostile),
		page + "@" + d + "?delete=1&tag=" + url.QueryEscape(hostile),
	} {
		b.get(path)
		b.lacks("<script>alert")
		if b.status >= 500 {
			t.Errorf("%s: %d", path, b.status)
		}
	}
	b.get(page + "@" + d)
	b.shows(200, "label&#34;&gt;&lt;script&gt;alert(1)", "RUN &#34;&gt;", "SBOM", "note&#34;&gt;&lt;script")
	b.post(page+"@"+d, url.Values{"do": {"archive"}})
	b.shows(200, "The image is in the archive", "It is not read while", "Take out of the archive")
	b.get(page)
	b.shows(200, "archived</span>")
	b.post(page+"@"+d, url.Values{"do": {"restore"}})
	b.shows(200, "out of the archive", "Labels")
}

// TestPreviewStates: a preview without results has no figures.
func TestPreviewStates(t *testing.T) {
	s := weirtest.Start(t, "")
	b := signedIn(t, s, s.Key)
	b.get("/console/new-repository")
	b.post("/console/new-repository", url.Values{"name": {"own/app"}, "mutability": {"MUTABLE"}})
	b.get("/console/repositories/own/app?tab=lifecycle")
	b.submit("preview", url.Values{"policy": {`{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}`}})
	b.shows(200, "Expire: 0 images. Archive: 0 images. Nothing has been done.")
	db, err := sql.Open("sqlite", filepath.Join(s.Folder, "data", "weir.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for state, want := range map[string]string{"IN_PROGRESS": "The preview is not over yet", "FAILED": "The preview failed", "EXPIRED": "The preview is too old"} {
		res, err := db.Exec("UPDATE lifecycle_previews SET status = ?", state)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := res.RowsAffected(); n != 1 || err != nil {
			t.Fatalf("%d previews, %v", n, err)
		}
		b.get("/console/repositories/own/app?tab=lifecycle&preview=1")
		b.shows(200, want, "&#34;countNumber&#34;:1}")
		b.lacks("Expire: 0 images")
	}
}

// TestRepositoryPolicies: the lifecycle policy with its preview, and permissions.
func TestRepositoryPolicies(t *testing.T) {
	s := weirtest.Start(t, "")
	newUser(t, s, "ann", "")
	b := signedIn(t, s, s.Key)
	b.get("/console/new-repository")
	b.post("/console/new-repository", url.Values{"name": {"own/app"}, "mutability": {"MUTABLE"}})
	b.shows(200)
	d := pushHostile(t, s, "own/app", "1")
	const page = "/console/repositories/own/app"
	policy := `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"tagged","tagPatternList":["*"],"countType":"imageCountMoreThan","countNumber":%d},"action":{"type":"expire"}}]}`
	b.get(page + "?tab=lifecycle")
	b.shows(200, "has no lifecycle policy", "Keep the last 30 images")
	for _, do := range []string{"put-lifecycle", "preview"} {
		b.post(page, url.Values{"do": {do}, "policy": {"{<b>"}})
		b.shows(400, "LifecyclePolicyText", "{&lt;b&gt;</textarea>")
	}
	pushHostile(t, s, "own/app", "2")
	b.post(page, url.Values{"do": {"preview"}, "policy": {fmt.Sprintf(policy, 1)}})
	b.shows(200, "What the policy above would do", "Nothing has been done", d, `&#34;countNumber&#34;:1}`)
	b.get(page + "?tab=lifecycle")
	b.shows(200, "has no lifecycle policy")
	b.post(page, url.Values{"do": {"put-lifecycle"}, "policy": {fmt.Sprintf(policy, 9)}})
	b.shows(200, "The policy is kept.", `&#34;countNumber&#34;:9}`, "Delete the policy")
	b.shows(200, page+"?ask=delete-lifecycle")
	b.get(page + "?ask=delete-lifecycle")
	b.shows(200, "Delete the lifecycle policy of own/app?", "What has gone does not come back.")
	b.submit("Delete the policy", nil)
	b.shows(200, "The policy is deleted.", "has no lifecycle policy")

	b.get(page + "?tab=permissions&user=ann")
	b.shows(200, "ecr:BatchGetImage", "denied</span>")
	b.get(page + "?tab=permissions&user=nobody")
	b.shows(200, "This is not there.")
	b.post(page, url.Values{"do": {"put-policy"}, "policy": {"{}"}})
	b.shows(400, "{}</textarea>")
	allow := `{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + registryID(b) + `:user/ann"},"Action":"ecr:*"}}`
	b.post(page, url.Values{"do": {"put-policy"}, "policy": {allow}})
	b.shows(200, "The policy holds from now on.", "user/ann")
	b.get(page + "?tab=permissions&user=ann")
	b.shows(200, "allowed</span>")
	b.shows(200, page+"?ask=delete-policy")
	b.get(page + "?ask=delete-policy")
	b.shows(200, "Delete the policy of own/app?", "What only it allows nobody may do any more")
	b.submit("Delete the policy", nil)
	b.shows(200, "The policy is deleted.")
	b.get(page + "?ask=something")
	b.shows(200, "Commands")
	few := signedIn(t, s, newUser(t, s, "few", `{"Statement":{"Effect":"Allow","Action":"ecr:DescribeRepositories","Resource":"*"}}`))
	few.get(page + "?ask=delete-policy")
	few.shows(200, "Commands")
	few.lacks("Delete the policy")
}

// registryID is that of the page that is shown.
func registryID(b *browser) string {
	_, rest, _ := strings.Cut(b.body, "Registry <b>")
	id, _, _ := strings.Cut(rest, "</b>")
	return id
}

// TestRepositoryRights: what somebody may not do is not offered, and refused.
func TestRepositoryRights(t *testing.T) {
	s := weirtest.Start(t, "")
	root := signedIn(t, s, s.Key)
	root.get("/console/new-repository")
	for _, name := range []string{"own/app", "secret/app"} {
		root.post("/console/new-repository", url.Values{"name": {name}, "mutability": {"MUTABLE"}})
		root.shows(200)
	}
	d := pushHostile(t, s, "own/app", "1")
	ann := newUser(t, s, "ann", `{"Statement":{"Effect":"Allow","Action":["ecr:DescribeRepositories","ecr:DescribeImages"],"Resource":"arn:aws:ecr:*:*:repository/own/*"}}`)
	b := signedIn(t, s, ann)
	const page = "/console/repositories/own/app"
	b.get("/console/repositories")
	b.shows(200, ">own/app</a>")
	b.lacks("secret/app", "new-repository")
	b.get(page)
	b.shows(200, ">1</a>")
	b.lacks("Delete", "Lifecycle policy", "Permissions", "Check now")
	b.get(page + "@" + d)
	b.shows(200, d)
	b.lacks("Delete", "RUN ", "What it is made of", "Replication", "Signatures")
	b.get(page + "?tab=commands")
	b.shows(200, "docker pull "+s.Addr+"/own/app:1", "docker login --username "+ann.ID)
	b.lacks("docker push")
	for _, path := range []string{"?tab=lifecycle", "?tab=permissions"} {
		b.get(page + path)
		b.shows(403, "You may not do this.", "ecr:Get")
	}
	b.get("/console/repositories/secret/app")
	b.shows(403, "ecr:DescribeRepositories")
	b.get(page)
	b.get("/console/new-repository")
	for do, action := range map[string]string{
		"check": "BatchImportUpstreamImage", "delete": "DeleteRepository", "put-lifecycle": "PutLifecyclePolicy", "preview": "StartLifecyclePolicyPreview",
		"delete-lifecycle": "DeleteLifecyclePolicy", "put-policy": "SetRepositoryPolicy", "delete-policy": "DeleteRepositoryPolicy",
	} {
		b.get("/console/new-repository")
		b.post(page, url.Values{"do": {do}, "tag": {"1"}, "policy": {"{}"}, "force": {"1"}})
		b.shows(403, "ecr:"+action)
	}
	for _, do := range []string{"delete-image", "archive"} {
		b.get("/console/new-repository")
		b.post(page+"@"+d, url.Values{"do": {do}, "tag": {"1"}})
		b.shows(403, "ecr:")
	}
	root.get(page)
	root.shows(200, ">1</a>")
	nobody := newUser(t, s, "bob", "")
	b = signedIn(t, s, nobody)
	b.get("/console/repositories")
	b.shows(403, "ecr:DescribeRepositories")
}

// TestCommands: for each client what it needs, in the form that it takes.
func TestCommands(t *testing.T) {
	s := weirtest.Start(t, "")
	b := signedIn(t, s, s.Key)
	b.get("/console/new-repository")
	b.post("/console/new-repository", url.Values{"name": {"charts/team/app"}, "mutability": {"MUTABLE"}})
	at := s.Addr + "/charts/team/app"
	for client, want := range map[string][]string{
		"docker":     {"docker pull " + at + ":latest", "docker push " + at + ":latest", "aws ecr get-login-password --endpoint-url http://" + s.Addr},
		"podman":     {"podman pull --tls-verify=false " + at + ":latest"},
		"containerd": {"ctr images pull --user " + s.Key.ID + " --plain-http " + at + ":latest"},
		"helm":       {"helm pull oci://" + at + " --version latest --plain-http", "helm push app-VERSION.tgz oci://" + s.Addr + "/charts/team --plain-http"},
		"kubernetes": {"--docker-server=" + s.Addr, "image: " + at + ":latest"},
	} {
		b.get("/console/repositories/charts/team/app?tab=commands&client=" + client)
		b.shows(200, want...)
		b.lacks(s.Key.Secret)
	}
}

// TestManyRepositories: lists come by pages.
func TestManyRepositories(t *testing.T) {
	s := weirtest.Start(t, "")
	b := signedIn(t, s, s.Key)
	b.get("/console/new-repository")
	for i := range 53 {
		api(t, s, "AmazonEC2ContainerRegistry_V20150921.CreateRepository", map[string]string{"repositoryName": fmt.Sprintf("own/app%02d", i)}, nil)
	}
	b.get("/console/repositories?q=app")
	b.shows(200, ">own/app49</a>", `href="/console/repositories?after=own%2Fapp49&amp;q=app"`)
	b.lacks(">own/app50</a>", "To the begin")
	b.get("/console/repositories?after=own%2Fapp49&q=app")
	b.shows(200, ">own/app52</a>", "To the begin")
	b.lacks("Next page", ">own/app49</a>")
}

// TestPolicyAsTyped: a policy is kept with the line ends that it was written with, not with
// those that browsers send.
func TestPolicyAsTyped(t *testing.T) {
	s := weirtest.Start(t, "")
	api(t, s, "AmazonEC2ContainerRegistry_V20150921."+"CreateRepository", map[string]string{"repositoryName": "team/app"}, nil)
	b := signedIn(t, s, s.Key)
	page := "/console/repositories/team/app"
	for do, text := range map[string]string{
		"put-policy":    `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}` + strings.Repeat("\n", 9000) + `]}`,
		"put-lifecycle": `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":5},` + "\n" + `"action":{"type":"expire"}}]}`,
	} {
		b.get(page + map[string]string{"put-policy": "?tab=permissions", "put-lifecycle": "?tab=lifecycle"}[do])
		b.post(page, url.Values{"do": {do}, "policy": {strings.ReplaceAll(text, "\n", "\r\n")}})
		b.shows(200)
		var out struct{ PolicyText, LifecyclePolicyText string }
		api(t, s, "AmazonEC2ContainerRegistry_V20150921."+map[string]string{"put-policy": "GetRepositoryPolicy", "put-lifecycle": "GetLifecyclePolicy"}[do], map[string]string{"repositoryName": "team/app"}, &out)
		if got := out.PolicyText + out.LifecyclePolicyText; got != text {
			t.Errorf("%s: %.100q is kept of %.100q", do, got, text)
		}
	}
}
