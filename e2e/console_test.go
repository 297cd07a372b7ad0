package e2e

import (
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// lonely is a weir without rules.
func lonely(t *testing.T) *server {
	t.Helper()
	return newWeir(t, map[string]string{}, func(s *server) string { return fmt.Sprintf("listen: %s\ndata: %s/data\n", s.addr, s.dir) })
}

// TestConsoleSignIn: a person signs in and out, in both languages and themes.
func TestConsoleSignIn(t *testing.T) {
	s := lonely(t)
	b := newBrowser(t, s.addr)

	if status := b.open("/"); status != 200 || b.path() != "/console/sign-in" {
		t.Errorf("a browser at / is led to %s: %d", b.path(), status)
	}
	if status := b.signIn(s.id, "wrong"); status != 401 {
		t.Errorf("a wrong secret: %d", status)
	}
	b.shows("You are not signed in.")
	b.keep(picture{file: "sign-in-refused"})
	if status := b.signIn(s.id, s.secret); status != 200 || b.path() != "/console/" {
		t.Errorf("signed in: %d at %s", status, b.path())
	}
	b.shows("Overview")

	b.selects("Language", "ja")
	b.shows("概要")
	if lang := b.text("document.documentElement.lang"); lang != "ja" {
		t.Errorf("the page in Japanese says that it is in %q", lang)
	}
	b.selects("言語", "en")
	b.shows("Overview")

	const back = "getComputedStyle(document.body).backgroundColor"
	colors := map[string]string{}
	for _, theme := range []string{"light", "dark"} {
		b.selects("Colors", theme)
		colors[theme] = b.text(back)
	}
	if colors["light"] == colors["dark"] {
		t.Errorf("light and dark are the same: %v", colors)
	}
	b.selects("Colors", "auto")
	for _, system := range []string{"light", "dark"} {
		b.run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: system}}))
		if is := b.text(back); is != colors[system] {
			t.Errorf("a system in %s has %s, want %s", system, is, colors[system])
		}
	}

	o := b.another(t)
	o.open("/console/")
	o.shows("Secret access key") // sessions are the browser's, not the machine's
	b.press("Sign out")
	b.shows("You are signed out.")
	b.open("/console/")
	b.shows("Secret access key")
}

// selects chooses in a list, by its label, which leads to the page again.
func (b *browser) selects(label, value string) {
	b.t.Helper()
	at := b.find("field", label)
	script := fmt.Sprintf("(() => { const e = document.elementFromPoint(%f, %f); e.value = %q; e.dispatchEvent(new Event('change', {bubbles: true})); })()", at.X, at.Y, value)
	b.goes(chromedp.Evaluate(script, nil))
}

// TestConsoleKeyboard: all of that without a mouse, and the focus goes the way that people read.
func TestConsoleKeyboard(t *testing.T) {
	s := lonely(t)
	b := newBrowser(t, s.addr)
	b.open("/console/")
	b.run(chromedp.KeyEvent(s.id), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(s.secret)) // the first field has the focus
	if status := b.goes(chromedp.KeyEvent(kb.Enter)); status != 200 || b.path() != "/console/" {
		t.Fatalf("signed in: %d at %s", status, b.path())
	}
	b.run(chromedp.KeyEvent(kb.Tab))
	if is := b.text("document.activeElement.textContent"); is != "Skip to the content" {
		t.Errorf("the first that the keyboard reaches is %q", is)
	}
	b.run(chromedp.KeyEvent(kb.Enter))
	if is := b.text("document.activeElement.id"); is != "main" {
		t.Errorf("skipping to the content leads to %q", is)
	}

	b.open("/console/")
	var order []string
	for len(order) < 200 {
		b.run(chromedp.KeyEvent(kb.Tab))
		is := b.text(`(() => {
			const e = document.activeElement, last = window.last;
			if (e === document.body) return "";
			window.last = e;
			const box = e.getBoundingClientRect(), style = getComputedStyle(e);
			const says = [e.localName, e.name || e.textContent.trim()];
			if (last && !(last.compareDocumentPosition(e) & Node.DOCUMENT_POSITION_FOLLOWING)) says.push("GOES BACK");
			if (style.outlineStyle === "none" || box.width < 1 || box.bottom < 0 || box.top > innerHeight) says.push("IS NOT SEEN");
			return says.join(" ");
		})()`)
		if is == "" {
			break
		}
		order = append(order, is)
	}
	for _, is := range order {
		if len(is) > 9 && (is[len(is)-9:] == "GOES BACK" || len(is) > 11 && is[len(is)-11:] == "IS NOT SEEN") {
			t.Errorf("the focus: %s", is)
		}
	}
	if len(order) < 5 || len(order) == 200 {
		t.Errorf("the keyboard reaches %d things: %q", len(order), order)
	}

	// The lists at the top do at once what is chosen, by its first letter too.
	b.open("/console/")
	b.run(chromedp.Evaluate("document.querySelector('select[name=theme]').focus()", nil))
	b.goes(chromedp.KeyEvent("D"))
	if is := b.text("document.documentElement.dataset.theme || ''"); is != "dark" {
		t.Errorf("the theme is %q", is)
	}
	b.run(chromedp.Evaluate("[...document.querySelectorAll('header button')].at(-1).focus()", nil))
	b.goes(chromedp.KeyEvent(kb.Enter))
	b.shows("You are signed out.")
}
