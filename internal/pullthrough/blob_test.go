package pullthrough_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/oci"
	"github.com/weir-registry/weir/internal/rule"
)

const chunk = 64 << 10

// inWorld runs f in a bubble of fake time.
func inWorld(t *testing.T, f func(*testing.T, *world), rules ...rule.Rule) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newWorld(t, rules...)) })
}

func (w *world) wantAsked(prefix string, want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.ups[prefix].asked()); diff != "" {
		w.t.Errorf("upstream requests (-want +got):\n%s", diff)
	}
}

// wantStored checks that a blob is in the store, whole, and costs the upstream nothing.
func (w *world) wantStored(repo string, d digest.Digest, data []byte) {
	w.t.Helper()
	synctest.Wait()
	w.ups["hub"].asked()
	got, err := w.pull(repo, d)
	if err != nil || !bytes.Equal(got, data) {
		w.t.Errorf("stored blob: %d bytes, %v; want %d", len(got), err, len(data))
	}
	w.wantAsked("hub")
	if n := w.spoolFiles(); n != 0 {
		w.t.Errorf("%d files are left in the spool folder", n)
	}
}

func TestManyClientsOneTransfer(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d, data := w.ups["hub"].blob(1, 10*chunk+17)
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				<-time.After(time.Duration(i) * 100 * time.Microsecond)
				got, err := w.pull("hub/app", d)
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("client %d: %d bytes, %v", i, len(got), err)
				}
			})
		}
		wg.Wait()
		w.wantAsked("hub", "BLOB app blob")
		w.wantStored("hub/app", d, data)
	})
}

func TestLeaderLeaves(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d, data := w.ups["hub"].blob(1, 40*chunk)
		ctx, leave := context.WithCancel(t.Context())
		b, err := w.cache.Blob(ctx, w.scope("hub/app"), d)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		time.AfterFunc(5*time.Millisecond, leave)
		if err := b.WriteRange(ctx, &sink{}, 0, -1); !errors.Is(err, context.Canceled) {
			t.Errorf("the leader that left got %v", err)
		}
		got, err := w.pull("hub/app", d)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("the follower got %d bytes, %v", len(got), err)
		}
		w.wantAsked("hub", "BLOB app blob")
		w.wantStored("hub/app", d, data)
	})
}

func TestSlowReaderSlowsNobody(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d, data := w.ups["hub"].blob(1, 40*chunk)
		slow := &sink{slow: time.Second}
		var wg sync.WaitGroup
		wg.Go(func() {
			b, err := w.cache.Blob(t.Context(), w.scope("hub/app"), d)
			if err != nil {
				t.Error(err)
				return
			}
			defer b.Close()
			if err := b.WriteRange(t.Context(), slow, 0, -1); err != nil || !bytes.Equal(slow.Bytes(), data) {
				t.Errorf("slow client: %d bytes, %v", slow.Len(), err)
			}
		})
		start := time.Now()
		if got, err := w.pull("hub/app", d); err != nil || !bytes.Equal(got, data) {
			t.Errorf("fast client: %d bytes, %v", len(got), err)
		}
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("the fast client took %s", took)
		}
		wg.Wait()
		w.wantAsked("hub", "BLOB app blob")
	})
}

func TestLateJoinerStartsAtByteZero(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d, data := w.ups["hub"].blob(1, 40*chunk)
		var wg sync.WaitGroup
		wg.Go(func() { w.pull("hub/app", d) })
		<-time.After(20 * time.Millisecond)
		b, err := w.cache.Blob(t.Context(), w.scope("hub/app"), d)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if b.Source != "join" || b.Size != int64(len(data)) {
			t.Errorf("source %s, size %d", b.Source, b.Size)
		}
		var s sink
		if err := b.WriteRange(t.Context(), &s, 0, -1); err != nil || !bytes.Equal(s.Bytes(), data) {
			t.Errorf("%d bytes, %v", s.Len(), err)
		}
		wg.Wait()
		w.wantAsked("hub", "BLOB app blob")
	})
}

