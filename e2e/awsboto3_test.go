package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestBoto3 runs a program with Debian's boto3, which is given today's API model: it
// has paginators and waiters of its own, and tells exceptions apart by their types.
func TestBoto3(t *testing.T) {
	t.Parallel()
	s := newEmptyServer(t, newUpstream(t))
	env := append(awsEnv(filepath.Join(s.dir, "data", "credentials"), awsRegion), "AWS_DATA_PATH="+modelFolder(t), "PYTHONDONTWRITEBYTECODE=1")
	python := command{program(t, "python3", "python3-boto3"), env}
	if out := python.ok(t, "testdata/boto3/ecr.py", "http://"+s.addr); !strings.Contains(out, "is content") {
		t.Errorf("it said %s", out)
	} else {
		t.Log(strings.TrimSpace(out))
	}
}
