package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
)

const (
	pushPatience    = 15 // times the usual wait for an answer's header
	continueTimeout = 2 * time.Second
	continueFrom    = 1 << 20 // bytes of a body that are not sent before the other end wants them
)

// Pusher is the pushing half of a Registry: endpoints 2 to 7 and 11 of the distribution
// specification. It resends what a fresh token is needed for, and asks for the right to
// pull and push in the repository that is pushed to, and to pull from one that a blob may
// be mounted from; or, where the other end wants another, for what that says: whoever is
// pushed to is trusted with the credential, which a Basic login would give away. The
// errors are those of a Registry, with RepoUnknown where the other end says 404 to a push.
// It is safe for use by many goroutines.
type Pusher struct {
	r      *Registry
	header http.Header
	chunk  int64
	stall  time.Duration
}

// PushOptions of a Pusher. The zero value works.
type PushOptions struct {
	Header http.Header   // of every request, beside the usual
	Chunk  int64         // a blob that is longer is sent in parts of so many bytes; 0: 64 MiB
	Stall  time.Duration // how long the other end may take no byte of a body; 0: 1 min
}

// Pusher returns a pusher to the registry.
func (r *Registry) Pusher(o PushOptions) *Pusher {
	if o.Chunk == 0 {
		o.Chunk = 64 << 20
	}
	if o.Stall == 0 {
		o.Stall = time.Minute
	}
	return &Pusher{r, o.Header, o.Chunk, o.Stall}
}

func (p *Pusher) asked(method, repo, path, what string) *asked {
	q := &asked{method: method, repo: repo, path: path, push: true, what: what, missing: errs.RepoUnknown, header: p.r.header("*/*")}
	maps.Copy(q.header, p.header)
	return q
}

// at is the URL of the question's path at an endpoint.
func (q *asked) at(e *endpoint) *url.URL {
	u := *e.url
	u.Path += "/v2/" + q.path
	u.RawQuery = q.query
	return &u
}

// tell sends a question, whose answer has one of the statuses. status is that of an
// answer that has another; 0: there was none. The caller closes the body.
func (p *Pusher) tell(ctx context.Context, e *endpoint, u *url.URL, q *asked, want ...int) (res *http.Response, status int, err error) {
	res, err = p.r.follow(ctx, e, u, q, func(u *url.URL) (*http.Response, error) {
		return p.r.authorized(ctx, e, u, q)
	})
	if err != nil {
		return nil, 0, err
	}
	if slices.Contains(want, res.StatusCode) {
		return res, res.StatusCode, nil
	}
	return nil, res.StatusCode, p.r.status(q, res)
}

// HasBlob says whether a repository has a blob of a size: not where it is not told. Some
// registries answer HEAD to nobody; who may not push is told when pushing. An answer
// counts that has the blob's digest, or, as those of stores that registries lead to do
// not, its size: pages for people come with status 200, too.
func (p *Pusher) HasBlob(ctx context.Context, repo string, d digest.Digest, size int64) (has bool, err error) {
	q := p.asked(http.MethodHead, repo, repo+"/blobs/"+d.String(), "blob "+repo+"@"+d.String())
	err = p.r.inOrder(ctx, func(e *endpoint) error {
		res, status, err := p.tell(ctx, e, q.at(e), q, http.StatusOK)
		if untold(status, err) {
			return nil
		}
		if err != nil {
			return err
		}
		discard(res)
		has = says(res, d) || res.Header.Get(digestHeader) == "" && res.ContentLength == size && !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html")
		return nil
	})
	return has, err
}

// says whether an answer names a digest.
func says(res *http.Response, d digest.Digest) bool {
	return res.Header.Get(digestHeader) == d.String()
}

// Head returns what a repository has under a reference, "" if it has nothing there, or
// does not tell.
func (p *Pusher) Head(ctx context.Context, repo string, ref oci.Reference) (d digest.Digest, err error) {
	q := p.asked(http.MethodHead, repo, repo+"/manifests/"+ref.String(), "manifest "+repo+" "+ref.String())
	q.header.Set("Accept", strings.Join(oci.Accept, ", "))
	err = p.r.inOrder(ctx, func(e *endpoint) error {
		res, status, err := p.tell(ctx, e, q.at(e), q, http.StatusOK)
		if untold(status, err) {
			return nil
		}
		if err != nil {
			return err
		}
		discard(res)
		d, err = p.r.contentDigest(q, res)
		return err
	})
	return d, err
}