// TestCutAndResumed cuts the body at and beside every chunk's boundary: the client
// notices nothing, and the upstream sends nothing twice.
func TestCutAndResumed(t *testing.T) {
	const size = 5*chunk + 99
	for _, at := range []int64{0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 3 * chunk, 4 * chunk, 5 * chunk, 5*chunk + 1, size - 1} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				up := w.ups["hub"]
				d, data := up.blob(1, size)
				cut := true
				up.opening(func(ctx context.Context, d digest.Digest, data []byte, offset, n int64) (io.ReadCloser, int64, int64, error) {
					b := up.body(ctx, data[offset:], n)
					if cut {
						b.stop, b.err, cut = at, io.ErrUnexpectedEOF, false
					}
					return b, offset, int64(len(data)), nil
				})
				got, err := w.pull("hub/app", d)
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				again := "BLOB app blob"
				if at > 0 {
					again = fmt.Sprintf("BLOB app blob %d+%d", at, size-at)
				}
				w.wantAsked("hub", "BLOB app blob", again)
				if up.sent != size {
					t.Errorf("the upstream sent %d bytes of %d", up.sent, size)
				}
				w.wantStored("hub/app", d, data)
			})
		})
	}
}

// TestBadBodies: right bytes, or an error after fewer bytes than the blob has.
func TestBadBodies(t *testing.T) {
	const size = 6*chunk + 5
	type open = func(ctx context.Context, data []byte, offset, n int64, try int) (io.ReadCloser, int64, int64, error)
	tests := []struct {
		name   string
		open   func(up *script) open
		size   int       // of the blob; 0: size
		code   errs.Code // Internal: the pull succeeds
		asked  []string
		stored bool
	}{{
		name: "stalls once",
		open: func(up *script) open {
			return func(ctx context.Context, data []byte, offset, n int64, try int) (io.ReadCloser, int64, int64, error) {
				b := up.body(ctx, data[offset:], n)
				if try == 0 {
					b.stop = 2 * chunk
				}
				return b, offset, int64(len(data)), nil
			}
		},
		asked: []string{"BLOB app blob", "BLOB app blob 131072+262149"}, stored: true,
	}, {
		name: "ignores ranges",
		open: func(up *script) open {
			return func(ctx context.Context, data []byte, offset, n int64, try int) (io.ReadCloser, int64, int64, error) {
				b := up.body(ctx, data, -1)
				if try == 0 {
					b.stop, b.err = 2*chunk+7, io.ErrUnexpectedEOF
				}
				return b, 0, int64(len(data)), nil
			}
		},
		asked: []string{"BLOB app blob", "BLOB app blob 131079+262142"}, stored: true,
	}, {
		name: "refuses the range once",
		open: func(up *script) open {
			return func(ctx context.Context, data []byte, offset, n int64, try int) (io.ReadCloser, int64, int64, error) {
				if try == 1 {
					return nil, 0, 0, errs.New(errs.RangeInvalid, "416")
				}
				b := up.body(ctx, data[offset:], n)
				if try == 0 {
					b.stop, b.err = 0, io.ErrUnexpectedEOF
					b.stop = 10
				}
				return b, offset, int64(len(data)), nil
			}
		},
		// Who had bytes is cut off; who comes now gets the blob.
		code: errs.UpstreamFailed, asked: []string{"BLOB app blob", "BLOB app blob", "BLOB app blob 10+393211"}, stored: true,
	}, {
		name: "no length",
		open: func(up *script) open {
			return func(ctx context.Context, data []byte, offset, n int64, try int) (io.ReadCloser, int64, int64, error) {
				return up.body(ctx, data[offset:], n), offset, -1, nil
			}
		},
		asked: []string{"BLOB app blob"}, stored: true,
	}, {
		name: "no length, small",
		size: 20,
		open: func(up *script) open {
			return func(ctx context.Context, data []byte, offset, n int64, try int) (io.ReadCloser, int64, int64, error) {
				return up.body(ctx, data[offset:], n), offset, -1, nil
			}
		},
		asked: []string{"BLOB app blob"}, stored: true,
	}, {
		name: "wrong bytes, then right ones, small",
		size: chunk,
		open: func(up *script) open {
			return func(ctx context.Context, data []byte, offset, n int64, try int) (io.ReadCloser, int64, int64, error) {
				if try == 0 {
					data = bytes.ToUpper(bytes.Repeat([]byte("x"), len(data)))
				}
				return up.body(ctx, data[offset:], n), offset, int64(len(data)), nil
			}
		},
		asked: []string{"BLOB app blob", "BLOB app blob"}, stored: true,
	}, {
		name: "wrong bytes",
		open: func(up *script) open {
			return func(ctx context.Context, data []byte, offset, n int64, try int) (io.ReadCloser, int64, int64, error) {
				data = slices.Clone(data)
				data[len(data)-1] ^= 1
				return up.body(ctx, data[offset:], n), offset, int64(len(data)), nil
			}
		},
		code: errs.UpstreamFailed, asked: []string{"BLOB app blob", "BLOB app blob"},
	}, {
		name: "wrong bytes, small",
		size: 100,
		open: func(up *script) open {
			return func(ctx context.Context, data []byte, offset, n int64, try int) (io.ReadCloser, int64, int64, error) {
				data = slices.Clone(data)
				data[0] ^= 1
				return up.body(ctx, data[offset:], n), offset, int64(len(data)), nil
			}
		},
		code: errs.UpstreamFailed, asked: []string{"BLOB app blob", "BLOB app blob"},
	}, {
		name: "never gets further",
		open: func(up *script) open {
			return func(ctx context.Context, data []byte, offset, n int64, try int) (io.ReadCloser, int64, int64, error) {
				b := up.body(ctx, data[offset:], n)
				b.stop, b.err = max(0, 3*chunk-offset), io.ErrUnexpectedEOF
				return b, offset, int64(len(data)), nil
			}
		},
		code:  errs.UpstreamUnreachable,
		asked: []string{"BLOB app blob", "BLOB app blob 196608+196613", "BLOB app blob 196608+196613", "BLOB app blob 196608+196613", "BLOB app blob 196608+196613"},
	}, {
		name: "changes its mind about the length",
		open: func(up *script) open {
			return func(ctx context.Context, data []byte, offset, n int64, try int) (io.ReadCloser, int64, int64, error) {
				b := up.body(ctx, data[offset:], n)
				if try == 0 {
					b.stop, b.err = 10, io.ErrUnexpectedEOF
					return b, offset, int64(len(data)) + 7, nil
				}
				return b, offset, int64(len(data)), nil
			}
		},
		code: errs.UpstreamFailed, asked: []string{"BLOB app blob", "BLOB app blob", "BLOB app blob 10+393218"}, stored: true,
	}, {
		name: "limits the rate midway",
		open: func(up *script) open {
			return func(ctx context.Context, data []byte, offset, n int64, try int) (io.ReadCloser, int64, int64, error) {
				if try > 0 && try < 4 {
					return nil, 0, 0, &errs.Error{Code: errs.UpstreamRateLimited, Msg: "429", RetryAfter: 10 * time.Second}
				}
				b := up.body(ctx, data[offset:], n)
				if try == 0 {
					b.stop, b.err = 3*chunk, io.ErrUnexpectedEOF
				}
				return b, offset, int64(len(data)), nil
			}
		},
		asked:  []string{"BLOB app blob", "BLOB app blob 196608+196613", "BLOB app blob 196608+196613", "BLOB app blob 196608+196613", "BLOB app blob 196608+196613"},
		stored: true,
	}, {
		name: "range from elsewhere",
		open: func(up *script) open {
			return func(ctx context.Context, data []byte, offset, n int64, try int) (io.ReadCloser, int64, int64, error) {
				b := up.body(ctx, data[offset:], n)
				if try == 0 {
					b.stop, b.err = 3*chunk, io.ErrUnexpectedEOF
				} else if try == 1 {
					offset += 7
				}
				return b, offset, int64(len(data)), nil
			}
		},
		asked: []string{"BLOB app blob", "BLOB app blob 196608+196613", "BLOB app blob 196608+196613"}, stored: true,
	}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				up := w.ups["hub"]
				if tt.size == 0 {
					tt.size = size
				}
				d, data := up.blob(1, tt.size)
				f, try := tt.open(up), -1
				up.opening(func(ctx context.Context, d digest.Digest, data []byte, offset, n int64) (io.ReadCloser, int64, int64, error) {
					try++
					return f(ctx, data, offset, n, try)
				})
				got, err := w.pull("hub/app", d)
				switch {
				case tt.code == errs.Internal && (err != nil || !bytes.Equal(got, data)):
					t.Errorf("%d bytes, %v", len(got), err)
				case tt.code != errs.Internal && err == nil:
					t.Errorf("a whole-looking answer of %d bytes", len(got))
				case tt.code != errs.Internal && len(got) >= len(data):
					t.Errorf("%d bytes before the error %v", len(got), err)
				case tt.code != errs.Internal && !tt.stored && errs.CodeOf(err) != tt.code:
					t.Errorf("error %v (%s), want %s", err, errs.CodeOf(err), tt.code)
				}
				synctest.Wait()
				<-time.After(time.Minute)
				w.wantAsked("hub", tt.asked...)
				if tt.stored {
					w.wantStored("hub/app", d, data)
				} else if _, err := w.store.Stat(t.Context(), d); err == nil {
					t.Error("wrong bytes are in the store")
				}
			})
		})
	}
}

