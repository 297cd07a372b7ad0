package replicate

import "time"

// Limit returns when what is given up was queued at the latest, for a clock and how long
// the process has run.
func Limit(giveUp time.Duration, start time.Time) func(now time.Time, run time.Duration) time.Time {
	return newLimit(giveUp, start).at
}
