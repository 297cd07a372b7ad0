// Package config reads weir's configuration file. The comments on the fields of
// Config and of what it holds are the manual: docs/configuration.md is made from
// them, and a test compares the two.
//
// Load guarantees that what it returns can be used as it is: every value is in
// its grammar, every name that another key refers to exists, every file that is
// named could be read. What is wrong is reported all at once, each problem with
// its line. It does not look at the network or at the data folder.
package config

import (
	"net/netip"
	"time"

	"github.com/weir-registry/weir/internal/rule"
)

// Config is the whole file. Every key may be left out, and so may the file.
type Config struct {
	// Where weir listens, as host:port. ":5000" is every address of the machine.
	// An address that is not a loopback one needs `tls`, or `tls: off` written
	// out.
	Listen string `yaml:"listen"`

	// Addresses of their own for parts of weir, as a private network has separate
	// endpoints for them. What has none is at `listen`, which is not opened if
	// nothing is left for it. Every one of them also has /healthz and /readyz.
	Listeners Listeners `yaml:"listeners"`

	// The data folder, made at the first start. It belongs to one running weir.
	// Relative paths in the file start at the file's own folder.
	Data string `yaml:"data"`

	// The one private registry that this weir serves. It is fixed by the first
	// start: changing it here later is an error.
	Registry Registry `yaml:"registry"`

	// Serve only what is held: no upstream is ever asked, whatever the rules say.
	HeldOnly bool `yaml:"held_only"`

	// Certificate and key of the listener, or `tls: off` for plain http on an
	// address that others reach. On a loopback address it may be left out.
	TLS TLS `yaml:"tls"`

	// Networks of the reverse proxies whose X-Forwarded-For counts, as CIDRs.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies"`

	// Who may pull without a key. Nobody, if it is left out.
	Anonymous []Anonymous `yaml:"anonymous"`

	// Pull through cache rules that are managed here: the API shows them and
	// changes none of them. A rule that is taken from the list is deleted at the
	// next start, its repositories stay. Rules that were created by the API hold
	// beside them. Without this key there are four more, as long as no rule with
	// their prefix was created: ecr-public, kubernetes, quay and docker-hub.
	Rules []Rule `yaml:"rules"`

	// Repository creation templates that are managed here, as rules are: what a
	// repository is like that a pull or a push makes. A push to a name that is no
	// repository makes one only where a template says so. Repositories that are
	// there stay as they are.
	Templates []Template `yaml:"templates"`

	// How closely weir keeps to Amazon ECR where that has limits of its own.
	ECR ECR `yaml:"ecr"`

	// Other registries, to which images that are pushed here may be copied.
	Replication Replication `yaml:"replication"`

	// What upstreams ask for, by a name that rules refer to.
	Credentials map[string]Credential `yaml:"credentials"`

	// How an upstream host is reached, by host, where it is not simply
	// https://HOST with the machine's own certificates.
	Upstreams map[string]Upstream `yaml:"upstreams"`

	// Host names of their own, in DNS and in the certificate, under which this
	// registry is a mirror of one upstream: to what it stands in for, a rule's prefix
	// or an upstream host. Under such a name repositories have the upstream's own
	// names, as dockerd wants it of its registry-mirrors: with `hub.corp.example:
	// docker.io`, hub.corp.example/library/alpine is docker-hub/library/alpine. No key
	// is needed for containerd, which names the upstream with each request.
	Mirrors map[string]string `yaml:"mirrors"`

	// Room on the disk.
	Storage Storage `yaml:"storage"`

	// What is removed from the disk, and when.
	Retain Retain `yaml:"retain"`

	// How long weir waits, and for what.
	Timeouts Timeouts `yaml:"timeouts"`

	// Who is told what happens here: ECR's events as JSON (docs/events.md).
	Events Events `yaml:"events"`
	// The log, on standard error.
	Log Log `yaml:"log"`

	set     *rule.Set
	builtin bool
}

// RuleSet returns the rules, ready for use.
func (c *Config) RuleSet() *rule.Set { return c.set }

// Builtin says whether the rules are those of a configuration that has none.
func (c *Config) Builtin() bool { return c.builtin }

// ECR is what weir does differently from Amazon ECR unless it is told not to.
type ECR struct {
	// Let the API create only such rules as Amazon ECR has: its own upstreams, with
	// a credential where it wants one, prefixes of 2 to 30 characters, at most 50
	// rules. Rules of this file are not bound by it.
	Strict bool `yaml:"strict"`
}

