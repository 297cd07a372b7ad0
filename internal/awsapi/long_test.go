package awsapi_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/weir-registry/weir/internal/auth"
	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/meta"
	"github.com/weir-registry/weir/internal/seal"
	"github.com/weir-registry/weir/internal/vfs/vfstest"
)

const mebi = 1 << 20

// hall has operations that take long inputs, and stay until the test lets them go.
type hall struct {
	http.Handler
	inside chan int      // lengths of the inputs of operations that began
	leave  chan struct{} // lets one go
}

var other = aws.Credentials{AccessKeyID: "AKIAOTHER", SecretAccessKey: secret}

func newHall(t *testing.T, now time.Time, long awsapi.Long) *hall {
	t.Helper()
	sealed, err := seal.Open(vfstest.NewMem(nil), "keys")
	if err != nil {
		t.Fatal(err)
	}
	rows := keys{}
	for id, active := range map[string]bool{keyID: true, "AKIAOTHER": true, "AKIAOFF": false} {
		rows[id] = meta.Key{ID: id, Principal: "root", Root: true, Active: active, Sealed: sealed.Seal([]byte(secret), []byte("access key "+id))}
	}
	h := &hall{inside: make(chan int, 100), leave: make(chan struct{})}
	h.Handler = awsapi.New(awsapi.Options{
		Auth: auth.New(rows, sealed, auth.Options{}), Logger: slog.New(slog.DiscardHandler), Long: long, Now: func() time.Time { return now },
	}, awsapi.Service{
		Name: "test", Target: "Test_1", Signing: []string{"ecr"}, Long: map[string]int64{"Long": 4 * mebi},
		Operations: map[string]awsapi.Operation{
			"Long": func(_ context.Context, _ *awsapi.Call, body []byte) (any, error) {
				h.inside <- len(body)
				<-h.leave
				return struct{}{}, nil
			},
			"Short": func(context.Context, *awsapi.Call, []byte) (any, error) { return struct{}{}, nil },
		},
	})
	return h
}

// send sends an input of n bytes, and returns where its answer will be. It comes from an
// address of the key's holder.
func (h *hall) send(t *testing.T, op string, n int, at time.Time, creds aws.Credentials, change func(*http.Request)) <-chan *httptest.ResponseRecorder {
	t.Helper()
	r := parse(t, sdk(t, "POST", "http://weir.example/", strings.Repeat("x", n), target("Test_1."+op), "ecr", at, creds))
	r.RemoteAddr = map[string]string{keyID: "192.0.2.1:5", other.AccessKeyID: "192.0.2.2:5"}[creds.AccessKeyID]
	if change != nil {
		change(r)
	}
	answered := make(chan *httptest.ResponseRecorder, 1)
	go func() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		answered <- w
	}()
	return answered
}

// trickle is a body that sends a byte every so often.
type trickle struct {
	io.ReadCloser
	every time.Duration
}

func (s trickle) Read(p []byte) (int, error) {
	<-time.After(s.every)
	return s.ReadCloser.Read(p[:min(1, len(p))])
}

// TestLongRefused: who may send more than a mebibyte, and of what.
func TestLongRefused(t *testing.T) {
	now := time.Date(2026, 11, 25, 9, 50, 0, 0, time.UTC)
	for _, tt := range []struct {
		name   string
		op     string
		n      int
		creds  aws.Credentials
		change func(*http.Request)
		status int
		code   string
	}{
		{"operation that needs none", "Short", mebi + 1, example, nil, 413, "RequestEntityTooLargeException"},
		{"more than the operation needs", "Long", 4*mebi + 1, example, nil, 413, "RequestEntityTooLargeException"},
		{"key that is not known", "Long", 2 * mebi, aws.Credentials{AccessKeyID: "AKIANONE", SecretAccessKey: secret}, nil, 400, "UnrecognizedClientException"},
		{"key that is switched off", "Long", 2 * mebi, aws.Credentials{AccessKeyID: "AKIAOFF", SecretAccessKey: secret}, nil, 400, "UnrecognizedClientException"},
		{"no signature", "Long", 2 * mebi, example, func(r *http.Request) { r.Header.Del("Authorization") }, 400, "MissingAuthenticationTokenException"},
		{"length that is not said", "Long", 2 * mebi, example, func(r *http.Request) { r.ContentLength = -1 }, 413, "RequestEntityTooLargeException"},
		{"wrong secret", "Long", 2 * mebi, aws.Credentials{AccessKeyID: keyID, SecretAccessKey: "wrong"}, nil, 400, "InvalidSignatureException"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHall(t, now, awsapi.Long{})
			w := <-h.send(t, tt.op, tt.n, now, tt.creds, tt.change)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.code) {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, tt.status, tt.code)
			}
			if len(h.inside) > 0 {
				t.Error("the operation ran")
			}
		})
	}
}

