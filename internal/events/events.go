// Package events tells others what happens here: Amazon ECR's events, in the envelope of
// EventBridge, as lines of a file or of weir's own log, and as signed requests to
// webhooks.
//
// It guarantees:
//   - Emit returns at once, whatever becomes of the event; nothing that it tells of waits
//     for it or fails by it.
//   - What waits for a webhook or a file is bounded: where they cannot keep up, the
//     oldest events go, which is counted, and logged once until they can again.
//   - To each webhook, and into the file, events go one by one in the order in which they
//     were emitted. One that failed is tried again, with growing pauses, before the next.
//   - A webhook is sent nothing but the event and its signature, only to its own URL:
//     redirects are not followed.
//
// Delivery is best effort, as ECR's is: what waits when weir ends is delivered within
// Options.Drain or lost, and what a crash interrupts may be delivered twice (by another
// request with the same ID) or not at all.
package events

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"time"
)

// The names of ECR's events that there are.
const (
	ImageAction       = "ECR Image Action"
	ReferrerAction    = "ECR Referrer Action"
	PullThroughAction = "ECR Pull Through Cache Action"
	ReplicationAction = "ECR Replication Action"
)

// OwnLog is the Options.Log that stands for weir's own log.
const OwnLog = "-"

// Options of an Emitter. Account and Region are required.
type Options struct {
	Account string // the registry ID
	Region  string

	Log      string // a file that lines are appended to, or OwnLog; "": none
	Webhooks []Webhook
	Agent    string       // the User-Agent of requests
	Logger   *slog.Logger // nil: slog.Default()

	Queue int           // events that wait for each; 0: 10,000
	Keep  time.Duration // an event is tried for so long; 0: 24 h
	Pause time.Duration // before the first further try; it doubles up to 5 min; 0: 1 s
	Limit time.Duration // how long one request may take; 0: 10 s
	Drain time.Duration // how long Close goes on delivering; 0: 5 s
}

// envelope is an event as EventBridge would hand it on.
type envelope struct {
	Version    string   `json:"version"`
	ID         string   `json:"id"`
	DetailType string   `json:"detail-type"`
	Source     string   `json:"source"`
	Account    string   `json:"account"`
	Time       string   `json:"time"`
	Region     string   `json:"region"`
	Resources  []string `json:"resources"`
	Detail     any      `json:"detail"`
}

// Image is the detail of an ImageAction or a ReferrerAction.
type Image struct {
	Result       string `json:"result"`
	Repository   string `json:"repository-name"`
	Digest       string `json:"image-digest"`
	Action       string `json:"action-type"` // PUSH, DELETE or UPDATE_STORAGE_CLASS
	Tag          string `json:"image-tag,omitempty"`
	StorageClass string `json:"target-storage-class,omitempty"`
	MediaType    string `json:"manifest-media-type,omitempty"`
	ArtifactType string `json:"artifact-media-type,omitempty"`
}

// PullThrough is the detail of a PullThroughAction.
type PullThrough struct {
	RuleVersion   string `json:"rule-version"`
	Status        string `json:"sync-status"` // SUCCESS or FAILED
	Prefix        string `json:"ecr-repository-prefix"`
	Repository    string `json:"repository-name"`
	Upstream      string `json:"upstream-registry-url"`
	Tag           string `json:"image-tag,omitempty"`
	Digest        string `json:"image-digest,omitempty"`
	FailureCode   string `json:"failure-code,omitempty"`
	FailureReason string `json:"failure-reason,omitempty"`
}

// Replication is the detail of a ReplicationAction.
type Replication struct {
	Result        string `json:"result"` // SUCCESS or FAILED
	Repository    string `json:"repository-name"`
	Digest        string `json:"image-digest"`
	SourceAccount string `json:"source-account"`
	Action        string `json:"action-type"` // REPLICATE
	SourceRegion  string `json:"source-region"`
	Tag           string `json:"image-tag,omitempty"`
}

