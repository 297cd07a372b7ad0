package ecr_test

import (
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/awsapi/ecr"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

// TestReplicationConfiguration: it comes back as it was put, to the letter, and what it
// names that weir knows no address of is refused with what to write where.
func TestReplicationConfiguration(t *testing.T) {
	s := start(t, ecr.Options{}, nil)
	const (
		config = `{"rules":[{"destinations":[{"region":"west","registryId":"123456789012"},{"region":"east","registryId":"999999999999"}],"repositoryFilters":[{"filter":"prod","filterType":"PREFIX_MATCH"},{"filter":"a/","filterType":"PREFIX_MATCH"}]},` +
			`{"destinations":[{"region":"east","registryId":"999999999999"}]}]}`
		none = `{"rules":[]}`
	)
	for _, c := range []string{none, config, config, none} {
		status, body := s.call(t, "PutReplicationConfiguration", `{"replicationConfiguration":`+c+`}`)
		same(t, "put", `{"replicationConfiguration":`+c+`}`, body)
		same(t, "status", 200, status)
		_, body = s.call(t, "DescribeRegistry", `{}`)
		same(t, "described", `{"registryId":"123456789012","replicationConfiguration":`+c+`}`, body)
	}
	for _, tt := range []struct{ name, destination, says string }{
		{"unknown", `{"region":"north","registryId":"999999999999"}`, `under replication: destinations: [{region: north, registry_id: "999999999999", url: "https://HOST"}]`},
		{"itself", `{"region":"local","registryId":"123456789012"}`, "is this one"},
	} {
		status, body := s.call(t, "PutReplicationConfiguration", `{"replicationConfiguration":{"rules":[{"destinations":[`+tt.destination+`]}]}}`)
		if exception, message := failure(t, body); status != 400 || exception != "InvalidParameterException" || !strings.Contains(message, tt.says) {
			t.Errorf("%s: %d %s", tt.name, status, body)
		}
	}
	_, body := s.call(t, "DescribeRegistry", `{}`)
	same(t, "nothing was changed", `{"registryId":"123456789012","replicationConfiguration":{"rules":[]}}`, body)
}

func TestReplicationStatus(t *testing.T) {
	s := start(t, ecr.Options{}, nil)
	east, west := rule.Destination{Region: "east", RegistryID: other}, rule.Destination{Region: "west", RegistryID: registryID}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	must(s.db.CreateRepository(ctx, meta.Repository{Name: "app", Created: epoch}))
	const raw = `{"schemaVersion":2,"manifests":[]}`
	m := &oci.Manifest{Descriptor: oci.Descriptor{MediaType: oci.MediaTypeIndex, Digest: digest.FromString(raw)}, Raw: []byte(raw)}
	push := func() {
		must(s.db.PutImage(ctx, meta.Push{Repository: "app", Manifest: m, Tags: []string{"v1"}, At: epoch}))
	}
	want := func(id, statuses string) {
		t.Helper()
		_, body := s.call(t, "DescribeImageReplicationStatus", `{"repositoryName":"app","imageId":`+id+`,"registryId":"123456789012"}`)
		same(t, id, `{"imageId":`+id+`,"replicationStatuses":[`+statuses+`],"repositoryName":"app"}`, body)
	}
	const tag = `{"imageTag":"v1"}`
	push()
	want(tag, "")
	must(s.db.PutReplication(ctx, rule.Replication{{Destinations: []rule.Destination{west, east}}}))
	want(tag, "")
	push()
	want(tag, `{"region":"east","registryId":"999999999999","status":"IN_PROGRESS"},{"region":"west","registryId":"123456789012","status":"IN_PROGRESS"}`)
	now := time.Now()
	c, _, err := s.db.ClaimCopy(ctx, west, "one", now, now.Add(time.Minute))
	must(err)
	must(s.db.EndCopy(ctx, c, false, now))
	c, _, err = s.db.ClaimCopy(ctx, east, "two", now, now.Add(time.Minute))
	must(err)
	must(s.db.PostponeCopy(ctx, c, now, "DestinationRefused", "no"))
	_, err = s.db.GiveUpCopies(ctx, now, now, 10)
	must(err)
	want(`{"imageDigest":"`+string(m.Digest)+`"}`, `{"failureCode":"DestinationRefused","region":"east","registryId":"999999999999","status":"FAILED"},{"region":"west","registryId":"123456789012","status":"COMPLETE"}`)

	for _, tt := range []struct{ in, exception, message string }{
		{`{"repositoryName":"app","imageId":{"imageTag":"v2"}}`, "ImageNotFoundException", "The image with imageId {imageDigest:'null', imageTag:'v2'} does not exist within the repository with name 'app' in the registry with id '123456789012'"},
		{`{"repositoryName":"none","imageId":{"imageTag":"v1"}}`, "RepositoryNotFoundException", "The repository with name 'none' does not exist in the registry with id '123456789012'"},
		{`{"repositoryName":"app","imageId":{"imageTag":"v1"},"registryId":"999999999999"}`, "RepositoryNotFoundException", "The repository with name 'app' does not exist in the registry with id '999999999999'"},
		{`{"repositoryName":"app","imageId":{}}`, "InvalidParameterException", "Invalid request parameters: both tag and digest cannot be null"},
	} {
		_, body := s.call(t, "DescribeImageReplicationStatus", tt.in)
		exception, message := failure(t, body)
		same(t, tt.in, [2]string{tt.exception, tt.message}, [2]string{exception, message})
	}
}