// untold says whether an answer to HEAD leaves to a push what there is.
func untold(status int, err error) bool {
	code := errs.CodeOf(err)
	return status == http.StatusNotFound || code == errs.Unsupported || code == errs.UpstreamDenied
}

// stored returns an error for an answer to the end of a push that does not say that it
// is stored: 201 does, and so do 204, which is no page for people, and others that name
// the digest.
func (p *Pusher) stored(q *asked, res *http.Response, d digest.Digest) error {
	if res.StatusCode == http.StatusCreated || res.StatusCode == http.StatusNoContent || says(res, d) {
		return nil
	}
	return p.r.fail(q, res.Request.URL.Host, errs.UpstreamFailed, nil, "%d %s, without a word that it was stored", res.StatusCode, http.StatusText(res.StatusCode))
}

// PutManifest pushes a manifest under a tag or its own digest.
func (p *Pusher) PutManifest(ctx context.Context, repo string, ref oci.Reference, m *oci.Manifest) error {
	q := p.asked(http.MethodPut, repo, repo+"/manifests/"+ref.String(), "push of manifest "+repo+" "+ref.String())
	q.header.Set("Content-Type", m.MediaType)
	q.length = int64(len(m.Raw))
	q.body = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(m.Raw)), nil }
	return p.r.inOrder(ctx, func(e *endpoint) error {
		asked := *q // whose body is another's of the next endpoint
		res, _, err := p.send(ctx, e, q.at(e), &asked, new(atomic.Int64), http.StatusCreated, http.StatusOK, http.StatusAccepted)
		if err != nil {
			return err
		}
		if err := p.stored(q, res, m.Digest); err != nil {
			return err
		}
		d, err := p.r.contentDigest(q, res)
		if err == nil && d != "" && d.Algorithm() == m.Digest.Algorithm() && d != m.Digest {
			err = p.r.fail(q, "", errs.UpstreamFailed, nil, "stored something else than it was sent: %s", d)
		}
		return err
	})
}

// BlobPush is a blob that is to be pushed.
type BlobPush struct {
	Digest digest.Digest
	Size   int64
	// Open opens n bytes of it from offset. It may be called again.
	Open func(offset, n int64) (io.ReadCloser, error)
	// From is another repository there that may have it already; "": none is known.
	From string
}

// PushBlob brings a blob to a repository, and returns how many of its bytes were sent:
// none where it was mounted from another repository. A long one goes in parts, each of
// which is resumed where it broke off; where the other end does not take parts, or not
// as much at once, it goes whole, or in smaller parts. What is left of an upload that
// fails is cancelled, if the other end can be reached.
func (p *Pusher) PushBlob(ctx context.Context, repo string, b BlobPush) (sent int64, err error) {
	err = p.r.inOrder(ctx, func(e *endpoint) error {
		u := &push{p: p, e: e, repo: repo, BlobPush: b}
		defer func() { sent += u.sent.Load() }()
		return u.run(ctx)
	})
	return sent, err
}

// push is an upload to one endpoint.
type push struct {
	BlobPush
	p    *Pusher
	e    *endpoint
	repo string
	at   *url.URL     // where it goes on; nil: it has not begun
	sent atomic.Int64 // bytes of bodies that were read
}

// smallest is the least that parts are cut to where the other end refuses long bodies.
const smallest = 4 << 20

// run does all that there is to do.
func (u *push) run(ctx context.Context) error {
	from := u.From
	if from != "" {
		done, err := u.start(ctx, from)
		if err == nil && done || err != nil && errs.CodeOf(err) != errs.UpstreamDenied && errs.CodeOf(err) != errs.UpstreamFailed && errs.CodeOf(err) != errs.RepoUnknown {
			return err
		}
	}
	whole, switched := u.Size <= u.p.chunk, false // once: it may refuse the one for the other and back
	for chunk := u.p.chunk; ; {
		if u.at == nil {
			if _, err := u.start(ctx, ""); err != nil {
				return err
			}
		}
		var status int
		var err error
		if whole {
			status, err = u.whole(ctx)
		} else {
			status, err = u.parts(ctx, chunk)
		}
		if err == nil {
			return nil
		}
		u.cancel(ctx)
		switch {
		case status == http.StatusRequestEntityTooLarge && whole && !switched && u.Size > smallest:
			whole, switched = false, true
			chunk = min(chunk, max(u.Size/2, smallest))
		case status == http.StatusRequestEntityTooLarge && !whole && chunk > smallest:
			chunk = max(chunk/4, smallest)
		case !whole && !switched && u.sent.Load() <= chunk && slices.Contains([]int{http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusRequestedRangeNotSatisfiable, http.StatusNotImplemented}, status):
			whole, switched = true, true // it takes no parts
		default:
			return err
		}
	}
}

