package awsapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/httpx"
)

// Long bounds the bodies that are longer than httpx.Options.MaxBody, of operations that
// need such. A body is whole in memory before its signature can be verified, so it is
// read only for an access key that counts, and only while all of them fit.
type Long struct {
	Memory int64         // bytes that all bodies together may have, half of them of one access key or from one address; 0: 128 MiB
	Wait   time.Duration // how long one waits for its turn, before ThrottlingException; 0: 20 s
	Arrive time.Duration // how long one may take to come, once it is its turn, as evenly as that; 0: 5 min
}

func (l Long) orDefault() Long {
	if l.Memory == 0 {
		l.Memory = 128 << 20
	}
	if l.Wait == 0 {
		l.Wait = 20 * time.Second
	}
	if l.Arrive == 0 {
		l.Arrive = 5 * time.Minute
	}
	return l
}

// limit returns how long a request's body may be, if it is one that needs more than
// usual; 0: it is not. Who does not say how long it is has the usual.
func (f *face) limit(r *http.Request) int64 {
	if r.ContentLength <= httpx.MaxBody {
		return 0
	}
	prefix, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	for _, s := range f.services {
		if s.Target != "" && s.Target == prefix {
			return s.Long[name]
		}
	}
	return 0
}

// body reads a request's body. What it holds of the memory for long ones is given back
// by done.
func (f *face) body(w *httpx.ResponseWriter, r *http.Request) (body []byte, done func(), err error) {
	limit := f.limit(r)
	if limit == 0 {
		body, err = read(r)
		return body, func() {}, err
	}
	n := r.ContentLength
	if n > limit {
		return nil, nil, tooLong(limit)
	}
	claim, err := f.claim(r.Context(), r)
	if err != nil {
		return nil, nil, err
	}
	// That the key is the sender's is not known yet, and key IDs are no secrets: hence the address.
	owners := [2]string{"key " + claim.keyID, "address " + f.who.Address(r).String()}
	if done, err = f.memory.take(r.Context(), owners, n, f.long.Wait); err != nil {
		// Who is still sending reads no answer.
		_, _ = io.Copy(io.Discard, &timely{Reader: w.Body(), within: f.long.Wait, begun: time.Now()})
		return nil, nil, err
	}
	in := &timely{Reader: w.BodyWithin(pause), size: n, within: f.long.Arrive, begun: time.Now()}
	body = make([]byte, n)
	if _, err = io.ReadFull(in, body); err != nil {
		done()
		return nil, nil, errs.Wrap(errs.ParamInvalid, err, "the request's body did not arrive whole, or slower than %d bytes in %s", n, f.long.Arrive)
	}
	return body, done, nil
}

// timely is a body that has to come within a time, and as much of it as of the time is
// over: who holds memory has to send for it.
type timely struct {
	io.Reader
	size   int64 // 0: it is not known
	within time.Duration
	begun  time.Time
	n      int64 // bytes that have come
}

const (
	// pause is for how long a long body may bring nothing.
	pause = 10 * time.Second
	// headStart is how much of the time a body may be behind.
	headStart = 0.1
)

var errLate = errors.New("the body comes too slowly")

func (t *timely) Read(p []byte) (int, error) {
	over := float64(time.Since(t.begun)) / float64(t.within)
	if over >= 1 || float64(t.n) < float64(t.size)*(over-headStart) {
		return 0, errLate
	}
	n, err := t.Reader.Read(p)
	t.n += int64(n)
	return n, err
}

// memory is what long bodies have of it. It is safe for concurrent use.
type memory struct {
	all int64

	mu    sync.Mutex
	taken int64
	of    map[string]int64 // by access key, and by address
	freed chan struct{}    // closed when some is given back
}

func newMemory(all int64) *memory {
	return &memory{all: all, of: map[string]int64{}, freed: make(chan struct{})}
}

// take waits until there are n bytes for all of owners, which done gives back.
// Errors: errs.RateLimited after wait, the context's.
func (m *memory) take(ctx context.Context, owners [2]string, n int64, wait time.Duration) (done func(), err error) {
	late := time.NewTimer(wait)
	defer late.Stop()
	for {
		freed, ok := m.try(owners, n)
		if ok {
			return sync.OnceFunc(func() { m.give(owners, n) }), nil
		}
		select {
		case <-freed:
		case <-late.C:
			return nil, errs.New(errs.RateLimited, "Rate exceeded: too many long requests are being received at once; send fewer at a time, or try again later")
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// try takes n bytes, if they are there. One body alone always has room.
func (m *memory) try(owners [2]string, n int64) (freed <-chan struct{}, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ok = m.taken == 0 || m.taken+n <= m.all
	for _, o := range owners {
		ok = ok && (m.of[o] == 0 || m.of[o]+n <= m.all/2)
	}
	if !ok {
		return m.freed, false
	}
	m.taken += n
	for _, o := range owners {
		m.of[o] += n
	}
	return nil, true
}

func (m *memory) give(owners [2]string, n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.taken -= n
	for _, o := range owners {
		if m.of[o] -= n; m.of[o] == 0 {
			delete(m.of, o)
		}
	}
	close(m.freed)
	m.freed = make(chan struct{})
}
