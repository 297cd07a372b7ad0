package admin_test

import (
	"errors"
	"testing"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/errs"
)

func TestEvents(t *testing.T) {
	all := []admin.Event{
		{ID: "5", Kind: admin.PullThroughEvent, Repository: "hub/App", Tag: "v2", Where: "up.test", Failed: true, Reason: "Connection refused"},
		{ID: "4", Kind: admin.ImageEvent, Action: "PUSH", Repository: "team/app", Tag: "v1", Digest: "sha256:abc"},
		{ID: "3", Kind: admin.ReplicationEvent, Repository: "team/app", Where: "site-b 222222222222", Failed: true},
		{ID: "2", Kind: admin.PullThroughEvent, Repository: "hub/app", Tag: "v1", Where: "up.test"},
		{ID: "1", Kind: admin.ReferrerEvent, Action: "PUSH", Repository: "team/app"},
	}
	h := newHouse(t, func(o *admin.Options) { o.Events = func() []admin.Event { return all } })
	reader := allow("*", "weir:ListEvents")
	for _, test := range []struct {
		name string
		q    admin.EventQuery
		want string
		more bool
	}{
		{name: "all", want: "54321"},
		{name: "the first two", q: admin.EventQuery{Limit: 2}, want: "54", more: true},
		{name: "all that there are", q: admin.EventQuery{Limit: 5}, want: "54321"},
		{name: "older ones", q: admin.EventQuery{After: "4", Limit: 2}, want: "32", more: true},
		{name: "none that is forgotten", q: admin.EventQuery{After: "0"}},
		{name: "of a kind", q: admin.EventQuery{Kind: admin.PullThroughEvent}, want: "52"},
		{name: "that failed", q: admin.EventQuery{Failed: true}, want: "53"},
		{name: "a text in a repository", q: admin.EventQuery{Text: " HUB/app "}, want: "52"},
		{name: "a text in a reason", q: admin.EventQuery{Text: "refused"}, want: "5"},
		{name: "a text in a digest", q: admin.EventQuery{Text: "256:AB"}, want: "4"},
		{name: "everything at once", q: admin.EventQuery{Kind: admin.ReplicationEvent, Failed: true, Text: "site-b", After: "5", Limit: 1}, want: "3"},
		{name: "nothing", q: admin.EventQuery{Text: "nowhere"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, more, err := h.Events(t.Context(), reader, test.q)
			check(t, err)
			ids := ""
			for _, e := range got {
				ids += e.ID
			}
			if ids != test.want || more != test.more {
				t.Errorf("got %s, more: %v", ids, more)
			}
		})
	}
	_, _, err := h.Events(t.Context(), reader, admin.EventQuery{Kind: "x"})
	wantCode(t, "no kind", errs.ParamInvalid, err)
	_, _, err = h.Events(t.Context(), allow("*", "ecr:*", "weir:GetMetrics"), admin.EventQuery{})
	wantCode(t, "without the right", errs.Denied, err)
	h.start()
	_, _, err = h.Events(t.Context(), reader, admin.EventQuery{})
	wantCode(t, "nobody remembers", errs.Unsupported, err)
}

// TestSpace: what there is, for who may see metrics.
func TestSpace(t *testing.T) {
	want := admin.Space{Blobs: 1, Bytes: 10, Free: 50, Total: 1000, Keep: 100}
	h := newHouse(t, func(o *admin.Options) { o.Space = func() (admin.Space, error) { return want, nil } })
	reader := allow("*", "weir:GetMetrics")
	got, err := h.Space(t.Context(), reader)
	check(t, err)
	diff(t, "space", want, got)
	if !(admin.Space{Free: 1, Keep: 2}).Full() || (admin.Space{Free: 2, Keep: 2}).Full() {
		t.Error("when it is full")
	}
	_, err = h.Space(t.Context(), allow("*", "ecr:*", "weir:ListEvents"))
	wantCode(t, "without the right", errs.Denied, err)
	broken := errors.New("broken")
	h.start(func(o *admin.Options) { o.Space = func() (admin.Space, error) { return admin.Space{}, broken } })
	if _, err := h.Space(t.Context(), reader); !errors.Is(err, broken) {
		t.Error(err)
	}
	h.start()
	_, err = h.Space(t.Context(), reader)
	wantCode(t, "no disk", errs.Unsupported, err)
}