// Emitter hands events to those who are to have them. It is safe for use by many
// goroutines, and remembers the last events (Last).
type Emitter struct {
	o     Options
	sinks []*sink
	last  ring
}

// New starts an Emitter. Close it.
func New(o Options) *Emitter {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Queue == 0 {
		o.Queue = 10_000
	}
	if o.Keep == 0 {
		o.Keep = 24 * time.Hour
	}
	if o.Pause == 0 {
		o.Pause = time.Second
	}
	if o.Limit == 0 {
		o.Limit = 10 * time.Second
	}
	if o.Drain == 0 {
		o.Drain = 5 * time.Second
	}
	e := &Emitter{o: o}
	switch o.Log {
	case "":
	case OwnLog:
		e.start("log", nil, func(_ context.Context, m message) error {
			o.Logger.Info("event", "event", text(m.body))
			return nil
		})
	default:
		f := &file{path: o.Log}
		e.startFile(f.append, f.close)
	}
	for _, h := range o.Webhooks {
		p := newPoster(h, o)
		e.start(e.name(h.URL), h.Types, p.post).end = p.close
	}
	return e
}

// startFile adds the sink that is a file.
func (e *Emitter) startFile(write func(context.Context, message) error, end func()) {
	s := e.start("log", nil, write)
	s.end, s.blocks = end, true
}

// name is how a webhook is called in metrics and in the log: by its host, since the rest
// of its URL may be a secret.
func (e *Emitter) name(raw string) string {
	host := "webhook"
	if u, err := url.Parse(raw); err == nil {
		host = u.Host
	}
	name := host
	for n := 2; slices.ContainsFunc(e.sinks, func(s *sink) bool { return s.name == name }); n++ {
		name = fmt.Sprintf("%s %d", host, n)
	}
	return name
}

// Emit tells of something that just happened to resources, which are ARNs.
func (e *Emitter) Emit(kind string, detail any, resources ...string) {
	if resources == nil {
		resources = []string{}
	}
	now, id := time.Now(), newID()
	e.last.put(Event{id, now, kind, detail, resources})
	if len(e.sinks) == 0 {
		return
	}
	v := envelope{
		Version: "0", ID: id, DetailType: kind, Source: "aws.ecr", Account: e.o.Account,
		Time: now.UTC().Format(time.RFC3339), Region: e.o.Region, Resources: resources, Detail: detail,
	}
	body, err := json.Marshal(v)
	if err != nil { // details are texts
		e.o.Logger.Error("event lost", "type", kind, "error", err)
		return
	}
	m := message{id: v.ID, kind: kind, body: body, at: now}
	for _, s := range e.sinks {
		s.push(m)
	}
}

// Close delivers what waits, for at most Options.Drain, and ends. Nothing is emitted any
// more. It waits for all that was started, but not for a file that does not answer.
func (e *Emitter) Close() {
	for _, s := range e.sinks {
		s.stop()
	}
	late := time.AfterFunc(e.o.Drain, func() {
		for _, s := range e.sinks {
			s.cancel()
		}
	})
	defer late.Stop()
	for _, s := range e.sinks {
		s.wait()
	}
}

// Stats is what became of the events for one of those who are to have them.
type Stats struct {
	Sink                  string // "log", or a webhook's host
	Sent, Failed, Dropped uint64 // Failed are attempts; Dropped: too many were waiting, it was refused, or it failed for too long
	Waiting               int
}

// Stats returns one for each.
func (e *Emitter) Stats() []Stats {
	all := make([]Stats, 0, len(e.sinks))
	for _, s := range e.sinks {
		all = append(all, s.stats())
	}
	return all
}

// newID is a random UUID.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// text is JSON that a log of JSON has as it is, and another as text.
type text []byte

func (t text) MarshalJSON() ([]byte, error) { return t, nil }
func (t text) MarshalText() ([]byte, error) { return t, nil }
