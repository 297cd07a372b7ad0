package upstream

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
)

// Blob opens n bytes of a blob from offset; n < 0: all that follow. It asks for a range
// only if offset > 0 or n >= 0; n = 0 is no range.
//
// The body begins at byte start of the blob: at offset, or at 0 where the upstream
// ignores ranges and sends all. total is the size of the whole blob, -1 if the upstream
// does not say. The body has no deadline but ctx, and may end early
// (io.ErrUnexpectedEOF) or, where total is -1, never; the caller verifies and closes it.
//
// A range that the blob does not have is errs.RangeInvalid, a compressed body
// errs.UpstreamFailed; for the other errors see Registry.
func (r *Registry) Blob(ctx context.Context, repo string, d digest.Digest, offset, n int64) (body io.ReadCloser, start, total int64, err error) {
	q := &asked{
		method: http.MethodGet, repo: repo,
		path:    repo + "/blobs/" + d.String(),
		header:  r.header("*/*"),
		blob:    true,
		what:    "blob " + repo + "@" + d.String(),
		missing: errs.BlobUnknown,
	}
	last := int64(-1)
	switch {
	case offset < 0 || n == 0:
		return nil, 0, 0, r.fail(q, "", errs.RangeInvalid, nil, "no range: %d bytes from %d", n, offset)
	case n > 0:
		last = offset + n - 1
		q.header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, last))
	case offset > 0:
		q.header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	res, err := r.ask(ctx, q)
	if err != nil {
		return nil, 0, 0, err
	}
	if res.StatusCode == http.StatusOK {
		return res.Body, 0, res.ContentLength, nil
	}
	total, err = checkRange(res, offset, last)
	if err != nil {
		res.Body.Close()
		return nil, 0, 0, r.fail(q, res.Request.URL.Host, errs.UpstreamFailed, err, "answered another range than the one from byte %d", offset)
	}
	return res.Body, offset, total, nil
}

// checkRange reads the Content-Range of a 206, which must begin at first, end nowhere
// behind last (-1: anywhere) and agree with its length. It returns the total, -1 for *.
func checkRange(res *http.Response, first, last int64) (total int64, err error) {
	said := res.Header.Get("Content-Range")
	wrong := fmt.Errorf("Content-Range %q", clip(said))
	span, size, ok1 := strings.Cut(strings.TrimPrefix(said, "bytes "), "/")
	from, to, ok2 := strings.Cut(span, "-")
	a, err1 := strconv.ParseInt(from, 10, 64)
	b, err2 := strconv.ParseInt(to, 10, 64)
	if !ok1 || !ok2 || err1 != nil || err2 != nil || a != first || b < a || last >= 0 && b > last {
		return 0, wrong
	}
	total = -1
	if size != "*" {
		if total, err = strconv.ParseInt(size, 10, 64); err != nil || b >= total {
			return 0, wrong
		}
	}
	if res.ContentLength >= 0 && res.ContentLength != b-a+1 {
		return 0, fmt.Errorf("%w with Content-Length %d", wrong, res.ContentLength)
	}
	return total, nil
}
