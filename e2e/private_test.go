package e2e

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The three networks: clients in the first reach weir and nothing else; weir is in the
// second; the third is the internet. All addresses are of the ranges for documents.
const (
	weirInside   = "192.0.2.1"
	client1      = "192.0.2.2"
	weirOutside  = "198.51.100.1"
	registryAddr = "198.51.100.2"
	tokensAddr   = "198.51.100.3"
	blobsAddr    = "198.51.100.4"

	ecrHost      = awsID + ".dkr.ecr." + awsRegion + ".amazonaws.com"
	upstreamHost = "registry.example.com"
	tokensHost   = "tokens.example.com"
	blobsHost    = "blobs.example.com"
)

// awsHosts are the names of AWS's that a private DNS leads to weir.
var awsHosts = [...]string{ecrHost, "api.ecr." + awsRegion + ".amazonaws.com", "secretsmanager." + awsRegion + ".amazonaws.com", "sts." + awsRegion + ".amazonaws.com"}

const privateConfig = `listen: :443
data: data
tls: {cert_file: certs/server.crt, key_file: certs/server.key}
registry: {id: "123456789012", region: us-east-1, host: 123456789012.dkr.ecr.us-east-1.amazonaws.com}
rules:
  - {prefix: now, upstream: registry.example.com, credential: right, window: 2s}
credentials:
  right: {username: upstream-user, password_file: right}
upstreams:
  registry.example.com:
    endpoints: ["http://registry.example.com"]
    allow_hosts: ["blobs.example.com:80", "tokens.example.com:80"]
    realms: ["http://tokens.example.com/token"]
    proxy: direct
`

// network is weir between clients that reach nothing else and an upstream.
type network struct {
	private, middle, public netns
	u                       *upstream
	weir                    command // in the middle
	dir                     string  // weir's
	p                       *process
	d                       *docker // in the private network
	aws                     awsCLI  // there, too
}

func newNetwork(t *testing.T) *network {
	t.Helper()
	n := lay(t, awsHosts[:], upstreamHost)
	n.d = &docker{dockerd: n.private.inside(t, program(t, "dockerd", "docker.io")), cli: n.private.inside(t, program(t, "docker", "docker.io")), config: t.TempDir()}
	ca := filepath.Join(n.dir, "certs", "ca.crt")
	n.aws = awsCLI{command{n.private.inside(t, awsProgram(t)),
		append(awsEnv(filepath.Join(n.dir, "data", "credentials"), awsRegion), "AWS_CA_BUNDLE="+ca)}, ""}
	return n
}

// lay lays the networks. Clients know weir by the first names, weir the upstream by the
// others.
func lay(t *testing.T, weir []string, upstreams ...string) *network {
	t.Helper()
	inside := map[string]string{}
	for _, host := range weir {
		inside[host] = weirInside
	}
	outside := map[string]string{tokensHost: tokensAddr, blobsHost: blobsAddr}
	for _, host := range upstreams {
		outside[host] = registryAddr
	}
	n := &network{
		private: newNetns(t, "private", inside),
		middle:  newNetns(t, "middle", outside),
		public:  newNetns(t, "public", nil),
		u:       newUpstream(t),
		dir:     t.TempDir(),
	}
	n.private.join(t, "towards", []string{client1 + "/24"}, n.middle, "inside", []string{weirInside + "/24"})
	n.middle.join(t, "outside", []string{weirOutside + "/24"}, n.public, "weir",
		[]string{registryAddr + "/24", tokensAddr + "/24", blobsAddr + "/24"})
	names := strings.NewReplacer(n.u.realmHost(), tokensHost, n.u.cdn.addr, blobsHost)
	for addr, d := range map[string]*door{registryAddr: n.u.front, tokensAddr: n.u.issuer, blobsAddr: n.u.cdn} {
		n.public.serve(t, addr+":80", renamed(d.handler, names))
	}
	n.weir = command{n.middle.inside(t, os.Getenv("WEIR_BIN")), nil}
	return n
}

// renamed gives a handler's addresses the names that they have in the public network.
func renamed(next http.Handler, names *strings.Replacer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&renamer{w, names}, r)
	})
}

