package weirtest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/app"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
	"github.com/weir-registry/weir/internal/weirtest"
)

// line is the way to a server whose address changes, at an address that does not. It can
// be cut, and be slow.
type line struct {
	addr string
	to   atomic.Pointer[string] // nil: nobody answers
	most atomic.Int64           // bytes of one connection; 0: any number

	mu    sync.Mutex
	conns map[net.Conn]bool
}

func newLine(t *testing.T) *line {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x := &line{addr: l.Addr().String(), conns: map[net.Conn]bool{}}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		x.cut()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { x.carry(c) })
		}
	})
	return x
}

func (x *line) carry(c net.Conn) {
	defer c.Close()
	to := x.to.Load()
	if to == nil {
		return
	}
	s, err := net.Dial("tcp", *to)
	if err != nil {
		return
	}
	defer s.Close()
	x.mu.Lock()
	x.conns[c], x.conns[s] = true, true
	x.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() {
		io.Copy(c, s)
		c.Close()
	})
	if most := x.most.Load(); most > 0 {
		io.CopyN(s, c, most)
	} else {
		io.Copy(s, c)
	}
	s.Close()
	wg.Wait()
}

// lead has new connections go to a server.
func (x *line) lead(s *weirtest.Server) {
	addr := s.Addr
	x.to.Store(&addr)
}

// cut breaks all connections, and there are no new ones until lead.
func (x *line) cut() {
	x.to.Store(nil)
	x.mu.Lock()
	defer x.mu.Unlock()
	for c := range x.conns {
		c.Close()
	}
	clear(x.conns)
}

const siteB = `registry: {id: "222222222222", region: site-b}
rules: []
`

// siteA are the settings of a weir that copies to a destination at url with an access
// key; more is what they say of the destination beside.
func siteA(t *testing.T, url, id, secret, more string) string {
	t.Helper()
	return fmt.Sprintf(`registry: {id: "111111111111", region: site-a}
rules: []
templates: [{prefix: prod, applied_for: [CREATE_ON_PUSH]}]
credentials: {b: {username: %q, password_file: %q}}
replication:
  destinations: [{region: site-b, registry_id: "222222222222", url: %q, credential: b%s}]
`, id, secretFile(t, secret), url, more)
}

