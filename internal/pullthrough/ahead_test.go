package pullthrough_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/vfs/vfstest"
)

const mib = 1 << 20

// part is the bytes [start, end) that a client wants; open: it asks for all from
// start, and leaves when it has its own, as containerd's parallel pull does.
type part struct {
	start, end int64
	open       bool
}

// fullSink leaves when it has enough.
type fullSink struct {
	got  []byte
	left int
}

var errEnough = errors.New("the client has what it wanted")

func (*fullSink) Flush() {}

func (s *fullSink) Write(p []byte) (int, error) {
	n := min(len(p), s.left)
	s.got = append(s.got, p[:n]...)
	if s.left -= n; s.left == 0 {
		return n, errEnough
	}
	return n, nil
}

func (w *world) pullPart(d digest.Digest, p part) ([]byte, error) {
	b, err := w.cache.Blob(w.t.Context(), w.scope("hub/app"), d)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	if !p.open {
		var s sink
		err = b.WriteRange(w.t.Context(), &s, p.start, p.end)
		return s.Bytes(), err
	}
	s := fullSink{left: int(p.end - p.start)}
	if err = b.WriteRange(w.t.Context(), &s, p.start, -1); errors.Is(err, errEnough) {
		err = nil
	}
	return s.got, err
}

// pullParts has n workers fetch parts in order, and returns how many came whole.
func (w *world) pullParts(d digest.Digest, data []byte, parts []part, n int) (whole int, right bool) {
	queue := make(chan part, len(parts))
	for _, p := range parts {
		queue <- p
	}
	close(queue)
	var mu sync.Mutex
	var wg sync.WaitGroup
	right = true
	for range n {
		wg.Go(func() {
			for p := range queue {
				got, err := w.pullPart(d, p)
				mu.Lock()
				if err == nil {
					whole++
					right = right && bytes.Equal(got, data[p.start:p.end])
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return whole, right
}

// big puts n bytes upstream that differ every 4 KiB, and are made quickly.
func (s *script) big(seed uint64, n int) (digest.Digest, []byte) {
	data := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed)}).Read(data[:64<<10])
	for done := 64 << 10; done < n; {
		done += copy(data[done:], data[:done])
	}
	for at := 0; at+8 <= n; at += 4096 {
		binary.LittleEndian.PutUint64(data[at:], uint64(at))
	}
	d := digest.FromBytes(data)
	s.mu.Lock()
	s.blobs[d] = data
	s.mu.Unlock()
	return d, data
}

func cutInto(size, chunk int64, open bool) (parts []part) {
	for at := int64(0); at < size; at += chunk {
		parts = append(parts, part{at, min(at+chunk, size), open})
	}
	return parts
}

// TestParallelPull: several connections for one cold blob bring every byte of it once.
func TestParallelPull(t *testing.T) {
	const size = 29*mib + 3
	for _, tt := range []struct {
		name    string
		parts   []part
		workers int
		extra   int64 // bytes that the upstream may send beyond the blob's
	}{
		{"containerd, 8 MiB", cutInto(size, 8*mib, true), 4, 0},
		{"containerd, 8 MiB, many workers", cutInto(size, 8*mib, true), 10, 0},
		{"closed, 8 MiB", cutInto(size, 8*mib, false), 4, 0},
		{"closed, 16 MiB", cutInto(size, 16*mib, false), 3, 0},
		{"closed, 5 MiB", cutInto(size, 5*mib, false), 8, 0},
		{"closed, 1 MiB, many workers", cutInto(size, mib, false), 29, 4 * mib},
		{"two halves", cutInto(size, size/2+1, false), 2, 0},
		{"a whole one beside", append([]part{{0, size, false}}, cutInto(size, 8*mib, true)...), 5, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				up := w.ups["hub"]
				d, data := up.big(1, size)
				start := time.Now()
				if whole, right := w.pullParts(d, data, tt.parts, tt.workers); whole != len(tt.parts) || !right {
					t.Errorf("%d of %d parts, right %v", whole, len(tt.parts), right)
				}
				t.Logf("took %v; one connection would take %v", time.Since(start), size/(64<<10)*time.Millisecond)
				synctest.Wait()
				asked := up.asked()
				if n := len(slices.Compact(slices.Clone(asked))); n != len(asked) || n < 2 {
					t.Errorf("requests: %q", asked)
				}
				if up.sent > size+tt.extra {
					t.Errorf("the upstream sent %d bytes more than the blob has: %q", up.sent-size, asked)
				}
				w.wantStored("hub/app", d, data)
			})
		})
	}
}

