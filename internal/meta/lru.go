package meta

// lru keeps what was used last, as long as its cost stays within limit. It is not
// safe for concurrent use. The zero value with a limit is ready.
type lru[K comparable, V any] struct {
	limit int
	cost  int
	m     map[K]*entry[K, V]
	root  entry[K, V] // of a ring: root.next was used last, root.prev longest ago
}

type entry[K comparable, V any] struct {
	key        K
	val        V
	cost       int
	prev, next *entry[K, V]
}

func (l *lru[K, V]) get(k K) (v V, ok bool) {
	e := l.m[k]
	if e == nil {
		return v, false
	}
	e.unlink()
	l.front(e)
	return e.val, true
}

// peek returns the value to be changed in place, nil if there is none.
func (l *lru[K, V]) peek(k K) *V {
	if e := l.m[k]; e != nil {
		return &e.val
	}
	return nil
}

// put keeps v, or nothing of k if v alone costs more than the limit.
func (l *lru[K, V]) put(k K, v V, cost int) {
	l.remove(k)
	if cost > l.limit {
		return
	}
	if l.m == nil {
		l.clear()
	}
	e := &entry[K, V]{key: k, val: v, cost: cost}
	l.m[k] = e
	l.cost += cost
	l.front(e)
	for l.cost > l.limit {
		l.remove(l.root.prev.key)
	}
}

func (l *lru[K, V]) remove(k K) {
	e := l.m[k]
	if e == nil {
		return
	}
	e.unlink()
	delete(l.m, k)
	l.cost -= e.cost
}

func (l *lru[K, V]) clear() {
	l.cost = 0
	l.m = map[K]*entry[K, V]{}
	l.root.prev, l.root.next = &l.root, &l.root
}

func (l *lru[K, V]) front(e *entry[K, V]) {
	e.prev, e.next = &l.root, l.root.next
	e.prev.next, e.next.prev = e, e
}

func (e *entry[K, V]) unlink() {
	e.prev.next, e.next.prev = e.next, e.prev
}