func secretFile(t *testing.T, secret string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// makeUser makes a user with a policy and an access key.
func makeUser(t *testing.T, s *weirtest.Server, name, policy string) (id, secret string) {
	t.Helper()
	make := func(op string, in map[string]any) string {
		body, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		status, text := signedCall(t, s, "Weir_20261125."+op, string(body))
		if status != 200 {
			t.Fatalf("%s: %s", op, text)
		}
		return text
	}
	make("CreateUser", map[string]any{"userName": name})
	make("PutUserPolicy", map[string]any{"userName": name, "policyName": "own", "policyDocument": policy})
	var out struct {
		Key             struct{ AccessKeyID string }
		SecretAccessKey string
	}
	if err := json.Unmarshal([]byte(make("CreateKey", map[string]any{"userName": name})), &out); err != nil {
		t.Fatal(err)
	}
	return out.Key.AccessKeyID, out.SecretAccessKey
}

// call calls an operation of ECR's with the root access key.
func call(t *testing.T, s *weirtest.Server, op, in string) string {
	t.Helper()
	status, text := signedCall(t, s, "AmazonEC2ContainerRegistry_V20150921."+op, in)
	if status != 200 {
		t.Fatalf("%s %s: %s", op, in, text)
	}
	return text
}

const toB = `{"replicationConfiguration":{"rules":[{"destinations":[{"region":"site-b","registryId":"222222222222"}],"repositoryFilters":[{"filter":"prod/","filterType":"PREFIX_MATCH"}]}]}}`

// pushImage pushes an image by its tag, as clients do.
func pushImage(t *testing.T, s *weirtest.Server, repo, tag string, img upstreamtest.Image) {
	t.Helper()
	for _, child := range img.Children {
		pushImage(t, s, repo, string(child.Digest), child)
	}
	for _, b := range append([][]byte{img.Config}, img.Layers...) {
		if b != nil {
			push(t, s, "POST", "/v2/"+repo+"/blobs/uploads/?digest="+string(digest.FromBytes(b)), string(b)).want(t, "blob", 201, "")
		}
	}
	push(t, s, "PUT", "/v2/"+repo+"/manifests/"+tag, string(img.Raw), "Content-Type", img.MediaType).want(t, "manifest", 201, "")
}

// copied says whether a weir has an image with all that it names, by a tag.
func copied(t *testing.T, s *weirtest.Server, repo, tag string, img upstreamtest.Image) bool {
	t.Helper()
	ok := push(t, s, "HEAD", "/v2/"+repo+"/manifests/"+tag, "").Header.Get("Docker-Content-Digest") == string(img.Digest)
	for d := range img.Blobs() {
		ok = ok && push(t, s, "HEAD", "/v2/"+repo+"/blobs/"+string(d), "").StatusCode == 200
	}
	for _, child := range img.Children {
		ok = ok && copied(t, s, repo, string(child.Digest), child)
	}
	return ok
}

// statusOf is what DescribeImageReplicationStatus says of a tag.
func statusOf(t *testing.T, s *weirtest.Server, repo, tag string) string {
	t.Helper()
	var out struct {
		ReplicationStatuses []struct{ Status, FailureCode string }
	}
	text := call(t, s, "DescribeImageReplicationStatus", fmt.Sprintf(`{"repositoryName":%q,"imageId":{"imageTag":%q}}`, repo, tag))
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	if len(out.ReplicationStatuses) == 0 {
		return ""
	}
	return out.ReplicationStatuses[0].Status + out.ReplicationStatuses[0].FailureCode
}

// eventually waits for something that is to happen soon.
func eventually(t *testing.T, what string, s *weirtest.Server, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(40 * time.Second); !ok(); <-time.After(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not yet\n%s", what, s.Log)
		}
	}
}