// TestFooterFirst: a lazy puller's first range is the blob's end, then come small
// ones from all over it. None waits for the bytes between; nothing comes twice but
// what lies scattered.
func TestFooterFirst(t *testing.T) {
	const size = 56*mib - 5
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		d, data := up.big(1, size)
		start := time.Now()
		want := []string{"BLOB app blob"}
		sum := int64(0)
		for i, p := range []part{
			{size - 51, size, false}, {size - 70_000, size - 51, false}, {size - 3*mib, size - 70_000, false},
			{40 * mib, 40*mib + 64<<10, false}, {20 * mib, 20*mib + 1, false}, {50 * mib, 50*mib + mib, false}, {30 * mib, 30*mib + 5000, false},
		} {
			got, err := w.pullPart(d, p)
			if err != nil || !bytes.Equal(got, data[p.start:p.end]) {
				t.Errorf("range %d: %d bytes, %v", i, len(got), err)
			}
			want = append(want, fmt.Sprintf("BLOB app blob %d+%d", p.start, p.end-p.start))
			sum += p.end - p.start
		}
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("took %v", took)
		}
		// Again, and by many: what is there is not asked for again.
		if whole, right := w.pullParts(d, data, slices.Repeat([]part{{size - 51, size, false}, {50 * mib, 50*mib + mib, false}}, 10), 20); whole != 20 || !right {
			t.Errorf("again: %d, right %v", whole, right)
		}
		<-time.After(time.Minute)
		slices.Sort(want)
		w.wantAsked("hub", want...)
		if up.sent > size+sum {
			t.Errorf("the upstream sent %d bytes more than the blob has, %d came ahead", up.sent-size, sum)
		}
		w.wantStored("hub/app", d, data)
	})
}

// TestFarRangeIsShared: clients of the same range far ahead share a request.
func TestFarRangeIsShared(t *testing.T) {
	const size = 20 * mib
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		d, data := up.big(1, size)
		p := part{8 * mib, 14 * mib, false}
		if whole, right := w.pullParts(d, data, slices.Repeat([]part{p}, 30), 30); whole != 30 || !right {
			t.Errorf("%d whole, right %v", whole, right)
		}
		<-time.After(time.Minute)
		w.wantAsked("hub", "BLOB app blob", "BLOB app blob 14680064+6291456", "BLOB app blob 8388608+6291456")
		if up.sent != size {
			t.Errorf("the upstream sent %d bytes of %d", up.sent, size)
		}
		w.wantStored("hub/app", d, data)
	})
}

// TestAnyChunking: whatever parts clients cut a blob into, and in whatever order,
// they get right bytes; where the upstream lies, they never get all parts whole.
func TestAnyChunking(t *testing.T) {
	const size = 30*mib + 17
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for round := range 6 {
		var parts []part
		for at := int64(0); at < size; {
			n := rng.Int64N([]int64{12 * mib, 6 * mib, 2 * mib}[round%3]) + 1
			end := min(at+n, size)
			parts = append(parts, part{at, end, rng.IntN(2) == 0})
			at = end
		}
		rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		workers := 1 + rng.IntN(len(parts)+3)
		wrong := int64(-1)
		if round%2 == 1 {
			wrong = rng.Int64N(size)
		}
		t.Run(fmt.Sprintf("%d parts, %d workers, wrong byte %d", len(parts), workers, wrong), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				up := w.ups["hub"]
				d, data := up.big(1, size)
				if wrong >= 0 {
					lie := slices.Clone(data)
					lie[wrong] ^= 1
					up.opening(func(ctx context.Context, d digest.Digest, _ []byte, offset, n int64) (io.ReadCloser, int64, int64, error) {
						return up.body(ctx, lie[offset:], n), offset, size, nil
					})
				}
				whole, right := w.pullParts(d, data, parts, workers)
				if wrong < 0 {
					if whole != len(parts) || !right {
						t.Errorf("%d of %d parts, right %v", whole, len(parts), right)
					}
					w.wantStored("hub/app", d, data)
					return
				}
				if whole == len(parts) {
					t.Error("all parts came whole, with a wrong byte")
				}
				<-time.After(time.Hour)
				if _, err := w.store.Stat(t.Context(), d); err == nil || w.spoolFiles() > 0 {
					t.Error("wrong bytes were kept")
				}
			})
		})
	}
}

