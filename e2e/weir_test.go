package e2e

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// server is weir, the static binary, with a rule set on one upstream:
//
//	day/...    the default window
//	now/...    a window of two seconds
//	wrong/...  a credential that the upstream refuses
type server struct {
	addr, dir  string
	id, secret string // the root access key
	p          *process
}

const (
	shortWindow = 2 * time.Second
	weirConfig  = `listen: %[1]s
data: %[2]s/data
rules:
  - {prefix: day, upstream: upstream.test, credential: right}
  - {prefix: now, upstream: upstream.test, credential: right, window: %[3]s}
  - {prefix: wrong, upstream: upstream.test, credential: wrong}
credentials:
  right: {username: %[4]s, password_file: %[2]s/right}
  wrong: {username: %[4]s, password_file: %[2]s/wrong}
upstreams:
  upstream.test:
    endpoints: ["http://%[5]s"]
    allow_hosts: ["%[6]s", "%[7]s"]
    realms: ["http://%[7]s/token"]
timeouts: {check: 4s} # clients try three times what a hanging upstream does not give
`
)

// newServer starts weir for the first time and reads the key that it made.
func newServer(t *testing.T, u *upstream) *server {
	t.Helper()
	return newWeir(t, map[string]string{"right": upstreamPassword + "\n", "wrong": "guessed"}, func(s *server) string {
		return fmt.Sprintf(weirConfig, s.addr, s.dir, shortWindow, upstreamUser, u.front.addr, u.cdn.addr, u.realmHost())
	})
}

// newWeir starts weir with a configuration, which may name the files beside it.
func newWeir(t *testing.T, files map[string]string, config func(*server) string) *server {
	t.Helper()
	s := &server{addr: freeAddr(t, "127.0.0.1"), dir: t.TempDir()}
	files = maps.Clone(files)
	files["weir.yaml"] = config(s)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.start(t)
	var err error
	if s.id, s.secret, err = readKey(filepath.Join(s.dir, "data", "credentials")); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(s.p.output(), s.secret) {
		t.Error("weir printed the secret")
	}
	return s
}

// readKey reads an AWS credentials file.
func readKey(file string) (id, secret string, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", "", err
	}
	m := regexp.MustCompile(`(?s)aws_access_key_id\s*=\s*(\S+).*aws_secret_access_key\s*=\s*(\S+)`).FindStringSubmatch(string(b))
	if m == nil {
		return "", "", fmt.Errorf("%s is no credentials file", file)
	}
	return m[1], m[2], nil
}

func (s *server) start(t *testing.T) {
	t.Helper()
	s.p = serve(t, s.addr, filepath.Join(s.dir, "weir.yaml"))
}

// serve starts weir and waits until it is ready.
func serve(t *testing.T, addr, config string) *process {
	t.Helper()
	p := start(t, nil, os.Getenv("WEIR_BIN"), "serve", "--config", config)
	p.alive(t, 20*time.Second, func() error { return ready(addr) })
	return p
}

func ready(addr string) error {
	c := http.Client{Timeout: 2 * time.Second}
	resp, err := c.Get("http://" + addr + "/readyz")
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz: %s", resp.Status)
	}
	return nil
}

// restart ends weir politely and starts it again, which needs no upstream.
func (s *server) restart(t *testing.T) {
	t.Helper()
	if err := s.p.end(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if code := s.p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("weir ended with status %d on SIGTERM", code)
	}
	begin := time.Now()
	s.start(t)
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("weir took %v to start", d)
	}
}

// ref is an image's name here.
func (s *server) ref(rule, rest string) string { return s.addr + "/" + rule + "/" + rest }

// answer is what weir said.
type answer struct {
	*http.Response
	body string
}

// ask makes one request of its own, with the root key.
func (s *server) ask(t *testing.T, method, rule, path string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.addr+"/v2/"+rule+"/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(s.id, s.secret)
	c := http.Client{Timeout: clientLimit}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp, string(body)}
}

// head asks for a tag that is held.
func (s *server) head(t *testing.T, rule, repo, tag string) answer {
	t.Helper()
	a := s.ask(t, http.MethodHead, rule, repo+"/manifests/"+tag)
	if a.StatusCode != http.StatusOK {
		t.Fatalf("HEAD %s:%s, which is held: %s", repo, tag, a.Status)
	}
	return a
}

func (a answer) stale() bool { return strings.HasPrefix(a.Header.Get("X-Weir-Cache"), "stale") }
