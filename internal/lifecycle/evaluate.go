package lifecycle

import (
	"cmp"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
)

// maxDays is more than the age of any image: longer times would overflow.
const maxDays = 100_000

// Evaluate returns what the policy does at now to images, which are all of a
// repository and differ by their digests: oldest first, and an index before what it
// names. The marks point into images.
func (p *Policy) Evaluate(images []Image, now time.Time) []Mark {
	e := &evaluation{images: images, byDigest: make(map[digest.Digest]int, len(images)), by: make([]*Rule, len(images))}
	for i := range images {
		e.byDigest[images[i].Digest] = i
	}
	e.order = make([]int, len(images))
	for i := range e.order {
		e.order[i] = i
	}
	slices.SortFunc(e.order, func(a, b int) int {
		x, y := &images[a], &images[b]
		return cmp.Or(x.since().Compare(y.since()), cmp.Compare(x.Digest, y.Digest))
	})
	e.mark(p, now)
	e.spareChildren()
	return e.marks()
}

// evaluation is one Evaluate. Images are called by their place in images.
type evaluation struct {
	images   []Image
	byDigest map[digest.Digest]int
	order    []int   // oldest first
	by       []*Rule // that marked the image; nil: none
}

// leads is the image that one is about, if it is there.
func (e *evaluation) leads(i int) (lead int, ok bool) {
	if e.images[i].Subject == "" {
		return 0, false
	}
	lead, ok = e.byDigest[e.images[i].Subject]
	return lead, ok && lead != i
}

// mark applies the rules.
func (e *evaluation) mark(p *Policy, now time.Time) {
	taken := make([]bool, len(e.images)) // a rule that was applied before is about it
	for i := range p.Rules {
		r := &p.Rules[i]
		var selected []int // oldest first
		for _, i := range e.order {
			m := &e.images[i]
			if _, follows := e.leads(i); !follows && m.Archived == r.Archived && r.selects(m.Tags) {
				selected = append(selected, i)
			}
		}
		for n, i := range selected {
			if !taken[i] && r.hits(&e.images[i], len(selected)-n, now) {
				e.by[i] = r
			}
			taken[i] = true
		}
	}
}

// hits says whether a rule does something to an image that it selects and that is the
// n-th, counted from the newest.
func (r *Rule) hits(m *Image, n int, now time.Time) bool {
	before := now.Add(-time.Duration(min(r.Number, maxDays)) * 24 * time.Hour)
	switch r.Count {
	case MoreThan:
		return n > r.Number
	case SincePushed:
		return m.since().Before(before)
	case SincePulled:
		return m.Used().Before(before)
	case Transitioned:
		return m.Moved.Before(before)
	}
	return false
}

// spareChildren takes the marks from images that an index names which stays.
func (e *evaluation) spareChildren() {
	queue := slices.Clone(e.order)
	for len(queue) > 0 {
		index := queue[0]
		queue = queue[1:]
		for _, d := range e.images[index].Children {
			child, held := e.byDigest[d]
			if !held || e.by[child] == nil || e.lets(index, e.by[child].Action) {
				continue
			}
			e.by[child] = nil
			queue = append(queue, child) // it may be an index itself
		}
	}
}

// lets says whether something may be done to what an index names: the same was done
// to the index, or more.
func (e *evaluation) lets(index int, a Action) bool {
	by := e.by[index]
	switch {
	case by != nil:
		return by.Action == Expire || a == Transition
	case a == Transition:
		return e.images[index].Archived
	}
	return false
}

// marks returns the marks in order, with what follows each.
func (e *evaluation) marks() []Mark {
	above := make([]int, len(e.images)) // so many marked indexes that name it are still to come
	for i := range e.images {
		for _, d := range e.images[i].Children {
			if child, held := e.byDigest[d]; held && e.by[i] != nil {
				above[child]++
			}
		}
	}
	var ready []int
	for _, i := range e.order {
		if e.by[i] != nil && above[i] == 0 {
			ready = append(ready, i)
		}
	}
	about := e.followers()
	var marks []Mark
	for len(ready) > 0 {
		i := ready[0]
		ready = ready[1:]
		marks = append(marks, Mark{&e.images[i], e.by[i], e.follow(about, i)})
		for _, d := range e.images[i].Children {
			if child, held := e.byDigest[d]; held {
				if above[child]--; above[child] == 0 && e.by[child] != nil {
					ready = append(ready, child)
				}
			}
		}
	}
	return marks
}

// followers are what is about each image.
func (e *evaluation) followers() map[int][]int {
	about := map[int][]int{}
	for _, i := range e.order {
		if lead, ok := e.leads(i); ok {
			about[lead] = append(about[lead], i)
		}
	}
	return about
}

// follow returns what is about an image, about that, and so on.
func (e *evaluation) follow(about map[int][]int, lead int) (all []*Image) {
	for next := []int{lead}; len(next) > 0; next = next[1:] {
		for _, i := range about[next[0]] {
			if e.by[lead].Action == Transition && e.images[i].Archived {
				continue
			}
			all = append(all, &e.images[i])
			next = append(next, i)
		}
	}
	return all
}
