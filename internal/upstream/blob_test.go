package upstream_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/upstream"
	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
)

func TestBlob(t *testing.T) {
	for _, test := range []struct {
		name         string
		offset, n    int64
		fault        upstreamtest.Fault
		asked        string // Range
		start, total int64
		bytes        int64
	}{
		{name: "whole", n: -1, total: 100_000, bytes: 100_000},
		{name: "rest", offset: 1, n: -1, asked: "bytes=1-", start: 1, total: 100_000, bytes: 99_999},
		{name: "last byte", offset: 99_999, n: -1, asked: "bytes=99999-", start: 99_999, total: 100_000, bytes: 1},
		{name: "proof", n: 1, asked: "bytes=0-0", total: 100_000, bytes: 1},
		{name: "middle", offset: 10, n: 20, asked: "bytes=10-29", start: 10, total: 100_000, bytes: 20},
		{name: "beyond the end", offset: 99_990, n: 20, asked: "bytes=99990-100009", start: 99_990, total: 100_000, bytes: 10},
		{name: "no length", n: -1, fault: upstreamtest.Fault{NoLength: true}, total: -1, bytes: 100_000},
		{name: "range ignored", offset: 10, n: -1, fault: upstreamtest.Fault{IgnoreRange: true}, asked: "bytes=10-", total: 100_000, bytes: 100_000},
		{name: "range ignored, no length", offset: 10, n: 5, fault: upstreamtest.Fault{IgnoreRange: true, NoLength: true}, asked: "bytes=10-14", total: -1, bytes: 100_000},
		{name: "range without length", offset: 10, n: -1, fault: upstreamtest.Fault{NoLength: true}, asked: "bytes=10-", start: 10, total: 100_000, bytes: 99_990},
		{name: "another total", offset: 10, n: -1, fault: upstreamtest.Fault{Total: 200_000}, asked: "bytes=10-", start: 10, total: 200_000, bytes: 99_990},
		{
			name: "unknown total", offset: 10, n: -1, asked: "bytes=10-", start: 10, total: -1, bytes: 99_990,
			fault: upstreamtest.Fault{Header: http.Header{"Content-Range": {"bytes 10-99999/*"}}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
				w.reg.Script(test.fault)
				w.connect(t, upstream.Host{}, nil)
				d, layer := w.layer(0)
				b, start, total, err := w.read(t.Context(), d, test.offset, test.n)
				if err != nil {
					t.Fatal(err)
				}
				if start != test.start || total != test.total || string(b) != string(layer[start:start+test.bytes]) {
					t.Errorf("%d bytes from %d of %d", len(b), start, total)
				}
				if got := w.reg.Log()[0].Range; got != test.asked {
					t.Errorf("asked for %q, want %q", got, test.asked)
				}
			})
		})
	}
}

func TestBadRanges(t *testing.T) {
	says := func(s string) upstreamtest.Fault {
		return upstreamtest.Fault{Status: 206, Header: http.Header{"Content-Range": {s}}, Body: "0123456789"}
	}
	for _, test := range []struct {
		name      string
		offset, n int64
		fault     upstreamtest.Fault
		code      errs.Code
	}{
		{"behind the end", 100_000, -1, upstreamtest.Fault{}, errs.RangeInvalid},
		{"another start", 10, -1, says("bytes 11-20/100000"), errs.UpstreamFailed},
		{"from the first byte", 10, -1, says("bytes 0-9/100000"), errs.UpstreamFailed},
		{"longer than asked", 10, 5, says("bytes 10-19/100000"), errs.UpstreamFailed},
		{"another length", 10, -1, says("bytes 10-20/100000"), errs.UpstreamFailed},
		{"behind its total", 10, -1, says("bytes 10-19/15"), errs.UpstreamFailed},
		{"backwards", 10, -1, says("bytes 10-9/100000"), errs.UpstreamFailed},
		{"other unit", 10, -1, says("lines 10-19/100000"), errs.UpstreamFailed},
		{"no Content-Range", 10, -1, says(""), errs.UpstreamFailed},
		{"nonsense", 10, -1, says("bytes x"), errs.UpstreamFailed},
		{"not satisfied", 10, -1, says("bytes */100000"), errs.UpstreamFailed},
		{"nothing asked", 10, 0, upstreamtest.Fault{}, errs.RangeInvalid},
		{"before the first byte", -1, 5, upstreamtest.Fault{}, errs.RangeInvalid},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
				w.reg.Script(test.fault)
				w.connect(t, upstream.Host{}, nil)
				d, _ := w.layer(0)
				_, _, _, err := w.up.Blob(t.Context(), "app", d, test.offset, test.n)
				w.fails(t, err, test.code, d.String())
			})
		})
	}
	in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
		w.reg.Script(says("bytes 0-9/100000"))
		w.connect(t, upstream.Host{}, nil)
		d, _ := w.layer(0)
		_, _, _, err := w.up.Blob(t.Context(), "app", d, 0, -1)
		w.fails(t, err, errs.UpstreamFailed, "206")
		w.reg.Script()
		_, _, _, err = w.up.Blob(t.Context(), "app", digest.FromString("nosuch"), 0, -1)
		w.fails(t, err, errs.BlobUnknown, "404")
	})
}

// A body has no deadline of its own: it is as slow as it is, until the caller ends it.
func TestSlowBody(t *testing.T) {
	in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
		w.reg.Script(upstreamtest.Fault{Stall: true, At: 50_000})
		w.connect(t, upstream.Host{}, nil)
		d, layer := w.layer(0)
		defer time.AfterFunc(24*time.Hour, w.reg.Release).Stop()
		b, _, _, err := w.read(t.Context(), d, 0, -1)
		if err != nil || string(b) != string(layer) {
			t.Errorf("%d bytes, %v", len(b), err)
		}

		ctx, cancel := context.WithCancel(t.Context())
		body, _, _, err := w.up.Blob(ctx, "app", d, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		time.AfterFunc(time.Minute, cancel)
		if n, err := io.Copy(io.Discard, body); n != 50_000 || err == nil {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}

// A cut is an error of the body, never its end.
func TestCutBody(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault upstreamtest.Fault
		bytes int
	}{
		{"first byte", upstreamtest.Fault{Cut: true}, 0},
		{"middle", upstreamtest.Fault{Cut: true, At: 50_000}, 50_000},
		{"no length", upstreamtest.Fault{Cut: true, At: 50_000, NoLength: true}, 50_000},
		{"no length, behind the last byte", upstreamtest.Fault{Cut: true, At: 100_000, NoLength: true}, 100_000},
		{"shorter than its length", upstreamtest.Fault{Length: 100_001}, 100_000},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, upstreamtest.Options{}, func(t *testing.T, w *world) {
				w.reg.Script(test.fault)
				w.connect(t, upstream.Host{}, nil)
				d, _ := w.layer(0)
				if b, _, _, err := w.read(t.Context(), d, 0, -1); err == nil || len(b) != test.bytes {
					t.Errorf("%d bytes, %v", len(b), err)
				}
			})
		})
	}
}