// Registry is who this registry is.
type Registry struct {
	// The registry ID: 12 digits. Left out, the first start draws one.
	ID string `yaml:"id"`

	// One word, such as the place it stands in: it is part of ARNs. Left out, the
	// first start takes local.
	Region string `yaml:"region"`

	// The host, or host:port, by which clients reach this registry: weir answers
	// under any name, but the lines that it prints and repositoryUri have this one.
	// Left out, the lines have the address it listens on, and repositoryUri has
	// ECR's own form, ID.dkr.ecr.REGION.amazonaws.com.
	Host string `yaml:"host"`
}

// Listeners are addresses, host:port, each with what is served there alone.
type Listeners struct {
	// The API: what the AWS CLI, SDKs and weir's own verbs ask (POST /). `tls`
	// counts as for `listen`.
	API string `yaml:"api"`

	// What container clients pull from (/v2/). `tls` counts as for `listen`.
	Registry string `yaml:"registry"`

	// /metrics, over plain http and without a key: an address that only the
	// monitoring reaches. Left out, /metrics is at `listen`, for the root access
	// key and for keys whose policies allow weir:GetMetrics.
	Metrics string `yaml:"metrics"`
}

// TLS is a certificate, or the word off.
type TLS struct {
	// PEM file: the certificate and those that sign it, in this order. It and
	// the key are read again when they change, without a restart; where what they
	// have then cannot be used, the log says why and the old certificate stays.
	CertFile string `yaml:"cert_file"`

	// PEM file: the certificate's private key.
	KeyFile string `yaml:"key_file"`

	Off bool `yaml:"-"` // `tls: off` was written out
}

// Anonymous is one grant to pull, and to fill the cache, without a key.
type Anonymous struct {
	// Networks that it is for, as CIDRs.
	CIDR []netip.Prefix `yaml:"cidr"`

	// Repositories that it is for: names here, where `*` stands for any number of
	// characters, "/" included, and `?` for one. Repositories of a rule with a
	// credential must be named: a pattern that reaches them begins with the
	// rule's prefix.
	Repositories []string `yaml:"repositories"`
}

// Rule is one pull through cache rule.
type Rule struct {
	// The first part of the repositories' names here: weir/PREFIX/NAME is the
	// upstream's NAME. ROOT takes every name that no other rule takes; of
	// several rules the one with the longest prefix wins. Repositories that were
	// pushed to before the rule took their prefix stay as they are. Required.
	Prefix string `yaml:"prefix"`

	// The upstream: a host, or host:port. docker.io means registry-1.docker.io.
	// It may be left out where kind tells it.
	Upstream string `yaml:"upstream"`

	// ecr, ecr-public, quay, k8s, docker-hub, github-container-registry,
	// azure-container-registry, gitlab-container-registry, chainguard or generic
	// (any other OCI registry). Left out, the host tells.
	Kind string `yaml:"kind"`

	// Goes before the repository's name at the upstream: with prefix corp and
	// upstream_prefix team/images, corp/app is the upstream's team/images/app.
	UpstreamPrefix string `yaml:"upstream_prefix"`

	// A name under credentials. Left out, the upstream is asked anonymously.
	Credential string `yaml:"credential"`

	// How long a check of a tag counts: a duration, `never` (a held tag is not
	// checked again), or 0 (an answer is at most one second old). Left out: 24h.
	Window Window `yaml:"window"`

	// Tags that never change once held, as patterns with `*` and `?`.
	Fixed []string `yaml:"fixed"`

	// Serve only what is held of this rule: its upstream is never asked.
	HeldOnly bool `yaml:"held_only"`

	// What starts the download of an image's other layers: `layer` (the first
	// layer that a client asks for), `manifest` (a platform's manifest), or `off`.
	// Left out: layer.
	Prefetch string `yaml:"prefetch"`

	// Let a range of a blob that is still arriving wait until the whole blob is
	// there and verified. Whole answers are always verified before they end.
	VerifyRanges bool `yaml:"verify_ranges"`

	// Whether clients may push to repositories of this rule: `allow` or `deny`. A tag
	// that was pushed is checked like any other, and is the upstream's again once
	// the upstream has another image of that name. Left out: deny.
	Push string `yaml:"push"`
}

