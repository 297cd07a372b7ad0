package e2e

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// What pages are asked, in the page (testdata/console says what each looks for).
var (
	//go:embed testdata/console/access.js
	accessScript string
	//go:embed testdata/console/contrast.js
	contrastScript string
	//go:embed testdata/console/focus.js
	focusScript string
	//go:embed testdata/console/wide.js
	wideScript string
	//go:embed testdata/console/words.js
	wordsScript string
)

// The windows that pages are looked at in.
const (
	wideWindow, narrowWindow = 1280, 375
	windowHeight             = 900
)

// examine looks for what is wrong with the page that is shown: for who does not see it, in
// both themes, and in a narrow window. It leaves the other window and the other theme than
// it finds: changing them is what takes time.
func (b *browser) examine() {
	b.t.Helper()
	say := func(what string, faults []string) {
		b.t.Helper()
		for _, f := range faults {
			b.t.Errorf("%s: %s: %s", b.path(), what, f)
		}
	}
	say("access", b.list(accessScript))
	b.run(chromedp.KeyEvent(kb.Tab))
	say("focus", b.list(focusScript))
	look := func() {
		say("contrast", b.list(contrastScript))
		say("width", b.list(wideScript))
	}
	look()
	b.dark, b.narrow = !b.dark, !b.narrow
	b.run(b.sees())
	look()
}

// sees gives the window its size, and the system its theme.
func (b *browser) sees() chromedp.Action {
	theme, width := "light", int64(wideWindow)
	if b.dark {
		theme = "dark"
	}
	if b.narrow {
		width = narrowWindow
	}
	return chromedp.Tasks{
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}),
		chromedp.EmulateViewport(width, windowHeight),
	}
}

// crawl visits the pages that links lead to from the overview, a few of each shape, and
// returns their paths.
func (b *browser) crawl(visit func(path string)) []string {
	b.t.Helper()
	const limit = 300
	others := map[string]bool{}
	seen, shapes, next := map[string]bool{"/console/": true}, map[string]int{}, []string{"/console/"}
	for i := 0; i < len(next); i++ {
		if i == limit {
			b.t.Fatalf("more than %d pages: %q", limit, next[limit-20:])
		}
		if status := b.open(next[i]); status != 200 {
			b.t.Errorf("a link leads to %s: %d", next[i], status)
		}
		visit(next[i])
		var links []string
		b.run(chromedp.Evaluate("[...document.querySelectorAll('a[href]')].map((a) => a.origin === location.origin ? a.pathname + a.search : a.href)", &links))
		for _, l := range links {
			switch {
			case !strings.HasPrefix(l, "/console/"):
				b.t.Errorf("%s: a link leads out of the console, to %s", next[i], l)
			case !seen[l] && shapes[shape(l)] < most(shape(l)):
				seen[l] = true
				shapes[shape(l)]++
				next = append(next, l)
			case !seen[l]:
				others[l] = true
			}
		}
	}
	b.answers(slices.Sorted(maps.Keys(others)))
	slices.Sort(next)
	return next
}

