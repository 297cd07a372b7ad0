package oci_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
)

var (
	hex256 = strings.Repeat("0123456789abcdef", 4)
	hex512 = strings.Repeat("0123456789abcdef", 8)
)

// wantCode fails unless err has the code; an empty message is a failure too.
func wantCode(t *testing.T, err error, code errs.Code) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %v", code)
	}
	if got := errs.CodeOf(err); got != code || errs.As(err) == nil || errs.As(err).Msg == "" {
		t.Fatalf("error %q has code %v, want %v", err, got, code)
	}
}

func TestParseRepository(t *testing.T) {
	for _, test := range []struct {
		name, in string
		ok       bool
	}{
		{"one letter", "a", true},
		{"digits", "123", true},
		{"path", "ecr-public/amazonlinux/amazonlinux", true},
		{"dot", "a.b", true},
		{"underscore", "a_b", true},
		{"two underscores", "a__b", true},
		{"dashes", "a---b", true},
		{"several separators", "a.b_c__d-e--f", true},
		{"longest", strings.Repeat("a", oci.MaxRepository), true},
		{"longest path", strings.Repeat("ab/", oci.MaxRepository/3) + "c", true},
		{"empty", "", false},
		{"one byte too long", strings.Repeat("a", oci.MaxRepository+1), false},
		{"upper case", "Library/nginx", false},
		{"two dots", "a..b", false},
		{"three underscores", "a___b", false},
		{"mixed separators", "a._b", false},
		{"dash then dot", "a-.b", false},
		{"separator first", "-a", false},
		{"separator last", "a-", false},
		{"separator at the end of a part", "a_/b", false},
		{"slash first", "/a", false},
		{"slash last", "a/", false},
		{"two slashes", "a//b", false},
		{"dot part", "a/./b", false},
		{"parent part", "a/../b", false},
		{"only parent", "..", false},
		{"escaped slash", "a%2fb", false},
		{"backslash", `a\b`, false},
		{"colon", "a:b", false},
		{"space", "a b", false},
		{"newline at the end", "a\n", false},
		{"NUL", "a\x00b", false},
		{"not ASCII", "ä", false},
		{"invalid UTF-8", "a\xff", false},
		{"full-width letter", "ａ", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := oci.ParseRepository(test.in)
			if !test.ok {
				wantCode(t, err, errs.NameInvalid)
				return
			}
			if err != nil || got != test.in {
				t.Fatalf("ParseRepository(%q) = %q, %v", test.in, got, err)
			}
		})
	}
}

func TestParseTag(t *testing.T) {
	for _, test := range []struct {
		name, in string
		ok       bool
	}{
		{"latest", "latest", true},
		{"version", "1.2.3-rc.1_amd64", true},
		{"upper case", "V1", true},
		{"underscore first", "_x", true},
		{"referrers fallback", "sha256-" + hex256, true},
		{"longest", strings.Repeat("t", oci.MaxTag), true},
		{"empty", "", false},
		{"one byte too long", strings.Repeat("t", oci.MaxTag+1), false},
		{"dot first", ".x", false},
		{"dash first", "-x", false},
		{"parent", "..", false},
		{"slash", "a/b", false},
		{"plus", "1.0+2", false},
		{"colon", "a:b", false},
		{"space", "a b", false},
		{"newline at the end", "a\n", false},
		{"not ASCII", "é", false},
		{"NUL", "\x00", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := oci.ParseTag(test.in)
			if !test.ok {
				wantCode(t, err, errs.TagInvalid)
				return
			}
			if err != nil || got != test.in {
				t.Fatalf("ParseTag(%q) = %q, %v", test.in, got, err)
			}
		})
	}
}