// TestBadRangesAhead: whatever becomes of a request ahead, the client gets right
// bytes, by the transfer if not by another request.
func TestBadRangesAhead(t *testing.T) {
	const size = 16 * mib
	at := part{10 * mib, 15 * mib, false}
	type answer func(up *script, b *body, offset int64) (io.ReadCloser, int64, int64, error)
	for _, tt := range []struct {
		name   string
		answer answer // to ranges
		asked  int    // ranges that are asked for in the end, for both clients
		second bool   // the other blob of the host is asked for ahead, too
	}{
		{"ignores ranges", func(up *script, b *body, offset int64) (io.ReadCloser, int64, int64, error) {
			return up.body(b.ctx, make([]byte, size), -1), 0, size, nil
		}, 1, false},
		{"from elsewhere", func(up *script, b *body, offset int64) (io.ReadCloser, int64, int64, error) {
			return b, offset + 1, size, nil
		}, 1, false},
		{"another total", func(up *script, b *body, offset int64) (io.ReadCloser, int64, int64, error) {
			return b, offset, size + 1, nil
		}, 1, true},
		{"no total", func(up *script, b *body, offset int64) (io.ReadCloser, int64, int64, error) {
			return b, offset, -1, nil
		}, 2, true},
		{"limits the rate", func(up *script, b *body, offset int64) (io.ReadCloser, int64, int64, error) {
			return nil, 0, 0, errs.New(errs.UpstreamRateLimited, "429")
		}, 1, true},
		{"refuses", func(up *script, b *body, offset int64) (io.ReadCloser, int64, int64, error) {
			return nil, 0, 0, errs.New(errs.RangeInvalid, "416")
		}, 1, true},
		{"empty", func(up *script, b *body, offset int64) (io.ReadCloser, int64, int64, error) {
			b.stop, b.err = 0, io.EOF
			return b, offset, size, nil
		}, 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				up := w.ups["hub"]
				up.opening(func(ctx context.Context, d digest.Digest, data []byte, offset, n int64) (io.ReadCloser, int64, int64, error) {
					if b := up.body(ctx, data[offset:], n); offset > 0 && offset >= at.start {
						return tt.answer(up, b, offset)
					}
					return up.body(ctx, data[offset:], n), offset, size, nil
				})
				for i := range 2 {
					d, data := up.big(uint64(i), size)
					got, err := w.pullPart(d, at)
					if err != nil || !bytes.Equal(got, data[at.start:at.end]) {
						t.Errorf("%d bytes, %v", len(got), err)
					}
					synctest.Wait()
					<-time.After(time.Minute)
					asked := slices.DeleteFunc(up.asked(), func(s string) bool { return s == "BLOB app blob" })
					want := tt.asked
					if i == 1 && !tt.second {
						want = 0
					}
					if len(asked) != want {
						t.Errorf("blob %d: ranges %q", i, asked)
					}
					if tt.name != "no total" {
						w.wantStored("hub/app", d, data)
					}
				}
			})
		})
	}
}

// TestBrokenPieces: requests ahead that break off or stall are continued, or left to
// the transfer, and cost no client its bytes.
func TestBrokenPieces(t *testing.T) {
	const size = 20*mib + 1
	for _, cause := range []error{io.ErrUnexpectedEOF, io.EOF, nil} {
		for _, after := range []int64{0, 1, 3 * mib} {
			t.Run(fmt.Sprintf("%v after %d", cause, after), func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					up := w.ups["hub"]
					d, data := up.big(1, size)
					var broken sync.Map // offsets
					up.opening(func(ctx context.Context, d digest.Digest, data []byte, offset, n int64) (io.ReadCloser, int64, int64, error) {
						b := up.body(ctx, data[offset:], n)
						if _, again := broken.LoadOrStore(offset, true); offset > 0 && offset%(8*mib) == 0 && !again {
							b.stop, b.err = after, cause
						}
						return b, offset, size, nil
					})
					parts := cutInto(size, 8*mib, true)
					if whole, right := w.pullParts(d, data, parts, 4); whole != len(parts) || !right {
						t.Errorf("%d of %d parts, right %v", whole, len(parts), right)
					}
					synctest.Wait()
					if up.sent > size+4*mib { // less is read past
						t.Errorf("the upstream sent %d bytes of %d", up.sent, size)
					}
					w.wantStored("hub/app", d, data)
				})
			})
		}
	}
}

