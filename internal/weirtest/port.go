package weirtest

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
)

// FreePort returns a port of a loopback address on which nothing listens, for a
// server that has to know its address before it listens or keeps it over restarts. It
// is below the ports that systems give to outgoing connections and to listeners at
// port 0, so that nobody is given it between its choice and its use. Until claim is
// closed no other call in any process returns it.
func FreePort(host string) (port string, claim io.Closer, err error) {
	const first, ports = 10000, 20000
	for range ports {
		port := strconv.Itoa(first + rand.IntN(ports))
		// A listener at an address that no server here has is what keeps the port.
		claim, err := net.Listen("tcp", net.JoinHostPort("127.255.255.254", port))
		if err != nil {
			continue
		}
		if vacant(net.JoinHostPort(host, port)) {
			return port, claim, nil
		}
		claim.Close()
	}
	return "", nil, errors.New("no port is free on " + host)
}

// vacant listens at addr for a moment. No process is started in that moment: it would
// have the listener, too, until it has become another program, and would keep a server
// from the address.
func vacant(addr string) bool {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	return l.Close() == nil
}
