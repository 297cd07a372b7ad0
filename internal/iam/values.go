package iam

import (
	"cmp"
	"errors"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// arnParts is how many parts, of which the last may have more colons, an ARN has:
// arn:partition:service:region:account:resource.
const arnParts = 6

func equals(want string) (test, error) {
	return func(v string) bool { return v == want }, nil
}

func equalsFold(want string) (test, error) {
	return func(v string) bool { return strings.EqualFold(v, want) }, nil
}

func like(want string) (test, error) {
	return func(v string) bool { return Match(want, v) }, nil
}

// order says whether a comparison (negative, 0, positive) is the wanted one.
type order func(c int) bool

func equal(c int) bool          { return c == 0 }
func less(c int) bool           { return c < 0 }
func lessOrEqual(c int) bool    { return c <= 0 }
func greater(c int) bool        { return c > 0 }
func greaterOrEqual(c int) bool { return c >= 0 }

// numeric compares numbers; a request's value that is none is as no number.
func numeric(is order) func(string) (test, error) {
	return func(want string) (test, error) {
		w, err := parseNumber(want)
		if err != nil {
			return nil, err
		}
		return func(v string) bool {
			n, err := parseNumber(v)
			return err == nil && is(cmp.Compare(n, w))
		}, nil
	}
}

var decimal = regexp.MustCompile(`^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

func parseNumber(s string) (float64, error) {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !decimal.MatchString(s) { // not NaN, infinity, hexadecimal or 1_000
		return 0, errors.New("it is not a number")
	}
	return n, nil
}

// date compares times; a request's value that is none is as no time.
func date(is order) func(string) (test, error) {
	return func(want string) (test, error) {
		w, err := parseDate(want)
		if err != nil {
			return nil, err
		}
		return func(v string) bool {
			t, err := parseDate(v)
			return err == nil && is(t.Compare(w))
		}, nil
	}
}

// parseDate reads the forms of ISO 8601 that W3C's note on dates has, and seconds
// since 1970. Four digits are a year.
func parseDate(s string) (time.Time, error) {
	for _, layout := range [...]string{time.RFC3339, "2006-01-02T15:04Z07:00", time.DateOnly, "2006-01", "2006"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(n, 0), nil
	}
	return time.Time{}, errors.New("it is not a date such as 2026-01-31T23:59:59Z or 2026-01-31, nor seconds since 1970")
}

func boolean(want string) (test, error) {
	if !strings.EqualFold(want, "true") && !strings.EqualFold(want, "false") {
		return nil, errors.New("it is neither true nor false")
	}
	return equalsFold(want)
}

// network tests addresses; an address in a policy is the network of only it.
func network(want string) (test, error) {
	p, err := netip.ParsePrefix(want)
	if err != nil {
		addr, err := netip.ParseAddr(want)
		if err != nil || addr.Zone() != "" {
			return nil, errors.New("it is not an IP address, nor a network such as 203.0.113.0/24 or 2001:db8::/32")
		}
		p = netip.PrefixFrom(addr, addr.BitLen())
	}
	if p.Addr().Is4In6() {
		return nil, errors.New("write an IPv4 address as one: here it is in the form of IPv6, which no request has")
	}
	return func(v string) bool {
		addr, err := netip.ParseAddr(v)
		return err == nil && p.Contains(addr.Unmap().WithZone(""))
	}, nil
}

// arnLike compares ARNs part by part, each with wildcards; ArnEquals does too.
func arnLike(want string) (test, error) {
	if want == "*" {
		return like(want)
	}
	parts := strings.SplitN(want, ":", arnParts)
	if len(parts) < arnParts || parts[0] != "arn" {
		return nil, errors.New("it is not an ARN, arn:partition:service:region:account:resource, nor *")
	}
	return func(v string) bool {
		arn := strings.SplitN(v, ":", arnParts)
		if len(arn) < arnParts {
			return false
		}
		for i, p := range parts {
			if !Match(p, arn[i]) {
				return false
			}
		}
		return true
	}, nil
}
