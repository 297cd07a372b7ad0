package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// previewPause is how long a preview that is not complete is waited for.
const previewPause = time.Second

func repoLifecycleCommand() *cobra.Command {
	var c client
	var preview bool
	cmd := &cobra.Command{
		Use:   "lifecycle REPO [--preview [FILE]]",
		Short: "Show the lifecycle policy, and what it did or would do",
		Long: `lifecycle prints a repository's lifecycle policy, when it was last applied, and the
last images that it removed or archived. With --preview it tells what the policy would
do now, or that in FILE, and does nothing. A policy is put by ECR's API:
aws ecr put-lifecycle-policy (docs/lifecycle.md).`,
		Example: `  weir repo lifecycle docker-hub/library/nginx
  weir repo lifecycle docker-hub/library/nginx --preview unpulled.json`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			repository, err := c.repository(args[0])
			switch {
			case err != nil:
				return err
			case preview && len(args) == 2:
				text, err := os.ReadFile(args[1])
				if err != nil {
					return err
				}
				return c.previewLifecycle(cmd, repository, string(text))
			case preview:
				return c.previewLifecycle(cmd, repository, "")
			case len(args) == 2:
				return fmt.Errorf("%s is previewed with --preview, and put by aws ecr put-lifecycle-policy --repository-name %s --lifecycle-policy-text file://%s", args[1], repository, args[1])
			}
			return c.showLifecycle(cmd, repository)
		},
	}
	cmd.Flags().BoolVar(&preview, "preview", false, "what a policy would do: the repository's, or that in FILE")
	c.flags(cmd)
	return cmd
}

// repositoryRequest names a repository, and a page of something there.
type repositoryRequest struct {
	RepositoryName string `json:"repositoryName"`
	page
}

// lifecycleEvent is one image in ListLifecycleEvents.
type lifecycleEvent struct {
	At                  float64  `json:"at"`
	Action              string   `json:"action"`
	AppliedRulePriority int      `json:"appliedRulePriority"`
	ImageDigest         string   `json:"imageDigest"`
	ImageTags           []string `json:"imageTags"`
	SubjectDigest       string   `json:"subjectDigest"`
}

func (c *client) showLifecycle(cmd *cobra.Command, repository string) error {
	var policy struct {
		LifecyclePolicyText string  `json:"lifecyclePolicyText"`
		LastEvaluatedAt     float64 `json:"lastEvaluatedAt"`
	}
	out := cmd.OutOrStdout()
	err := c.ecr(cmd.Context(), "GetLifecyclePolicy", repositoryRequest{RepositoryName: repository}, &policy)
	switch {
	case refused(err, "LifecyclePolicyNotFoundException"):
		fmt.Fprintln(out, "policy: none of its own; in a rule's repository, retain.untagged_cached counts for what tags left")
	case err != nil:
		return err
	default:
		fmt.Fprintf(out, "policy:\n%s\nlast applied: %s\n", strings.TrimSpace(policy.LifecyclePolicyText), cmp.Or(moment(policy.LastEvaluatedAt), "not yet"))
	}
	return c.lifecycleEvents(cmd, repository)
}

func (c *client) lifecycleEvents(cmd *cobra.Command, repository string) error {
	t := newTable(cmd.OutOrStdout(), "WHEN", "WHAT", "RULE", "DIGEST", "TAGS", "WITH")
	for in := (repositoryRequest{RepositoryName: repository}); ; {
		var out struct {
			page
			Events []lifecycleEvent `json:"events"`
		}
		if err := c.weir(cmd.Context(), "ListLifecycleEvents", in, &out); err != nil {
			return err
		}
		if in.NextToken == "" && len(out.Events) == 0 {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "nothing has gone yet")
			return err
		}
		for _, e := range out.Events {
			rule := strconv.Itoa(e.AppliedRulePriority)
			if e.AppliedRulePriority == 0 {
				rule = "weir's"
			}
			what := "expired"
			if e.Action == "transition" {
				what = "archived"
			}
			t.row(moment(e.At), what, rule, e.ImageDigest, strings.Join(e.ImageTags, ","), e.SubjectDigest)
		}
		if in.page = out.page; in.NextToken == "" {
			return t.Flush()
		}
	}
}

// lifecyclePreview is the answer of GetLifecyclePolicyPreview.
type lifecyclePreview struct {
	page
	Status         string `json:"status"`
	PreviewResults []struct {
		ImageDigest   string   `json:"imageDigest"`
		ImageTags     []string `json:"imageTags"`
		ImagePushedAt float64  `json:"imagePushedAt"`
		Action        struct {
			Type string `json:"type"`
		} `json:"action"`
		AppliedRulePriority int `json:"appliedRulePriority"`
	} `json:"previewResults"`
	Summary struct {
		Expiring int `json:"expiringImageTotalCount"`
		Moving   []struct {
			Count int `json:"imageTotalCount"`
		} `json:"transitioningImageTotalCounts"`
	} `json:"summary"`
}

// previewLifecycle starts a preview and waits for it.
func (c *client) previewLifecycle(cmd *cobra.Command, repository, text string) error {
	ctx := cmd.Context()
	start := struct {
		RepositoryName string `json:"repositoryName"`
		Text           string `json:"lifecyclePolicyText,omitempty"`
	}{repository, text}
	if err := c.ecr(ctx, "StartLifecyclePolicyPreview", start, &struct{}{}); err != nil {
		return err
	}
	t := newTable(cmd.OutOrStdout(), "DIGEST", "TAGS", "PUSHED", "WOULD BE", "RULE")
	for in := (repositoryRequest{RepositoryName: repository}); ; {
		var p lifecyclePreview
		if err := c.ecr(ctx, "GetLifecyclePolicyPreview", in, &p); err != nil {
			return err
		}
		switch p.Status {
		case "COMPLETE":
		case "IN_PROGRESS":
			timer := time.NewTimer(previewPause)
			select {
			case <-timer.C:
				continue
			case <-ctx.Done():
				timer.Stop()
				return ctx.Err()
			}
		default:
			return errors.New("the preview was not made: its status is " + p.Status)
		}
		for _, r := range p.PreviewResults {
			what := "expired"
			if r.Action.Type == "TRANSITION" {
				what = "archived"
			}
			t.row(r.ImageDigest, strings.Join(r.ImageTags, ","), moment(r.ImagePushedAt), what, strconv.Itoa(r.AppliedRulePriority))
		}
		if in.page = p.page; in.NextToken == "" {
			if err := t.Flush(); err != nil {
				return err
			}
			return p.sum(cmd.OutOrStdout())
		}
	}
}

// sum writes how many images it is.
func (p *lifecyclePreview) sum(w io.Writer) error {
	archived := 0
	for _, m := range p.Summary.Moving {
		archived += m.Count
	}
	_, err := fmt.Fprintf(w, "would expire: %d, would be archived: %d; nothing was changed\n", p.Summary.Expiring, archived)
	return err
}
