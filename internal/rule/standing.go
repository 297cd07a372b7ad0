package rule

import "time"

// Standing is how things stand with an upstream, as the account of a rule reaches it, by
// what came of requests since the process started. Nobody is asked to find it out.
type Standing struct {
	Answered time.Time // when it last answered, whatever that was; zero: never
	Failing  time.Time // since when every request fails, and not one image alone; zero: they do not
	Refused  time.Time // since when it refuses the credential; zero: it does not
	Failed   time.Time // when something last failed that need not be about one image alone; zero: nothing did
	Failure  string    // what that was, in words that name no repository and no tag

	Limited time.Time // until when it wants no manifests asked for; zero: it does not say so
	Limit   string    // in what words it said so
	Quota   Quota
}

// Quota is what an upstream said last of how many manifests may be asked for. Docker Hub
// does.
type Quota struct {
	Told      time.Time // zero: it never said anything
	Remaining int64
	Limit     int64         // 0: it did not say
	Window    time.Duration // that Limit is for; 0: it did not say
}