type renamer struct {
	http.ResponseWriter
	names *strings.Replacer
}

func (w *renamer) WriteHeader(status int) {
	for _, key := range []string{"Location", "Www-Authenticate"} {
		if v := w.Header().Get(key); v != "" {
			w.Header().Set(key, w.names.Replace(v))
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// serve starts weir under ECR's names, which docker trusts.
func (n *network) serve(t *testing.T) {
	t.Helper()
	n.configure(t, privateConfig, awsHosts[:]...)
	ca, err := os.ReadFile(filepath.Join(n.dir, "certs", "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	n.private.write(t, "docker/certs.d/"+ecrHost+"/ca.crt", string(ca))
	n.private.write(t, "containerd/certs.d/"+ecrHost+"/ca.crt", string(ca))
	n.private.write(t, "containerd/certs.d/"+ecrHost+"/hosts.toml", strings.ReplaceAll(criHosts, "HOST", ecrHost))
	n.start(t)
}

// configure makes weir's files as its documents say.
func (n *network) configure(t *testing.T, config string, names ...string) {
	t.Helper()
	n.weir.ok(t, append([]string{"cert", "--dir", filepath.Join(n.dir, "certs")}, names...)...)
	for name, text := range map[string]string{"weir.yaml": config, "right": upstreamPassword} {
		if err := os.WriteFile(filepath.Join(n.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"/etc/docker", "/etc/containerd"} { // the engines make them otherwise
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func (n *network) start(t *testing.T) {
	t.Helper()
	n.p = start(t, nil, n.weir.path, "serve", "--config", filepath.Join(n.dir, "weir.yaml"))
	n.p.alive(t, 20*time.Second, func() error {
		if out := n.p.output(); !strings.Contains(out, "weir listens on https://") {
			return fmt.Errorf("weir does not listen yet:\n%s", out)
		}
		return nil
	})
}

func (n *network) restart(t *testing.T) {
	t.Helper()
	if err := n.p.end(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if code := n.p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("weir ended with status %d on SIGTERM", code)
	}
	n.start(t)
}

// pull pulls an image of the upstream's through a rule and runs it.
func (n *network) pull(t *testing.T, when, rule, greeting string) (out string, took time.Duration) {
	t.Helper()
	ref := ecrHost + "/" + rule + "/" + repo + ":" + tag
	begin := time.Now()
	out = n.d.ok(t, "pull", ref)
	took = time.Since(begin)
	if got := strings.TrimSpace(n.d.runImage(t, ref)); got != greeting {
		t.Errorf("%s: %s prints %q, want %q", when, ref, got, greeting)
	}
	t.Logf("%s: %s came in %v", when, ref, took.Round(time.Millisecond))
	return out, took
}

// outlives pulls what is held by a clean engine.
func (n *network) outlives(t *testing.T, when string) {
	t.Helper()
	n.d.clean(t)
	for _, rule := range []string{"corp", "now"} {
		if _, took := n.pull(t, when, rule, first); took > soon {
			t.Errorf("%s: the pull took %v", when, took)
		}
	}
}

// established counts weir's connections to an address.
func (n *network) established(t *testing.T, addr string) (count int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", n.p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	a := netip.MustParseAddr(addr).As4()
	slices.Reverse(a[:]) // as the kernel of a little-endian machine prints it
	want := strings.ToUpper(hex.EncodeToString(a[:])) + ":0050"
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 3 && f[2] == want && f[3] == "01" {
			count++
		}
	}
	return count
}

// What people do with ECR from a private network, with the tools that they have and
// under ECR's own host name; then the way out is cut.
func TestPrivateNetwork(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	img := n.u.push(t, repo, tag, first)
	n.serve(t)
	if out, err := n.private.ip.run(t, "", "-n", n.private.name, "route", "get", registryAddr); err == nil {
		t.Fatalf("the private network has a way out:\n%s", out)
	}

	secret := createSecret(t, n.aws, "corp", upstreamPassword)
	var rule cacheRule
	n.aws.ask(t, &rule, "ecr", "create-pull-through-cache-rule", "--ecr-repository-prefix", "corp",
		"--upstream-registry-url", upstreamHost, "--credential-arn", secret)
	if diff := cmp.Diff(cacheRule{"corp", upstreamHost, awsID, secret}, rule); diff != "" {
		t.Errorf("the rule (-want +got):\n%s", diff)
	}
	n.d.clean(t)
	password := n.aws.loginPassword(t)
	if out, err := n.d.login(t, ecrHost, "AWS", password); err != nil {
		t.Fatalf("docker login: %v\n%s", err, out)
	}
	n.pull(t, "first", "corp", first)
	n.pull(t, "first", "now", first)
	n.look(t, img)
	pod := n.criCold(t, password)

	if n.established(t, registryAddr) == 0 {
		t.Error("weir keeps no connection to the upstream that could hang")
	}
	n.middle.set(t, "link", "set", "outside", "down")
	n.u.take()
	n.outlives(t, "link down")
	n.restart(t)
	n.outlives(t, "link down, weir restarted")
	n.others(t, ecrHost+"/corp/"+repo+":"+tag)
	n.criHeld(t, password, img.index, pod.index)
	n.honest(t)
	if got, _ := n.u.take(); len(got) > 0 {
		t.Errorf("requests over a link that is down: %q", got)
	}
	n.restored(t)
}

// honest pulls what is not held. Docker asks by HEAD first, whose answer has no words;
// they are in the log.
func (n *network) honest(t *testing.T) {
	t.Helper()
	out, err := n.d.pull(t, ecrHost+"/corp/team/absent:v1")
	if err == nil || !regexp.MustCompile(gone).MatchString(out) {
		t.Errorf("pull of what is not held: %v; want it to say %s:\n%s", err, gone, out)
	}
	if !regexp.MustCompile(`repository=corp/team/absent .*code=UpstreamUnreachable error="` + upstreamHost).MatchString(n.p.output()) {
		t.Error("no line of the log says which upstream cannot be reached")
	}
}

// look asks ECR's API what came.
func (n *network) look(t *testing.T, img *pushed) {
	t.Helper()
	var repos repositories
	n.aws.ask(t, &repos, "ecr", "describe-repositories")
	var uris []string
	for _, r := range repos.Repositories {
		uris = append(uris, r.URI)
	}
	if diff := cmp.Diff([]string{ecrHost + "/corp/" + repo, ecrHost + "/now/" + repo}, uris); diff != "" {
		t.Errorf("repositories (-want +got):\n%s", diff)
	}
	var images imageDetails
	n.aws.ask(t, &images, "ecr", "describe-images", "--repository-name", "corp/"+repo, "--image-ids", "imageTag="+tag)
	if len(images.Details) != 1 || images.Details[0].Digest != img.index || !slices.Equal(images.Details[0].Tags, []string{tag}) {
		t.Errorf("images: %+v, want %s with tag %s", images.Details, img.index, tag)
	}
}

// restored mends the link and moves the tag: after its window there is the new image;
// within it, when somebody has weir look.
func (n *network) restored(t *testing.T) {
	t.Helper()
	const second = "greetings from the second image"
	n.middle.set(t, "link", "set", "outside", "up")
	img := n.u.push(t, repo, tag, second)
	begin := time.Now()
	eventually(t, 90*time.Second, func() error {
		if out := n.d.ok(t, "pull", ecrHost+"/now/"+repo+":"+tag); !strings.Contains(out, img.index) {
			return fmt.Errorf("the tag is still another image:\n%s", out)
		}
		return nil
	})
	t.Logf("the new image was there %v after the link", time.Since(begin).Round(time.Millisecond))
	n.pull(t, "window over", "now", second)
	n.pull(t, "within the window", "corp", first)

	verbs := command{n.private.inside(t, os.Getenv("WEIR_BIN")), nil}
	out := verbs.ok(t, "check-now", "--data", filepath.Join(n.dir, "data"), "--ca", filepath.Join(n.dir, "certs", "ca.crt"),
		ecrHost+"/corp/"+repo+":"+tag)
	if !strings.HasPrefix(out, "moved: "+img.index) {
		t.Errorf("weir check-now says %q, want that the tag moved to %s", out, img.index)
	}
	n.pull(t, "looked at", "corp", second)
}
