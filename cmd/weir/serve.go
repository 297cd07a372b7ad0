package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weir-registry/weir/internal/app"
	"github.com/weir-registry/weir/internal/config"
)

func serveCommand() *cobra.Command {
	var file, listen, data string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the registry",
		Long: `serve runs the registry until Ctrl-C or SIGTERM, and then lets bodies that are
being sent come to their end. Without a configuration file it listens on
127.0.0.1:5000, keeps its data in ./weir-data and has rules for ecr-public,
kubernetes, quay and docker-hub.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(cmd, file, func(c *config.Config) {
				if listen != "" {
					c.Listen = listen
				}
				if data != "" {
					c.Data = data
				}
			})
			if err != nil {
				return err
			}
			return app.Run(cmd.Context(), c, app.Options{
				Version: version(),
				Stdout:  cmd.OutOrStdout(),
				Stderr:  cmd.ErrOrStderr(),
			})
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration `FILE` (YAML; see weir check)")
	cmd.Flags().StringVar(&listen, "listen", "", "listen on `HOST:PORT` instead of the configuration's")
	cmd.Flags().StringVar(&data, "data", "", "keep the data in `DIR` instead of the configuration's")
	return cmd
}

// loadConfig is config.Load with the problems written out, a line each.
func loadConfig(cmd *cobra.Command, file string, override func(*config.Config)) (*config.Config, error) {
	c, err := config.Load(file, override)
	if problems, ok := errors.AsType[config.Problems](err); ok {
		fmt.Fprintln(cmd.ErrOrStderr(), problems)
		if len(problems) == 1 {
			return nil, errors.New("the configuration has a problem")
		}
		return nil, fmt.Errorf("the configuration has %d problems", len(problems))
	}
	return c, err
}
