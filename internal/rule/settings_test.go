package rule_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/rule"
)

func TestScanningMatch(t *testing.T) {
	tests := []struct {
		filter, repo string
		want         bool
	}{
		{"prod", "prod", true},
		{"prod", "team/prod-app", true},
		{"prod", "pro/d", false},
		{"*", "anything/at/all", true},
		{"prod*", "prod/app", true},
		{"prod*", "team/prod", false},
		{"*prod", "team/prod", true},
		{"*prod", "team/prod/app", false},
		{"a*b*c", "abc", true},
		{"a*b*c", "a/x/b/y/c", true},
		{"a*b*c", "acb", false},
		{"ab*ba", "aba", false},
		{"a**a", "aa", true},
		{"a*a", "a", false},
	}
	for _, test := range tests {
		if got := rule.ScanningMatch(test.filter, test.repo); got != test.want {
			t.Errorf("%s matches %s: %v, want %v", test.filter, test.repo, got, test.want)
		}
	}
}

func TestScanningFor(t *testing.T) {
	push := rule.ScanningRule{Frequency: rule.ScanOnPush, Filters: []string{"app", "team/*", "x"}}
	always := rule.ScanningRule{Frequency: rule.ScanContinuous, Filters: []string{"team/prod*"}}
	manual := rule.ScanningRule{Frequency: rule.ScanManual, Filters: []string{"*"}}
	tests := []struct {
		name     string
		scanning rule.Scanning
		repo     string
		onPush   bool
		want     string
		filters  []string
	}{
		{"nothing is set", rule.Scanning{}, "a/b", false, rule.ScanManual, nil},
		{"the repository's own setting", rule.Scanning{}, "a/b", true, rule.ScanOnPush, nil},
		{"which is not of enhanced scanning", rule.Scanning{Type: rule.ScanningEnhanced}, "a/b", true, rule.ScanManual, nil},
		{"every filter that matches", rule.Scanning{Rules: []rule.ScanningRule{push}}, "team/app", false, rule.ScanOnPush, []string{"app", "team/*"}},
		{"the most often", rule.Scanning{Type: rule.ScanningEnhanced, Rules: []rule.ScanningRule{push, always}}, "team/prod/app", false, rule.ScanContinuous, []string{"team/prod*"}},
		{"the most often, first", rule.Scanning{Type: rule.ScanningEnhanced, Rules: []rule.ScanningRule{always, push}}, "team/prod/app", false, rule.ScanContinuous, []string{"team/prod*"}},
		{"a filter stands above the repository", rule.Scanning{Rules: []rule.ScanningRule{manual}}, "a/b", true, rule.ScanManual, []string{"*"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			frequency, filters := test.scanning.For(test.repo, test.onPush)
			if frequency != test.want || !slices.Equal(filters, test.filters) {
				t.Errorf("%s %q, want %s %q", frequency, filters, test.want, test.filters)
			}
		})
	}
}

func TestSettingsNotes(t *testing.T) {
	var none *rule.Settings
	some := &rule.Settings{Unnoted: []string{"arn:a", "arn:b"}}
	for arn, want := range map[string]bool{"arn:a": false, "arn:b": false, "arn:c": true, "": true} {
		if got := some.Notes(arn); got != want {
			t.Errorf("%q: %v", arn, got)
		}
		if !none.Notes(arn) {
			t.Errorf("%q: not without settings", arn)
		}
	}
}

// FuzzScanningMatch: with a wildcard, filters match as IAM's patterns do.
func FuzzScanningMatch(f *testing.F) {
	f.Add("prod*", "prod/app")
	f.Add("*a*b*", "xaxbx")
	f.Add("aa*aa", "aaa")
	f.Fuzz(func(t *testing.T, filter, repo string) {
		if !strings.Contains(filter, "*") || strings.Contains(filter, "?") {
			return
		}
		if got, want := rule.ScanningMatch(filter, repo), iam.Match(filter, repo); got != want {
			t.Errorf("%q matches %q: %v, want %v", filter, repo, got, want)
		}
	})
}
