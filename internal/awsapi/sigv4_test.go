package awsapi_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// parse reads a request as a server does.
func parse(t *testing.T, raw []byte) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil {
		t.Fatalf("%v in\n%s", err, raw)
	}
	return r
}

// sdk has aws-sdk-go-v2 sign a request, and returns it as it is on the wire.
func sdk(t *testing.T, method, url, body string, header http.Header, service string, at time.Time, creds aws.Credentials) []byte {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		r.Header[k] = v
	}
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(t.Context(), creds, r, hex.EncodeToString(sum[:]), service, "us-east-1", at); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var example = aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}

func target(op string) http.Header {
	return http.Header{"X-Amz-Target": {op}, "Content-Type": {"application/x-amz-json-1.1"}}
}

// TestOracle: what aws-sdk-go-v2 signs verifies, whatever it has in it.
func TestOracle(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	word := func(letters string, n int) string {
		b := make([]byte, rng.IntN(n))
		for i := range b {
			b[i] = letters[rng.IntN(len(letters))]
		}
		return string(b)
	}
	for i := range 500 {
		f := newFace(t)
		h := target("Test_1.Echo")
		for range rng.IntN(4) {
			k := http.CanonicalHeaderKey("x-" + word("abcdefgh-", 10) + "z")
			for range 1 + rng.IntN(2) {
				h.Add(k, word("abc  ,;=\"'/~%", 30)+"x")
			}
		}
		if rng.IntN(3) == 0 {
			h.Set("X-Amz-Meta", "a  b   c")
		}
		url := "http://" + []string{"127.0.0.1:5000", "weir.example", "weir.example:80", "[::1]:5000"}[rng.IntN(4)] + "/"
		for range rng.IntN(4) {
			url += map[bool]string{true: "?", false: "&"}[!strings.Contains(url, "?")] + word("abAB01-_.~", 4) + "=" + word("ab%20", 1) + word("xyz-_.~", 5)
		}
		text := word("abc \u00e4\U0001f600\\", 50)
		service := []string{"ecr", "test"}[rng.IntN(2)]
		raw := sdk(t, "POST", url, `{"text":`+strconv.Quote(strings.ToValidUTF8(text, "?"))+`}`, h, service, f.now, example)
		if a := f.do(t, parse(t, raw)); a.status != 200 && a.code != "SerializationException" || a.verified() && a.echo.User != "root" {
			t.Fatalf("seed %d, request %d: %d %s %s\n%s", seed, i, a.status, a.code, a.message, raw)
		}
	}
}

// requests are signed by foreign clients: those in testdata were recorded.
func requests(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, name := range []string{"botocore", "cli", "curl"} {
		raw, err := os.ReadFile("testdata/" + name + ".http")
		if err != nil {
			t.Fatal(err)
		}
		all[name] = raw
	}
	h := target("Test_1.Echo")
	h.Set("Amz-Sdk-Request", "attempt=1; max=3")
	all["sdk"] = sdk(t, "POST", "http://127.0.0.1:5000/?b=2&a=1", `{"text":"hi"}`, h, "ecr", newFace(t).now, example)
	return all
}

func TestForeignRequests(t *testing.T) {
	for name, raw := range requests(t) {
		f := newFace(t)
		if a := f.do(t, parse(t, raw)); !a.verified() {
			t.Errorf("%s: %d %s %s", name, a.status, a.code, a.message)
		}
		// What is not signed may change on the way.
		raw = regexp.MustCompile(`User-Agent: [^\r]*`).ReplaceAll(raw, []byte("User-Agent: x\r\nVia: 1.1 proxy"))
		if a := f.do(t, parse(t, raw)); !a.verified() {
			t.Errorf("%s through a proxy: %d %s %s", name, a.status, a.code, a.message)
		}
	}
}

