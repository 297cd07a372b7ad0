package upstreamtest

import (
	"bytes"
	"io"
	"net"
	"sync"
	"time"
)

// buffered is an end of a pipe that holds a few writes, as TCP does. TLS needs that: it
// sends tickets behind the handshake and a word of farewell, and waits for no reader.
// Write deadlines do nothing; what was written before Close still arrives.
type buffered struct {
	net.Conn
	out  chan []byte
	gone chan struct{} // closed by Close
	torn chan struct{} // closed when the other end is no more
	once sync.Once
}

func newBuffered(c net.Conn) *buffered {
	b := &buffered{Conn: c, out: make(chan []byte, 8), gone: make(chan struct{}), torn: make(chan struct{})}
	go b.pump() // ends with Close
	return b
}

func (b *buffered) pump() {
	for {
		select {
		case p := <-b.out:
			if _, err := b.Conn.Write(p); err != nil {
				close(b.torn)
				<-b.gone
				b.Conn.Close()
				return
			}
		case <-b.gone:
			b.drain()
			return
		}
	}
}

// drain sends what is left.
func (b *buffered) drain() {
	defer b.Conn.Close()
	for {
		select {
		case p := <-b.out:
			if _, err := b.Conn.Write(p); err != nil {
				return
			}
		default:
			return
		}
	}
}

func (b *buffered) Write(p []byte) (int, error) {
	select {
	case <-b.gone:
		return 0, net.ErrClosed
	case <-b.torn:
		return 0, io.ErrClosedPipe
	default:
	}
	select {
	case b.out <- bytes.Clone(p):
		return len(p), nil
	case <-b.gone:
		return 0, net.ErrClosed
	case <-b.torn:
		return 0, io.ErrClosedPipe
	}
}

// Close reads on for nobody, so that two ends that close do not wait for each other.
func (b *buffered) Close() error {
	b.once.Do(func() {
		close(b.gone)
		go io.Copy(io.Discard, b.Conn) // ends when the pump has closed it
	})
	return nil
}

func (b *buffered) SetWriteDeadline(time.Time) error { return nil }
func (b *buffered) SetDeadline(t time.Time) error    { return b.SetReadDeadline(t) }
