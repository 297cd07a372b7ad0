package awsapi_test

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/errs"
)

func TestEcho(t *testing.T) {
	f := newFace(t)
	a := f.do(t, parse(t, sdk(t, "POST", "http://weir.example/", `{"text":"hi","more":[1]}`, target("Test_1.Echo"), "test", f.now, example)))
	if d := cmp.Diff(echo{"hi", "root"}, a.echo); d != "" || a.status != 200 {
		t.Errorf("%d %s %s (-want +got):\n%s", a.status, a.code, a.message, d)
	}
	if got := a.header.Get("Content-Type"); got != "application/x-amz-json-1.1" {
		t.Errorf("Content-Type %q", got)
	}
	if a.header.Get("X-Amzn-Requestid") == "" || a.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("header %v", a.header)
	}
	log := f.log.String()
	for _, want := range []string{"principal=root", "action=test:Echo", "repository=a/b", "reference=1", "status=200", "bytes=27", "id=" + a.header.Get("X-Amzn-Requestid")} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in the access line %s", want, log)
		}
	}
}

// TestContext: an operation's caller has what conditions of policies are about.
func TestContext(t *testing.T) {
	f := newFace(t)
	r := parse(t, sdk(t, "POST", "http://weir.example/", `{}`, target("Test_1.Echo"), "test", f.now, example))
	r.RemoteAddr, r.TLS = "192.0.2.7:1234", &tls.ConnectionState{}
	before := time.Now()
	if a := f.do(t, r); a.status != 200 {
		t.Fatalf("%d %s %s", a.status, a.code, a.message)
	}
	if c := f.caller.Context; c.SourceIP.String() != "192.0.2.7" || !c.TLS || c.Time.Before(before) {
		t.Errorf("context is %+v", c)
	}
}

func TestProtocol(t *testing.T) {
	const there = "There are those of Test_1."
	tests := []struct {
		name, method, url string
		header            http.Header
		body              string
		fail              error
		status            int
		code, message     string
	}{
		{"empty body is no members", "POST", "/", target("Test_1.Echo"), "", nil, 200, "", ""},
		{"query is no matter", "POST", "/?x=1", target("Test_1.Echo"), "{}", nil, 200, "", ""},
		{"ECR's operations", "POST", "/", target("AmazonEC2ContainerRegistry_V20150921.DescribeRepositories"), "{}", nil, 400, "UnknownOperationException",
			"The operation AmazonEC2ContainerRegistry_V20150921.DescribeRepositories does not exist. " + there},
		{"unknown operation", "POST", "/", target("Test_1.Nothing"), "{}", nil, 400, "UnknownOperationException", "The operation Test_1.Nothing does not exist. " + there},
		{"target without a dot", "POST", "/", target("Echo"), "{}", nil, 400, "UnknownOperationException", there},
		{"no target", "POST", "/", http.Header{}, "{}", nil, 400, "UnknownOperationException", "The request needs one X-Amz-Target header."},
		{"two targets", "POST", "/", http.Header{"X-Amz-Target": {"Test_1.Echo", "Test_1.Echo"}}, "{}", nil, 400, "UnknownOperationException", "The request needs one X-Amz-Target header."},
		{"GET", "GET", "/", target("Test_1.Echo"), "", nil, 404, "UnknownOperationException", "Operations are called by POST / here."},
		{"other path", "POST", "/x", target("Test_1.Echo"), "{}", nil, 404, "UnknownOperationException", "Operations are called by POST / here."},
		{"no JSON", "POST", "/", target("Test_1.Echo"), "text=1", nil, 400, "SerializationException", "The body is not the JSON object of this operation."},
		{"wrong type", "POST", "/", target("Test_1.Echo"), `{"text":1}`, nil, 400, "SerializationException", "The body is not"},
		{"null", "POST", "/", target("Test_1.Echo"), "null", nil, 400, "SerializationException", "The body is not"},
		{"list", "POST", "/", target("Test_1.Echo"), "[]", nil, 400, "SerializationException", "The body is not"},
		{"spaces", "POST", "/", target("Test_1.Echo"), "  ", nil, 400, "SerializationException", "The body is not"},
		{"more after it", "POST", "/", target("Test_1.Echo"), "{}{}", nil, 400, "SerializationException", "The body is not"},
		{"too long", "POST", "/", target("Test_1.Echo"), strings.Repeat(" ", 1<<20+1), nil, 413, "RequestEntityTooLargeException", "The body is longer than 1048576 bytes."},
		{"typed failure", "POST", "/", target("Test_1.Echo"), "{}", wrapped, 400, "AccessDeniedException", "User: ann is not authorized"},
		{"wrapped failure", "POST", "/", target("Test_1.Echo"), "{}", fmt.Errorf("x: %w", wrapped), 400, "AccessDeniedException", "User: ann is not authorized"},
		{"untyped failure", "POST", "/", target("Test_1.Echo"), "{}", errRow, 500, "ServerException", "internal error; the log has it under request ID "},
		{"output without JSON", "POST", "/", target("Test_1.NoJSON"), "{}", nil, 500, "ServerException", "internal error; the log has it under request ID "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFace(t)
			f.fail = tt.fail
			a := f.do(t, parse(t, sdk(t, tt.method, "http://weir.example"+tt.url, tt.body, tt.header, "ecr", f.now, example)))
			if a.status != tt.status || a.code != tt.code || !strings.HasPrefix(a.message, tt.message) && !strings.HasSuffix(a.message, tt.message) {
				t.Errorf("%d %s %q; want %d %s %q", a.status, a.code, a.message, tt.status, tt.code, tt.message)
			}
			if strings.Contains(a.message, "row 7") {
				t.Errorf("the message tells: %s", a.message)
			}
			if tt.fail == nil != (!strings.Contains(f.log.String(), "row 7")) {
				t.Errorf("log: %s", f.log.String())
			}
		})
	}
}

// late is a body that does not come.
type late struct{}

func (late) Read([]byte) (int, error) { return 0, errors.New("i/o timeout") }

func TestBodyDoesNotCome(t *testing.T) {
	f := newFace(t)
	r, err := http.NewRequest("POST", "http://weir.example/", late{})
	if err != nil {
		t.Fatal(err)
	}
	if a := f.do(t, r); a.status != 400 || a.code != "InvalidParameterException" {
		t.Errorf("%d %s %s", a.status, a.code, a.message)
	}
}

func TestTime(t *testing.T) {
	at := time.Date(2026, 11, 25, 9, 50, 0, 123456789, time.UTC)
	got, err := json.Marshal(struct {
		At   awsapi.Time `json:"at,omitzero"`
		None awsapi.Time `json:"none,omitzero"`
	}{At: awsapi.Time{Time: at}})
	if want := `{"at":1795600200.123}`; err != nil || string(got) != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
}

// TestErrorTable: every class of failure has its answer, and it is the one that
// the golden file has.
func TestErrorTable(t *testing.T) {
	var b strings.Builder
	for _, c := range errs.Codes() {
		f := newFace(t)
		f.fail = errs.New(c, "why")
		a := f.do(t, parse(t, sdk(t, "POST", "http://weir.example/", "{}", target("Test_1.Echo"), "ecr", f.now, example)))
		if a.code == "" || a.status < 400 || (a.message == "why") != (c != errs.Internal) {
			t.Errorf("%v has no answer: %d %s %q", c, a.status, a.code, a.message)
		}
		fmt.Fprintf(&b, "%-20s %-38s %d\n", c, a.code, a.status)
	}
	want, err := os.ReadFile("testdata/errors.golden")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Errorf("(-golden +table):\n%s", d)
	}
}
