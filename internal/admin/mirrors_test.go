package admin_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/admin"
)

func TestMirrors(t *testing.T) {
	want := map[string]string{"hub.example": "docker.io"}
	h := newHouse(t, func(o *admin.Options) { o.Mirrors = want })
	got, err := h.Mirrors(t.Context(), root)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
