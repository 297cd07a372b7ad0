package awsapi_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// FuzzSigned has the SDK's signer as its oracle: what it signs verifies, and does
// not any more when one byte is changed that the signature covers, or one of the
// signature.
func FuzzSigned(f *testing.F) {
	f.Add([]byte(`{"text":"hi"}`), "Meta", "a  b", "b", "2 %&", "weir.example:5000", uint16(0), byte(1))
	f.Add([]byte{0xff, 0}, "Amz-Meta", "\xe4;,=\t\"", "", "", "[::1]:5000", uint16(300), byte(0x20))
	f.Add([]byte{}, "", "", "=", "+/", "127.0.0.1", uint16(77), byte(0x80))
	names, hosts := regexp.MustCompile(`^[A-Za-z-]{1,20}$`), regexp.MustCompile(`^([a-z0-9.-]{1,40}|\[[0-9a-f:]{2,30}\])(:[0-9]{1,4})?$`)
	f.Fuzz(func(t *testing.T, body []byte, name, value, param, arg, host string, at uint16, with byte) {
		face, h := newFace(t), target("Test_1.Echo")
		if names.MatchString(name) && !strings.EqualFold(name, "Amz-Security-Token") && !strings.EqualFold(name, "Amz-Date") && !strings.EqualFold(name, "Amz-Content-Sha256") {
			h.Set("X-"+name, clean(value))
		}
		at0 := "127.0.0.1:5000"
		if hosts.MatchString(host) {
			at0 = host
		}
		to := url.URL{Scheme: "http", Host: at0, Path: "/", RawQuery: url.Values{param: {arg, "x"}, "z": {""}}.Encode()}
		if _, err := url.Parse(to.String()); err != nil {
			return // no client could ask it
		}
		raw := sdk(t, "POST", to.String(), string(body), h, "ecr", face.now, example)
		if a := face.do(t, parse(t, raw)); a.status != 200 && a.code != "SerializationException" && a.code != "UnknownOperationException" {
			t.Fatalf("%d %s %s\n%q", a.status, a.code, a.message, raw)
		}
		head, _, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
		var places []int
		for _, span := range covered(t, raw, head) {
			for i := span[0]; i < span[1]; i++ {
				places = append(places, i)
			}
		}
		i := places[int(at)%len(places)]
		bad := bytes.Clone(raw)
		if bad[i] ^= with; with == 0 || strings.TrimSpace(string([]byte{raw[i], bad[i]})) == "" {
			return // the same, or one space for another
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(bad)))
		if err != nil {
			return // net/http does not let it in
		}
		ran := face.ran
		if a := face.do(t, r); a.status < 400 || face.ran != ran || a.code == "SerializationException" || a.code == "UnknownOperationException" {
			t.Fatalf("verifies with byte %d %q changed to %q: %d %s\n%q", i, raw[i], bad[i], a.status, a.code, bad)
		}
	})
}

// clean is a header's value as net/http sends it.
func clean(value string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, value))
}

// TestPresigned: a signed URL is no signed request here.
func TestPresigned(t *testing.T) {
	face := newFace(t)
	r, err := http.NewRequest("POST", "http://127.0.0.1:5000/", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = target("Test_1.Echo")
	sum := sha256.Sum256([]byte("{}"))
	to, _, err := v4.NewSigner().PresignHTTP(t.Context(), example, r, hex.EncodeToString(sum[:]), "ecr", "us-east-1", face.now)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := http.NewRequest("POST", to, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	signed.Header = target("Test_1.Echo")
	if a := face.do(t, signed); a.code != "MissingAuthenticationTokenException" || face.ran > 0 {
		t.Errorf("%d %s %s", a.status, a.code, a.message)
	}
}
