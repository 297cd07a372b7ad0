// Package e2e runs weir as its users do: the static binary as it ships, a real
// upstream registry behind token authentication and a redirect to a second host,
// and the clients that people pull with, the docker engine among them.
//
// It shows that the parts fit foreign programs. It does not show exact times: a
// loaded machine is slow, so every bound on time here is a loose one. What costs
// the upstream how much is compared exactly, as a multiset of requests.
//
// Everything listens on loopback and ends with its test. A component that is
// missing fails the test with the name of its Debian package; scripts/install-test-deps
// installs them all. $WEIR_BIN names the binary; unset, it is built first.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if os.Getenv("WEIR_BIN") == "" {
		dir, err := os.MkdirTemp("", "weir-bin")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		bin := filepath.Join(dir, "weir")
		if err := buildStatic(bin, "github.com/weir-registry/weir/cmd/weir"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		os.Setenv("WEIR_BIN", bin)
	}
	return m.Run()
}

// buildStatic builds a Go program that needs nothing of the machine it runs on.
func buildStatic(out, pkg string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", pkg, err, text)
	}
	return nil
}
