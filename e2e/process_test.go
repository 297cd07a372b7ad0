package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weir-registry/weir/internal/weirtest"
)

// clientLimit ends a client that hangs: far above what any of them needs, Terraform
// with its large provider on a busy machine too.
const clientLimit = 5 * time.Minute

// program finds a program of a Debian package. The folders of packages come
// before PATH, where a machine may have another version.
func program(t *testing.T, name, debianPackage string) string {
	t.Helper()
	for _, dir := range []string{"/usr/bin", "/usr/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing: apt-get install %s, or scripts/install-test-deps", name, debianPackage)
	}
	return path
}

// tool finds a program of scripts/tools.list, which is built at its first use.
func tool(t *testing.T, name string) string {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command("../scripts/tool", name)
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("scripts/tool %s: %v\n%s", name, err, said.String())
	}
	return strings.TrimSpace(string(out))
}

// process is a server that a test started. It has a process group of its own and
// ends with the test; its output is printed if the test fails.
type process struct {
	cmd  *exec.Cmd
	log  string // file with its output
	done chan struct{}
}

func start(t *testing.T, env []string, name string, args ...string) *process {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), filepath.Base(name)+".log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := &process{cmd: exec.Command(name, args...), log: f.Name(), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = f, f
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// Pdeathsig means the thread that starts: it has to live as long as the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.end(syscall.SIGTERM)
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(name), tail(p.output(), 6000))
		}
	})
	return p
}

// end sends sig and waits; what is still there after 20 s is killed, which is an error.
func (p *process) end(sig syscall.Signal) error {
	p.cmd.Process.Signal(sig)
	select {
	case <-p.done:
		return nil
	case <-time.After(20 * time.Second):
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
		return fmt.Errorf("%s did not end within 20 s of %v", p.cmd.Path, sig)
	}
}

func (p *process) output() string {
	b, _ := os.ReadFile(p.log)
	return string(b)
}

func tail(s string, n int) string {
	if len(s) > n {
		return "..." + s[len(s)-n:]
	}
	return s
}

// alive waits until f succeeds, and gives up when the process ends or after limit.
func (p *process) alive(t *testing.T, limit time.Duration, f func() error) {
	t.Helper()
	eventually(t, limit, func() error {
		select {
		case <-p.done:
			t.Fatalf("%s ended at its start: %v\n%s", p.cmd.Path, p.cmd.ProcessState, tail(p.output(), 4000))
		default:
		}
		return f()
	})
}

// eventually calls f until it succeeds, at most for limit.
func eventually(t *testing.T, limit time.Duration, f func() error) {
	t.Helper()
	end := time.After(limit)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("still so after %v: %v", limit, err)
		}
	}
}

// command is a client program with its surroundings.
type command struct {
	path string
	env  []string
}

// run runs the client to its end and returns what it printed. The client gets
// stdin and is ended after clientLimit.
func (c command) run(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clientLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.path, args...)
	cmd.Env = append(os.Environ(), c.env...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("%s %s: no end after %v\n%s", filepath.Base(c.path), strings.Join(args, " "), clientLimit, out.String())
	}
	return out.String(), err
}

// ok runs the client and fails the test if the client fails.
func (c command) ok(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.run(t, "", args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(c.path), strings.Join(args, " "), err, out)
	}
	return out
}

// freeAddr returns a loopback address on which nothing listens now, and which no other
// test is given.
func freeAddr(t *testing.T, host string) string {
	t.Helper()
	port, claim, err := weirtest.FreePort(host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { claim.Close() })
	return net.JoinHostPort(host, port)
}