// TestDeclaredSize: what a manifest says of a blob binds the upstream.
func TestDeclaredSize(t *testing.T) {
	for _, tt := range []struct {
		name  string
		total int64 // what the upstream says
		more  int   // bytes that it sends beyond
		code  errs.Code
	}{
		{"other length", chunk, 0, errs.UpstreamFailed},
		{"endless body", -1, 10 * chunk, errs.UpstreamFailed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				up := w.ups["hub"]
				im := up.image("app", "v1", 1, 1, 3*chunk+5)
				if _, err := w.tag("hub/app", "v1"); err != nil {
					t.Fatal(err)
				}
				up.opening(func(ctx context.Context, d digest.Digest, data []byte, offset, n int64) (io.ReadCloser, int64, int64, error) {
					data = append(slices.Clone(data[:len(data)-1]), bytes.Repeat([]byte{1}, tt.more+1)...)
					return up.body(ctx, data[offset:], n), offset, tt.total, nil
				})
				got, err := w.pull("hub/app", im.layers[0])
				if errs.CodeOf(err) != tt.code || len(got) > 2*chunk+5 {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				<-time.After(time.Minute)
				if n := w.spoolFiles(); n != 0 {
					t.Errorf("%d files are left in the spool folder", n)
				}
			})
		})
	}
}

