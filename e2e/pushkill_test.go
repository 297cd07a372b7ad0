package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// pushConfig has one rule whose repositories take pushes, and no upstream.
const pushConfig = `listen: %s
data: %s/data
rules: [{prefix: own, upstream: upstream.test, push: allow, held_only: true}]
log: {level: warn}
`

// uploadPath is where uploads begin.
const uploadPath = "/v2/own/app/blobs/uploads/"

// TestPushKill ends weir with kill -9 while a blob is sent in parts: after a restart
// the upload has what was acknowledged, no more and no less, goes on from there, and
// becomes a blob with the right bytes.
func TestPushKill(t *testing.T) {
	rounds := number(t, "WEIR_KILL_ROUNDS", 12)
	seed := uint64(number(t, "WEIR_KILL_SEED", time.Now().UnixNano()))
	t.Logf("WEIR_KILL_SEED=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	s := newPushed(t)
	for i := range max(1, rounds/4) {
		blob := randomBytes(rng, 6<<20)
		parts := []int{0, 1 + rng.IntN(2<<20), 2<<20 + rng.IntN(2<<20), 4<<20 + rng.IntN(2<<20)}
		location := s.send(t, http.MethodPost, uploadPath, nil).Header.Get("Location")
		for n, from := range parts[:len(parts)-1] {
			to := parts[n+1]
			if a := s.send(t, http.MethodPatch, location, bytes.NewReader(blob[from:to])); a.StatusCode != http.StatusAccepted || a.Header.Get("Range") != fmt.Sprintf("0-%d", to-1) {
				t.Fatalf("round %d: part to %d: %s, Range %s: %s", i, to, a.Status, a.Header.Get("Range"), a.body)
			}
			if n == rng.IntN(len(parts)) {
				s.kill(t)
			}
		}
		acknowledged := parts[len(parts)-1]

		// And in the middle of a body that is not over.
		body, feed := io.Pipe()
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			if _, err := feed.Write(blob[acknowledged : acknowledged+1000]); err == nil {
				s.kill(t)
			}
			feed.CloseWithError(io.ErrUnexpectedEOF)
		}()
		req := s.request(t, http.MethodPatch, location, body)
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			t.Errorf("round %d: an answer to half a body: %s", i, resp.Status)
		}
		<-sent

		a := s.send(t, http.MethodGet, location, nil)
		if want := fmt.Sprintf("0-%d", acknowledged-1); a.StatusCode != http.StatusNoContent || a.Header.Get("Range") != want {
			t.Fatalf("round %d: after kill -9: %s, Range %s; want %s: %s", i, a.Status, a.Header.Get("Range"), want, a.body)
		}
		d := digest.FromBytes(blob)
		if a := s.send(t, http.MethodPut, location+"?digest="+d.String(), bytes.NewReader(blob[acknowledged:])); a.StatusCode != http.StatusCreated {
			t.Fatalf("round %d: the last part: %s: %s", i, a.Status, a.body)
		}
		s.kill(t)
		if a := s.send(t, http.MethodGet, "/v2/own/app/blobs/"+d.String(), nil); a.StatusCode != http.StatusOK || sha256.Sum256([]byte(a.body)) != sha256.Sum256(blob) {
			t.Errorf("round %d: the blob: %s, %d bytes", i, a.Status, len(a.body))
		}
	}
}

// newPushed starts a weir that takes pushes.
func newPushed(t *testing.T) *server {
	t.Helper()
	s := &server{addr: freeAddr(t, "127.0.0.1"), dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(s.dir, "weir.yaml"), fmt.Appendf(nil, pushConfig, s.addr, s.dir), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	var err error
	if s.id, s.secret, err = readKey(filepath.Join(s.dir, "data", "credentials")); err != nil {
		t.Fatal(err)
	}
	return s
}

// kill ends weir without a word and starts it again.
func (s *server) kill(t *testing.T) {
	t.Helper()
	s.p.end(syscall.SIGKILL)
	s.start(t)
}

func (s *server) request(t *testing.T, method, location string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.addr+"/"+strings.TrimPrefix(location, "/"), body)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(s.id, s.secret)
	return req
}

// send makes one request of a push.
func (s *server) send(t *testing.T, method, location string, body io.Reader) answer {
	t.Helper()
	resp, err := (&http.Client{Timeout: clientLimit}).Do(s.request(t, method, location, body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp, string(text)}
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}
