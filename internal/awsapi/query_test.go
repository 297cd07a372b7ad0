package awsapi_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/auth"
	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/seal"
	"github.com/weir-registry/weir/internal/vfs/vfstest"
)

// query calls an operation on the Query protocol, which fails with err.
func query(t *testing.T, service awsapi.Service, err error) (status int, code, message string) {
	t.Helper()
	sealed, sealErr := seal.Open(vfstest.NewMem(nil), "keys")
	if sealErr != nil {
		t.Fatal(sealErr)
	}
	key := meta.Key{ID: keyID, Principal: "root", Root: true, Active: true, Sealed: sealed.Seal([]byte(secret), []byte("access key "+keyID))}
	now := time.Date(2026, 11, 25, 9, 50, 0, 0, time.UTC)
	service.Name, service.Version, service.Signing = "q", "1", []string{"q"}
	service.Operations = map[string]awsapi.Operation{
		"Fail": awsapi.Form(func(context.Context, *awsapi.Call, url.Values) (struct{}, error) { return struct{}{}, err }),
		"Odd":  func(context.Context, *awsapi.Call, []byte) (any, error) { return func() {}, nil },
	}
	h := awsapi.New(awsapi.Options{
		Auth: auth.New(keys{keyID: key}, sealed, auth.Options{}), Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
	}, service)
	action := "Fail"
	if err == nil {
		action = "Odd"
	}
	w := httptest.NewRecorder()
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	h.ServeHTTP(w, parse(t, sdk(t, "POST", "http://weir.example/", "Version=1&Action="+action, form, "q", now, example)))
	var got struct {
		Error struct{ Type, Code, Message string }
	}
	if err := xml.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	if who := map[bool]string{true: "Receiver", false: "Sender"}[w.Code >= 500]; got.Error.Type != who {
		t.Errorf("%s", w.Body)
	}
	return w.Code, got.Error.Code, got.Error.Message
}

// Every class of failure has its answer on the Query protocol, too.
func TestQueryErrorTable(t *testing.T) {
	var b strings.Builder
	for _, c := range errs.Codes() {
		status, code, message := query(t, awsapi.Service{}, errs.New(c, "why"))
		if code == "" || status < 400 || (message == "why") != (c != errs.Internal) {
			t.Errorf("%v has no answer: %d %s %q", c, status, code, message)
		}
		fmt.Fprintf(&b, "%-20s %-38s %d\n", c, code, status)
	}
	want, err := os.ReadFile("testdata/query_errors.golden")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Errorf("(-golden +table):\n%s", d)
	}
}

// A service's own names stand before the common ones, and an operation's before those.
func TestExceptions(t *testing.T) {
	own := awsapi.Service{Exceptions: map[errs.Code]string{errs.Conflict: "Own", errs.Internal: "OwnFault"}}
	for _, test := range []struct {
		name string
		err  error
		code string
	}{
		{"service's", errs.New(errs.Conflict, "why"), "Own"},
		{"wrapped", fmt.Errorf("x: %w", errs.New(errs.Conflict, "why")), "Own"},
		{"operation's", awsapi.Except("Operations", errs.Conflict, "why"), "Operations"},
		{"common", errs.New(errs.Denied, "why"), "AccessDenied"},
		{"fault", errors.New("row 7"), "OwnFault"},
		{"output without XML", nil, "InternalFailure"},
	} {
		status, code, message := query(t, own, test.err)
		fault := test.err == nil || errs.CodeOf(test.err) == errs.Internal
		if code != test.code || (status == 500) != fault || (message == "why") == fault || strings.Contains(message, "row 7") {
			t.Errorf("%s: %d %s, %s; want %s", test.name, status, code, message, test.code)
		}
	}
}