func TestRangesWhileArriving(t *testing.T) {
	const size = 20*chunk + 1
	for _, tt := range []struct{ start, end int64 }{
		{0, 1}, {0, chunk}, {chunk, 3 * chunk}, {19 * chunk, 20 * chunk}, {5, size}, {5, -1}, {size - 1, -1}, {size - 1, size}, {20 * chunk, size + 5},
	} {
		t.Run(fmt.Sprintf("%d-%d", tt.start, tt.end), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				d, data := w.ups["hub"].blob(1, size)
				want := data[tt.start:]
				if tt.end >= 0 && tt.end < size {
					want = data[tt.start:tt.end]
				}
				var wg sync.WaitGroup
				wg.Go(func() { w.pull("hub/app", d) })
				<-time.After(2 * time.Millisecond)
				got, err := w.pullRange("hub/app", d, tt.start, tt.end)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
				}
				wg.Wait()
				w.wantAsked("hub", "BLOB app blob")
			})
		})
	}
}

func TestFlushBeforeWaiting(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		d, data := up.blob(1, 4*chunk)
		release := make(chan struct{})
		up.opening(func(ctx context.Context, d digest.Digest, data []byte, offset, n int64) (io.ReadCloser, int64, int64, error) {
			pr, pw := io.Pipe()
			go func() {
				pw.Write(data[:10])
				<-release
				pw.Write(data[10:])
				pw.Close()
			}()
			return pr, 0, int64(len(data)), nil
		})
		b, err := w.cache.Blob(t.Context(), w.scope("hub/app"), d)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		var s sink
		done := make(chan error, 1)
		go func() { done <- b.WriteRange(t.Context(), &s, 0, -1) }()
		synctest.Wait()
		if s.Len() != 10 || s.flushes == 0 {
			t.Errorf("%d bytes, %d flushes while the upstream pauses", s.Len(), s.flushes)
		}
		close(release)
		if err := <-done; err != nil || !bytes.Equal(s.Bytes(), data) {
			t.Errorf("%d bytes, %v", s.Len(), err)
		}
	})
}

