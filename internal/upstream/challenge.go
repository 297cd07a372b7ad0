package upstream

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/weir-registry/weir/internal/rule"
)

// challenge is how an origin wants to be asked. The zero value: without anything.
type challenge struct {
	scheme  string // "bearer", "basic" or ""
	realm   string
	service string
	scope   string // as the origin gave it; "" where it gave none
}

// known are the challenges of public registries, so that the first request has its
// token. A registry that is not here is asked once to learn its challenge.
var known = map[rule.Kind]challenge{
	rule.DockerHub:  bearer(rule.DockerHub, "registry.docker.io"),
	rule.ECRPublic:  bearer(rule.ECRPublic, "public.ecr.aws"),
	rule.GitHub:     bearer(rule.GitHub, "ghcr.io"),
	rule.GitLab:     bearer(rule.GitLab, "container_registry"),
	rule.Chainguard: bearer(rule.Chainguard, "cgr.dev"),
	rule.ECR:        {scheme: "basic"},
}

// bearer is the challenge of a kind that has one host.
func bearer(k rule.Kind, service string) challenge {
	return challenge{"bearer", k.Realm(k.FixedHost()), service, ""}
}

// challenge returns what is known of an origin: learned, or built in for the kind's
// own host. A built-in Basic is of use only with a credential.
func (r *Registry) challenge(e *endpoint, at string) challenge {
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	if c, ok := r.h.challenges[at]; ok {
		return c
	}
	c := known[r.kind]
	if at != e.origin || at != "https://"+r.h.name+":443" || c.scheme == "basic" && r.cred == nil {
		return challenge{}
	}
	return c
}

// learn remembers an origin's challenge for the next repository.
func (h *host) learn(at string, c challenge) {
	c.scope = "" // of one repository
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.challenges[at]; ok || len(h.challenges) < maxRemembered {
		h.challenges[at] = c
	}
}

// knownRealm says whether u is the realm of this host's kind, or a configured one.
func (h *host) knownRealm(u *url.URL) bool {
	for _, k := range h.realms {
		if sameRealm(k, u) {
			return true
		}
	}
	k, err := url.Parse(known[rule.KindOf(h.name)].realm)
	return err == nil && k.Host != "" && sameRealm(k, u)
}

func sameRealm(a, b *url.URL) bool {
	return origin(a) == origin(b) && strings.TrimSuffix(a.Path, "/") == strings.TrimSuffix(b.Path, "/")
}

// readChallenge returns the challenge that weir can answer: Bearer before Basic, and
// Basic only where there is a credential. False if there is none.
func readChallenge(header http.Header, credential bool) (challenge, bool) {
	var basic bool
	for _, line := range header.Values("WWW-Authenticate") {
		for _, c := range parseChallenges(line) {
			switch {
			case c.scheme == "bearer" && c.realm != "":
				return c, true
			case c.scheme == "basic":
				basic = true
			}
		}
	}
	return challenge{scheme: "basic"}, basic && credential
}

// parseChallenges reads a WWW-Authenticate line (RFC 9110, 11.6.1), which may hold
// several challenges. What it cannot read ends it.
func parseChallenges(s string) []challenge {
	var all []challenge
	for {
		s = strings.TrimLeft(s, " \t,")
		word, rest := cutToken(s)
		if word == "" {
			return all
		}
		if value, after, ok := cutValue(rest); ok && len(all) > 0 {
			c := &all[len(all)-1]
			switch strings.ToLower(word) {
			case "realm":
				c.realm = value
			case "service":
				c.service = value
			case "scope":
				c.scope = value
			}
			s = after
			continue
		}
		all = append(all, challenge{scheme: strings.ToLower(word)})
		s = rest
	}
}

// cutToken cuts the token that s begins with.
func cutToken(s string) (token, rest string) {
	i := 0
	for i < len(s) && s[i] > ' ' && s[i] < 0x7f && !strings.ContainsRune(`"(),/:;<=>?@[\]{}`, rune(s[i])) {
		i++
	}
	return s[:i], s[i:]
}

// cutValue cuts "= value", quoted or not.
func cutValue(s string) (value, rest string, ok bool) {
	s = strings.TrimLeft(s, " \t")
	if s, ok = strings.CutPrefix(s, "="); !ok {
		return "", "", false
	}
	s = strings.TrimLeft(s, " \t")
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, ", \t")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], true
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:], true
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}
