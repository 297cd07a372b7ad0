package events

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const (
	// maxPause is the longest pause between two tries.
	maxPause = 5 * time.Minute
	// grace is how long a file may take for what it is at when its time is over.
	grace = time.Second
)

// message is an event on its way.
type message struct {
	id, kind string
	body     []byte
	at       time.Time
}

// refusal is a failure that another try would have too.
type refusal struct{ error }

// sink is one of those who are to have events, and the events that wait for it.
type sink struct {
	name    string
	types   []string // nil: all
	deliver func(context.Context, message) error
	end     func()
	blocks  bool // deliver may never return, whatever becomes of its context

	limit       int
	keep, pause time.Duration
	log         *slog.Logger

	ctx    context.Context
	cancel context.CancelFunc
	wake   chan struct{} // there is something to deliver
	quit   chan struct{}
	done   chan struct{} // closed at the end of run

	mu                    sync.Mutex
	waiting               []message
	full                  bool // so much that some were dropped, and it was said
	stopped               bool
	sent, failed, dropped uint64

	failing bool // the worker's: it was said that it fails
}

// start adds a sink that deliver brings events to, of the types, or all.
func (e *Emitter) start(name string, types []string, deliver func(context.Context, message) error) *sink {
	s := &sink{
		name: name, types: types, deliver: deliver, end: func() {}, limit: e.o.Queue, keep: e.o.Keep, pause: e.o.Pause,
		log: e.o.Logger.With("sink", name), wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	e.sinks = append(e.sinks, s)
	go s.run()
	return s
}

// push lets a message wait for its turn, in place of the oldest one if there are too
// many.
func (s *sink) push(m message) {
	if len(s.types) > 0 && !slices.Contains(s.types, m.kind) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		s.dropped++
		return
	}
	if len(s.waiting) >= s.limit {
		s.waiting = s.waiting[1:]
		s.dropped++
		if !s.full {
			s.full = true
			s.log.Warn("events are lost: too many wait to be delivered, the oldest go", "waiting", s.limit)
		}
	}
	s.waiting = append(s.waiting, m)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// stop lets nothing wait any more; what waits is still delivered.
func (s *sink) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.stopped = true
		close(s.quit)
	}
}

// wait returns when everything is delivered or given up. What writes to a disk that does
// not answer cannot be ended, and is left behind.
func (s *sink) wait() {
	if s.blocks && !s.ends() {
		s.mu.Lock()
		lost := 1 + len(s.waiting)
		s.waiting = nil
		s.dropped += uint64(lost)
		s.mu.Unlock()
		s.log.Warn("events are lost: they cannot be written", "count", lost)
		return
	}
	<-s.done
	s.cancel()
	s.end()
}

// ends says whether run ends in time.
func (s *sink) ends() bool {
	select {
	case <-s.done:
		return true
	case <-s.ctx.Done():
	}
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-s.done:
		return true
	case <-t.C:
		return false
	}
}

func (s *sink) run() {
	defer close(s.done)
	for {
		m, ok := s.next()
		if !ok {
			return
		}
		if err := s.send(m); err != nil {
			s.drop(m, err)
		}
	}
}

// next waits for a message; ok is false when there will be none.
func (s *sink) next() (m message, ok bool) {
	for {
		s.mu.Lock()
		stopped := s.stopped
		if len(s.waiting) > 0 {
			m, s.waiting = s.waiting[0], s.waiting[1:]
			s.full = s.full && len(s.waiting) > s.limit/2
			s.mu.Unlock()
			return m, true
		}
		s.waiting = nil // the array goes
		s.mu.Unlock()
		if stopped {
			return message{}, false
		}
		select {
		case <-s.wake:
		case <-s.quit:
		}
	}
}

// send delivers a message, however often it takes. An error is that of the last try.
func (s *sink) send(m message) error {
	for pause := s.pause; ; pause = min(2*pause, maxPause) {
		err := s.deliver(s.ctx, m)
		s.count(err)
		if err == nil {
			if s.failing {
				s.log.Info("events are delivered again")
			}
			s.failing = false
			return nil
		}
		var refused refusal
		if errors.As(err, &refused) || time.Since(m.at) > s.keep {
			return err
		}
		if !s.failing {
			s.failing = true
			s.log.Warn("an event could not be delivered, and is tried again", "error", err)
		}
		if s.ending() {
			return err
		}
		timer := time.NewTimer(pause/2 + rand.N(pause/2+1))
		select {
		case <-timer.C:
		case <-s.quit:
			timer.Stop()
		}
	}
}

func (s *sink) count(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.sent++
	} else {
		s.failed++
	}
}

func (s *sink) ending() bool {
	select {
	case <-s.quit:
		return true
	default:
		return false
	}
}

// drop gives a message up, and with it all that wait if weir is ending: whoever did not
// take this one will not take them now.
func (s *sink) drop(m message, err error) {
	var refused refusal
	s.mu.Lock()
	lost := 1
	if s.stopped && !errors.As(err, &refused) {
		lost += len(s.waiting)
		s.waiting = nil
	}
	s.dropped += uint64(lost)
	s.mu.Unlock()
	s.log.Warn("events are lost", "count", lost, "type", m.kind, "id", m.id, "error", err)
}

func (s *sink) stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Sink: s.name, Sent: s.sent, Failed: s.failed, Dropped: s.dropped, Waiting: len(s.waiting)}
}
