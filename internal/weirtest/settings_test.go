package weirtest_test

import (
	"encoding/json"
	"net/url"
	"testing"

	"github.com/weir-registry/weir/internal/app"
	"github.com/weir-registry/weir/internal/weirtest"
)

// TestSettings: what the API sets for the registry counts at once on the other face, and
// after a restart.
func TestSettings(t *testing.T) {
	const settings = `registry: {id: "123456789012", region: local}
templates: [{prefix: team, applied_for: [CREATE_ON_PUSH]}]
`
	s := weirtest.Start(t, settings)
	g := &guarded{s, clientsOf(s)}
	layer, _ := image(t, s, "team/base", "v1", "layer")
	call := func(op, in string) string {
		t.Helper()
		status, body := signedCall(t, s, "AmazonEC2ContainerRegistry_V20150921."+op, in)
		if status != 200 {
			t.Fatalf("%s: %d %s", op, status, body)
		}
		return body
	}
	restart := func() {
		t.Helper()
		s.Restart(settings)
		g.Server = s
	}
	mount := func(what string, status int) {
		t.Helper()
		push(t, s, "POST", "/v2/team/app/blobs/uploads/?mount="+url.QueryEscape(string(layer))+"&from=team/base", "").want(t, what, status, "")
	}
	call("PutAccountSetting", `{"name":"BLOB_MOUNTING","value":"DISABLED"}`)
	mount("a mount where they are turned off", 202)
	restart()
	mount("the same after a restart", 202)
	call("PutAccountSetting", `{"name":"BLOB_MOUNTING","value":"ENABLED"}`)
	mount("a mount", 201)

	// Pull times are in the database after a restart at the latest.
	pulled := func() (at float64) {
		t.Helper()
		restart()
		var out struct {
			ImageDetails []struct{ LastRecordedPullTime float64 }
		}
		if err := json.Unmarshal([]byte(call("DescribeImages", `{"repositoryName":"team/base","imageIds":[{"imageTag":"v1"}]}`)), &out); err != nil {
			t.Fatal(err)
		}
		return out.ImageDetails[0].LastRecordedPullTime
	}
	const pull = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Resource":"*"}]}`
	scanner, ann := g.user(t, "scanner", pull).Key, g.user(t, "ann", pull).Key
	pullAs := func(key app.Key) {
		t.Helper()
		push(t, s.As(key), "GET", "/v2/team/base/manifests/v1", "").want(t, "a pull", 200, "")
		push(t, s.As(key), "GET", "/v2/team/base/blobs/"+string(layer), "").want(t, "a layer", 200, "")
	}
	call("RegisterPullTimeUpdateExclusion", `{"principalArn":"arn:aws:iam::123456789012:user/scanner"}`)
	first := pulled()
	pullAs(scanner)
	if at := pulled(); at != first {
		t.Errorf("a pull that does not count: %f, and it was %f", at, first)
	}
	pullAs(scanner)
	pullAs(ann)
	second := pulled()
	if second <= first {
		t.Errorf("a pull that counts: %f, and it was %f", second, first)
	}
	call("DeregisterPullTimeUpdateExclusion", `{"principalArn":"arn:aws:iam::123456789012:user/scanner"}`)
	pullAs(scanner)
	if at := pulled(); at <= second {
		t.Errorf("a pull that counts again: %f, and it was %f", at, second)
	}
}
