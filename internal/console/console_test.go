package console_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/app"
	"github.com/weir-registry/weir/internal/weirtest"
)

func TestSignIn(t *testing.T) {
	s := weirtest.Start(t, "")
	b := newBrowser(t, s)

	b.get("/console/?a=b")
	b.shows(200, "Sign in", `name="next" value="/console/?a=b"`)
	b.signIn(app.Key{ID: s.Key.ID, Secret: "wrong"})
	b.shows(401, "You are not signed in.", "incorrect username or password", `value="`+s.Key.ID+`"`)
	b.lacks("wrong")
	b.signIn(app.Key{ID: "AWS", Secret: s.Key.Secret})
	b.shows(401, "people sign in with an access key")
	b.post("/console/sign-in", url.Values{"key": {s.Key.ID}, "secret": {s.Key.Secret}, "next": {"/console/?a=b"}})
	b.shows(200, "Overview", "Sign out")
	if b.path != "/console/?a=b" {
		t.Errorf("after signing in: %s", b.path)
	}
	b.get("/console/sign-in")
	b.shows(200, "Overview")

	kept := b.client.Jar.Cookies(&url.URL{Scheme: "http", Host: s.Addr, Path: "/"})
	b.post("/console/sign-out", url.Values{})
	b.shows(200, "You are signed out.")
	b.client.Jar.SetCookies(&url.URL{Scheme: "http", Host: s.Addr, Path: "/"}, kept)
	b.get("/console/")
	b.shows(200, "Secret access key") // a session that was ended is over for whoever kept it
}

// TestNext: signing in leads to a page of the console and nowhere else.
func TestNext(t *testing.T) {
	s := weirtest.Start(t, "")
	b := newBrowser(t, s)
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for next, want := range map[string]string{
		"/console/?a=b&c":           "/console/?a=b&c",
		"":                          "/console/",
		"https://example.com/":      "/console/",
		"//example.com/console/":    "/console/",
		"/v2/":                      "/console/",
		`/console/\..\..\v2`:        "/console/",
		"javascript:alert(1)":       "/console/",
		"/console/sign-out":         "/console/",
		"/console/a\r\nSet-Cookie:": "/console/",
		"http:/console/":            "/console/",
	} {
		b.post("/console/sign-in", url.Values{"key": {s.Key.ID}, "secret": {s.Key.Secret}, "next": {next}})
		if got := b.head.Get("Location"); got != want {
			t.Errorf("next %q leads to %q, want %q", next, got, want)
		}
	}
}

// TestForms: what changes something comes from a page of this console and this session.
func TestForms(t *testing.T) {
	s := weirtest.Start(t, "")
	for name, header := range map[string]http.Header{
		"another site": {"Sec-Fetch-Site": {"cross-site"}},
		"a neighbour":  {"Sec-Fetch-Site": {"same-site"}},
		"old browsers": {"Origin": {"http://example.com"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := signedIn(t, s, s.Key)
			b.header = header
			for _, path := range []string{"/console/sign-in", "/console/sign-out", "/console/preferences", "/console/"} {
				b.post(path, url.Values{"key": {s.Key.ID}, "secret": {s.Key.Secret}})
				b.shows(403, "page of another site")
				if len(b.head.Values("Set-Cookie")) > 0 {
					t.Errorf("%s: %v", path, b.head.Values("Set-Cookie"))
				}
			}
		})
	}
	b := newBrowser(t, s)
	b.post("/console/preferences", url.Values{"theme": {strings.Repeat("x", 300<<10)}})
	b.shows(400, "longer than 256 KiB")
}

// TestKeyOff: who has no access key any more is not signed in.
func TestKeyOff(t *testing.T) {
	s := weirtest.Start(t, "")
	key := newUser(t, s, "ann", "")
	b := signedIn(t, s, key)
	b.shows(200, "ann")
	api(t, s, "Weir_20261125.SetKeyActive", map[string]any{"accessKeyId": key.ID, "active": false}, nil)
	b.get("/console/")
	b.shows(200, "Secret access key")
}

// TestHeaders: no page may be framed, sniffed, kept, or load from elsewhere.
func TestHeaders(t *testing.T) {
	s := weirtest.Start(t, "")
	b := signedIn(t, s, s.Key)
	for path, status := range map[string]int{"/console/": 200, "/console/nothing": 404, "/console/sign-in": 200} {
		b.get(path)
		b.shows(status)
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cache-Control": "no-store", "Content-Type": "text/html; charset=utf-8",
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		} {
			if got := b.head.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		if n := strings.Count(b.body, "<script"); n != 1 || strings.Contains(b.body, "style=") || strings.Contains(b.body, " onclick") {
			t.Errorf("%s has %d scripts, or styles or handlers in its elements\n%s", path, n, b.body)
		}
	}
	b.do(http.MethodDelete, "/console/preferences", nil)
	b.shows(405)
	if b.head.Get("Allow") != "POST" {
		t.Errorf("Allow is %q", b.head.Get("Allow"))
	}
	for _, m := range regexp.MustCompile(`/console/static/[^"]+`).FindAllString(b.body, -1) {
		b.get(m)
		b.shows(200)
		if !strings.Contains(b.head.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %v", m, b.head)
		}
	}
	b.get("/console/static/console.css")
	if b.head.Get("Cache-Control") != "no-store" {
		t.Errorf("an address that stays, of what may change, is kept: %v", b.head)
	}
}

