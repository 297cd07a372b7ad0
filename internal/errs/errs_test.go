package errs_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/errs"
)

func TestCodesHaveNames(t *testing.T) {
	seen := map[string]errs.Code{}
	for i, c := range errs.Codes() {
		if int(c) != i {
			t.Errorf("Codes()[%d] = %d", i, c)
		}
		name := c.String()
		if name == "" || strings.HasPrefix(name, "Code(") {
			t.Errorf("code %d has no name", c)
		}
		if other, dup := seen[name]; dup {
			t.Errorf("codes %d and %d are both %s", other, c, name)
		}
		seen[name] = c
	}
	if len(seen) < 20 {
		t.Errorf("Codes() has only %d codes", len(seen))
	}
}

// The table of names is by position, so a code put in between would shift them.
func TestCodeNames(t *testing.T) {
	for _, test := range []struct {
		code errs.Code
		want string
	}{
		{errs.Internal, "Internal"},
		{errs.RepoUnknown, "RepoUnknown"},
		{errs.ManifestUnknown, "ManifestUnknown"},
		{errs.BlobUnknown, "BlobUnknown"},
		{errs.ManifestBlobUnknown, "ManifestBlobUnknown"},
		{errs.NameInvalid, "NameInvalid"},
		{errs.TagInvalid, "TagInvalid"},
		{errs.DigestInvalid, "DigestInvalid"},
		{errs.DigestMismatch, "DigestMismatch"},
		{errs.ManifestInvalid, "ManifestInvalid"},
		{errs.ManifestTooLarge, "ManifestTooLarge"},
		{errs.ParamInvalid, "ParamInvalid"},
		{errs.RangeInvalid, "RangeInvalid"},
		{errs.Unauthenticated, "Unauthenticated"},
		{errs.Denied, "Denied"},
		{errs.Unsupported, "Unsupported"},
		{errs.RateLimited, "RateLimited"},
		{errs.StorageFull, "StorageFull"},
		{errs.RuleUnknown, "RuleUnknown"},
		{errs.UpstreamUnreachable, "UpstreamUnreachable"},
		{errs.UpstreamTimeout, "UpstreamTimeout"},
		{errs.UpstreamFailed, "UpstreamFailed"},
		{errs.UpstreamDenied, "UpstreamDenied"},
		{errs.UpstreamRateLimited, "UpstreamRateLimited"},
		{errs.Unavailable, "Unavailable"},
		{errs.RuleExists, "RuleExists"},
		{errs.UnsupportedUpstream, "UnsupportedUpstream"},
		{errs.SecretUnknown, "SecretUnknown"},
		{errs.SecretExists, "SecretExists"},
		{errs.UserUnknown, "UserUnknown"},
		{errs.UserExists, "UserExists"},
		{errs.KeyUnknown, "KeyUnknown"},
		{errs.PolicyUnknown, "PolicyUnknown"},
		{errs.LimitExceeded, "LimitExceeded"},
		{errs.Conflict, "Conflict"},
		{errs.RepoExists, "RepoExists"},
		{errs.RepoNotEmpty, "RepoNotEmpty"},
		{errs.TemplateUnknown, "TemplateUnknown"},
		{errs.TemplateExists, "TemplateExists"},
		{errs.UploadUnknown, "UploadUnknown"},
		{errs.UploadInvalid, "UploadInvalid"},
		{errs.SizeInvalid, "SizeInvalid"},
		{errs.TagImmutable, "TagImmutable"},
		{errs.ImageReferenced, "ImageReferenced"},
		{errs.ImageArchived, "ImageArchived"},
		{errs.LifecycleUnknown, "LifecycleUnknown"},
		{errs.PreviewUnknown, "PreviewUnknown"},
		{errs.PreviewRunning, "PreviewRunning"},
		{errs.StorageUnsupported, "StorageUnsupported"},
		{errs.SettingUnknown, "SettingUnknown"},
		{errs.SettingExists, "SettingExists"},
		{errs.ScanUnknown, "ScanUnknown"},
		{-1, "Code(-1)"},
		{errs.Code(len(errs.Codes())), fmt.Sprintf("Code(%d)", len(errs.Codes()))},
	} {
		t.Run(test.want, func(t *testing.T) {
			if got := test.code.String(); got != test.want {
				t.Errorf("String() = %q, want %q", got, test.want)
			}
		})
	}
}

func TestError(t *testing.T) {
	known := errs.New(errs.TagInvalid, "tag %q", "x")
	wrapped := errs.Wrap(errs.UpstreamFailed, io.ErrUnexpectedEOF, "upstream %s", "quay.io")
	limited := &errs.Error{Code: errs.UpstreamRateLimited, Msg: "slow down", RetryAfter: time.Minute, Detail: 7}
	plain := errors.New("plain")
	for _, test := range []struct {
		name string
		err  error
		text string
		as   *errs.Error
		code errs.Code
	}{
		{"new", known, `tag "x"`, known, errs.TagInvalid},
		{"with cause", wrapped, "upstream quay.io: unexpected EOF", wrapped, errs.UpstreamFailed},
		{"wrapped by fmt", fmt.Errorf("check: %w", limited), "check: slow down", limited, errs.UpstreamRateLimited},
		{"joined", errors.Join(plain, known), "plain\ntag \"x\"", known, errs.TagInvalid},
		{"the outer meaning counts", errs.Wrap(errs.ParamInvalid, known, "rule"), `rule: tag "x"`, nil, errs.ParamInvalid},
		{"untyped", plain, "plain", nil, errs.Internal},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.err.Error(); got != test.text {
				t.Errorf("Error() = %q, want %q", got, test.text)
			}
			if got := errs.As(test.err); test.as != nil && got != test.as {
				t.Errorf("As() = %v, want %v", got, test.as)
			}
			if got := errs.CodeOf(test.err); got != test.code {
				t.Errorf("CodeOf() = %v, want %v", got, test.code)
			}
		})
	}
	if !errors.Is(wrapped, io.ErrUnexpectedEOF) {
		t.Error("the cause is not in the chain")
	}
	if got := errs.As(nil); got != nil {
		t.Errorf("As(nil) = %v", got)
	}
	if got := errs.As(plain); got != nil {
		t.Errorf("As(untyped) = %v", got)
	}
	want := errs.Error{Code: errs.UpstreamFailed, Msg: "upstream quay.io", Err: io.ErrUnexpectedEOF}
	if diff := cmp.Diff(want, *wrapped, cmp.Comparer(func(a, b error) bool { return errors.Is(a, b) })); diff != "" {
		t.Errorf("Wrap (-want +got):\n%s", diff)
	}
}
