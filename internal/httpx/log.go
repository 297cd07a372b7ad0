package httpx

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/weir-registry/weir/internal/errs"
)

// log writes the access line.
func (h *handler) log(w *ResponseWriter, r *http.Request, took time.Duration, err error, aborted bool) {
	attrs := []slog.Attr{
		slog.String("id", w.id),
		slog.String("principal", w.Principal),
		slog.String("action", w.Action),
		slog.String("repository", w.Repository),
		slog.String("reference", w.Reference),
		slog.Int("status", w.status),
		slog.Int64("bytes", w.bytes),
		slog.Float64("ms", float64(took.Microseconds())/1000),
		slog.String("cache", w.Cache),
		slog.String("upstream", w.Upstream),
	}
	level := slog.LevelInfo
	if err != nil {
		code := errs.CodeOf(err)
		left := aborted && (gone(r.Context()) || errors.Is(err, http.ErrAbortHandler))
		switch {
		case left:
		case code == errs.Internal:
			level = slog.LevelError
		case aborted, w.status >= http.StatusInternalServerError:
			level = slog.LevelWarn
		}
		if aborted {
			attrs = append(attrs, slog.Bool("aborted", true)) // broken off: status is not what the client saw
		}
		attrs = append(attrs, slog.String("code", code.String()), slog.String("error", Scrub(err.Error())))
	}
	h.Logger.LogAttrs(r.Context(), level, "request", attrs...)
}

// Scrub takes the parts of URLs out of a text that may be secret: user and
// password, and everything after a question mark, where signatures are.
func Scrub(s string) string {
	if !strings.Contains(s, "://") {
		return s
	}
	var b strings.Builder
	for {
		i := strings.Index(s, "://")
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i+3])
		s = s[i+3:]
		end := strings.IndexAny(s, " \t\r\n\"'`<>")
		if end < 0 {
			end = len(s)
		}
		u := s[:end]
		s = s[end:]
		if q := strings.IndexAny(u, "?#"); q >= 0 {
			u = u[:q] + "?..."
		}
		authority := u
		if p := strings.IndexByte(u, '/'); p >= 0 {
			authority = u[:p]
		}
		if at := strings.LastIndexByte(authority, '@'); at >= 0 {
			u = u[at+1:]
		}
		b.WriteString(u)
	}
}