// TestLongBound: long inputs together have no more memory than they may; who waits for it
// is served when there is some, or told to come again; one access key leaves half to others.
func TestLongBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		h := newHall(t, now, awsapi.Long{Memory: 8 * mebi, Wait: 10 * time.Second})
		send := func(n int, creds aws.Credentials) <-chan *httptest.ResponseRecorder {
			t.Helper()
			answer := h.send(t, "Long", n, now, creds, nil)
			synctest.Wait()
			return answer
		}
		expect := func(what string, inside int) {
			t.Helper()
			synctest.Wait()
			if len(h.inside) != inside {
				t.Fatalf("%s: %d operations run, want %d", what, len(h.inside), inside)
			}
		}
		send(2*mebi, example)
		send(2*mebi, example)
		expect("half of it", 2)
		late := send(2*mebi, example)
		expect("more than half by one key", 2)
		send(4*mebi, other)
		expect("another key", 3)
		waits := send(2*mebi, other)
		expect("more than all", 3)

		<-time.After(9 * time.Second)
		h.leave <- struct{}{}
		expect("one left", 4) // of the two that wait, one has its turn
		<-time.After(2 * time.Second)
		synctest.Wait()
		throttled := 0
		for _, answer := range []<-chan *httptest.ResponseRecorder{late, waits} {
			select {
			case w := <-answer:
				throttled++
				if w.Code != 400 || !strings.Contains(w.Body.String(), `"__type":"ThrottlingException"`) {
					t.Errorf("%d %s", w.Code, w.Body)
				}
			default:
			}
		}
		if throttled != 1 {
			t.Errorf("%d of the two that waited were told to come again", throttled)
		}
		for range 3 {
			h.leave <- struct{}{}
		}
		synctest.Wait()
		send(4*mebi, example)
		expect("all was given back", 5)
		h.leave <- struct{}{}
		synctest.Wait()
	})
}

// TestLongStrangers: who has no secret, but knows key IDs, which are none, keeps nobody
// else out: what they hold is bounded by their address, and by what they send for it.
func TestLongStrangers(t *testing.T) {
	for _, tt := range []struct {
		name string
		from map[string]string // by key ID
	}{
		{"from one address", map[string]string{keyID: "192.0.2.9:5", other.AccessKeyID: "192.0.2.9:5"}},
		{"from two", map[string]string{keyID: "192.0.2.8:5", other.AccessKeyID: "192.0.2.9:5"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				now := time.Now()
				h := newHall(t, now, awsapi.Long{Memory: 8 * mebi, Wait: 20 * time.Second, Arrive: time.Minute})
				var answers []<-chan *httptest.ResponseRecorder
				for id, from := range tt.from {
					answers = append(answers, h.send(t, "Long", 4*mebi, now, aws.Credentials{AccessKeyID: id, SecretAccessKey: "wrong"}, func(r *http.Request) {
						r.RemoteAddr, r.Body = from, trickle{r.Body, 5 * time.Second}
					}))
				}
				synctest.Wait()
				honest := h.send(t, "Long", 2*mebi, now, example, nil)
				synctest.Wait()
				<-time.After(20*time.Second + time.Millisecond)
				if len(h.inside) != 1 {
					t.Error("who has a key is kept out")
				}
				h.leave <- struct{}{}
				if w := <-honest; w.Code != 200 {
					t.Errorf("%d %s", w.Code, w.Body)
				}
				for _, answer := range answers {
					if w := <-answer; w.Code != 400 {
						t.Errorf("a stranger: %d %s", w.Code, w.Body)
					}
				}
			})
		})
	}
}

// TestLongSlow: who sends a byte now and then does not keep others out for ever, and what
// a body that broke off had is given back.
func TestLongSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		h := newHall(t, now, awsapi.Long{Memory: 4 * mebi, Wait: time.Hour, Arrive: time.Minute})
		slow := h.send(t, "Long", 4*mebi, now, other, func(r *http.Request) { r.Body = trickle{r.Body, time.Second} })
		broken := h.send(t, "Long", 2*mebi, now, example, func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("x")) })
		synctest.Wait()
		begun := time.Now()
		quick := h.send(t, "Long", 4*mebi, now, example, nil)
		<-h.inside
		if took := time.Since(begun); took < 6*time.Second || took > 8*time.Second {
			t.Errorf("the slow one kept it %s", took)
		}
		h.leave <- struct{}{}
		for what, w := range map[string]*httptest.ResponseRecorder{"slow": <-slow, "broken off": <-broken} {
			if w.Code != 400 || !strings.Contains(w.Body.String(), "did not arrive whole") {
				t.Errorf("%s: %d %s", what, w.Code, w.Body)
			}
		}
		if w := <-quick; w.Code != 200 {
			t.Errorf("quick: %d %s", w.Code, w.Body)
		}
	})
}
