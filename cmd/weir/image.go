package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func imageCommand() *cobra.Command {
	return group("image", "List the images of a repository", imageListCommand())
}

func imageListCommand() *cobra.Command {
	var c client
	cmd := &cobra.Command{
		Use:   "list REPO",
		Short: "List what is held of a repository",
		Long: `list prints the images of a repository: tags, digest, size of what is held of the
image, when it came, and when a client was last given it.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			repository, err := c.repository(args[0])
			if err != nil {
				return err
			}
			t := newTable(cmd.OutOrStdout(), "TAGS", "DIGEST", "SIZE", "CAME", "LAST PULL")
			in := struct {
				page
				RepositoryName string `json:"repositoryName"`
			}{RepositoryName: repository}
			for {
				var out struct {
					page
					Images []struct {
						Digest string   `json:"imageDigest"`
						Tags   []string `json:"imageTags"`
						Size   int64    `json:"imageSizeInBytes"`
						Pushed float64  `json:"imagePushedAt"`
						Pulled float64  `json:"lastRecordedPullTime"`
					} `json:"imageDetails"`
				}
				if err := c.ecr(cmd.Context(), "DescribeImages", in, &out); err != nil {
					return err
				}
				for _, i := range out.Images {
					t.row(strings.Join(i.Tags, ","), i.Digest, amount(i.Size), moment(i.Pushed), moment(i.Pulled))
				}
				if in.page = out.page; in.NextToken == "" {
					return t.Flush()
				}
			}
		},
	}
	c.flags(cmd)
	return cmd
}

// repository takes the host from a repository's name as docker has it.
func (c *client) repository(name string) (string, error) {
	if strings.ContainsRune(name, '@') || strings.LastIndexByte(name, ':') > strings.LastIndexByte(name, '/') {
		return "", fmt.Errorf("%q has a tag or a digest: name the repository alone", name)
	}
	repository, _, _, err := c.reference(name)
	return repository, err
}
