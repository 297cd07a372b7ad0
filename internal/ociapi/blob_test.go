package ociapi_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/registry"
)

var (
	data   = bytes.Repeat([]byte("0123456789"), 10)
	dData  = digest.FromBytes(data)
	blobAt = "/v2/a/blobs/" + string(dData)
)

func TestBlobRanges(t *testing.T) {
	whole := []string{"[0,-1)"}
	tests := []struct {
		name          string
		rng, ifRange  string
		status        int
		body          string
		contentRange  string
		held, arrives []string // what is asked of the blob
	}{
		{"whole", "", "", 200, string(data), "", whole, whole},
		{"all by range", "bytes=0-", "", 206, string(data), "bytes 0-99/100", []string{"[0,100)"}, []string{"[0,100)"}},
		{"from", "bytes=95-", "", 206, "56789", "bytes 95-99/100", []string{"[95,100)"}, []string{"[95,100)"}},
		{"part", "bytes=3-5", "", 206, "345", "bytes 3-5/100", []string{"[3,6)"}, []string{"[3,6)"}},
		{"suffix", "bytes=-2", "", 206, "89", "bytes 98-99/100", []string{"[98,100)"}, []string{"[98,100)"}},
		{"beyond the end", "bytes=98-500", "", 206, "89", "bytes 98-99/100", []string{"[98,100)"}, []string{"[98,100)"}},
		{"past the end", "bytes=100-", "", 416, "", "bytes */100", nil, nil},
		{"malformed", "bytes=x", "", 200, string(data), "", whole, whole},
		{"other unit", "items=0-1", "", 200, string(data), "", whole, whole},
		{"same entity", "bytes=3-5", `"` + string(dData) + `"`, 206, "345", "bytes 3-5/100", []string{"[3,6)"}, []string{"[3,6)"}},
		{"other entity", "bytes=3-5", `"x"`, 200, string(data), "", whole, whole},
		{"since a date", "bytes=3-5", "Wed, 21 Oct 2015 07:28:00 GMT", 200, string(data), "", whole, whole},
	}
	for _, tt := range tests {
		for _, held := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, held %v", tt.name, held), func(t *testing.T) {
				b := &scriptedBlob{data: data, source: registry.Miss}
				asked := tt.arrives
				if held {
					b.content, asked = bytes.NewReader(data), tt.held
				}
				srv := start(t, &script{blob: b})
				h := http.Header{}
				if tt.rng != "" {
					h.Set("Range", tt.rng)
				}
				if tt.ifRange != "" {
					h.Set("If-Range", tt.ifRange)
				}
				resp, body, err := srv.do(t, "GET", blobAt, h)
				if err != nil {
					t.Fatal(err)
				}
				safe(t, resp)
				if resp.StatusCode != tt.status || tt.status != 416 && string(body) != tt.body {
					t.Errorf("%d %q; want %d %q", resp.StatusCode, body, tt.status, tt.body)
				}
				if got := resp.Header.Get("Content-Range"); got != tt.contentRange {
					t.Errorf("Content-Range %q, want %q", got, tt.contentRange)
				}
				if resp.ContentLength != int64(len(body)) {
					t.Errorf("Content-Length %d, want %d", resp.ContentLength, len(body))
				}
				if tt.status == 416 {
					if code, _ := errorOf(t, body); code != "RANGE_INVALID" {
						t.Errorf("code %s", code)
					}
				} else {
					checkBlobHeader(t, resp.Header)
				}
				if d := cmp.Diff(asked, b.asked); d != "" {
					t.Errorf("asked (-want +got):\n%s", d)
				}
				if b.closed != 1 || b.verified != 0 {
					t.Errorf("closed %d times, waited for the whole %d times", b.closed, b.verified)
				}
			})
		}
	}
}

func checkBlobHeader(t *testing.T, h http.Header) {
	t.Helper()
	for k, want := range map[string]string{
		"Content-Type":          "application/octet-stream",
		"Docker-Content-Digest": string(dData),
		"Etag":                  `"` + string(dData) + `"`,
		"Accept-Ranges":         "bytes",
		"X-Weir-Cache":          "miss",
	} {
		if got := h.Get(k); got != want {
			t.Errorf("%s is %q, want %q", k, got, want)
		}
	}
}

