package weir_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/registry"
)

func TestListLifecycleEvents(t *testing.T) {
	var many []registry.LifecycleEvent
	for n := int64(250); n > 150; n-- {
		many = append(many, registry.LifecycleEvent{N: n, At: at, Action: registry.Expire, Digest: oldImage, Pushed: at})
	}
	for _, test := range []struct {
		name, in string
		script   script
		status   int
		want     string
		calls    []string
	}{
		{
			name: "everything", in: `{"repositoryName":"r"}`,
			script: script{events: []registry.LifecycleEvent{
				{N: 2, At: at, Action: registry.Expire, Priority: 7, Digest: oldImage, Tags: []string{"a", "b"}, Pushed: at.Add(-time.Hour)},
				{N: 1, At: at, Action: registry.Transition, Digest: newImage, Subject: oldImage, Pushed: at},
			}},
			status: 200,
			want: fmt.Sprintf(`{"repositoryName":"r","events":[`+
				`{"at":1795597200.500,"action":"expire","appliedRulePriority":7,"imageDigest":"%s","imageTags":["a","b"],"imagePushedAt":1795593600.500},`+
				`{"at":1795597200.500,"action":"transition","appliedRulePriority":0,"imageDigest":"%s","imagePushedAt":1795597200.500,"subjectDigest":"%s"}]}`, oldImage, newImage, oldImage),
			calls: []string{"events of r before 0, 100, by root"},
		},
		{name: "none", in: `{"repositoryName":"r","nextToken":"9"}`, status: 200, want: `{"repositoryName":"r","events":[]}`, calls: []string{"events of r before 9, 100, by root"}},
		{
			name: "another's token", in: `{"repositoryName":"r","nextToken":"x"}`,
			status: 400, want: `{"__type":"InvalidParameterException","message":"nextToken is not what this operation returned"}`,
		},
		{
			name: "refused", in: `{"repositoryName":"r"}`, script: script{err: errs.New(errs.Denied, "no")},
			status: 400, want: `{"__type":"AccessDeniedException","message":"no"}`, calls: []string{"events of r before 0, 100, by root"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &test.script
			status, got := call(t, s, "Weir_20261125.ListLifecycleEvents", "ecr", test.in)
			if diff := cmp.Diff(test.want, got); diff != "" || status != test.status {
				t.Errorf("status %d, want %d, (-want +got):\n%s", status, test.status, diff)
			}
			if diff := cmp.Diff(test.calls, s.calls); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
	_, got := call(t, &script{events: many}, "Weir_20261125.ListLifecycleEvents", "ecr", `{"repositoryName":"r"}`)
	if !strings.HasSuffix(got, `,"nextToken":"151"}`) {
		t.Errorf("a page of many ends with %s", got[len(got)-60:])
	}
}