// TestEverySignedByte changes each byte that a signature covers, and each of the
// signature, in turn.
func TestEverySignedByte(t *testing.T) {
	for name, raw := range requests(t) {
		f := newFace(t)
		head, _, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
		changed := 0
		for _, span := range covered(t, raw, head) {
			for i := span[0]; i < span[1]; i++ {
				bad := bytes.Clone(raw)
				if bad[i] = raw[i] ^ 1; bad[i] < '!' || bad[i] > '~' || raw[i] == ' ' {
					bad[i] = '#'
				}
				r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(bad)))
				if err != nil {
					continue // net/http does not let it in
				}
				changed++
				if a := f.do(t, r); a.verified() || f.ran > 0 {
					t.Fatalf("%s: verifies with byte %d %q changed to %q: %d %s\n%s", name, i, raw[i], bad[i], a.status, a.code, bad)
				}
			}
		}
		if changed < 250 {
			t.Errorf("%s: only %d bytes were changed", name, changed)
		}
	}
}

// covered returns where in a request signed values, its query, its Authorization
// header's value and its body are.
func covered(t *testing.T, raw, head []byte) [][2]int {
	t.Helper()
	m := regexp.MustCompile(`SignedHeaders=([^,]*)`).FindSubmatch(head)
	if m == nil {
		t.Fatalf("no SignedHeaders in %s", head)
	}
	signed := strings.Split(string(m[1]), ";")
	spans := [][2]int{{len(head) + 4, len(raw)}}
	at := 0
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		name, value, ok := bytes.Cut(line, []byte(": "))
		if lower := strings.ToLower(string(name)); ok && (slices.Contains(signed, lower) || lower == "authorization") {
			spans = append(spans, [2]int{at + len(line) - len(value), at + len(line)})
		}
		if q := bytes.IndexByte(line, '?'); at == 0 && q >= 0 {
			spans = append(spans, [2]int{q + 1, bytes.Index(line, []byte(" HTTP/"))})
		}
		at += len(line) + 2
	}
	return spans
}