// TestReplicate: an image that is pushed at one site is at the other, whole, which makes
// the repository and sends nothing back; what is pushed before a rule, or elsewhere, is
// not; and nothing keeps two who copy to each other busy.
func TestReplicate(t *testing.T) {
	lineA, lineB := newLine(t), newLine(t)
	b := weirtest.Start(t, siteB)
	a := weirtest.Start(t, siteA(t, "http://"+lineB.addr, b.Key.ID, b.Key.Secret, ""))
	// B has a rule for A, too.
	back := siteB + fmt.Sprintf(`credentials: {b: {username: %q, password_file: %q}}
templates: [{prefix: prod/tagged, applied_for: [REPLICATION], mutability: IMMUTABLE}]
replication: {destinations: [{region: site-a, registry_id: "111111111111", url: "http://%s", credential: b}]}
`, a.Key.ID, secretFile(t, a.Key.Secret), lineA.addr)
	b.Restart(back)
	lineA.lead(a)
	lineB.lead(b)
	call(t, b, "PutReplicationConfiguration", strings.NewReplacer("site-b", "site-a", "222222222222", "111111111111").Replace(toB))

	img := upstreamtest.NewIndex(1, 2, 300_000, 100)
	pushImage(t, a, "prod/app", "before", upstreamtest.NewImage(7, 10))
	call(t, a, "PutReplicationConfiguration", toB)
	pushImage(t, a, "prod/app", "v1", img)
	pushImage(t, a, "prod/tagged/app", "v1", img.Children[0])
	eventually(t, "v1", a, func() bool {
		return statusOf(t, a, "prod/app", "v1") == "COMPLETE" && statusOf(t, a, "prod/tagged/app", "v1") == "COMPLETE"
	})
	if !copied(t, b, "prod/app", "v1", img) || !copied(t, b, "prod/tagged/app", "v1", img.Children[0]) {
		t.Error("not everything was copied")
	}
	if got := statusOf(t, a, "prod/app", "before"); got != "" {
		t.Errorf("pushed before: %s", got)
	}
	push(t, b, "HEAD", "/v2/prod/app/manifests/before", "").want(t, "pushed before", 404, "")
	for repo, want := range map[string]string{"prod/app": `"MUTABLE"`, "prod/tagged/app": `"IMMUTABLE"`} {
		if got := call(t, b, "DescribeRepositories", `{"repositoryNames":["`+repo+`"]}`); !strings.Contains(got, `"imageTagMutability":`+want) {
			t.Errorf("%s: %s", repo, got)
		}
	}
	if got := statusOf(t, b, "prod/app", "v1"); got != "" {
		t.Errorf("B copies on: %s", got)
	}
	if strings.Contains(b.Log.String(), "msg=replicated") {
		t.Error("B copied something")
	}

	// What is pushed at B goes to A, and not back; a tag that moves, moves.
	other := upstreamtest.NewImage(9, 1000)
	pushImage(t, b, "prod/app", "v1", other)
	eventually(t, "v1 at A", b, func() bool { return statusOf(t, b, "prod/app", "v1") == "COMPLETE" })
	if !copied(t, a, "prod/app", "v1", other) {
		t.Error("the tag did not move")
	}
	if got := statusOf(t, a, "prod/app", "v1"); got != "" {
		t.Errorf("A copies it back: %s", got)
	}

	// Deletions are not copied.
	call(t, a, "BatchDeleteImage", `{"repositoryName":"prod/app","imageIds":[{"imageTag":"v1"}]}`)
	if !copied(t, b, "prod/app", "v1", other) {
		t.Error("a deletion was copied")
	}
	metrics := a.Do("GET", "/metrics", nil)
	text, err := io.ReadAll(metrics.Body)
	metrics.Body.Close()
	if err != nil || !strings.Contains(string(text), `weir_replication_queue_length{host="`+lineB.addr+`"} 0`) || !strings.Contains(string(text), `weir_replication_copies_total{host="`+lineB.addr+`",outcome="done"} 4`) ||
		!strings.Contains(string(text), `weir_replication_requests_total{class="ok",host="`+lineB.addr+`",kind="push"} `) {
		t.Errorf("metrics: %s, %v", text, err)
	}
	for _, s := range []*weirtest.Server{a, b} {
		if strings.Contains(s.Log.String(), a.Key.Secret) || strings.Contains(s.Log.String(), b.Key.Secret) {
			t.Error("a secret is in the log")
		}
	}
}

// TestReplicateLine: the line is cut in the middle of a layer, each side ends, and in the
// end everything is there.
func TestReplicateLine(t *testing.T) {
	line := newLine(t)
	b := weirtest.Start(t, siteB)
	settings := siteA(t, "http://"+line.addr, b.Key.ID, b.Key.Secret, "")
	a := weirtest.Start(t, settings)
	call(t, a, "PutReplicationConfiguration", toB)
	img := upstreamtest.NewImage(1, 20<<20, 100)
	line.most.Store(5 << 20) // every connection breaks in the middle of the layer
	line.lead(b)
	pushImage(t, a, "prod/app", "v1", img)
	eventually(t, "a break", a, func() bool { return strings.Contains(a.Log.String(), "copy failed") })
	if got := statusOf(t, a, "prod/app", "v1"); got != "IN_PROGRESS" {
		t.Errorf("while the line breaks: %s", got)
	}
	line.cut()
	b.Stop()
	pushImage(t, a, "prod/app", "v2", upstreamtest.NewImage(2, 100))
	old := upstreamtest.NewImage(3, 100)
	pushImage(t, a, "prod/app", "v3", old)
	newest := upstreamtest.NewImage(4, 100)
	pushImage(t, a, "prod/app", "v3", newest)
	a.Restart(settings)
	b.Restart(siteB)
	line.most.Store(0)
	line.lead(b)
	eventually(t, "all", a, func() bool {
		return statusOf(t, a, "prod/app", "v1")+statusOf(t, a, "prod/app", "v2")+statusOf(t, a, "prod/app", "v3") == "COMPLETECOMPLETECOMPLETE"
	})
	if !copied(t, b, "prod/app", "v1", img) || !copied(t, b, "prod/app", "v3", newest) {
		t.Error("not everything was copied")
	}
	if push(t, b, "HEAD", "/v2/prod/app/manifests/"+string(old.Digest), "").StatusCode != 404 {
		t.Error("what the tag was is there")
	}
}