func (u *push) what() string { return "push of blob " + u.repo + "@" + u.Digest.String() }

// start begins the upload, and says whether the other end has mounted the blob instead.
func (u *push) start(ctx context.Context, from string) (mounted bool, err error) {
	q := u.p.asked(http.MethodPost, u.repo, u.repo+"/blobs/uploads/", u.what())
	want := []int{http.StatusAccepted}
	if from != "" {
		q.from = from
		q.query = url.Values{"mount": {u.Digest.String()}, "from": {from}}.Encode()
		want = append(want, http.StatusCreated)
	}
	q.body, q.length = nothing, 0
	res, _, err := u.p.tell(ctx, u.e, q.at(u.e), q, want...)
	if err != nil {
		return false, err
	}
	discard(res)
	if res.StatusCode == http.StatusCreated {
		return true, nil
	}
	return false, u.follow(q, res, true)
}

// nothing is an empty body: some want to be told its length.
func nothing() (io.ReadCloser, error) { return http.NoBody, nil }

// follow takes in where the upload goes on.
func (u *push) follow(q *asked, res *http.Response, must bool) error {
	location := res.Header.Get("Location")
	if location == "" && !must {
		return nil
	}
	next, err := res.Request.URL.Parse(location)
	if location == "" || err != nil { // whose text would have the URL
		return u.p.r.fail(q, res.Request.URL.Host, errs.UpstreamFailed, nil, "took the upload without saying where it goes on")
	}
	next.Fragment = ""
	home := u.e.url
	if next.Scheme == "http" && home.Scheme == "https" && strings.EqualFold(next.Hostname(), home.Hostname()) {
		next.Scheme, next.Host = home.Scheme, home.Host // it forgot the TLS in front of it
	}
	u.at = next
	return nil
}

// ask makes a question to where the upload goes on.
func (u *push) ask(method string) *asked {
	q := u.p.asked(method, u.repo, "", u.what())
	q.header.Set("Content-Type", "application/octet-stream")
	return q
}

// end is where the upload is closed.
func (u *push) end() *url.URL {
	end := *u.at
	query := end.Query()
	query.Set("digest", u.Digest.String())
	end.RawQuery = query.Encode()
	return &end
}

// whole sends all of the blob at once.
func (u *push) whole(ctx context.Context) (status int, err error) {
	q := u.ask(http.MethodPut)
	res, status, err := u.body(ctx, u.end(), q, 0, u.Size, http.StatusCreated, http.StatusOK, http.StatusNoContent)
	if err == nil {
		err = u.p.stored(q, res, u.Digest)
	}
	return status, err
}

// parts sends the blob in parts, and closes the upload.
func (u *push) parts(ctx context.Context, chunk int64) (status int, err error) {
	const tries = 3 // without a byte of progress
	var furthest int64
	for offset, failed := int64(0), 0; offset < u.Size; {
		n := min(chunk, u.Size-offset)
		q := u.ask(http.MethodPatch)
		q.header.Set("Content-Range", contentRange(offset, n))
		_, status, err = u.body(ctx, u.at, q, offset, n, http.StatusAccepted, http.StatusOK, http.StatusNoContent, http.StatusCreated)
		if err == nil {
			if offset += n; offset > furthest {
				furthest, failed = offset, 0
			}
			continue
		}
		code := errs.CodeOf(err)
		if failed++; ctx.Err() != nil || failed == tries || code != errs.UpstreamUnreachable && code != errs.UpstreamTimeout {
			return status, err
		}
		has, lost := u.state(ctx)
		if lost != nil || has > u.Size {
			return status, err
		}
		if offset = has; offset > furthest {
			furthest, failed = offset, 0
		}
	}
	q := u.ask(http.MethodPut)
	q.body = nothing
	res, status, err := u.p.tell(ctx, u.e, u.end(), q, http.StatusCreated, http.StatusOK, http.StatusNoContent)
	if err == nil {
		discard(res)
		err = u.p.stored(q, res, u.Digest)
	}
	return status, err
}

