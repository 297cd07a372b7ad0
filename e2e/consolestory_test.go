package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/upstream/upstreamtest"
)

const storyConfig = `listen: %[1]s
data: %[2]s/data
rules: []
upstreams:
  registry.example.com: {endpoints: ["http://%[3]s"]}
timeouts: {check: 2s}
`

// TestConsoleStory is what people do with a cache, in the browser: a rule, a pull that is
// watched, the image, the upstream's end and return, a tag that is refreshed, and the end of
// the rule. Nothing is loaded again by hand where the page moves by itself.
func TestConsoleStory(t *testing.T) {
	// The image is one platform's, in a layer that does not come at once.
	img := upstreamtest.NewImage(7, 3<<20, 40<<10)
	up := upstreamtest.New(upstreamtest.Options{Redirect: true, Quirks: []upstreamtest.Quirk{upstreamtest.RelativeLocation}})
	up.Push("team/app", "v1", img)
	g, _ := newGate(t, up)
	g.release() // the client is not one that tells how far it is
	door := newDoor(t, "127.0.0.1", g)
	s := newWeir(t, map[string]string{}, func(s *server) string { return fmt.Sprintf(storyConfig, s.addr, s.dir, door.addr) })
	c := newCrane(t)
	if out, err := c.login(t, s.addr, s.id, s.secret); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b := newBrowser(t, s.addr)
	b.signIn(s.id, s.secret)
	b.shows("Everything is well.", "There is no rule")

	b.makesRule()

	// A client pulls, and the overview shows how far it is.
	layer := digest.FromBytes(img.Layers[0]).String()
	g.stopAt(layer, 1<<20, false)
	pulled := make(chan error, 1)
	go func() {
		out, err := c.run(t, "", "pull", "--insecure", "--platform", "linux/amd64", s.ref("example", "team/app:v1"), filepath.Join(t.TempDir(), "image.tar"))
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
		pulled <- err
	}()
	b.press("Overview")
	b.shows("example/team/app", "1.0 MiB of 3.0 MiB")
	b.run(chromedp.Evaluate("document.querySelector('main a[href=\"/console/repositories/example/team/app\"]').focus()", nil))
	g.stopAt(layer, 2<<20, false)
	g.got("", 0) // which wakes it
	b.shows("2.0 MiB of 3.0 MiB")
	if is := b.text("document.activeElement.textContent"); is != "example/team/app" {
		t.Errorf("the focus does not stay where it is as the page moves: %q", is)
	}
	if is := b.text("(() => { const p = document.querySelector('progress'); return [p.value, p.max].join(' of ') })()"); is != fmt.Sprintf("%d of %d", 2<<20, 3<<20) {
		t.Errorf("the bar is at %s", is)
	}
	b.keep(picture{file: "overview-pull", most: 700})
	g.release()
	if err := <-pulled; err != nil {
		t.Fatal(err)
	}
	b.shows("Nothing is on its way in.", "reachable")

	b.findsImage()

	// The line to the upstream is cut.
	door.shut()
	b.checksNow("The upstream did not give an answer")
	b.press("Overview")
	b.shows("registry.example.com", "connection refused")
	b.lacks("Everything is well.")
	if out, err := c.run(t, "", "pull", "--insecure", "--platform", "linux/amd64", s.ref("example", "team/app:v1"), filepath.Join(t.TempDir(), "image.tar")); err != nil {
		t.Errorf("a pull of what is held, without the upstream: %v\n%s", err, out)
	}

	// It is back, and has another image.
	up.Push("team/app", "v1", upstreamtest.NewImage(8, 1<<20))
	door.open(t)
	b.checksNow("The upstream was asked: the tag has moved.")
	b.press("History")
	b.shows(img.Digest.Encoded()[:12])
	b.press("Overview")
	b.shows("Everything is well.", "reachable")

	b.deletesRule()
	if out, err := c.run(t, "", "pull", "--insecure", "--platform", "linux/amd64", s.ref("example", "team/app@"+img.Digest.String()), filepath.Join(t.TempDir(), "image.tar")); err != nil {
		t.Errorf("a pull of what is held, without the rule: %v\n%s", err, out)
	}
	if strings.Contains(s.p.output(), s.secret) {
		t.Error("a secret is in the log")
	}
}

// makesRule makes a rule by the wizard.
func (b *browser) makesRule() {
	b.t.Helper()
	b.press("Pull through cache rules")
	b.shows("There is no rule yet.")
	b.press("Create a rule")
	b.choose("Another registry")
	b.fill("Another registry: Host", "registry.example.com")
	b.press("Next")
	b.choose("None: pull anonymously")
	b.keep(picture{file: "wizard-credential"})
	b.press("Verify and go on")
	b.fill("Cache repository prefix", "not/a prefix")
	b.shows("No name of a repository begins like this")
	b.fill("Cache repository prefix", "example") // the example is what it comes to, as somebody types
	b.shows("/example/")
	b.keep(picture{file: "wizard-namespace"})
	b.press("Next")
	b.shows("registry.example.com", "anonymous")
	b.keep(picture{file: "wizard-review"})
	b.press("Create the rule")
	b.shows("The rule was created.")
	b.press("Pull through cache rules")
	b.shows("example", "registry.example.com")
}

// findsImage looks for the repository by a part of its name, and for what is in it.
func (b *browser) findsImage() {
	b.t.Helper()
	b.press("Repositories")
	b.shows("example/team/app")
	b.fill("Part of the name", "nothing-like-it") // the list changes as somebody types
	b.shows("No repository that you may see is like this.")
	b.fill("Part of the name", "am/a")
	b.shows("example/team/app")
	if is := b.text("location.search"); !strings.Contains(is, "q=am%2Fa") {
		b.t.Errorf("what was looked for is not in the address: %q", is)
	}
	b.press("example/team/app")
	b.shows("v1", "fresh", "ready")
	b.press("v1")
	b.shows("Layer", "3.0 MiB", "held")
	b.lacks("not held")
}

// checksNow has the upstream asked for the tag, and is told what came of it.
func (b *browser) checksNow(told string) {
	b.t.Helper()
	b.press("Repositories")
	b.press("example/team/app")
	b.press("Check now")
	b.shows(told)
}

// deletesRule deletes the rule, which leaves what it brought.
func (b *browser) deletesRule() {
	b.t.Helper()
	b.press("Pull through cache rules")
	b.press("example")
	b.press("Delete")
	b.press("Delete")
	b.shows("The rule was deleted. What it brought is kept and served.", "There is no rule yet.")
	b.press("Repositories")
	b.shows("example/team/app")
}
