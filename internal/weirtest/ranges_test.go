package weirtest_test

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
	"github.com/weir-registry/weir/internal/weirtest"
)

// TestRangesOfAColdBlob: while the upstream's answer to the first client stalls,
// others get the blob's end, several ranges at once, and what a parallel pull asks
// for, right and at once; then the first goes on, and no part was asked for twice.
func TestRangesOfAColdBlob(t *testing.T) {
	const mib, size = 1 << 20, 24<<20 + 7
	up := upstreamtest.New(upstreamtest.Options{})
	site := up.Listen(t)
	img := upstreamtest.NewImage(1, size)
	up.Push("app", "v1", img)
	var path string
	var data []byte
	for d, b := range img.Blobs() {
		if len(b) == size {
			path, data = "/v2/up/app/blobs/"+string(d), b
		}
	}
	_, name, _ := strings.Cut(path, "/blobs/")
	up.Script(upstreamtest.Fault{Path: name, Times: 1, Stall: true, At: mib})
	s := weirtest.Start(t, weirtest.Settings(site, "prefetch: off", ""))
	get := func(ranges string) *http.Response {
		t.Helper()
		h := http.Header{}
		if ranges != "" {
			h.Set("Range", ranges)
		}
		resp := s.Do("GET", path, h)
		if want := map[bool]int{true: 200, false: 206}[ranges == ""]; resp.StatusCode != want || resp.ContentLength < 0 {
			t.Fatalf("%s: %s, length %d", ranges, resp.Status, resp.ContentLength)
		}
		return resp
	}
	read := func(resp *http.Response, n int) []byte {
		t.Helper()
		defer resp.Body.Close()
		b := make([]byte, n)
		if _, err := io.ReadFull(resp.Body, b); err != nil {
			t.Errorf("%s: %v", resp.Header.Get("Content-Range"), err)
		}
		return b
	}
	s.Do("GET", "/v2/up/app/manifests/v1", nil).Body.Close()

	first := get("")
	if got := read(get("bytes=-51"), 51); !bytes.Equal(got, data[size-51:]) {
		t.Error("wrong footer")
	}
	if got := read(get(fmt.Sprintf("bytes=%d-", 8*mib)), 8*mib); !bytes.Equal(got, data[8*mib:16*mib]) {
		t.Error("wrong second part")
	}
	several := get(fmt.Sprintf("bytes=%d-%d,-10", 20*mib, 20*mib+9))
	_, params, err := mime.ParseMediaType(several.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(bytes.NewReader(read(several, int(several.ContentLength))), params["boundary"])
	for _, want := range [][]byte{data[20*mib : 20*mib+10], data[size-10:]} {
		p, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(p); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", p.Header.Get("Content-Range"), len(got), err)
		}
	}

	up.Release()
	if got := read(first, size); !bytes.Equal(got, data) {
		t.Error("wrong bytes for the first client")
	}
	var asked []string
	sent := int64(0)
	for _, q := range up.Log() {
		if strings.Contains(q.Path, name) {
			asked = append(asked, q.Range)
			sent += q.Bytes
		}
	}
	slices.Sort(asked)
	if len(slices.Compact(slices.Clone(asked))) != len(asked) || !slices.Contains(asked, fmt.Sprintf("bytes=%d-%d", size-51, size-1)) {
		t.Errorf("ranges that were asked for: %q", asked)
	}
	// What was on its way when the first answer was left is lost.
	if sent > size+12*mib {
		t.Errorf("the upstream sent %d bytes of %d", sent, size)
	}
	t.Logf("%d bytes of %d in %q", sent, size, asked)
}
