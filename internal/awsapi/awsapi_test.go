package awsapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/weir-registry/weir/internal/auth"
	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/seal"
	"github.com/weir-registry/weir/internal/vfs/vfstest"
)

// AWS's example key, which signed the requests in testdata.
const (
	keyID  = "AKIAIOSFODNN7EXAMPLE"
	secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

// keys is access keys in memory.
type keys map[string]meta.Key

func (k keys) Key(_ context.Context, id string) (meta.Key, error) {
	key, ok := k[id]
	if !ok {
		return meta.Key{}, fs.ErrNotExist
	}
	return key, nil
}
func (k keys) PutKey(_ context.Context, key meta.Key) error { k[key.ID] = key; return nil }

// echo is what the test's operations take and give.
type echo struct {
	Text string `json:"text"`
	User string `json:"user,omitempty"`
}

// face is the protocol with a service of the test's own.
type face struct {
	http.Handler
	now    time.Time
	ran    int // operations
	caller iam.Caller
	fail   error
	log    bytes.Buffer
}

func newFace(t *testing.T) *face {
	t.Helper()
	sealed, err := seal.Open(vfstest.NewMem(nil), "keys")
	if err != nil {
		t.Fatal(err)
	}
	key := meta.Key{ID: keyID, Principal: "root", Root: true, Active: true, Sealed: sealed.Seal([]byte(secret), []byte("access key "+keyID))}
	off := meta.Key{ID: "AKIAOFF", Principal: "ann", Sealed: sealed.Seal([]byte(secret), []byte("access key AKIAOFF"))}
	bad := meta.Key{ID: "AKIABAD", Principal: "ann", Active: true, Sealed: []byte("x")}
	who := auth.New(keys{keyID: key, "AKIAOFF": off, "AKIABAD": bad}, sealed, auth.Options{})
	f := &face{now: time.Date(2026, 11, 25, 9, 50, 0, 0, time.UTC)}
	f.Handler = awsapi.New(awsapi.Options{
		Auth: who, Logger: slog.New(slog.NewTextHandler(&f.log, nil)), Now: func() time.Time { return f.now },
	}, awsapi.Service{
		Name: "test", Target: "Test_1", Signing: []string{"ecr", "test"},
		Operations: map[string]awsapi.Operation{
			"Echo": awsapi.JSON(func(_ context.Context, c *awsapi.Call, in echo) (echo, error) {
				f.ran++
				f.caller = c.Caller
				c.About("a/b", "1")
				return echo{in.Text, c.Caller.Name}, f.fail
			}),
			"NoJSON": func(context.Context, *awsapi.Call, []byte) (any, error) { return func() {}, nil },
		},
	})
	return f
}

// answer is an error, or what Echo gave.
type answer struct {
	status  int
	code    string
	message string
	echo    echo
	header  http.Header
}

func (f *face) do(t *testing.T, r *http.Request) answer {
	t.Helper()
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	a := answer{status: w.Code, header: w.Header()}
	var e struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if err := errors.Join(json.Unmarshal(w.Body.Bytes(), &e), json.Unmarshal(w.Body.Bytes(), &a.echo)); err != nil {
		t.Fatalf("body %q: %v", w.Body, err)
	}
	a.code, a.message = e.Type, e.Message
	return a
}

func (a answer) verified() bool { return a.status == 200 || a.code == "UnknownOperationException" }

var errRow = errors.New("row 7 of table secrets")

var wrapped = errs.Wrap(errs.Denied, errRow, "User: ann is not authorized")
