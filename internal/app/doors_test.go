package app_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/weir-registry/weir/internal/cert"
	"github.com/weir-registry/weir/internal/weirtest"
)

// TestListeners has each part at an address of its own, and only there.
func TestListeners(t *testing.T) {
	s := weirtest.Start(t, `listeners: {api: "127.0.0.1:0", registry: "127.0.0.1:0", metrics: "127.0.0.1:0"}`+"\n")
	if len(s.Others) != 2 {
		t.Fatalf("other addresses: %v", s.Others)
	}
	for _, c := range []struct {
		what, method, addr, path string
		status                   int
		body                     string
	}{
		{"registry", "GET", s.Others[0], "/v2/", 200, "{}"},
		{"registry at the API's", "GET", s.Addr, "/v2/", 404, "nothing is here: the console is at /console/, the API is POST /\n"},
		{"console", "GET", s.Addr, "/console/sign-in", 200, "<!DOCTYPE html>"},
		{"console at the registry's", "GET", s.Others[0], "/console/sign-in", 404, "nothing is here"},
		{"registry at the metrics'", "GET", s.Others[1], "/v2/", 404, "nothing is here"},
		{"API", "POST", s.Addr, "/", 400, `{"__type":`},
		{"API at the registry's", "POST", s.Others[0], "/", 404, "nothing is here: the registry is at /v2/\n"},
		{"metrics", "GET", s.Others[1], "/metrics", 200, "# HELP "},
		{"metrics at the API's", "GET", s.Addr, "/metrics", 404, "nothing is here"},
		{"health of the API", "GET", s.Addr, "/healthz", 200, "ok\n"},
		{"health of the registry", "GET", s.Others[0], "/readyz", 200, "ready\n"},
		{"health of the metrics", "GET", s.Others[1], "/readyz", 200, "ready\n"},
	} {
		t.Run(c.what, func(t *testing.T) {
			req, err := http.NewRequest(c.method, "http://"+c.addr+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.SetBasicAuth(s.Key.ID, s.Key.Secret)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if body := read(t, resp); resp.StatusCode != c.status || !strings.HasPrefix(body, c.body) {
				t.Errorf("%s %q, want %d %q", resp.Status, body, c.status, c.body)
			}
		})
	}
}

// TestHosts reaches weir by names that only a private DNS gives it.
func TestHosts(t *testing.T) {
	s := weirtest.Start(t, "")
	for _, host := range []string{"123456789012.dkr.ecr.local.amazonaws.com", "123456789012.dkr.ecr.local.amazonaws.com:5000", "api.ecr.local.amazonaws.com", "[fd00::1]:443", "weir"} {
		get, err := http.NewRequest("GET", "http://"+s.Addr+"/v2/", nil)
		if err != nil {
			t.Fatal(err)
		}
		get.SetBasicAuth(s.Key.ID, s.Key.Secret)
		body := []byte(`{"repositoryName":"x/y","reference":"z"}`)
		post, err := http.NewRequest("POST", "http://"+s.Addr+"/", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		get.Host, post.Host = host, host
		post.Header.Set("Content-Type", "application/x-amz-json-1.1")
		post.Header.Set("X-Amz-Target", "Weir_20261125.Explain")
		sum := sha256.Sum256(body)
		key := aws.Credentials{AccessKeyID: s.Key.ID, SecretAccessKey: s.Key.Secret}
		if err := v4.NewSigner().SignHTTP(t.Context(), key, post, hex.EncodeToString(sum[:]), "ecr", "local", time.Now()); err != nil {
			t.Fatal(err)
		}
		for req, want := range map[*http.Request]string{get: "{}", post: `{"__type":"RepositoryNotFoundException"`} {
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if got := read(t, resp); !strings.HasPrefix(got, want) {
				t.Errorf("%s under %s: %s %s", req.Method, host, resp.Status, got)
			}
		}
	}
}

// TestRenewal replaces the certificate of a weir that runs.
func TestRenewal(t *testing.T) {
	dir := t.TempDir()
	m, err := cert.Make(cert.Order{Dir: dir, Names: []string{"127.0.0.1"}, Days: 2})
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(m.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	s := weirtest.Start(t, "tls: {cert_file: "+m.Cert+", key_file: "+m.Key+"}\nlisteners: {metrics: \"127.0.0.1:0\"}\n")
	serial := func() string {
		t.Helper()
		conn, err := tls.Dial("tcp", s.Addr, &tls.Config{RootCAs: roots})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	first := serial()
	resp, err := http.Get("http://" + s.Others[0] + "/readyz")
	if err != nil {
		t.Fatalf("metrics are not plain: %v", err)
	}
	read(t, resp)

	if _, err := cert.Make(cert.Order{Dir: dir, Names: []string{"127.0.0.1"}, Days: 2, Replace: true}); err != nil {
		t.Fatal(err)
	}
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for serial() == first {
		<-again.C
	}
	second := serial()
	if err := os.WriteFile(filepath.Join(dir, "server.key"), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(s.Log.String(), "cannot be used") {
		if serial() != second {
			t.Fatal("a broken file replaced the certificate")
		}
		<-again.C
	}
	if serial() != second {
		t.Error("after the log had it, the certificate was another")
	}
}

// TestScrape asks for the metrics where everything else is, too.
func TestScrape(t *testing.T) {
	s := weirtest.Start(t, "anonymous: [{cidr: [127.0.0.0/8], repositories: [\"quay/*\"]}]\n")
	read(t, s.Do("GET", "/v2/", nil))
	resp := s.Do("GET", "/metrics", nil)
	if got := read(t, resp); resp.StatusCode != 200 || !strings.Contains(got, "\nweir_requests_total{class=\"2xx\"} 1\n") || strings.Contains(got, s.Key.ID) {
		t.Errorf("%s\n%s", resp.Status, got)
	}
	for what, login := range map[string][2]string{"no key": {}, "wrong secret": {s.Key.ID, "wrong"}} {
		req, err := http.NewRequest("GET", "http://"+s.Addr+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		if login[0] != "" {
			req.SetBasicAuth(login[0], login[1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, resp); resp.StatusCode != 401 || strings.Contains(got, "weir_") || resp.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %s %q", what, resp.Status, got)
		}
	}
}
