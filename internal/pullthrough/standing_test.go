package pullthrough_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/pullthrough"
	"github.com/weir-registry/weir/internal/rule"
)

// TestStanding follows what people see of an upstream that goes away, comes back, limits
// and refuses, and of another account at the same host.
func TestStanding(t *testing.T) {
	private := hub("private")
	private.Credential = "robot"
	inWorld(t, func(t *testing.T, w *world) {
		up, of := w.ups["hub"], func(prefix string) *rule.Rule { return w.scope(prefix + "/x").Rule }
		up.image("app", "v1", 1, 1, 100)
		stands := func(what, prefix string, want rule.Standing) {
			t.Helper()
			if diff := cmp.Diff(want, w.cache.Standing(of(prefix))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		ask := func(repo, tag string) time.Time {
			t.Helper()
			<-time.After(time.Minute)
			at := time.Now()
			_, _ = w.tag(repo, tag)
			return at
		}
		stands("never asked", "hub", rule.Standing{})
		answered := ask("hub/app", "v1")
		stands("asked", "hub", rule.Standing{Answered: answered})
		answered = ask("hub/app", "none")
		stands("what is not there is no failure", "hub", rule.Standing{Answered: answered})

		up.refusing(answers(errs.UpstreamUnreachable, 0))
		first := ask("hub/app", "v2")
		words := w.cache.Standing(of("hub")).Failure
		if words == "" {
			t.Error("it does not say why")
		}
		stands("one failure", "hub", rule.Standing{Answered: answered, Failed: first, Failure: words})
		second := ask("hub/app", "v2")
		stands("two", "hub", rule.Standing{Answered: answered, Failing: first, Failed: second, Failure: words})
		stands("another account has the same way", "private", rule.Standing{Answered: answered, Failing: first, Failed: second, Failure: words})
		up.refusing(nil)
		answered = ask("hub/app", "v2")
		stands("it is back", "hub", rule.Standing{Answered: answered, Failed: second, Failure: words})

		up.refusing(answers(errs.UpstreamRateLimited, 3*time.Minute))
		limited := ask("hub/app", "v3")
		words = w.cache.Standing(of("hub")).Failure
		want := rule.Standing{Answered: limited, Failed: limited, Failure: words, Limited: limited.Add(3 * time.Minute), Limit: words}
		stands("limited", "hub", want)
		if got := w.cache.Standing(of("private")); !got.Limited.IsZero() {
			t.Errorf("another account is limited too: %+v", got)
		}
		<-time.After(3 * time.Minute)
		want.Limited, want.Limit = time.Time{}, ""
		stands("that is over", "hub", want)

		up.refusing(func(context.Context, string, string, string) error {
			return errs.Wrap(errs.UpstreamDenied, errs.ErrNoLogin, "who are you")
		})
		refused := ask("private/app", "v1")
		again := ask("private/app", "v2")
		stands("refused", "private", rule.Standing{Answered: again, Refused: refused, Failed: again, Failure: "who are you"})
		up.refusing(answers(errs.UpstreamDenied, 0)) // of one repository
		before := w.cache.Standing(of("hub"))
		before.Answered = ask("hub/app", "v4")
		stands("one repository that is denied", "hub", before)
		up.refusing(nil)
		answered = ask("private/app", "v1")
		stands("taken", "private", rule.Standing{Answered: answered, Failed: again, Failure: "who are you"})

		up.refusing(func(context.Context, string, string, string) error {
			return errs.Wrap(errs.UpstreamDenied, errs.ErrNoLogin, "who are you")
		})
		refused = ask("private/app", "v3")
		stands("refused again", "private", rule.Standing{Answered: refused, Refused: refused, Failed: refused, Failure: "who are you"})
		<-time.After(time.Minute)
		w.cache.LoggedIn(of("private"))
		stands("logged in since", "private", rule.Standing{Answered: time.Now(), Failed: refused, Failure: "who are you"})

		up.refusing(answers(errs.UpstreamFailed, 0)) // of an image that cannot be used
		for range 3 {
			ask("hub/app", "old")
		}
		if got := w.cache.Standing(of("hub")); !got.Failing.IsZero() {
			t.Errorf("one image alone: %+v", got)
		}
		up.refusing(nil)
		ask("hub/app", "none")
		up.refusing(answers(errs.UpstreamFailed, 0)) // nonsense of all kinds, as a page for a login
		first = ask("hub/app", "v5")
		ask("hub/app", "v6")
		if got := w.cache.Standing(of("hub")); got.Failing != first {
			t.Errorf("nothing but nonsense: %+v", got)
		}
	}, hub("hub"), private)
}

// TestUnnamed: what is remembered of a whole host or account tells those who ask for
// something else nothing of who asked before.
func TestUnnamed(t *testing.T) {
	private := hub("private")
	private.Credential = "robot"
	for _, test := range []struct {
		name  string
		code  errs.Code
		rules []string // whose standing it is
	}{
		{"away", errs.UpstreamUnreachable, []string{"hub", "private"}},
		{"late", errs.UpstreamTimeout, []string{"hub", "private"}},
		{"nonsense", errs.UpstreamFailed, []string{"hub"}},
		{"limited", errs.UpstreamRateLimited, []string{"hub"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.ups["hub"].refusing(func(_ context.Context, _, repo, ref string) error {
					return &errs.Error{Code: test.code, Msg: "up.test: " + repo + ":" + ref + ": no", Unnamed: "up.test: no", RetryAfter: time.Minute}
				})
				_, err := w.tag("hub/secret", "v1")
				if e := errs.As(err); e == nil || e.Msg != "up.test: secret:v1: no" {
					t.Errorf("who asked is told %v", err)
				}
				if test.code != errs.UpstreamFailed { // which is of one reference
					_, err = w.tag("hub/other", "v2")
					if e := errs.As(err); e == nil || e.Msg != "up.test: no" {
						t.Errorf("another is told %v", err)
					}
				}
				for _, prefix := range test.rules {
					s := w.cache.Standing(w.scope(prefix + "/x").Rule)
					if s.Failure != "up.test: no" || !s.Limited.IsZero() && s.Limit != "up.test: no" {
						t.Errorf("%s stands at %+v", prefix, s)
					}
				}
			}, hub("hub"), private)
		})
	}
}