func TestParseDigest(t *testing.T) {
	for _, test := range []struct {
		name, in string
		ok       bool
	}{
		{"sha256", "sha256:" + hex256, true},
		{"sha512", "sha512:" + hex512, true},
		{"empty", "", false},
		{"algorithm alone", "sha256", false},
		{"no hex", "sha256:", false},
		{"no algorithm", ":" + hex256, false},
		{"hex alone", hex256, false},
		{"one digit less", "sha256:" + hex256[1:], false},
		{"one digit more", "sha256:" + hex256 + "0", false},
		{"length of the other", "sha512:" + hex256, false},
		{"upper-case hex", "sha256:" + strings.ToUpper(hex256), false},
		{"upper-case algorithm", "SHA256:" + hex256, false},
		{"no hex digit", "sha256:" + strings.Repeat("g", 64), false},
		{"path", "sha256:" + strings.Repeat("../", 21) + "a", false},
		{"two colons", "sha256::" + hex256[1:], false},
		{"newline at the end", "sha256:" + hex256[1:] + "\n", false},
		{"sha384", "sha384:" + strings.Repeat("0", 96), false},
		{"sha1", "sha1:" + strings.Repeat("0", 40), false},
		{"compound algorithm", "sha256+b64u:" + hex256, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := oci.ParseDigest(test.in)
			if !test.ok {
				wantCode(t, err, errs.DigestInvalid)
				return
			}
			if err != nil || string(got) != test.in {
				t.Fatalf("ParseDigest(%q) = %q, %v", test.in, got, err)
			}
		})
	}
}

func TestParseReference(t *testing.T) {
	for _, test := range []struct {
		name, in string
		want     oci.Reference
		code     errs.Code // errs.Internal: none
	}{
		{"tag", "latest", oci.Reference{Tag: "latest"}, errs.Internal},
		{"digest", "sha256:" + hex256, oci.Reference{Digest: digest.Digest("sha256:" + hex256)}, errs.Internal},
		{"hex is a tag", hex256, oci.Reference{Tag: hex256}, errs.Internal},
		{"empty", "", oci.Reference{}, errs.TagInvalid},
		{"bad tag", "-x", oci.Reference{}, errs.TagInvalid},
		{"tag and digest", "latest@sha256:" + hex256, oci.Reference{}, errs.DigestInvalid},
		{"unknown algorithm", "md5:" + hex256[:32], oci.Reference{}, errs.DigestInvalid},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := oci.ParseReference(test.in)
			if test.code != errs.Internal {
				wantCode(t, err, test.code)
			} else if err != nil || got.String() != test.in {
				t.Fatalf("ParseReference(%q) = %q, %v", test.in, got, err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("reference (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHash(t *testing.T) {
	content := []byte("weir")
	for _, test := range []struct {
		name string
		d    digest.Digest
		want bool
	}{
		{"sha256", digest.Digest(fmt.Sprintf("sha256:%x", sha256.Sum256(content))), true},
		{"sha512", digest.Digest(fmt.Sprintf("sha512:%x", sha512.Sum512(content))), true},
		{"other bytes", digest.Digest("sha256:" + hex256), false},
		{"no digest", "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := oci.NewHash(test.d)
			h.Write(content)
			for range 2 { // SumIs leaves the hash as it is
				if got := oci.SumIs(h, test.d); got != test.want {
					t.Errorf("SumIs = %v, want %v", got, test.want)
				}
			}
		})
	}
}

// A stranger's text in a message is short, whatever its length.
func TestMessagesAreShort(t *testing.T) {
	long := strings.Repeat("ä", 1<<20)
	for name, parse := range map[string]func() error{
		"repository": func() error { _, err := oci.ParseRepository(long); return err },
		"tag":        func() error { _, err := oci.ParseTag(long); return err },
		"digest":     func() error { _, err := oci.ParseDigest("sha256:" + long); return err },
		"algorithm":  func() error { _, err := oci.ParseDigest(long + ":00"); return err },
		"header":     func() error { _, err := oci.ManifestType(long, []byte("{}")); return err },
		"media type": func() error { _, err := oci.ManifestType("", []byte(`{"mediaType":"`+long+`"}`)); return err },
		"layer":      func() error { _, err := oci.ManifestType("", []byte(`{"layers":[{"digest":"`+long+`"}]}`)); return err },
	} {
		t.Run(name, func(t *testing.T) {
			err := parse()
			if err == nil || len(err.Error()) > 1000 {
				t.Errorf("error of %d bytes", len(fmt.Sprint(err)))
			}
		})
	}
}
