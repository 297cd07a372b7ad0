// Command demo shows weir at work on one machine: an upstream registry, weir in
// front of it, and a client library that pulls and verifies. The upstream is
// stopped, weir is restarted, the tag moves. Each step prints what happened and
// what it cost the upstream, and the demo fails if anything differs from what
// weir promises.
//
//	go run ./demo bin/weir
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// window is how long a check counts in the demo: long enough for the steps that
// need a fresh tag, short enough to wait for.
const window = 6 * time.Second

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./demo WEIR-BINARY")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	start := time.Now()
	if err := run(ctx, os.Args[1]); err != nil {
		fmt.Fprintf(os.Stderr, "\nthe demo failed: %v\n", err)
		os.Exit(1)
	}
	fmt.Printf("\nall as promised, in %.1f s\n", time.Since(start).Seconds())
}

func run(ctx context.Context, binary string) (err error) {
	dir, err := os.MkdirTemp("", "weir-demo")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	up, err := newUpstream()
	if err != nil {
		return err
	}
	defer up.stop()
	first, err := up.fill()
	if err != nil {
		return fmt.Errorf("filling the upstream: %w", err)
	}
	d := &demo{ctx: ctx, up: up, weir: &weir{binary: binary, dir: dir, upstream: up.addr}}
	defer func() { err = errors.Join(err, d.weir.stop()) }()
	if err := d.weir.start(ctx); err != nil {
		return err
	}
	fmt.Printf("upstream on %s has %s for 2 platforms; weir listens on %s\n", up.addr, up.tag(), d.weir.addr)
	return d.steps(first)
}

// demo runs the steps.
type demo struct {
	ctx  context.Context
	up   *upstream
	weir *weir
	n    int
}

func (d *demo) steps(first image) error {
	name := d.weir.addr + "/demo/" + d.up.tag()
	cold := cost{
		"GET manifest by tag":    1,
		"GET manifest by digest": 1,
		"GET blob":               first.blobs,
	}
	stale := []string{"stale"}
	held := []string{"hit"}
	steps := []step{
		{"a cold pull: every byte once, no pings", nil, name, first, cold, nil},
		{"a clean client pulls again within the window: the upstream hears nothing", nil, name, first, cost{}, held},
		{"the window passes: one HEAD, no bytes", d.pass, name, first, cost{"HEAD manifest": 1}, nil},
		{"the upstream is stopped and the window passes: what is held is served", d.cut, name, first, cost{}, stale},
		{"weir is restarted, with the upstream still gone", d.restart, name, first, cost{}, stale},
	}
	for _, s := range steps {
		if err := d.do(s); err != nil {
			return err
		}
	}
	if err := d.up.start(); err != nil {
		return err
	}
	second, err := d.up.move()
	if err != nil {
		return fmt.Errorf("moving the tag: %w", err)
	}
	name = d.weir.addr + "/demo/" + d.up.tag()
	moved := cost{
		"HEAD manifest":          1,
		"GET manifest by tag":    1,
		"GET manifest by digest": 1,
		"GET blob":               second.blobs - first.layers,
	}
	old := d.weir.addr + "/demo/" + d.up.repository + "@" + first.digest
	for _, s := range []step{
		{"the upstream is back and the tag has moved: only what is new is fetched", d.pass, name, second, moved, nil},
		{"the old image, by its digest", nil, old, first, cost{}, held},
	} {
		if err := d.do(s); err != nil {
			return err
		}
	}
	return nil
}

// step is a pull after something happened.
type step struct {
	title  string
	before func() error // nil: nothing happens first
	ref    string
	want   image
	cost   cost     // of the pull, to the upstream
	cache  []string // what X-Weir-Cache may say; nil: anything
}

func (d *demo) do(s step) error {
	d.n++
	fmt.Printf("\n%d. %s\n", d.n, s.title)
	if s.before != nil {
		if err := s.before(); err != nil {
			return err
		}
		s.ref = d.weir.addr + s.ref[strings.Index(s.ref, "/"):] // a new weir has a new port
	}
	d.up.take()
	start := time.Now()
	got, err := pull(d.ctx, s.ref, d.weir.user, d.weir.password)
	if err != nil {
		return fmt.Errorf("%s: %w", s.title, err)
	}
	requests, bytes := d.up.take()
	fmt.Printf("   client:   %s, %s in %d blobs, verified, %d ms (cache: %s)\n", got.digest[:19], mib(got.bytes), got.blobs, time.Since(start).Milliseconds(), got.cache)
	fmt.Printf("   upstream: %s, %s\n", requests, mib(bytes))
	if got.digest != s.want.digest || got.bytes != s.want.bytes {
		return fmt.Errorf("got %s with %d bytes, want %s with %d", got.digest, got.bytes, s.want.digest, s.want.bytes)
	}
	if requests.String() != s.cost.String() {
		return fmt.Errorf("it cost the upstream %s, want %s", requests, s.cost)
	}
	if s.cache != nil && !strings.HasPrefix(got.cache, s.cache[0]) {
		return fmt.Errorf("X-Weir-Cache says %q, want %s", got.cache, s.cache[0])
	}
	return nil
}

// pass waits until what was checked so far no longer counts.
func (d *demo) pass() error {
	select {
	case <-d.ctx.Done():
		return d.ctx.Err()
	case <-time.After(window + 200*time.Millisecond):
		return nil
	}
}

func (d *demo) cut() error {
	d.up.stop()
	return d.pass()
}

func (d *demo) restart() error {
	if err := d.weir.stop(); err != nil {
		return err
	}
	return d.weir.start(d.ctx)
}