// TestResumeAfterRestart ends the cache in the middle of a blob: the next one goes
// on where it was.
func TestResumeAfterRestart(t *testing.T) {
	for _, at := range []int64{0, 1, 3 * chunk, 10*chunk - 1, 10 * chunk} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				up := w.ups["hub"]
				d, data := up.blob(1, 10*chunk)
				up.opening(func(ctx context.Context, d digest.Digest, data []byte, offset, n int64) (io.ReadCloser, int64, int64, error) {
					b := up.body(ctx, data, -1)
					b.stop = at
					return b, 0, int64(len(data)) + 1, nil // one more, so that it is never whole
				})
				ctx, leave := context.WithTimeout(t.Context(), 25*time.Millisecond)
				defer leave()
				if b, err := w.cache.Blob(ctx, w.scope("hub/app"), d); err == nil {
					b.WriteRange(ctx, &sink{}, 0, -1)
					b.Close()
				}
				w.restart()
				up.opening(nil)
				up.asked()
				up.sent = 0
				got, err := w.pull("hub/app", d)
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				if want := int64(len(data)) - at; up.sent > want+1 {
					t.Errorf("the upstream sent %d bytes again, %d were missing", up.sent, want)
				}
				w.wantStored("hub/app", d, data)
			})
		})
	}
}

func TestStatBlob(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		up := w.ups["hub"]
		d, data := up.blob(1, 3*chunk)
		stat := func() (int64, error) {
			info, err := w.cache.StatBlob(t.Context(), w.scope("hub/app"), d)
			return info.Size, err
		}
		for range 2 {
			if n, err := stat(); err != nil || n != int64(len(data)) {
				t.Errorf("size %d, %v", n, err)
			}
		}
		w.wantAsked("hub", "BLOB app blob 0+1") // remembered, and nothing downloaded
		<-time.After(time.Minute)
		up.refusing(func(context.Context, string, string, string) error {
			return errs.New(errs.UpstreamUnreachable, "up.test is gone")
		})
		if _, err := stat(); errs.CodeOf(err) != errs.UpstreamUnreachable {
			t.Errorf("upstream away: %v", err)
		}
		up.refusing(nil)
		<-time.After(time.Minute)
		if _, err := w.pull("hub/app", d); err != nil {
			t.Fatal(err)
		}
		w.wantStored("hub/app", d, data)
		if n, err := stat(); err != nil || n != int64(len(data)) {
			t.Errorf("held: size %d, %v", n, err)
		}
		w.wantAsked("hub")
		unknown := digest.FromString("nothing")
		if _, err := w.cache.StatBlob(t.Context(), w.scope("hub/app"), unknown); errs.CodeOf(err) != errs.BlobUnknown {
			t.Errorf("unknown blob: %v", err)
		}
	})
}