// TestSeveralRanges: a blob answers them in parts, held or arriving.
func TestSeveralRanges(t *testing.T) {
	for _, b := range []*scriptedBlob{{data: data, content: bytes.NewReader(data)}, {data: data}, {data: data, unknown: true}} {
		b.source = registry.Miss
		srv := start(t, &script{blob: b})
		resp, body, err := srv.do(t, "GET", blobAt, http.Header{"Range": {"bytes=0-1, 50-51, 200-, -3"}})
		if err != nil {
			t.Fatal(err)
		}
		safe(t, resp)
		kind, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
		if resp.StatusCode != 206 || kind != "multipart/byteranges" || err != nil || resp.ContentLength != int64(len(body)) {
			t.Fatalf("%d %s %v, length %d of %d", resp.StatusCode, kind, err, resp.ContentLength, len(body))
		}
		var got []string
		for parts := multipart.NewReader(bytes.NewReader(body), params["boundary"]); ; {
			p, err := parts.NextPart()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(p)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, p.Header.Get("Content-Type")+" "+p.Header.Get("Content-Range")+" "+string(text))
		}
		want := []string{
			"application/octet-stream bytes 0-1/100 01", "application/octet-stream bytes 50-51/100 01", "application/octet-stream bytes 97-99/100 789",
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("parts (-want +got):\n%s", d)
		}
		if d := cmp.Diff([]string{"[0,2)", "[50,52)", "[97,100)"}, b.asked); d != "" {
			t.Errorf("asked (-want +got):\n%s", d)
		}
	}
	b := &scriptedBlob{data: data, cut: 1, err: errCut}
	if resp, _, err := start(t, &script{blob: b}).do(t, "GET", blobAt, http.Header{"Range": {"bytes=0-1,50-51"}}); err == nil || resp.StatusCode != 206 {
		t.Errorf("cut: %v", err)
	}
}

// TestHeadIsGet: HEAD has the header that GET has, with and without a condition; a
// range is GET's alone. What a condition answers costs no download.
func TestHeadIsGet(t *testing.T) {
	tests := []struct {
		name   string
		header http.Header
		status int
		stat   bool // GET asks for no blob
	}{
		{"plain", nil, 200, false},
		{"not ours", http.Header{"If-None-Match": {`"x"`}}, 200, false},
		{"ours", http.Header{"If-None-Match": {`"` + string(dData) + `"`}}, 304, true},
		{"must be ours", http.Header{"If-Match": {`"x", "` + string(dData) + `"`}}, 200, false},
		{"must be there", http.Header{"If-Match": {"*"}}, 200, false},
		{"must be another", http.Header{"If-Match": {`"x"`}}, 412, true},
		{"weak is not strong", http.Header{"If-Match": {`W/"` + string(dData) + `"`}}, 412, true},
		{"another first", http.Header{"If-Match": {`"x"`}, "If-None-Match": {"*"}}, 412, true},
		{"dates", http.Header{"If-Modified-Since": {"Wed, 21 Oct 2065 07:28:00 GMT"}, "If-Unmodified-Since": {"Wed, 21 Oct 2015 07:28:00 GMT"}}, 200, false},
		{"condition and range", http.Header{"If-None-Match": {"*"}, "Range": {"bytes=1-2"}}, 304, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := start(t, &script{
				blob: &scriptedBlob{data: data, source: registry.Join},
				info: registry.BlobInfo{Size: int64(len(data)), Source: registry.Join},
			})
			var headers []http.Header
			for _, method := range []string{"GET", "HEAD"} {
				resp, body, err := srv.do(t, method, blobAt, tt.header)
				if err != nil {
					t.Fatal(err)
				}
				safe(t, resp)
				if resp.StatusCode != tt.status || tt.status != 200 && len(body) > 0 {
					t.Errorf("%s: %d with %d bytes", method, resp.StatusCode, len(body))
				}
				if resp.Header.Get("Docker-Content-Digest") != string(dData) || tt.status == 200 && resp.Header.Get("Content-Length") != "100" {
					t.Errorf("%s: header %v", method, resp.Header)
				}
				resp.Header.Del("Date")
				resp.Header.Del("X-Request-Id")
				headers = append(headers, resp.Header)
			}
			if d := cmp.Diff(headers[0], headers[1]); d != "" {
				t.Errorf("HEAD's header is not GET's (-GET +HEAD):\n%s", d)
			}
			if stat := strings.HasPrefix(srv.script.calls[0], "stat "); stat != tt.stat {
				t.Errorf("GET called %q", srv.script.calls[0])
			}
		})
	}
}

func TestUnknownLength(t *testing.T) {
	tests := []struct {
		name, rng    string
		status       int
		body         string
		contentRange string
		verified     int // how often the whole blob is waited for
	}{
		{"whole", "", 200, string(data), "", 0},
		{"all by range", "bytes=0-", 200, string(data), "", 0},
		{"part", "bytes=3-5", 206, "345", "bytes 3-5/100", 1},
		{"suffix", "bytes=-2", 206, "89", "bytes 98-99/100", 1},
		{"past the end", "bytes=100-", 416, "", "bytes */100", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &scriptedBlob{data: data, unknown: true, source: registry.Miss}
			h := http.Header{}
			if tt.rng != "" {
				h.Set("Range", tt.rng)
			}
			resp, body, err := start(t, &script{blob: b}).do(t, "GET", blobAt, h)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tt.status || tt.status != 416 && string(body) != tt.body || resp.Header.Get("Content-Range") != tt.contentRange {
				t.Errorf("%d %q %s", resp.StatusCode, body, resp.Header.Get("Content-Range"))
			}
			if chunked := resp.ContentLength < 0; chunked != (tt.status == 200) {
				t.Errorf("Content-Length %d", resp.ContentLength)
			}
			if b.verified != tt.verified {
				t.Errorf("waited for the whole blob %d times, want %d", b.verified, tt.verified)
			}
		})
	}
}

