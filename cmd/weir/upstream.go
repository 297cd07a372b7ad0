package main

import (
	"encoding/json"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func upstreamCommand() *cobra.Command {
	return group("upstream", "Say what upstreams need", upstreamHostsCommand())
}

// upstreamHosts is where an upstream has weir go, in the answer of ListUpstreamHosts.
type upstreamHosts struct {
	UpstreamRegistryURL string       `json:"upstreamRegistryUrl"`
	Kind                string       `json:"kind"`
	Rules               []string     `json:"rules"`
	HeldOnly            []string     `json:"heldOnly,omitempty"`
	Hosts               []neededHost `json:"hosts"`
	Failure             string       `json:"failure,omitempty"`
}

type neededHost struct {
	Host  string   `json:"host"`
	Why   []string `json:"why"`
	Proxy string   `json:"proxy,omitempty"`
}

func upstreamHostsCommand() *cobra.Command {
	var c client
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "hosts [PREFIX...]",
		Short: "List the hosts that a firewall must let weir reach",
		Long: `hosts lists for each upstream of the rules with these prefixes, or of all rules, the
hosts that weir must reach, and why. It asks no upstream.

  upstream  the host that the rule names, or its endpoints instead
  realm     where tokens come from
  login     where an ECR's password comes from
  blobs     where upstreams of the kind are publicly known to redirect; * stands for
            what they fill in
  allowed   allow_hosts of the configuration
  seen      where the upstream has led since weir started

Only the last is sure of an upstream that redirects where it likes: pull an image
through each rule, and list again. Where a proxy is named, the proxy must be
reachable, and the host from there.`,
		Example: `  weir upstream hosts
  weir upstream hosts docker-hub quay --json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			in := struct {
				Prefixes []string `json:"ecrRepositoryPrefixes,omitempty"`
			}{args}
			var out struct {
				Upstreams []upstreamHosts `json:"upstreams"`
			}
			if err := c.weir(cmd.Context(), "ListUpstreamHosts", in, &out); err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(out)
			}
			return writeHosts(cmd.OutOrStdout(), out.Upstreams)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	c.flags(cmd)
	return cmd
}

func writeHosts(w io.Writer, upstreams []upstreamHosts) error {
	t := newTable(w, "UPSTREAM", "KIND", "RULES", "HOST", "WHY", "NOTE")
	for _, u := range upstreams {
		rules, held := strings.Join(u.Rules, ","), u.held()
		for _, h := range u.Hosts {
			var notes []string
			if h.Proxy != "" {
				notes = append(notes, "by the proxy "+h.Proxy)
			}
			if held != "" {
				notes = append(notes, held)
			}
			t.row(u.UpstreamRegistryURL, u.Kind, rules, h.Host, strings.Join(h.Why, ","), strings.Join(notes, "; "))
		}
		if u.Failure != "" {
			t.row(u.UpstreamRegistryURL, u.Kind, rules, "", "", "not known: "+u.Failure)
		}
	}
	return t.Flush()
}

// held says which rules never ask the upstream, "" if all may.
func (u *upstreamHosts) held() string {
	switch {
	case len(u.HeldOnly) == 0:
		return ""
	case slices.Equal(u.HeldOnly, u.Rules):
		return "held only: never asked"
	}
	return "held only: " + strings.Join(u.HeldOnly, ",")
}
