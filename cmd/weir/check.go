package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Say everything that is wrong with a configuration file",
		Long: `check reads a configuration file and the files that it names, and prints each
problem with its line. It asks no upstream and touches no data folder.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := loadConfig(cmd, args[0], nil)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			var at []string
			for _, a := range c.Addresses() {
				at = append(at, a.Address)
			}
			fmt.Fprintf(out, "%s has no problems: it listens on %s, keeps its data in %s, and has the rules\n", args[0], strings.Join(at, ", "), c.Data)
			for _, r := range c.RuleSet().Rules() {
				fmt.Fprintf(out, "  %s\n", r)
			}
			for _, host := range slices.Sorted(maps.Keys(c.Mirrors)) {
				fmt.Fprintf(out, "and at %s it is a mirror of %s\n", host, c.Mirrors[host])
			}
			return nil
		},
	}
}
