// Package registry is the data plane that the faces call: pulling, pushing, deleting and
// describing. It authorizes: every exported method takes the caller first and decides
// before it does anything else, so a face cannot forget to.
//
// What it answers for a rule's repositories is pullthrough's; see there for what
// is guaranteed about bytes. Of pushes it guarantees:
//   - What a client was told of an upload is so after a restart or a crash of any kind.
//   - A repository serves a blob only after its bytes came there, or were mounted by one
//     who may read them elsewhere; naming a digest in a manifest gives nothing.
//   - A manifest is stored only while its config and layers are in the repository; a tag
//     that is immutable is never moved.
package registry

import (
	"cmp"
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/blob"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/pullthrough"
	"github.com/weir-registry/weir/internal/rule"
)

// What the faces see of pullthrough, so that they need not import it.
type (
	Source      = pullthrough.Source
	Sink        = pullthrough.Sink
	BlobInfo    = pullthrough.BlobInfo
	CheckResult = pullthrough.CheckResult
	Explanation = pullthrough.Explanation
)

// The sources of an answer.
const (
	Hit   = pullthrough.Hit
	Miss  = pullthrough.Miss
	Join  = pullthrough.Join
	Stale = pullthrough.Stale
)

// Manifest is a manifest for a client.
type Manifest struct {
	pullthrough.Answer
	Upstream string // the rule's upstream host
	Rule     string // its prefix; "": no rule fills the repository

	count func(rule string, hit bool) // nil: it counts as no pull, given or not
	hit   bool
}

// Given counts a pull of a manifest that is given to who asked. It is not, where the client
// has it already.
func (m *Manifest) Given() {
	if m.count != nil {
		m.count(m.Rule, m.hit)
	}
}

// Blob is a blob for a client. Close it.
type Blob struct {
	*pullthrough.Blob
	Upstream string
	Rule     string
}

// Options of a Registry; all are required but Logger and SaveEvery, Store and Uploads only for pushes.
type Options struct {
	ID      string // registry ID, 12 digits
	Region  string
	Rules   *rule.Set // at first
	Cache   *pullthrough.Cache
	DB      *meta.DB
	Store   blob.Store
	Uploads *blob.Uploads

	// Changed is told of each image that a caller pushed, deleted or archived. It returns at once;
	// nil: nobody is told.
	Changed func(ImageChange)

	// Pulled is told of each image that a client was given, by the prefix of its rule, ""
	// for none; hit says that it was held, and had not come for this client. It returns at once; nil: nobody is told.
	Pulled func(rule string, hit bool)

	Logger *slog.Logger // nil: slog's default

	// Strict takes only such lifecycle policies as ECR takes.
	Strict bool

	// SaveEvery is how many bytes of one request of a push may come before they are
	// made durable: what a crash in the middle of it costs. 0: 256 MiB
	SaveEvery int64
}

// Registry is the one private registry that a weir serves.
type Registry struct {
	id, region string
	cache      *pullthrough.Cache
	db         *meta.DB
	store      blob.Store
	uploads    *blob.Uploads
	saveEvery  int64
	log        *slog.Logger
	strict     bool
	changed    func(ImageChange)
	pulled     func(rule string, hit bool)
	rules      atomic.Pointer[rule.Set]
	templates  atomic.Pointer[rule.Templates]
	settings   atomic.Pointer[rule.Settings]
	arrived    arrivedTags
}

// New returns a Registry.
func New(o Options) *Registry {
	r := &Registry{id: o.ID, region: o.Region, cache: o.Cache, db: o.DB, store: o.Store, uploads: o.Uploads, saveEvery: cmp.Or(o.SaveEvery, 256<<20), strict: o.Strict}
	r.changed = o.Changed
	if r.changed == nil {
		r.changed = func(ImageChange) {}
	}
	r.pulled = o.Pulled
	if r.pulled == nil {
		r.pulled = func(string, bool) {}
	}
	if r.log = o.Logger; r.log == nil {
		r.log = slog.Default()
	}
	r.rules.Store(o.Rules)
	r.settings.Store(&rule.Settings{})
	r.db.NewRepositories(r.fresh)
	return r
}

// SetRules makes rules those that hold from now on. What is held under a rule that is
// gone is served as before; no upstream is asked for it any more.
func (r *Registry) SetRules(rules *rule.Set) { r.rules.Store(rules) }

// SetSettings makes settings those that hold from now on.
func (r *Registry) SetSettings(settings *rule.Settings) { r.settings.Store(settings) }

