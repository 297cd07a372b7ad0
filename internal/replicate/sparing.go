package replicate

import (
	"sync"
	"time"
)

// share is how many times as long as it took an answer is given again.
const share = 20

// sparing gives again what it was told, so that who is asked is busy with that for a small
// share of the time, however long an answer takes and however many want one. The zero value
// is ready.
type sparing[T any] struct {
	mu    sync.Mutex
	last  T
	until time.Time // last is given
}

// get returns what ask returns, or did not long ago.
func (s *sparing[T]) get(ask func() (T, error)) (T, error) {
	s.mu.Lock()
	last, until := s.last, s.until
	s.mu.Unlock()
	start := time.Now()
	if start.Before(until) {
		return last, nil
	}
	v, err := ask()
	if err != nil {
		return v, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.last, s.until = v, now.Add(share*now.Sub(start))
	return v, nil
}
