package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func imageCommand() *cobra.Command {
	return group("image", "List and delete the images of a repository", imageListCommand(), imageDeleteCommand())
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

func imageDeleteCommand() *cobra.Command {
	var c client
	type imageID struct {
		Tag    string `json:"imageTag,omitempty"`
		Digest string `json:"imageDigest,omitempty"`
	}
	cmd := &cobra.Command{
		Use:   "delete REPO:TAG | REPO@DIGEST",
		Short: "Delete a tag, or an image with all its tags",
		Long: `delete takes a tag away, and with its last tag the image; by digest it takes the image
with all its tags. An image that an index names stays until the index is deleted.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			repository, tag, digest, err := c.reference(args[0])
			if err != nil {
				return err
			}
			if digest == "" && !strings.HasSuffix(args[0], ":"+tag) {
				return fmt.Errorf("%q is a whole repository: name a tag or a digest, or see weir repo delete", args[0])
			}
			in := struct {
				RepositoryName string    `json:"repositoryName"`
				ImageIDs       []imageID `json:"imageIds"`
			}{repository, []imageID{{tag, digest}}}
			var out struct {
				ImageIDs []imageID `json:"imageIds"`
				Failures []struct {
					Code   string `json:"failureCode"`
					Reason string `json:"failureReason"`
				} `json:"failures"`
			}
			if err := c.ecr(cmd.Context(), "BatchDeleteImage", in, &out); err != nil {
				return err
			}
			for _, f := range out.Failures {
				return fmt.Errorf("%s: %s", f.Code, f.Reason)
			}
			for _, id := range out.ImageIDs {
				name := repository + "@" + id.Digest
				if id.Tag != "" {
					name = repository + ":" + id.Tag + "@" + id.Digest
				}
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "deleted %s\n", name); err != nil {
					return err
				}
			}
			return nil
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
