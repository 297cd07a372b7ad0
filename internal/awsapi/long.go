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
	Memory int64         // bytes that all bodies together may have, half of them of one access key; 0: 128 MiB
	Wait   time.Duration // how long one waits for its turn, before ThrottlingException; 0: 20 s
	Arrive time.Duration // how long one may take to come, once it is its turn; 0: 5 min
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
	if done, err = f.memory.take(r.Context(), claim.keyID, n, f.long.Wait); err != nil {
		// Who is still sending reads no answer.
		_, _ = io.Copy(io.Discard, &timely{w.Body(), time.Now().Add(f.long.Wait)})
		return nil, nil, err
	}
	in := &timely{w.Body(), time.Now().Add(f.long.Arrive)}
	body = make([]byte, n)
	if _, err = io.ReadFull(in, body); err != nil {
		done()
		return nil, nil, errs.Wrap(errs.ParamInvalid, err, "the request's body did not arrive whole, or took longer than %s", f.long.Arrive)
	}
	return body, done, nil
}

// timely is a body that has to come by a time.
type timely struct {
	io.Reader
	until time.Time
}

var errLate = errors.New("the time for the body is over")

func (t *timely) Read(p []byte) (int, error) {
	if !time.Now().Before(t.until) {
		return 0, errLate
	}
	return t.Reader.Read(p)
}

// memory is what long bodies have of it. It is safe for concurrent use.
type memory struct {
	all int64

	mu    sync.Mutex
	taken int64
	of    map[string]int64 // by access key
	freed chan struct{}    // closed when some is given back
}

func newMemory(all int64) *memory {
	return &memory{all: all, of: map[string]int64{}, freed: make(chan struct{})}
}

// take waits until there are n bytes for an access key, which done gives back.
// Errors: errs.RateLimited after wait, the context's.
func (m *memory) take(ctx context.Context, key string, n int64, wait time.Duration) (done func(), err error) {
	late := time.NewTimer(wait)
	defer late.Stop()
	for {
		freed, ok := m.try(key, n)
		if ok {
			return sync.OnceFunc(func() { m.give(key, n) }), nil
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
func (m *memory) try(key string, n int64) (freed <-chan struct{}, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fits := m.taken == 0 || m.taken+n <= m.all
	if fair := m.of[key] == 0 || m.of[key]+n <= m.all/2; !fits || !fair {
		return m.freed, false
	}
	m.taken += n
	m.of[key] += n
	return nil, true
}

func (m *memory) give(key string, n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.taken -= n
	if m.of[key] -= n; m.of[key] == 0 {
		delete(m.of, key)
	}
	close(m.freed)
	m.freed = make(chan struct{})
}
