package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func checkNowCommand() *cobra.Command {
	var c client
	cmd := &cobra.Command{
		Use:   "check-now REPOSITORY:TAG",
		Short: "Ask the upstream now what a tag is",
		Long: `check-now has a running weir ask the upstream what a tag is, whatever its window
says, and apply the answer.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			repository, tag, digest, err := c.reference(args[0])
			if err != nil {
				return err
			}
			if digest != "" {
				return errors.New("a digest cannot change: give a tag")
			}
			var r checkResult
			if err := c.weir(cmd.Context(), "CheckNow", imageRequest{repository, tag}, &r); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), r)
			return err
		},
	}
	c.flags(cmd)
	return cmd
}

// checkResult is the answer of CheckNow.
type checkResult struct {
	ImageDigest    string `json:"imageDigest"`
	PreviousDigest string `json:"previousDigest"`
	Moved          bool   `json:"moved"`
	Blocked        bool   `json:"blocked"`
}

func (r checkResult) String() string {
	switch {
	case r.Blocked:
		return fmt.Sprintf("the upstream has %s; %s is kept, as the rule says that the tag never changes", r.ImageDigest, r.PreviousDigest)
	case r.Moved && r.PreviousDigest != "":
		return fmt.Sprintf("moved: %s, before %s", r.ImageDigest, r.PreviousDigest)
	case r.Moved:
		return "new: " + r.ImageDigest
	}
	return "unchanged: " + r.ImageDigest
}
