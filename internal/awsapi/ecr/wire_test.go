package ecr_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/awsapi/ecr"
)

// TestWire pins the JSON itself: what is there, what is left out, how times are
// written. Terraform takes a member that comes or goes for a change that somebody
// made.
func TestWire(t *testing.T) {
	s := start(t, ecr.Options{Host: "weir.example:5000"}, nil)
	d := s.put(t, "hub/app", "", 0, "a")
	for _, tt := range []struct{ op, in, want string }{
		{"DescribeRepositories", `{}`, `{"repositories":[{"createdAt":1772366400.250,"encryptionConfiguration":{"encryptionType":"AES256"},"imageScanningConfiguration":{"scanOnPush":false},` +
			`"imageTagMutability":"MUTABLE","registryId":"123456789012","repositoryArn":"arn:aws:ecr:local:123456789012:repository/hub/app","repositoryName":"hub/app","repositoryUri":"weir.example:5000/hub/app"}]}`},
		{"ListImages", `{"repositoryName":"hub/app"}`, `{"imageIds":[{"imageDigest":"DIGEST"}]}`},
		{"ListImages", `{"repositoryName":"hub/app","filter":{"tagStatus":"TAGGED"}}`, `{"imageIds":[]}`},
		{"DescribeImages", `{"repositoryName":"hub/app"}`, `{"imageDetails":[{"artifactMediaType":"application/vnd.oci.image.config.v1+json","imageDigest":"DIGEST",` +
			`"imageManifestMediaType":"application/vnd.oci.image.manifest.v1+json","imagePushedAt":1772366400.250,"imageSizeInBytes":7,"imageStatus":"ACTIVE",` +
			`"lastRecordedPullTime":1772366400.250,"registryId":"123456789012","repositoryName":"hub/app"}]}`},
		{"DescribeRegistry", `{}`, `{"registryId":"123456789012","replicationConfiguration":{"rules":[]}}`},
		{"ListTagsForResource", `{"resourceArn":"arn:aws:ecr:local:123456789012:repository/hub/app"}`, `{}`},
		{"ListTagsForResource", `{"resourceArn":"arn:aws:ecr:local:123456789012:repository/no/app"}`, `{"__type":"RepositoryNotFoundException","message":"The repository with name 'no/app' does not exist in the registry with id '123456789012'"}`},
		{"ListTagsForResource", `{"resourceArn":"arn:aws:ecr:local:999999999999:repository/hub/app"}`, `{"__type":"RepositoryNotFoundException","message":"The repository with name 'hub/app' does not exist in the registry with id '999999999999'"}`},
		{"ListTagsForResource", `{"resourceArn":"arn:aws:s3:::bucket"}`, `{"__type":"InvalidParameterException","message":"Invalid parameter at 'resourceArn' failed to satisfy constraint: 'Invalid ARN'"}`},
		{"ListTagsForResource", `{"resourceArn":"arn:aws:ecr:local:123456789012:repository/A"}`, `{"__type":"InvalidParameterException","message":"Invalid parameter at 'resourceArn' failed to satisfy constraint: 'Invalid ARN'"}`},
		{"ListImages", `{"repositoryName":"no/app"}`, `{"__type":"RepositoryNotFoundException","message":"The repository with name 'no/app' does not exist in the registry with id '123456789012'"}`},
	} {
		_, got := s.call(t, tt.op, tt.in)
		if d := cmp.Diff(strings.ReplaceAll(tt.want, "DIGEST", string(d)), got); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.op, d)
		}
	}
}