// TestReplicateRights: which rights a copy needs, and that those to push are no help.
func TestReplicateRights(t *testing.T) {
	b := weirtest.Start(t, siteB)
	const replicate, create = `"ecr:ReplicateImage"`, `"ecr:CreateRepository"`
	for i, tt := range []struct {
		name, actions string
		there         bool // the repository
		status        string
		says          string
	}{
		{"into what is there", replicate, true, "COMPLETE", ""},
		{"what is to be made", replicate, false, "IN_PROGRESS", "ecr:CreateRepository"},
		{"with the right to make it", replicate + "," + create, false, "COMPLETE", ""},
		{"with the rights to push", `"ecr:PutImage","ecr:InitiateLayerUpload","ecr:UploadLayerPart","ecr:CompleteLayerUpload","ecr:BatchCheckLayerAvailability","ecr:BatchGetImage",` + create, true, "IN_PROGRESS", "403"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			repo, user := fmt.Sprintf("prod/app%d", i), fmt.Sprintf("site-a-%d", i)
			id, secret := makeUser(t, b, user, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[`+tt.actions+`],"Resource":"arn:aws:ecr:site-b:222222222222:repository/prod/*"}]}`)
			if tt.there {
				call(t, b, "CreateRepository", `{"repositoryName":"`+repo+`"}`)
			}
			a := weirtest.Start(t, siteA(t, "http://"+b.Addr, id, secret, ""))
			call(t, a, "PutReplicationConfiguration", toB)
			img := upstreamtest.NewImage(uint64(i), 100)
			pushImage(t, a, repo, "v1", img)
			eventually(t, tt.name, a, func() bool {
				return tt.says != "" && strings.Contains(a.Log.String(), "DestinationAccessDenied") && strings.Contains(a.Log.String(), tt.says) ||
					tt.says == "" && statusOf(t, a, repo, "v1") == "COMPLETE"
			})
			if got := statusOf(t, a, repo, "v1"); got != tt.status || copied(t, b, repo, "v1", img) != (tt.status == "COMPLETE") {
				t.Errorf("%s", got)
			}
		})
	}
}

// TestReplicateHeader: the header alone gives no rights, and takes those to push away.
func TestReplicateHeader(t *testing.T) {
	b := weirtest.Start(t, siteB)
	call(t, b, "CreateRepository", `{"repositoryName":"prod/app"}`)
	pushImage(t, b, "prod/app", "v1", upstreamtest.NewImage(1, 10))
	id, secret := makeUser(t, b, "pusher", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":["ecr:ReplicateImage"],"Resource":"*"}]}`)
	only, onlySecret := makeUser(t, b, "copier", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:ReplicateImage"],"Resource":"*"}]}`)
	auth := func(id, secret string) string {
		req, _ := http.NewRequest("GET", "/", nil)
		req.SetBasicAuth(id, secret)
		return req.Header.Get("Authorization")
	}
	for _, tt := range []struct {
		method, path string
		plain, says  int // to who may push: without the header, and with it
		copier       int // to who may only replicate, with it
	}{
		{"POST", "/v2/prod/app/blobs/uploads/", 202, 403, 202},
		{"POST", "/v2/prod/none/blobs/uploads/", 404, 403, 403},
		{"HEAD", "/v2/prod/app/manifests/v1", 200, 403, 200},
		{"GET", "/v2/prod/app/manifests/v1", 200, 200, 403},
		{"GET", "/v2/prod/app/tags/list", 200, 200, 403},
		{"DELETE", "/v2/prod/app/manifests/v9", 404, 404, 403},
	} {
		for header, want := range map[string]int{"X-Plain": tt.plain, "X-Weir-Replication": tt.says} {
			resp := b.Do(tt.method, tt.path, http.Header{"Authorization": {auth(id, secret)}, header: {"1/x"}})
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s %s with %s: %d, want %d", tt.method, tt.path, header, resp.StatusCode, want)
			}
		}
		resp := b.Do(tt.method, tt.path, http.Header{"Authorization": {auth(only, onlySecret)}, "X-Weir-Replication": {"1/x"}})
		resp.Body.Close()
		if resp.StatusCode != tt.copier {
			t.Errorf("%s %s of a copier: %d, want %d", tt.method, tt.path, resp.StatusCode, tt.copier)
		}
	}
}

