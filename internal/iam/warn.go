package iam

import (
	"fmt"
	"strings"
)

// Warnings says of each Deny statement of p that a condition of it holds for every
// request, because no request has its key here: pasted from AWS, such a statement denies
// more than it did there.
func (p *Policy) Warnings() []string {
	var all []string
	for n := range p.Statements {
		s := &p.Statements[n]
		if !s.Deny {
			continue
		}
		for i := range s.Conditions {
			if c := &s.Conditions[i]; !hasKey(c.key) && c.holds(nil) {
				all = append(all, fmt.Sprintf("%s denies whatever the condition %s says: no request has this key here, and without it the condition holds", place{p, n}, c.name))
			}
		}
	}
	return all
}

// hasKey says whether there are requests with a condition key, which is in lower case.
func hasKey(key string) bool {
	if _, known := own(&Caller{}, &Request{}, key); known || key == "aws:tagkeys" {
		return true
	}
	for _, prefix := range [...]string{"aws:resourcetag/", "ecr:resourcetag/", "aws:requesttag/"} {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}
