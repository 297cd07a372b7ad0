package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-registry/weir/internal/config"
)

func keyCommand() *cobra.Command {
	return group("key", "List, create, disable, enable and delete access keys",
		keyListCommand(), keyCreateCommand(), keyActiveCommand("disable", false), keyActiveCommand("enable", true), keyDeleteCommand())
}

type keyMembers struct {
	AccessKeyID string  `json:"accessKeyId"`
	UserName    string  `json:"userName"`
	Active      bool    `json:"active"`
	CreatedAt   float64 `json:"createdAt"`
	ExpiresAt   float64 `json:"expiresAt"` // 0: never
}

// state is whether a key counts.
func (k keyMembers) state(now time.Time) string {
	switch {
	case !k.Active:
		return "disabled"
	case k.ExpiresAt != 0 && float64(now.Unix()) >= k.ExpiresAt:
		return "expired"
	}
	return "active"
}

func keyListCommand() *cobra.Command {
	var c client
	cmd := &cobra.Command{
		Use:   "list [USER]",
		Short: "List access keys, of one user or of all",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var in struct {
				UserName string `json:"userName,omitempty"`
			}
			if len(args) > 0 {
				in.UserName = args[0]
			}
			var out struct {
				Keys []keyMembers `json:"keys"`
			}
			if err := c.weir(cmd.Context(), "ListKeys", in, &out); err != nil {
				return err
			}
			t := newTable(cmd.OutOrStdout(), "ID", "USER", "STATE", "CREATED", "EXPIRES")
			for _, k := range out.Keys {
				t.row(k.AccessKeyID, k.UserName, k.state(time.Now()), moment(k.CreatedAt), moment(k.ExpiresAt))
			}
			return t.Flush()
		},
	}
	c.flags(cmd)
	return cmd
}

func keyCreateCommand() *cobra.Command {
	var c client
	var expires, policy string
	cmd := &cobra.Command{
		Use:   "create USER",
		Short: "Create an access key",
		Long: `create makes an access key for a user and writes it to standard output, in the form
of an AWS credentials file. The secret is told this once. The key's ID and secret
are a login for docker, too, one that lasts until the key expires: for pull secrets
of clusters, and for machines without the AWS CLI.

With --policy the user is made as well, with that policy.`,
		Example: `  weir key create ci --policy pull-only --expires 90d > ci.credentials`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := struct {
				UserName  string `json:"userName"`
				ExpiresAt int64  `json:"expiresAt,omitempty"`
			}{UserName: args[0]}
			if expires != "" {
				at, err := parseExpiry(expires, time.Now())
				if err != nil {
					return err
				}
				in.ExpiresAt = at.Unix()
			}
			if policy != "" {
				if err := c.makeUser(cmd.Context(), args[0], policyName(policy)); err != nil {
					return err
				}
			}
			var out struct {
				Key    keyMembers `json:"key"`
				Secret string     `json:"secretAccessKey"`
			}
			if err := c.weir(cmd.Context(), "CreateKey", in, &out); err != nil {
				return err
			}
			until := ""
			if out.Key.ExpiresAt != 0 {
				until = ", until " + moment(out.Key.ExpiresAt)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "# An access key of the user %s%s.\n[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n",
				out.Key.UserName, until, out.Key.AccessKeyID, out.Secret)
			return err
		},
	}
	cmd.Flags().StringVar(&expires, "expires", "", "the key counts for so long (90d, 12h), or until a `DATE` (2027-01-31) (default: until it is deleted)")
	cmd.Flags().StringVar(&policy, "policy", "", "make the user, with "+policyHelp)
	c.flags(cmd)
	return cmd
}

// makeUser makes a user with one policy, and none where there is one.
func (c *client) makeUser(ctx context.Context, name, policy string) error {
	err := c.weir(ctx, "CreateUser", userMembers{UserName: name, Policies: []string{policy}}, &struct{}{})
	if refused(err, "EntityAlreadyExistsException") {
		return fmt.Errorf("the user %s is there already, with policies of its own: leave --policy out", name)
	}
	return err
}

// parseExpiry reads how long from now, or a date: its beginning, UTC.
func parseExpiry(s string, now time.Time) (time.Time, error) {
	at, err := time.Parse(time.DateOnly, s)
	if err != nil {
		var d config.Duration
		if d.UnmarshalText([]byte(s)) != nil {
			return time.Time{}, fmt.Errorf("--expires: %q is neither a time such as 90d or 12h nor a date such as 2027-01-31", s)
		}
		return now.Add(time.Duration(d)), nil
	}
	if !at.After(now) {
		return time.Time{}, fmt.Errorf("--expires: %s is past", s)
	}
	return at, nil
}

func keyActiveCommand(verb string, active bool) *cobra.Command {
	var c client
	cmd := &cobra.Command{
		Use:   verb + " ID",
		Short: map[bool]string{true: "Let a disabled access key count again", false: "Let an access key, and the tokens made with it, count no more"}[active],
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := struct {
				AccessKeyID string `json:"accessKeyId"`
				Active      bool   `json:"active"`
			}{args[0], active}
			if err := c.weir(cmd.Context(), "SetKeyActive", in, &struct{}{}); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%sd the access key %s\n", verb, args[0])
			return err
		},
	}
	c.flags(cmd)
	return cmd
}

func keyDeleteCommand() *cobra.Command {
	var c client
	cmd := &cobra.Command{
		Use:   "delete ID",
		Short: "Delete an access key",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := struct {
				AccessKeyID string `json:"accessKeyId"`
			}{args[0]}
			if err := c.weir(cmd.Context(), "DeleteKey", in, &struct{}{}); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "deleted the access key %s\n", args[0])
			return err
		},
	}
	c.flags(cmd)
	return cmd
}
