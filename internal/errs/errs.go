// Package errs says what went wrong in weir's own words. It knows no wire
// format: the faces (ociapi, awsapi, console) each own a table from Code to
// what their clients expect.
//
// Return *Error where the meaning is known and wrap it above with fmt.Errorf
// and %w. An error without a Code is internal: its text goes to the log and
// never to a client.
package errs

import (
	"errors"
	"fmt"
	"time"
)

// Code is the class of a failure. The zero value is Internal.
type Code int

// The classes. Every face answers each of them; tests walk Codes.
const (
	Internal            Code = iota // a fault of weir's own; its text is never sent
	RepoUnknown                     // no such repository, and no rule that could make it
	ManifestUnknown                 // no such tag or manifest
	BlobUnknown                     // no such blob, or no link to it in this repository
	ManifestBlobUnknown             // a pushed manifest names something that is not there
	NameInvalid                     // malformed repository name
	TagInvalid                      // malformed tag
	DigestInvalid                   // malformed digest, or an algorithm that weir does not have
	DigestMismatch                  // bytes do not match their digest
	ManifestInvalid                 // a manifest that cannot be accepted
	ManifestTooLarge                // a manifest over oci.MaxManifestSize
	ParamInvalid                    // any other malformed input
	RangeInvalid                    // a range that the content does not have
	Unauthenticated                 // who is asking is not known
	Denied                          // who is asking may not do this
	Unsupported                     // weir does not do this (yet)
	RateLimited                     // the caller asks too often
	StorageFull                     // no room
	RuleUnknown                     // no such rule
	UpstreamUnreachable             // no way to the upstream: DNS, connect, TLS, proxy, 502, 503
	UpstreamTimeout                 // the upstream did not answer in time, or answered 504
	UpstreamFailed                  // the upstream answered, but with an error or nonsense
	UpstreamDenied                  // the upstream answered 401 or 403
	UpstreamRateLimited             // the upstream answered 429
	Unavailable                     // weir is starting or draining
	RuleExists                      // a rule with this prefix is there
	UnsupportedUpstream             // no rule can have this upstream
	SecretUnknown                   // no such secret, or no such version of it
	SecretExists                    // a secret with this name, or a version with this token, is there
	UserUnknown                     // no such user
	UserExists                      // a user with this name is there
	KeyUnknown                      // no such access key
	PolicyUnknown                   // the user has no such policy, or a repository or the registry none
	LimitExceeded                   // more than there may be of something
	Conflict                        // what is there is in a state that does not allow it
	RepoExists                      // a repository with this name is there
	RepoNotEmpty                    // the repository still has images
	TemplateUnknown                 // no such repository creation template
	TemplateExists                  // a repository creation template with this prefix is there
	UploadUnknown                   // no such upload in this repository
	UploadInvalid                   // the upload is in a state that does not allow it
	SizeInvalid                     // as many bytes came as were not said to come
	TagImmutable                    // the tag is another image's, and may not be moved
	ImageReferenced                 // the image is part of an index that is there
	ImageArchived                   // the image is in the archive: it is restored before it is pulled
	LifecycleUnknown                // the repository has no lifecycle policy
	PreviewUnknown                  // no preview of a lifecycle policy was made in the repository
	PreviewRunning                  // one is being made
	StorageUnsupported              // the image cannot have this storage class now
	SettingUnknown                  // nobody set this
	SettingExists                   // it is set already
	ScanUnknown                     // the image was not scanned
	UploadEmpty                     // an upload is to be ended that has no bytes
	PartTooSmall                    // a part of an upload, not its last, is too short
	BlobExists                      // the repository has the blob already
	ImageExists                     // the repository has the image already, and by that tag
	ChildUnknown                    // a pushed index names an image that is not there
	codes
)

var names = [codes]string{
	"Internal", "RepoUnknown", "ManifestUnknown", "BlobUnknown", "ManifestBlobUnknown", "NameInvalid",
	"TagInvalid", "DigestInvalid", "DigestMismatch", "ManifestInvalid", "ManifestTooLarge", "ParamInvalid",
	"RangeInvalid", "Unauthenticated", "Denied", "Unsupported", "RateLimited", "StorageFull", "RuleUnknown",
	"UpstreamUnreachable", "UpstreamTimeout", "UpstreamFailed", "UpstreamDenied", "UpstreamRateLimited",
	"Unavailable", "RuleExists", "UnsupportedUpstream", "SecretUnknown", "SecretExists", "UserUnknown",
	"UserExists", "KeyUnknown", "PolicyUnknown", "LimitExceeded", "Conflict",
	"RepoExists", "RepoNotEmpty", "TemplateUnknown", "TemplateExists",
	"UploadUnknown", "UploadInvalid", "SizeInvalid", "TagImmutable", "ImageReferenced",
	"ImageArchived", "LifecycleUnknown", "PreviewUnknown", "PreviewRunning", "StorageUnsupported",
	"SettingUnknown", "SettingExists", "ScanUnknown",
	"UploadEmpty", "PartTooSmall", "BlobExists", "ImageExists", "ChildUnknown",
}

func (c Code) String() string {
	if c < 0 || c >= codes {
		return fmt.Sprintf("Code(%d)", int(c))
	}
	return names[c]
}

// Codes returns every code, for tests that a table is complete.
func Codes() []Code {
	all := make([]Code, codes)
	for i := range all {
		all[i] = Code(i)
	}
	return all
}

// ErrNoCredential is in the chain of an UpstreamDenied where the upstream was not asked,
// since the credential that weir has for it cannot be read.
var ErrNoCredential = errors.New("no credential")

// ErrNoLogin is in the chain of an UpstreamDenied that is not of what was asked for: the
// credential, or its lack, is refused, or does not go where the upstream wants it.
var ErrNoLogin = errors.New("no login")

// Error is a failure whose meaning is known.
type Error struct {
	Code       Code
	Msg        string        // for the caller: what is wrong and what to do
	Unnamed    string        // Msg for those who may not know what was asked for; "": Msg does not name it
	Detail     any           // for the caller, where the wire has room for it; may be nil
	RetryAfter time.Duration // when asking again makes sense; 0: not known
	Err        error         // the cause, for the log only; may be nil
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Msg
	}
	return e.Msg + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// WithoutName returns e as it is told to others than who asked: its message names neither
// the repository nor the tag that it is about.
func (e *Error) WithoutName() *Error {
	if e.Unnamed == "" {
		return e
	}
	other := *e
	other.Msg, other.Unnamed = e.Unnamed, ""
	return &other
}

// New returns an *Error with a formatted message and no cause.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Msg: fmt.Sprintf(format, args...)}
}

// Wrap returns an *Error whose cause is err.
func Wrap(code Code, err error, format string, args ...any) *Error {
	return &Error{Code: code, Msg: fmt.Sprintf(format, args...), Err: err}
}

// As returns the first *Error in err's chain, or nil.
func As(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// CodeOf returns the code of the first *Error in err's chain, Internal if there is none.
func CodeOf(err error) Code {
	if e := As(err); e != nil {
		return e.Code
	}
	return Internal
}