// TestNothingAhead: what does not allow a request ahead: a rule that wants ranges
// verified, a range that is near, and no connection to spare.
func TestNothingAhead(t *testing.T) {
	const size = 20 * mib
	verified := hub("hub")
	verified.VerifyRanges = true
	inWorld(t, func(t *testing.T, w *world) {
		d, data := w.ups["hub"].big(1, size)
		start := time.Now()
		got, err := w.pullPart(d, part{15 * mib, 16 * mib, false})
		if err != nil || !bytes.Equal(got, data[15*mib:16*mib]) || time.Since(start) < size/(64<<10)*time.Millisecond {
			t.Errorf("verified: %d bytes after %v, %v", len(got), time.Since(start), err)
		}
		w.wantAsked("hub", "BLOB app blob")
	}, verified)
	inWorld(t, func(t *testing.T, w *world) {
		d, data := w.ups["hub"].big(1, size)
		got, err := w.pullPart(d, part{4 * mib, 5 * mib, false})
		if err != nil || !bytes.Equal(got, data[4*mib:5*mib]) {
			t.Errorf("near: %d bytes, %v", len(got), err)
		}
		w.wantAsked("hub", "BLOB app blob")
	})
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		d, data := up.big(1, size)
		up.opening(func(ctx context.Context, other digest.Digest, data []byte, offset, n int64) (io.ReadCloser, int64, int64, error) {
			b := up.body(ctx, data[offset:], n)
			if other != d {
				b.stop = chunk
			}
			return b, offset, int64(len(data)), nil
		})
		for i := range 14 { // of 16 connections; the blob itself has one more
			d, _ := up.blob(uint64(100+i), 3*chunk)
			go w.pull("hub/app", d)
		}
		synctest.Wait()
		up.asked()
		got, err := w.pullPart(d, part{15 * mib, 16 * mib, false})
		if err != nil || !bytes.Equal(got, data[15*mib:16*mib]) {
			t.Errorf("no connection to spare: %d bytes, %v", len(got), err)
		}
		w.wantAsked("hub", "BLOB app blob")
	})
}

// TestFarRangeNeedsProof: a range ahead of somebody else's transfer is given to who
// may have the blob, and to nobody else.
func TestFarRangeNeedsProof(t *testing.T) {
	const size = 20 * mib
	corp, other := hub("corp"), hub("other")
	corp.Credential, other.Credential = "corp", "other"
	for _, refused := range []bool{false, true} {
		inWorld(t, func(t *testing.T, w *world) {
			up := w.ups["corp"]
			d, data := up.big(1, size)
			up.refusing(func(_ context.Context, op, repo, ref string) error {
				if refused && repo == "mine" {
					return errs.New(errs.UpstreamDenied, "not yours")
				}
				return nil
			})
			go w.pull("corp/app", d)
			<-time.After(3 * time.Millisecond)
			got, err := w.pullRange("other/mine", d, size-100, size)
			if refused {
				if errs.CodeOf(err) != errs.UpstreamDenied || len(got) > 0 {
					t.Errorf("refused: %d bytes, %v", len(got), err)
				}
				if asked := slices.Compact(up.asked()); len(asked) != 2 {
					t.Errorf("refused: %q", asked)
				}
				return
			}
			if err != nil || !bytes.Equal(got, data[size-100:]) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			w.wantAsked("corp", "BLOB app blob", fmt.Sprintf("BLOB app blob %d+100", size-100), "BLOB mine blob 0+1")
		}, corp, other)
	}
}

