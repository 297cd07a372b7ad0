package events_test

import (
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-registry/weir/internal/events"
	"github.com/weir-registry/weir/internal/weirtest"
)

var secret = []byte("0123456789abcdef0123456789abcdef")

// receiver takes events, and checks what every one of them has.
type receiver struct {
	t *testing.T

	mu     sync.Mutex
	tags   []string
	ids    []string
	answer func(n int, tag string) int // of the n-th request; 0: 204
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // it left
	}
	at := req.Header.Get("Weir-Timestamp")
	sec, err := strconv.ParseInt(at, 10, 64)
	if err != nil || time.Since(time.Unix(sec, 0)) > time.Minute {
		r.t.Errorf("timestamp %q", at)
	}
	if got := req.Header.Get("Weir-Signature"); got != "v1="+events.Signature(secret, at, body) {
		r.t.Errorf("signature %q", got)
	}
	if req.Method != "POST" || req.Header.Get("Content-Type") != "application/json" || req.UserAgent() != "weir/test" {
		r.t.Errorf("%s %v", req.Method, req.Header)
	}
	number := tag(r.t, body)
	r.mu.Lock()
	r.ids = append(r.ids, req.Header.Get("Weir-Event-Id"))
	n := len(r.ids)
	answer := r.answer
	r.mu.Unlock()
	status := http.StatusNoContent
	if answer != nil {
		if s := answer(n, number); s != 0 {
			status = s
		}
	}
	if status < 300 {
		r.mu.Lock()
		r.tags = append(r.tags, number)
		r.mu.Unlock()
	}
	if status >= 300 && status < 400 {
		w.Header().Set("Location", "/elsewhere")
	}
	w.WriteHeader(status)
}

func (r *receiver) taken() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string{}, r.tags...)
}

// hook has an Emitter send to a receiver.
func hook(url string) func(*events.Options) {
	return func(o *events.Options) { o.Webhooks = []events.Webhook{{URL: url, Secret: secret}} }
}

func numbers(e *events.Emitter, from, to int) (want []string) {
	for n := from; n <= to; n++ {
		number(e, n)
		want = append(want, fmt.Sprint(n))
	}
	return want
}

func TestSignature(t *testing.T) {
	// echo -n '1700000000.{}' | openssl dgst -sha256 -hmac key
	diff(t, "signature", "9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae", events.Signature([]byte("key"), "1700000000", []byte("{}")))
}

// TestOrder: a receiver that fails, in every way, gets all of them, in order, each with
// one ID.
func TestOrder(t *testing.T) {
	r := &receiver{t: t}
	r.answer = func(n int, tag string) int {
		if n%3 == 0 {
			return 0
		}
		return []int{500, 503, 429, 404, 401, 302, 307, 101}[n%7]
	}
	s := httptest.NewServer(r)
	defer s.Close()
	e, log := begin(t, hook(s.URL+"/in?token=hush"))
	want := numbers(e, 1, 10)
	until(t, "all", func() bool { return e.Stats()[0].Sent == 10 })
	diff(t, "in order", want, r.taken())
	ids := map[string]bool{}
	for _, id := range r.ids {
		ids[id] = true
	}
	diff(t, "IDs", 10, len(ids))
	stats := e.Stats()[0]
	diff(t, "stats", events.Stats{Sink: strings.TrimPrefix(s.URL, "http://"), Sent: 10, Failed: uint64(len(r.ids) - 10)}, stats)
	if strings.Contains(log.String(), "hush") {
		t.Errorf("the log tells the URL: %s", log)
	}
}

// TestSecretURL: whatever an answer makes of a URL, the log does not tell it.
func TestSecretURL(t *testing.T) {
	for name, answer := range map[string]string{
		"a Location that is none": "HTTP/1.1 301 Moved\r\nLocation: https://elsewhere.test/in/HUSH%zz?token=HUSH\r\nContent-Length: 0\r\n\r\n",
		"no HTTP":                 "POST /in/HUSH?token=HUSH: what is that?\r\n\r\n",
		"no header":               "HTTP/1.1 200 OK\r\nPOST /in/HUSH?token=HUSH\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				_, _ = io.WriteString(conn, answer)
			}))
			defer s.Close()
			e, log := begin(t, hook(s.URL+"/in/HUSH?token=HUSH"))
			number(e, 1)
			until(t, "a failure", func() bool { return e.Stats()[0].Failed > 0 })
			e.Close()
			if strings.Contains(log.String(), "HUSH") || !strings.Contains(log.String(), "could not be delivered") {
				t.Errorf("the log: %s", log)
			}
		})
	}
}

