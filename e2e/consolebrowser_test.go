package e2e

import (
	"context"
	_ "embed"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/inspector"
	"github.com/chromedp/cdproto/log"
	web "github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// pageLimit ends what a browser does not get done: far above what it needs on a busy machine.
const pageLimit = time.Minute

// browser is Chromium with one window, in front of one weir. The test fails where a page
// writes an error to the browser's console, throws, breaks its policy of content, asks another
// host than weir for anything, or lacks a part.
type browser struct {
	t    *testing.T
	addr string // of weir
	ctx  context.Context

	dark, narrow bool // what examine left the window at

	mu      sync.Mutex
	at      string          // the page that is shown, for the words of a fault
	docs    map[string]bool // requests of whole pages, whose status is a test's own business
	faults  []string
	pending map[web.RequestID]string // what a page waits for
}

// newBrowser starts Chromium. It ends with the test.
func newBrowser(t *testing.T, addr string) *browser {
	t.Helper()
	dir, err := os.MkdirTemp("", "weir-chromium")
	if err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program(t, "chromium", "chromium")), chromedp.UserDataDir(dir),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WSURLReadTimeout(pageLimit), chromedp.WindowSize(1280, 900),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("hide-scrollbars", true), chromedp.Flag("lang", "en"),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")) // nor does Chromium itself ask anybody
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		limited, stop := context.WithTimeout(ctx, pageLimit)
		defer stop()
		if err := chromedp.Cancel(limited); err != nil {
			t.Errorf("the browser does not end: %v", err)
		}
		cancel()
		end()
		eventually(t, pageLimit, func() error { return os.RemoveAll(dir) }) // until the last of its processes is gone
	})
	b := &browser{t: t, addr: addr, ctx: ctx}
	b.watch()
	return b
}

// another is a window of the same Chromium that shares nothing with b's: of another person.
func (b *browser) another(t *testing.T) *browser {
	t.Helper()
	var window target.ID
	b.run(chromedp.ActionFunc(func(ctx context.Context) error {
		ctx = cdp.WithExecutor(ctx, chromedp.FromContext(ctx).Browser)
		apart, err := target.CreateBrowserContext().Do(ctx)
		if err == nil {
			window, err = target.CreateTarget("about:blank").WithBrowserContextID(apart).WithNewWindow(true).Do(ctx)
		}
		return err
	}))
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithTargetID(window))
	t.Cleanup(cancel)
	o := &browser{t: t, addr: b.addr, ctx: ctx}
	o.watch()
	return o
}

// watch opens the window and notes what goes wrong in it.
func (b *browser) watch() {
	b.t.Helper()
	b.docs, b.pending = map[string]bool{}, map[web.RequestID]string{}
	chromedp.ListenTarget(b.ctx, b.event)
	if err := chromedp.Run(b.ctx); err != nil { // without a limit: it would be the window's
		b.t.Fatal(err)
	}
	b.t.Cleanup(b.sound)
}

func (b *browser) event(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fault := func(format string, args ...any) { b.faults = append(b.faults, b.at+": "+fmt.Sprintf(format, args...)) }
	switch ev := ev.(type) {
	case *web.EventRequestWillBeSent:
		if u, err := url.Parse(ev.Request.URL); err != nil || u.Host != b.addr && u.Scheme != "about" {
			fault("a request to %s", ev.Request.URL)
		}
		b.pending[ev.RequestID] = ev.Request.URL
		if ev.Type == web.ResourceTypeDocument {
			b.docs[ev.Request.URL], b.at = true, ev.Request.URL
		}
	case *web.EventResponseReceived:
		if status := ev.Response.Status; ev.Type != web.ResourceTypeDocument && (status < 200 || status > 399) {
			fault("%d for %s", status, ev.Response.URL)
		}
	case *web.EventLoadingFailed:
		if !ev.Canceled && ev.ErrorText != "net::ERR_ABORTED" {
			fault("%s is not loaded: %s %s", b.pending[ev.RequestID], ev.ErrorText, ev.BlockedReason)
		}
	case *runtime.EventConsoleAPICalled:
		if ev.Type == runtime.APITypeError || ev.Type == runtime.APITypeWarning || ev.Type == runtime.APITypeAssert {
			for _, arg := range ev.Args {
				fault("the script says: %s %s", arg.Value, arg.Description)
			}
		}
	case *runtime.EventExceptionThrown:
		fault("%v", ev.ExceptionDetails)
	case *inspector.EventTargetCrashed:
		fault("the page crashed")
	case *log.EventEntryAdded:
		// Of failed requests there are events: a page that is refused is one that a test asked for.
		if e := ev.Entry; e.Source != log.SourceNetwork && (e.Level == log.LevelError || e.Level == log.LevelWarning) {
			fault("%s: %s %s", e.Source, e.Text, e.URL)
		}
	}
}

