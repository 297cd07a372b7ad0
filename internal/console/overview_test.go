package console_test

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
	"github.com/weir-registry/weir/internal/weirtest"
)

// plain is the page's text, without what is folded in.
func (b *browser) plain() string {
	text := regexp.MustCompile(`(?s)<details>.*?</details>|<[^>]*>`).ReplaceAllString(b.body, " ")
	return html.UnescapeString(strings.Join(strings.Fields(text), " "))
}

// says fails the test unless the page's text has some texts in it.
func (b *browser) says(texts ...string) {
	b.t.Helper()
	b.shows(200)
	for _, text := range texts {
		if !strings.Contains(b.plain(), text) {
			b.t.Errorf("%s does not say %q:\n%s", b.path, text, b.plain())
		}
	}
}

// waits gets a page until its text has a text in it, each time after some others have done
// something.
func (b *browser) waits(path, text string, others ...func()) {
	b.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; <-time.After(50 * time.Millisecond) {
		for _, f := range others {
			f()
		}
		if b.get(path); strings.Contains(b.plain(), text) {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("%s does not say %q:\n%s", path, text, b.plain())
		}
	}
}

// pullStatus asks for something of the registry and returns the status of the answer.
func pullStatus(s *weirtest.Server, path string) int {
	resp := s.Do(http.MethodGet, "/v2/"+path, nil)
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// TestOverview follows an upstream that is asked, limits, goes away, comes back, and is
// held only, and what clients pull of it.
func TestOverview(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{})
	site := up.Listen(t)
	img := upstreamtest.NewImage(1, 100_000)
	up.Push("app", "v1", img)
	s := weirtest.Start(t, weirtest.Settings(site, "window: 0s", ""))
	b := signedIn(t, s, s.Key)
	b.says("Everything is well. No upstream was asked yet since weir started.", "not asked yet", "Nothing is on its way in.", "Nothing was pulled.",
		"Nothing has happened since weir started.", "Free on the disk")
	b.waits("/console/", "Held 0 B in 0 blobs")

	up.Script(upstreamtest.Fault{Header: http.Header{"Ratelimit-Limit": {"100;w=21600"}, "Ratelimit-Remaining": {"76;w=21600"}}})
	for range 2 {
		pullStatus(s, "up/app/manifests/v1")
		for d := range img.Blobs() {
			pullStatus(s, "up/app/blobs/"+string(d))
		}
	}
	b.get("/console/")
	b.says("Everything is well. ", "reachable", "76 of 100 in 6 h told just now", "Pulls 2 50% of what was held", "Bytes by the hour", "Imported up/app :v1", "All events")
	b.shows(200, "As a table", `<rect class="series1"`, `<rect class="series2"`)
	b.lacks("No upstream was asked")

	up.Script(upstreamtest.Fault{Status: 429, Header: http.Header{"Retry-After": {"600"}, "Ratelimit-Remaining": {"0;w=21600"}}})
	pullStatus(s, "up/app/manifests/v2")
	b.get("/console/")
	b.says(site.Host+" wants no more manifests to be asked for (again in 10 min)", "rate-limited asked again in 10 min", "0 of 100", "429 Too Many Requests")

	s.Restart(weirtest.Settings(site, "window: 0s", ""))
	up.Script(upstreamtest.Fault{Status: 503})
	b = signedIn(t, s, s.Key)
	b.waits("/console/", "failing first", func() { pullStatus(s, "up/app/manifests/v2") })
	b.says(site.Host+" gives no good answer: what is held is served, and what is not held cannot be pulled.", "failing first just now", "503 Service Unavailable", "Not imported up/app:v")
	if n := strings.Count(b.body, "<main"); n != 1 {
		t.Errorf("%d main", n)
	}
	b.header = http.Header{"Accept-Language": {"ja"}}
	b.get("/console/")
	b.says("から正常な応答がありません。", "失敗が続いている", "取り込めなかった")
	b.header = http.Header{}
	up.Script()
	b.waits("/console/", "Everything is well. ", func() { pullStatus(s, "up/app/manifests/v3") })

	s.Restart(weirtest.Settings(site, "held_only: true", ""))
	b = signedIn(t, s, s.Key)
	b.says("Everything is well.", "never asked: held only", "Pulls")
}

