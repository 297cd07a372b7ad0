package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weir-registry/weir/internal/rule"
)

func ruleCommand() *cobra.Command {
	return group("rule", "List, create, update, delete and validate pull through cache rules",
		ruleListCommand(), ruleCreateCommand(), ruleUpdateCommand(), ruleDeleteCommand(), ruleValidateCommand())
}

// ruleMembers are a rule in ECR's operations.
type ruleMembers struct {
	EcrRepositoryPrefix      string  `json:"ecrRepositoryPrefix,omitempty"`
	UpstreamRegistryURL      string  `json:"upstreamRegistryUrl,omitempty"`
	UpstreamRegistry         string  `json:"upstreamRegistry,omitempty"`
	UpstreamRepositoryPrefix string  `json:"upstreamRepositoryPrefix,omitempty"`
	CredentialARN            string  `json:"credentialArn,omitempty"`
	CreatedAt                float64 `json:"createdAt,omitempty"`
}

func ruleListCommand() *cobra.Command {
	var c client
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the rules",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rules, err := c.rules(cmd.Context())
			if err != nil {
				return err
			}
			t := newTable(cmd.OutOrStdout(), "PREFIX", "UPSTREAM", "UPSTREAM PREFIX", "SECRET", "CREATED")
			for _, r := range rules {
				t.row(r.EcrRepositoryPrefix, r.UpstreamRegistryURL, r.UpstreamRepositoryPrefix, secretName(r.CredentialARN), moment(r.CreatedAt))
			}
			return t.Flush()
		},
	}
	c.flags(cmd)
	return cmd
}

// rules returns every rule.
func (c *client) rules(ctx context.Context) (all []ruleMembers, err error) {
	var in page
	for {
		var out struct {
			page
			Rules []ruleMembers `json:"pullThroughCacheRules"`
		}
		if err := c.ecr(ctx, "DescribePullThroughCacheRules", in, &out); err != nil {
			return nil, err
		}
		all = append(all, out.Rules...)
		if in = out.page; in.NextToken == "" {
			return all, nil
		}
	}
}

func ruleCreateCommand() *cobra.Command {
	var c client
	var in ruleMembers
	var secret string
	cmd := &cobra.Command{
		Use:   "create PREFIX UPSTREAM",
		Short: "Create a rule",
		Long: `create has names here that begin with PREFIX/ lead to an upstream: a host, or
host:port. ROOT as PREFIX takes every name that no other rule takes.`,
		Example: `  weir rule create quay quay.io
  weir rule create docker-hub docker.io --secret hub
  weir rule create team ghcr.io --upstream-prefix acme --secret github`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.EcrRepositoryPrefix, in.UpstreamRegistryURL = args[0], args[1]
			if rule.KindOf(args[1]) == rule.DockerHub {
				in.UpstreamRegistryURL = rule.DockerHub.FixedHost() // docker.io, as people call it
			}
			var err error
			if in.CredentialARN, err = c.secretARN(cmd.Context(), secret); err != nil {
				return err
			}
			var out ruleMembers
			if err := c.ecr(cmd.Context(), "CreatePullThroughCacheRule", in, &out); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "created the rule %s: it leads to %s\n", out.EcrRepositoryPrefix, out.UpstreamRegistryURL)
			return err
		},
	}
	cmd.Flags().StringVar(&secret, "secret", "", "the `SECRET` with the upstream's credential, by name or ARN (see weir secret set)")
	cmd.Flags().StringVar(&in.UpstreamRepositoryPrefix, "upstream-prefix", "", "`PREFIX` of the names at the upstream")
	cmd.Flags().StringVar(&in.UpstreamRegistry, "kind", "", "`KIND` of the upstream in ECR's words (default: the host tells)")
	c.flags(cmd)
	return cmd
}

func ruleUpdateCommand() *cobra.Command {
	var c client
	var secret string
	cmd := &cobra.Command{
		Use:   "update PREFIX --secret SECRET",
		Short: "Give a rule another credential",
		Long: `update gives a rule another secret. Where a rule leads to cannot be changed: delete
it and create another, which keeps what is held.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if secret == "" {
				return errors.New("nothing to update: name the secret with --secret")
			}
			arn, err := c.secretARN(cmd.Context(), secret)
			if err != nil {
				return err
			}
			var out ruleMembers
			if err := c.ecr(cmd.Context(), "UpdatePullThroughCacheRule", ruleMembers{EcrRepositoryPrefix: args[0], CredentialARN: arn}, &out); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "updated the rule %s: it uses the secret %s\n", out.EcrRepositoryPrefix, secretName(out.CredentialARN))
			return err
		},
	}
	cmd.Flags().StringVar(&secret, "secret", "", "the `SECRET` with the upstream's credential, by name or ARN (see weir secret set)")
	c.flags(cmd)
	return cmd
}

func ruleDeleteCommand() *cobra.Command {
	var c client
	cmd := &cobra.Command{
		Use:   "delete PREFIX",
		Short: "Delete a rule",
		Long: `delete takes a rule away. What came through it stays on the disk, and is served
again once another rule has its prefix.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out ruleMembers
			if err := c.ecr(cmd.Context(), "DeletePullThroughCacheRule", ruleMembers{EcrRepositoryPrefix: args[0]}, &out); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "deleted the rule %s\n", out.EcrRepositoryPrefix)
			return err
		},
	}
	c.flags(cmd)
	return cmd
}

func ruleValidateCommand() *cobra.Command {
	var c client
	cmd := &cobra.Command{
		Use:   "validate PREFIX",
		Short: "Ask a rule's upstream whether it takes the credential",
		Long: `validate has weir contact a rule's upstream with the rule's credential. Its exit
status is 1 if that fails, and it says why.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out struct {
				ruleMembers
				IsValid bool   `json:"isValid"`
				Failure string `json:"failure"`
			}
			if err := c.ecr(cmd.Context(), "ValidatePullThroughCacheRule", ruleMembers{EcrRepositoryPrefix: args[0]}, &out); err != nil {
				return err
			}
			if !out.IsValid {
				return fmt.Errorf("the rule %s is not valid: %s", args[0], out.Failure)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "the rule %s is valid: %s answers\n", out.EcrRepositoryPrefix, out.UpstreamRegistryURL)
			return err
		},
	}
	c.flags(cmd)
	return cmd
}

// page asks for, and tells, where a list goes on.
type page struct {
	NextToken string `json:"nextToken,omitempty"`
}
