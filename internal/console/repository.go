package console

import (
	"cmp"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/registry"
)

// What pages of repositories and images ask of the decision, beside iam's actions.
const (
	deleteRepository   = "ecr:DeleteRepository"
	getLifecycle       = "ecr:GetLifecyclePolicy"
	putLifecycle       = "ecr:PutLifecyclePolicy"
	deleteLifecycle    = "ecr:DeleteLifecyclePolicy"
	startPreview       = "ecr:StartLifecyclePolicyPreview"
	getPreview         = "ecr:GetLifecyclePolicyPreview"
	describeReplicated = "ecr:DescribeImageReplicationStatus"
	updateStorageClass = "ecr:UpdateImageStorageClass"
)

// asked is what pages of a repository have to know before they offer something.
func asked() []string {
	return []string{
		iam.DescribeImages, iam.BatchGetImage, iam.GetDownloadURLForLayer, iam.BatchImportUpstreamImage, iam.PutImage, iam.BatchDeleteImage,
		iam.GetRepositoryPolicy, iam.SetRepositoryPolicy, iam.DeleteRepositoryPolicy,
		deleteRepository, getLifecycle, putLifecycle, deleteLifecycle, startPreview, getPreview, describeReplicated, updateStorageClass,
	}
}

// tab is a part of a repository's page.
type tab struct {
	ID, Name string // Name is a text
	Action   string // it is shown to who may do this; "": to everybody
}

func tabs() []tab {
	return []tab{
		{"images", "Images", iam.DescribeImages},
		{"untagged", "Without a tag", iam.DescribeImages},
		{"history", "History", iam.DescribeImages},
		{"lifecycle", "Lifecycle policy", getLifecycle},
		{"permissions", "Permissions", iam.GetRepositoryPolicy},
		{"commands", "Commands", ""},
	}
}

// repositoryPage is a repository with one of its tabs.
type repositoryPage struct {
	registry.RepositorySummary
	Path string
	Tab  string
	Tabs []tab // that are offered
	Can  can
	Of   any // what the tab shows
}

// can is what the visitor may do.
type can map[string]bool

// May says whether the visitor may do an action of ECR, without its prefix.
func (c can) May(action string) bool { return c["ecr:"+action] }

func (v *visit) repositoryOrImage() error {
	name, d, image := strings.Cut(v.r.PathValue("name"), "@")
	v.at(name)
	switch {
	case image:
		return v.image(name, digest.Digest(d))
	case name == "":
		return v.redirect(repositoriesPath)
	}
	if ask := v.query("ask"); ask != "" {
		return v.askPolicy(name, ask)
	}
	return v.repository(name, v.query("tab"), nil, "")
}

// askPolicy asks before a policy of a repository goes; do is the form that deletes it.
func (v *visit) askPolicy(name, do string) error {
	s, may, err := v.repositoryOf(name)
	if err != nil {
		return err
	}
	at := repositoryPath(s.Name)
	q := question{Section: repositoriesPath, Action: at, Fields: []field{{"do", do}}, Button: v.T("Delete the policy")}
	switch {
	case do == "delete-policy" && may.May("DeleteRepositoryPolicy"):
		q.Title, q.Back = v.T("Delete the policy of %s?", s.Name), at+"?tab=permissions"
		q.Text = []string{v.T("What only it allows nobody may do any more; what only it denies others may do then. Policies of users and of the registry stay.")}
	case do == "delete-lifecycle" && may.May("DeleteLifecyclePolicy"):
		q.Title, q.Back = v.T("Delete the lifecycle policy of %s?", s.Name), at+"?tab=lifecycle"
		q.Text = []string{v.T("No image goes by it from then on. What has gone does not come back.")}
	default:
		return v.redirect(at)
	}
	return v.ask(q)
}

