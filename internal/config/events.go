package config

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
)

// eventTypes are the events that a webhook may be for.
var eventTypes = [...]string{"ECR Image Action", "ECR Referrer Action", "ECR Pull Through Cache Action", "ECR Replication Action"}

// minSecret is how many bytes a webhook's secret has at least.
const minSecret = 16

// Secret returns what requests to a webhook are signed with. Its errors never have the
// secret in them.
func (h Webhook) Secret() ([]byte, error) {
	text, err := read(h.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", h.SecretFile, reason(err))
	}
	text = bytes.TrimRight(text, "\r\n")
	if len(text) < minSecret {
		return nil, fmt.Errorf("%s: has %d bytes, and at least %d are needed: who guesses them can forge events", h.SecretFile, len(text), minSecret)
	}
	return text, nil
}

func (k *checker) events() {
	if e := k.c.Events; e.Log != "" && e.Log != "-" {
		dir := filepath.Dir(e.Log)
		if info, err := os.Stat(dir); err != nil {
			k.bad("events.log", "%s: %s", dir, reason(err))
		} else if !info.IsDir() {
			k.bad("events.log", "%s is not a folder", dir)
		} else if info, err := os.Stat(e.Log); err == nil && info.IsDir() {
			k.bad("events.log", "%s is a folder, not a file", e.Log)
		} else if err == nil && !info.Mode().IsRegular() {
			k.bad("events.log", "%s is not a regular file; weir's own log is \"-\"", e.Log)
		}
	}
	for i, h := range k.c.Events.Webhooks {
		k.webhook(fmt.Sprintf("events.webhooks[%d]", i), h)
	}
}

func (k *checker) webhook(key string, h Webhook) {
	if u, err := url.Parse(h.URL); h.URL == "" {
		k.bad(key, "needs url")
	} else if err == nil && u.User != nil {
		k.bad(key+".url", "a user has no place in the URL: events are signed instead")
	} else {
		k.check(key+".url", validURL(h.URL, true))
	}
	if h.SecretFile == "" {
		k.bad(key, "needs secret_file: without it nobody can tell events from what others send")
	} else {
		_, err := h.Secret()
		k.check(key+".secret_file", err)
	}
	for i, t := range h.Types {
		k.oneOf(fmt.Sprintf("%s.types[%d]", key, i), t, eventTypes[:]...)
	}
	if h.CAFile != "" {
		k.certificates(key+".ca_file", h.CAFile)
	}
}
