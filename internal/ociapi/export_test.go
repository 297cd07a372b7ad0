package ociapi

import "github.com/weir-registry/weir/internal/errs"

// What tests script and look into.
type (
	Puller  = puller
	Content = content
	Pusher  = pusher
)

// NewScripted is New with anything that pulls.
var NewScripted = newFace

// WireOf is the table of errors.
func WireOf(c errs.Code) (code string, status int) {
	w := wireOf(c)
	return w.code, w.status
}

// Span is a range of bytes [Start, End).
type Span struct{ Start, End int64 }

// Ranges is the reading of a Range header.
func Ranges(header string, size int64) ([]Span, error) {
	spans, err := ranges(header, size)
	var all []Span
	for _, s := range spans {
		all = append(all, Span{s.start, s.end})
	}
	return all, err
}
