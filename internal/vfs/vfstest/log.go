package vfstest

import (
	"slices"
	"sync"
)

// Log is the order in which things reached a disk: the operations of a Mem, and
// what others add, such as a database its commits. The zero value is ready.
type Log struct {
	mu   sync.Mutex
	ops  []string
	each []func(n int, op string)
}

// Add appends an operation that has been done, then calls the functions of Each.
func (l *Log) Add(op string) {
	l.mu.Lock()
	l.ops = append(l.ops, op)
	n, each := len(l.ops), l.each
	l.mu.Unlock()
	for _, f := range each {
		f(n, op)
	}
}

// Each has f called after every later operation with its number, from 1 on, in
// the goroutine that did it and before that goes on. No lock is held: f may clone
// the disk.
func (l *Log) Each(f func(n int, op string)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.each = append(slices.Clip(l.each), f)
}

// Ops returns the operations so far.
func (l *Log) Ops() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.ops)
}
