package main

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A page of the console may take this much CPU.
const pageBudget = 20 * time.Millisecond

// perShape is how many pages of one shape are measured: of a list's ten thousand entries,
// and the pages that follow, the first.
const perShape = 2

var href = regexp.MustCompile(`<a [^>]*href="([^"]*)"`)

var digest = regexp.MustCompile(`@sha256:[0-9a-f]+`)

// shape is what pages of a kind have in common: all but names, digests and where a list
// goes on. The two large repositories have shapes of their own.
func shape(path string) string {
	u, err := url.Parse(path)
	if err != nil {
		return path
	}
	at := digest.ReplaceAllString(u.Path, "@")
	if rest, ok := strings.CutPrefix(at, "/console/repositories/"); ok && !strings.HasPrefix(rest, big) && !strings.HasPrefix(rest, bare) {
		at = "a repository"
	} else if strings.HasPrefix(at, "/console/rule/") {
		at = "a rule"
	}
	return at + "?tab=" + u.Query().Get("tab") + " " + strings.Join(slices.Sorted(maps.Keys(u.Query())), " ")
}

// person is somebody with a browser in front of the console.
type person struct {
	*weir
	client *http.Client
}

func (w *weir) signIn(ctx context.Context) (*person, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	p := &person{w, &http.Client{Jar: jar}}
	form := url.Values{"key": {w.keys.AccessKeyID}, "secret": {w.keys.SecretAccessKey}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/console/sign-in", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Request.URL.Path != "/console/" {
		return nil, fmt.Errorf("signing in: %s at %s", resp.Status, resp.Request.URL)
	}
	return p, nil
}

// look gets a page.
func (p *person) look(ctx context.Context, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, resp.Status)
	}
	return string(body), err
}

// Searches that people type, which no link has: of a few, of very many, of none.
var searches = []string{"/console/repositories?q=0123", "/console/repositories?q=small", "/console/repositories?q=nothing", "/console/repositories/" + big + "?q=v012&tab=images",
	"/console/repositories/" + big + "?q=nothing&tab=images"}

// walk finds the pages that links lead to from the overview, a few of each shape, and has
// searches beside them.
func (p *person) walk(ctx context.Context) ([]string, error) {
	next, seen, shapes := append([]string{"/console/"}, searches...), map[string]bool{"/console/": true}, map[string]int{}
	for i := 0; i < len(next); i++ {
		text, err := p.look(ctx, next[i])
		if err != nil {
			return nil, err
		}
		for _, m := range href.FindAllStringSubmatch(text, -1) {
			to := html.UnescapeString(m[1])
			if strings.HasPrefix(to, "?") {
				at, _, _ := strings.Cut(next[i], "?")
				to = at + to
			}
			to, _, _ = strings.Cut(to, "#")
			if !strings.HasPrefix(to, "/console/") || strings.HasPrefix(to, "/console/static/") || seen[to] || shapes[shape(to)] == perShape {
				continue
			}
			seen[to] = true
			shapes[shape(to)]++
			next = append(next, to)
		}
	}
	return next, nil
}

// measurePages asks for each page again and again, and prints what CPU it took. It returns
// those that take more than they may.
func (w *weir) measurePages(ctx context.Context, reps int) (over []string, err error) {
	p, err := w.signIn(ctx)
	if err != nil {
		return nil, err
	}
	paths, err := p.walk(ctx)
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		cpu, took, size, err := p.measure(ctx, path, reps)
		if err != nil {
			return nil, err
		}
		line, err := json.Marshal(map[string]any{
			"page": path, "reps": len(took), "bytes": size, "p50_ms": ms(took[len(took)/2]), "p95_ms": ms(took[len(took)*95/100]), "cpu_ms": ms(cpu),
		})
		if err != nil {
			return nil, err
		}
		fmt.Println(string(line))
		if cpu > pageBudget {
			over = append(over, path)
			fmt.Fprintf(os.Stderr, "%s takes %v of CPU, more than %v\n", path, cpu, pageBudget)
		}
	}
	return over, nil
}

// measure asks for a page reps times in each of five rounds. It returns what CPU it took in
// the cheapest, since others who use the machine only make it more, and all times, sorted.
func (p *person) measure(ctx context.Context, path string, reps int) (cpu time.Duration, took []time.Duration, size int, err error) {
	for round := range 5 {
		before, err := p.cpu()
		if err != nil {
			return 0, nil, 0, err
		}
		for range reps {
			begin := time.Now()
			text, err := p.look(ctx, path)
			if err != nil {
				return 0, nil, 0, err
			}
			took, size = append(took, time.Since(begin)), len(text)
		}
		after, err := p.cpu()
		if err != nil {
			return 0, nil, 0, err
		}
		if each := (after - before) / time.Duration(reps); round == 0 || each < cpu {
			cpu = each
		}
	}
	slices.Sort(took)
	return cpu, took, size, nil
}
