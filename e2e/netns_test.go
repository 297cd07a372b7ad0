package e2e

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// netns is a network namespace of the test's own. Programs in it see files of their
// own in /etc, too: the names of hosts, and whom docker trusts.
type netns struct {
	name string // among the machine's namespaces
	etc  string // folder; what is in it covers what is in /etc under the same name
	ip   command
}

// newNetns makes a namespace that knows these hosts by name and asks no DNS.
func newNetns(t *testing.T, name string, hosts map[string]string) netns {
	t.Helper()
	n := netns{name: "weir-" + strings.ToLower(rand.Text()[:8]) + "-" + name, etc: filepath.Join(t.TempDir(), "etc")}
	n.ip = command{program(t, "ip", "iproute2"), nil}
	n.ip.ok(t, "netns", "add", n.name)
	t.Cleanup(func() { // the test's context is over
		if out, err := exec.Command(n.ip.path, "netns", "delete", n.name).CombinedOutput(); err != nil {
			t.Errorf("namespace %s stays: %v\n%s", n.name, err, out)
		}
	})
	n.set(t, "link", "set", "lo", "up")
	text := "127.0.0.1 localhost\n"
	for _, host := range slices.Sorted(maps.Keys(hosts)) {
		text += hosts[host] + " " + host + "\n"
	}
	n.write(t, "hosts", text)
	n.write(t, "resolv.conf", "# nobody knows more names\n")
	return n
}

func (n netns) write(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join(n.etc, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// set runs ip in the namespace.
func (n netns) set(t *testing.T, args ...string) {
	t.Helper()
	n.ip.ok(t, append([]string{"-n", n.name}, args...)...)
}

// join lays a cable from here to there: each end has a name and addresses.
func (n netns) join(t *testing.T, here string, addrs []string, other netns, there string, others []string) {
	t.Helper()
	n.set(t, "link", "add", here, "type", "veth", "peer", "name", there, "netns", other.name)
	for _, end := range []struct {
		in    netns
		link  string
		addrs []string
	}{{n, here, addrs}, {other, there, others}} {
		for _, addr := range end.addrs {
			end.in.set(t, "address", "add", addr, "dev", end.link)
		}
		end.in.set(t, "link", "set", end.link, "up")
	}
}

// inside is a program that runs another one in the namespace, as one process. `ip
// netns exec` would mount /sys anew, and dockerd finds no cgroups there.
func (n netns) inside(t *testing.T, path string) string {
	t.Helper()
	for _, bin := range []string{"nsenter", "unshare", "mount"} {
		program(t, bin, "util-linux")
	}
	const text = `#!/bin/bash
exec nsenter --net=/run/netns/%s -- unshare --mount --propagation private -- bash -c '
for f in %s/*; do mount --bind "$f" "/etc/${f##*/}" || exit; done
exec "$@"' inside %s "$@"
`
	file := filepath.Join(t.TempDir(), filepath.Base(path))
	if err := os.WriteFile(file, fmt.Appendf(nil, text, n.name, n.etc, path), 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

// serve answers requests to an address in the namespace.
func (n netns) serve(t *testing.T, addr string, h http.Handler) {
	t.Helper()
	l, err := n.listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
}

// listen goes into the namespace, where what it opens stays, and back. The thread must
// not end: with it would end the processes that were started on it.
func (n netns) listen(addr string) (net.Listener, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	back, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	defer back.Close()
	there, err := os.Open("/run/netns/" + n.name)
	if err != nil {
		return nil, err
	}
	defer there.Close()
	if err := setns(there); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", addr)
	if err := setns(back); err != nil {
		panic(err) // this thread is good for nothing now
	}
	return l, err
}

// setns moves this thread into a network namespace.
func setns(f *os.File) error {
	number, ok := map[string]uintptr{"amd64": 308, "arm64": 268}[runtime.GOARCH] // package syscall has it for some only
	if !ok {
		return fmt.Errorf("the number of setns on %s is not known here", runtime.GOARCH)
	}
	_, _, errno := syscall.RawSyscall(number, f.Fd(), syscall.CLONE_NEWNET, 0)
	if errno != 0 {
		return os.NewSyscallError("setns", errno)
	}
	return nil
}