// TestReplicateDenies: the header gets nobody around an explicit deny of what the right to
// replicate stands in for, whosever policy has it.
func TestReplicateDenies(t *testing.T) {
	b := weirtest.Start(t, siteB)
	call(t, b, "CreateRepository", `{"repositoryName":"prod/app"}`)
	img, layer := upstreamtest.NewImage(1, 10), "a layer"
	pushImage(t, b, "prod/app", "v1", img)
	put := "?digest=" + string(digest.FromString(layer))
	push(t, b, "POST", "/v2/prod/app/blobs/uploads/"+put, layer).want(t, "layer", 201, "")
	steps := []struct {
		action, method, path, body string // a path that begins with ? is of an upload
		done                       int
	}{
		{"InitiateLayerUpload", "POST", "/v2/prod/app/blobs/uploads/", "", 202},
		{"UploadLayerPart", "PATCH", "?", layer, 202},
		{"CompleteLayerUpload", "PUT", put, layer, 201},
		{"PutImage", "PUT", "/v2/prod/app/manifests/v2", string(img.Raw), 201},
		{"BatchGetImage", "HEAD", "/v2/prod/app/manifests/v1", "", 200},
		{"GetDownloadUrlForLayer", "HEAD", "/v2/prod/app/blobs/" + put[len("?digest="):], "", 200},
	}
	var begin *weirtest.Server // whom nothing denies anything
	// try goes through all steps: those with a deny of denied are refused it, others nothing.
	try := func(what string, s *weirtest.Server, denied string) {
		t.Helper()
		for _, step := range steps {
			path, want := step.path, step.done
			if upload := "/v2/prod/app/blobs/uploads/"; path[0] == '?' {
				path = push(t, begin, "POST", upload, "").want(t, "upload", 202, "").Header.Get("Location") + strings.TrimSuffix(path, "?")
			}
			if step.action == denied {
				want = 403
			}
			p := push(t, s, step.method, path, step.body, "X-Weir-Replication", "1/x", "Content-Type", img.MediaType)
			if p.StatusCode != want {
				t.Errorf("%s of %q, %s: %s %s, want %d", what, denied, step.action, p.Status, p.message, want)
			}
		}
	}
	user := func(name string, statements ...string) *weirtest.Server {
		id, secret := makeUser(t, b, name, policy(statements...))
		return b.As(app.Key{ID: id, Secret: secret})
	}
	document := func(text string) string {
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		return `"policyText":` + string(quoted)
	}
	begin = user("begins", `{"Effect":"Allow","Action":"ecr:*","Resource":"*"}`)
	copier := user("copier", `{"Effect":"Allow","Action":"ecr:ReplicateImage","Resource":"*"}`)
	try("no deny", copier, "")
	for i, step := range steps {
		deny := `"Effect":"Deny","Action":"ecr:` + step.action + `","Resource":"*"`
		all := `{"Effect":"Allow","Action":"ecr:*","Resource":"*"}`
		try("a deny of the user's own policy", user(fmt.Sprintf("bound%d", i), all, "{"+deny+"}"), step.action)
		resource := document(policy(`{"Principal":"*","Condition":{"ArnNotEquals":{"aws:PrincipalArn":"arn:aws:iam::222222222222:user/begins"}},` + deny + `}`))
		call(t, b, "SetRepositoryPolicy", `{"repositoryName":"prod/app",`+resource+`}`)
		try("a deny of the repository's policy", copier, step.action)
		try("root, a deny of the repository's policy", b, step.action)
		call(t, b, "DeleteRepositoryPolicy", `{"repositoryName":"prod/app"}`)
		call(t, b, "PutRegistryPolicy", `{`+resource+`}`)
		try("a deny of the registry's policy", copier, step.action)
		try("root, a deny of the registry's policy", b, step.action)
		call(t, b, "DeleteRegistryPolicy", `{}`)
	}

	// Who may push may look whether a layer is there; who says that it replicates needs that right.
	pusher := user("pusher", `{"Effect":"Allow","NotAction":["ecr:ReplicateImage","ecr:GetDownloadUrlForLayer"],"Resource":"*"}`)
	look := steps[len(steps)-1]
	push(t, pusher, look.method, look.path, "").want(t, "HEAD of a layer by who may push", 200, "")
	push(t, pusher, look.method, look.path, "", "X-Weir-Replication", "1/x").want(t, "HEAD of a layer by who may not replicate", 403, "")
}

