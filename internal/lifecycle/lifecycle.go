// Package lifecycle has lifecycle policies in Amazon ECR's words ("Lifecycle policy
// properties" and "Lifecycle policy evaluation rules" of its user guide): Parse reads
// one, Evaluate says what it does to the images of a repository. It does no I/O.
//
// It guarantees:
//   - A policy that Parse returns has nothing in it that Evaluate does not know; what
//     Parse refuses it refuses in ECR's words, as far as they are known.
//   - Rules are evaluated at the same time and applied by priority: an image is marked
//     by one rule or by none, and never by a rule if it has the tags that one of a
//     higher priority selects.
//   - An image that an index names is not marked unless every index that names it is,
//     and comes after them. What refers to an image goes with it, and only with it.
//   - Evaluate takes time and memory in proportion to images, tags and what the images
//     name, times the rules.
//
// Beyond ECR, and refused where Parse is strict: sinceImagePulled may expire, and an
// image may be expired before it was 90 days in the archive.
package lifecycle

import (
	"time"

	"github.com/opencontainers/go-digest"
)

// MaxText is the longest policy, in bytes.
const MaxText = 30720

// TagStatus says by their tags which images a rule selects.
type TagStatus string

// The words of tagStatus.
const (
	Tagged   TagStatus = "tagged"
	Untagged TagStatus = "untagged"
	Any      TagStatus = "any"
)

// CountType says what a rule counts.
type CountType string

// The words of countType.
const (
	MoreThan     CountType = "imageCountMoreThan"
	SincePushed  CountType = "sinceImagePushed"
	SincePulled  CountType = "sinceImagePulled"
	Transitioned CountType = "sinceImageTransitioned" // to the archive
)

// Action is what a rule does to an image.
type Action string

// The words of action.type.
const (
	Expire     Action = "expire"
	Transition Action = "transition" // to the archive, the only target there is
)

// Policy is a lifecycle policy. It does not change.
type Policy struct {
	Rules []Rule // by priority
}

// Rule is one rule of a policy.
type Rule struct {
	Priority    int // 1 is applied first
	Description string
	Tags        TagStatus
	Patterns    []string // of a tagged rule: each must match one of the image's tags; "*" stands for any characters
	Archived    bool     // it selects archived images, and else those that are not
	Count       CountType
	Number      int // of images that stay, or of days
	Action      Action
}

// Image is what is known of an image of a repository.
type Image struct {
	Digest    digest.Digest
	Tags      []string
	Pushed    time.Time
	Pulled    time.Time // last pull; zero: it never was
	Needed    time.Time // somebody last counted on it otherwise, which is nothing to rules; zero: nobody did
	Archived  bool
	Moved     time.Time       // last came into the archive; zero: it never was there
	Activated time.Time       // last came out of the archive; zero: it never did
	Subject   digest.Digest   // that it is about; "": none
	Children  []digest.Digest // that it names, if it is an index
}

// since is when an image came to be there as rules count it: when it was pushed, or
// last came out of the archive.
func (m *Image) since() time.Time { return later(m.Pushed, m.Activated) }

// Used is when an image was last pulled as rules count it.
func (m *Image) Used() time.Time { return later(m.Pulled, m.since()) }

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// Mark is what a policy does to one image.
type Mark struct {
	Image  *Image
	Rule   *Rule
	Follow []*Image // what is about the image, or about one of these, and goes with it
}