// repository shows a tab of a repository's page: with what was wrong with a form of it, and
// the text that was typed there, if cause is not nil.
func (v *visit) repository(name, id string, cause error, typed string) error {
	s, may, err := v.repositoryOf(name)
	if err != nil {
		return cmp.Or(cause, err) // who may not see it is still told what was wrong
	}
	if s.Name != name && cause == nil { // an alias of it
		return v.redirect(address(repositoryPath(s.Name), "tab", id))
	}
	p := repositoryPage{RepositorySummary: s, Path: repositoryPath(s.Name), Tab: id, Can: may}
	for _, t := range tabs() {
		if t.Action == "" || may[t.Action] {
			p.Tabs = append(p.Tabs, t)
		}
	}
	if p.Tab == "" {
		p.Tab = p.Tabs[0].ID
	}
	if p.Of, err = v.tabOf(&p, typed, cause != nil); err != nil && cause != nil {
		return cause // who may not see the tab is still told what was wrong
	} else if err != nil {
		return err
	}
	page := &Page{Title: s.Name, Section: repositoriesPath, Data: p}
	if p.Of == nil {
		return v.show(http.StatusNotFound, "missing", &Page{Title: v.T("Nothing is here"), Section: repositoriesPath})
	}
	if cause != nil {
		return v.again(cause, "repository", page)
	}
	return v.show(http.StatusOK, "repository", page)
}

// repositoryOf returns a repository and what the visitor may do there.
func (v *visit) repositoryOf(name string) (registry.RepositorySummary, can, error) {
	s, err := v.console.Registry.Summary(v.ctx(), v.caller(), name)
	if err != nil {
		return s, nil, err
	}
	may, err := v.console.Registry.May(v.ctx(), v.caller(), s.Name, asked())
	return s, may, err
}

// tabOf returns what a tab shows, nil if there is no such tab.
func (v *visit) tabOf(p *repositoryPage, typed string, failed bool) (any, error) {
	switch p.Tab {
	case "images":
		return v.tagsTab(p)
	case "untagged":
		return v.untaggedTab(p)
	case "history":
		return v.historyTab(p)
	case "lifecycle":
		return v.lifecycleTab(p, typed, failed)
	case "permissions":
		return v.permissionsTab(p, typed, failed)
	case "commands":
		return v.commandsTab(p)
	case "delete":
		return struct{}{}, nil
	}
	return nil, nil
}

// tagsTab is a page of tags.
type tagsTab struct {
	Part      string
	Tags      []tagRow
	First     string
	Following string
	More      bool   // what was looked at so far has few of those that are asked for
	Begin     string // address of the tags that begin with the part, which the look has not come to
}

// tagRow is a tag as it is shown. A page has many, and a template takes longer to ask for a
// text than this does.
type tagRow struct {
	Name, Short     string
	Digest          digest.Digest
	Index, Archived bool
	Platforms       []registry.TagPlatform
	Others          int  // platforms that are not shown
	Vast            bool // it names more than was looked at
	Bytes           string
	Word, Mark      string // its state, and how that looks
	Again           string // when it is checked again; "" where no clock says it
	Checked         template.HTML
	Lacks, Kind     string        // how much is missing, and of what kind the first is; "": nothing
	Lacking         digest.Digest // the first
	Older           digest.Digest // an image that is whole, in place of this one
	Stored, Pulled  template.HTML
}

// platformsShown is how many platforms of one tag a list shows.
const platformsShown = 12

func (v *visit) tagsTab(p *repositoryPage) (any, error) {
	q := registry.TagQuery{Part: strings.TrimSpace(v.query("q")), After: v.query("after"), Limit: tagRows}
	page, err := v.console.Registry.HeldTags(v.ctx(), v.caller(), p.Name, q)
	if err != nil {
		return nil, err
	}
	t := tagsTab{Part: q.Part, More: page.Next != "" && len(page.Tags) < tagRows}
	if q.After != "" {
		t.First = address(p.Path, "tab", "images", "q", q.Part)
	}
	if before := before(q.Part); t.More && page.Next < before {
		t.Begin = address(p.Path, "tab", "images", "q", q.Part, "after", before)
	}
	if page.Next != "" {
		t.Following = address(p.Path, "tab", "images", "q", q.Part, "after", page.Next)
	}
	for _, s := range page.Tags {
		t.Tags = append(t.Tags, v.tagRow(s))
	}
	return t, nil
}

