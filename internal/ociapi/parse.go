package ociapi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
)

// maxPath is the longest path in bytes, escaped: a repository and a sha512 digest
// have room, and every byte of them escaped too.
const maxPath = 2048

// Kind is what a request asks for: the endpoints of the distribution
// specification, with their numbers there.
type Kind int

// The kinds.
const (
	Ping      Kind = iota // end-1
	Blob                  // end-2
	Manifest              // end-3
	Upload                // end-4a to end-6, end-11, end-13, end-14
	Push                  // end-7: of a manifest
	TagList               // end-8a, end-8b
	Delete                // end-9, end-10
	Referrers             // end-12a, end-12b
	Catalog               // Docker's, in no specification
	kinds
)

func (k Kind) String() string {
	return [kinds]string{"ping", "blob", "manifest", "upload", "push", "tag list", "delete", "referrers", "catalog"}[k]
}

// Request is a URL and method, understood.
type Request struct {
	Kind       Kind
	Head       bool // no body is wanted
	Repository string
	Reference  oci.Reference // of a Manifest, or what is pushed or deleted if it is one
	Digest     digest.Digest // of a Blob or Referrers, or what is deleted if it is a blob
	Upload     string        // ID of an Upload, as the client has it; "": one begins
}

// Parse understands a method and the escaped path of a URL. What comes out has no
// name, tag or digest that package oci does not accept, and no path is understood
// in two ways: dots, doubled slashes and escaped slashes are refused. Errors:
// errs.NameInvalid, TagInvalid, DigestInvalid, or errs.Unsupported if there is no
// such endpoint or method.
func Parse(method, escaped string) (Request, error) {
	rest, ok := strings.CutPrefix(escaped, "/v2")
	if rest == "" || rest == "/" {
		if !ok {
			return Request{}, noEndpoint()
		}
		return get(method, Request{Kind: Ping})
	}
	if !ok || rest[0] != '/' {
		return Request{}, noEndpoint()
	}
	parts, err := split(rest[1:])
	if err != nil {
		return Request{}, err
	}
	if len(parts) == 1 && parts[0] == "_catalog" {
		return get(method, Request{Kind: Catalog})
	}
	return parse(method, parts)
}

// split unescapes a path and takes it apart. The last part may be empty, as in an
// upload's URL.
func split(escaped string) ([]string, error) {
	if len(escaped) > maxPath {
		return nil, errs.New(errs.NameInvalid, "the path is longer than %d bytes", maxPath)
	}
	path, err := url.PathUnescape(escaped)
	if err != nil {
		return nil, errs.Wrap(errs.NameInvalid, err, "the path has a broken escape")
	}
	if strings.Count(path, "/") != strings.Count(escaped, "/") || strings.ContainsAny(path, "%\\") {
		return nil, errs.New(errs.NameInvalid, "the path has an escaped slash or percent sign, or a backslash")
	}
	parts := strings.Split(path, "/")
	for _, p := range parts[:len(parts)-1] {
		if p == "" {
			return nil, errs.New(errs.NameInvalid, "the path has two slashes in a row")
		}
	}
	if slices.Contains(parts, ".") || slices.Contains(parts, "..") {
		return nil, errs.New(errs.NameInvalid, "the path has a part of only dots")
	}
	return parts, nil
}

// parse looks at a path's end, as a repository may have any of these words in its
// name.
func parse(method string, parts []string) (req Request, err error) {
	n := len(parts)
	if n < 3 {
		return Request{}, noEndpoint()
	}
	verb, last := parts[n-2], parts[n-1]
	name := parts[:n-2]
	upload := n > 3 && parts[n-3] == "blobs" && verb == "uploads" || verb == "blobs" && last == "uploads"
	if n > 3 && verb == "uploads" {
		name = parts[:n-3]
	}
	if last == "" && !upload {
		return Request{}, noEndpoint()
	}
	if upload || verb == "manifests" || verb == "blobs" || verb == "referrers" || verb == "tags" && last == "list" {
		if req.Repository, err = oci.ParseRepository(strings.Join(name, "/")); err != nil {
			return Request{}, err
		}
	}
	switch {
	case upload:
		req.Kind = Upload
		if verb == "uploads" {
			req.Upload = last
		}
		return uploading(method, req)
	case verb == "manifests":
		req.Kind = Manifest
		if req.Reference, err = oci.ParseReference(last); err != nil {
			return Request{}, err
		}
		return write(method, req)
	case verb == "blobs":
		req.Kind = Blob
		if req.Digest, err = oci.ParseDigest(last); err != nil {
			return Request{}, err
		}
		return write(method, req)
	case verb == "tags" && last == "list":
		req.Kind = TagList
		return get(method, req)
	case verb == "referrers":
		req.Kind = Referrers
		if req.Digest, err = oci.ParseDigest(last); err != nil {
			return Request{}, err
		}
		return get(method, req)
	}
	return Request{}, noEndpoint()
}

// get is a request that reads.
func get(method string, req Request) (Request, error) {
	switch method {
	case http.MethodGet:
		return req, nil
	case http.MethodHead:
		req.Head = true
		return req, nil
	}
	return Request{}, noMethod("GET, HEAD")
}

// uploading is a request for an upload: POST begins one, and the others go on with it.
func uploading(method string, req Request) (Request, error) {
	if req.Upload == "" {
		if method != http.MethodPost {
			return Request{}, noMethod("POST")
		}
		return req, nil
	}
	switch method {
	case http.MethodGet, http.MethodPatch, http.MethodPut, http.MethodDelete:
		return req, nil
	}
	return Request{}, noMethod("GET, PATCH, PUT, DELETE")
}

// write is a request for content that can also be written or deleted.
func write(method string, req Request) (Request, error) {
	switch {
	case method == http.MethodPut && req.Kind == Manifest:
		req.Kind = Push
		return req, nil
	case method == http.MethodDelete:
		req.Kind = Delete
		return req, nil
	case method == http.MethodGet || method == http.MethodHead:
		return get(method, req)
	case req.Kind == Manifest:
		return Request{}, noMethod("GET, HEAD, PUT, DELETE")
	}
	return Request{}, noMethod("GET, HEAD, DELETE")
}

func noEndpoint() error {
	return absent("there is no such endpoint in the distribution API")
}
