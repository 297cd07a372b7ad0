package upstreamtest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Network is a network in memory, made of net.Pipe: it works inside testing/synctest,
// where its Close must be called before the bubble ends. Every name has an address of
// its own, public unless Name says otherwise; port 443 speaks TLS, others plain HTTP.
type Network struct {
	ca    *x509.Certificate
	key   *ecdsa.PrivateKey
	mu    sync.Mutex
	names map[string][]netip.Addr
	ports map[netip.AddrPort]*listener
	srvs  []*http.Server
	down  error
	dials []string
	wg    sync.WaitGroup
}

// NewNetwork returns an empty network with a certificate authority of its own.
func NewNetwork() *Network {
	n := &Network{names: map[string][]netip.Addr{}, ports: map[netip.AddrPort]*listener{}}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // the system has no randomness
	}
	n.key = key
	n.ca = n.certificate(&x509.Certificate{
		Subject: pkix.Name{CommonName: "upstreamtest"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil)
	return n
}

// certificate signs c, by itself if parent is nil.
func (n *Network) certificate(c, parent *x509.Certificate) *x509.Certificate {
	c.SerialNumber = big.NewInt(1)
	c.NotBefore = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC) // fake time begins in 2000
	c.NotAfter = time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC)
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &n.key.PublicKey, n.key)
	if err != nil {
		panic(err) // the template is at fault
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return signed
}

// CA returns the certificate authority of the network's TLS hosts, as PEM.
func (n *Network) CA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: n.ca.Raw})
}

// Name gives a name these addresses, for Resolve.
func (n *Network) Name(host string, addrs ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.names[host] = nil
	for _, a := range addrs {
		n.names[host] = append(n.names[host], netip.MustParseAddr(a))
	}
}

// Serve answers at host:port until Close. The host gets a public address unless it has one.
func (n *Network) Serve(hostport string, h http.Handler) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		panic(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if a, err := netip.ParseAddr(host); err == nil {
		n.names[host] = []netip.Addr{a}
	}
	if n.names[host] == nil {
		n.names[host] = []netip.Addr{netip.AddrFrom4([4]byte{198, 51, 100, byte(len(n.names) + 1)})}
	}
	l := &listener{conns: make(chan net.Conn), closed: make(chan struct{})}
	for _, a := range n.names[host] {
		n.ports[netip.MustParseAddrPort(net.JoinHostPort(a.Unmap().String(), port))] = l
	}
	var in net.Listener = l
	if port == "443" {
		leaf := n.certificate(&x509.Certificate{Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}}, n.ca)
		in = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: n.key}}})
	}
	srv := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	n.srvs = append(n.srvs, srv)
	n.wg.Go(func() { srv.Serve(in) })
}

// Resolve answers as DNS would.
func (n *Network) Resolve(_ context.Context, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if a := n.names[host]; len(a) > 0 {
		return a, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// Dial connects to address:port. Where nothing listens the connection is refused.
func (n *Network) Dial(ctx context.Context, _, addr string) (net.Conn, error) {
	n.mu.Lock()
	n.dials = append(n.dials, addr)
	at, err := netip.ParseAddrPort(addr)
	l, down := n.ports[at], n.down
	n.mu.Unlock()
	switch {
	case err != nil:
		return nil, fmt.Errorf("dial %s: not an address that was resolved", addr)
	case down != nil:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: down}
	case l == nil:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	client, server := net.Pipe()
	if at.Port() == 443 {
		client, server = newBuffered(client), newBuffered(server)
	}
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		err = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		err = ctx.Err()
	}
	client.Close()
	server.Close()
	return nil, err
}

// Down makes every Dial fail with err, until Down(nil). Open connections live on.
func (n *Network) Down(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = err
}

// Dials returns every address that was dialled.
func (n *Network) Dials() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string{}, n.dials...)
}

// Close ends all servers and connections and waits for them.
func (n *Network) Close() {
	n.mu.Lock()
	srvs := n.srvs
	n.mu.Unlock()
	for _, s := range srvs {
		s.Close()
	}
	n.wg.Wait()
}

// listener hands out the server's ends of pipes.
type listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
