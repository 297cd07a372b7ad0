// Package oci has the words of the OCI specifications: repository names, tags,
// digests, references, descriptors, manifests and what they name. It parses,
// validates and walks; it does no I/O.
//
// Names follow the distribution specification, section "Pull"; manifests the
// image specification 1.1 and Docker's schema 2, read leniently: bytes that came
// from elsewhere are never changed, and fields that are not known are ignored.
package oci

import (
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
)

// MaxRepository is the longest repository name in bytes, as in ECR.
const MaxRepository = 256

// MaxTag is the longest tag in bytes.
const MaxTag = 128

// ParseRepository returns s if it is a repository name of the distribution
// specification of at most MaxRepository bytes. Errors: errs.NameInvalid.
func ParseRepository(s string) (string, error) {
	if s == "" {
		return "", errs.New(errs.NameInvalid, "repository name is empty")
	}
	if len(s) > MaxRepository {
		return "", errs.New(errs.NameInvalid, "repository name is longer than %d bytes", MaxRepository)
	}
	for part := range strings.SplitSeq(s, "/") {
		if !component(part) {
			return "", errs.New(errs.NameInvalid, "repository name %q is malformed: %q is not lower-case letters and digits, separated by one '.', one or two '_', or any number of '-'", s, part)
		}
	}
	return s, nil
}

// component matches [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*.
func component(s string) bool {
	for i := 0; i < len(s); {
		start := i
		for i < len(s) && alnum(s[i]) {
			i++
		}
		if i == start {
			return false
		}
		if i == len(s) {
			return true
		}
		sep := i
		for i < len(s) && s[i] == s[sep] {
			i++
		}
		n := i - sep
		switch s[sep] {
		case '.':
			if n > 1 {
				return false
			}
		case '_':
			if n > 2 {
				return false
			}
		case '-':
		default:
			return false
		}
	}
	return false
}

func alnum(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// ParseTag returns s if it is a tag: [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}.
// Errors: errs.TagInvalid.
func ParseTag(s string) (string, error) {
	ok := s != "" && len(s) <= MaxTag && s[0] != '.' && s[0] != '-'
	for i := 0; ok && i < len(s); i++ {
		c := s[i]
		ok = alnum(c) || c >= 'A' && c <= 'Z' || c == '_' || c == '.' || c == '-'
	}
	if !ok {
		return "", errs.New(errs.TagInvalid, "tag %q is malformed: up to %d letters, digits, '_', '.' and '-', not starting with '.' or '-'", clip(s), MaxTag)
	}
	return s, nil
}

// ParseDigest returns s as a digest if its algorithm is sha256 or sha512 and its
// hex is lower case and of the right length. Errors: errs.DigestInvalid.
func ParseDigest(s string) (digest.Digest, error) {
	alg, hex, ok := strings.Cut(s, ":")
	want := 0
	switch alg {
	case "sha256":
		want = 64
	case "sha512":
		want = 128
	default:
		if ok {
			return "", errs.New(errs.DigestInvalid, "digest algorithm %q is not supported: sha256 and sha512 are", clip(alg))
		}
	}
	ok = ok && len(hex) == want
	for i := 0; ok && i < len(hex); i++ {
		c := hex[i]
		ok = c >= '0' && c <= '9' || c >= 'a' && c <= 'f'
	}
	if !ok {
		return "", errs.New(errs.DigestInvalid, "digest %q is malformed: <algorithm>:<lower-case hex>", clip(s))
	}
	return digest.Digest(s), nil
}

// NewHash returns the hash of a digest that ParseDigest accepted.
func NewHash(d digest.Digest) hash.Hash {
	if strings.HasPrefix(string(d), "sha512:") {
		return sha512.New()
	}
	return sha256.New()
}

// SumIs says whether h, having seen all bytes, has the value of d.
func SumIs(h hash.Hash, d digest.Digest) bool {
	_, hex, _ := strings.Cut(string(d), ":")
	return fmt.Sprintf("%x", h.Sum(nil)) == hex
}

// Reference is what a manifest is asked by: a tag or a digest, never both.
type Reference struct {
	Tag    string
	Digest digest.Digest
}

// ParseReference reads the last path element of a manifest URL.
// Errors: errs.TagInvalid, errs.DigestInvalid.
func ParseReference(s string) (Reference, error) {
	if strings.Contains(s, ":") {
		d, err := ParseDigest(s)
		return Reference{Digest: d}, err
	}
	t, err := ParseTag(s)
	return Reference{Tag: t}, err
}

func (r Reference) String() string {
	if r.Digest != "" {
		return string(r.Digest)
	}
	return r.Tag
}

// clip keeps what a stranger sent short enough for a message.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
