package console

import (
	"net/http"
	"strings"
	"time"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/registry"
)

// eventsPath is the list of the last events.
const eventsPath = Path + "events"

// menu is the console's sections, in their order.
var menu = []section{
	{Path: Path, Name: "Overview"},
	{Path: repositoriesPath, Name: "Repositories"},
	{Path: rulesPath, Name: "Pull through cache rules", Action: describeRules},
	{Path: secretsPath, Name: "Secrets", Action: listSecrets},
	{Path: templatesPath, Name: "Repository creation templates", Action: "ecr:DescribeRepositoryCreationTemplates"},
	{Path: policyPath, Name: "Registry policy", Action: iam.GetRegistryPolicy},
	{Path: replicationPath, Name: "Replication", Action: "ecr:DescribeRegistry"},
	{Path: usersPath, Name: "Users", Action: "iam:ListUsers"},
	{Path: eventsPath, Name: "Events", Action: "weir:ListEvents"},
	{Path: settingsPath, Name: "Settings"},
}

// How many rows the overview's and the events' tables have.
const (
	lastEvents = 8
	eventRows  = 50
)

func (c *console) overviewRoutes() {
	c.page("GET /console/{$}", (*visit).overview)
	c.page("GET "+livePath+"overview", (*visit).liveOverview)
	c.page("GET /console/events", (*visit).events)
}

// overviewPage is what the overview has. What the visitor may not see is nil.
type overviewPage struct {
	State   *stateView
	Pulls   *pullsView
	Traffic *trafficView
	Events  *eventsView
}

func (v *visit) overview() error {
	p, err := v.moving()
	if err != nil {
		return err
	}
	if p.Traffic, err = v.traffic(); err != nil {
		return err
	}
	if p.Events, err = v.eventsView(admin.EventQuery{Limit: lastEvents}); err != nil && !withheld(err) {
		return err
	}
	return v.show(http.StatusOK, "overview", &Page{Title: v.T("Overview"), Section: Path, Data: p})
}

// liveOverview is what of the overview moves by itself.
func (v *visit) liveOverview() error {
	return v.live("overview", "moving", func() (any, error) { return v.moving() })
}

func (v *visit) moving() (p overviewPage, err error) {
	if p.State, err = v.state(); err != nil {
		return p, err
	}
	p.Pulls, err = v.pulls()
	return p, err
}

// withheld says that an error only means that the visitor does not see something, or that
// this weir does not have it.
func withheld(err error) bool {
	code := errs.CodeOf(err)
	return code == errs.Denied || code == errs.Unsupported
}

// pullsView is what is on its way in.
type pullsView struct {
	Arrivals []arrivalView
	More     int // of them, which are not shown
}

type arrivalView struct{ registry.Arrival }

// Whole is the size as the end of a progress bar, which must not be 0.
func (a arrivalView) Whole() int64 { return max(a.Size, 1) }

// PerSecond is how many bytes come in a second.
func (a arrivalView) PerSecond() int64 { return int64(a.Rate) }

func (v *visit) pulls() (*pullsView, error) {
	all, more, err := v.console.Registry.Arriving(v.ctx(), v.caller())
	if withheld(err) {
		return nil, nil
	}
	p := &pullsView{More: more}
	for _, a := range all {
		p.Arrivals = append(p.Arrivals, arrivalView{a})
	}
	return p, err
}

// stateView is how things stand.
type stateView struct {
	Verdict   verdict
	Upstreams []upstreamView
	Seen      bool         // the visitor may see the upstreams
	Space     *admin.Space // nil: the visitor may not see it
}

// verdict answers whether everything is well.
type verdict struct {
	Level string   // good, warn, bad, or "" where the visitor may not see that
	Text  string   // in the visitor's language
	More  []string // each thing that is not well, if there are several
}

// upstreamView is an upstream with its state in a word.
type upstreamView struct {
	admin.UpstreamState
	Level string // of the state
	State string // in the visitor's language
}

