package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

func userCommand() *cobra.Command {
	return group("user", "List, create and delete users, and give them policies",
		userListCommand(), userCreateCommand(), userPolicyCommand(), userDeleteCommand())
}

type userMembers struct {
	UserName  string   `json:"userName"`
	Policies  []string `json:"policies,omitempty"`
	CreatedAt float64  `json:"createdAt,omitempty"`
}

// policyName is ECR's name of a managed policy that people know by a short one.
func policyName(short string) string {
	switch short {
	case "pull-only":
		return "AmazonEC2ContainerRegistryPullOnly"
	case "read-only":
		return "AmazonEC2ContainerRegistryReadOnly"
	case "power-user":
		return "AmazonEC2ContainerRegistryPowerUser"
	case "full-access":
		return "AmazonEC2ContainerRegistryFullAccess"
	}
	return short
}

func policyNames(short []string) []string {
	var all []string
	for _, s := range short {
		all = append(all, policyName(s))
	}
	return all
}

const policyHelp = "a managed `POLICY`: pull-only, read-only, power-user, full-access, or its name in ECR"

func userListCommand() *cobra.Command {
	var c client
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the users and their policies",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t := newTable(cmd.OutOrStdout(), "NAME", "POLICIES", "CREATED")
			var in page
			for {
				var out struct {
					page
					Users []userMembers `json:"users"`
				}
				if err := c.weir(cmd.Context(), "ListUsers", in, &out); err != nil {
					return err
				}
				for _, u := range out.Users {
					t.row(u.UserName, strings.Join(u.Policies, ","), moment(u.CreatedAt))
				}
				if in = out.page; in.NextToken == "" {
					return t.Flush()
				}
			}
		},
	}
	c.flags(cmd)
	return cmd
}

func userCreateCommand() *cobra.Command {
	var c client
	var policies []string
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a user",
		Long: `create makes a user, who may do what the policies say: nothing without one. The
user's access keys are made by weir key create.`,
		Example: `  weir user create ci --policy pull-only`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out struct {
				User userMembers `json:"user"`
			}
			if err := c.weir(cmd.Context(), "CreateUser", userMembers{UserName: args[0], Policies: policyNames(policies)}, &out); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "created the user %s: %s\n", out.User.UserName, cmp.Or(strings.Join(out.User.Policies, ", "), "it has no policy and may do nothing"))
			return err
		},
	}
	cmd.Flags().StringArrayVar(&policies, "policy", nil, policyHelp)
	c.flags(cmd)
	return cmd
}

func userPolicyCommand() *cobra.Command {
	var c client
	var name string
	cmd := &cobra.Command{
		Use:   "policy USER FILE",
		Short: "Give a user a policy of its own, or replace it",
		Long: `policy gives a user the IAM policy document in FILE, beside the policies that the
user has. One of the same name is replaced.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := os.ReadFile(args[1])
			if err != nil {
				return err
			}
			base := filepath.Base(args[1])
			in := struct {
				UserName       string `json:"userName"`
				PolicyName     string `json:"policyName"`
				PolicyDocument string `json:"policyDocument"`
			}{args[0], cmp.Or(name, strings.TrimSuffix(base, filepath.Ext(base))), string(text)}
			if err := c.weir(cmd.Context(), "PutUserPolicy", in, &struct{}{}); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "the user %s has the policy %s\n", in.UserName, in.PolicyName)
			return err
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "call the policy `NAME` (default: the file's name)")
	c.flags(cmd)
	return cmd
}

func userDeleteCommand() *cobra.Command {
	var c client
	cmd := &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete a user without access keys",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.weir(cmd.Context(), "DeleteUser", userMembers{UserName: args[0]}, &struct{}{}); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "deleted the user %s\n", args[0])
			return err
		},
	}
	c.flags(cmd)
	return cmd
}