// tagRow is a tag as it is shown.
func (v *visit) tagRow(s registry.TagState) tagRow {
	f := v.format()
	row := tagRow{
		Name: s.Name, Digest: s.Digest, Short: f.Digest(s.Digest), Index: s.Index, Archived: s.Archived, Vast: s.Vast, Platforms: s.Platforms,
		Bytes: f.Bytes(s.Size), Stored: f.When(s.Stored), Pulled: f.When(s.Pulled),
	}
	if n := len(s.Platforms); n > platformsShown {
		row.Platforms, row.Others = s.Platforms[:platformsShown], n-platformsShown
	}
	if s.Vast {
		row.Others = 0
	}
	if s.Vast || s.Size == 0 && len(s.Missing) > 0 { // nobody knows yet what its images come to
		row.Bytes = "–"
	}
	word := "archived"
	if !s.Archived {
		words := map[string][2]string{
			registry.TagOwn: {"own", ""}, registry.TagFresh: {"fresh", "good"}, registry.TagStale: {"stale", "warn"},
			registry.TagOrphaned: {"orphaned", "bad"}, registry.TagKept: {"kept", ""},
		}
		word, row.Mark = words[s.State][0], words[s.State][1]
		if !s.Next.IsZero() {
			row.Again = f.T("checked again by a pull from %s on", s.Next.UTC().Format("2006-01-02 15:04 UTC"))
		}
	}
	row.Word = f.T(word)
	if !s.Checked.IsZero() {
		row.Checked = f.When(s.Checked)
	}
	if n := len(s.Missing); n > 0 {
		row.Lacks, row.Kind, row.Lacking = f.T("%d missing", n), string(s.Missing[0].Kind), s.Missing[0].Digest
		if s.Complete != s.Digest {
			row.Older = s.Complete
		}
	}
	return row
}

// before is text that stands before every tag which begins with part, and behind every other
// that stands before those; "" for no part.
func before(part string) string {
	if part == "" || part[len(part)-1] <= ' ' || part[len(part)-1] > '~' {
		return ""
	}
	n := len(part) - 1
	return part[:n] + string(rune(part[n]-1)) + "~"
}

// untaggedTab is a page of images without a tag.
type untaggedTab struct {
	Images    []registry.Image
	First     string
	Following string
}

func (v *visit) untaggedTab(p *repositoryPage) (any, error) {
	after := v.query("after")
	images, next, err := v.console.Registry.Images(v.ctx(), v.caller(), p.Name, registry.Which{Tagged: registry.UntaggedImages}, digest.Digest(after), tagRows)
	if err != nil {
		return nil, err
	}
	t := untaggedTab{Images: images}
	if after != "" {
		t.First = address(p.Path, "tab", "untagged")
	}
	if next != "" {
		t.Following = address(p.Path, "tab", "untagged", "after", string(next))
	}
	return t, nil
}

// historyTab is a page of moves.
type historyTab struct {
	Tag       string // "": of all
	Moves     []moveRow
	First     string
	Following string
}

// moveRow is a move, with who did it as a text.
type moveRow struct {
	registry.TagMove
	Word string
}

func (v *visit) historyTab(p *repositoryPage) (any, error) {
	q := registry.MoveQuery{Tag: v.query("tag"), Limit: moveRows}
	if at := v.query("at"); at != "" {
		micros, err := strconv.ParseInt(at, 10, 64)
		n, noNumber := strconv.ParseInt(v.query("n"), 10, 64)
		if err != nil || noNumber != nil {
			return nil, errs.New(errs.ParamInvalid, "the address of this page is broken: go to the begin of the list")
		}
		q.Before = registry.MoveBefore(v.query("of"), n, time.UnixMicro(micros))
	}
	moves, more, err := v.console.Registry.Moves(v.ctx(), v.caller(), p.Name, q)
	if err != nil {
		return nil, err
	}
	t := historyTab{Tag: q.Tag}
	words := map[string]string{registry.MovedByPush: "push", registry.MovedByUpstream: "the upstream", registry.MovedByDelete: "deletion", "": "the upstream or a push"}
	for _, m := range moves {
		t.Moves = append(t.Moves, moveRow{m, words[m.By]})
	}
	if v.query("at") != "" {
		t.First = address(p.Path, "tab", "history", "tag", q.Tag)
	}
	if more {
		last := moves[len(moves)-1]
		t.Following = address(p.Path, "tab", "history", "tag", q.Tag, "at", strconv.FormatInt(last.At.UnixMicro(), 10), "n", strconv.FormatInt(last.N, 10), "of", last.Tag)
	}
	return t, nil
}

// lifecycleTab is the lifecycle policy, and what the last preview said.
type lifecycleTab struct {
	Text      string // as it is, or as it was typed
	Saved     bool   // there is one
	Holds     holds
	Evaluated time.Time
	Preview   *registry.Preview
	NoFigures string // a text: why the preview has none; "": it has
	Results   []registry.PreviewResult
	Following string // more results
	Events    []registry.LifecycleEvent
	Example   string
}