// sound fails the test for what went wrong since it was called last.
func (b *browser) sound() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.faults {
		b.t.Error(f)
	}
	b.faults = nil
}

// run does things in the window.
func (b *browser) run(actions ...chromedp.Action) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, pageLimit)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		b.t.Fatalf("%s: %v", b.address(), err)
	}
}

// goes does what leads to another page, or to the same one again, and returns its status.
func (b *browser) goes(actions ...chromedp.Action) int {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, pageLimit)
	defer cancel()
	resp, err := chromedp.RunResponse(ctx, actions...)
	if err != nil {
		b.t.Fatalf("%s: no other page: %v", b.address(), err)
	}
	return int(resp.Status)
}

// open shows a page by its path.
func (b *browser) open(path string) int {
	b.t.Helper()
	return b.goes(chromedp.Navigate("http://" + b.addr + path))
}

func (b *browser) address() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at
}

// path is that of the page that is shown, with what follows.
func (b *browser) path() string {
	b.t.Helper()
	return b.text("location.pathname + location.search")
}

// text is the value of an expression of script.
func (b *browser) text(expression string) string {
	b.t.Helper()
	var s string
	b.run(chromedp.Evaluate(expression, &s))
	return s
}

// list is the value of a script of testdata/console, which is a list of words.
func (b *browser) list(script string) []string {
	b.t.Helper()
	var all []string
	b.run(chromedp.Evaluate(script, &all))
	return all
}

// main is the text of the page without its frame.
func (b *browser) main() string {
	b.t.Helper()
	return b.text("document.querySelector('main').innerText")
}

// shows fails the test unless the page has each of some texts, now or, where it moves by
// itself, within a while.
func (b *browser) shows(texts ...string) {
	b.t.Helper()
	for _, text := range texts {
		eventually(b.t, pageLimit, func() error {
			if is := b.main(); !strings.Contains(is, text) {
				return fmt.Errorf("%s: no %q in the page:\n%s", b.address(), text, is)
			}
			return nil
		})
	}
}

// lacks fails the test if the page has one of some texts.
func (b *browser) lacks(texts ...string) {
	b.t.Helper()
	for _, text := range texts {
		if is := b.main(); strings.Contains(is, text) {
			b.t.Errorf("%s: %q is in the page:\n%s", b.address(), text, is)
		}
	}
}

// place is where something is in the window.
type place struct{ X, Y float64 }

// find returns the middle of a link, a button, or a choice with a text, in the window.
//
//go:embed testdata/console/find.js
var findScript string

func (b *browser) find(kind, name string) place {
	b.t.Helper()
	var at *place
	b.run(chromedp.Evaluate(fmt.Sprintf("(%s)(%q, %q)", findScript, kind, name), &at))
	if at == nil {
		b.t.Fatalf("%s: no %s %q to be seen in the page:\n%s", b.address(), kind, name, b.main())
	}
	return *at
}

// press presses a link or button, which leads to a page, and returns its status.
func (b *browser) press(name string) int {
	b.t.Helper()
	at := b.find("press", name)
	return b.goes(chromedp.MouseClickXY(at.X, at.Y))
}

// choose marks a choice (radio or box) by its label.
func (b *browser) choose(name string) {
	b.t.Helper()
	at := b.find("choice", name)
	b.run(chromedp.MouseClickXY(at.X, at.Y))
}

// fill types into a field, by its label, in place of what it has.
func (b *browser) fill(label, value string) {
	b.t.Helper()
	at := b.find("field", label)
	b.run(chromedp.MouseClickXY(at.X, at.Y), chromedp.Evaluate("document.activeElement.select()", nil))
	if value == "" {
		value = kb.Delete
	}
	b.run(chromedp.KeyEvent(value))
}

// signIn signs in and is at the page that was asked for.
func (b *browser) signIn(id, secret string) int {
	b.t.Helper()
	b.open("/console/sign-in")
	b.fill("Access key ID", id)
	b.fill("Secret access key", secret)
	return b.press("Sign in")
}
