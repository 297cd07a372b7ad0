package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// maxPicture is how large a file of a picture may be.
const maxPicture = 150 << 10

// picture is a page in a state that people come to, as docs/console has it.
type picture struct {
	file   string // without .png
	path   string
	does   func(*browser) // on the page, before the picture
	themes string         // more than light
	lang   string         // "": en
	narrow bool
	most   int64 // of the page's height that is shown; 0: 1400
}

// pictures are looked at by root, unless they say otherwise.
func (h *house) pictures() []picture {
	return []picture{
		{file: "overview", path: "/console/", themes: "dark"},
		{file: "overview-japanese", path: "/console/", lang: "ja", most: 900},
		{file: "events", path: "/console/events", most: 640},
		{file: "overview-narrow", path: "/console/", narrow: true},
	}
}

// take shows each picture, examines it, and writes it into the folder that
// $WEIR_SCREENSHOTS names (`make screenshots`).
func (h *house) take(t *testing.T, b *browser) {
	dir := os.Getenv("WEIR_SCREENSHOTS")
	lang := "en"
	for _, p := range h.pictures() {
		if want := p.lang; want != lang && (want != "" || lang != "en") {
			if want == "" {
				want = "en"
			}
			b.open("/console/")
			b.selects(map[string]string{"en": "Language", "ja": "言語"}[lang], want)
			lang = want
		}
		b.open(p.path)
		if p.does != nil {
			p.does(b)
		}
		b.examine()
		b.sound()
		if dir == "" {
			continue
		}
		for _, theme := range append([]string{"light"}, strings.Fields(p.themes)...) {
			file := p.file
			if theme != "light" {
				file += "-" + theme
			}
			if err := os.WriteFile(filepath.Join(dir, file+".png"), b.picture(theme, p), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// picture is the page that is shown, from its top to its end or p.most.
func (b *browser) picture(theme string, p picture) []byte {
	b.t.Helper()
	width, most := int64(wideWindow), p.most
	if p.narrow {
		width = narrowWindow
	}
	if most == 0 {
		most = 1400
	}
	var height int64
	var png []byte
	b.run(
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}),
		chromedp.EmulateViewport(width, 500),
		chromedp.Evaluate("document.activeElement.blur(); scrollTo(0, 0); Math.ceil(document.documentElement.scrollHeight)", &height),
	)
	b.run( // now the height is known
		chromedp.EmulateViewport(width, min(height, most)),
		chromedp.ActionFunc(func(ctx context.Context) (err error) {
			png, err = page.CaptureScreenshot().WithOptimizeForSpeed(false).Do(ctx)
			return err
		}),
		chromedp.EmulateViewport(wideWindow, windowHeight),
	)
	if len(png) > maxPicture {
		b.t.Errorf("%s has %d bytes, more than %d", p.file, len(png), maxPicture)
	}
	return png
}