// lifecycleExample is what somebody who begins needs: few words, and both kinds of rules.
const lifecycleExample = `{
  "rules": [
    {
      "rulePriority": 1,
      "description": "Keep the last 30 images",
      "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 30},
      "action": {"type": "expire"}
    }
  ]
}`

func (v *visit) lifecycleTab(p *repositoryPage, typed string, failed bool) (any, error) {
	t := lifecycleTab{Text: typed, Example: lifecycleExample}
	own, err := v.console.Registry.LifecyclePolicy(v.ctx(), v.caller(), p.Name)
	if err != nil && errs.CodeOf(err) != errs.LifecycleUnknown {
		return nil, err
	}
	t.Saved, t.Evaluated, t.Holds = err == nil, own.Evaluated, holdsNow(own.Text, typed, failed)
	if !failed {
		t.Text = own.Text
	}
	if p.Can[getPreview] && v.query("preview") != "" {
		q := registry.PreviewQuery{After: digest.Digest(v.query("after")), Limit: tagRows}
		preview, results, next, err := v.console.Registry.Preview(v.ctx(), v.caller(), p.Name, q)
		switch {
		case errs.CodeOf(err) == errs.PreviewUnknown:
		case err != nil:
			return nil, err
		default:
			t.Preview, t.Results, t.NoFigures = &preview, results, noFigures(preview)
			if !failed && preview.Text != "" {
				t.Text = preview.Text
			}
		}
		if next != "" {
			t.Following = address(p.Path, "tab", "lifecycle", "preview", "1", "after", string(next))
		}
	}
	t.Events, err = v.console.Registry.LifecycleEvents(v.ctx(), v.caller(), p.Name, 0, 20)
	return t, err
}

// noFigures says why a preview does not tell what the policy would do. It is a text.
func noFigures(p registry.Preview) string {
	switch p.Status {
	case registry.PreviewComplete:
		return ""
	case registry.PreviewFailed:
		return "The preview failed, and nothing is known: start it again. The log says why."
	case registry.PreviewExpired:
		return "The preview is too old, and its figures are gone: start it again."
	}
	return "The preview is not over yet: load the page again. One that a restart of weir has cut counts as failed after five minutes."
}

// permissionsTab is the policy, and what it and the others decide for a user.
type permissionsTab struct {
	Text      string
	Saved     bool
	Holds     holds
	User      string
	Decisions []registry.Decision
	Problem   *Failure // why there are none
	Example   string
}

func permissionsExample(id string) string {
	return `{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "Pull",
      "Effect": "Allow",
      "Principal": {"AWS": "arn:aws:iam::` + id + `:user/NAME"},
      "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    }
  ]
}`
}

func (v *visit) permissionsTab(p *repositoryPage, typed string, failed bool) (any, error) {
	t := permissionsTab{Text: typed, User: strings.TrimSpace(v.query("user")), Example: permissionsExample(v.ID)}
	own, err := v.console.Registry.RepositoryPolicy(v.ctx(), v.caller(), p.Name)
	if err != nil && errs.CodeOf(err) != errs.PolicyUnknown {
		return nil, err
	}
	t.Holds = holdsNow(own.Text, typed, failed)
	if t.Saved = err == nil; !failed {
		t.Text = own.Text
	}
	if t.User == "" {
		return t, nil
	}
	who, err := v.Admin.As(v.ctx(), v.caller(), t.User)
	if err == nil {
		t.Decisions, err = v.console.Registry.PullDecisions(v.ctx(), v.caller(), p.Name, who)
	}
	if err != nil {
		if t.Problem = v.failure(err); t.Problem == nil {
			return nil, err
		}
	}
	return t, nil
}

// firstTag returns a tag of a repository, for an example; "latest" if none is known.
func (v *visit) firstTag(p *repositoryPage) string {
	if tag := v.query("tag"); tag != "" {
		if _, err := oci.ParseTag(tag); err == nil {
			return tag
		}
	}
	if !p.Can[iam.DescribeImages] {
		return "latest"
	}
	page, err := v.console.Registry.HeldTags(v.ctx(), v.caller(), p.Name, registry.TagQuery{Limit: tagRows})
	latest := func(t registry.TagState) bool { return t.Name == "latest" }
	if err != nil || len(page.Tags) == 0 || slices.ContainsFunc(page.Tags, latest) {
		return "latest"
	}
	return page.Tags[0].Name
}