// raw sends a request as text and returns everything that comes back.
func raw(t *testing.T, srv *server, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	token := strings.TrimPrefix(basic(srv.id, srv.secret).Get("Authorization"), "Basic ")
	fmt.Fprintf(c, "%sHost: x\r\nAuthorization: Basic %s\r\n\r\n", text, token)
	all, _ := io.ReadAll(bufio.NewReader(c)) // a reset is what some answers end with
	return string(all)
}

// TestHTTP10: a client that takes the end of the connection for the end of the
// blob is given a length, or an error, never a truncated 200.
func TestHTTP10(t *testing.T) {
	b := &scriptedBlob{data: data, unknown: true}
	got := raw(t, start(t, &script{blob: b}), "GET "+blobAt+" HTTP/1.0\r\n")
	if !strings.HasPrefix(got, "HTTP/1.0 200") || !strings.Contains(got, "Content-Length: 100\r\n") || !strings.HasSuffix(got, string(data)) {
		t.Errorf("answer:\n%s", got)
	}
	if b.verified != 1 {
		t.Errorf("waited for the whole blob %d times", b.verified)
	}
	b = &scriptedBlob{data: data, unknown: true, err: errCut}
	got = raw(t, start(t, &script{blob: b}), "GET "+blobAt+" HTTP/1.0\r\n")
	if !strings.HasPrefix(got, "HTTP/1.0 502") || b.closed != 1 {
		t.Errorf("closed %d times; answer:\n%s", b.closed, got)
	}
}

// TestCut: an answer that fails after its first byte looks broken to everybody.
func TestCut(t *testing.T) {
	tests := []struct {
		name    string
		unknown bool
		rng     string
		status  int
	}{
		{"known length", false, "", 200},
		{"unknown length", true, "", 200},
		{"range", false, "bytes=10-89", 206},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &scriptedBlob{data: data, unknown: tt.unknown, cut: 20, err: errCut}
			srv := start(t, &script{blob: b})
			h := http.Header{}
			if tt.rng != "" {
				h.Set("Range", tt.rng)
			}
			resp, body, err := srv.do(t, "GET", blobAt, h)
			if err == nil || resp == nil || resp.StatusCode != tt.status || len(body) > 20 {
				t.Errorf("%d bytes, error %v", len(body), err)
			}
			if log := srv.logged(); !strings.Contains(log, "aborted=true") || !strings.Contains(log, `error="up.example broke off"`) || !strings.Contains(log, "code=UpstreamFailed") {
				t.Errorf("log: %s", log)
			}
			if b.closed != 1 {
				t.Errorf("closed %d times", b.closed)
			}
		})
	}
}

func TestStatBlob(t *testing.T) {
	tests := []struct {
		name   string
		info   registry.BlobInfo
		err    error
		status int
		length string
	}{
		{"held", registry.BlobInfo{Size: 100, Source: registry.Miss}, nil, 200, "100"},
		{"empty", registry.BlobInfo{Size: 0, Source: registry.Miss}, nil, 200, "0"},
		{"unknown length", registry.BlobInfo{Size: -1, Source: registry.Miss}, nil, 200, ""},
		{"away", registry.BlobInfo{}, errs.New(errs.UpstreamUnreachable, "up.example: refused"), 502, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := start(t, &script{info: tt.info, err: tt.err})
			resp, _, err := srv.do(t, "HEAD", blobAt, http.Header{"Range": {"bytes=0-1"}})
			if err != nil {
				t.Fatal(err)
			}
			safe(t, resp)
			if resp.StatusCode != tt.status {
				t.Errorf("status %d, want %d", resp.StatusCode, tt.status)
			}
			if tt.err == nil {
				checkBlobHeader(t, resp.Header)
				if got := resp.Header.Get("Content-Length"); got != tt.length {
					t.Errorf("Content-Length %q, want %q", got, tt.length)
				}
			}
			if d := cmp.Diff([]string{"stat a " + string(dData) + " by root"}, srv.script.calls); d != "" {
				t.Errorf("calls (-want +got):\n%s", d)
			}
		})
	}
}
