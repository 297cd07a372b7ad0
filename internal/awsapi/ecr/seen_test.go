package ecr_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// answer is an operation that failed with an exception.
type answer struct{ op, exception string }

// answers are those that the tests of this package saw.
type answers struct {
	mu   sync.Mutex
	seen map[answer]bool
}

// seen is what real operations answered, on the wire or called as the wire calls
// them, but no answer of a script. TestMain compares it with the model.
var seen = answers{seen: map[answer]bool{}}

func (a *answers) note(op, exception string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen[answer{op, exception}] = true
}

// watch notes what a server answers.
func (a *answers) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		failed := &failedWriter{ResponseWriter: w}
		next.ServeHTTP(failed, r)
		a.read(op, failed.body.Bytes())
	})
}

func (a *answers) read(op string, body []byte) {
	var failure struct {
		Type string `json:"__type"`
	}
	if json.Unmarshal(body, &failure) == nil && failure.Type != "" {
		a.note(op, failure.Type)
	}
}

// failedWriter keeps the body of an answer that is no success.
type failedWriter struct {
	http.ResponseWriter
	failed bool
	body   bytes.Buffer
}

func (w *failedWriter) WriteHeader(status int) {
	w.failed = status >= 400
	w.ResponseWriter.WriteHeader(status)
}

func (w *failedWriter) Write(p []byte) (int, error) {
	if w.failed {
		w.body.Write(p)
	}
	return w.ResponseWriter.Write(p)
}

func (w *failedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// TestMain runs the tests and, if all of them ran and passed, looks whether every
// failure that the model declares for an operation was seen, or is
// one of those that docs/ecr.md says weir never answers.
func TestMain(m *testing.M) {
	status := m.Run()
	all := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == "" &&
		flag.Lookup("test.list").Value.String() == "" && flag.Lookup("test.fuzz").Value.String() == ""
	if status == 0 && all {
		if wrong := seen.compare(); len(wrong) > 0 {
			fmt.Println(strings.Join(wrong, "\n"))
			status = 1
		}
	}
	os.Exit(status)
}

// compare returns what was neither seen nor ruled out, and what was both.
func (a *answers) compare() (wrong []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	m, err := parseModel()
	never, problems := neverAnswered()
	if err != nil || len(problems) > 0 {
		return append(problems, fmt.Sprint("the model: ", err))
	}
	for _, op := range slices.Sorted(maps.Keys(m.Operations)) {
		for _, e := range m.Operations[op].Errors {
			saw := a.seen[answer{op, e.Shape}]
			switch ruledOut := never[answer{op, e.Shape}]; {
			case saw && ruledOut:
				wrong = append(wrong, fmt.Sprintf("%s answered %s, which it never does by docs/ecr.md", op, e.Shape))
			case !saw && !ruledOut:
				wrong = append(wrong, fmt.Sprintf("no test saw %s of %s, and docs/ecr.md does not say that weir never answers it", e.Shape, op))
			}
		}
	}
	return wrong
}

// neverAnswered reads the table of docs/ecr.md that says which failures weir does
// not answer. problems are rows that are not of its form.
func neverAnswered() (never map[answer]bool, problems []string) {
	m, err := parseModel()
	if err != nil {
		return nil, []string{err.Error()}
	}
	text, err := os.ReadFile("../../../docs/ecr.md")
	if err != nil {
		return nil, []string{err.Error()}
	}
	_, table, found := strings.Cut(string(text), "\n| never | of | why |\n|---|---|---|\n")
	if !found {
		return nil, []string{"docs/ecr.md has no table of failures that are never answered"}
	}
	never = map[answer]bool{}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 {
			break
		}
		exception, of, why := strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2]), strings.TrimSpace(cells[3])
		names := strings.Split(of, ", ")
		if of == "all" {
			names = m.declaring(exception)
		}
		for _, op := range names {
			switch {
			case why == "":
				problems = append(problems, fmt.Sprintf("%s of %s: no reason", exception, op))
			case !m.declares(op, exception):
				problems = append(problems, fmt.Sprintf("%s does not declare %s", op, exception))
			case never[answer{op, exception}]:
				problems = append(problems, fmt.Sprintf("%s of %s is there twice", exception, op))
			}
			never[answer{op, exception}] = true
		}
	}
	if len(never) == 0 {
		problems = append(problems, "the table of failures that are never answered is empty")
	}
	return never, problems
}

// TestDocsNever: docs/ecr.md rules out what the model declares, once each, with a
// reason.
func TestDocsNever(t *testing.T) {
	if _, problems := neverAnswered(); len(problems) > 0 {
		t.Error(strings.Join(problems, "\n"))
	}
}