// ARN returns the Amazon resource name of a repository.
func (r *Registry) ARN(repo string) string {
	return "arn:aws:ecr:" + r.region + ":" + r.id + ":repository/" + repo
}

// find returns a repository's canonical name and rule, after the decision whether
// c may do action there. What is held needs no more than that; a caller that may
// not import gets it, and weir asks no upstream for it. Who may do nothing there learns
// nothing of the rules.
func (r *Registry) find(ctx context.Context, c iam.Caller, action, repo string) (pullthrough.Scope, error) {
	p, err := r.place(ctx, repo)
	if err != nil {
		return pullthrough.Scope{}, err
	}
	all, err := r.db.RegistryPolicy(ctx)
	if err == nil {
		err = r.permitBy(c, iam.Request{Action: action}, p, all)
	}
	if err != nil {
		return pullthrough.Scope{}, err
	}
	if p.rule == nil {
		return r.left(ctx, p.name)
	}
	mayImport := r.permitBy(c, iam.Request{Action: iam.BatchImportUpstreamImage}, p, all)
	return pullthrough.Scope{Rule: p.rule, Repository: p.name, NoUpstream: mayImport}, nil
}

// open says whether an anonymous caller who may pull a repository was meant to: what
// needs a credential at the upstream is for who holds a pattern that names the rule,
// and what a rule left, which may be that too, only for who holds the very name.
func (r *Registry) open(c iam.Caller, rl *rule.Rule, name string) bool {
	if rl != nil && rl.Account() == "" {
		return true
	}
	for _, p := range c.Policies {
		for _, s := range p.Statements {
			for _, resource := range s.Resources {
				pattern, ok := strings.CutPrefix(resource, r.ARN(""))
				if ok && !s.Deny && (pattern == name || rl != nil && rl.NamedBy(pattern) && iam.Match(pattern, name)) {
					return true
				}
			}
		}
	}
	return false
}

// left returns a repository whose rule is gone: what it holds is served, as it was
// before. Errors: errs.RepoUnknown.
func (r *Registry) left(ctx context.Context, repo string) (pullthrough.Scope, error) {
	row, err := r.db.DescribeRepository(ctx, repo)
	if errs.CodeOf(err) == errs.RepoUnknown {
		return pullthrough.Scope{}, errs.New(errs.RepoUnknown, "repository %s does not exist, and no pull through cache rule has a prefix of its name", repo)
	}
	if err != nil {
		return pullthrough.Scope{}, err
	}
	why := "no pull through cache rule has a prefix of its name"
	if row.Kind == meta.Own {
		why = "its repository is filled by pushes: there is no upstream to ask"
	}
	return pullthrough.Scope{
		Rule:       &rule.Rule{Window: rule.Never, Prefetch: rule.PrefetchOff},
		Repository: repo,
		Own:        row.Kind == meta.Own,
		NoUpstream: errs.New(errs.ManifestUnknown, "%s", why),
	}, nil
}

// Manifest returns a manifest by tag or digest. pull is false where only its
// existence is asked (HEAD), which counts as no pull; else see Manifest.Given. Errors: errs.NameInvalid,
// Denied, Unauthenticated, RepoUnknown, ImageArchived, and pullthrough's.
func (r *Registry) Manifest(ctx context.Context, c iam.Caller, repo string, ref oci.Reference, pull bool) (*Manifest, error) {
	action, err := iam.BatchGetImage, error(nil)
	if !pull {
		if action, err = r.replicated(ctx, c, action, repo); err != nil {
			return nil, err
		}
	}
	s, err := r.find(ctx, c, action, repo)
	if err != nil {
		return nil, err
	}
	return r.manifest(ctx, c, s, ref, pull)
}

// manifest is Manifest of a repository that was decided on.
func (r *Registry) manifest(ctx context.Context, c iam.Caller, s pullthrough.Scope, ref oci.Reference, pull bool) (_ *Manifest, err error) {
	if s.Rule, err = r.settled(ctx, s.Rule, s.Repository, ref.Tag); err != nil {
		return nil, err
	}
	if err := r.outside(ctx, s.Repository, ref); err != nil {
		return nil, err
	}
	a, err := r.cache.Manifest(ctx, s, ref)
	if err == nil && ref.Tag != "" { // it may have become another's, which is archived
		err = r.outside(ctx, s.Repository, oci.Reference{Digest: a.Digest})
	}
	if err != nil {
		return nil, err
	}
	m := &Manifest{Answer: a, Upstream: s.Rule.Upstream, Rule: s.Rule.Prefix}
	if pull {
		s.Unnoted = !r.settings.Load().Notes(c.ARN())
		first := r.cache.Pulled(s, ref, a.Manifest)
		if !oci.IsIndex(a.MediaType) {
			m.count, m.hit = r.pulled, !first && (a.Source == Hit || a.Source == Stale)
		}
	} else if s.Own || s.Rule.Push {
		r.told(ctx, c, s.Repository, a.Digest)
	}
	return m, nil
}

