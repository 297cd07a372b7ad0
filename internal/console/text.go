package console

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

// language is one that the console speaks.
type language string

const (
	english  language = "en"
	japanese language = "ja"
)

// languageNamed returns the language that a tag of BCP 47 begins with, "" if the console does
// not speak it.
func languageNamed(tag string) language {
	main, _, _ := strings.Cut(strings.ToLower(tag), "-")
	switch l := language(main); l {
	case english, japanese:
		return l
	}
	return ""
}

// languageOf is the language of a visit: what was chosen, or what the browser prefers.
func languageOf(r *http.Request) language {
	if k, err := r.Cookie(langCookie); err == nil {
		if l := languageNamed(k.Value); l != "" {
			return l
		}
	}
	best, of := english, 0.0
	for item := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, param, _ := strings.Cut(strings.TrimSpace(item), ";")
		q := 1.0
		if s, ok := strings.CutPrefix(strings.TrimSpace(param), "q="); ok {
			var err error
			if q, err = strconv.ParseFloat(s, 64); err != nil {
				continue
			}
		}
		if l := languageNamed(tag); l != "" && q > of {
			best, of = l, q
		}
	}
	return best
}

// Each file has the Japanese of English texts, those of one subject.
//
//go:embed text/*.json
var textFiles embed.FS

// texts is the Japanese of every text, by the English one, which stands in pages and code.
type texts map[string]string

func readTexts() (texts, error) {
	all := texts{}
	files, err := textFiles.ReadDir("text")
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		b, err := textFiles.ReadFile(path.Join("text", f.Name()))
		if err != nil {
			return nil, err
		}
		var some map[string]string
		if err := json.Unmarshal(b, &some); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		for en, ja := range some {
			all[en] = ja
		}
	}
	return all, nil
}

// known says whether a text is one of the console's.
func (t texts) known(text string) bool { return t[text] != "" }

// in is a text in a language, with args for its verbs.
func (t texts) in(l language, text string, args ...any) string {
	if ja := t[text]; l == japanese && ja != "" {
		text = ja
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// Format is texts, numbers and times as a visitor reads them.
type Format struct {
	texts texts
	lang  language
	now   time.Time
}

// T is a text of the console in the visitor's language.
func (f Format) T(text string, args ...any) string { return f.texts.in(f.lang, text, args...) }

// Bytes is a number of bytes, in units of 1024.
func (f Format) Bytes(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return f.T("%d B", n)
	}
	v, i := float64(n)/1024, 0
	for ; v >= 1023.95 && i < len(units)-1; i++ {
		v /= 1024
	}
	return fmt.Sprintf("%.1f %ciB", v, units[i])
}

// Count is a number of things, with its thousands apart.
func (f Format) Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// When is a moment: how long ago, and in full where it is pointed at. A time that is zero is
// a dash.
func (f Format) When(t time.Time) template.HTML {
	if t.IsZero() {
		return `<span class="none">–</span>`
	}
	full := t.UTC().Format("2006-01-02 15:04:05 UTC")
	return template.HTML(`<time datetime="` + t.UTC().Format(time.RFC3339) + `" title="` + full + `">` + template.HTMLEscapeString(f.ago(t)) + `</time>`)
}

func (f Format) ago(t time.Time) string {
	d := f.now.Sub(t)
	future := d < 0
	if future {
		d = -d
	}
	n, past, coming := 0, "", ""
	switch {
	case d < time.Minute && !future, d < 2*time.Second: // somebody looked at the clock before
		return f.T("just now")
	case d < time.Hour && future:
		n, coming = int((d+time.Minute-1)/time.Minute), "in %d min"
	case d < time.Hour:
		n, past = int(d/time.Minute), "%d min ago"
	case d < 48*time.Hour:
		n, past, coming = int(d/time.Hour), "%d h ago", "in %d h"
	case d < 60*24*time.Hour:
		n, past, coming = int(d/(24*time.Hour)), "%d days ago", "in %d days"
	default:
		return t.UTC().Format("2006-01-02")
	}
	if future {
		return f.T(coming, n)
	}
	return f.T(past, n)
}

// Span is how long something lasts.
func (f Format) Span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return f.T("%d s", int(d/time.Second))
	case d < time.Hour:
		return f.T("%d min", int(d/time.Minute))
	case d%(24*time.Hour) == 0 && d > 24*time.Hour:
		return f.T("%d days", int(d/(24*time.Hour)))
	}
	return f.T("%d h", int(d/time.Hour))
}

// maxForeign is how many bytes of a text are shown that images, or upstreams, say of themselves.
const maxForeign = 100

// Cut is a text that is foreign, or its beginning.
func (f Format) Cut(s string) string {
	if len(s) > maxForeign {
		s = strings.ToValidUTF8(s[:maxForeign], "") + "…"
	}
	return s
}

// Digest is the beginning of a digest, for where its whole length is not needed.
func (f Format) Digest(d any) string {
	s := fmt.Sprint(d)
	if algorithm, hex, ok := strings.Cut(s, ":"); ok && len(hex) > 12 {
		return algorithm + ":" + hex[:12]
	}
	return s
}
