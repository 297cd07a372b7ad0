package ecrlogin_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/rule"
)

// Where the SDK would go, which nobody is asked for.
func TestEgress(t *testing.T) {
	const role = "arn:aws:iam::222222222222:role/pull"
	profile := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(profile, []byte("[profile keys]\naws_access_key_id = AKIAKEYS\naws_secret_access_key = s\n[profile assuming]\nrole_arn = "+role+"\nsource_profile = keys\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, host, role string
		env              map[string]string
		want             []string
	}{
		{name: "registry", host: registry, want: []string{"api.ecr.eu-west-1.amazonaws.com:443"}},
		{name: "role", host: registry, role: role, want: []string{"api.ecr.eu-west-1.amazonaws.com:443", "sts.eu-west-1.amazonaws.com:443"}},
		{name: "China", host: "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", role: role, want: []string{"api.ecr.cn-north-1.amazonaws.com.cn:443", "sts.cn-north-1.amazonaws.com.cn:443"}},
		{name: "FIPS", host: "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", want: []string{"api.ecr-fips.us-gov-west-1.amazonaws.com:443"}},
		{name: "dual stack", host: registry, env: map[string]string{"AWS_USE_DUALSTACK_ENDPOINT": "true"}, want: []string{"ecr.eu-west-1.api.aws:443"}},
		{
			name: "a role by the profile", host: registry,
			env:  map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_CONFIG_FILE": profile, "AWS_PROFILE": "assuming"},
			want: []string{"api.ecr.eu-west-1.amazonaws.com:443", "sts.eu-west-1.amazonaws.com:443"},
		},
		{
			name: "a role by a web identity", host: registry,
			env:  map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_WEB_IDENTITY_TOKEN_FILE": profile, "AWS_ROLE_ARN": role},
			want: []string{"api.ecr.eu-west-1.amazonaws.com:443", "sts.eu-west-1.amazonaws.com:443"},
		},
		{name: "another weir", host: "weir.corp:5000", env: map[string]string{"AWS_REGION": "local", "AWS_ENDPOINT_URL_ECR": "http://weir.corp:5000"}, want: []string{"weir.corp:5000"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := environment(t)
			t.Setenv("AWS_ENDPOINT_URL_ECR", "")
			t.Setenv("AWS_ENDPOINT_URL_STS", "")
			for k, v := range test.env {
				t.Setenv(k, v)
			}
			got, err := c.login(test.host, test.role).Egress(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var want []rule.Egress
			for _, host := range test.want {
				want = append(want, rule.Egress{Host: host, Why: rule.ForLogin})
			}
			for i := range got {
				got[i].Proxy = "" // the environment's, which is read once for all tests
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			c.asked(t)
		})
	}
}

func TestEgressIsNotKnown(t *testing.T) {
	for _, test := range []struct {
		name, host, role string
		env              map[string]string
		want             string
	}{
		{"no region", "weir.corp:5000", "", map[string]string{"AWS_ENDPOINT_URL_ECR": ""}, "no region: set AWS_REGION"},
		{"no region for the role", "weir.corp:5000", "arn:aws:iam::1:role/r", map[string]string{"AWS_ENDPOINT_URL_STS": ""}, "no region: set AWS_REGION"},
		{"no profile", registry, "", map[string]string{"AWS_PROFILE": "nobody"}, "failed to get shared config profile, nobody"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := environment(t)
			for k, v := range test.env {
				t.Setenv(k, v)
			}
			all, err := c.login(test.host, test.role).Egress(context.Background())
			if e := errs.As(err); e == nil || e.Code != errs.UpstreamDenied || !strings.HasSuffix(e.Msg, test.want) || all != nil {
				t.Errorf("%v, %v", all, err)
			}
		})
	}
}