// Template is one repository creation template.
type Template struct {
	// The first part of the repositories' names that it is for; ROOT is for every
	// name. Of several templates that are applied for what happens, the one with the
	// longest prefix counts. Required.
	Prefix string `yaml:"prefix"`

	// PULL_THROUGH_CACHE (a rule's first pull makes a repository), CREATE_ON_PUSH (a
	// push to a name that is no repository makes one), REPLICATION (another
	// registry's replication makes one). Required.
	AppliedFor []string `yaml:"applied_for"`

	// What it is for, in up to 256 characters.
	Description string `yaml:"description"`

	// MUTABLE, IMMUTABLE (a tag that is there stays what it is), or one of them for
	// all tags but those in exclusions: MUTABLE_WITH_EXCLUSION,
	// IMMUTABLE_WITH_EXCLUSION. An immutable tag of a rule's repository is not
	// checked at the upstream once it is held. Left out: MUTABLE.
	Mutability string `yaml:"mutability"`

	// 1 to 5 patterns of tags, with up to two `*` each.
	Exclusions []string `yaml:"exclusions"`

	// Resource tags of the repositories, by key.
	ResourceTags map[string]string `yaml:"resource_tags"`

	// The repositories' policy: a JSON document as SetRepositoryPolicy takes it,
	// best as a block of text (`|`). See docs/policies.md.
	RepositoryPolicy string `yaml:"repository_policy"`

	// The repositories' lifecycle policy: a JSON document as PutLifecyclePolicy takes
	// it (docs/lifecycle.md).
	LifecyclePolicy string `yaml:"lifecycle_policy"`
}

// Replication says where images go that are pushed to repositories of one's own. Which
// of them go to which destination is set by the API (aws ecr
// put-replication-configuration).
type Replication struct {
	// The registries that replication rules may name.
	Destinations []Destination `yaml:"destinations"`

	// How long after its push an image is tried to be copied. What is not there by then
	// has failed, and is tried again if it is pushed again. At least 1m. Within an hour of
	// weir's start, or of a jump of the clock, nothing fails for that.
	GiveUpAfter Duration `yaml:"give_up_after"`
}

// Destination is a registry that images are copied to.
type Destination struct {
	// What replication rules call it, with registry_id: of a weir, its own region; of
	// another registry, any word of a-z, 0-9 and -. Required.
	Region string `yaml:"region"`

	// 12 digits: of a weir, its own registry ID; of another registry, any. Required.
	RegistryID string `yaml:"registry_id"`

	// Where it is: https://HOST, with a port and a path if it has them. It is reached even
	// at a private address, or by plain http, because it is written here. A proxy, a
	// CA, endpoints in its place, realms and further hosts are written under upstreams, by
	// HOST or HOST:PORT. Required.
	URL string `yaml:"url"`

	// weir (one that is told that it is a replication: the credential needs the right to
	// ecr:ReplicateImage there, and repositories are made) or oci (any registry: images
	// are pushed as clients do). Left out: weir.
	Kind string `yaml:"kind"`

	// Goes before the repositories' names there: with prefix site-a, team/app is copied
	// to site-a/team/app.
	Prefix string `yaml:"prefix"`

	// A name under credentials: of a weir, the ID and secret of an access key there.
	Credential string `yaml:"credential"`
}

// Credential is either username and password_file, or file.
type Credential struct {
	// The user name.
	Username string `yaml:"username"`

	// A file with the password or token; line breaks at its end do not count.
	PasswordFile string `yaml:"password_file"`

	// A JSON file with "username" and "accessToken", as in a secret of ECR's.
	File string `yaml:"file"`
}

// Upstream is how one upstream host is reached.
type Upstream struct {
	// Base URLs in the order in which they are tried: mirrors, or an address
	// inside. The next one is tried where the one before cannot be reached.
	// Plain http is used only where it is written here.
	Endpoints []string `yaml:"endpoints"`

	// The proxy, as http://HOST:PORT, or `direct` for none. Left out, HTTP_PROXY,
	// HTTPS_PROXY and NO_PROXY of the environment say.
	Proxy string `yaml:"proxy"`

	// PEM file with certificates to trust for it, beside the machine's own.
	CAFile string `yaml:"ca_file"`

	// URLs of token services, beside the well-known ones, that may be sent the
	// credential.
	Realms []string `yaml:"realms"`

	// Hosts, or host:port, to which the upstream may send weir for a blob or a
	// token. Private, loopback and link-local addresses are reached only where
	// they are listed here, or as an endpoint, with their port.
	AllowHosts []string `yaml:"allow_hosts"`
}

// Storage is room on the disk.
type Storage struct {
	// How much of the file system blobs on their way in leave free: a percentage
	// (but at least 2 GiB), or an amount such as 20GiB.
	KeepFree KeepFree `yaml:"keep_free"`
}

