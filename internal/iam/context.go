package iam

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Context is what is known of a request beside who makes it and what for.
type Context struct {
	SourceIP netip.Addr // the client's; the zero Addr: not known
	Time     time.Time  // when it came; zero: not known
	TLS      bool       // it came encrypted
}

// values returns a condition key's values in a request; none: the request does
// not have the key. key is in lower case. What the caller knows stands before what
// the request says.
func values(c *Caller, r *Request, key string) []string {
	if v, known := own(c, r, key); known {
		if v == "" {
			return nil
		}
		return []string{v}
	}
	var all []string
	for _, prefix := range [...]string{"aws:resourcetag/", "ecr:resourcetag/"} {
		if name, ok := strings.CutPrefix(key, prefix); ok {
			for _, t := range r.Tags {
				if strings.EqualFold(t.Key, name) {
					all = append(all, t.Value)
				}
			}
		}
	}
	for k, v := range r.Context {
		if strings.EqualFold(k, key) {
			all = append(all, v...)
		}
	}
	return all
}

// own returns the value of a key of AWS's that follows from who asks, from where
// and for what, and whether key is one of these.
func own(c *Caller, r *Request, key string) (value string, known bool) {
	switch key {
	case "aws:sourceip":
		if c.Context.SourceIP.IsValid() {
			value = c.Context.SourceIP.String()
		}
	case "aws:currenttime":
		if !c.Context.Time.IsZero() {
			value = c.Context.Time.UTC().Format(time.RFC3339)
		}
	case "aws:epochtime":
		if !c.Context.Time.IsZero() {
			value = strconv.FormatInt(c.Context.Time.Unix(), 10)
		}
	case "aws:securetransport":
		value = strconv.FormatBool(c.Context.TLS)
	case "aws:viaawsservice": // no other service calls on somebody's behalf
		value = "false"
	case "aws:username":
		if !c.Root && !c.Anonymous {
			value = c.Name
		}
	case "aws:principalarn":
		value = c.ARN()
	case "aws:principalaccount":
		if !c.Anonymous {
			value = c.Account
		}
	case "aws:principaltype":
		value = principalType(c)
	case "aws:userid":
		value = c.UserID()
	case "aws:resourceaccount":
		if arn := strings.SplitN(r.Resource, ":", arnParts); len(arn) == arnParts {
			value = arn[4]
		}
	default:
		return "", false
	}
	return value, true
}

func principalType(c *Caller) string {
	switch {
	case c.Anonymous || c.Name == "":
		return "Anonymous"
	case c.Root:
		return "Account"
	}
	return "User"
}
