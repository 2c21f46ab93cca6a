package loop

// recent remembers the newest things by name, in two generations: what is
// asked for stays, what is not is forgotten in the end. It is not safe for
// concurrent use.
type recent[K comparable, V any] struct {
	limit      int // of each generation
	young, old map[K]V
}

func newRecent[K comparable, V any](limit int) *recent[K, V] {
	return &recent[K, V]{limit: limit, young: map[K]V{}}
}

func (r *recent[K, V]) get(key K) (V, bool) {
	if v, ok := r.young[key]; ok {
		return v, true
	}
	v, ok := r.old[key]
	return v, ok
}

func (r *recent[K, V]) put(key K, v V) {
	if _, known := r.young[key]; !known && len(r.young) >= r.limit {
		r.young, r.old = map[K]V{}, r.young
	}
	r.young[key] = v
	delete(r.old, key)
}

func (r *recent[K, V]) remove(key K) {
	delete(r.young, key)
	delete(r.old, key)
}

func (r *recent[K, V]) forget() { r.young, r.old = map[K]V{}, nil }
