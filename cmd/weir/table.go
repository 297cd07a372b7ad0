package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// group returns a verb that is only there for those below it.
func group(use, short string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.NoArgs, // an unknown one is an error
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(verbs...)
	return cmd
}

// table collects rows of columns below a head.
type table struct{ *tabwriter.Writer }

func newTable(w io.Writer, head ...string) table {
	t := table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	t.row(head...)
	return t
}

// row adds one; "" is written as a dash, so that columns can be cut out.
func (t table) row(columns ...string) {
	for i, c := range columns {
		if c == "" {
			columns[i] = "-"
		}
	}
	fmt.Fprintln(t, strings.Join(columns, "\t"))
}

// moment is a time of an answer, seconds since 1970, "" for none.
func moment(seconds float64) string {
	if seconds == 0 {
		return ""
	}
	return time.UnixMilli(int64(seconds * 1000)).UTC().Format("2006-01-02T15:04:05Z")
}

// amount is a number of bytes for people.
func amount(n int64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, i := float64(n)/1000, 0
	for ; v >= 1000 && i < len(units)-1; i++ {
		v /= 1000
	}
	return fmt.Sprintf("%.1f %cB", v, units[i])
}
