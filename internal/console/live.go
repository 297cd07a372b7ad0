package console

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/weir-registry/weir/internal/errs"
)

// livePath is what the paths of parts of pages that move by themselves begin with.
const livePath = Path + "live/"

// How they are sent.
const (
	liveEvery     = time.Second
	maxStreams    = 256 // at a time
	maxStreamsOne = 16  // of them of one access key
)

// streams are the parts of pages that are being sent, by access key.
type streams struct {
	mu  sync.Mutex
	all int
	of  map[string]int
}

// enter takes a place, and says whether there was one.
func (s *streams) enter(keyID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= maxStreams || s.of[keyID] >= maxStreamsOne {
		return false
	}
	if s.of == nil {
		s.of = map[string]int{}
	}
	s.all++
	s.of[keyID]++
	return true
}

func (s *streams) leave(keyID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.of[keyID]--; s.of[keyID] == 0 {
		delete(s.of, keyID)
	}
}

// live sends a part of a page, as its template defines it, now and each time it has
// changed, looking about once a second, until the visitor leaves, is signed out, or the
// server is to end (text/event-stream of the HTML standard). The script puts it in place
// of what the page had, and closes the stream while nobody sees the page: browsers have few
// connections for a host. data is asked anew for each.
func (v *visit) live(template, part string, data func() (any, error)) error {
	key := v.caller().KeyID
	if !v.streams.enter(key) {
		return &errs.Error{Code: errs.Unavailable, Msg: "too many pages are being kept up to date; this one is as it was when it was loaded", RetryAfter: time.Minute}
	}
	defer v.streams.leave(key)
	h := v.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	tick := time.NewTicker(liveEvery)
	defer tick.Stop()
	last, quiet := "", 0
	for {
		d, err := data()
		if err != nil {
			return err
		}
		v.now = time.Now()
		var b bounded
		p := &Page{Format: Format{v.texts, v.lang, v.now}, Data: d, visit: v}
		if err := v.pages.part(&b, template, part, p); err != nil {
			return err
		}
		quiet++
		switch text := b.text.String(); {
		case text != last:
			last, quiet = text, 0
			err = v.send("data: " + strings.ReplaceAll(strings.ReplaceAll(text, "\r", ""), "\n", "\ndata: ") + "\n\n")
		case quiet%10 == 0:
			err = v.send("event: same\ndata:\n\n") // else neither finds out that the other is gone
		}
		if err != nil {
			return err
		}
		select {
		case <-v.ctx().Done():
			return nil
		case <-tick.C:
		}
		if v.Draining() {
			return nil
		}
		if ok, err := v.stillIn(); err != nil || !ok {
			return err
		}
	}
}

func (v *visit) send(text string) error {
	if _, err := fmt.Fprint(v.w, text); err != nil {
		return err
	}
	v.w.Flush()
	return nil
}

// stillIn says whether the session that the visit began with goes on. What its user may do
// is looked at anew.
func (v *visit) stillIn() (bool, error) {
	k, err := v.r.Cookie(v.cookieName())
	if err != nil {
		return false, nil
	}
	s, err := v.Auth.Session(v.r, k.Value)
	if errs.CodeOf(err) == errs.Unauthenticated {
		return false, nil
	}
	v.session = s
	return err == nil, err
}
