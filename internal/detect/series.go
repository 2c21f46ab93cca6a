package detect

import (
	"math"
	"slices"
	"time"
)

// member is one judge in Series.
type member uint8

const (
	memberDay member = iota
	memberMonth
	memberLevel
	memberChange
	memberValue
	memberShort
	members
)

var memberMethods = [members]Method{MethodDay, MethodMonth, MethodLevel, MethodTurn, MethodValue, MethodShort}

// What a series does at a time of day is remembered finely and for long, with
// what it does a little earlier or later allowed, and coarsely as it has been of
// late. The fine memory is kept twice, half a part apart, so that little hangs
// on where a part begins.
var (
	dayShape   = envelopeShape{bins: 24, around: 2, memory: 180}
	halfShape  = envelopeShape{bins: 24, around: 2, memory: 180, offset: 1800}
	monthShape = envelopeShape{bins: 12, around: 0, memory: 30}
)

// deadBand is how far, in units of spread, a point must be out of what was seen
// before it counts at all: what is new but makes no difference is no news.
const deadBand = 0.25

// Members are the methods a series is judged by.
func Members() []Method { return slices.Clone(memberMethods[:]) }

// Series judges one series without any setting of its own. Its members look at
// a point, each against its own memory of the series: is it outside the range of
// this time of day, ever or of late; have the last 96 points another level, or
// their newer half another than their older one; is the value, or the mean of
// six, one the series never had? Each answer is weighed by how rare such an
// answer was from that member (see tail), so a member that the series keeps
// surprising loses its voice.
//
// A series may be multiplied and shifted: the verdicts stay. The zero value is
// ready. It holds no pointers and is of fixed size.
type Series struct {
	gate   Gate
	origin float64 // first value
	unit   float64 // size of the first move; 0 until there is one
	first  int64   // unix seconds of the first point
	last   float64 // last value, as it came
	centre average // in units from the origin, as all below
	spread average // of how far values are from centre
	day    envelope
	half   envelope
	month  envelope
	level  level
	short  short
	values book
	means  book
	tails  [members]tail
	told   Told
	voice  [members]float64 // what each member said of the last point
	bin    uint8            // of dayShape, of the last point
}

// farthest bounds a value in units from the origin, so that it fits a float32
// with room for sums.
const farthest = 1e30

// Observe takes the next point.
func (s *Series) Observe(at time.Time, v float64) Verdict {
	steps, flaw := s.gate.Admit(at, v)
	if flaw != Flawless {
		return Verdict{Flaw: flaw}
	}
	now := s.gate.points
	if now == 1 {
		s.origin, s.first = v, at.Unix()
	}
	s.last = v
	if steps > levelWindow {
		s.level.forget()
		s.short.forget()
	}
	x := s.scaled(v)
	if now > 1 {
		s.spread.add(abs(x-s.centre.mean), longMemory)
	}
	s.centre.add(x, longMemory)

	day := float64(at.Unix()-s.first) / 86400
	s.bin = uint8(dayShape.bin(at))
	var raw [members]float64
	raw[memberDay] = s.matters(s.day.observe(dayShape, int(s.bin), day, x))/2 +
		s.matters(s.half.observe(halfShape, halfShape.bin(at), day, x))/2
	raw[memberMonth] = s.matters(s.month.observe(monthShape, monthShape.bin(at), day, x))
	raw[memberLevel], raw[memberChange] = s.level.observe(x)
	raw[memberValue] = max(0, s.values.observe(now, s.spread.mean, x)-deadBand)
	if mean, enough := s.short.observe(x); enough {
		raw[memberShort] = max(0, s.means.observe(now, s.spread.mean, mean)-deadBand)
	}
	for m := range members {
		s.voice[m] = s.tails[m].rarity(raw[m])
	}
	return s.told.Judge(s.voice[:])
}

// Voices are what each member said of the last point, in the order of Members:
// natural logarithms of once in how many points, 0 for nothing unusual.
func (s *Series) Voices() []float64 { return s.voice[:] }

// Points is how many points were judged.
func (s *Series) Points() int { return s.gate.Points() }

// Refused is how many points could not be judged, for one reason.
func (s *Series) Refused(f Flaw) int { return s.gate.Refused(f) }

// scaled puts a value in units from the origin.
func (s *Series) scaled(v float64) float64 {
	off := v - s.origin
	if math.IsInf(off, 0) {
		off = math.Copysign(math.MaxFloat64, off)
	}
	if s.unit == 0 && off != 0 {
		s.unit = abs(off)
	}
	if s.unit == 0 {
		return 0
	}
	return min(max(off/s.unit, -farthest), farthest)
}

// matters is a distance in units of spread as far as it goes beyond the dead
// band.
func (s *Series) matters(off float64) float64 {
	if off == 0 || s.spread.mean <= 0 {
		return 0
	}
	return max(0, units(off, s.spread.mean)-deadBand)
}

func abs(x float64) float64 { return math.Abs(x) }
