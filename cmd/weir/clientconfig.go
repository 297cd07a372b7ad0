package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-registry/weir/internal/clientconfig"
	"github.com/weir-registry/weir/internal/rule"
)

func clientConfigCommand() *cobra.Command {
	var c client
	var w clientconfig.Weir
	var file, out string
	var replace bool
	cmd := &cobra.Command{
		Use:   "client-config " + strings.Join(clientconfig.Clients(), "|"),
		Short: "Print the configuration of a client node of this weir",
		Long: `client-config prints the files that make a machine pull through this weir, whole and
with their paths, for images by their upstreams' own names. It asks the weir at --server
for its rules and mirrors, with a key that may list them, or reads them from --config;
the files have that URL, so give the one that clients reach.`,
		Example: `  weir client-config containerd --server https://weir.corp.example --ca certs/ca.crt
  weir client-config podman --server https://weir.corp.example --upstream docker.io --out node`,
		ValidArgs: clientconfig.Clients(),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains(clientconfig.Clients(), args[0]) {
				return fmt.Errorf("name one client: %s", strings.Join(clientconfig.Clients(), ", "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if file != "" {
				err = c.fromFile(cmd, file, &w)
			} else {
				err = c.fromServer(cmd.Context(), &w)
			}
			if err != nil {
				return err
			}
			if ca := cmp.Or(c.ca, os.Getenv("AWS_CA_BUNDLE")); ca != "" {
				if w.CA, err = os.ReadFile(ca); err != nil {
					return err
				}
			}
			made, err := clientconfig.For(args[0], w)
			if err != nil {
				return err
			}
			if out != "" {
				return writeFiles(cmd.OutOrStdout(), out, made, replace)
			}
			_, err = io.WriteString(cmd.OutOrStdout(), made.String())
			return err
		},
	}
	c.flags(cmd)
	cmd.Flags().StringVar(&file, "config", "", "read rules and mirrors from weir's configuration `FILE` and ask nobody")
	cmd.Flags().StringSliceVar(&w.Upstreams, "upstream", nil, "only for these upstream `HOST`s, such as docker.io (default: those of all rules)")
	cmd.Flags().BoolVar(&w.Fallback, "fallback", false, "let containerd, podman and cri-o ask the upstream where weir has no answer, as the others do always")
	cmd.Flags().StringVar(&out, "out", "", "write the files under `DIR` as under /, instead of printing them")
	cmd.Flags().BoolVar(&replace, "replace", false, "with --out: replace files that are there and differ")
	return cmd
}

// fromServer asks a running weir.
func (c *client) fromServer(ctx context.Context, w *clientconfig.Weir) error {
	found, err := c.rules(ctx)
	if err != nil {
		return err
	}
	rules := make([]rule.Rule, len(found))
	for i, r := range found {
		rules[i] = rule.Rule{
			Prefix:         r.EcrRepositoryPrefix,
			Kind:           cmp.Or(rule.Kind(r.UpstreamRegistry), rule.KindOf(r.UpstreamRegistryURL)),
			Upstream:       r.UpstreamRegistryURL,
			UpstreamPrefix: r.UpstreamRepositoryPrefix,
		}
	}
	set, problems := rule.NewSet(rules)
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("%s has a rule that this weir does not know: %w", c.server, err)
	}
	var mirrors struct {
		Mirrors []struct{ Host, Target string }
	}
	if err := c.weir(ctx, "ListMirrors", struct{}{}, &mirrors); err != nil {
		return err
	}
	w.URL, w.Rules, w.Mirrors = c.server, set, map[string]string{}
	for _, m := range mirrors.Mirrors {
		w.Mirrors[m.Host] = m.Target
	}
	return nil
}

// fromFile reads weir's configuration, and its URL where --server does not say it.
func (c *client) fromFile(cmd *cobra.Command, name string, w *clientconfig.Weir) error {
	conf, err := loadConfig(cmd, name, nil)
	if err != nil {
		return err
	}
	w.URL, w.Rules, w.Mirrors = cmp.Or(c.server, os.Getenv("WEIR_SERVER")), conf.RuleSet(), conf.Mirrors
	if w.URL != "" {
		return nil
	}
	host := conf.Registry.Host
	if host == "" {
		host = cmp.Or(conf.Listeners.Registry, conf.Listen)
		if at, port, err := net.SplitHostPort(host); err != nil || port == "0" || at == "" || net.ParseIP(at).IsUnspecified() {
			return fmt.Errorf("%s does not tell by which name clients reach this weir: give its URL with --server, or set registry.host", name)
		}
	}
	w.URL = "http://" + host
	if conf.TLS.CertFile != "" {
		w.URL = "https://" + host
	}
	return nil
}

// writeFiles writes the files under dir and says which they are. A file that is there
// and differs has been somebody's work: it stays, unless replace is set.
func writeFiles(w io.Writer, dir string, c clientconfig.Config, replace bool) error {
	var differ []string
	for _, f := range c.Files {
		old, err := os.ReadFile(filepath.Join(dir, f.Path))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case string(old) != f.Text && !replace:
			differ = append(differ, filepath.Join(dir, f.Path))
		}
	}
	if len(differ) > 0 {
		return fmt.Errorf("there already, and different: %s: nothing is written; put together by hand what is to be in it, or give --replace", strings.Join(differ, ", "))
	}
	for _, f := range c.Files {
		name := filepath.Join(dir, f.Path)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, []byte(f.Text), 0o644); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(w, "wrote", name); err != nil {
			return err
		}
	}
	if c.Then == "" {
		return nil
	}
	_, err := fmt.Fprintf(w, "then:\n%s", c.Then)
	return err
}