// TestRefused: what the receiver will never take is given up, and the next one comes.
func TestRefused(t *testing.T) {
	r := &receiver{t: t, answer: func(_ int, tag string) int { return map[string]int{"1": 400, "3": 422, "4": 413, "5": 415}[tag] }}
	s := httptest.NewServer(r)
	defer s.Close()
	e, log := begin(t, hook(s.URL))
	numbers(e, 1, 6)
	until(t, "the last", func() bool { return len(r.taken()) == 2 })
	diff(t, "taken", []string{"2", "6"}, r.taken())
	until(t, "stats", func() bool { s := e.Stats()[0]; return s.Dropped == 4 && s.Failed == 4 && s.Sent == 2 })
	if n := strings.Count(log.String(), "events are lost"); n != 4 {
		t.Errorf("%d in the log:\n%s", n, log)
	}
}

// TestTooLong: an event that failed for too long is given up.
func TestTooLong(t *testing.T) {
	r := &receiver{t: t, answer: func(_ int, tag string) int { return map[string]int{"1": 500}[tag] }}
	s := httptest.NewServer(r)
	defer s.Close()
	e, _ := begin(t, func(o *events.Options) {
		hook(s.URL)(o)
		o.Keep = 50 * time.Millisecond
	})
	number(e, 1)
	until(t, "the end of the first", func() bool { return e.Stats()[0].Dropped == 1 })
	number(e, 2)
	until(t, "the second", func() bool { return len(r.taken()) == 1 })
	diff(t, "taken", []string{"2"}, r.taken())
}

// TestBound: a receiver that stalls costs nobody anything but it the oldest events.
func TestBound(t *testing.T) {
	release, stalled := make(chan struct{}), make(chan struct{}, 100)
	r := &receiver{t: t}
	r.answer = func(int, string) int {
		stalled <- struct{}{}
		<-release
		return 0
	}
	s := httptest.NewServer(r)
	defer s.Close()
	e, log := begin(t, func(o *events.Options) {
		hook(s.URL)(o)
		o.Queue = 5
	})
	number(e, 0)
	<-stalled
	began := time.Now()
	numbers(e, 1, 1000)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("emitting took %s", took)
	}
	diff(t, "stats", events.Stats{Sink: strings.TrimPrefix(s.URL, "http://"), Dropped: 995, Waiting: 5}, e.Stats()[0])
	close(release)
	until(t, "the rest", func() bool { return len(r.taken()) == 6 })
	diff(t, "the first, and the last", []string{"0", "996", "997", "998", "999", "1000"}, r.taken())
	if n := strings.Count(log.String(), "events are lost"); n != 1 {
		t.Errorf("%d in the log:\n%s", n, log)
	}
}