// told notes that c was told that an image is there, if c may push there: it may be a
// push that asks, and need not send it; an index that names it is still to come then.
func (r *Registry) told(ctx context.Context, c iam.Caller, repo string, d digest.Digest) {
	action := iam.PutImage
	if c.Replicates {
		action = iam.ReplicateImage
	}
	if _, _, err := r.decide(ctx, c, action, repo); err == nil {
		r.db.Needed(repo, d, time.Now())
	}
}

// Blob opens a blob; it returns when the first byte may be sent. Errors: as
// Manifest, with BlobUnknown.
func (r *Registry) Blob(ctx context.Context, c iam.Caller, repo string, d digest.Digest) (*Blob, error) {
	s, err := r.find(ctx, c, iam.GetDownloadURLForLayer, repo)
	if err != nil {
		return nil, err
	}
	b, err := r.cache.Blob(ctx, s, d)
	if err != nil {
		return nil, err
	}
	return &Blob{b, s.Rule.Upstream, s.Rule.Prefix}, nil
}

// StatBlob tells what HEAD tells, and downloads nothing. Errors: as Blob.
func (r *Registry) StatBlob(ctx context.Context, c iam.Caller, repo string, d digest.Digest) (BlobInfo, string, error) {
	action, err := r.replicated(ctx, c, iam.GetDownloadURLForLayer, repo)
	if err != nil {
		return BlobInfo{}, "", err
	}
	s, err := r.find(ctx, c, action, repo)
	if errs.CodeOf(err) == errs.Denied && !c.Replicates { // who may only push may ask what is there
		if s, denied := r.find(ctx, c, iam.BatchCheckLayerAvailability, repo); denied == nil {
			return r.statBlob(ctx, s, d)
		}
	}
	if err != nil {
		return BlobInfo{}, "", err
	}
	return r.statBlob(ctx, s, d)
}

func (r *Registry) statBlob(ctx context.Context, s pullthrough.Scope, d digest.Digest) (BlobInfo, string, error) {
	info, err := r.cache.StatBlob(ctx, s, d)
	if err == nil && (s.Rule.Upstream == "" || s.Rule.Push) {
		// It may be a push that asks, and need not send what is there: then that stays.
		r.db.Touch(s.Repository, "", d, time.Now())
	}
	return info, s.Rule.Upstream, err
}

// Check asks the upstream now what a tag is. Errors: as Manifest, and
// errs.Unsupported while the upstream is switched off.
func (r *Registry) Check(ctx context.Context, c iam.Caller, repo, tag string) (CheckResult, error) {
	s, err := r.find(ctx, c, iam.BatchImportUpstreamImage, repo)
	if err != nil {
		return CheckResult{}, err
	}
	if _, err := oci.ParseTag(tag); err != nil {
		return CheckResult{}, err
	}
	if s.Rule, err = r.settled(ctx, s.Rule, s.Repository, tag); err != nil {
		return CheckResult{}, err
	}
	if err := r.outside(ctx, s.Repository, oci.Reference{Tag: tag}); err != nil {
		return CheckResult{}, err
	}
	return r.cache.CheckNow(ctx, s, tag)
}

// Explain tells what is known of a reference without asking the upstream.
func (r *Registry) Explain(ctx context.Context, c iam.Caller, repo string, ref oci.Reference) (Explanation, error) {
	s, err := r.find(ctx, c, iam.DescribeImages, repo)
	if err != nil {
		return Explanation{}, err
	}
	if s.Rule, err = r.settled(ctx, s.Rule, s.Repository, ref.Tag); err != nil {
		return Explanation{}, err
	}
	x, err := r.cache.Explain(ctx, s, ref)
	if s.Rule.Upstream == "" { // its rule is gone
		x.Upstream = ""
	}
	if err != nil {
		return x, err
	}
	err = r.outside(ctx, s.Repository, ref)
	if errs.CodeOf(err) == errs.ImageArchived {
		x.Archived, err = errs.As(err).Msg, nil
	}
	return x, err
}
