package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func explainCommand() *cobra.Command {
	var c client
	user := ""
	cmd := &cobra.Command{
		Use:   "explain REF",
		Short: "Say why a reference is answered as it is",
		Long: `explain asks a running weir what it knows of a reference: which rule takes it,
whether it is held and what of it is missing, and when the upstream was and will be
asked. It costs the upstream nothing. With --user it says too by which policies that
user may pull it or not, from where you are. REF is REPOSITORY:TAG or REPOSITORY@DIGEST,
with or without weir's host before it.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			repository, tag, digest, err := c.reference(args[0])
			if err != nil {
				return err
			}
			var x explanation
			if err := c.weir(cmd.Context(), "Explain", explainRequest{imageRequest{repository, tag + digest}, user}, &x); err != nil {
				return err
			}
			return x.write(cmd.OutOrStdout(), tag != "", time.Now())
		},
	}
	c.flags(cmd)
	cmd.Flags().StringVar(&user, "user", "", "a user who is to pull it")
	return cmd
}

type explainRequest struct {
	imageRequest
	UserName string `json:"userName,omitempty"`
}

// imageRequest names what Explain and CheckNow are about.
type imageRequest struct {
	RepositoryName string `json:"repositoryName"`
	Reference      string `json:"reference"`
}

// explanation is the answer of Explain. Times are seconds since 1970, 0 for none.
type explanation struct {
	RepositoryName string  `json:"repositoryName"`
	Rule           string  `json:"rule"`
	Upstream       string  `json:"upstream"`
	HeldOnly       string  `json:"heldOnly"`
	Held           bool    `json:"held"`
	ImageDigest    string  `json:"imageDigest"`
	CompleteDigest string  `json:"completeDigest"`
	Missing        []edge  `json:"missing"`
	Fresh          bool    `json:"fresh"`
	Fixed          bool    `json:"fixed"`
	Orphaned       bool    `json:"orphaned"`
	CheckedAt      float64 `json:"checkedAt"`
	NextCheckAt    float64 `json:"nextCheckAt"`
	Away           string  `json:"away"`
	Archived       string  `json:"archived"`
	History        []move  `json:"history"`
	Decisions      []struct {
		Action, Reason string
		Allowed        bool
	} `json:"decisions"`
}

type edge struct {
	Kind   string `json:"kind"`
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
}

type move struct {
	From string  `json:"from"`
	To   string  `json:"to"`
	At   float64 `json:"at"`
}

// write prints the explanation of a tag, or of a digest, a fact a line.
func (x *explanation) write(w io.Writer, tag bool, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(key, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", key, fmt.Sprintf(format, args...))
	}
	line("repository", "%s", x.RepositoryName)
	if x.Rule != "" {
		line("rule", "%s", x.Rule)
		line("upstream", "%s", x.Upstream)
	} else {
		line("rule", "none: what is here was pushed, or its rule is gone")
	}
	switch {
	case !x.Held:
		line("held", "no")
	case len(x.Missing) == 0:
		line("held", "yes, whole: %s", x.ImageDigest)
	default:
		line("held", "in part: %s", x.ImageDigest)
	}
	if x.Archived != "" {
		line("archived", "%s", x.Archived)
	}
	for _, m := range x.Missing {
		line("missing", "%s %s, %d bytes", m.Kind, m.Digest, m.Size)
	}
	if len(x.Missing) > 0 && x.CompleteDigest != "" {
		line("last whole", "%s", x.CompleteDigest)
	}
	if x.Orphaned {
		line("orphaned", "the upstream says that the tag is gone; what is held is kept")
	}
	switch {
	case x.Rule == "":
		line("checks", "none: there is no upstream")
	case tag:
		line("last check", "%s", when(x.CheckedAt, now, "never"))
		line("next check", "%s", x.next(now))
	default:
		line("checks", "none: a digest cannot change")
	}
	if x.Away != "" {
		line("away", "%s", x.Away)
	}
	for _, m := range x.History {
		from := m.From
		if from == "" {
			from = "nothing"
		}
		line("moved", "%s: %s -> %s", when(m.At, now, "never"), from, m.To)
	}
	for _, d := range x.Decisions {
		word := "denied"
		if d.Allowed {
			word = "allowed"
		}
		line(word, "%s: %s", d.Action, d.Reason)
	}
	return t.Flush()
}

// next is when a pull asks the upstream.
func (x *explanation) next(now time.Time) string {
	switch {
	case x.HeldOnly != "":
		return "never: " + x.HeldOnly
	case x.Fixed:
		return "never: the tag is fixed by its rule"
	case !x.Held, !x.Fresh:
		return "at the next pull"
	case x.NextCheckAt == 0:
		return "never: the rule's window is never"
	}
	return "at the first pull after " + when(x.NextCheckAt, now, "")
}

// when is a time and how far it is from now.
func when(seconds float64, now time.Time, none string) string {
	if seconds == 0 {
		return none
	}
	at := time.UnixMicro(int64(seconds * 1e6)).UTC()
	far := now.Sub(at).Round(time.Second)
	if far < 0 {
		return fmt.Sprintf("%s (in %s)", at.Format(time.RFC3339), -far)
	}
	return fmt.Sprintf("%s (%s ago)", at.Format(time.RFC3339), far)
}
