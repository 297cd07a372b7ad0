package console

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/weir-registry/weir/internal/registry"
	"github.com/weir-registry/weir/internal/rule"
)

// repositoriesPath is the list of repositories. A repository's page is below it, under its
// name, and that of an image under the repository's name, @ and its digest: no name has an @.
const repositoriesPath = Path + "repositories"

// How many rows pages of lists have.
const (
	repositoryRows = 50
	tagRows        = 50
	moveRows       = 50
)

func (c *console) repositoryRoutes() {
	c.page("GET /console/repositories", (*visit).repositories)
	c.page("GET /console/new-repository", (*visit).newRepository)
	c.page("POST /console/new-repository", (*visit).createRepository)
	c.page("GET /console/repositories/{name...}", (*visit).repositoryOrImage)
	c.page("POST /console/repositories/{name...}", (*visit).changeRepository)
}

// repositoriesPage is a page of the list.
type repositoriesPage struct {
	registry.RepositoryList
	Part, Kind string
	First      string // address of the list's begin; "": this is it
	Following  string // of the next page; "": this is the last
}

// Asked says that not all are asked for.
func (p repositoriesPage) Asked() bool { return p.Part != "" || p.Kind != "" }

func (v *visit) repositories() error {
	q := registry.RepositoryQuery{Part: strings.TrimSpace(v.query("q")), Kind: v.query("kind"), After: v.query("after"), Limit: repositoryRows}
	list, err := v.console.Registry.Browse(v.ctx(), v.caller(), q)
	if err != nil {
		return err
	}
	p := repositoriesPage{RepositoryList: list, Part: q.Part, Kind: q.Kind}
	at := func(after string) string {
		return address(repositoriesPath, "q", q.Part, "kind", q.Kind, "after", after)
	}
	if q.After != "" {
		p.First = at("")
	}
	if list.Next != "" {
		p.Following = at(list.Next)
	}
	return v.show(http.StatusOK, "repositories", &Page{Title: v.T("Repositories"), Section: repositoriesPath, Data: p})
}

// address is a path with those of some parameters that have a value.
func address(path string, parameters ...string) string {
	q := url.Values{}
	for i := 0; i < len(parameters); i += 2 {
		if parameters[i+1] != "" {
			q.Set(parameters[i], parameters[i+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// newRepositoryPage is the form for a new repository, as it was filled in.
type newRepositoryPage struct {
	Name, Mutability, Exclusions string
	Mutabilities                 []string
}

func newRepositoryForm() newRepositoryPage {
	return newRepositoryPage{
		Mutability:   rule.Mutable,
		Mutabilities: []string{rule.Mutable, rule.Immutable, rule.MutableWithExclusion, rule.ImmutableWithExclusion},
	}
}

func (v *visit) newRepository() error {
	return v.show(http.StatusOK, "new-repository", &Page{Title: v.T("Create a repository"), Section: repositoriesPath, Data: newRepositoryForm()})
}

func (v *visit) createRepository() error {
	p := newRepositoryForm()
	p.Name, p.Mutability, p.Exclusions = v.formValue("name"), v.formValue("mutability"), v.formValue("exclusions")
	v.at(p.Name)
	v.does("ecr:CreateRepository", "")
	in := registry.NewRepository{Name: p.Name, Mutability: p.Mutability, Exclusions: strings.Fields(p.Exclusions)}
	made, err := v.console.Registry.CreateRepository(v.ctx(), v.caller(), in)
	if err != nil {
		return v.again(err, "new-repository", &Page{Title: v.T("Create a repository"), Section: repositoriesPath, Data: p})
	}
	return v.done(repositoryPath(made.Name), "The repository is there.")
}

// again is show for a page with what is wrong above it, in its section of the menu. An error
// that a page says nothing of is returned.
func (v *visit) again(cause error, template string, p *Page) error {
	if p.Error = v.failure(cause); p.Error == nil {
		return cause
	}
	return v.show(p.Error.Status, template, p)
}

// repositoryPath is the address of a repository's page.
func repositoryPath(name string) string { return repositoriesPath + "/" + name }
