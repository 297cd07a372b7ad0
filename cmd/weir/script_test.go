// Package main_test runs the shipped binary, as scripts in testdata/script.
package main_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/weir-registry/weir/internal/app"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
	"github.com/weir-registry/weir/internal/weirtest"
)

// TestMain builds the static binary unless $WEIR_BIN names it.
func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if os.Getenv("WEIR_BIN") != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "weir-bin")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin := filepath.Join(dir, "weir")
	build := exec.Command("go", "build", "-trimpath", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building weir: %v\n%s", err, out)
		return 1
	}
	os.Setenv("WEIR_BIN", bin)
	return m.Run()
}

// TestScripts has a registry beside the scripts, as upstream: team/app:v1 is in it for
// the user robot. settings.yaml is a configuration with the rule up for it, at $HOST.
func TestScripts(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{Auth: upstreamtest.Token, Users: map[string]string{"robot": "s3cret"}})
	up.Push("team/app", "v1", upstreamtest.NewImage(1, 100_000))
	site := up.Listen(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			bin, err := filepath.Abs(os.Getenv("WEIR_BIN"))
			if err != nil {
				return err
			}
			e.Setenv("PATH", filepath.Dir(bin)+string(filepath.ListSeparator)+e.Getenv("PATH"))
			e.Setenv("HOST", site.Host)
			settings := weirtest.Settings(site, "credential: robot", "data: weir-data\ncredentials: {robot: {username: robot, password_file: password}}\n")
			for name, text := range map[string]string{"settings.yaml": settings, "password": "s3cret\n"} {
				if err := os.WriteFile(filepath.Join(e.WorkDir, name), []byte(text), 0o600); err != nil {
					return err
				}
			}
			for _, name := range []string{"PORT", "PORT2"} {
				port, claim, err := weirtest.FreePort("127.0.0.1")
				if err != nil {
					return err
				}
				e.Defer(func() { claim.Close() })
				e.Setenv(name, port)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ready":    ready,
			"secure":   secure,
			"get":      get,
			"login":    login,
			"mode":     mode,
			"nosecret": noSecret,
		},
		RequireExplicitExec: true,
	})
}

// ready PORT waits until weir says that it is ready.
func ready(ts *testscript.TestScript, neg bool, args []string) {
	await(ts, http.DefaultClient, "http://127.0.0.1:"+args[0]+"/readyz")
}

func await(ts *testscript.TestScript, client *http.Client, url string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		ts.Check(err)
		resp, err := client.Do(req)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			ts.Fatalf("weir did not become ready: %v", err)
		}
	}
}

// secure CA PORT waits until weir says over TLS that it is ready.
func secure(ts *testscript.TestScript, neg bool, args []string) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(ts.ReadFile(args[0]))) {
		ts.Fatalf("%s has no certificate", args[0])
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	await(ts, client, "https://127.0.0.1:"+args[1]+"/readyz")
}

// get URL STATUS [DATA-FOLDER] [METHOD] asks, with the key in the folder, and
// prints headers and body.
func get(ts *testscript.TestScript, neg bool, args []string) {
	method := http.MethodGet
	if len(args) > 3 {
		method = args[3]
	}
	req, err := http.NewRequest(method, args[0], nil)
	ts.Check(err)
	if len(args) > 2 && args[2] != "" {
		key, err := app.ReadKey(ts.MkAbs(args[2]))
		ts.Check(err)
		req.SetBasicAuth(key.ID, key.Secret)
	}
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	resp.Header.Write(ts.Stdout())
	fmt.Fprintf(ts.Stdout(), "\n%s", body)
	if got := strconv.Itoa(resp.StatusCode); got != args[1] {
		ts.Fatalf("status %s, want %s\n%s", got, args[1], body)
	}
}

// login URL USER PASSWORD-FILE STATUS asks with a login of docker's. Of a credentials
// file the secret in it is the password.
func login(ts *testscript.TestScript, neg bool, args []string) {
	password := strings.TrimSpace(ts.ReadFile(args[2]))
	if _, secret, ok := strings.Cut(password, "aws_secret_access_key = "); ok {
		password = secret
	}
	req, err := http.NewRequest(http.MethodGet, args[0], nil)
	ts.Check(err)
	req.SetBasicAuth(args[1], password)
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	if got := strconv.Itoa(resp.StatusCode); got != args[3] {
		ts.Fatalf("status %s, want %s", got, args[3])
	}
}

// mode FILE PERMISSIONS compares.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[1] {
		ts.Fatalf("%s has mode %s, want %s", args[0], got, args[1])
	}
}

// noSecret DATA-FOLDER FILE... fails if the root secret is in a file.
func noSecret(ts *testscript.TestScript, neg bool, args []string) {
	key, err := app.ReadKey(ts.MkAbs(args[0]))
	ts.Check(err)
	for _, name := range args[1:] {
		if strings.Contains(ts.ReadFile(name), key.Secret) {
			ts.Fatalf("the secret is in %s", name)
		}
	}
}
