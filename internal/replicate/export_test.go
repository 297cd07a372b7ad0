package replicate

import "time"

// Limit returns when what is given up was queued at the latest, for a clock and how long
// the process has run.
func Limit(giveUp time.Duration, start time.Time) func(now time.Time, run time.Duration) time.Time {
	return newLimit(giveUp, start).at
}

// Sparing gives again what ask returned.
func Sparing(ask func() (int, error)) func() (int, error) {
	var s sparing[int]
	return func() (int, error) { return s.get(ask) }
}
