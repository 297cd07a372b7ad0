package rule

import "time"

// Traffic is what clients were given of the repositories of a rule, or of all, in some
// time, and what came from upstreams for it.
type Traffic struct {
	Pulls    int64 // images, indexes not among them: a pull of one platform is one
	Hits     int64 // of them, those that were held
	Bytes    int64 // of manifests and blobs that clients were given
	HitBytes int64 // of them, those of what was held
	Upstream int64 // bytes of manifests and blobs that upstreams sent
}

// Plus returns the sum of both.
func (t Traffic) Plus(o Traffic) Traffic {
	return Traffic{t.Pulls + o.Pulls, t.Hits + o.Hits, t.Bytes + o.Bytes, t.HitBytes + o.HitBytes, t.Upstream + o.Upstream}
}

// TrafficRow is the traffic of a rule's repositories in a time that begins at At.
type TrafficRow struct {
	At     time.Time
	Prefix string // of the rule; "": of repositories that no rule fills
	Traffic
}
