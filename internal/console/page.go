package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"path"
	"strings"
)

// Templates: base.html is the frame of every page, parts.html what several use, and each
// other file a page, which defines "content".
//
//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// pages are the templates, by name without .html.
type pages map[string]*template.Template

func readPages() (pages, error) {
	files, err := templateFiles.ReadDir("templates")
	if err != nil {
		return nil, err
	}
	shared, err := template.New("base.html").Funcs(template.FuncMap{"both": pair}).Option("missingkey=error").ParseFS(templateFiles, "templates/base.html", "templates/parts.html")
	if err != nil {
		return nil, err
	}
	all := pages{}
	for _, f := range files {
		name := strings.TrimSuffix(f.Name(), ".html")
		if name == "base" || name == "parts" {
			continue
		}
		t, err := shared.Clone()
		if err == nil {
			_, err = t.ParseFS(templateFiles, path.Join("templates", f.Name()))
		}
		if err != nil {
			return nil, err
		}
		all[name] = t
	}
	return all, nil
}

// both is what a part of a page gets: the page, and what the part is about.
type both struct {
	Page *Page
	Of   any
}

// pair is the template function "both": {{template "part" (both $ .Thing)}}.
func pair(p *Page, of any) both { return both{p, of} }

func (p pages) write(w io.Writer, name string, data *Page) error {
	t := p[name]
	if t == nil {
		return fmt.Errorf("no page %q", name)
	}
	return t.ExecuteTemplate(w, "base.html", data)
}

// part writes one part that a page defines.
func (p pages) part(w io.Writer, name, part string, data *Page) error {
	t := p[name]
	if t == nil {
		return fmt.Errorf("no page %q", name)
	}
	return t.ExecuteTemplate(w, part, data)
}

// section is a place in the menu. Its pages set Page.Section to its path.
type section struct {
	Path, Name string // Name is a text
	Action     string // it is shown to who may do this; "": to everybody
}

// static is the console's own files, by name.
type static map[string]file

type file struct {
	body []byte
	sum  string // changes with the body
	kind string
}

func readStatic() (static, error) {
	all := static{}
	files, err := staticFiles.ReadDir("static")
	if err != nil {
		return nil, err
	}
	kinds := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	for _, f := range files {
		b, err := staticFiles.ReadFile(path.Join("static", f.Name()))
		if err != nil {
			return nil, err
		}
		kind := kinds[path.Ext(f.Name())]
		if kind == "" {
			return nil, fmt.Errorf("static/%s is of no kind that is served", f.Name())
		}
		sum := sha256.Sum256(b)
		all[f.Name()] = file{b, hex.EncodeToString(sum[:6]), kind}
	}
	return all, nil
}

// path is the address of a file, another one when the file is another.
func (s static) path(name string) string { return Path + "static/" + name + "?v=" + s[name].sum }

func (v *visit) serveStatic() error {
	f, ok := v.static[v.r.PathValue("file")]
	if !ok {
		return v.render(http.StatusNotFound, "missing", v.T("Nothing is here"), nil)
	}
	h := v.w.Header()
	h.Set("Content-Type", f.kind)
	if v.query("v") == f.sum {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	_, err := v.w.Write(f.body)
	return err
}
