package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-registry/weir/internal/cert"
)

func certCommand() *cobra.Command {
	var o cert.Order
	cmd := &cobra.Command{
		Use:   "cert NAME...",
		Short: "Make a private authority and a server certificate",
		Long: `cert makes a certificate for the host names and addresses by which clients
reach weir, and a private authority that signs it, unless the folder has one from
before. It opens files only and needs no running weir.`,
		Example: `  weir cert weir.corp.example 10.1.2.3
  weir cert 123456789012.dkr.ecr.eu-central-1.amazonaws.com api.ecr.eu-central-1.amazonaws.com
  weir cert --replace weir.corp.example    # before it expires; a running weir takes it over`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Names = args
			m, err := cert.Make(o)
			if err != nil {
				return err
			}
			return tellCert(cmd.OutOrStdout(), m)
		},
	}
	cmd.Flags().StringVar(&o.Dir, "dir", "certs", "make the files in `DIR`")
	cmd.Flags().StringVar(&o.File, "name", "server", "call the server's files `NAME`.crt and NAME.key")
	cmd.Flags().IntVar(&o.Days, "days", cert.MaxDays, "the server's certificate lasts `N` days")
	cmd.Flags().BoolVar(&o.Replace, "replace", false, "replace the server's files")
	return cmd
}

// tellCert says what to do with each file.
func tellCert(w io.Writer, m cert.Made) error {
	var b strings.Builder
	made := "used"
	if m.NewCA {
		made = "made"
	}
	fmt.Fprintf(&b, "%s the authority %s, until %s\n", made, m.CA, m.CAExpires.Format(time.DateOnly))
	fmt.Fprintf(&b, "made the certificate %s for %s, until %s\n\n", m.Cert, strings.Join(m.Names, ", "), m.Expires.Format(time.DateOnly))
	fmt.Fprintf(&b, "%s  signs certificates: whoever has it can pass for any host to your clients.\n", m.CAKey)
	fmt.Fprintf(&b, "  weir does not need it. Keep it elsewhere, until the next weir cert.\n")
	fmt.Fprintf(&b, "%s  is for every client, and no secret:\n", m.CA)
	fmt.Fprintf(&b, "  docker, podman, skopeo  /etc/docker/certs.d/%s/ca.crt (with :PORT behind the host, unless it is 443)\n", m.Names[0])
	fmt.Fprintf(&b, "  AWS CLI and SDKs        AWS_CA_BUNDLE=%s\n", m.CA)
	fmt.Fprintf(&b, "  weir's own verbs        --ca %s\n", m.CA)
	fmt.Fprintf(&b, "  a whole machine         /usr/local/share/ca-certificates/weir.crt, then update-ca-certificates\n")
	fmt.Fprintf(&b, "%s, %s  are for weir, in its configuration:\n", m.Cert, m.Key)
	fmt.Fprintf(&b, "  tls: {cert_file: %s, key_file: %s}\n", absolute(m.Cert), absolute(m.Key))
	fmt.Fprintf(&b, "  A weir that runs with them takes new ones over without a restart.\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// absolute is a file's name as any folder's configuration can have it.
func absolute(name string) string {
	if abs, err := filepath.Abs(name); err == nil {
		return abs
	}
	return name
}
