package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The environment itself, without weir: if it is not what the other tests take it
// for, they prove nothing.
func TestUpstream(t *testing.T) {
	u := newUpstream(t)
	img := u.push(t, "team/app", "v1", "hello")
	c := newSkopeo(t)
	ref := u.front.addr + "/team/app:v1"

	if out, err := c.pull(t, ref); err == nil {
		t.Fatalf("the upstream gives its images to anybody: %s", out)
	}
	if out, err := c.login(t, u.front.addr, upstreamUser, upstreamPassword); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	u.take()
	if out, err := c.pull(t, ref); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got, n := u.take()
	got = without(got, "401 GET ") // skopeo pings
	if diff := cmp.Diff(sorted(img.cold("team/app", "v1", false)), got); diff != "" {
		t.Errorf("a pull's requests (-want +got):\n%s", diff)
	}
	if n < img.size {
		t.Errorf("the upstream counted %d bytes of %d", n, img.size)
	}

	noRedirect := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Timeout: 2 * time.Second}
	status := func(url string) int {
		t.Helper()
		resp, err := noRedirect.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for _, c := range []struct {
		name, url string
		want      int
	}{
		{"signed", u.signed(img.blobs[1], time.Now().Add(time.Minute)), 200},
		{"expired", u.signed(img.blobs[1], time.Now().Add(-time.Second)), 403},
		{"other digest", strings.Replace(u.signed(img.blobs[1], time.Now().Add(time.Minute)), img.blobs[1], img.blobs[2], 1), 403},
		{"no token", "http://" + u.front.addr + "/v2/team/app/blobs/" + img.blobs[1], 401},
	} {
		if got := status(c.url); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}

	u.answer(http.StatusTooManyRequests, http.Header{"Retry-After": {"7"}})
	if got := status("http://" + u.front.addr + "/v2/"); got != http.StatusTooManyRequests {
		t.Errorf("told to answer 429: %d", got)
	}
	u.answer(0, nil)

	release := u.hang()
	if _, err := noRedirect.Get("http://" + u.front.addr + "/v2/"); err == nil || !err.(*url.Error).Timeout() {
		t.Errorf("told to hang: %v", err)
	}
	release()

	u.kill()
	if _, err := noRedirect.Get("http://" + u.front.addr + "/v2/"); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("killed: %v", err)
	}
	u.revive(t)
	if got := status("http://" + u.front.addr + "/v2/"); got != http.StatusUnauthorized {
		t.Errorf("revived: %d", got)
	}
}
