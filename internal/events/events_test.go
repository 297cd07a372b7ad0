package events_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-registry/weir/internal/events"
)

// record is a log that can be read while it is written.
type record struct {
	mu sync.Mutex
	b  strings.Builder
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

// begin starts an Emitter that logs to the record; change may be nil.
func begin(t *testing.T, change func(*events.Options)) (*events.Emitter, *record) {
	t.Helper()
	log := &record{}
	o := events.Options{
		Account: "123456789012", Region: "east", Agent: "weir/test", Logger: slog.New(slog.NewTextHandler(log, nil)),
		Pause: time.Millisecond,
	}
	if change != nil {
		change(&o)
	}
	e := events.New(o)
	t.Cleanup(e.Close)
	return e, log
}

// number emits an event that can be told by its tag.
func number(e *events.Emitter, n int) {
	e.Emit(events.ImageAction, events.Image{Result: "SUCCESS", Action: "PUSH", Tag: fmt.Sprint(n)})
}

// tag is the number of an event.
func tag(t *testing.T, body []byte) string {
	t.Helper()
	var v struct {
		Detail struct {
			Tag string `json:"image-tag"`
		}
	}
	if err := json.Unmarshal(body, &v); err != nil {
		t.Errorf("%s: %v", body, err)
	}
	return v.Detail.Tag
}

func tags(t *testing.T, name string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		all = append(all, tag(t, []byte(line)))
	}
	return all
}

func diff(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// until waits for something that happens soon.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for !f() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("it never happened: " + what)
		}
	}
}

func TestEnvelope(t *testing.T) {
	name := filepath.Join(t.TempDir(), "events.json")
	e, _ := begin(t, func(o *events.Options) { o.Log = name })
	e.Emit(events.ImageAction, events.Image{
		Result: "SUCCESS", Repository: "team/app", Digest: "sha256:1", Action: "PUSH", Tag: "v1", MediaType: "a/m", ArtifactType: "a/c",
	})
	e.Emit(events.PullThroughAction, events.PullThrough{
		RuleVersion: "1", Status: "FAILED", Prefix: "hub", Repository: "hub/a", Upstream: "up.test", Tag: "v1",
		FailureCode: "UpstreamUnavailable", FailureReason: "no <way>",
	}, "arn:aws:ecr:east:123456789012:repository/hub/a")
	e.Emit(events.ReferrerAction, events.Image{Result: "SUCCESS", Repository: "team/app", Digest: "sha256:2", Action: "DELETE"})
	e.Close()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	id := regexp.MustCompile(`"id":"([0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})"`)
	at := regexp.MustCompile(`"time":"([^"]*Z)"`)
	got := id.ReplaceAllStringFunc(string(text), func(s string) string {
		seen[s] = true
		return `"id":"ID"`
	})
	got = at.ReplaceAllStringFunc(got, func(s string) string {
		when, err := time.Parse(time.RFC3339, at.FindStringSubmatch(s)[1])
		if err != nil || time.Since(when) > time.Minute {
			t.Errorf("%s: %v", s, err)
		}
		return `"time":"TIME"`
	})
	const head = `{"version":"0","id":"ID","detail-type":"%s","source":"aws.ecr","account":"123456789012","time":"TIME","region":"east","resources":%s,"detail":%s}` + "\n"
	want := fmt.Sprintf(head, "ECR Image Action", "[]", `{"result":"SUCCESS","repository-name":"team/app","image-digest":"sha256:1","action-type":"PUSH","image-tag":"v1","manifest-media-type":"a/m","artifact-media-type":"a/c"}`) +
		fmt.Sprintf(head, "ECR Pull Through Cache Action", `["arn:aws:ecr:east:123456789012:repository/hub/a"]`, `{"rule-version":"1","sync-status":"FAILED","ecr-repository-prefix":"hub","repository-name":"hub/a","upstream-registry-url":"up.test","image-tag":"v1","failure-code":"UpstreamUnavailable","failure-reason":"no \u003cway\u003e"}`) +
		fmt.Sprintf(head, "ECR Referrer Action", "[]", `{"result":"SUCCESS","repository-name":"team/app","image-digest":"sha256:2","action-type":"DELETE"}`)
	diff(t, "lines", want, got)
	diff(t, "different IDs", 3, len(seen))
}

// TestManual: each sample in docs/events.md is what is emitted: the same names, in the
// same order.
func TestManual(t *testing.T) {
	text, err := os.ReadFile("../../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	details := map[string]func() any{
		events.ImageAction:       func() any { return &events.Image{} },
		events.ReferrerAction:    func() any { return &events.Image{} },
		events.PullThroughAction: func() any { return &events.PullThrough{} },
		events.ReplicationAction: func() any { return &events.Replication{} },
	}
	for _, m := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		var sample struct {
			Type   string          `json:"detail-type"`
			Detail json.RawMessage `json:"detail"`
		}
		if err := json.Unmarshal([]byte(m[1]), &sample); err != nil {
			t.Fatalf("%s: %v", m[1], err)
		}
		if sample.Type == "" {
			continue // a part of one
		}
		detail := details[sample.Type]
		if detail == nil {
			t.Errorf("%q: there is no such event, or it has two samples", sample.Type)
			continue
		}
		delete(details, sample.Type)
		name := filepath.Join(t.TempDir(), "events.json")
		e, _ := begin(t, func(o *events.Options) { o.Log = name })
		v := detail()
		if err := json.Unmarshal(sample.Detail, v); err != nil {
			t.Fatal(err)
		}
		e.Emit(sample.Type, v)
		e.Close()
		emitted, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		key := regexp.MustCompile(`"([a-z-]+)":`)
		diff(t, sample.Type, key.FindAllString(m[1], -1), key.FindAllString(string(emitted), -1))
	}
	diff(t, "events without a sample", 0, len(details))
}

