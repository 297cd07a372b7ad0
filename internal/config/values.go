package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/weir-registry/weir/internal/rule"
)

// Duration is a positive time: Go's syntax (1h30m), or whole days (7d).
type Duration time.Duration

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := parseDuration(string(text))
	if err != nil {
		return err
	}
	if v <= 0 {
		return fmt.Errorf("%q is not a positive duration", text)
	}
	*d = Duration(v)
	return nil
}

func (d Duration) String() string { return time.Duration(d).String() }

// Days is a number of whole days, 0 for never.
type Days int

// UnmarshalText reads such a number as in 30d, or the word never.
func (d *Days) UnmarshalText(text []byte) error {
	if string(text) == "never" {
		*d = 0
		return nil
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(string(text), "d"), 10, 16)
	if err != nil || n == 0 || !strings.HasSuffix(string(text), "d") {
		return fmt.Errorf("%q is neither a number of whole days such as 30d nor the word never", text)
	}
	*d = Days(n)
	return nil
}

func (d Days) String() string {
	if d == 0 {
		return "never"
	}
	return fmt.Sprintf("%dd", int(d))
}

// Window is how long a check counts: a duration from 0 on, or rule.Never. Its
// zero value is rule.DefaultWindow, so that a rule need not say it.
type Window struct {
	d   time.Duration
	set bool
}

// UnmarshalText reads a window.
func (w *Window) UnmarshalText(text []byte) error {
	if string(text) == "never" {
		*w = Window{rule.Never, true}
		return nil
	}
	v, err := parseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%w, nor the word never", err)
	}
	if v < 0 {
		return fmt.Errorf("window %q is negative", text)
	}
	*w = Window{v, true}
	return nil
}

// Duration returns the window as a rule has it.
func (w Window) Duration() time.Duration {
	if !w.set {
		return rule.DefaultWindow
	}
	return w.d
}

func parseDuration(s string) (time.Duration, error) {
	if s == "0" {
		return 0, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration such as 30s, 24h or 7d", s)
	}
	return d, nil
}

// KeepFree is room to leave free on a file system: a percentage, or bytes.
type KeepFree struct {
	Percent float64
	Bytes   int64 // counts where it is not 0
}

// leastFree is what a percentage keeps at least, in bytes.
const leastFree = 2 << 30

// Of returns the bytes to keep free on a file system of total bytes.
func (k KeepFree) Of(total int64) int64 {
	if k.Bytes != 0 {
		return k.Bytes
	}
	return max(int64(float64(total)*k.Percent/100), leastFree)
}

// UnmarshalText reads a percentage below 100, or an amount with a unit.
func (k *KeepFree) UnmarshalText(text []byte) error {
	s := string(text)
	if p, ok := strings.CutSuffix(s, "%"); ok {
		v, err := strconv.ParseFloat(p, 64)
		if err != nil || !(v >= 0 && v < 100) {
			return fmt.Errorf("%q is not a percentage from 0%% to 99%%", s)
		}
		*k = KeepFree{Percent: v}
		return nil
	}
	for _, u := range []struct {
		suffix string
		shift  uint
	}{{"TiB", 40}, {"GiB", 30}, {"MiB", 20}, {"KiB", 10}} {
		n, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		v, err := strconv.ParseInt(n, 10, 64)
		if err != nil || v < 1 || v > math.MaxInt64>>u.shift {
			break
		}
		*k = KeepFree{Bytes: v << u.shift}
		return nil
	}
	return fmt.Errorf("%q is neither a percentage such as 10%% nor an amount such as 20GiB (KiB, MiB, GiB, TiB)", s)
}
