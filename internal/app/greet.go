package app

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"

	"github.com/weir-registry/weir/internal/config"
	"github.com/weir-registry/weir/internal/console"
)

// greet tells the person who started weir where it listens, what it has, and how
// to use it: the exact lines, but never the secret.
func (w *Weir) greet(ctx context.Context, out io.Writer, listeners []Listener) error {
	var b strings.Builder
	host, pages := w.config.Registry.Host, ""
	for i, l := range listeners {
		scheme := "http"
		if w.cert != nil && !l.For.Plain {
			scheme = "https"
		}
		verb := "also listens"
		if i == 0 {
			verb = "listens"
		}
		fmt.Fprintf(&b, "weir %s on %s://%s: %s\n", verb, scheme, l.Addr(), w.purpose(l.For))
		if l.For.Registry && host == "" {
			host = reachable(l.Addr())
		}
		if l.For.API {
			pages = scheme + "://" + reachable(l.Addr()) + console.Path
		}
	}
	keyFile := filepath.Join(w.config.Data, KeyFile)
	if w.made {
		fmt.Fprintf(&b, "made data folder %s\n", w.config.Data)
		fmt.Fprintf(&b, "made the root access key %s: it is in %s\n", w.Key.ID, keyFile)
	} else {
		found, err := look(ctx, w.db, w.store)
		if err != nil {
			return w.inFolder(err)
		}
		fmt.Fprintf(&b, "found in data folder %s: %s\n", w.config.Data, found)
		fmt.Fprintf(&b, "the root access key %s is in %s\n", w.Key.ID, keyFile)
	}
	fmt.Fprintf(&b, "\nto log in:\n  sed -n 's/^aws_secret_access_key *= *//p' %s | docker login -u %s --password-stdin %s\n", quote(keyFile), w.Key.ID, host)
	if image := w.example(); image != "" {
		fmt.Fprintf(&b, "to pull:\n  docker pull %s/%s\n", host, image)
	}
	fmt.Fprintf(&b, "the console:\n  %s\n", pages)
	_, err := io.WriteString(out, b.String()+"\n")
	return err
}

// purpose is what an address is for.
func (w *Weir) purpose(a config.Address) string {
	var all []string
	if a.Registry {
		all = append(all, fmt.Sprintf("registry %s, region %s", w.Registry.ID, w.Registry.Region))
	}
	if a.API && !a.Registry {
		all = append(all, "API")
	}
	if a.Metrics && !a.Registry && !a.API {
		all = append(all, "metrics")
	}
	return strings.Join(all, ", ")
}

// reachable is a listener's address as a client on this machine writes it.
func reachable(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// example is an image to try, "" where no rule leads to one that is known.
func (w *Weir) example() string {
	known := map[string]string{
		"public.ecr.aws":       "amazonlinux/amazonlinux:latest",
		"registry-1.docker.io": "library/alpine:latest",
		"quay.io":              "prometheus/busybox:latest",
		"registry.k8s.io":      "pause:3.10",
	}
	best := ""
	for _, r := range w.admin.RuleSet().Rules() {
		image, ok := known[r.Upstream]
		if !ok || r.Off || r.UpstreamPrefix != "" {
			continue
		}
		if name, ok := r.Cached(image); ok && (best == "" || r.Upstream == "public.ecr.aws") {
			best = name
		}
	}
	return best
}

// quote makes s one word of a shell.
func quote(s string) string {
	if strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-", r))
	}) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
