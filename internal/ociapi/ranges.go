package ociapi

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/weir-registry/weir/internal/errs"
)

// maxSpans is how many ranges are served at once; who asks for more gets the whole.
const maxSpans = 256

// span is the bytes [start, end) of a blob.
type span struct{ start, end int64 }

// of is the span as a Content-Range of content of a size.
func (s span) of(size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", s.start, s.end-1, size)
}

// wanted returns the ranges that a request wants of a blob, none where it wants,
// or is to be given, the whole. Errors: errs.RangeInvalid if the blob has none of
// them.
func wanted(r *http.Request, etag string, size int64) ([]span, error) {
	if v := r.Header.Get("If-Range"); v != "" && v != etag {
		return nil, nil
	}
	return ranges(r.Header.Get("Range"), size)
}

// wholeRange says whether a Range header may be answered by the whole blob.
func wholeRange(header string) bool {
	switch strings.ToLower(strings.ReplaceAll(header, " ", "")) {
	case "", "bytes=0-":
		return true
	}
	return false
}

// ranges reads a Range header (RFC 9110, section 14.2) for content of a size. A
// header that is malformed or of another unit is ignored, as the RFC has it, and
// so are ranges that together are more than the content, which nobody needs, and
// more than maxSpans.
// Errors: errs.RangeInvalid if the content has none of the ranges.
func ranges(header string, size int64) ([]span, error) {
	unit, list, _ := strings.Cut(header, "=")
	if !strings.EqualFold(unit, "bytes") || size == 0 { // clients that always ask for a range may have an empty blob
		return nil, nil
	}
	var spans []span
	asked, left := 0, size
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.Trim(part, " \t"); part == "" {
			continue
		}
		s, ok := parseSpan(part, size)
		if !ok {
			return nil, nil
		}
		asked++
		if s.start < s.end {
			spans = append(spans, s)
		}
		if left -= s.end - s.start; left < 0 || asked > maxSpans {
			return nil, nil
		}
	}
	if asked > 0 && len(spans) == 0 {
		return nil, errs.New(errs.RangeInvalid, "the blob has %d bytes: it has none of the range %q", size, clip(header))
	}
	return spans, nil
}

// parseSpan reads first-last, first- or -suffix. A span that begins at or behind
// size, or ends before it begins, which the RFC leaves to the server, comes back empty.
func parseSpan(s string, size int64) (span, bool) {
	first, last, ok := strings.Cut(s, "-")
	if !ok {
		return span{}, false
	}
	if first == "" {
		n, ok := number(last)
		return span{max(0, size-n), size}, ok
	}
	start, ok := number(first)
	if !ok {
		return span{}, false
	}
	end := int64(math.MaxInt64)
	if last != "" {
		if end, ok = number(last); !ok {
			return span{}, false
		}
	}
	if start >= size || end < start {
		return span{}, true
	}
	return span{start, min(end, size-1) + 1}, true
}

// number reads digits; more than fit are as many as there can be.
func number(s string) (int64, bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		n = math.MaxInt64
	}
	return n, s != ""
}

// clip keeps what a stranger sent short enough for a message.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
