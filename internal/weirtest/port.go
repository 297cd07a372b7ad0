package weirtest

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
)

// Ports that FreePort gives: below those that systems give to outgoing connections
// and to listeners at port 0, so that nobody is given one between its choice and its use.
const firstPort, ports = 10000, 20000

var lastPort atomic.Uint32

func init() { lastPort.Store(rand.Uint32N(ports)) }

// FreePort returns a port of a loopback address on which nothing listens, for a
// server that has to know its address before it listens or keeps it over restarts.
// It gives each port once in 20,000 calls.
func FreePort(host string) (string, error) {
	for range ports {
		port := strconv.Itoa(int(firstPort + lastPort.Add(1)%ports))
		l, err := net.Listen("tcp", net.JoinHostPort(host, port))
		if err == nil {
			return port, l.Close()
		}
	}
	return "", errors.New("no port is free on " + host)
}
