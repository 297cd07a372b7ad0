package awsapi

import (
	"errors"

	"github.com/weir-registry/weir/internal/errs"
)

// NameOf returns the exception as which err is answered by a service that has no
// Exceptions.
func NameOf(err error) string {
	var x *exception
	if errors.As(err, &x) {
		return x.name
	}
	return wireOf(errs.CodeOf(err)).exception
}

// Rename gives a failure another name, and status 400. Its words stay: err has an
// errs.Code.
func Rename(err error, name string) error { return &exception{name: name, err: errs.As(err)} }
