package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
)

// collector turns what the sources say at a scrape into metrics.
type collector struct {
	Sources
	all []*prometheus.Desc

	requests, received, quota, quotaLimit *prometheus.Desc // by upstream
	breaker, limited                      *prometheus.Desc // by upstream
	stale, checked                        *prometheus.Desc // by rule
	ingests, spools, spoolBytes           *prometheus.Desc
	free, size, keep, expires             *prometheus.Desc
	sweptBlobs, sweptBytes, sweptLast     *prometheus.Desc
	expired, archived, lifecycleLast      *prometheus.Desc
	events, eventsFailed, eventsWaiting   *prometheus.Desc // by sink
	copies, copied, queue, oldest         *prometheus.Desc // by destination
	asked                                 *prometheus.Desc // by destination
}

func newCollector(s Sources) *collector {
	c := &collector{Sources: s}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		d := prometheus.NewDesc("weir_"+name, help, labels, nil)
		c.all = append(c.all, d)
		return d
	}
	c.requests = desc("upstream_requests_total", "Requests to an upstream, by what for and what came of them; redirects, tokens and repetitions count one by one.", "host", "kind", "class")
	c.received = desc("upstream_bytes_total", "Bytes of an upstream's answers, without headers.", "host")
	c.quota = desc("upstream_quota_remaining", "Manifests that an upstream still allows, as it told last.", "host")
	c.quotaLimit = desc("upstream_quota_limit", "Manifests that an upstream allows in its period, as it told last.", "host")
	c.breaker = desc("upstream_breaker_state", "1 while an upstream is taken for away, and held tags are served without asking it.", "host")
	c.limited = desc("upstream_rate_limited", "1 while an upstream is asked for no manifests, because it answered 429.", "host")
	c.stale = desc("stale_served_total", "Held tags that were served although their check no longer counted and could not be renewed.", "rule")
	c.checked = desc("rule_last_answer_timestamp_seconds", "When a rule's upstream last answered for a manifest.", "rule")
	c.ingests = desc("ingest_active", "Blobs on their way in, those that wait for a connection included.")
	c.spools = desc("spool_files", "Spools that are open.")
	c.spoolBytes = desc("spool_bytes", "Bytes that have come into the open spools.")
	c.free = desc("disk_free_bytes", "Room that is left on the data folder's file system.")
	c.size = desc("disk_size_bytes", "Size of the data folder's file system.")
	c.keep = desc("disk_keep_free_bytes", "Room that blobs on their way in leave free (storage.keep_free).")
	c.events = desc("events_total", "Events that were delivered to the log or a webhook, or lost to it.", "sink", "result")
	c.eventsFailed = desc("event_failures_total", "Attempts to deliver an event that failed.", "sink")
	c.eventsWaiting = desc("events_waiting", "Events that wait to be delivered.", "sink")
	c.sweptBlobs = desc("swept_blobs_total", "Blobs that the sweep removed, because nothing needed them.")
	c.sweptBytes = desc("swept_bytes_total", "Bytes of the blobs that the sweep removed.")
	c.sweptLast = desc("sweep_last_timestamp_seconds", "When a sweep last came to its end without an error.")
	c.copies = desc("replication_copies_total", "Copies of images to another registry that were tried, by what came of them.", "host", "outcome")
	c.asked = desc("replication_requests_total", "Requests to a registry that images are copied to, by what for and what came of them; redirects, tokens and repetitions count one by one.", "host", "kind", "class")
	c.copied = desc("replication_bytes_total", "Bytes of blobs that were sent to another registry, those that were sent again included.", "host")
	c.queue = desc("replication_queue_length", "Images that wait to be copied to another registry, or are being copied.", "host")
	c.oldest = desc("replication_oldest_timestamp_seconds", "When the image that waits longest to be copied was pushed.", "host")
	c.expired = desc("lifecycle_expired_total", "Images that lifecycle policies removed.")
	c.archived = desc("lifecycle_archived_total", "Images that lifecycle policies archived.")
	c.lifecycleLast = desc("lifecycle_last_timestamp_seconds", "When all lifecycle policies were last applied without an error.")
	c.expires = desc("tls_expires_timestamp_seconds", "When the certificate in use expires.")
	return c
}

// Describe is prometheus.Collector's.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.all {
		ch <- d
	}
}

// Collect is prometheus.Collector's.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, u := range c.Upstreams() {
		for _, n := range u.Counts {
			count(c.requests, n.N, u.Host, n.Kind, n.Class)
		}
		count(c.received, u.Bytes, u.Host)
		if u.Remaining >= 0 {
			gauge(c.quota, float64(u.Remaining), u.Host)
		}
		if u.Limit >= 0 {
			gauge(c.quotaLimit, float64(u.Limit), u.Host)
		}
	}
	state := c.Cache()
	for _, u := range state.Upstreams {
		gauge(c.breaker, truth(u.Away), u.Host)
		gauge(c.limited, truth(u.Limited), u.Host)
	}
	for _, r := range state.Rules {
		count(c.stale, r.Stale, r.Prefix)
		if !r.Checked.IsZero() {
			gauge(c.checked, float64(r.Checked.UnixMilli())/1000, r.Prefix)
		}
	}
	gauge(c.ingests, float64(state.Ingests))
	n, bytes := c.Spools()
	gauge(c.spools, float64(n))
	gauge(c.spoolBytes, float64(bytes))
	if free, total, err := c.Disk(); err == nil {
		gauge(c.free, float64(free))
		gauge(c.size, float64(total))
		gauge(c.keep, float64(c.KeepFree(total)))
	}
	swept := c.Swept()
	count(c.sweptBlobs, uint64(swept.Blobs))
	count(c.sweptBytes, uint64(swept.Bytes))
	if !swept.Last.IsZero() {
		gauge(c.sweptLast, float64(swept.Last.UnixMilli())/1000)
	}
	lived := c.Lifecycle()
	count(c.expired, uint64(lived.Expired))
	count(c.archived, uint64(lived.Archived))
	if !lived.Last.IsZero() {
		gauge(c.lifecycleLast, float64(lived.Last.UnixMilli())/1000)
	}
	for _, e := range c.Events() {
		count(c.events, e.Sent, e.Sink, "sent")
		count(c.events, e.Dropped, e.Sink, "lost")
		count(c.eventsFailed, e.Failed, e.Sink)
		gauge(c.eventsWaiting, float64(e.Waiting), e.Sink)
	}
	c.collectReplicated(count, gauge)
	if c.Expires != nil {
		gauge(c.expires, float64(c.Expires().Unix()))
	}
}

func (c *collector) collectReplicated(count func(*prometheus.Desc, uint64, ...string), gauge func(*prometheus.Desc, float64, ...string)) {
	for _, d := range c.CopiedBy() {
		for _, n := range d.Counts {
			count(c.asked, n.N, d.Host, n.Kind, n.Class)
		}
	}
	all, err := c.Replicated()
	if err != nil {
		return
	}
	for _, r := range all {
		for outcome, n := range map[string]uint64{"done": r.Done, "postponed": r.Postponed, "failed": r.Failed} {
			count(c.copies, n, r.Host, outcome)
		}
		count(c.copied, r.Bytes, r.Host)
		gauge(c.queue, float64(r.Waiting), r.Host)
		if !r.Oldest.IsZero() {
			gauge(c.oldest, float64(r.Oldest.UnixMilli())/1000, r.Host)
		}
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
