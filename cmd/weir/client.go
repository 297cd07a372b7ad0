package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/spf13/cobra"

	"github.com/weir-registry/weir/internal/app"
)

// maxAnswer is the longest answer that is read, in bytes.
const maxAnswer = 32 << 20

// client asks a running weir: operations of ECR, Secrets Manager and weir's own in
// AWS's JSON 1.1 protocol, signed with an access key.
type client struct {
	server, data, ca string // flags
	key              aws.Credentials
	from             string       // where key is from
	http             *http.Client // nil: not made yet
}

func (c *client) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.server, "server", "", "`URL` of the running weir (default: WEIR_SERVER, else the host in the reference, else http://127.0.0.1:5000)")
	cmd.Flags().StringVar(&c.data, "data", "", "data `DIR` whose credentials file to use (default: ./weir-data if it has one, else AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, else AWS_SHARED_CREDENTIALS_FILE)")
	cmd.Flags().StringVar(&c.ca, "ca", "", "trust the authorities in `FILE`, beside the machine's own (default: AWS_CA_BUNDLE)")
}

// reference takes the host from a reference as docker has it, and returns the
// repository and what follows it.
func (c *client) reference(ref string) (repository, tag, digest string, err error) {
	rest := ref
	if host, path, ok := strings.Cut(ref, "/"); ok && (strings.ContainsAny(host, ".:") || host == "localhost") {
		rest = path
		if c.server == "" && os.Getenv("WEIR_SERVER") == "" {
			c.server = "https://" + host
			if local(host) {
				c.server = "http://" + host
			}
		}
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
func (c *client) credentials(ctx context.Context) error {
	dir := c.data
	if dir == "" {
		dir = "weir-data"
	}
	key, err := app.ReadKey(dir)
	switch {
	case err == nil:
		c.key, c.from = aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret}, filepath.Join(dir, "credentials")
		return nil
	case c.data != "" || !errors.Is(err, fs.ErrNotExist):
		return err
	}
	c.key = aws.Credentials{AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY")}
	if c.key.AccessKeyID != "" && c.key.SecretAccessKey != "" {
		c.from = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
		return nil
	}
	// Only a file that is named: what ~/.aws has are keys of AWS.
	file := os.Getenv("AWS_SHARED_CREDENTIALS_FILE")
	if file == "" {
		return errors.New("no access key: there is no weir-data/credentials here; name the data folder with --data, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SHARED_CREDENTIALS_FILE")
	}
	profile := cmp.Or(os.Getenv("AWS_PROFILE"), "default")
	shared, err := config.LoadSharedConfigProfile(ctx, profile, func(o *config.LoadSharedConfigOptions) {
		o.CredentialsFiles, o.ConfigFiles = []string{file}, []string{}
	})
	if err != nil {
		return fmt.Errorf("AWS_SHARED_CREDENTIALS_FILE %s: %w", file, err)
	}
	if c.key = shared.Credentials; c.key.AccessKeyID == "" || c.key.SecretAccessKey == "" {
		return fmt.Errorf("AWS_SHARED_CREDENTIALS_FILE %s has no access key in profile %s", file, profile)
	}
	c.from = "profile " + profile + " of " + file
	return nil
}

// open finds the server, the access key and whom to trust.
func (c *client) open(ctx context.Context) error {
	if c.http != nil {
		return nil
	}
	c.server = cmp.Or(c.server, os.Getenv("WEIR_SERVER"), "http://127.0.0.1:5000")
	if u, err := url.Parse(c.server); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("the server %q is not a URL such as https://weir.corp.example", c.server)
	}
	if err := c.credentials(ctx); err != nil {
		return err
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	if ca := cmp.Or(c.ca, os.Getenv("AWS_CA_BUNDLE")); ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return err
		}
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool() // a machine without any
		}
		if !roots.AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s has no certificate in PEM form", ca)
		}
		t.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	c.http = &http.Client{Transport: t}
	return nil
}

func (c *client) ecr(ctx context.Context, operation string, in, out any) error {
	return c.call(ctx, "AmazonEC2ContainerRegistry_V20150921."+operation, "ecr", in, out)
}

func (c *client) secrets(ctx context.Context, operation string, in, out any) error {
	return c.call(ctx, "secretsmanager."+operation, "secretsmanager", in, out)
}

func (c *client) weir(ctx context.Context, operation string, in, out any) error {
	return c.call(ctx, "Weir_20261125."+operation, "ecr", in, out)
}

// call runs an operation: in and out are its JSON. What weir refuses is *refusal.
func (c *client) call(ctx context.Context, target, service string, in, out any) error {
	if err := c.open(ctx); err != nil {
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
	req.Header.Set("X-Amz-Target", target)
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, c.key, req, hex.EncodeToString(sum[:]), service, "local", time.Now()); err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Errorf("no answer from weir: %w: if it is of weir cert, name its ca.crt with --ca", unknown)
	}
	if err != nil {
		return fmt.Errorf("no answer from weir: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("the answer of %s broke off: %w", c.server, err)
	}
	if resp.StatusCode != http.StatusOK {
		return c.failure(resp.StatusCode, text)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s is no weir: %w", c.server, err)
	}
	return nil
}

// refusal is a failure in AWS's words.
type refusal struct {
	Type    string `json:"__type"`
	Message string `json:"message"`
}

func (r *refusal) Error() string { return r.Type + ": " + r.Message }

// refused says whether err is weir's refusal with this name.
func refused(err error, name string) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && r.Type == name
}

// failure is what an error answer says. Of a key that does not hold it says where it is
// from, and not what the request should have been.
func (c *client) failure(status int, text []byte) error {
	var r refusal
	if err := json.Unmarshal(text, &r); err != nil || r.Type == "" {
		return fmt.Errorf("%s is no weir: it answers with status %d", c.server, status)
	}
	if _, name, ok := strings.Cut(r.Type, "#"); ok {
		r.Type = name
	}
	switch r.Type {
	case "UnrecognizedClientException":
		r.Message = fmt.Sprintf("%s has no such access key, or no more: %s, from %s", c.server, c.key.AccessKeyID, c.from)
	case "InvalidSignatureException":
		first, _, _ := strings.Cut(r.Message, "\n")
		r.Message = fmt.Sprintf("%s The access key is %s, from %s.", first, c.key.AccessKeyID, c.from)
	}
	return &r
}
