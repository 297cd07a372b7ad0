package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

// secretPrefix is what the names of secrets begin with that rules may use, as in ECR.
const secretPrefix = "ecr-pullthroughcache/"

func secretCommand() *cobra.Command {
	return group("secret", "List, set and delete the credentials of upstreams",
		secretListCommand(), secretSetCommand(), secretDeleteCommand())
}

// fullSecretName has the prefix that people need not write.
func fullSecretName(name string) string {
	if strings.HasPrefix(name, secretPrefix) || strings.HasPrefix(name, "arn:") {
		return name
	}
	return secretPrefix + name
}

// suffix is what Secrets Manager puts behind a name in an ARN.
var suffix = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)

// secretName is the name in a secret's ARN, as people write it here.
func secretName(arn string) string {
	_, name, ok := strings.Cut(arn, ":secret:")
	if !ok {
		return strings.TrimPrefix(arn, secretPrefix)
	}
	return strings.TrimPrefix(suffix.ReplaceAllString(name, ""), secretPrefix)
}

// secretARN finds the ARN of a secret, "" for "".
func (c *client) secretARN(ctx context.Context, name string) (string, error) {
	if name == "" || strings.HasPrefix(name, "arn:") {
		return name, nil
	}
	var out struct{ ARN string }
	err := c.secrets(ctx, "DescribeSecret", secretID{fullSecretName(name)}, &out)
	if refused(err, "ResourceNotFoundException") {
		return "", fmt.Errorf("there is no secret %s: make it with weir secret set %s", fullSecretName(name), name)
	}
	return out.ARN, err
}

type secretID struct{ SecretId string }

func secretListCommand() *cobra.Command {
	var c client
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the secrets, without their values",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t := newTable(cmd.OutOrStdout(), "NAME", "CHANGED", "DELETED")
			in := struct {
				NextToken              string `json:",omitempty"`
				IncludePlannedDeletion bool
			}{IncludePlannedDeletion: true}
			for {
				var out struct {
					NextToken  string
					SecretList []struct {
						Name            string
						LastChangedDate float64
						DeletedDate     float64
					}
				}
				if err := c.secrets(cmd.Context(), "ListSecrets", in, &out); err != nil {
					return err
				}
				for _, s := range out.SecretList {
					t.row(strings.TrimPrefix(s.Name, secretPrefix), moment(s.LastChangedDate), moment(s.DeletedDate))
				}
				if in.NextToken = out.NextToken; in.NextToken == "" {
					return t.Flush()
				}
			}
		},
	}
	c.flags(cmd)
	return cmd
}

func secretSetCommand() *cobra.Command {
	var c client
	var username, file string
	cmd := &cobra.Command{
		Use:   "set NAME --username USER",
		Short: "Store the credential of an upstream",
		Long: `set creates a secret with a user name and an access token, or gives one that is
there a new value, which the next request to the upstream uses. The token is read
from standard input, or from a file; it is never an argument. NAME is stored as
ecr-pullthroughcache/NAME.`,
		Example: `  weir secret set hub --username acme < token
  pass show docker-hub | weir secret set hub --username acme`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if username == "" {
				return errors.New("the user name is missing: --username")
			}
			token, err := readToken(cmd.InOrStdin(), file)
			if err != nil {
				return err
			}
			value, err := json.Marshal(struct {
				Username    string `json:"username"`
				AccessToken string `json:"accessToken"`
			}{username, token})
			if err != nil {
				return err
			}
			did, err := c.setSecret(cmd.Context(), fullSecretName(args[0]), string(value))
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s the secret %s\n", did, secretName(fullSecretName(args[0])))
			return err
		},
	}
	cmd.Flags().StringVarP(&username, "username", "u", "", "`USER` name at the upstream")
	cmd.Flags().StringVar(&file, "token-file", "", "read the token from `FILE`")
	c.flags(cmd)
	return cmd
}

// setSecret says what it did.
func (c *client) setSecret(ctx context.Context, name, value string) (did string, err error) {
	var out struct{ ARN string }
	err = c.secrets(ctx, "PutSecretValue", struct{ SecretId, SecretString string }{name, value}, &out)
	if !refused(err, "ResourceNotFoundException") {
		return "updated", err
	}
	return "created", c.secrets(ctx, "CreateSecret", struct{ Name, SecretString string }{name, value}, &out)
}

// maxToken is the longest access token that is read, in bytes.
const maxToken = 60 << 10

// readToken reads an access token; line breaks at its end do not count.
func readToken(stdin io.Reader, file string) (string, error) {
	r := stdin
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return "", err
		}
		defer f.Close()
		r = f
	} else if f, ok := stdin.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return "", errors.New("the token is missing: pipe it in, or name its file with --token-file")
		}
	}
	text, err := io.ReadAll(io.LimitReader(r, maxToken+1))
	token := strings.TrimRight(string(text), "\r\n")
	switch {
	case err != nil:
		return "", err
	case token == "":
		return "", errors.New("the token is empty")
	case len(text) > maxToken:
		return "", fmt.Errorf("the token has more than %d bytes", maxToken)
	case strings.ContainsAny(token, "\r\n"):
		return "", errors.New("the token has more than one line")
	}
	return token, nil
}

func secretDeleteCommand() *cobra.Command {
	var c client
	var now bool
	cmd := &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete a secret",
		Long: `delete marks a secret: from now on nobody is given it, and after 30 days it is
gone. Until then aws secretsmanager restore-secret brings it back. With --now it is
gone at once.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := struct {
				secretID
				ForceDeleteWithoutRecovery bool `json:",omitempty"`
			}{secretID{fullSecretName(args[0])}, now}
			var out struct{ DeletionDate float64 }
			if err := c.secrets(cmd.Context(), "DeleteSecret", in, &out); err != nil {
				return err
			}
			if now {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "deleted the secret %s\n", secretName(args[0]))
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "deleted the secret %s: it can be restored until %s\n", secretName(args[0]), moment(out.DeletionDate))
			return err
		},
	}
	cmd.Flags().BoolVar(&now, "now", false, "delete it at once, for good")
	c.flags(cmd)
	return cmd
}
