package config

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// Read returns what an upstream is to be sent. It reads the credential's file
// each time, so that a file that was replaced counts at once. Its errors never
// have the secret in them.
func (c Credential) Read() (username, secret string, err error) {
	if c.File == "" {
		text, err := read(c.PasswordFile)
		if err != nil {
			return "", "", fmt.Errorf("%s: %s", c.PasswordFile, reason(err))
		}
		secret = strings.TrimRight(string(text), "\r\n")
		if secret == "" {
			return "", "", fmt.Errorf("%s: is empty", c.PasswordFile)
		}
		return c.Username, secret, nil
	}
	text, err := read(c.File)
	if err != nil {
		return "", "", fmt.Errorf("%s: %s", c.File, reason(err))
	}
	var v struct{ Username, AccessToken string }
	if err := json.Unmarshal(text, &v); err != nil || v.Username == "" || v.AccessToken == "" {
		return "", "", fmt.Errorf(`%s: is not JSON such as {"username": "...", "accessToken": "..."}`, c.File)
	}
	return v.Username, v.AccessToken, nil
}

func (k *checker) credentials() {
	for _, name := range slices.Sorted(maps.Keys(k.c.Credentials)) {
		c, key := k.c.Credentials[name], "credentials."+name
		switch {
		case c.File != "" && (c.Username != "" || c.PasswordFile != ""):
			k.bad(key, "has file and also username or password_file: it is one or the other")
			continue
		case c.File == "" && (c.Username == "" || c.PasswordFile == ""):
			k.bad(key, "needs username and password_file, or file")
			continue
		}
		_, _, err := c.Read()
		k.check(key, err)
	}
}

// upstreams checks them. One that no rule here has may be that of a rule which the
// API makes.
func (k *checker) upstreams() {
	hosts := slices.Sorted(maps.Keys(k.c.Upstreams))
	for _, name := range hosts {
		u, host, key := k.c.Upstreams[name], canonicalHost(name), "upstreams."+name
		if err := validHost("upstream", host); err != nil {
			k.check(key, err)
		}
		if host != name {
			delete(k.c.Upstreams, name)
			if _, dup := k.c.Upstreams[host]; dup {
				k.bad(key, "is the same host as upstreams.%s%s", host, k.line("upstreams."+host))
			}
			k.c.Upstreams[host] = u
		}
		k.upstream(key, u)
	}
}

func (k *checker) upstream(key string, u Upstream) {
	for i, e := range u.Endpoints {
		k.check(fmt.Sprintf("%s.endpoints[%d]", key, i), validURL(e, false))
	}
	for i, r := range u.Realms {
		k.check(fmt.Sprintf("%s.realms[%d]", key, i), validURL(r, true))
	}
	if u.Proxy != "" && u.Proxy != "direct" {
		if p, err := url.Parse(u.Proxy); err != nil || p.Host == "" || p.Scheme != "http" && p.Scheme != "https" {
			k.bad(key+".proxy", "is neither a URL such as http://proxy.example:3128 nor the word direct")
		}
	}
	for i, h := range u.AllowHosts {
		k.check(fmt.Sprintf("%s.allow_hosts[%d]", key, i), validHost("host", h))
	}
	if u.CAFile != "" {
		k.certificates(key+".ca_file", u.CAFile)
	}
}

// validURL checks an http or https URL without a user, and without a query unless
// it may have one. The error does not quote it: it may have a password or be a secret.
func validURL(s string, query bool) error {
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Host == "", u.Scheme != "http" && u.Scheme != "https":
		return errors.New("is not a URL such as https://mirror.example")
	case u.User != nil:
		return errors.New("a user has no place in the URL: use credentials")
	case u.RawQuery != "" && !query, u.Fragment != "":
		return errors.New("has more than a host and a path")
	}
	return validHost("host", u.Host)
}

// certificates checks that a PEM file has certificates and nothing that is broken.
func (k *checker) certificates(key, name string) {
	text, err := read(name)
	if err != nil {
		k.bad(key, "%s: %s", name, reason(err))
		return
	}
	if !x509.NewCertPool().AppendCertsFromPEM(text) {
		k.bad(key, "%s: has no certificate in PEM form", name)
	}
}

// pair checks that the listener's certificate and key belong together.
func (k *checker) pair(t TLS) {
	cert, err := read(t.CertFile)
	if err != nil {
		k.bad("tls.cert_file", "%s: %s", t.CertFile, reason(err))
	}
	secret, kerr := read(t.KeyFile)
	if kerr != nil {
		k.bad("tls.key_file", "%s: %s", t.KeyFile, reason(kerr))
	}
	if err != nil || kerr != nil {
		return
	}
	if _, err := tls.X509KeyPair(cert, secret); err != nil {
		k.bad("tls", "%s", strings.TrimPrefix(err.Error(), "tls: "))
	}
}
