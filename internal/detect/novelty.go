package detect

import "math"

// bookSize is how many values a book remembers.
const bookSize = 64

// near is how far, in units of spread, a value may be to count as one that was
// seen before.
const near = 0.4

// book remembers the values a series has had, as 64 of which the one not seen
// for longest makes way. How far a value is from all of them says how new it
// is: a value between two common ones can be as new as one above them all.
type book struct {
	value [bookSize]float32
	seen  [bookSize]uint32 // when last, in points
	used  uint8
}

// observe says how new a value is, in units of spread, and remembers it.
func (b *book) observe(now uint32, spread, v float64) float64 {
	x := float32(v)
	best, far := -1, float32(math.Inf(1))
	for i, p := range b.value[:b.used] {
		d := x - p
		if d < 0 {
			d = -d
		}
		if d < far {
			best, far = i, d
		}
	}
	if best < 0 {
		b.keep(now, x)
		return 0
	}
	out := 0.0
	if spread > 0 {
		out = units(float64(far), spread)
	}
	if out <= near {
		b.seen[best] = now
		return out
	}
	b.keep(now, x)
	return out
}

func (b *book) keep(now uint32, x float32) {
	at := int(b.used)
	if at < bookSize {
		b.used++
	} else {
		at = 0
		for i, seen := range b.seen {
			if seen < b.seen[at] {
				at = i
			}
		}
	}
	b.value[at], b.seen[at] = x, now
}

// shortWindow is over how many points a short mean is taken.
const shortWindow = 6

// short is a running mean of a few points.
type short struct {
	ring  [shortWindow]float32
	at, n uint8
}

// observe takes a value and gives the mean of the last ones, once there are
// enough.
func (s *short) observe(v float64) (mean float64, enough bool) {
	s.ring[s.at] = float32(v)
	s.at = (s.at + 1) % shortWindow
	if s.n < shortWindow {
		s.n++
	}
	for _, x := range s.ring {
		mean += float64(x) / shortWindow
	}
	return mean, s.n == shortWindow
}

func (s *short) forget() { s.n, s.at = 0, 0 }