func TestPrefetch(t *testing.T) {
	layer, manifest, off := hub("layer"), hub("manifest"), hub("off")
	layer.Prefetch, manifest.Prefetch, off.Prefetch = rule.PrefetchLayer, rule.PrefetchManifest, rule.PrefetchOff
	for _, tt := range []struct {
		rule rule.Rule
		do   string // what the client asks for: manifest, config, layer
		want int    // blobs that are held afterwards, of config and 3 layers
	}{
		{layer, "manifest", 0}, {layer, "config", 1}, {layer, "layer", 4},
		{manifest, "head", 0}, {manifest, "manifest", 4},
		{off, "layer", 1},
	} {
		t.Run(tt.rule.Prefix+" "+tt.do, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				up := w.ups[tt.rule.Prefix]
				im := up.image("app", "v1", 1, 3, 2*chunk)
				up.image("app", "v2", 1, 2, 2*chunk) // shares two layers
				repo, s := tt.rule.Prefix+"/app", w.scope(tt.rule.Prefix+"/app")
				for _, tag := range []string{"v2", "v1"} {
					a, err := w.tag(repo, tag)
					if err != nil {
						t.Fatal(err)
					}
					if tt.do != "head" && tag == "v1" {
						w.cache.Pulled(s, oci.Reference{Tag: tag}, a.Manifest)
					}
				}
				switch tt.do {
				case "config":
					w.pull(repo, im.config)
				case "layer":
					w.pull(repo, im.layers[0])
				}
				<-time.After(time.Minute)
				held := 0
				for _, d := range append(im.layers, im.config) {
					if _, err := w.store.Stat(t.Context(), d); err == nil {
						held++
					}
				}
				if held != tt.want {
					t.Errorf("%d blobs are held, want %d", held, tt.want)
				}
			}, tt.rule)
		})
	}
}

// TestPrefetchChosen has a client that reads the manifests of several images that share
// layers, as it does of an index's platforms, and goes on with one of them.
func TestPrefetchChosen(t *testing.T) {
	r := hub("hub")
	r.Prefetch = rule.PrefetchLayer
	for _, tt := range []struct {
		config string // of the tag that the client asks for before the layer; "": it does not
		held   int    // of v1's config and three layers; v2 has the first two of the layers
	}{{"v1", 4}, {"v2", 2}, {"", 2}} {
		t.Run("config of "+tt.config, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				up := w.ups["hub"]
				v1 := up.image("app", "v1", 1, 3, 2*chunk)
				config, raw := up.blob(99, 300)
				up.put("app", "v2", oci.MediaTypeManifest, fmt.Appendf(nil, `{"schemaVersion": 2, "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": %q, "size": %d}, "layers": [
					{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": %q, "size": %d}, {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": %q, "size": %d}]}`,
					config, len(raw), v1.layers[0], 2*chunk, v1.layers[1], 2*chunk))
				configs := map[string]digest.Digest{"v1": v1.config, "v2": config}
				for _, tag := range []string{"v1", "v2"} {
					a, err := w.tag("hub/app", tag)
					if err != nil {
						t.Fatal(err)
					}
					w.cache.Pulled(w.scope("hub/app"), oci.Reference{Tag: tag}, a.Manifest)
					<-time.After(time.Second)
				}
				if tt.config != "" {
					w.pull("hub/app", configs[tt.config])
				}
				w.pull("hub/app", v1.layers[0])
				<-time.After(time.Minute)
				held := 0
				for _, d := range append(v1.layers, v1.config) {
					if _, err := w.store.Stat(t.Context(), d); err == nil {
						held++
					}
				}
				if held != tt.held {
					t.Errorf("%d blobs of v1 are held, want %d", held, tt.held)
				}
			}, r)
		})
	}
}
