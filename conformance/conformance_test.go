// Package conformance runs the OCI distribution specification's conformance suite
// against the binary that WEIR_BIN names. It is a module of its own, which pins the
// suite.
package conformance

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// config lets every push make its repository.
const config = `listen: %[1]s
data: %[2]s/data
rules:
  - {prefix: hub, upstream: docker.io, held_only: true}
log: {level: warn}
templates:
  - {prefix: ROOT, applied_for: [CREATE_ON_PUSH]}
`

// patience bounds the start of weir, and parting its end.
const patience, parting = 30 * time.Second, 30 * time.Second

// TestConformance runs all categories of the suite, each version of the specification
// in repositories of its own. Nothing may fail, and nothing may be left out but what the
// suite itself leaves out: manifests whose layers are missing (OCI_DATA_SPARSE), which
// weir refuses, as the specification lets it.
func TestConformance(t *testing.T) {
	addr, id, secret := start(t)
	for _, version := range []string{"1.0", "1.1", "dev"} {
		t.Run(version, func(t *testing.T) {
			results := t.TempDir()
			one, two := "conformance-"+version+"/one", "conformance-"+version+"/two"
			for _, repo := range []string{one, two} {
				if err := create(addr, id, secret, repo); err != nil {
					t.Fatal(err)
				}
			}
			suite := exec.CommandContext(t.Context(), "go", "tool", "conformance")
			suite.Env = append(os.Environ(),
				"OCI_VERSION="+version, "OCI_REGISTRY="+addr, "OCI_TLS=disabled", "OCI_USERNAME="+id, "OCI_PASSWORD="+secret,
				"OCI_REPO1="+one, "OCI_REPO2="+two, "OCI_RESULTS_DIR="+results)
			out, err := suite.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, complaints(out))
			}
			for _, line := range summary.FindAllString(string(out), -1) {
				t.Log(strings.TrimSpace(line))
				if skips.MatchString(line) {
					t.Errorf("the suite left something out:\n%s", complaints(out))
				}
			}
		})
	}
}

// summary is a line of the suite's count of results.
var summary = regexp.MustCompile(`(?m)^\s+(Pass|Skip|Disabled|FAIL|Error)\.+:\s+\d+$`)

// skips is a summary of tests that the suite could not make.
var skips = regexp.MustCompile(`Skip\.+:\s+[1-9]`)

// complaints is what the suite says of what it did not pass.
func complaints(out []byte) string {
	var b strings.Builder
	for line := range bytes.Lines(out) {
		if bytes.Contains(line, []byte("msg=\"failed test\"")) || bytes.Contains(line, []byte(": Skip")) {
			b.Write(line)
		}
	}
	if b.Len() == 0 {
		return string(out)
	}
	return b.String()
}

// start runs weir until the test ends, and returns its address and root access key.
func start(t *testing.T) (addr, id, secret string) {
	t.Helper()
	bin := os.Getenv("WEIR_BIN")
	if bin == "" {
		t.Fatal("WEIR_BIN names no binary: run make conformance")
	}
	dir := t.TempDir()
	addr = freeAddr(t)
	file := filepath.Join(dir, "weir.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, config, addr, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	weir := exec.CommandContext(ctx, bin, "serve", "--config", file)
	weir.Cancel = func() error { return weir.Process.Signal(os.Interrupt) }
	weir.WaitDelay = parting
	var log bytes.Buffer
	weir.Stdout, weir.Stderr = &log, &log
	if err := weir.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = weir.Wait() // that it was told to end is no failure
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if t.Failed() {
			t.Logf("weir's output:\n%s", log.String()[max(0, log.Len()-20000):])
		}
	})
	if err := ready(addr, done); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "data", "credentials"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?s)aws_access_key_id\s*=\s*(\S+).*aws_secret_access_key\s*=\s*(\S+)`).FindSubmatch(text)
	if m == nil {
		t.Fatal("the credentials file has no access key")
	}
	return addr, string(m[1]), string(m[2])
}

// create makes a repository, as the suite wants one, by the beginning of a push.
func create(addr, id, secret, repo string) error {
	req, err := http.NewRequest(http.MethodPost, "http://"+addr+"/v2/"+repo+"/blobs/uploads/", nil)
	if err != nil {
		return err
	}
	req.SetBasicAuth(id, secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		return fmt.Errorf("a push to %s, which a template is to make: %s", repo, resp.Status)
	}
	return nil
}

// ready waits until weir takes requests.
func ready(addr string, done <-chan struct{}) error {
	over := time.After(patience)
	for {
		resp, err := http.Get("http://" + addr + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-done:
			return fmt.Errorf("weir ended before it served")
		case <-over:
			return fmt.Errorf("weir does not serve after %s: %v", patience, err)
		}
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
