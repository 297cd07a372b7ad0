// Command weir is a private container registry between machines with no way out
// and the public registries. `weir serve` runs it; check and cert open files; every
// other verb asks a running weir over its API, client-config unless it is given the
// configuration.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second Ctrl-C ends weir at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is weir with its surroundings as arguments. It returns the exit status: 0,
// or 1 after it wrote an error to stderr.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use:           "weir",
		Short:         "A private container registry that outlives its upstreams",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		serveCommand(), checkCommand(), certCommand(), versionCommand(),
		ruleCommand(), upstreamCommand(), secretCommand(), userCommand(), keyCommand(), repoCommand(), imageCommand(), templateCommand(),
		explainCommand(), checkNowCommand(), loginPasswordCommand(), clientConfigCommand(),
	)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintf(stderr, "weir: %v\n", err)
		return 1
	}
	return 0
}
