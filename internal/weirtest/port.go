package weirtest

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// FreePort returns a port of a loopback address on which nothing listens, for a
// server that has to know its address before it listens or keeps it over restarts. It
// is below the ports that systems give to outgoing connections and to listeners at
// port 0, so that nobody is given it between its choice and its use, and it is picked
// at random, so that two tests do not pick the same in that time.
func FreePort(host string) (string, error) {
	const first, ports = 10000, 20000
	for range ports {
		port := strconv.Itoa(first + rand.IntN(ports))
		l, err := net.Listen("tcp", net.JoinHostPort(host, port))
		if err == nil {
			return port, l.Close()
		}
	}
	return "", errors.New("no port is free on " + host)
}
