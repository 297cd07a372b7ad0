package lifecycle_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/lifecycle"
)

var now = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// ago is when days before now. A part of a day makes "1 day ago" older or newer than
// another that is so.
func ago(days float64) time.Time { return now.Add(-time.Duration(days * 24 * float64(time.Hour))) }

// image is one that was pushed days ago, and never pulled.
func image(name string, days float64, tags ...string) lifecycle.Image {
	return lifecycle.Image{Digest: digest.Digest(name), Pushed: ago(days), Tags: tags}
}

// with changes an image.
func with(m lifecycle.Image, change func(*lifecycle.Image)) lifecycle.Image {
	change(&m)
	return m
}

func pulled(m lifecycle.Image, days float64) lifecycle.Image {
	return with(m, func(m *lifecycle.Image) { m.Pulled = ago(days) })
}

func archived(m lifecycle.Image, days float64) lifecycle.Image {
	return with(m, func(m *lifecycle.Image) { m.Archived, m.Moved = true, ago(days) })
}

func activated(m lifecycle.Image, days float64) lifecycle.Image {
	return with(m, func(m *lifecycle.Image) { m.Moved, m.Activated = ago(days+100), ago(days) })
}

func index(m lifecycle.Image, children ...digest.Digest) lifecycle.Image {
	return with(m, func(m *lifecycle.Image) { m.Children = children })
}

func about(m lifecycle.Image, subject digest.Digest) lifecycle.Image {
	return with(m, func(m *lifecycle.Image) { m.Subject = subject })
}

// policy is a policy of rules such as "tagged prod* imageCountMoreThan 1 expire", with
// the priorities 1, 2 and so on.
func policy(rules ...string) string {
	var all []string
	for i, r := range rules {
		words := strings.Fields(r)
		sel := fmt.Sprintf(`"tagStatus":%q`, words[0])
		words = words[1:]
		if strings.HasPrefix(r, "tagged ") {
			sel += `,"tagPatternList":["` + strings.ReplaceAll(words[0], ",", `","`) + `"]`
			words = words[1:]
		}
		sel += fmt.Sprintf(`,"countType":%q,"countNumber":%s`, words[0], words[1])
		if words[0] != "imageCountMoreThan" {
			sel += `,"countUnit":"days"`
		}
		if words[0] == "sinceImageTransitioned" {
			sel += `,"storageClass":"archive"`
		}
		act := fmt.Sprintf(`"type":%q`, words[2])
		if words[2] == "transition" {
			act += `,"targetStorageClass":"archive"`
		}
		all = append(all, fmt.Sprintf(`{"rulePriority":%d,"selection":{%s},"action":{%s}}`, i+1, sel, act))
	}
	return `{"rules":[` + strings.Join(all, ",") + `]}`
}

// tell writes marks as "A expire 1", with "A+B expire 1" where B goes with A.
func tell(marks []lifecycle.Mark) []string {
	all := []string{}
	for _, m := range marks {
		s := string(m.Image.Digest)
		for _, f := range m.Follow {
			s += "+" + string(f.Digest)
		}
		all = append(all, fmt.Sprintf("%s %s %d", s, m.Rule.Action, m.Rule.Priority))
	}
	return all
}

