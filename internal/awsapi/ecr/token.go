package ecr

import (
	"context"

	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/errs"
)

// getAuthorizationToken answers for whatever registry IDs are asked, since a caller's
// token is the same everywhere: the endpoint is made of the ID, in the only form that
// ECR's own clients take.
func (s *service) getAuthorizationToken(ctx context.Context, c *awsapi.Call, in GetAuthorizationTokenRequest) (*GetAuthorizationTokenResponse, error) {
	token, expires, err := s.tokens.Token(ctx, c.Caller)
	if err != nil {
		return nil, err
	}
	ids := in.RegistryIds
	if len(ids) == 0 {
		ids = []string{s.id}
	}
	out := &GetAuthorizationTokenResponse{}
	for _, id := range ids {
		out.AuthorizationData = append(out.AuthorizationData, AuthorizationData{
			AuthorizationToken: token,
			ExpiresAt:          awsapi.Time{Time: expires},
			ProxyEndpoint:      "https://" + s.shapedHost(id),
		})
	}
	return out, nil
}

// ours refuses a registry ID that is not this registry's, where the operation is not
// about a repository. Left out it is this one.
func (s *service) ours(registryID string) error {
	if registryID == "" || registryID == s.id {
		return nil
	}
	return errs.New(errs.ParamInvalid, "%s", problem("registryId", "The only registry here is %s", s.id))
}