// TestDiskFullAhead: the disk is full when bytes come ahead, or later: right bytes
// all the same, and nothing is kept.
func TestDiskFullAhead(t *testing.T) {
	const size = 20 * mib
	for _, after := range []int64{mib, 9 * mib, 19 * mib} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			onDisk(t, func(t *testing.T, w *world, disk *vfstest.Inject) {
				d, data := w.ups["hub"].big(1, size)
				full := vfstest.After(after, syscall.ENOSPC)
				disk.Set(func(o vfstest.Op) (int, error) {
					if strings.HasSuffix(o.Path, ".json") {
						return 0, nil
					}
					return full(o)
				})
				parts := cutInto(size, 8*mib, false)
				if whole, right := w.pullParts(d, data, parts, 3); whole != len(parts) || !right {
					t.Errorf("%d of %d parts, right %v", whole, len(parts), right)
				}
				<-time.After(time.Minute)
				if _, err := w.store.Stat(t.Context(), d); err == nil || w.spoolFiles() > 0 {
					t.Error("something was kept")
				}
			})
		})
	}
}

// TestRestartWithPieces ends the cache while bytes come ahead of others: the next
// one goes on with what came in turn.
func TestRestartWithPieces(t *testing.T) {
	const size = 40 * mib
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		d, data := up.big(1, size)
		var wg sync.WaitGroup
		for _, p := range cutInto(size, 8*mib, false) {
			wg.Go(func() { w.pullPart(d, p) })
		}
		<-time.After(70 * time.Millisecond) // a good 4 MiB by each connection
		w.restart()
		wg.Wait()
		up.asked()
		up.sent = 0
		got, err := w.pull("hub/app", d)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if up.sent > 37*mib || up.sent < 30*mib {
			t.Errorf("the upstream sent %d bytes again", up.sent)
		}
		w.wantStored("hub/app", d, data)
	})
}

// TestStatWhileArriving: HEAD says what GET would.
func TestStatWhileArriving(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d, _ := w.ups["hub"].blob(1, mib)
		go w.pull("hub/app", d)
		<-time.After(3 * time.Millisecond)
		info, err := w.cache.StatBlob(t.Context(), w.scope("hub/app"), d)
		b, berr := w.cache.Blob(t.Context(), w.scope("hub/app"), d)
		if err != nil || berr != nil || info.Source != b.Source || info.Size != b.Size {
			t.Errorf("%+v, %v; %v", info, err, berr)
		}
		b.Close()
	})
}

// A rule that verifies ranges shares the transfer with one that does not, and gets
// nothing of it before the digest holds, whoever has had which bytes.
func TestVerifiedBesideUnverified(t *testing.T) {
	const size = 20 * mib
	strict := hub("strict")
	strict.VerifyRanges = true
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hub("hub"), strict)
		up := w.ups["hub"]
		d, data := up.big(1, size)
		up.opening(func(ctx context.Context, d digest.Digest, data []byte, offset, n int64) (io.ReadCloser, int64, int64, error) {
			return up.body(ctx, make([]byte, size)[offset:], n), offset, size, nil
		})
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = w.pullRange("hub/app", d, size-4*mib, size) })
		synctest.Wait()
		for _, start := range []int64{size - 2*mib, size - 100, 0} {
			if got, err := w.pullRange("strict/app", d, start, -1); err == nil && !bytes.Equal(got, data[start:]) {
				t.Errorf("%d wrong bytes from %d in an answer that ended well", len(got), start)
			}
		}
		wg.Wait()
	})
}

// The parts of one answer are of one try: where the first was of a wrong one, the
// answer ends.
func TestPartsOfOneTry(t *testing.T) {
	const size = 20 * mib
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		d, data := up.big(1, size)
		tries := 0
		up.opening(func(ctx context.Context, d digest.Digest, data []byte, offset, n int64) (io.ReadCloser, int64, int64, error) {
			if tries++; tries == 1 {
				return up.body(ctx, make([]byte, size), -1), 0, size, nil
			}
			return up.body(ctx, data[offset:], n), offset, size, nil
		})
		b, err := w.cache.Blob(t.Context(), w.scope("hub/app"), d)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		var s sink
		err = b.WriteRange(t.Context(), &s, 0, 100)
		<-time.After(5 * time.Second)
		if err == nil {
			err = b.WriteRange(t.Context(), &s, 4096, 4196)
		}
		if err == nil && !bytes.Equal(s.Bytes(), append(data[:100:100], data[4096:4196]...)) {
			t.Error("an answer of wrong bytes and right ones ended well")
		}
		if tries < 2 {
			t.Error("the blob was not tried again")
		}
	})
}