// Retain says when what nothing needs any more is removed, and what lifecycle policies
// say is done.
type Retain struct {
	// How often weir looks for what is to be removed; the first time is at its start.
	SweepEvery Duration `yaml:"sweep_every"`

	// How long the blobs of a deleted image stay after it was last pulled, so that a
	// client that has its manifest gets them, and any bytes after they were stored; and
	// how long lifecycle policies leave an image alone that was pushed again, or that
	// somebody who may push there asked for by HEAD. At least 1m.
	Grace Duration `yaml:"grace"`

	// How long an upload waits for its next bytes, and an uploaded blob for a manifest
	// that names it: a push that takes longer has to send it again. At least 1m.
	Idle Duration `yaml:"idle"`

	// How often the repositories' lifecycle policies are applied (docs/lifecycle.md);
	// the first time is at the start.
	LifecycleEvery Duration `yaml:"lifecycle_every"`

	// After how many days without a pull an image of a rule's repository goes that
	// lost its last tag when the tag moved at the upstream, with what only it names: whole days
	// such as 30d, or `never`. A lifecycle policy of the repository's own takes the
	// place of this, and it does nothing in a repository that somebody pushed to (a rule
	// with push: allow). The pulls of principals whose pulls are not noted (docs/ecr.md,
	// RegisterPullTimeUpdateExclusion) do not count.
	UntaggedCached Days `yaml:"untagged_cached"`
}

// Timeouts says how long weir waits. All are durations such as 30s, 10m or 1d.
type Timeouts struct {
	// A body of an upstream that brings no byte for so long is asked for again,
	// from where it stopped.
	Stall Duration `yaml:"stall"`

	// How long a client waits for the check of a tag that is held. After it, the
	// held image is served and the check goes on.
	Wait Duration `yaml:"wait"`

	// How long a check may take, and how long a client waits for an answer about
	// what is not held: less than the 30 s after which containerd gives up.
	Check Duration `yaml:"check"`

	// How long bodies that are being sent may go on after weir was told to end.
	Shutdown Duration `yaml:"shutdown"`
}

// Events says who is told of what happens.
type Events struct {
	// A file to which every event is appended as a line of JSON, in a folder that is
	// there; `-` is weir's own log. A file that was moved away or removed is made
	// anew, so that logrotate needs to tell nobody.
	Log string `yaml:"log"`
	// URLs to which events are sent.
	Webhooks []Webhook `yaml:"webhooks"`
}

// Webhook is one of them.
type Webhook struct {
	// An http or https URL that takes a POST with an event as its body. The proxy of
	// the environment (HTTPS_PROXY, NO_PROXY) counts; redirects are not followed.
	// Required.
	URL string `yaml:"url"`
	// A file with the secret that requests are signed with, of at least 16 bytes;
	// line breaks at its end do not count. It is read at the start. Required.
	SecretFile string `yaml:"secret_file"`
	// The events that are sent: ECR Image Action, ECR Referrer Action, ECR Pull
	// Through Cache Action, ECR Replication Action. Left out, all are.
	Types []string `yaml:"types"`
	// PEM file with certificates to trust for it, beside the machine's own.
	CAFile string `yaml:"ca_file"`
}

// Log is the log.
type Log struct {
	// debug, info, warn or error.
	Level string `yaml:"level"`

	// text or json.
	Format string `yaml:"format"`
}

// Default returns what holds where no file says otherwise. Load checks it like a
// file.
func Default() *Config {
	return &Config{
		Listen: "127.0.0.1:5000",
		Data:   "weir-data",
		Rules: []Rule{
			{Prefix: "docker-hub", Upstream: rule.DockerHub.FixedHost()},
			{Prefix: "ecr-public", Upstream: rule.ECRPublic.FixedHost()},
			{Prefix: "kubernetes", Upstream: rule.K8s.FixedHost()},
			{Prefix: "quay", Upstream: rule.Quay.FixedHost()},
		},
		Replication: Replication{GiveUpAfter: Duration(7 * 24 * time.Hour)},
		Storage:     Storage{KeepFree: KeepFree{Percent: 10}},
		Retain: Retain{
			SweepEvery: Duration(time.Hour),
			Grace:      Duration(time.Hour),
			Idle:       Duration(24 * time.Hour),

			LifecycleEvery: Duration(time.Hour),
			UntaggedCached: 30,
		},
		Timeouts: Timeouts{
			Stall:    Duration(30 * time.Second),
			Wait:     Duration(2 * time.Second),
			Check:    Duration(25 * time.Second),
			Shutdown: Duration(30 * time.Second),
		},
		Log: Log{Level: "info", Format: "text"},
	}
}
