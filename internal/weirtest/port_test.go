package weirtest_test

import (
	"io"
	"net"
	"os/exec"
	"sync"
	"testing"

	"github.com/weir-registry/weir/internal/weirtest"
)

// A port is one caller's until it is given back, and can be listened on at once while
// other programs are started.
func TestFreePort(t *testing.T) {
	var mu sync.Mutex
	var claims []io.Closer
	seen := map[string]bool{}
	starting, stop := make(chan struct{}), make(chan struct{})
	var programs, callers sync.WaitGroup
	programs.Go(func() {
		close(starting)
		for {
			select {
			case <-stop:
				return
			default:
				if err := exec.Command("true").Run(); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	<-starting
	for range 8 {
		callers.Go(func() {
			for range 100 {
				port, claim, err := weirtest.FreePort("127.0.0.1")
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if seen[port] {
					t.Errorf("port %s was given twice", port)
				}
				seen[port], claims = true, append(claims, claim)
				mu.Unlock()
				l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
				if err != nil {
					t.Errorf("a port that is free: %v", err)
					continue
				}
				l.Close()
			}
		})
	}
	callers.Wait()
	close(stop)
	programs.Wait()
	for _, c := range claims {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}
