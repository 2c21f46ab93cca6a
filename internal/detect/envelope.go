package detect

import (
	"math"
	"time"
)

// maxBins is into how many parts an envelope may cut the day.
const maxBins = 24

// minVisits is how many points a part of the day must have had before it is
// judged.
const minVisits = 6

// envelope remembers between which bounds a series moves in each part of the
// day. The bounds close in on the mean of the part as days pass without
// reaching them.
type envelope struct {
	bin [maxBins]struct {
		lo, hi, mean float32
		day          float32 // of the last point, since the origin
		n            uint16
	}
}

// envelopeShape is what tells one envelope from another. It is no state.
type envelopeShape struct {
	bins   int     // parts of a day
	offset int64   // seconds by which the parts begin earlier
	around int     // neighbours on each side that lend their bounds
	memory float64 // days after which the bounds have closed in to 1/e
}

// bin is the part of the day of a time, in UTC.
func (s envelopeShape) bin(at time.Time) int {
	seconds := (at.Unix() + s.offset) % 86400
	if seconds < 0 {
		seconds += 86400
	}
	return int(seconds) * s.bins / 86400
}

// observe takes a point and says how far outside the bounds it is.
func (e *envelope) observe(s envelopeShape, bin int, day, v float64) float64 {
	b := &e.bin[bin]
	if b.n > 0 {
		closer := -math.Expm1(-max(0, day-float64(b.day)) / s.memory)
		b.lo += float32(closer) * (b.mean - b.lo)
		b.hi += float32(closer) * (b.mean - b.hi)
	}
	var out float64
	if b.n >= minVisits {
		lo, hi := e.bounds(s, bin)
		out = max(0, v-hi, lo-v)
	}
	x := float32(v)
	if b.n == 0 {
		b.lo, b.hi, b.mean = x, x, x
	}
	if b.n < math.MaxUint16 {
		b.n++
	}
	w := max(1/float32(b.n), 0.02)
	b.mean = b.mean*(1-w) + x*w
	b.lo, b.hi, b.day = min(b.lo, x), max(b.hi, x), float32(day)
	return out
}

// bounds are those of a part of the day and of its neighbours.
func (e *envelope) bounds(s envelopeShape, bin int) (lo, hi float64) {
	low, high := e.bin[bin].lo, e.bin[bin].hi
	for k := 1; k <= s.around; k++ {
		for _, j := range [2]int{(bin + k) % s.bins, (bin + s.bins - k) % s.bins} {
			if b := &e.bin[j]; b.n > 0 {
				low, high = min(low, b.lo), max(high, b.hi)
			}
		}
	}
	return float64(low), float64(high)
}
