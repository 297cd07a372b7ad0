package vfstest

import (
	"bytes"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"syscall"
)

// SyncDir implements vfs.FS.
func (m *Mem) SyncDir(name string) error {
	m.mu.Lock()
	_, _, n, err := m.find(name)
	switch {
	case err != nil:
	case n == nil:
		err = fs.ErrNotExist
	case n.entries == nil:
		err = syscall.ENOTDIR
	default:
		m.settle(n, len(m.pending))
	}
	m.mu.Unlock()
	if err != nil {
		return pathErr("syncdir", name, err)
	}
	m.add("syncdir %s", name)
	return nil
}

// settle makes the folder's part of the first n pending changes durable, in order.
// A file that loses a name by a rename has the new one durable before.
func (m *Mem) settle(dir *node, n int) {
	for i, c := range m.pending[:n] {
		if c.oldDir == dir && c.newDir != nil && c.newDir != dir {
			m.settle(c.newDir, i+1)
		}
		if c.newDir == dir {
			dir.durable[c.newName] = c.node
			c.newDir = nil
		}
		if c.oldDir == dir {
			if dir.durable[c.oldName] == c.node {
				delete(dir.durable, c.oldName)
			}
			c.oldDir = nil
		}
	}
	if n == len(m.pending) {
		m.pending = slices.DeleteFunc(m.pending, func(c *change) bool { return c.newDir == nil && c.oldDir == nil })
	}
}

// CrashClone returns a disk as it may be after the power went away now. What is
// durable is there. Of every other change of a name, either nothing happened or
// all of it; of a rename also only the new name. Of bytes that were not synced any
// part may be there, be as before, or be zeros, and the length may be any between.
// Everything on the new disk is durable; it has no log. Open files stay with m.
func (m *Mem) CrashClone(rng *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := map[*node]map[string]*node{} // folders with changes that made it
	of := func(dir *node) map[string]*node {
		if names[dir] == nil {
			names[dir] = maps.Clone(dir.durable)
		}
		return names[dir]
	}
	for _, c := range m.pending {
		if rng.IntN(2) == 0 {
			continue
		}
		if c.newDir != nil {
			of(c.newDir)[c.newName] = c.node
		}
		rename := c.newName != ""
		if c.oldDir != nil && of(c.oldDir)[c.oldName] == c.node && !(rename && rng.IntN(2) == 0) {
			delete(of(c.oldDir), c.oldName)
		}
	}
	crashed := &Mem{total: m.total}
	crashed.root = crashed.take(m.root, of, map[*node]*node{}, rng)
	return crashed
}

// take copies a node of a crashed disk and all below it.
func (m *Mem) take(n *node, names func(*node) map[string]*node, seen map[*node]*node, rng *rand.Rand) *node {
	if c := seen[n]; c != nil {
		c.links++
		return c
	}
	c := &node{perm: n.perm, mod: n.mod, links: 1}
	seen[n] = c
	if n.entries == nil {
		c.data = survived(n, rng)
		c.synced = slices.Clone(c.data)
		m.used += c.charge()
		return c
	}
	c.entries = map[string]*node{}
	of := names(n)
	for _, name := range slices.Sorted(maps.Keys(of)) { // in order, so that a seed says it all
		c.entries[name] = m.take(of[name], names, seen, rng)
	}
	c.durable = maps.Clone(c.entries)
	return c
}

// survived returns what a file may hold after a crash.
func survived(n *node, rng *rand.Rand) []byte {
	const block = 512
	if bytes.Equal(n.data, n.synced) {
		return slices.Clone(n.data)
	}
	switch rng.IntN(4) {
	case 0:
		return slices.Clone(n.synced)
	case 1:
		return slices.Clone(n.data)
	case 2: // the length, but not the bytes
		zeros := make([]byte, len(n.data))
		copy(zeros, n.synced)
		return zeros
	}
	short, long := min(len(n.data), len(n.synced)), max(len(n.data), len(n.synced))
	out := make([]byte, short+rng.IntN(long-short+1))
	for at := 0; at < len(out); at += block {
		end := min(at+block, len(out))
		now, before := part(n.data, at, end), part(n.synced, at, end)
		switch which := rng.IntN(3); {
		case which == 0 || bytes.Equal(now, before):
			copy(out[at:], now)
		case which == 1:
			copy(out[at:], before)
		}
	}
	return out
}

// part returns b[from:to], as far as b goes.
func part(b []byte, from, to int) []byte {
	return b[min(from, len(b)):min(to, len(b))]
}