func TestRefusals(t *testing.T) {
	at := newFace(t).now
	good := string(sdk(t, "POST", "http://127.0.0.1:5000/", `{"text":"hi"}`, target("Test_1.Echo"), "ecr", at, example))
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %q in\n%s", old, good)
		}
		return strings.Replace(good, old, new, 1)
	}
	header := func(line string) string { return replace("\r\n\r\n", "\r\n"+line+"\r\n\r\n") }
	by := func(c aws.Credentials) string {
		return string(sdk(t, "POST", "http://127.0.0.1:5000/", "{}", target("Test_1.Echo"), "ecr", at, c))
	}
	authorization := regexp.MustCompile(`Authorization: ([^\r]*)\r\n`).FindStringSubmatch(good)
	const mismatch = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method."
	tests := []struct {
		name, raw, code, message string
	}{
		{"none", replace(authorization[0], ""), "MissingAuthenticationTokenException", "Missing Authentication Token"},
		{"password", replace(authorization[1], "Basic eDp5"), "IncompleteSignatureException", "Authorization header requires one signature of algorithm AWS4-HMAC-SHA256."},
		{"two", header("Authorization: " + authorization[1]), "IncompleteSignatureException", "Authorization header requires one signature"},
		{"asymmetric", replace("AWS4-HMAC-SHA256 ", "AWS4-ECDSA-P256-SHA256 "), "IncompleteSignatureException", "Authorization header requires one signature"},
		{"no credential", replace("Credential=", "Cred="), "IncompleteSignatureException", "Authorization header requires 'Credential' parameter."},
		{"no signature", replace("Signature=", "Sig="), "IncompleteSignatureException", "Authorization header requires 'Signature' parameter."},
		{"no signed headers", replace("SignedHeaders=", "Headers="), "IncompleteSignatureException", "Authorization header requires 'SignedHeaders' parameter."},
		{"signature twice", replace("Signature=", "Signature=x, Signature="), "IncompleteSignatureException", "has 'Signature' more than once"},
		{"short scope", replace("/us-east-1/", "/"), "IncompleteSignatureException", "Credential must have exactly 5 slash-delimited elements"},
		{"empty region", replace("/us-east-1/", "//"), "IncompleteSignatureException", "Credential must have exactly 5 slash-delimited elements"},
		{"terminator", replace("/aws4_request", "/aws5_request"), "InvalidSignatureException", "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'."},
		{"scope of another day", replace("/20261125/", "/20261124/"), "InvalidSignatureException", "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20261124' != '20261125', from '20261125T095000Z'."},
		{"no date", replace("X-Amz-Date: ", "X-Date: "), "IncompleteSignatureException", "The request requires an 'X-Amz-Date' header"},
		{"bad date", replace("X-Amz-Date: 2026", "X-Amz-Date: x"), "IncompleteSignatureException", "The request requires an 'X-Amz-Date' header"},
		{"host not signed", replace("host;", ""), "InvalidSignatureException", "'Host' must be a 'SignedHeader' in the AWS Authorization."},
		{"target not signed", replace(";x-amz-target", ""), "InvalidSignatureException", "'x-amz-target' must be a 'SignedHeader' in the AWS Authorization."},
		{"another x-amz header", header("X-Amz-Evil: 1"), "InvalidSignatureException", "'x-amz-evil' must be a 'SignedHeader'"},
		{"signed header is gone", replace("Content-Type: application/x-amz-json-1.1\r\n", ""), "InvalidSignatureException", "'content-type' is a 'SignedHeader' in the AWS Authorization, but the request has no such header."},
		{"signed header twice", header("X-Amz-Target: Test_1.Other"), "InvalidSignatureException", mismatch},
		{"signed headers in disorder", replace("content-length;content-type", "content-type;content-length"), "IncompleteSignatureException", "SignedHeaders must be in lower case, sorted"},
		{"signed headers in upper case", replace(";host;", ";Host;"), "IncompleteSignatureException", "SignedHeaders must be in lower case, sorted"},
		{"unknown key", by(aws.Credentials{AccessKeyID: "AKIANOBODY", SecretAccessKey: secret}), "UnrecognizedClientException", "The security token included in the request is invalid."},
		{"inactive key", by(aws.Credentials{AccessKeyID: "AKIAOFF", SecretAccessKey: secret}), "UnrecognizedClientException", "The security token included in the request is invalid."},
		{"session token", by(aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret, SessionToken: "t"}), "UnrecognizedClientException", "The security token included in the request is invalid."},
		{"wrong secret", by(aws.Credentials{AccessKeyID: keyID, SecretAccessKey: "wrong"}), "InvalidSignatureException", mismatch},
		{"key that cannot be opened", by(aws.Credentials{AccessKeyID: "AKIABAD", SecretAccessKey: secret}), "ServerException", "internal error; the log has it under request ID "},
		{"other service", string(sdk(t, "POST", "http://127.0.0.1:5000/", "{}", target("Test_1.Echo"), "s3", at, example)), "InvalidSignatureException", "Credential should be scoped to correct service: 'ecr'."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFace(t)
			a := f.do(t, parse(t, []byte(tt.raw)))
			status := 400
			if tt.code == "ServerException" {
				status = 500
			}
			if a.status != status || a.code != tt.code || !strings.HasPrefix(a.message, tt.message) && !strings.Contains(a.message, tt.message) {
				t.Errorf("%d %s %q; want %d %s %q", a.status, a.code, a.message, status, tt.code, tt.message)
			}
			if f.ran > 0 {
				t.Error("the operation ran")
			}
			log := f.log.String()
			if strings.Contains(log, secret) || strings.Contains(log, "Signature=") || strings.Contains(log, "Canonical") {
				t.Errorf("log: %s", log)
			}
			if (status == 500) != strings.Contains(log, "level=ERROR") {
				t.Errorf("log: %s", log)
			}
		})
	}
	f := newFace(t)
	if a := f.do(t, parse(t, []byte(good))); a.status != 200 || f.ran != 1 {
		t.Errorf("the request that the others are made of: %d %s %s", a.status, a.code, a.message)
	}
}