// state asks how many bytes of the upload the other end has.
func (u *push) state(ctx context.Context) (int64, error) {
	q := u.ask(http.MethodGet)
	res, _, err := u.p.tell(ctx, u.e, u.at, q, http.StatusNoContent, http.StatusOK)
	if err != nil {
		return 0, err
	}
	discard(res)
	n, ok := uploadSize(res.Header.Get("Range"))
	if !ok {
		return 0, u.p.r.fail(q, "", errs.UpstreamFailed, nil, "does not say how far the upload is")
	}
	return n, u.follow(q, res, false)
}

// cancel has the other end forget the upload, if it can be told so soon.
func (u *push) cancel(ctx context.Context) {
	at := u.at
	u.at = nil
	if at == nil {
		return
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	if res, _, err := u.p.tell(ctx, u.e, at, u.ask(http.MethodDelete), http.StatusNoContent, http.StatusOK, http.StatusAccepted); err == nil {
		discard(res)
	}
}

// errStalled is the cause of the end of a body that the other end does not take.
var errStalled = errors.New("the other end takes no more bytes")

// body sends n bytes of the blob from offset.
func (u *push) body(ctx context.Context, to *url.URL, q *asked, offset, n int64, want ...int) (res *http.Response, status int, err error) {
	q.length, q.body = n, nothing
	if n >= continueFrom {
		q.header.Set("Expect", "100-continue")
	}
	if n > 0 {
		q.body = func() (io.ReadCloser, error) { return u.Open(offset, n) }
	}
	if res, status, err = u.p.send(ctx, u.e, to, q, &u.sent, want...); err != nil {
		return nil, status, err
	}
	return res, status, u.follow(q, res, false)
}

// send sends a question with a body, for as long as the other end takes bytes of it, and
// counts them. The answer's own body is gone.
func (p *Pusher) send(ctx context.Context, e *endpoint, to *url.URL, q *asked, sent *atomic.Int64, want ...int) (res *http.Response, status int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// The transport waits for an answer only from when it has written everything.
	last := p.stall + pushPatience*p.r.c.opts.HeaderTimeout
	watch := time.AfterFunc(last, func() { cancel(errStalled) })
	defer watch.Stop()
	if open := q.body; q.length > 0 {
		watch.Reset(p.stall)
		q.body = func() (io.ReadCloser, error) {
			r, err := open()
			if err != nil {
				return nil, err
			}
			return &watched{r, sent, watch, p.stall, last, q.length}, nil
		}
	}
	res, status, err = p.tell(ctx, e, to, q, want...)
	if err != nil && context.Cause(ctx) == errStalled {
		return nil, 0, p.r.fail(q, "", errs.UpstreamTimeout, nil, "takes no byte within %s", p.stall)
	}
	if err != nil {
		return nil, status, err
	}
	discard(res)
	return res, status, nil
}

// watched is a body whose bytes are counted and waited for.
type watched struct {
	io.ReadCloser
	sent        *atomic.Int64
	watch       *time.Timer
	stall, last time.Duration // until the next bytes are wanted, and for all after the last
	left        int64
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.ReadCloser.Read(b)
	w.sent.Add(int64(n))
	if w.left -= int64(n); w.left > 0 && err == nil {
		w.watch.Reset(w.stall)
	} else {
		w.watch.Reset(w.last)
	}
	return n, err
}

// contentRange is a part as the distribution specification writes it.
func contentRange(offset, n int64) string {
	return strconv.FormatInt(offset, 10) + "-" + strconv.FormatInt(offset+n-1, 10)
}

// uploadSize reads the Range of an upload, which begins with its first byte. That of an
// empty one is written as if it had one byte, or less than none.
func uploadSize(s string) (n int64, ok bool) {
	first, last, ok := strings.Cut(strings.TrimPrefix(s, "bytes="), "-")
	end, err := strconv.ParseInt(last, 10, 64)
	switch {
	case !ok || first != "0" || err != nil || end < -1 || end == math.MaxInt64:
		return 0, false
	case end <= 0:
		return 0, true
	}
	return end + 1, true
}
