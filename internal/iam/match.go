package iam

// Match says whether s matches pattern with IAM's wildcards * and ?, byte by byte. It
// takes at most len(pattern)*len(s) steps, whatever the pattern.
func Match(pattern, s string) bool { return match(pattern, s, false) }

// match is Match, without regard to the case of ASCII letters if fold is set.
func match(pattern, s string, fold bool) bool {
	star, mark, p, i := -1, 0, 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			if star, mark = p, i; p == len(pattern)-1 {
				return true
			}
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i] || fold && lower(pattern[p]) == lower(s[i])):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func matchAny(patterns []string, s string, fold bool) bool {
	for _, p := range patterns {
		if match(p, s, fold) {
			return true
		}
	}
	return false
}