// TestMismatchTells: who signs wrongly is told what should have been signed.
func TestMismatchTells(t *testing.T) {
	f := newFace(t)
	raw := sdk(t, "POST", "http://127.0.0.1:5000/", `{}`, target("Test_1.Echo"), "ecr", f.now, aws.Credentials{AccessKeyID: keyID, SecretAccessKey: "wrong"})
	a := f.do(t, parse(t, raw))
	want := fmt.Sprintf("\n\nThe Canonical String for this request should have been\n'POST\n/\n\ncontent-length:2\ncontent-type:application/x-amz-json-1.1\nhost:127.0.0.1:5000\nx-amz-date:20261125T095000Z\nx-amz-target:Test_1.Echo\n\ncontent-length;content-type;host;x-amz-date;x-amz-target\n%x'\n\nThe String-to-Sign should have been\n'AWS4-HMAC-SHA256\n20261125T095000Z\n20261125/us-east-1/ecr/aws4_request\n", sha256.Sum256([]byte("{}")))
	if !strings.Contains(a.message, want) {
		t.Errorf("message %q\nhas no %q", a.message, want)
	}
}

func TestBodyHash(t *testing.T) {
	sum := sha256.Sum256([]byte(`{"text":"hi"}`))
	for name, tt := range map[string]struct {
		hash string
		ok   bool
	}{
		"right":    {hex.EncodeToString(sum[:]), true},
		"wrong":    {strings.Repeat("0", 64), false},
		"unsigned": {"UNSIGNED-PAYLOAD", false},
	} {
		f := newFace(t)
		h := target("Test_1.Echo")
		h.Set("X-Amz-Content-Sha256", tt.hash)
		raw := sdk(t, "POST", "http://127.0.0.1:5000/", `{"text":"hi"}`, h, "ecr", f.now, example)
		if a := f.do(t, parse(t, raw)); a.verified() != tt.ok || !tt.ok && !strings.Contains(a.message, "x-amz-content-sha256") {
			t.Errorf("%s: %d %s %s", name, a.status, a.code, a.message)
		}
	}
}

func TestClockSkew(t *testing.T) {
	tests := []struct {
		name string
		off  time.Duration // the client's clock
		want string        // "": verifies
	}{
		{"right", 0, ""},
		{"at the limit behind", -5 * time.Minute, ""},
		{"at the limit ahead", 5 * time.Minute, ""},
		{"behind", -5*time.Minute - time.Second, "Signature expired: 20261125T094459Z is now earlier than 20261125T094500Z (20261125T095000Z - 5 min.) The client's clock is 5m1s behind weir's."},
		{"ahead", 5*time.Minute + time.Second, "Signature not yet current: 20261125T095501Z is still later than 20261125T095500Z (20261125T095000Z + 5 min.) The client's clock is 5m1s ahead of weir's."},
		{"years behind", -24 * 365 * time.Hour, "The client's clock is 8760h0m0s behind weir's."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFace(t)
			raw := sdk(t, "POST", "http://127.0.0.1:5000/", "{}", target("Test_1.Echo"), "ecr", f.now.Add(tt.off), example)
			a := f.do(t, parse(t, raw))
			if tt.want == "" && a.status != 200 || tt.want != "" && (a.code != "InvalidSignatureException" || !strings.Contains(a.message, tt.want)) {
				t.Errorf("%d %s %q; want %q", a.status, a.code, a.message, tt.want)
			}
		})
	}
}

// FuzzAuthorization: no header but a right one runs an operation.
func FuzzAuthorization(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential="+keyID+"/20261125/us-east-1/ecr/aws4_request, SignedHeaders=host;x-amz-date;x-amz-target, Signature=00", "a=1&b")
	f.Add("AWS4-HMAC-SHA256 Credential=a/b/c/d/e", "")
	f.Fuzz(func(t *testing.T, authorization, query string) {
		face := newFace(t)
		r, err := http.NewRequest("POST", "http://127.0.0.1:5000/", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		r.URL.RawQuery = query
		r.Header = target("Test_1.Echo")
		r.Header.Set("X-Amz-Date", "20261125T095000Z")
		r.Header["Authorization"] = []string{authorization}
		if a := face.do(t, r); a.verified() || a.status != 400 {
			t.Errorf("%q: %d %s %s", authorization, a.status, a.code, a.message)
		}
	})
}
