package ecrlogin

import (
	"context"
	"net/http"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/weir-registry/weir/internal/rule"
)

// Egress returns the services that AWS is asked at for a password, as the SDK resolves
// them: ECR's API, and STS for a role. It asks nobody. What is on the machine itself,
// such as an instance's metadata, and what a person logs in at are not among them.
// Errors: errs.UpstreamDenied, in words, with what the SDK says.
func (l *Login) Egress(ctx context.Context) ([]rule.Egress, error) {
	c, err := l.load(ctx)
	if err != nil {
		return nil, err
	}
	e := ecr.NewFromConfig(c).Options()
	at, err := e.EndpointResolverV2.ResolveEndpoint(ctx, ecr.EndpointParameters{
		Region:       region(c),
		Endpoint:     e.BaseEndpoint,
		UseFIPS:      aws.Bool(e.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled),
		UseDualStack: aws.Bool(e.EndpointOptions.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled),
	})
	if err != nil {
		return nil, l.words("get an authorization token from ECR", err)
	}
	urls := []url.URL{at.URI}
	if l.o.Role != "" || aws.IsCredentialsProvider(c.Credentials, (*stscreds.AssumeRoleProvider)(nil)) || aws.IsCredentialsProvider(c.Credentials, (*stscreds.WebIdentityRoleProvider)(nil)) {
		s := sts.NewFromConfig(c).Options()
		at, err := s.EndpointResolverV2.ResolveEndpoint(ctx, sts.EndpointParameters{
			Region:            region(c),
			Endpoint:          s.BaseEndpoint,
			UseFIPS:           aws.Bool(s.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled),
			UseDualStack:      aws.Bool(s.EndpointOptions.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled),
			UseGlobalEndpoint: aws.Bool(false),
		})
		if err != nil {
			return nil, l.words("assume a role", err)
		}
		urls = append(urls, at.URI)
	}
	var all []rule.Egress
	for _, u := range urls {
		// The SDK's client asks the environment, too; with a malformed one nothing is reached.
		proxy, _ := http.ProxyFromEnvironment(&http.Request{URL: &u})
		all = append(all, rule.EgressTo(&u, rule.ForLogin, proxy))
	}
	return all, nil
}

// region is nil, and not empty, where there is none.
func region(c aws.Config) *string {
	if c.Region == "" {
		return nil
	}
	return &c.Region
}
