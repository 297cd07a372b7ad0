package upstream

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// headStart is how long one address is tried before the next one is tried beside it.
const headStart = 300 * time.Millisecond

// dialError is a failure before there was a connection.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// dialGuarded connects to host:port. What is not listed is connected to only at a
// public address, the very one that was checked.
func (h *host) dialGuarded(ctx context.Context, network, addr string) (net.Conn, error) {
	return h.dial(ctx, network, addr, h.exact[addr])
}

// dialProxy connects to the proxy, which is where configuration says.
func (h *host) dialProxy(ctx context.Context, network, addr string) (net.Conn, error) {
	return h.dial(ctx, network, addr, true)
}

func (h *host) dial(ctx context.Context, network, addr string, listed bool) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, h.c.opts.DialTimeout)
	defer cancel()
	name, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, &dialError{err}
	}
	all, err := h.resolve(ctx, name)
	if err != nil {
		return nil, &dialError{err}
	}
	var open []netip.Addr
	var why error
	for _, a := range all {
		if what := notPublic(a); what != "" && !listed {
			why = h.unlisted(addr, "it is at "+what+", "+a.String())
			continue
		}
		open = append(open, a)
	}
	if len(open) == 0 {
		return nil, &dialError{why}
	}
	conn, at, err := h.race(ctx, network, alternate(open), port)
	if err != nil {
		return nil, &dialError{err}
	}
	if notPublic(at) != "" {
		h.mu.Lock()
		if len(h.private) < maxRemembered {
			h.private[addr] = true
		}
		h.mu.Unlock()
	}
	return conn, nil
}

func (h *host) resolve(ctx context.Context, name string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	all, err := h.c.opts.Resolve(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, &net.DNSError{Err: "no address", Name: name, IsNotFound: true}
	}
	plain := make([]netip.Addr, len(all))
	for i, a := range all {
		plain[i] = a.Unmap()
	}
	return plain, nil
}

// alternate puts addresses of the two families in turn, the first one's first: where
// one family leads nowhere, the other is not kept waiting.
func alternate(all []netip.Addr) []netip.Addr {
	var first, second []netip.Addr
	for _, a := range all {
		if a.Is4() == all[0].Is4() {
			first = append(first, a)
		} else {
			second = append(second, a)
		}
	}
	out := make([]netip.Addr, 0, len(all))
	for i := range max(len(first), len(second)) {
		if i < len(first) {
			out = append(out, first[i])
		}
		if i < len(second) {
			out = append(out, second[i])
		}
	}
	return out
}

// race connects to the first address that takes it; each gets a head start.
func (h *host) race(ctx context.Context, network string, addrs []netip.Addr, port string) (net.Conn, netip.Addr, error) {
	type result struct {
		conn net.Conn
		at   netip.Addr
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result)
	start := func(a netip.Addr) { // ends with ctx
		conn, err := h.c.opts.Dial(ctx, network, net.JoinHostPort(a.String(), port))
		select {
		case results <- result{conn, a, err}:
		case <-ctx.Done():
			if conn != nil {
				conn.Close()
			}
		}
	}
	next := time.NewTimer(0)
	defer next.Stop()
	var failed []error
	for started := 0; ; {
		select {
		case <-next.C:
			if started < len(addrs) {
				go start(addrs[started])
				started++
				next.Reset(headStart)
			}
		case r := <-results:
			if r.err == nil {
				return r.conn, r.at, nil
			}
			if failed = append(failed, r.err); len(failed) == len(addrs) {
				return nil, netip.Addr{}, errors.Join(failed...)
			}
			next.Reset(0)
		case <-ctx.Done():
			return nil, netip.Addr{}, ctx.Err()
		}
	}
}
