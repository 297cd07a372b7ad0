package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func loginPasswordCommand() *cobra.Command {
	var c client
	cmd := &cobra.Command{
		Use:   "login-password",
		Short: "Print a password for docker login that lasts 12 hours",
		Long: `login-password prints what aws ecr get-login-password prints: a password for the
user name AWS. It is good for 12 hours and for as long as the access key that it was
made with.`,
		Example: `  weir login-password | docker login -u AWS --password-stdin weir.corp.example`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out struct {
				Data []struct {
					Token string `json:"authorizationToken"`
				} `json:"authorizationData"`
			}
			if err := c.ecr(cmd.Context(), "GetAuthorizationToken", struct{}{}, &out); err != nil {
				return err
			}
			if len(out.Data) == 0 {
				return errors.New("weir gave no token")
			}
			text, err := base64.StdEncoding.DecodeString(out.Data[0].Token)
			user, password, ok := strings.Cut(string(text), ":")
			if err != nil || !ok || user != "AWS" {
				return errors.New("weir gave a token that is none of ECR's form")
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), password)
			return err
		},
	}
	c.flags(cmd)
	return cmd
}
