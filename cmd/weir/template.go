package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func templateCommand() *cobra.Command {
	return group("template", "List, create and delete repository creation templates",
		templateListCommand(), templateCreateCommand(), templateDeleteCommand())
}

// mutability is what can be done to a repository's tags, as flags.
type mutability struct {
	immutable bool
	except    []string
}

func (m *mutability) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&m.immutable, "immutable", false, "a tag that is there stays what it is")
	cmd.Flags().StringArrayVar(&m.except, "except", nil, "`PATTERN` of tags for which it is the other way round; may be given five times")
}

type exclusionFilter struct {
	Filter     string `json:"filter"`
	FilterType string `json:"filterType"`
}

// mutabilityMembers are a mutability in ECR's operations.
type mutabilityMembers struct {
	Mutability string            `json:"imageTagMutability,omitempty"`
	Exclusions []exclusionFilter `json:"imageTagMutabilityExclusionFilters,omitempty"`
}

func (m *mutability) members() (out mutabilityMembers) {
	out.Mutability = "MUTABLE"
	if m.immutable {
		out.Mutability = "IMMUTABLE"
	}
	for _, p := range m.except {
		out.Exclusions = append(out.Exclusions, exclusionFilter{p, "WILDCARD"})
	}
	if len(m.except) > 0 {
		out.Mutability += "_WITH_EXCLUSION"
	}
	return out
}

// String is a mutability for people.
func (m mutabilityMembers) String() string {
	word, _, _ := strings.Cut(strings.ToLower(m.Mutability), "_")
	for i, f := range m.Exclusions {
		word += map[bool]string{true: " but ", false: ", "}[i == 0] + f.Filter
	}
	return word
}

// templateMembers are a template in ECR's operations.
type templateMembers struct {
	mutabilityMembers
	Prefix      string   `json:"prefix"`
	AppliedFor  []string `json:"appliedFor,omitempty"`
	Description string   `json:"description,omitempty"`
}

// templateReasons are what templates are applied for, in this program's words.
var templateReasons = []struct{ word, ecr string }{
	{"push", "CREATE_ON_PUSH"}, {"pull", "PULL_THROUGH_CACHE"}, {"replication", "REPLICATION"},
}

func templateListCommand() *cobra.Command {
	var c client
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the templates",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t := newTable(cmd.OutOrStdout(), "PREFIX", "FOR", "TAGS ARE", "DESCRIPTION")
			var in page
			for {
				var out struct {
					page
					Templates []templateMembers `json:"repositoryCreationTemplates"`
				}
				if err := c.ecr(cmd.Context(), "DescribeRepositoryCreationTemplates", in, &out); err != nil {
					return err
				}
				for _, one := range out.Templates {
					t.row(one.Prefix, reasons(one.AppliedFor), one.String(), one.Description)
				}
				if in = out.page; in.NextToken == "" {
					return t.Flush()
				}
			}
		},
	}
	c.flags(cmd)
	return cmd
}

func reasons(applied []string) string {
	var words []string
	for _, a := range applied {
		for _, r := range templateReasons {
			if r.ecr == a {
				words = append(words, r.word)
			}
		}
	}
	return strings.Join(words, ",")
}

func templateCreateCommand() *cobra.Command {
	var c client
	var m mutability
	var in templateMembers
	var words []string
	cmd := &cobra.Command{
		Use:   "create PREFIX --for push|pull",
		Short: "Create a template",
		Long: `create says what repositories are like whose names begin with PREFIX/ and that a push
or a rule's pull makes; a push makes one only where a template says so. ROOT as PREFIX
is for every name. Repositories that are there stay as they are.`,
		Example: `  weir template create team --for push
  weir template create prod --for push --for pull --immutable --except 'dev-*'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Prefix, in.mutabilityMembers = args[0], m.members()
			for _, w := range words {
				before := len(in.AppliedFor)
				for _, r := range templateReasons {
					if r.word == w {
						in.AppliedFor = append(in.AppliedFor, r.ecr)
					}
				}
				if len(in.AppliedFor) == before {
					return fmt.Errorf("--for %s is none of push, pull and replication", w)
				}
			}
			if len(words) == 0 {
				return fmt.Errorf("what is the template for? Say --for push, --for pull or both")
			}
			var out struct {
				Template templateMembers `json:"repositoryCreationTemplate"`
			}
			if err := c.ecr(cmd.Context(), "CreateRepositoryCreationTemplate", in, &out); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "created the template %s for %s: tags are %s\n", out.Template.Prefix, reasons(out.Template.AppliedFor), out.Template.String())
			return err
		},
	}
	cmd.Flags().StringArrayVar(&words, "for", nil, "what makes the repositories: `push`, pull or replication; may be given more than once")
	cmd.Flags().StringVar(&in.Description, "description", "", "`TEXT` that says what it is for")
	m.flags(cmd)
	c.flags(cmd)
	return cmd
}

func templateDeleteCommand() *cobra.Command {
	var c client
	cmd := &cobra.Command{
		Use:   "delete PREFIX",
		Short: "Delete a template",
		Long:  `delete takes a template away. Repositories that it made stay as they are.`,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out struct {
				Template templateMembers `json:"repositoryCreationTemplate"`
			}
			if err := c.ecr(cmd.Context(), "DeleteRepositoryCreationTemplate", templateMembers{Prefix: args[0]}, &out); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "deleted the template %s\n", out.Template.Prefix)
			return err
		},
	}
	c.flags(cmd)
	return cmd
}