// TestFile: lines go into the file that has the name.
func TestFile(t *testing.T) {
	dir := t.TempDir()
	name, old := filepath.Join(dir, "events.json"), filepath.Join(dir, "events.json.1")
	e, _ := begin(t, func(o *events.Options) { o.Log = name })
	sent := func(n uint64) {
		t.Helper()
		until(t, fmt.Sprintf("%d lines", n), func() bool { return e.Stats()[0].Sent == n })
	}
	number(e, 1)
	number(e, 2)
	sent(2)
	if err := os.Rename(name, old); err != nil {
		t.Fatal(err)
	}
	number(e, 3)
	sent(3)
	diff(t, "before the rotation", []string{"1", "2"}, tags(t, old))
	diff(t, "after it", []string{"3"}, tags(t, name))
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	number(e, 4)
	sent(4)
	diff(t, "after its removal", []string{"4"}, tags(t, name))
	e.Close()
	again, _ := begin(t, func(o *events.Options) { o.Log = name })
	number(again, 5)
	again.Close()
	diff(t, "after a restart", []string{"4", "5"}, tags(t, name))
	diff(t, "stats", []events.Stats{{Sink: "log", Sent: 1}}, again.Stats())
}

// TestTornLine: a line that a crash cut short does not spoil the next one.
func TestTornLine(t *testing.T) {
	name := filepath.Join(t.TempDir(), "events.json")
	for _, had := range []string{"", "{}\n", "{", "{}\n{"} {
		if err := os.WriteFile(name, []byte(had), 0o600); err != nil {
			t.Fatal(err)
		}
		e, _ := begin(t, func(o *events.Options) { o.Log = name })
		number(e, 1)
		number(e, 2)
		e.Close()
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if had != "" && !strings.HasSuffix(had, "\n") {
			had += "\n"
		}
		added, same := strings.CutPrefix(string(text), had)
		lines := strings.SplitAfter(added, "\n")
		if !same || len(lines) != 3 || tag(t, []byte(lines[0])) != "1" || tag(t, []byte(lines[1])) != "2" {
			t.Errorf("after %q: %q", had, text)
		}
	}
}

// TestFileLater: a file that cannot be written has its events wait.
func TestFileLater(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not-yet")
	e, log := begin(t, func(o *events.Options) { o.Log = filepath.Join(dir, "events.json") })
	number(e, 1)
	number(e, 2)
	until(t, "a failure", func() bool { return e.Stats()[0].Failed > 2 })
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	until(t, "both", func() bool { return e.Stats()[0].Sent == 2 })
	diff(t, "in order", []string{"1", "2"}, tags(t, filepath.Join(dir, "events.json")))
	if text := log.String(); strings.Count(text, "could not be delivered") != 1 || strings.Count(text, "delivered again") != 1 {
		t.Errorf("the log:\n%s", text)
	}
}

// TestFileHangs: a disk that does not answer keeps nobody from ending.
func TestFileHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, log := begin(t, nil)
		answer := make(chan struct{})
		e.AddFile(func() { <-answer })
		for n := range 3 {
			number(e, n)
		}
		start := time.Now()
		e.Close()
		diff(t, "seconds", 6.0, time.Since(start).Seconds())
		diff(t, "stats", []events.Stats{{Sink: "log", Dropped: 3}}, e.Stats())
		if !strings.Contains(log.String(), "count=3") {
			t.Errorf("the log:\n%s", log)
		}
		close(answer)
	})
}

// TestPipe: a pipe is no file, and is not waited for.
func TestPipe(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, read := range []bool{false, true} {
		if read {
			f, err := os.OpenFile(name, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
		}
		e, log := begin(t, func(o *events.Options) { o.Log = name })
		number(e, 1)
		until(t, "a failure", func() bool { return e.Stats()[0].Failed > 0 })
		e.Close()
		if read && !strings.Contains(log.String(), "not a regular file") {
			t.Errorf("the log:\n%s", log)
		}
	}
}

func TestOwnLog(t *testing.T) {
	for name, want := range map[string]string{"json": `"event":{"version":"0",`, "text": `event="{\"version\":\"0\",`} {
		log := &record{}
		var h slog.Handler = slog.NewJSONHandler(log, nil)
		if name == "text" {
			h = slog.NewTextHandler(log, nil)
		}
		e, _ := begin(t, func(o *events.Options) { o.Log, o.Logger = events.OwnLog, slog.New(h) })
		number(e, 1)
		e.Close()
		if !strings.Contains(log.String(), want) {
			t.Errorf("%s: %s", name, log)
		}
	}
}

func TestNobody(t *testing.T) {
	e, log := begin(t, nil)
	number(e, 1)
	e.Close()
	number(e, 2)
	diff(t, "stats", 0, len(e.Stats()))
	diff(t, "log", "", log.String())
}