// TestRestart: a receiver that is away, and comes back at its address.
func TestRestart(t *testing.T) {
	port, claim, err := weirtest.FreePort("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	defer claim.Close()
	addr := net.JoinHostPort("127.0.0.1", port)
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{t: t}
	serve := func(l net.Listener) *http.Server {
		s := &http.Server{Handler: r}
		go func() { _ = s.Serve(l) }()
		return s
	}
	s := serve(l)
	e, _ := begin(t, hook("http://"+addr))
	want := numbers(e, 1, 2)
	until(t, "the first", func() bool { return len(r.taken()) == 2 })
	s.Close()
	want = append(want, numbers(e, 3, 5)...)
	until(t, "failures", func() bool { return e.Stats()[0].Failed > 2 })
	if l, err = net.Listen("tcp", addr); err != nil {
		t.Fatal(err)
	}
	s = serve(l)
	defer s.Close()
	until(t, "the rest", func() bool { return len(r.taken()) >= 5 })
	diff(t, "in order", want, r.taken())
}

func TestTypes(t *testing.T) {
	all, some := &receiver{t: t}, &receiver{t: t}
	s1, s2 := httptest.NewServer(all), httptest.NewServer(some)
	defer s1.Close()
	defer s2.Close()
	e, _ := begin(t, func(o *events.Options) {
		o.Webhooks = []events.Webhook{
			{URL: s1.URL, Secret: secret}, {URL: s2.URL, Secret: secret, Types: []string{events.ReferrerAction}}, {URL: s1.URL + "/2", Secret: secret, Types: []string{"x"}},
		}
	})
	number(e, 1)
	e.Emit(events.ReferrerAction, events.Image{Tag: "2"})
	e.Close()
	diff(t, "all", []string{"1", "2"}, all.taken())
	diff(t, "some", []string{"2"}, some.taken())
	host := strings.TrimPrefix(s1.URL, "http://")
	diff(t, "names", []string{host, strings.TrimPrefix(s2.URL, "http://"), host + " 2"}, []string{e.Stats()[0].Sink, e.Stats()[1].Sink, e.Stats()[2].Sink})
}

// TestClose: what waits is delivered, to those who take it.
func TestClose(t *testing.T) {
	t.Run("it is taken", func(t *testing.T) {
		r := &receiver{t: t}
		s := httptest.NewServer(r)
		defer s.Close()
		e, _ := begin(t, hook(s.URL))
		want := numbers(e, 1, 50)
		e.Close()
		diff(t, "all", want, r.taken())
		number(e, 51)
		diff(t, "one that is late", uint64(1), e.Stats()[0].Dropped)
	})
	t.Run("it fails", func(t *testing.T) {
		s := httptest.NewServer(&receiver{t: t, answer: func(int, string) int { return 500 }})
		defer s.Close()
		e, log := begin(t, func(o *events.Options) {
			hook(s.URL)(o)
			o.Pause, o.Drain = time.Hour, time.Hour
		})
		numbers(e, 1, 50)
		e.Close() // at once
		diff(t, "lost", uint64(50), e.Stats()[0].Dropped)
		if !strings.Contains(log.String(), "events are lost") {
			t.Errorf("the log: %s", log)
		}
	})
	t.Run("it stalls", func(t *testing.T) {
		gone := make(chan struct{})
		s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
			close(gone)
		}))
		defer s.Close()
		e, _ := begin(t, func(o *events.Options) {
			hook(s.URL)(o)
			o.Drain, o.Limit = 50*time.Millisecond, time.Hour
		})
		numbers(e, 1, 3)
		e.Close()
		<-gone
		diff(t, "lost", uint64(3), e.Stats()[0].Dropped)
	})
}

// TestSlow: a request has its time.
func TestSlow(t *testing.T) {
	r := &receiver{t: t}
	release := make(chan struct{})
	r.answer = func(n int, _ string) int {
		if n == 1 {
			<-release
			return 500
		}
		return 0
	}
	s := httptest.NewServer(r)
	defer s.Close()
	defer close(release)
	e, _ := begin(t, func(o *events.Options) {
		hook(s.URL)(o)
		o.Limit = 100 * time.Millisecond
	})
	number(e, 1)
	until(t, "another try", func() bool { return len(r.taken()) == 1 })
}

func TestTLS(t *testing.T) {
	r := &receiver{t: t}
	s := httptest.NewUnstartedServer(r)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	trusting, _ := begin(t, func(o *events.Options) {
		o.Webhooks = []events.Webhook{{URL: s.URL, Secret: secret, Roots: roots}}
	})
	number(trusting, 1)
	trusting.Close()
	diff(t, "with its authority", []string{"1"}, r.taken())
	other, said := begin(t, hook(s.URL))
	number(other, 2)
	until(t, "a failure", func() bool { return other.Stats()[0].Failed > 0 })
	other.Close()
	diff(t, "without", []string{"1"}, r.taken())
	if !strings.Contains(said.String(), "certificate") {
		t.Errorf("the log: %s", said)
	}
}

// TestProxy: the environment's proxy counts. It is read once in a process, so this takes
// another one.
func TestProxy(t *testing.T) {
	const env = "WEIR_TEST_WEBHOOK"
	if url := os.Getenv(env); url != "" {
		e, _ := begin(t, hook(url))
		number(e, 1)
		e.Close()
		diff(t, "sent", uint64(1), e.Stats()[0].Sent)
		return
	}
	asked := make(chan string, 1)
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.Method + " " + r.RequestURI }))
	defer proxy.Close()
	child := exec.Command(os.Args[0], "-test.run=^TestProxy$")
	child.Env = append(os.Environ(), env+"=http://hooks.test/in", "HTTP_PROXY="+proxy.URL, "NO_PROXY=", "no_proxy=", "http_proxy=")
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	diff(t, "asked of the proxy", "POST http://hooks.test/in", <-asked)
}
