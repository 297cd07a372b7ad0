package sts_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	client "github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/auth"
	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/awsapi/sts"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/seal"
	"github.com/weir-registry/weir/internal/vfs/vfstest"
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

const secret = "secret-of-all"

// serve is a registry with the access keys AKIAROOT and AKIAANN.
func serve(t *testing.T) (url string, log *strings.Builder) {
	t.Helper()
	sealed, err := seal.Open(vfstest.NewMem(nil), "keys")
	if err != nil {
		t.Fatal(err)
	}
	k := keys{}
	for id, who := range map[string]string{"AKIAROOT": "root", "AKIAANN": "ann"} {
		k[id] = meta.Key{ID: id, Principal: who, Root: who == "root", Active: true, Sealed: sealed.Seal([]byte(secret), []byte("access key "+id))}
	}
	log = &strings.Builder{}
	srv := httptest.NewServer(awsapi.New(awsapi.Options{Auth: auth.New(k, sealed, auth.Options{Registry: "123456789012"}), Logger: slog.New(slog.NewTextHandler(log, nil))}, sts.Service()))
	t.Cleanup(srv.Close)
	return srv.URL, log
}

func sdk(url, key, secret string) *client.Client {
	return client.New(client.Options{
		BaseEndpoint: &url, Region: "local", Credentials: credentials.NewStaticCredentialsProvider(key, secret, ""), Retryer: aws.NopRetryer{},
	})
}

func TestGetCallerIdentity(t *testing.T) {
	url, log := serve(t)
	for _, test := range []struct{ key, arn, user string }{
		{"AKIAROOT", "arn:aws:iam::123456789012:root", "123456789012"},
		{"AKIAANN", "arn:aws:iam::123456789012:user/ann", "AIDA"},
	} {
		out, err := sdk(url, test.key, secret).GetCallerIdentity(t.Context(), &client.GetCallerIdentityInput{})
		if err != nil {
			t.Fatal(err)
		}
		got := []string{*out.Account, *out.Arn, *out.UserId}
		if diff := cmp.Diff([]string{"123456789012", test.arn}, got[:2]); diff != "" || !strings.HasPrefix(got[2], test.user) {
			t.Errorf("%q (-want +got):\n%s", got[2], diff)
		}
		if n := len(got[2]); n != 12 && n != 21 {
			t.Errorf("UserId %q has %d characters", got[2], n)
		}
	}
	for _, want := range []string{"action=sts:GetCallerIdentity", "principal=ann"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %s in %s", want, log)
		}
	}
}

func TestClientErrors(t *testing.T) {
	url, _ := serve(t)
	_, err := sdk(url, "AKIAANN", "wrong").GetCallerIdentity(t.Context(), &client.GetCallerIdentityInput{})
	wants(t, err, "SignatureDoesNotMatch", "signature we calculated does not match")
	_, err = sdk(url, "AKIANOBODY", secret).GetCallerIdentity(t.Context(), &client.GetCallerIdentityInput{})
	wants(t, err, "InvalidClientTokenId", "The security token included in the request is invalid.")
	_, err = sdk(url, "AKIAROOT", secret).AssumeRole(t.Context(), &client.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::123456789012:role/pull-only"), RoleSessionName: aws.String("xx")})
	wants(t, err, "InvalidAction", "weir does not do sts:AssumeRole")
}

func wants(t *testing.T, err error, code, message string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), message) {
		t.Errorf("%v\nwant %s, %s", err, code, message)
	}
}

// failure is an error on the wire.
type failure struct {
	XMLName xml.Name
	Error   struct{ Type, Code, Message string }
	ID      string `xml:"RequestId"`
}

