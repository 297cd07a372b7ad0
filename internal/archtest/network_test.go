package archtest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-registry/weir/internal/cert"
	"github.com/weir-registry/weir/internal/config"
)

// Every configuration in docs/private-network.md loads beside what weir cert makes,
// and the page names each listener's key.
func TestPrivateNetworkDocument(t *testing.T) {
	text := document(t, "docs/private-network.md")
	dir := t.TempDir()
	if _, err := cert.Make(cert.Order{Dir: filepath.Join(dir, "certs"), Names: []string{"weir.corp.example"}, Days: 1}); err != nil {
		t.Fatal(err)
	}
	blocks := yamlBlock.FindAllStringSubmatch(text, -1)
	for i, m := range blocks {
		name := filepath.Join(dir, "weir.yaml")
		if err := os.WriteFile(name, []byte(m[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := config.Load(name, nil); err != nil {
			t.Errorf("configuration %d:\n%v", i+1, err)
		}
	}
	if len(blocks) < 3 {
		t.Errorf("only %d configurations found", len(blocks))
	}
	for _, key := range []string{"`listeners.api`", "`listeners.registry`", "`listeners.metrics`", "`trusted_proxies`", "`held_only: true`"} {
		if !strings.Contains(text, key) {
			t.Errorf("nothing about %s", key)
		}
	}
}
