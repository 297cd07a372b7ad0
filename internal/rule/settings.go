package rule

import (
	"slices"
	"strings"

	"github.com/weir-registry/weir/internal/iam"
)

// Settings are what the registry's API sets for all repositories at once, as far as it
// changes what the data plane does. A Settings in use is never changed; nil and the zero
// value are those of a registry for which nobody set anything.
type Settings struct {
	Scanning Scanning
	NoMounts bool     // no blob is mounted from one repository into another
	OldScope bool     // the registry policy decides on replication and pulls through rules only (V1)
	Unnoted  []string // ARNs of the principals whose pulls change no pull time, in order
}

// Decides says whether the registry's policy counts for an action, of a request for it or
// for a repository.
func (s *Settings) Decides(action string) bool {
	if s == nil || !s.OldScope {
		return true
	}
	return action == "ecr:ReplicateImage" || action == "ecr:BatchImportUpstreamImage" || action == "ecr:CreateRepository"
}

// Notes says whether a pull by the principal with an ARN changes pull times.
func (s *Settings) Notes(arn string) bool {
	if s == nil {
		return true
	}
	_, there := slices.BinarySearch(s.Unnoted, arn)
	return !there
}

// The words for how often images are scanned, and for by what, in ECR's words.
const (
	ScanOnPush       = "SCAN_ON_PUSH"
	ScanContinuous   = "CONTINUOUS_SCAN"
	ScanManual       = "MANUAL"
	ScanningBasic    = "BASIC"
	ScanningEnhanced = "ENHANCED"
)

// Scanning is the registry's scanning configuration. Nothing here scans: it is kept for
// those who ask for it.
type Scanning struct {
	Type  string // "": ScanningBasic
	Rules []ScanningRule
}

// ScanningRule says how often the images of repositories are scanned whose names one of
// its filters matches.
type ScanningRule struct {
	Frequency string
	Filters   []string
}

// For returns how often a repository's images would be scanned, and the filters that say
// so, in the order in which they were given. Where rules differ, the most often counts.
// onPush is the repository's own setting, which counts in basic scanning where no filter
// matches.
func (s *Scanning) For(repo string, onPush bool) (frequency string, filters []string) {
	frequency = ScanManual
	for _, r := range s.Rules {
		var matching []string
		for _, f := range r.Filters {
			if ScanningMatch(f, repo) {
				matching = append(matching, f)
			}
		}
		switch {
		case len(matching) == 0:
		case filters == nil || often(r.Frequency) > often(frequency):
			frequency, filters = r.Frequency, matching
		}
	}
	if filters == nil && onPush && s.Type != ScanningEnhanced {
		frequency = ScanOnPush
	}
	return frequency, filters
}

func often(frequency string) int {
	return slices.Index([]string{ScanManual, ScanOnPush, ScanContinuous}, frequency)
}

// ScanningMatch says whether a filter matches a repository's name: with *, which stands
// for any characters, the whole name, else any part of it.
func ScanningMatch(filter, repo string) bool {
	if !strings.Contains(filter, "*") {
		return strings.Contains(repo, filter)
	}
	return iam.Match(filter, repo) // its other wildcard is in no filter
}
