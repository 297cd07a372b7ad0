package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/spf13/cobra"

	"github.com/weir-registry/weir/internal/app"
)

// client asks a running weir: operations of Weir_20261125 in AWS's JSON 1.1
// protocol, signed with an access key.
type client struct {
	server, data string // flags
	key          aws.Credentials
}

func (c *client) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.server, "server", "", "`URL` of the running weir (default: the host in the reference, else http://127.0.0.1:5000)")
	cmd.Flags().StringVar(&c.data, "data", "", "data `DIR` whose credentials file to use (default: ./weir-data if it has one, else AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)")
}

// reference takes the host from a reference as docker has it, and returns the
// repository and what follows it.
func (c *client) reference(ref string) (repository, tag, digest string, err error) {
	rest := ref
	if host, path, ok := strings.Cut(ref, "/"); ok && (strings.ContainsAny(host, ".:") || host == "localhost") {
		rest = path
		if c.server == "" {
			c.server = "https://" + host
			if local(host) {
				c.server = "http://" + host
			}
		}
	}
	if c.server == "" {
		c.server = "http://127.0.0.1:5000"
	}
	if repository, digest, ok := strings.Cut(rest, "@"); ok {
		repository, _, _ = strings.Cut(repository, ":")
		return repository, "", digest, nil
	}
	repository, tag, ok := strings.Cut(rest, ":")
	if !ok {
		tag = "latest"
	}
	if repository == "" || tag == "" {
		return "", "", "", fmt.Errorf("%q is not REPOSITORY:TAG or REPOSITORY@DIGEST", ref)
	}
	return repository, tag, "", nil
}

// local says whether a host is this machine, where weir may speak plain http.
func local(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// credentials finds the access key.
func (c *client) credentials() error {
	dir := c.data
	if dir == "" {
		dir = "weir-data"
	}
	key, err := app.ReadKey(dir)
	switch {
	case err == nil:
		c.key = aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret}
		return nil
	case c.data != "" || !errors.Is(err, fs.ErrNotExist):
		return err
	}
	c.key = aws.Credentials{AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY")}
	if c.key.AccessKeyID == "" || c.key.SecretAccessKey == "" {
		return errors.New("no access key: there is no weir-data/credentials here; name the data folder with --data, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	return nil
}

// call runs an operation: in and out are its JSON.
func (c *client) call(ctx context.Context, operation string, in, out any) error {
	if err := c.credentials(); err != nil {
		return err
	}
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(c.server, "/")+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "Weir_20261125."+operation)
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, c.key, req, hex.EncodeToString(sum[:]), "ecr", "local", time.Now()); err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("no answer from weir: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if err != nil {
		return fmt.Errorf("the answer of %s broke off: %w", c.server, err)
	}
	if resp.StatusCode != http.StatusOK {
		return failure(c.server, resp.StatusCode, text)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s is no weir: %w", c.server, err)
	}
	return nil
}

// failure is what an error answer says.
func failure(server string, status int, text []byte) error {
	var e struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(text, &e); err != nil || e.Type == "" {
		return fmt.Errorf("%s is no weir: it answers with status %d", server, status)
	}
	if _, name, ok := strings.Cut(e.Type, "#"); ok {
		e.Type = name
	}
	return fmt.Errorf("%s: %s", e.Type, e.Message)
}
