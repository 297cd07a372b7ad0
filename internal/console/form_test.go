package console_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

var (
	aForm    = regexp.MustCompile(`(?s)<form([^>]*)>(.*?)</form>`)
	aControl = regexp.MustCompile(`(?s)<(input)([^>]*)>()|<(button|textarea|select)([^>]*)>(.*?)</(?:button|textarea|select)>`)
	anOption = regexp.MustCompile(`(?s)<option([^>]*)>(.*?)</option>`)
	anAttr   = regexp.MustCompile(`([a-z-]+)(?:="([^"]*)")?`)
)

// attrs reads what an element's tag has.
func attrs(tag string) map[string]string {
	all := map[string]string{}
	for _, m := range anAttr.FindAllStringSubmatch(tag, -1) {
		all[m[1]] = html.UnescapeString(m[2])
	}
	return all
}

// submit sends the form of the page that has a button, as it is filled in but for change;
// button is the value of the button, or its text if it has none.
func (b *browser) submit(button string, change url.Values) {
	b.t.Helper()
	for _, form := range aForm.FindAllStringSubmatch(b.body, -1) {
		values, pressed := url.Values{}, false
		for _, m := range aControl.FindAllStringSubmatch(form[2], -1) {
			m = append(m[:1], m[1]+m[4], m[2]+m[5], m[3]+m[6])
			a := attrs(m[2])
			_, checked := a["checked"]
			name, value := a["name"], a["value"]
			switch {
			case m[1] == "button":
				if button != value && button != html.UnescapeString(m[3]) {
					continue
				}
				pressed = true
			case m[1] == "select":
				value = chosen(m[3])
			case m[1] == "textarea":
				value = html.UnescapeString(strings.TrimPrefix(m[3], "\n"))
			case (a["type"] == "radio" || a["type"] == "checkbox") && !checked:
				continue
			}
			if name != "" {
				values.Add(name, value)
			}
		}
		if !pressed {
			continue
		}
		for name, v := range change {
			if !strings.Contains(form[2], `name="`+name+`"`) {
				b.t.Fatalf("%s: the form has no %s\n%s", b.path, name, form[0])
			}
			values[name] = v
		}
		a := attrs(form[1])
		if a["method"] == "get" {
			action, _, _ := strings.Cut(a["action"], "#")
			b.do(http.MethodGet, action+"?"+values.Encode(), nil)
		} else {
			b.do(http.MethodPost, a["action"], values)
		}
		return
	}
	b.t.Fatalf("%s: no form has the button %q\n%s", b.path, button, b.body)
}

// chosen is the value of a select by its options.
func chosen(options string) string {
	all := anOption.FindAllStringSubmatch(options, -1)
	i := slices.IndexFunc(all, func(m []string) bool { return strings.Contains(m[1], " selected") })
	if len(all) == 0 {
		return ""
	}
	m := all[max(i, 0)]
	if value, ok := attrs(m[1])["value"]; ok {
		return value
	}
	return html.UnescapeString(m[2])
}