// The wire itself: XML with STS's namespace, 403 for who is not known.
func TestWire(t *testing.T) {
	url, _ := serve(t)
	const form = "application/x-www-form-urlencoded; charset=utf-8"
	for _, test := range []struct {
		name, method, path, content, body string
		signed                            string // the service; "": not at all
		status                            int
		code, message                     string
	}{
		{"fine", "POST", "/", form, "Action=GetCallerIdentity&Version=2011-06-15", "sts", 200, "", ""},
		{"not signed", "POST", "/", form, "Action=GetCallerIdentity&Version=2011-06-15", "", 403, "MissingAuthenticationToken", "Missing Authentication Token"},
		{"other service", "POST", "/", form, "Action=GetCallerIdentity&Version=2011-06-15", "ecr", 403, "SignatureDoesNotMatch", "Credential should be scoped to correct service: 'sts'."},
		{"other version", "POST", "/", form, "Action=GetCallerIdentity&Version=2010-01-01", "sts", 400, "InvalidAction", "Could not find operation GetCallerIdentity for version 2010-01-01. There are those of sts."},
		{"unknown", "POST", "/", form, "Action=Nothing&Version=2011-06-15", "sts", 400, "InvalidAction", "Could not find operation Nothing for version 2011-06-15."},
		{"refused", "POST", "/", form, "Action=GetSessionToken&Version=2011-06-15", "sts", 400, "InvalidAction", "weir does not do sts:GetSessionToken"},
		{"no action", "POST", "/", form, "Version=2011-06-15", "sts", 400, "MissingAction", "needs one Action"},
		{"two actions", "POST", "/", form, "Action=a&Action=b", "sts", 400, "MissingAction", "needs one Action"},
		{"no form", "POST", "/", form, "Action=%zz", "sts", 404, "MalformedQueryString", "The body is not a form."},
		{"GET", "GET", "/", form, "", "sts", 404, "InvalidAction", "Operations are called by POST / here."},
		{"elsewhere", "POST", "/x", form, "", "sts", 404, "InvalidAction", "Operations are called by POST / here."},
		{"too long", "POST", "/", form, "a=" + strings.Repeat("b", 1<<20), "sts", 413, "RequestEntityTooLargeException", "longer than"},
	} {
		t.Run(test.name, func(t *testing.T) {
			req, err := http.NewRequest(test.method, url+test.path, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", test.content)
			if test.signed != "" {
				sign(t, req, test.body, test.signed)
			}
			res, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if got := res.Header.Get("Content-Type"); res.StatusCode != test.status || got != "text/xml" {
				t.Errorf("%d, %s: %s", res.StatusCode, got, body)
			}
			if test.code == "" {
				want := `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:root</Arn><UserId>123456789012</UserId><Account>123456789012</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>` +
					res.Header.Get("X-Amzn-Requestid") + `</RequestId></ResponseMetadata></GetCallerIdentityResponse>`
				if diff := cmp.Diff(want, string(body)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				return
			}
			var got failure
			if err := xml.Unmarshal(body, &got); err != nil {
				t.Fatalf("%v: %s", err, body)
			}
			want := xml.Name{Space: "https://sts.amazonaws.com/doc/2011-06-15/", Local: "ErrorResponse"}
			if got.XMLName != want || got.Error.Type != "Sender" || got.ID == "" || got.ID != res.Header.Get("X-Amzn-Requestid") {
				t.Errorf("%s", body)
			}
			if got.Error.Code != test.code || !strings.Contains(got.Error.Message, test.message) {
				t.Errorf("%s: %s\nwant %s: %s", got.Error.Code, got.Error.Message, test.code, test.message)
			}
		})
	}
}

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

func sign(t *testing.T, req *http.Request, body, service string) {
	t.Helper()
	err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: "AKIAROOT", SecretAccessKey: secret}, req, sum(body), service, "local", time.Now())
	if err != nil {
		t.Fatal(err)
	}
}

// The signature is over the form: one byte of it changed does not verify.
func TestFormIsSigned(t *testing.T) {
	url, _ := serve(t)
	const body = "Action=GetCallerIdentity&Version=2011-06-15"
	for i := range body {
		changed := body[:i] + string(body[i]^1) + body[i+1:]
		req, err := http.NewRequest("POST", url+"/", strings.NewReader(changed))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		sign(t, req, body, "sts")
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusForbidden {
			t.Errorf("byte %d: %d", i, res.StatusCode)
		}
	}
}
