package secretsmanager

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
)

const maxPage = 100

func checkPage(c *checks, max *int, token string) {
	if max != nil {
		c.number("maxResults", "have value", *max, 1, maxPage)
	}
	c.optional("nextToken", token, 1, 4096)
}

// cut returns the page of all that a token is for, and the token of the next one. A
// token is the key of the last before it; one that has gone since is no token any more.
func cut[T any](p awsapi.Pages, op string, list any, all []T, key func(T) string, max *int, token string) (page []T, next string, err error) {
	if token != "" {
		last, ok, err := p.Last(op, list, token)
		if err != nil {
			return nil, "", err
		}
		i := slices.IndexFunc(all, func(x T) bool { return key(x) == last })
		if !ok || i < 0 {
			return nil, "", awsapi.Except("InvalidNextTokenException", errs.ParamInvalid, "The NextToken value is invalid.")
		}
		all = all[i+1:]
	}
	n := maxPage
	if max != nil {
		n = *max
	}
	if len(all) <= n {
		return all, "", nil
	}
	next, err = p.Token(op, list, key(all[n-1]))
	return all[:n], next, err
}

type filter struct {
	Key    string
	Values []string
}

type listInput struct {
	Filters                []filter
	IncludePlannedDeletion bool
	MaxResults             *int
	NextToken              string
	SortBy                 string
	SortOrder              string
}

func (listInput) about() string { return "" }

func (in listInput) check() error {
	var c checks
	checkPage(&c, in.MaxResults, in.NextToken)
	if len(in.Filters) > 10 {
		c.add("filters", "have length less than or equal to 10")
	}
	for _, f := range in.Filters {
		c.oneOf("filters.key", f.Key, "description", "name", "tag-key", "tag-value", "primary-region", "owning-service", "all")
		c.number("filters.values", "have length", len(f.Values), 1, 10)
	}
	c.oneOf("sortBy", in.SortBy, "", "created-date", "last-accessed-date", "last-changed-date", "name")
	c.oneOf("sortOrder", in.SortOrder, "", "asc", "desc")
	return c.err()
}

func (c *checks) oneOf(member, s string, values ...string) {
	if !slices.Contains(values, s) {
		c.add(member, "satisfy enum value set: [%s]", strings.Trim(strings.Join(values, ", "), ", "))
	}
}

type secretList struct {
	SecretList []described
	NextToken  string `json:",omitempty"`
}

func (o operations) list(ctx context.Context, c iam.Caller, in listInput) (secretList, error) {
	all, _, err := o.admin.Secrets(ctx, c, "", 0, in.IncludePlannedDeletion)
	if err != nil {
		return secretList{}, err
	}
	all = slices.DeleteFunc(all, func(s *admin.Secret) bool {
		return slices.ContainsFunc(in.Filters, func(f filter) bool { return !f.matches(s) })
	})
	slices.SortFunc(all, in.order)
	which := in
	which.MaxResults, which.NextToken = nil, ""
	page, next, err := cut(o.pages, "ListSecrets", which, all, func(s *admin.Secret) string { return s.Name }, in.MaxResults, in.NextToken)
	if err != nil {
		return secretList{}, err
	}
	out := secretList{SecretList: make([]described, len(page)), NextToken: next}
	for i, s := range page {
		out.SecretList[i] = fromSecret(s)
		out.SecretList[i].SecretVersionsToStages = stages(s)
	}
	return out, nil
}

// order is by the time of creation, the newest first, where the input does not say.
func (in listInput) order(a, b *admin.Secret) int {
	when := func(s *admin.Secret) time.Time {
		switch in.SortBy {
		case "last-accessed-date":
			return s.Accessed
		case "last-changed-date":
			return s.Changed
		}
		return s.Created
	}
	n := cmp.Or(when(a).Compare(when(b)), cmp.Compare(a.Name, b.Name))
	if in.SortBy == "name" {
		n = cmp.Compare(a.Name, b.Name)
	}
	if in.SortOrder != "asc" {
		return -n
	}
	return n
}

// matches says whether one of a filter's values does; a value with ! before it does
// where it would not without.
func (f filter) matches(s *admin.Secret) bool {
	return slices.ContainsFunc(f.Values, func(v string) bool {
		v, not := strings.CutPrefix(v, "!")
		return f.has(s, v) != not
	})
}

func (f filter) has(s *admin.Secret, v string) bool {
	var keys, values []string
	for _, t := range s.Tags {
		keys, values = append(keys, t.Key), append(values, t.Value)
	}
	begins := func(x string) bool { return strings.HasPrefix(x, v) }
	switch f.Key {
	case "name":
		return begins(s.Name)
	case "description":
		return strings.HasPrefix(strings.ToLower(s.Description), strings.ToLower(v))
	case "tag-key":
		return slices.ContainsFunc(keys, begins)
	case "tag-value":
		return slices.ContainsFunc(values, begins)
	case "all":
		text := strings.ToLower(strings.Join(slices.Concat([]string{s.Name, s.Description}, keys, values), "\n"))
		for word := range strings.FieldsSeq(strings.ToLower(v)) {
			if strings.Contains(text, word) {
				return true
			}
		}
	}
	return false // no secret here has a primary region or an owning service
}
