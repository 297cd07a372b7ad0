package e2e

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

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
	quay, shop := "/console/repositories/quay/nginx/nginx", "/console/repositories/team/shop"
	return []picture{
		{file: "overview", path: "/console/", themes: "dark", most: 2200},
		{file: "overview-japanese", path: "/console/", lang: "ja", most: 900},
		{file: "overview-narrow", path: "/console/", narrow: true},
		{file: "events", path: "/console/events", most: 640},
		{file: "repositories", path: "/console/repositories", themes: "dark"},
		{file: "repository", path: quay},
		{file: "repository-narrow", path: quay, narrow: true},
		{file: "repository-long-name", path: "/console/repositories/" + h.long},
		{file: "repository-history", path: quay + "?tab=history"},
		{file: "repository-lifecycle", path: shop + "?tab=lifecycle", does: func(b *browser) { b.press("Preview") }},
		{file: "repository-permissions", path: shop + "?tab=permissions&user=ann"},
		{file: "repository-commands", path: shop + "?tab=commands"},
		{file: "repository-delete", path: shop + "?tab=delete"},
		{file: "image", path: shop + "@" + h.own, most: 2400},
		{file: "image-index", path: quay + "@" + h.index},
		{file: "rules", path: "/console/rules"},
		{file: "rule", path: "/console/rule/quay"},
		{file: "rule-edit", path: "/console/rules/edit?prefix=ghcr"},
		{file: "rule-delete", path: "/console/rules/delete?prefix=ghcr"},
		{file: "wizard-upstream", path: "/console/rules/new"},
		{file: "secrets", path: "/console/secrets"},
		{file: "secret", path: "/console/secret?name=ecr-pullthroughcache/ghcr"},
		{file: "secret-new", path: "/console/secrets/new"},
		{file: "repository-new", path: "/console/new-repository"},
		{file: "repository-untagged", path: quay + "?tab=untagged"},
		{file: "users", path: "/console/users"},
		{file: "user", path: "/console/user?name=ann"},
		{file: "user-new-refused", path: "/console/users/new", does: func(b *browser) { b.fill("User name", "not a name"); b.press("Create user") }},
		{file: "user-key", path: "/console/user?name=ann", does: func(b *browser) { b.press("Create access key") }},
		{file: "user-policy", path: "/console/user/policy?name=ann"},
		{file: "templates", path: "/console/templates"},
		{file: "template", path: "/console/template?prefix=team"},
		{file: "template-new", path: "/console/templates/new"},
		{file: "replication", path: "/console/replication"},
		{file: "registry-policy", path: "/console/registry-policy"},
		{file: "settings", path: "/console/settings", most: 1180},
		{file: "missing", path: "/console/nothing"},
	}
}

// pictureFolder is where pictures go (`make screenshots`); "": nowhere.
func pictureFolder() string { return os.Getenv("WEIR_SCREENSHOTS") }

// take shows each picture, examines it, and keeps it. Where none are kept, those are enough
// that no link leads to.
func (h *house) take(b *browser) {
	lang := "en"
	for _, p := range h.pictures() {
		if pictureFolder() == "" && p.does == nil {
			continue
		}
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
		b.keep(p)
	}
}

// keep writes a picture of the page that is shown.
func (b *browser) keep(p picture) {
	b.t.Helper()
	if pictureFolder() == "" {
		return
	}
	for _, theme := range append([]string{"light"}, strings.Fields(p.themes)...) {
		file := p.file
		if theme != "light" {
			file += "-" + theme
		}
		if err := os.WriteFile(filepath.Join(pictureFolder(), file+".png"), b.picture(theme, p), 0o644); err != nil {
			b.t.Fatal(err)
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
	var height float64
	var shot []byte
	b.run(
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}),
		chromedp.EmulateViewport(width, 500),
		chromedp.Evaluate("document.activeElement.blur(); scrollTo(0, 0); document.documentElement.scrollHeight", &height))
	b.run(chromedp.ActionFunc(func(ctx context.Context) (err error) {
		shot, err = page.CaptureScreenshot().WithCaptureBeyondViewport(true).
			WithClip(&page.Viewport{Width: float64(width), Height: min(height, float64(most)), Scale: 1}).Do(ctx)
		return err
	}), b.sees())
	shot, err := fewColors(shot)
	if err != nil {
		b.t.Fatal(err)
	}
	if len(shot) > maxPicture {
		b.t.Errorf("%s has %d bytes, more than %d", p.file, len(shot), maxPicture)
	}
	return shot
}

// fewColors is a PNG with the 256 colors that it has most of, and for others the nearest: a
// third of the bytes, and nobody sees it.
func fewColors(shot []byte) ([]byte, error) {
	img, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		return nil, err
	}
	counts := map[color.Color]int{}
	box := img.Bounds()
	for y := range box.Dy() {
		for x := range box.Dx() {
			counts[img.At(x, y)]++
		}
	}
	colors := slices.SortedFunc(maps.Keys(counts), func(a, b color.Color) int { return counts[b] - counts[a] })
	few := color.Palette(colors[:min(len(colors), 256)])
	nearest := map[color.Color]uint8{}
	for _, c := range colors {
		nearest[c] = uint8(few.Index(c))
	}
	small := image.NewPaletted(box, few)
	for y := range box.Dy() {
		for x := range box.Dx() {
			small.SetColorIndex(x, y, nearest[img.At(x, y)])
		}
	}
	var b bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, small)
	return b.Bytes(), err
}
