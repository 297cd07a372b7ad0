package upstreamtest

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"sync"
)

// Proxy is a forward proxy, by CONNECT and for plain http. It keeps the targets that it
// was asked for, and what it was told to let in.
type Proxy struct {
	Dial     func(ctx context.Context, network, addr string) (net.Conn, error) // by name
	Password string                                                            // that Proxy-Authorization has to end in, base64; "": none
	Refuse   int                                                               // answer every request with this status, if not 0

	mu      sync.Mutex
	targets []string
}

// Targets returns the targets of all requests: "CONNECT host:port" or "GET http://...".
func (p *Proxy) Targets() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.targets...)
}

func (p *Proxy) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	p.mu.Lock()
	if req.Method == http.MethodConnect {
		p.targets = append(p.targets, "CONNECT "+req.Host)
	} else {
		p.targets = append(p.targets, req.Method+" "+req.URL.String())
	}
	p.mu.Unlock()
	switch {
	case p.Refuse != 0:
		w.WriteHeader(p.Refuse)
	case p.Password != "" && req.Header.Get("Proxy-Authorization") != "Basic "+p.Password:
		w.WriteHeader(http.StatusProxyAuthRequired)
	case req.Method == http.MethodConnect:
		p.tunnel(w, req)
	default:
		t := &http.Transport{DialContext: p.Dial, DisableCompression: true, DisableKeepAlives: true}
		(&httputil.ReverseProxy{Transport: t, Rewrite: func(*httputil.ProxyRequest) {}}).ServeHTTP(w, req)
	}
}

func (p *Proxy) tunnel(w http.ResponseWriter, req *http.Request) {
	there, err := p.Dial(req.Context(), "tcp", req.Host)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer there.Close()
	here, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer here.Close()
	io.WriteString(here, "HTTP/1.1 200 Connection established\r\n\r\n")
	var wg sync.WaitGroup
	wg.Go(func() {
		io.Copy(there, buffered)
		there.Close()
	})
	io.Copy(here, there)
	here.Close()
	wg.Wait()
}

// DialName is Dial for host:port by name, as a proxy inside the network dials.
func (n *Network) DialName(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return n.Dial(ctx, network, addr)
	}
	all, err := n.Resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	return n.Dial(ctx, network, net.JoinHostPort(all[0].String(), port))
}
