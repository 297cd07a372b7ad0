package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"
)

// Entries of a page that is measured, and the most of one on the way to it.
const (
	page   = 100
	stride = 1000
)

// list is something that comes by pages.
type list struct {
	name   string
	of     int    // entries
	member string // that has them

	op     string         // of ECR's API; "": path is of the registry's
	params map[string]any // of op
	path   string
}

var lists = []list{
	{name: "DescribeRepositories", of: smallRepos + 2, member: "repositories", op: "DescribeRepositories"},
	{name: "DescribeImages", of: bigImages, member: "imageDetails", op: "DescribeImages", params: map[string]any{"repositoryName": big}},
	{name: "ListImages", of: bigImages, member: "imageIds", op: "ListImages", params: map[string]any{"repositoryName": big}},
	{name: "DescribeImages, untagged, of which there are few", of: few, member: "imageDetails", op: "DescribeImages",
		params: map[string]any{"repositoryName": big, "filter": map[string]any{"tagStatus": "UNTAGGED"}}},
	{name: "ListImages, tagged, of which there are few", of: few, member: "imageIds", op: "ListImages",
		params: map[string]any{"repositoryName": bare, "filter": map[string]any{"tagStatus": "TAGGED"}}},
	{name: "catalog", of: smallRepos + 2, member: "repositories", path: "/v2/_catalog"},
	{name: "tags", of: bigImages - few, member: "tags", path: "/v2/" + big + "/tags/list"},
}

// ask returns a page after a token, how many entries it has, and the next token.
func (w *weir) ask(ctx context.Context, l list, n int, after string) (entries int, next string, err error) {
	var body []byte
	if l.op != "" {
		in := map[string]any{"maxResults": n}
		for k, v := range l.params {
			in[k] = v
		}
		if after != "" {
			in["nextToken"] = after
		}
		text, err := json.Marshal(in)
		if err != nil {
			return 0, "", err
		}
		body, err = w.api(ctx, l.op, text)
		if err != nil {
			return 0, "", err
		}
	} else if body, err = w.get(ctx, fmt.Sprintf("%s?n=%d&last=%s", l.path, n, after)); err != nil {
		return 0, "", err
	}
	var out map[string]json.RawMessage
	if err := json.Unmarshal(body, &out); err != nil {
		return 0, "", err
	}
	if l.op == "" {
		var names []string
		if err := json.Unmarshal(out[l.member], &names); err != nil {
			return 0, "", err
		}
		if len(names) == n {
			next = names[n-1]
		}
		return len(names), next, nil
	}
	if out["nextToken"] != nil {
		if err := json.Unmarshal(out["nextToken"], &next); err != nil {
			return 0, "", err
		}
	}
	var all []json.RawMessage
	err = json.Unmarshal(bytes.TrimSpace(out[l.member]), &all)
	return len(all), next, err
}

// measureLists measures all lists, and says whether each takes at its end what it takes at
// its begin.
func (w *weir) measureLists(ctx context.Context, reps int) (flat bool, err error) {
	flat = true
	for _, l := range lists {
		first, last, err := w.measure(ctx, l, reps)
		if err != nil {
			return false, fmt.Errorf("%s: %w", l.name, err)
		}
		if last > 2*first && last > first+time.Millisecond {
			flat = false
			fmt.Fprintf(os.Stderr, "%s: the last page takes %v of CPU, the first %v\n", l.name, last, first)
		}
	}
	return flat, nil
}

// measure walks a list from its begin to its end, then asks for three of its pages
// again and again. It returns what CPU the first and the last page take.
func (w *weir) measure(ctx context.Context, l list, reps int) (first, last time.Duration, err error) {
	var tokens []string
	total, token := 0, ""
	for more := true; more; more = token != "" {
		tokens = append(tokens, token)
		n, next, err := w.ask(ctx, l, min(stride, l.of/3), token)
		if err != nil {
			return 0, 0, err
		}
		if n == 0 && len(tokens) > 1 { // the one before was the last
			tokens = tokens[:len(tokens)-1]
		}
		total, token = total+n, next
	}
	if total != l.of {
		return 0, 0, fmt.Errorf("%d entries, there are %d", total, l.of)
	}
	for _, at := range []struct {
		name string
		i    int
		cpu  *time.Duration
	}{{"first", 0, &first}, {"middle", len(tokens) / 2, new(time.Duration)}, {"last", len(tokens) - 1, &last}} {
		took := make([]time.Duration, reps)
		before, err := w.cpu()
		if err != nil {
			return 0, 0, err
		}
		for i := range took {
			begin := time.Now()
			if _, _, err := w.ask(ctx, l, page, tokens[at.i]); err != nil {
				return 0, 0, err
			}
			took[i] = time.Since(begin)
		}
		after, err := w.cpu()
		if err != nil {
			return 0, 0, err
		}
		*at.cpu = (after - before) / time.Duration(reps)
		slices.Sort(took)
		line, err := json.Marshal(map[string]any{
			"list": l.name, "entries": total, "page": at.name, "reps": reps,
			"p50_ms": ms(took[reps/2]), "p95_ms": ms(took[reps*95/100]), "cpu_ms": ms(*at.cpu),
		})
		if err != nil {
			return 0, 0, err
		}
		fmt.Println(string(line))
	}
	return first, last, nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
