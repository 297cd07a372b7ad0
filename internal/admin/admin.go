// Package admin is the control plane that the faces call: pull through cache rules,
// repository creation templates, settings of the registry, secrets, users, their access keys and policies. It authorizes: every exported method
// of a face takes the caller first and decides before it tells or changes anything.
//
// It guarantees:
//   - A change is durable when its method returns, and holds on this node from then on:
//     the rules that Changed was given, the templates, the settings, the policies that Policies returns, the access
//     keys that count.
//   - Rules and templates of the configuration are shown and never changed by a method.
//   - Secrets' values and access keys' secrets are sealed before they are stored, each
//     for its own place. The secret of an access key is returned once, by CreateKey.
//   - A secret that is past its recovery window is gone for every method; its rows go
//     at the next start, or with the next creation or list of secrets.
//
// It does not look at repositories: deleting a rule stops caching and removes nothing
// that is held. Other processes on the same PostgreSQL see changed rules when they
// start.
package admin

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/rule"
	"github.com/weir-registry/weir/internal/seal"
)

// Options of an Admin. DB, Keys, ID and Region are required.
type Options struct {
	DB     *meta.DB
	Keys   *seal.Keys
	ID     string // registry ID, 12 digits
	Region string

	// Declared are the rules of the configuration: what they say holds, whatever was
	// stored before, and a rule that is not among them any more is deleted.
	Declared []rule.Rule
	// DeclaredTemplates are the repository creation templates of the configuration, in
	// the same way.
	DeclaredTemplates []rule.Template
	// Builtin rules stand wherever there is no other rule with their prefix: one that
	// is created there takes their place.
	Builtin []rule.Rule

	// Destinations are the registries of the configuration that images may be copied to.
	Destinations []rule.Destination
	// Copies tells of these, and of others that something waits for; nil: nobody copies.
	Copies func(context.Context) ([]Destination, error)

	// Mirrors are the host names of the configuration under which the registry stands
	// in for upstreams, and what each stands in for.
	Mirrors map[string]string

	// InForce are the values of the configuration, of the file and defaults, that hold.
	InForce []Value

	Logger           *slog.Logger                                                   // nil: slog.Default()
	Changed          func(*rule.Set)                                                // called with the rules at New, and after each change, one call at a time; nil: nobody is told
	TemplatesChanged func(*rule.Templates)                                          // as Changed, with the repository creation templates
	SettingsChanged  func(*rule.Settings)                                           // as Changed, with what is set for the whole registry
	Validate         func(ctx context.Context, r *rule.Rule) error                  // asks a rule's upstream with the rule's credential; nil: ValidateRule is refused
	Egress           func(ctx context.Context, r *rule.Rule) ([]rule.Egress, error) // where a rule's upstream has weir go, and what is wrong with the rest; nil: UpstreamHosts is refused
	Standing         func(*rule.Rule) rule.Standing                                 // how things stand with a rule's upstream; nil: UpstreamStates is refused
	Traffic          func(context.Context) (*Traffic, error)                        // what was counted, the caller's own; nil: Traffic and RuleTraffic are refused
	Events           func() []Event                                                 // the last ones, newest first; nil: Events is refused
	Space            func() (Space, error)                                          // what is held, and the room that there is; nil: Space is refused
	HeldOnly         bool                                                           // no upstream is asked, whatever the rules say
	Strict           bool                                                           // only what ECR itself takes: its upstreams, its limits
	Now              func() time.Time                                               // nil: time.Now
}

// Admin is the control plane of the one registry that a weir serves. It is safe for
// concurrent use.
type Admin struct {
	o     Options
	rules atomic.Pointer[rule.Set]
	turn  chan struct{} // holds one: the right to change rules, templates and settings

	templates atomic.Pointer[rule.Templates]
	settings  atomic.Pointer[rule.Settings]

	mu          sync.Mutex
	parsed      map[string]parsedPolicies // by principal
	validations map[validated]Validation
	credentials int // how often one has changed
}

// New loads the rules, makes the declared ones what the configuration says, and calls
// Changed once.
func New(ctx context.Context, o Options) (*Admin, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Changed == nil {
		o.Changed = func(*rule.Set) {}
	}
	if o.TemplatesChanged == nil {
		o.TemplatesChanged = func(*rule.Templates) {}
	}
	if o.SettingsChanged == nil {
		o.SettingsChanged = func(*rule.Settings) {}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	a := &Admin{o: o, turn: make(chan struct{}, 1), parsed: map[string]parsedPolicies{}, validations: map[validated]Validation{}}
	if err := a.declare(ctx); err != nil {
		return nil, err
	}
	if err := a.declareTemplates(ctx); err != nil {
		return nil, err
	}
	if err := a.loadSettings(ctx); err != nil {
		return nil, err
	}
	if err := a.o.DB.PurgeSecrets(ctx, a.now()); err != nil {
		return nil, err
	}
	return a, nil
}

// now is the time as it can be stored.
func (a *Admin) now() time.Time { return a.o.Now().UTC().Truncate(time.Microsecond) }

// anything is the resource of actions that are on nothing in particular.
const anything = "*"

// may returns nil if c may do an action of ECR's that is on nothing in particular, by the
// policies of the caller and of the registry.
// Errors: errs.Denied, errs.Unauthenticated.
func (a *Admin) may(ctx context.Context, c iam.Caller, action string) error {
	return a.mayDo(ctx, c, iam.Request{Action: action, Resource: anything})
}

// May returns nil if c may do an action that is on nothing in particular, for a face that
// offers only what can be done; the method that does it decides again.
// Errors: errs.Denied, errs.Unauthenticated.
func (a *Admin) May(ctx context.Context, c iam.Caller, action string) error {
	if !strings.HasPrefix(action, "ecr:") {
		return c.Allowed(action, anything)
	}
	return a.may(ctx, c, action)
}

// mayDo is may for a request of any kind.
func (a *Admin) mayDo(ctx context.Context, c iam.Caller, q iam.Request) error {
	all, err := a.o.DB.RegistryPolicy(ctx)
	if err != nil {
		return err
	}
	if a.settings.Load().Decides(q.Action) {
		q.Registry = all.Policy
	}
	return c.May(q)
}

// page is how many rows to ask for, to know whether there are more than limit.
func page(limit int) int {
	if limit < 1 {
		return meta.Everything
	}
	return limit + 1
}

// next cuts what page asked for to limit, and returns the name to go on after.
func next[T any](all []T, limit int, name func(T) string) ([]T, string) {
	if limit < 1 || len(all) <= limit {
		return all, ""
	}
	return all[:limit], name(all[limit-1])
}

// random returns n random characters of an alphabet whose length divides 256.
func random(n int, alphabet string) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	for i := range b {
		b[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return string(b)
}