// answers fails the test for each of some paths that is no page.
func (b *browser) answers(paths []string) {
	b.t.Helper()
	text, err := json.Marshal(paths)
	if err != nil {
		b.t.Fatal(err)
	}
	const script = `(async (paths) => {
		const wrong = [];
		for (const p of paths) { const r = await fetch(p); if (r.status !== 200) wrong.push(r.status + " " + p); }
		return wrong;
	})`
	var wrong []string
	b.run(chromedp.Evaluate(script+"("+string(text)+")", &wrong, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	for _, w := range wrong {
		b.t.Errorf("a link leads to what is no page: %s", w)
	}
}

// most is how many pages of one shape are visited: two of those that are most different.
func most(shape string) int {
	if regexp.MustCompile(`^an? |averylong|team/empty|delete|/user|/secret|/template`).MatchString(shape) {
		return 1
	}
	return 2
}

var digests = regexp.MustCompile(`@[a-z0-9]+:[0-9a-f]+`)

// shape is what pages have in common that differ in names only. Repositories that differ in
// more than that have shapes of their own.
func shape(path string) string {
	u, err := url.Parse(path)
	if err != nil {
		return path
	}
	at := digests.ReplaceAllString(u.Path, "@")
	if rest, ok := strings.CutPrefix(at, "/console/repositories/"); ok && !regexp.MustCompile(`^(quay/nginx|team/shop|team/empty|team/averylong)`).MatchString(rest) {
		at = "a repository"
		if strings.HasSuffix(rest, "@") {
			at = "an image"
		}
	} else if strings.HasPrefix(at, "/console/rule/") {
		at = "a rule"
	}
	return at + " " + u.Query().Get("tab") + " " + strings.Join(slices.Sorted(maps.Keys(u.Query())), " ")
}

// TestConsolePages visits every page as root and as somebody who may do little, in both
// languages and themes.
func TestConsolePages(t *testing.T) {
	h := newHouse(t)
	root := newBrowser(t, h.addr)
	few := root.another(t)
	for _, who := range []struct {
		name  string
		b     *browser
		key   key
		least int // pages that there must be
	}{
		{"root", root, key{h.id, h.secret}, 60},
		{"few rights", few, h.few, 10},
	} {
		t.Run(who.name, func(t *testing.T) {
			who.b.t = t
			if status := who.b.signIn(who.key.id, who.key.secret); status != 200 {
				t.Fatalf("signing in: %d", status)
			}
			pages := who.b.crawl(func(string) {
				who.b.examine()
				who.b.sound()
			})
			if len(pages) < who.least {
				t.Errorf("only %d pages are found: %q", len(pages), pages)
			}
			t.Logf("%d pages: %s", len(pages), strings.Join(pages, "\n"))
			who.b.open("/console/")
			who.b.selects("Language", "ja")
			left := english(t)
			for _, page := range pages {
				who.b.open(page)
				if lang := who.b.text("document.documentElement.lang"); lang != "ja" {
					t.Errorf("%s is in %q", page, lang)
				}
				for _, word := range who.b.list(wordsScript) {
					if reason := left(word); reason != "" && !slices.Contains(written, word) {
						t.Errorf("%s: %s: %q", page, reason, word)
					}
				}
				who.b.examine()
				who.b.sound()
			}
		})
	}
	t.Run("pictures", func(t *testing.T) {
		b := root.another(t)
		b.signIn(h.id, h.secret)
		h.take(b)
	})
}

// verbs are those of the console's texts.
var verbs = regexp.MustCompile(`%(?:\[\d\])?[a-z]`)

// sentence is English that nobody has as a name.
var sentence = regexp.MustCompile(`\b(?i:[a-z]{2,} ){3}[a-z]{2,}`)

// english returns a function that says why a text on a Japanese page is English of the
// console's, "" if it is not.
func english(t *testing.T) func(string) string {
	t.Helper()
	files, err := filepath.Glob("../internal/console/text/*.ja.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files of texts: %v", len(files), err)
	}
	plain := map[string]bool{}
	var formats []*regexp.Regexp
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var some map[string]string
		if err := json.Unmarshal(text, &some); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		for en, ja := range maps.All(some) {
			switch {
			case en == ja:
			case verbs.MatchString(en):
				formats = append(formats, regexp.MustCompile("^"+verbs.ReplaceAllString(regexp.QuoteMeta(en), ".+")+"$"))
			default:
				plain[en] = true
			}
		}
	}
	return func(word string) string {
		if plain[word] {
			return "this has a translation"
		}
		for _, f := range formats {
			if f.MatchString(word) {
				return fmt.Sprintf("this has a translation (%s)", f)
			}
		}
		if sentence.MatchString(word) {
			return "this is English, and not marked as such"
		}
		return ""
	}
}
