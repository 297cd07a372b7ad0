package main

import "github.com/spf13/cobra"

func repoCommand() *cobra.Command {
	return group("repo", "List the repositories", repoListCommand())
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
					Repositories []struct {
						RepositoryName string  `json:"repositoryName"`
						RepositoryURI  string  `json:"repositoryUri"`
						CreatedAt      float64 `json:"createdAt"`
					} `json:"repositories"`
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