// TestRefusedCredential: an upstream that does not take the credential is told of, with its
// words and without the secret.
func TestRefusedCredential(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{Auth: upstreamtest.Token, Users: map[string]string{"robot": "right"}})
	site := up.Listen(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("a wrong secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := weirtest.Start(t, weirtest.Settings(site, "credential: robot", "credentials: {robot: {username: robot, password_file: "+secret+"}}"))
	pullStatus(s, "up/app/manifests/v1")
	b := signedIn(t, s, s.Key)
	b.says(site.Host+" does not take weir's credential", "refuses the credential first just now", "with robot")
	b.lacks("a wrong secret")

	if err := os.WriteFile(secret, []byte("right"), 0o600); err != nil {
		t.Fatal(err)
	}
	api(t, s, "AmazonEC2ContainerRegistry_V20150921.ValidatePullThroughCacheRule", map[string]string{"ecrRepositoryPrefix": "up"}, nil)
	b.get("/console/")
	b.says("Everything is well.")
	b.lacks("does not take weir's credential", "refuses the credential")
}

// TestFailureNamesNothing: who may see rules, but not the repositories, is not told by a
// failure what others pulled.
func TestFailureNamesNothing(t *testing.T) {
	for _, status := range []int{403, 429, 500, 503} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			up := upstreamtest.New(upstreamtest.Options{})
			site := up.Listen(t)
			up.Script(upstreamtest.Fault{Status: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"errors": [{"message": "not takeover/app:2.0-rc"}]}`})
			s := weirtest.Start(t, weirtest.Settings(site, "window: 0s", ""))
			b := signedIn(t, s, newUser(t, s, "viewer", `{"Version": "2012-10-17", "Statement": [
				{"Effect": "Allow", "Action": "ecr:DescribePullThroughCacheRules", "Resource": "*"},
				{"Effect": "Deny", "Action": "ecr:DescribeRepositories", "Resource": "*"}]}`))
			pullStatus(s, "up/takeover/app/manifests/2.0-rc")
			for _, page := range []string{"/console/", "/console/rule/up"} {
				b.get(page)
				b.says(site.Host)
				if status != 403 { // which is of one image
					b.says(fmt.Sprintf("%s: %d %s", site.Host, status, http.StatusText(status)))
				}
				b.lacks("takeover", "2.0-rc")
			}
		})
	}
}

// TestFull: a disk without room is the first thing that is said, with what else is not well.
func TestFull(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{})
	site := up.Listen(t)
	up.Script(upstreamtest.Fault{Status: 429, Header: http.Header{"Retry-After": {"60"}}})
	s := weirtest.Start(t, weirtest.Settings(site, "", `storage: {keep_free: "99%"}`))
	b := signedIn(t, s, s.Key)
	b.says("The disk is full: what is held is served, and what is new passes through without being kept.", "less is free: new blobs are not kept")
	pullStatus(s, "up/app/manifests/v1")
	b.get("/console/")
	b.says("2 things are not well. The disk is full:", site.Host+" wants no more manifests")
}

// TestPulls: what is on its way in is shown with its repository, tag and clients, to who may
// see the repository, and moves by itself.
func TestPulls(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{})
	site := up.Listen(t)
	img := upstreamtest.NewImage(1, 8<<20)
	up.Push("app", "v1", img)
	var layer string
	for d, data := range img.Blobs() {
		if len(data) == 8<<20 {
			layer = string(d)
		}
	}
	up.Script(upstreamtest.Fault{Path: layer, Stall: true, At: 2 << 20})
	s := weirtest.Start(t, weirtest.Settings(site, "prefetch: off", ""))
	pullStatus(s, "up/app/manifests/v1")
	done := make(chan int)
	for range 2 {
		go func() { done <- pullStatus(s, "up/app/blobs/"+layer) }()
	}
	b := signedIn(t, s, s.Key)
	b.waits("/console/", "2.0 MiB of 8.0 MiB")
	b.waits("/console/", "up/app :v1 "+layer[:19])
	b.shows(200, `<progress max="8388608" value="2097152"`, site.Host)

	for name, document := range map[string]string{
		"elsewhere": `{"Statement":{"Effect":"Allow","Action":"ecr:*","Resource":"arn:aws:ecr:*:*:repository/team/*"}}`,
		"nobody":    ``,
		"denied":    `{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"ecr:DescribeImages","Resource":"arn:aws:ecr:*:*:repository/up/*"}]}`,
		"few":       `{"Statement":{"Effect":"Allow","Action":"ecr:DescribeRepositories","Resource":"*"}}`,
	} {
		other := signedIn(t, s, newUser(t, s, name, document))
		other.lacks(layer[:19], "up/app/", "2.0 MiB of")
		if name == "nobody" {
			other.get("/console/")
			other.says("Whether everything is well is not yours to see.")
			other.lacks("Upstreams", "Last events", "Free on the disk", "The last 24 hours", "/console/events", site.Host)
			other.get("/console/events")
			other.shows(403, "weir:ListEvents")
		}
	}

	next := stream(t, b, "/console/live/overview")
	if part := next(); !strings.Contains(part, "2.0 MiB of 8.0 MiB") || strings.Contains(part, "<html") {
		t.Errorf("the first part:\n%s", part)
	}
	up.Script()
	up.Release()
	for range 2 {
		if code := <-done; code != 200 {
			t.Errorf("the pull: %d", code)
		}
	}
	part := ""
	for !strings.Contains(part, "Nothing is on its way in.") {
		part = next()
	}
	if !strings.Contains(part, "Everything is well.") || !strings.Contains(part, "reachable") {
		t.Errorf("the state:\n%s", part)
	}
}

// stream reads events of a page that moves by itself, one at each call.
func stream(t *testing.T, b *browser, path string) func() string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+b.server.Addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := b.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	lines := bufio.NewScanner(resp.Body)
	return func() string {
		var part strings.Builder
		for lines.Scan() {
			text, ok := strings.CutPrefix(lines.Text(), "data: ")
			switch {
			case ok:
				part.WriteString(text + "\n")
			case lines.Text() == "" && part.Len() > 0:
				return part.String()
			}
		}
		t.Fatalf("%s ended: %v", path, lines.Err())
		return ""
	}
}

// TestEvents: the list is filtered and paged, and what is hostile in it is text.
func TestEvents(t *testing.T) {
	up := upstreamtest.New(upstreamtest.Options{})
	site := up.Listen(t)
	up.Push("app", "v1", upstreamtest.NewImage(1, 100))
	s := weirtest.Start(t, weirtest.Settings(site, "", ""))
	pullStatus(s, "up/app/manifests/v1")
	up.Script(upstreamtest.Fault{Status: 403, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"errors":[{"code":"DENIED","message":"<script>alert(1)</script>"}]}`})
	for n := range 60 {
		pullStatus(s, fmt.Sprintf("up/app/manifests/bad%02d", n))
	}
	b := signedIn(t, s, s.Key)
	b.get("/console/events")
	b.says("Not imported up/app:bad59", ":bad10", "Next page", "<script>alert(1)</script>")
	b.lacks("<script>alert", ":bad09")
	next := regexp.MustCompile(`href="([^"]*after=[^"]*)"`).FindStringSubmatch(b.body)
	if next == nil {
		t.Fatal("no next page")
	}
	b.get(strings.ReplaceAll(next[1], "&amp;", "&"))
	b.says(":bad09", ":bad00", "Imported up/app :v1", "To the begin")
	b.lacks("Next page")
	b.get("/console/events?failed=1&q=BAD4")
	b.says(":bad49", ":bad40")
	b.lacks(":bad39", ":bad50", "Imported up/app")
	b.get("/console/events?q=nowhere")
	b.says("No event is like this.")
	b.get("/console/events?after=0123") // which is forgotten
	b.shows(200, "Older events are not remembered any more.", "To the begin")
	b.lacks("Nothing has happened")
	b.get("/console/events?kind=x")
	b.shows(400, "is no kind of event")
}

// TestStreams: one person has so many parts that move, and others have theirs.
func TestStreams(t *testing.T) {
	s := weirtest.Start(t, "")
	nobody, root := signedIn(t, s, newUser(t, s, "nobody", "")), signedIn(t, s, s.Key)
	open := func(b *browser) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr+"/console/live/overview", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := b.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	var last *http.Response
	for range 16 {
		if last = open(nobody); last.StatusCode != http.StatusOK {
			t.Fatal(last.Status)
		}
	}
	if resp := open(nobody); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("one more: %s %v", resp.Status, resp.Header)
	}
	if resp := open(root); resp.StatusCode != http.StatusOK {
		t.Errorf("another person's: %s", resp.Status)
	}
	last.Body.Close()
	for open(nobody).StatusCode != http.StatusOK { // a place is free when weir has seen that the visitor left
		if t.Context().Err() != nil {
			t.Fatal("no place becomes free")
		}
	}
}
