package events

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Webhook is a URL that events are sent to by POST, signed.
type Webhook struct {
	URL    string
	Secret []byte
	Types  []string       // names of events; nil: all
	Roots  *x509.CertPool // nil: the machine's
}

// The headers of a request.
const (
	TimestampHeader = "Weir-Timestamp" // seconds since 1970, of this try
	SignatureHeader = "Weir-Signature" // "v1=" and the Signature
	IDHeader        = "Weir-Event-Id"  // the same for each try
)

// Signature is the HMAC-SHA256, in hex, of a timestamp, a dot and a body.
func Signature(secret []byte, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// poster sends events to one webhook.
type poster struct {
	Webhook
	agent string
	limit time.Duration
	t     *http.Transport // itself: a client looks at where redirects lead
}

func newPoster(h Webhook, o Options) *poster {
	return &poster{Webhook: h, agent: o.Agent, limit: o.Limit, t: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: o.Limit}).DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: h.Roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: o.Limit,
		MaxIdleConns:        1,
		IdleConnTimeout:     90 * time.Second,
		ForceAttemptHTTP2:   true,
	}}
}

// post sends one event. The error has nothing of the URL but its host.
func (p *poster) post(ctx context.Context, m message) error {
	ctx, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL, bytes.NewReader(m.body))
	if err != nil {
		return refusal{errors.New("the URL is malformed")}
	}
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", p.agent)
	req.Header.Set(IDHeader, m.id)
	req.Header.Set(TimestampHeader, timestamp)
	req.Header.Set(SignatureHeader, "v1="+Signature(p.Secret, timestamp, m.body))
	resp, err := p.t.RoundTrip(req)
	switch {
	case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("no answer within %s", p.limit)
	case err != nil:
		return errors.New(hide(err.Error(), req.URL))
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can be used again
	switch code := resp.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code >= 300 && code < 400:
		return fmt.Errorf("the webhook answered %d: redirects are not followed, write the URL that it leads to into the configuration", code)
	case code == http.StatusBadRequest, code == http.StatusRequestEntityTooLarge, code == http.StatusUnsupportedMediaType, code == http.StatusUnprocessableEntity:
		return refusal{fmt.Errorf("the webhook answered %d, which no other try would change", code)}
	default:
		return fmt.Errorf("the webhook answered %d", code)
	}
}

// hide takes a URL's path and query out of a text that quotes what an answer quotes.
func hide(text string, u *url.URL) string {
	for _, secret := range []string{u.RequestURI(), u.Path, u.RawQuery} {
		if len(secret) > 1 {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return text
}

func (p *poster) close() { p.t.CloseIdleConnections() }
