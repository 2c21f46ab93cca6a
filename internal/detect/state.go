package detect

import (
	"encoding/binary"
	"math"

	"github.com/homeostat/homeostat/internal/heal"
)

// stateVersion is the first byte of a saved state. A state of another version
// is refused: a series that starts anew learns in hours, one that took a state
// for what it is not would be wrong for months.
const stateVersion = 1

// Append adds the saved state of the series to b. A series restored from it
// gives the verdicts this one would.
func (s *Series) Append(b []byte) []byte {
	c := codec{out: append(b, stateVersion)}
	c.series(s)
	return c.out
}

// RestoreSeries reads what Append wrote.
func RestoreSeries(b []byte) (*Series, error) {
	const op = "detect.RestoreSeries"
	if len(b) == 0 || b[0] != stateVersion {
		return nil, heal.Errorf(heal.Invalid, op, "state of %d bytes, expected one that begins with version %d", len(b), stateVersion)
	}
	c := codec{in: b[1:], reading: true}
	s := new(Series)
	c.series(s)
	if c.bad == "" && len(c.in) > 0 {
		c.bad = "more than a series"
	}
	if c.bad != "" {
		return nil, heal.Errorf(heal.Invalid, op, "state of %d bytes holds %s", len(b), c.bad)
	}
	return s, nil
}

// codec walks over the parts of a state, writing or reading each, so that the
// two cannot differ.
type codec struct {
	reading bool
	out, in []byte
	bad     string // the first thing wrong with what was read
}

func (c *codec) fail(what string) {
	if c.bad == "" {
		c.bad = what
	}
	c.in = nil
}

func (c *codec) u64(v *uint64, size int) {
	var room [8]byte
	if !c.reading {
		binary.LittleEndian.PutUint64(room[:], *v)
		c.out = append(c.out, room[:size]...)
		return
	}
	*v = 0
	if len(c.in) < size {
		c.fail("too little")
		return
	}
	copy(room[:size], c.in)
	*v = binary.LittleEndian.Uint64(room[:])
	c.in = c.in[size:]
}

func (c *codec) i64(v *int64) {
	u := uint64(*v)
	c.u64(&u, 8)
	*v = int64(u)
}

func (c *codec) u32(v *uint32) {
	u := uint64(*v)
	c.u64(&u, 4)
	*v = uint32(u)
}

func (c *codec) u16(v *uint16) {
	u := uint64(*v)
	c.u64(&u, 2)
	*v = uint16(u)
}

// u8 is a number below limit.
func (c *codec) u8(v *uint8, limit int) {
	u := uint64(*v)
	c.u64(&u, 1)
	if u >= uint64(limit) {
		c.fail("an index out of range")
		u = 0
	}
	*v = uint8(u)
}

// f64 is a finite number.
func (c *codec) f64(v *float64) {
	u := math.Float64bits(*v)
	c.u64(&u, 8)
	*v = math.Float64frombits(u)
	if !finite(*v) {
		c.fail("a number that is not finite")
		*v = 0
	}
}

// spread is a finite number that is not negative.
func (c *codec) spread(v *float64) {
	c.f64(v)
	if *v < 0 {
		c.fail("a negative spread")
		*v = 0
	}
}

// f32 is a finite number, at most of a size that sums of it stay finite.
func (c *codec) f32(v *float32) {
	u := uint64(math.Float32bits(*v))
	c.u64(&u, 4)
	*v = math.Float32frombits(uint32(u))
	if !(math.Abs(float64(*v)) <= 2*farthest) {
		c.fail("a number out of range")
		*v = 0
	}
}

func (c *codec) average(a *average) {
	c.f64(&a.mean)
	c.u32(&a.n)
}

func (c *codec) series(s *Series) {
	c.gate(&s.gate)
	c.f64(&s.origin)
	c.spread(&s.unit)
	c.i64(&s.first)
	c.f64(&s.last)
	c.average(&s.centre)
	c.average(&s.spread)
	c.envelope(&s.day, dayShape)
	c.envelope(&s.half, halfShape)
	c.envelope(&s.month, monthShape)
	c.level(&s.level)
	for i := range s.short.ring {
		c.f32(&s.short.ring[i])
	}
	c.u8(&s.short.at, shortWindow)
	c.u8(&s.short.n, shortWindow+1)
	c.book(&s.values)
	c.book(&s.means)
	for m := range members {
		c.tail(&s.tails[m])
		c.spread(&s.voice[m])
	}
	c.spread(&s.told.surprise)
	c.u32(&s.told.at)
	c.u32(&s.told.points)
	c.u8(&s.bin, dayShape.bins)
}

func (c *codec) gate(g *Gate) {
	c.i64(&g.last)
	c.i64(&g.late)
	c.u32(&g.lates)
	c.u32(&g.points)
	c.average(&g.step)
	for i := range g.refused {
		c.u32(&g.refused[i])
	}
}

func (c *codec) envelope(e *envelope, shape envelopeShape) {
	for i := range shape.bins {
		b := &e.bin[i]
		c.f32(&b.lo)
		c.f32(&b.hi)
		c.f32(&b.mean)
		c.f32(&b.day)
		c.u16(&b.n)
	}
}

func (c *codec) level(l *level) {
	for i := range l.ring {
		c.f32(&l.ring[i])
	}
	c.u8(&l.at, levelWindow)
	c.u8(&l.n, levelWindow+1)
	c.average(&l.long)
	c.average(&l.spread)
	c.average(&l.turns)
}

func (c *codec) book(b *book) {
	c.u8(&b.used, bookSize+1)
	for i := range b.used {
		c.f32(&b.value[i])
		c.u32(&b.seen[i])
	}
}

// tail keeps its values falling and above 0.
func (c *codec) tail(t *tail) {
	c.u8(&t.kept, tailDepth+1)
	for i := range t.kept {
		c.f32(&t.top[i])
		if t.top[i] <= 0 || i > 0 && t.top[i] > t.top[i-1] {
			c.fail("a tail out of order")
			t.top[i] = 1
		}
	}
	c.u32(&t.n)
	c.u8(&t.age, tailFade)
}
