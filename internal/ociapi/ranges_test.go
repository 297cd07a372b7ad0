package ociapi_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/ociapi"
)

func TestRanges(t *testing.T) {
	type spans = []ociapi.Span
	tests := []struct {
		name, header string
		size         int64
		want         spans
		invalid      bool
	}{
		{"none", "", 100, nil, false},
		{"all", "bytes=0-", 100, spans{{0, 100}}, false},
		{"from", "bytes=40-", 100, spans{{40, 100}}, false},
		{"closed", "bytes=10-19", 100, spans{{10, 20}}, false},
		{"one byte", "bytes=0-0", 100, spans{{0, 1}}, false},
		{"last byte", "bytes=99-99", 100, spans{{99, 100}}, false},
		{"beyond the end", "bytes=90-1000", 100, spans{{90, 100}}, false},
		{"suffix", "bytes=-10", 100, spans{{90, 100}}, false},
		{"suffix longer than the content", "bytes=-1000", 100, spans{{0, 100}}, false},
		{"more digits than fit", "bytes=10-99999999999999999999", 100, spans{{10, 100}}, false},
		{"suffix of more digits than fit", "bytes=-99999999999999999999", 100, spans{{0, 100}}, false},
		{"two", "bytes=0-9,20-29", 100, spans{{0, 10}, {20, 30}}, false},
		{"two with spaces and nothing", "bytes= 0-9 ,, 20-29", 100, spans{{0, 10}, {20, 30}}, false},
		{"one of two beyond the end", "bytes=0-9,200-", 100, spans{{0, 10}}, false},
		{"more than the content", "bytes=0-,0-", 100, nil, false},
		{"past the end", "bytes=100-", 100, nil, true},
		{"far past the end", "bytes=99999999999999999999-", 100, nil, true},
		{"suffix of nothing", "bytes=-0", 100, nil, true},
		{"both past the end", "bytes=100-,200-300", 100, nil, true},
		{"unit in capitals", "Bytes=0-1", 100, spans{{0, 2}}, false},
		{"as many as are served", "bytes=" + strings.Repeat("1-1,", 256), 1000, slices.Repeat(spans{{1, 2}}, 256), false},
		{"more than are served", "bytes=" + strings.Repeat("1-1,", 257), 1000, nil, false},
		{"other unit", "lines=0-1", 100, nil, false},
		{"no unit", "0-1", 100, nil, false},
		{"backwards", "bytes=20-10", 100, nil, true},
		{"no numbers", "bytes=-", 100, nil, false},
		{"signs", "bytes=+1-5", 100, nil, false},
		{"negative", "bytes=--5", 100, nil, false},
		{"letters", "bytes=a-b", 100, nil, false},
		{"no dash", "bytes=5", 100, nil, false},
		{"one good, one bad", "bytes=0-1,x", 100, nil, false},
		{"nothing", "bytes=", 100, nil, false},
		{"empty content", "bytes=0-", 0, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ociapi.Ranges(tt.header, tt.size)
			if (errs.CodeOf(err) == errs.RangeInvalid) != tt.invalid || err != nil && !tt.invalid {
				t.Errorf("error %v, want invalid %v", err, tt.invalid)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// FuzzRanges: what comes out is inside the content, and no more than it.
func FuzzRanges(f *testing.F) {
	f.Add("bytes=0-9,20-29,-5", int64(100))
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		spans, err := ociapi.Ranges(header, size)
		sum := int64(0)
		for _, s := range spans {
			if s.Start < 0 || s.Start >= s.End || s.End > size {
				t.Errorf("%q of %d: %+v", header, size, s)
			}
			sum += s.End - s.Start
		}
		if sum > size || sum < 0 {
			t.Errorf("%q of %d: %d bytes", header, size, sum)
		}
		if err != nil && errs.CodeOf(err) != errs.RangeInvalid {
			t.Error(err)
		}
	})
}
