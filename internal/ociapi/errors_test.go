package ociapi_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/ociapi"
)

// TestErrorTable: every class of failure has its answer, and it is the one that
// the golden file has.
func TestErrorTable(t *testing.T) {
	var b strings.Builder
	for _, c := range errs.Codes() {
		code, status := ociapi.WireOf(c)
		if code == "" || status < 400 || http.StatusText(status) == "" {
			t.Errorf("%v has no answer: %q %d", c, code, status)
		}
		fmt.Fprintf(&b, "%-20s %-21s %d\n", c, code, status)
	}
	want, err := os.ReadFile("testdata/errors.golden")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Errorf("(-golden +table):\n%s", d)
	}
}
