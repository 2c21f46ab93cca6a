package detect

import "math"

// bookSize is how many places a book remembers.
const bookSize = 64

// near is how far, in units of spread, a place may be to count as one that was
// seen before.
const near = 0.1

// valueBook remembers the values a series has had, as 64 places of which the one
// not seen for longest makes way. How far a value is from all of them says how
// new it is.
type valueBook struct {
	place [bookSize]float32
	seen  [bookSize]uint32 // when, in points
	used  uint8
}

func (b *valueBook) observe(now uint32, spread, v float64) float64 {
	x, n := float32(v), int(b.used)
	best, far := 0, float32(math.Inf(1))
	for i, p := range b.place[:n] {
		d := x - p
		if d < 0 {
			d = -d
		}
		if d < far {
			best, far = i, d
		}
	}
	out, next := place(b.seen[:], n, best, float64(far), spread, now)
	if next >= 0 {
		b.place[next] = x
		b.used = uint8(max(n, next+1))
	}
	return out
}

// moveBook remembers, as valueBook does, pairs of a value and the one before
// it. A value that is common and a value before it that is common make a move
// that may be new.
type moveBook struct {
	place  [bookSize][2]float32
	seen   [bookSize]uint32
	used   uint8
	before float32
	has    bool // before is set
}

func (b *moveBook) observe(now uint32, spread, v float64) float64 {
	x, y, n := b.before, float32(v), int(b.used)
	had := b.has
	b.before, b.has = y, true
	if !had {
		return 0
	}
	best, far := 0, float32(math.Inf(1))
	for i := range b.place[:n] {
		p := &b.place[i]
		dx, dy := x-p[0], y-p[1]
		if dx < 0 {
			dx = -dx
		}
		if dy < 0 {
			dy = -dy
		}
		if d := max(dx, dy); d < far {
			best, far = i, d
		}
	}
	out, next := place(b.seen[:], n, best, float64(far), spread, now)
	if next >= 0 {
		b.place[next] = [2]float32{x, y}
		b.used = uint8(max(n, next+1))
	}
	return out
}

func (b *moveBook) forget() { b.has = false }

// place says how new what lies far from the nearest of n places is, and which
// place it takes; -1 if it is near enough to the best one, which is marked as
// seen.
func place(seen []uint32, n, best int, far, spread float64, now uint32) (out float64, next int) {
	if n == 0 {
		seen[0] = now
		return 0, 0
	}
	if spread > 0 {
		out = units(far, spread)
	}
	if out <= near {
		seen[best] = now
		return out, -1
	}
	next = n
	if n == len(seen) {
		next = 0
		for i, at := range seen {
			if at < seen[next] {
				next = i
			}
		}
	}
	seen[next] = now
	return out, next
}