func TestEvaluate(t *testing.T) {
	// The repositories of the examples in ECR's user guide.
	beta := []lifecycle.Image{image("A", 10, "beta-1", "prod-1"), image("B", 9, "beta-2", "prod-2"), image("C", 8, "beta-3")}
	multi := []lifecycle.Image{
		image("A", 12, "alpha-1"), image("B", 11, "beta-1"), image("C", 10, "alpha-2", "beta-2"),
		image("D", 4, "alpha-3"), image("E", 3, "beta-3"), image("F", 2, "alpha-4", "beta-4"),
	}
	two := []lifecycle.Image{image("list", 40, "v1"), image("amd", 41), image("arm", 41)}
	two[0] = index(two[0], "amd", "arm", "absent")
	nested := []lifecycle.Image{index(image("top", 9, "v"), "mid"), index(image("mid", 8), "low"), image("low", 7)}
	for _, test := range []struct {
		name   string
		policy string
		images []lifecycle.Image
		want   []string
	}{
		{"guide: image age", policy("tagged prod* sinceImagePushed 14 expire"),
			[]lifecycle.Image{image("A", 15, "prod1"), image("B", 13, "prod2"), image("C", 15, "dev"), image("D", 15)}, []string{"A expire 1"}},
		{"guide: last pulled", policy("any sinceImagePulled 90 transition"),
			[]lifecycle.Image{pulled(image("A", 200, "a"), 91), pulled(image("B", 200), 89), image("C", 91), image("D", 89)},
			[]string{"A transition 1", "C transition 1"}},
		{"guide: time in the archive", policy("any sinceImageTransitioned 365 expire"),
			[]lifecycle.Image{archived(image("A", 500), 366), archived(image("B", 500), 364), activated(image("C", 500), 10), image("D", 500)}, []string{"A expire 1"}},
		{"guide: one untagged image", policy("untagged imageCountMoreThan 1 expire"),
			[]lifecycle.Image{image("A", 3), image("B", 2), image("C", 1), image("D", 9, "d")}, []string{"A expire 1", "B expire 1"}},
		{"guide: multiple rules, A", policy("tagged prod* imageCountMoreThan 1 expire", "tagged beta* imageCountMoreThan 1 expire"), beta, []string{"A expire 1"}},
		{"guide: multiple rules, B", policy("tagged beta* imageCountMoreThan 1 expire", "tagged prod* imageCountMoreThan 1 expire"), beta, []string{"A expire 1", "B expire 1"}},
		{"guide: multiple tags, A", policy("tagged alpha*,beta* sinceImagePushed 5 expire"), multi, []string{"C expire 1"}},
		{"guide: multiple tags, B", policy("tagged alpha*,beta* imageCountMoreThan 1 expire"),
			[]lifecycle.Image{image("A", 10, "alpha-1", "beta-1", "gamma-1"), image("B", 9, "alpha-2", "beta-2"), image("C", 8, "alpha-3", "beta-3", "gamma-2")},
			[]string{"A expire 1", "B expire 1"}},
		{"guide: all images, A", policy("any imageCountMoreThan 1 expire"),
			[]lifecycle.Image{image("A", 4, "alpha-1"), image("B", 3, "beta-1"), image("C", 2), image("D", 1, "alpha-2")},
			[]string{"A expire 1", "B expire 1", "C expire 1"}},
		{"guide: all images, B", policy("tagged alpha* imageCountMoreThan 1 expire", "untagged sinceImagePushed 1 expire", "any imageCountMoreThan 1 expire"),
			[]lifecycle.Image{image("A", 4, "alpha-1", "beta-1"), image("B", 3), image("C", 2, "alpha-2"), image("D", 1, "git-hash"), image("E", 0.9)},
			[]string{"A expire 1", "B expire 2", "D expire 3"}},
		{"guide: archive, then expire", policy("any sinceImagePushed 30 transition", "any sinceImageTransitioned 365 expire"),
			[]lifecycle.Image{image("A", 31), image("B", 29), archived(image("C", 400), 366), archived(image("D", 400), 364)}, []string{"C expire 2", "A transition 1"}},

		{"a day is over when it is over", policy("any sinceImagePushed 1 expire"), []lifecycle.Image{image("A", 1), image("B", 1.001)}, []string{"B expire 1"}},
		{"pulled, or not pulled, and expired", policy("any sinceImagePulled 60 expire"),
			[]lifecycle.Image{pulled(image("A", 99, "a"), 61), pulled(image("B", 99, "b"), 1), image("C", 61), image("D", 59)}, []string{"A expire 1", "C expire 1"}},
		{"out of the archive is as pushed", policy("any sinceImagePushed 30 expire"),
			[]lifecycle.Image{activated(image("A", 500), 29), activated(image("B", 500), 31)}, []string{"B expire 1"}},
		{"out of the archive is as pulled", policy("any sinceImagePulled 30 transition"),
			[]lifecycle.Image{activated(pulled(image("A", 500), 400), 29), activated(pulled(image("B", 500), 400), 31)}, []string{"B transition 1"}},
		{"out of the archive is the newest", policy("any imageCountMoreThan 1 expire"),
			[]lifecycle.Image{activated(image("A", 500), 1), image("B", 2)}, []string{"B expire 1"}},
		{"what is archived does not count", policy("any imageCountMoreThan 1 expire"),
			[]lifecycle.Image{image("A", 5), archived(image("B", 4), 1), image("C", 3)}, []string{"A expire 1"}},
		{"a higher rule that spares, spares from all", policy("tagged prod* sinceImagePushed 365 expire", "any sinceImagePushed 1 expire"),
			[]lifecycle.Image{image("A", 100, "prod-1"), image("B", 100, "x")}, []string{"B expire 2"}},
		{"a number beyond all time", policy("any sinceImagePushed 2147483647 expire"), []lifecycle.Image{image("A", 9999)}, []string{}},

		{"an index before what it names", policy("any sinceImagePushed 30 expire"), two, []string{"list expire 1", "amd expire 1", "arm expire 1"}},
		{"what an index names stays with it", policy("untagged sinceImagePushed 1 expire"), two, []string{}},
		{"what an index that goes names stays if no rule says otherwise", policy("tagged v* sinceImagePushed 1 expire"), two, []string{"list expire 1"}},
		{"two indexes have one child", policy("any sinceImagePushed 30 expire"),
			append(slices.Clone(two), index(image("newer", 1, "v2"), "amd")), []string{"list expire 1", "arm expire 1"}},
		{"indexes in an index", policy("any imageCountMoreThan 1 expire"), append(slices.Clone(nested), image("new", 1)), []string{"top expire 1", "mid expire 1", "low expire 1"}},
		{"an index in an index that stays", policy("tagged v* sinceImagePushed 99 expire", "any sinceImagePushed 1 expire"), nested, []string{}},
		{"archived with its index", policy("any sinceImagePushed 30 transition"), two, []string{"list transition 1", "amd transition 1", "arm transition 1"}},
		{"archived after its index", policy("any sinceImagePushed 30 transition"),
			[]lifecycle.Image{index(archived(image("list", 40), 1), "amd"), image("amd", 40)}, []string{"amd transition 1"}},
		{"not archived before its index", policy("untagged sinceImagePushed 30 transition"), two, []string{}},
		{"not expired while its index is archived", policy("any sinceImageTransitioned 100 expire"),
			[]lifecycle.Image{index(archived(image("list", 400), 99), "amd"), archived(image("amd", 400), 101)}, []string{}},

		{"signatures go with what they sign", policy("tagged v* sinceImagePushed 30 expire"),
			[]lifecycle.Image{image("A", 31, "v1"), about(image("sig", 1), "A"), about(image("sbom", 2, "s"), "A"), about(image("sigsbom", 1), "sbom"), about(image("other", 99), "B")},
			[]string{"A+sbom+sig+sigsbom expire 1"}},
		{"signatures stay with what they sign", policy("any sinceImagePushed 30 expire"),
			[]lifecycle.Image{image("A", 29, "v1"), about(image("sig", 99), "A"), about(image("left", 99), "gone")}, []string{"left expire 1"}},
		{"signatures are no images that count", policy("any imageCountMoreThan 1 expire"),
			[]lifecycle.Image{image("A", 9), about(image("sig", 1), "A")}, []string{}},
		{"archived signatures stay archived", policy("any sinceImagePushed 30 transition"),
			[]lifecycle.Image{image("A", 31), about(archived(image("sig", 31), 1), "A"), about(image("sbom", 31), "A")}, []string{"A+sbom transition 1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := lifecycle.Parse(test.policy, false)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(test.want, tell(p.Evaluate(test.images, now))); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			turned := slices.Clone(test.images)
			slices.Reverse(turned)
			if d := cmp.Diff(test.want, tell(p.Evaluate(turned, now))); d != "" {
				t.Errorf("in another order (-want +got):\n%s", d)
			}
		})
	}
}

// TestCycles: what no digest can do, rows may say all the same.
func TestCycles(t *testing.T) {
	p, err := lifecycle.Parse(policy("any sinceImagePushed 1 expire"), false)
	if err != nil {
		t.Fatal(err)
	}
	images := []lifecycle.Image{
		index(image("A", 9), "B", "A"), index(image("B", 9), "A"),
		about(image("C", 9), "D"), about(image("D", 9), "C"), about(image("E", 9), "E"),
		index(image("F", 9), "G", "G"), image("G", 9),
	}
	if d := cmp.Diff([]string{"E expire 1", "F expire 1", "G expire 1"}, tell(p.Evaluate(images, now))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
