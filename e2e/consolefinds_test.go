package e2e

import (
	"context"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// TestConsoleFinds: what looks for faults of pages finds them, each of a kind, and leaves
// alone what is like them. What finds nothing proves nothing.
func TestConsoleFinds(t *testing.T) {
	b := newBrowser(t, "127.0.0.1:1")
	b.run(chromedp.EmulateViewport(narrowWindow, windowHeight))
	const good = `<h1>A page</h1><p>Text</p>`
	for _, tt := range []struct{ name, script, body, want string }{
		{"good", accessScript, good + `<label>Name<input name="a"></label><table><caption>c</caption><tr><th>h</th></tr></table><svg role="img" aria-label="x"></svg><svg aria-hidden="true"></svg>`, ""},
		{"no label", accessScript, good + `<input name="a">`, "a field a has no label"},
		{"empty label", accessScript, good + `<label> <select name="s"></select></label>`, "a field s has no label"},
		{"label of nothing", accessScript, good + `<label for="x">X</label>`, "a label has no field"},
		{"picture", accessScript, good + `<svg role="img"></svg>`, "a picture has no name"},
		{"two titles", accessScript, good + `<h1>Again</h1>`, "2 h1"},
		{"skipped level", accessScript, good + `<h3>Deep</h3>`, "a heading of level 3 follows one of level 1"},
		{"id twice", accessScript, good + `<p id="a"></p><p id="a"></p>`, "an id is there twice"},
		{"table", accessScript, good + `<table><tr><td>x</td></tr></table>`, "a table has no th"},
		{"link without text", accessScript, good + `<a href="/x"><svg aria-hidden="true"></svg></a>`, "a link or button has no text"},
		{"order of its own", accessScript, good + `<button tabindex="3">x</button>`, "an order of its own"},
		{"scrolls", wideScript, `<div style="overflow:auto;width:50px">` + strings.Repeat("x", 300) + `</div>`, "what scrolls is not reached"},
		{"describes nothing", accessScript, good + `<p aria-describedby="gone">x</p>`, "aria-describedby names what is not there"},
		{"list", accessScript, good + `<ul><a href="/x">x</a></ul>`, "a list has what is no item"},
		{"contrast", contrastScript, `<p style="color:#767676">well</p><p style="color:#777">badly</p>`, `4.48 to 1: <p.> "badly"`},
		{"large", contrastScript, `<p style="font-size:30px;color:#888">large</p>`, ""},
		{"behind", contrastScript, `<div style="background:#000"><p style="background:rgba(255,255,255,.5);color:#555">x</p></div>`, `1.`},
		{"faint", contrastScript, `<div style="opacity:.4"><p>x</p></div>`, ` to 1: <p.> "x"`},
		{"hidden", contrastScript, `<p hidden style="color:#fff">x</p>`, ""},
		{"focus", focusScript, `<a href="/x" style="outline:none">x</a><button>y</button>`, "shows nothing when it has the focus: <a /x>"},
		{"invisible", focusScript, `<button style="position:absolute;width:0;padding:0;border:0;overflow:hidden">y</button>`, "is not to be seen when it has the focus"},
		{"wide", wideScript, `<p style="width:500px">x</p>`, "the page is "},
		{"wide and held", wideScript, `<div style="overflow:auto" tabindex="0"><p style="width:500px">x</p></div>`, ""},
		{"words", wordsScript, `<p lang="en">not this</p><code>nor this</code>`, ""},
		{"words heard", wordsScript, `<button aria-label="this"></button>`, "this"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lang := "en"
			if tt.script == wordsScript {
				lang = "ja"
			}
			document := `<!DOCTYPE html><html lang="` + lang + `"><title>T</title><body style="margin:0;background:#fff;color:#000"><main>` + tt.body + `</main></body></html>`
			b.run(chromedp.Navigate("about:blank"), chromedp.ActionFunc(func(ctx context.Context) error {
				frames, err := page.GetFrameTree().Do(ctx)
				if err == nil {
					err = page.SetDocumentContent(frames.Frame.ID, document).Do(ctx)
				}
				return err
			}), chromedp.KeyEvent(kb.Tab))
			got := strings.TrimLeft(strings.Join(b.list(tt.script), "\n"), "T\n") // a title is a word of the page
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) || strings.Contains(got, "\n") && tt.script != wideScript {
				t.Errorf("found %q, want %q", got, tt.want)
			}
		})
	}
	left := english(t)
	for text, want := range map[string]string{
		"Overview": "this has a translation", "3 min ago": "this has a translation", "概要": "", "quay/nginx/nginx": "",
		"nobody has translated this sentence": "this is English", "1.4 MiB": "", "sha256:0123456789ab": "",
	} {
		if got := left(text); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%q in Japanese: %q, want %q", text, got, want)
		}
	}
}
