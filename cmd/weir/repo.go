package main

import (
	"fmt"
	"net/url"

	"github.com/spf13/cobra"
)

func repoCommand() *cobra.Command {
	return group("repo", "List, create and delete repositories", repoListCommand(), repoCreateCommand(), repoDeleteCommand(), repoLifecycleCommand())
}

// repoMembers are a repository in ECR's operations.
type repoMembers struct {
	RepositoryName string  `json:"repositoryName"`
	RepositoryURI  string  `json:"repositoryUri"`
	CreatedAt      float64 `json:"createdAt"`
}

func repoListCommand() *cobra.Command {
	var c client
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the repositories",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t := newTable(cmd.OutOrStdout(), "NAME", "URI", "CREATED")
			var in page
			for {
				var out struct {
					page
					Repositories []repoMembers `json:"repositories"`
				}
				if err := c.ecr(cmd.Context(), "DescribeRepositories", in, &out); err != nil {
					return err
				}
				for _, r := range out.Repositories {
					t.row(r.RepositoryName, r.RepositoryURI, moment(r.CreatedAt))
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

func repoCreateCommand() *cobra.Command {
	var c client
	var m mutability
	cmd := &cobra.Command{
		Use:   "create REPO",
		Short: "Create a repository",
		Long: `create makes a repository that images can be pushed to. Under a rule's prefix it is
one of the cache, and takes no pushes unless the rule allows them.`,
		Example: `  weir repo create team/app
  weir repo create team/app --immutable --except latest`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			repository, err := c.repository(args[0])
			if err != nil {
				return err
			}
			in := struct {
				mutabilityMembers
				RepositoryName string `json:"repositoryName"`
			}{m.members(), repository}
			var out struct {
				Repository repoMembers `json:"repository"`
			}
			if err := c.ecr(cmd.Context(), "CreateRepository", in, &out); err != nil {
				return err
			}
			uri := out.Repository.RepositoryURI
			if u, err := url.Parse(c.server); err == nil && local(u.Host) {
				uri = u.Host + "/" + out.Repository.RepositoryName // another name leads nowhere, most likely
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "created %s: clients call it %s\n", out.Repository.RepositoryName, uri)
			return err
		},
	}
	m.flags(cmd)
	c.flags(cmd)
	return cmd
}

func repoDeleteCommand() *cobra.Command {
	var c client
	var force bool
	cmd := &cobra.Command{
		Use:   "delete REPO",
		Short: "Delete a repository",
		Long: `delete takes a repository away, with its images if it has some and --force says so.
What it frees on the disk goes later. What a rule caches is cached anew by the next pull.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			repository, err := c.repository(args[0])
			if err != nil {
				return err
			}
			in := struct {
				RepositoryName string `json:"repositoryName"`
				Force          bool   `json:"force"`
			}{repository, force}
			var out struct {
				Repository repoMembers `json:"repository"`
			}
			err = c.ecr(cmd.Context(), "DeleteRepository", in, &out)
			if refused(err, "RepositoryNotEmptyException") {
				return fmt.Errorf("%w: --force deletes them with it", err)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "deleted %s\n", out.Repository.RepositoryName)
			return err
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "also if it has images")
	c.flags(cmd)
	return cmd
}