// TestArriving follows a blob on its way in: queued, arriving at some rate, stalled, with
// clients of two repositories that come and leave.
func TestArriving(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		d, _ := up.blob(1, 4<<20)
		more := make(chan struct{})
		up.opening(func(ctx context.Context, _ digest.Digest, data []byte, offset, n int64) (io.ReadCloser, int64, int64, error) {
			b := up.body(ctx, data[offset:], n)
			if offset == 0 {
				return &waiting{b, 1 << 20, more}, offset, int64(len(data)), nil
			}
			return b, offset, int64(len(data)), nil
		})
		if got := w.cache.Arriving(); len(got) != 0 {
			t.Errorf("nothing is on its way, but %+v", got)
		}
		since := time.Now()
		ctx, leave := context.WithCancel(t.Context())
		done := make(chan error, 2)
		follow := func(ctx context.Context, repo string) {
			go func() {
				b, err := w.cache.Blob(ctx, w.scope(repo), d)
				if err == nil {
					err = b.WriteRange(ctx, new(sink), 0, -1)
					b.Close()
				}
				done <- err
			}()
		}
		follow(t.Context(), "hub/app")
		follow(ctx, "hub/other")
		follow(ctx, "hub/other")
		<-time.After(time.Second)
		synctest.Wait()
		all := w.cache.Arriving()
		if len(all) != 1 {
			t.Fatalf("%d on their way", len(all))
		}
		rate := all[0].Rate
		if rate < 1<<19 || rate > 1<<21 {
			t.Errorf("1 MiB in a second is a rate of %.0f", rate)
		}
		all[0].Rate = 0
		want := pullthrough.Arrival{
			Digest: d, Upstream: "up.test", Clients: map[string]int{"hub/app": 1, "hub/other": 2}, Size: 4 << 20, Arrived: 1 << 20, Since: since,
		}
		if diff := cmp.Diff(want, all[0]); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		leave()
		for range 2 {
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		<-time.After(10 * time.Second)
		want.Clients = map[string]int{"hub/app": 1, "hub/other": 0}
		if diff := cmp.Diff([]pullthrough.Arrival{want}, w.cache.Arriving()); diff != "" {
			t.Errorf("two have left, and nothing comes (-want +got):\n%s", diff)
		}
		close(more)
		if err := <-done; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got := w.cache.Arriving(); len(got) != 0 {
			t.Errorf("all is here, but %+v", got)
		}
	})
}

// TestArrivingQueued: what waits for a connection says so.
func TestArrivingQueued(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		up.refusing(func(ctx context.Context, op, _, _ string) error {
			<-ctx.Done()
			return ctx.Err()
		})
		for n := range 20 { // 16 at a time
			d, _ := up.blob(uint64(n), 100)
			go w.cache.Blob(ctx, w.scope("hub/app"), d)
		}
		<-time.After(time.Second)
		queued := func(a pullthrough.Arrival) bool { return a.Queued }
		all := w.cache.Arriving()
		if n := len(slices.DeleteFunc(slices.Clone(all), queued)); len(all) != 20 || n != 16 {
			t.Errorf("%d on their way, %d of them with a connection", len(all), n)
		}
	})
}

// waiting is a body that stops after some bytes until more is closed.
type waiting struct {
	*body
	left int
	more chan struct{}
}

func (b *waiting) Read(p []byte) (int, error) {
	if b.left == 0 {
		<-b.more
		return b.body.Read(p)
	}
	n, err := b.body.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