// Login names the credential that it is asked with; "": none.
func (u upstreamView) Login() string {
	_, secret, ok := strings.Cut(u.Credential, ":secret:")
	if i := strings.LastIndexByte(secret, '-'); ok && i > 0 {
		return secret[:i] // the rest is what makes its ARN another one each time
	}
	return u.Credential
}

func (v *visit) state() (*stateView, error) {
	s := &stateView{}
	ups, err := v.Admin.UpstreamStates(v.ctx(), v.caller())
	if err != nil && !withheld(err) {
		return nil, err
	}
	s.Seen = err == nil
	space, err := v.Admin.Space(v.ctx(), v.caller())
	if err == nil {
		s.Space = &space
	} else if !withheld(err) {
		return nil, err
	}
	var bad, warn []string
	if s.Space != nil && s.Space.Full() {
		bad = append(bad, v.T("The disk is full: what is held is served, and what is new passes through without being kept."))
	}
	asked := false
	for _, u := range ups {
		view, problem := v.upstreamView(u)
		s.Upstreams = append(s.Upstreams, view)
		asked = asked || !u.Answered.IsZero()
		switch {
		case problem == "":
		case view.Level == "bad":
			bad = append(bad, problem)
		default:
			warn = append(warn, problem)
		}
	}
	s.Verdict = v.verdict(bad, warn, s, asked)
	return s, nil
}

func (v *visit) verdict(bad, warn []string, s *stateView, asked bool) verdict {
	level, all := "bad", append(bad, warn...)
	if len(bad) == 0 {
		level = "warn"
	}
	switch {
	case len(all) == 1:
		return verdict{Level: level, Text: all[0]}
	case len(all) > 1:
		return verdict{level, v.T("%d things are not well.", len(all)), all}
	case !s.Seen && s.Space == nil:
		return verdict{Text: v.T("Whether everything is well is not yours to see.")}
	case !s.Seen:
		return verdict{Level: "good", Text: v.T("There is room for what is new. How upstreams are is not yours to see.")}
	case len(s.Upstreams) == 0:
		return verdict{Level: "good", Text: v.T("Everything is well. There is no upstream yet.")}
	case !asked:
		return verdict{Level: "good", Text: v.T("Everything is well. No upstream was asked yet since weir started.")}
	}
	return verdict{Level: "good", Text: v.T("Everything is well.")}
}

// upstreamView returns an upstream with its state, and a sentence if that is a problem.
func (v *visit) upstreamView(u admin.UpstreamState) (view upstreamView, problem string) {
	view.UpstreamState = u
	f := Format{v.texts, v.lang, v.now}
	switch {
	case len(u.HeldOnly) == len(u.Rules):
		view.State = v.T("never asked: held only")
	case !u.Failing.IsZero():
		view.Level, view.State = "bad", v.T("failing")
		problem = v.T("%s gives no good answer: what is held is served, and what is not held cannot be pulled.", u.Host)
	case !u.Refused.IsZero():
		view.Level, view.State = "bad", v.T("refuses the credential")
		problem = v.T("%s does not take weir's credential: what is held is served, and what is not held cannot be pulled.", u.Host)
	case u.Limited.After(v.now):
		view.Level, view.State = "warn", v.T("rate-limited")
		problem = v.T("%s wants no more manifests to be asked for (again %s): what is held is served.", u.Host, f.ago(u.Limited))
	case u.Answered.IsZero() && u.Failed.IsZero():
		view.State = v.T("not asked yet")
	case u.Answered.Before(u.Failed):
		view.Level, view.State = "warn", v.T("failed once")
		problem = v.T("%s failed when it was last asked.", u.Host)
	default:
		view.Level, view.State = "good", v.T("reachable")
	}
	return view, problem
}

// trafficView is what was pulled lately.
type trafficView struct {
	Day, Month    trafficSum
	ByHour, ByDay chart
}

