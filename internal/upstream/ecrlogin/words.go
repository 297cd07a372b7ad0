package ecrlogin

import (
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"

	"github.com/weir-registry/weir/internal/errs"
)

const maxReason = 300 // bytes of the SDK's words in a message

// words makes the error of something that weir could not do. The SDK's own error is
// not its cause: where a signature does not match, that has all that was signed.
func (l *Login) words(what string, err error) error {
	by := "the AWS credentials of this machine"
	if l.o.Role != "" {
		by += " and the role " + l.o.Role
	}
	return errs.New(errs.UpstreamDenied, "cannot %s with %s: %s", what, by, reason(err))
}

func (l *Login) nonsense() error {
	return errs.New(errs.UpstreamDenied, "ECR's answer has no authorization token")
}

// reason is why, without the SDK's path of operations in front of it.
func reason(err error) string {
	var region *aws.MissingRegionError
	var api smithy.APIError
	var op *smithy.OperationError
	if errors.As(err, &op) {
		err = op.Err
	}
	text := err.Error()
	switch {
	case errors.As(err, &region), strings.Contains(text, "Missing Region"):
		return "no region: set AWS_REGION"
	case errors.As(err, &api):
		text = api.ErrorCode() + ": " + api.ErrorMessage()
	case strings.Contains(text, "failed to refresh cached credentials"):
		return "there are none in the environment, the shared files, or the container's or the instance's role"
	}
	text, _, _ = strings.Cut(text, "\n")
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "..."
	}
	return strings.TrimSpace(text)
}