// TestLink: a link on another site leads in, although the session's cookie does not come along.
func TestLink(t *testing.T) {
	s := weirtest.Start(t, "")
	b := newBrowser(t, s)
	b.header = http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}}
	b.get(`/console/x"><script>?a=1&b=2`)
	b.shows(200, `http-equiv="refresh"`, "a=1&amp;b=2")
	b.lacks(`"><script>?`)
	b.header = http.Header{"Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"navigate"}}
	b.get("/console/")
	b.shows(200, "Secret access key")
}

func TestPreferences(t *testing.T) {
	s := weirtest.Start(t, "")
	b := newBrowser(t, s)
	for accept, want := range map[string]string{
		"":                                "en",
		"ja":                              "ja",
		"ja-JP,ja;q=0.9,en-US;q=0.8":      "ja",
		"en-US,en;q=0.9,ja;q=0.8":         "en",
		"fr-FR,fr;q=0.9,ja;q=0.2,en;q=.1": "ja",
		"de, *;q=x, ja;q=":                "en",
	} {
		b.header.Set("Accept-Language", accept)
		b.get("/console/sign-in")
		b.shows(200, `<html lang="`+want+`">`)
		if b.head.Get("Content-Language") != want {
			t.Errorf("%q: %v", accept, b.head)
		}
	}
	b.post("/console/preferences", url.Values{"language": {"ja"}, "theme": {"dark"}, "next": {"/console/sign-in"}})
	b.shows(200, `<html lang="ja" data-theme="dark">`, "サインイン")
	b.post("/console/preferences", url.Values{"theme": {"auto"}, "next": {"/console/sign-in"}})
	b.shows(200, `<html lang="ja">`)
	b.post("/console/preferences", url.Values{"theme": {`"><script>`}})
	b.shows(400, "there is no theme")
	b.lacks(`"><script>`)
}

// What a page or the code has translated: T "text" in templates, T("text") in code, and the
// texts that code has in tables.
var (
	inTemplates = regexp.MustCompile(`\.T "((?:[^"\\]|\\.)*)"`)
	verb        = regexp.MustCompile(`%[-+# 0-9.*]*(?:\[\d\])?[a-zA-Z%]`)
)

// TestTexts: every text that is shown has its Japanese, with the same verbs, and there is
// none that nobody shows.
func TestTexts(t *testing.T) {
	texts := map[string]string{}
	files, err := filepath.Glob("text/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var some map[string]string
		if err := json.Unmarshal(b, &some); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		for en, ja := range some {
			if _, ok := texts[en]; ok {
				t.Errorf("%s: %q is in another file, too", f, en)
			}
			texts[en] = ja
			if diff := cmp.Diff(verb.FindAllString(en, -1), verb.FindAllString(ja, -1)); diff != "" {
				t.Errorf("%s: verbs of %q: %s", f, en, diff)
			}
		}
	}
	said, asked := shown(t)
	for _, text := range slices.Sorted(maps.Keys(asked)) {
		if texts[text] == "" {
			t.Errorf("no Japanese for %q (%s)", text, asked[text])
		}
	}
	for _, text := range slices.Sorted(maps.Keys(texts)) {
		if asked[text] == "" && said[text] == "" {
			t.Errorf("nobody shows %q", text)
		}
	}
}

// shown returns every string of the code, and what is translated for certain, with where it is.
func shown(t *testing.T) (said, asked map[string]string) {
	t.Helper()
	said, asked = map[string]string{}, map[string]string{}
	pages, err := filepath.Glob("templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range pages {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range inTemplates.FindAllStringSubmatch(string(b), -1) {
			asked[unquote(t, `"`+m[1]+`"`)] = f
		}
	}
	code, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range code {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(gotoken.NewFileSet(), f, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit:
				if n.Kind == gotoken.STRING {
					said[unquote(t, n.Value)] = f
				}
			case *ast.CallExpr:
				sel, ok := n.Fun.(*ast.SelectorExpr)
				if !ok || sel.Sel.Name != "T" && sel.Sel.Name != "done" {
					return true
				}
				at := 0
				if sel.Sel.Name == "done" {
					at = 1
				}
				if len(n.Args) > at {
					if text, ok := n.Args[at].(*ast.BasicLit); ok && text.Kind == gotoken.STRING {
						asked[unquote(t, text.Value)] = f
					}
				}
			}
			return true
		})
	}
	return said, asked
}

func unquote(t *testing.T, s string) string {
	t.Helper()
	u, err := strconv.Unquote(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return u
}