// TestReplicateFull: a destination that has no room costs it nothing, is tried again, and
// gets what is new when it has.
func TestReplicateFull(t *testing.T) {
	line := newLine(t)
	full := siteB + "storage: {keep_free: 1000000GiB}\n"
	b := weirtest.Start(t, full)
	line.lead(b)
	a := weirtest.Start(t, siteA(t, "http://"+line.addr, b.Key.ID, b.Key.Secret, ""))
	call(t, a, "PutReplicationConfiguration", toB)
	img := upstreamtest.NewImage(1, 5<<20)
	pushImage(t, a, "prod/app", "v1", img)
	eventually(t, "a refusal", a, func() bool { return strings.Contains(a.Log.String(), "copy failed") })
	if got := statusOf(t, a, "prod/app", "v1"); got != "IN_PROGRESS" {
		t.Errorf("no room: %s", got)
	}
	if entries, err := os.ReadDir(filepath.Join(b.Folder, "data", "uploads")); err != nil || len(entries) > 0 {
		t.Errorf("uploads are left there: %v, %v", entries, err)
	}
	b.Restart(siteB)
	line.lead(b)
	eventually(t, "v1", a, func() bool { return statusOf(t, a, "prod/app", "v1") == "COMPLETE" })
	if !copied(t, b, "prod/app", "v1", img) {
		t.Error("not everything was copied")
	}
}

// TestReplicateAnywhere: another weir that knows nothing of it, and another registry, take
// copies as pushes.
func TestReplicateAnywhere(t *testing.T) {
	img := upstreamtest.NewIndex(1, 2, 70<<20, 100)
	t.Run("weir", func(t *testing.T) {
		b := weirtest.Start(t, siteB+"templates: [{prefix: copies, applied_for: [CREATE_ON_PUSH]}]\n")
		a := weirtest.Start(t, siteA(t, "http://"+b.Addr, b.Key.ID, b.Key.Secret, ", kind: oci, prefix: copies"))
		call(t, a, "PutReplicationConfiguration", toB)
		pushImage(t, a, "prod/app", "v1", img)
		eventually(t, "v1", a, func() bool { return statusOf(t, a, "prod/app", "v1") == "COMPLETE" })
		if !copied(t, b, "copies/prod/app", "v1", img) {
			t.Error("not everything was copied")
		}
	})
	t.Run("go-containerregistry", func(t *testing.T) {
		srv := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
		t.Cleanup(srv.Close)
		a := weirtest.Start(t, strings.Replace(siteA(t, srv.URL, "x", "y", ", kind: oci"), ", credential: b", "", 1))
		call(t, a, "PutReplicationConfiguration", toB)
		pushImage(t, a, "prod/app", "v1", img)
		eventually(t, "v1", a, func() bool { return statusOf(t, a, "prod/app", "v1") == "COMPLETE" })
		for _, m := range append([]upstreamtest.Image{img}, img.Children...) {
			resp, err := http.Get(srv.URL + "/v2/prod/app/manifests/" + oci.Reference{Digest: m.Digest}.String())
			if err != nil {
				t.Fatal(err)
			}
			raw, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(raw) != string(m.Raw) {
				t.Errorf("%s: %s", m.Digest, resp.Status)
			}
		}
	})
}