// trafficSum is the traffic of some time.
type trafficSum struct{ Pulls, Hits, Bytes, HitBytes, Upstream int64 }

// Share is how many in a hundred pulls were of what was held; -1: there was none.
func (s trafficSum) Share() int64 {
	if s.Pulls == 0 {
		return -1
	}
	return s.Hits * 100 / s.Pulls
}

func sumOf(steps []admin.TrafficStep) (s trafficSum) {
	for _, t := range steps {
		s = trafficSum{s.Pulls + t.Pulls, s.Hits + t.Hits, s.Bytes + t.Bytes, s.HitBytes + t.HitBytes, s.Upstream + t.Upstream}
	}
	return s
}

func (v *visit) traffic() (*trafficView, error) {
	all, err := v.Admin.Traffic(v.ctx(), v.caller())
	if withheld(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t := &trafficView{Day: sumOf(all.Hours), Month: sumOf(all.Days)}
	f := Format{v.texts, v.lang, v.now}
	t.ByHour = f.draw(chart{ID: "hours", Title: v.T("Bytes by the hour"), Steps: all.Hours, Times: "01-02 15:04"}, func(at time.Time) string {
		if at.Hour()%3 != 0 {
			return ""
		}
		return at.Format("15:04")
	})
	t.ByDay = f.draw(chart{ID: "days", Title: v.T("Bytes by the day"), Steps: all.Days, Times: "2006-01-02"}, func(at time.Time) string {
		if at.Day() != 1 && (at.Day()%5 != 0 || at.Day() == 30) { // the 30th is beside the 1st
			return ""
		}
		return at.Format("01-02")
	})
	return t, nil
}

// eventsView is a list of events.
type eventsView struct {
	Query     admin.EventQuery
	Events    []eventView
	First     string // address of the list's begin; "": this is it
	Following string // of the next page; "": this is the last
}

// Asked says that not all are asked for.
func (e eventsView) Asked() bool { return e.Query.Text != "" || e.Query.Kind != "" || e.Query.Failed }

// eventView is an event with what happened in a word.
type eventView struct {
	admin.Event
	What string // in the visitor's language
}

func (v *visit) eventsView(q admin.EventQuery) (*eventsView, error) {
	all, more, err := v.Admin.Events(v.ctx(), v.caller(), q)
	if err != nil {
		return nil, err
	}
	e := &eventsView{Query: q}
	for _, one := range all {
		e.Events = append(e.Events, eventView{one, v.what(one)})
	}
	failed := ""
	if q.Failed {
		failed = "1"
	}
	at := func(after string) string {
		return address(eventsPath, "q", q.Text, "kind", q.Kind, "failed", failed, "after", after)
	}
	if q.After != "" {
		e.First = at("")
	}
	if more {
		e.Following = at(all[len(all)-1].ID)
	}
	return e, nil
}

// what says what an event is about.
func (v *visit) what(e admin.Event) string {
	switch {
	case e.Kind == admin.PullThroughEvent && e.Failed:
		return v.T("Not imported")
	case e.Kind == admin.PullThroughEvent:
		return v.T("Imported")
	case e.Kind == admin.ReplicationEvent && e.Failed:
		return v.T("Not copied")
	case e.Kind == admin.ReplicationEvent:
		return v.T("Copied")
	case e.Action == "DELETE":
		return v.T("Deleted")
	case e.Action == "UPDATE_STORAGE_CLASS":
		return v.T("Moved into the archive or out of it")
	case e.Kind == admin.ReferrerEvent:
		return v.T("Pushed, about another image")
	}
	return v.T("Pushed")
}

func (v *visit) events() error {
	q := admin.EventQuery{Kind: v.query("kind"), Failed: v.query("failed") != "", Text: v.query("q"), After: v.query("after"), Limit: eventRows}
	e, err := v.eventsView(q)
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "events", &Page{Title: v.T("Events"), Section: eventsPath, Data: e})
}
