package detect

import (
	"math"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// savedVersion is the first byte of the saved state of a single detector, a
// trend or a counter; the second says which of them it is.
const savedVersion = 1

// Saved is what has a state that can be saved: the single detectors, Trend and
// Counter. Series and Joint have forms of their own.
type Saved interface {
	code(c *codec)
}

// kinds are what can be saved. Their order is part of the saved form: new ones
// go to the end.
var kinds = []struct {
	is   func(Saved) bool
	make func() Saved
}{
	{is[*EWMA], func() Saved { return NewEWMA(0) }},
	{is[*ThreeSigma], func() Saved { return NewThreeSigma() }},
	{is[*Robust], func() Saved { return NewRobust() }},
	{is[*Season], func() Saved { return NewSeason(false) }},
	{is[*ChangePoint], func() Saved { return NewChangePoint() }},
	{is[*Rate], func() Saved { return NewRate() }},
	{is[*Trend], func() Saved { return NewTrend(0) }},
	{is[*Counter], func() Saved { return new(Counter) }},
}

func is[T Saved](s Saved) bool {
	_, ok := s.(T)
	return ok
}

// Save adds the state of s to b. What is restored from it goes on as s would.
func Save(b []byte, s Saved) []byte {
	for k, kind := range kinds {
		if kind.is(s) {
			c := codec{out: append(b, savedVersion, byte(k))}
			s.code(&c)
			return c.out
		}
	}
	return b // there is no other: code is not exported
}

// Restore reads what Save wrote of one kind of T: Restore[*EWMA](b).
func Restore[T Saved](b []byte) (T, error) {
	const op = "detect.Restore"
	var none T
	if len(b) < 2 || b[0] != savedVersion || int(b[1]) >= len(kinds) {
		return none, heal.Errorf(heal.Invalid, op, "state of %d bytes, expected one that begins with version %d and a kind", len(b), savedVersion)
	}
	made, ok := kinds[b[1]].make().(T)
	if !ok {
		return none, heal.Errorf(heal.Invalid, op, "state is of kind %d, expected another", b[1])
	}
	c := codec{in: b[2:], reading: true}
	made.code(&c)
	if c.bad == "" && len(c.in) > 0 {
		c.bad = "more than it says"
	}
	if c.bad != "" {
		return none, heal.Errorf(heal.Invalid, op, "state of %T holds %s", made, c.bad)
	}
	return made, nil
}

// values are numbers of the size a single detector takes.
func (c *codec) values(list ...*float64) {
	for _, v := range list {
		c.f64(v)
		if abs(*v) > 2*farValue {
			c.fail("a number out of range")
			*v = 0
		}
	}
}

// sums are of squares of such numbers at most.
func (c *codec) sums(list ...*float64) {
	for _, v := range list {
		c.f64(v)
		if abs(*v) > 1e300 {
			c.fail("a number out of range")
			*v = 0
		}
	}
}

// spreads are sums that are not negative.
func (c *codec) spreads(list ...*float64) {
	c.sums(list...)
	for _, v := range list {
		if *v < 0 {
			c.fail("a negative spread")
			*v = 0
		}
	}
}

func (c *codec) count(n *int) {
	u := uint32(min(uint64(max(*n, 0)), math.MaxInt32))
	c.u32(&u)
	if u > math.MaxInt32 {
		c.fail("a count out of range")
		u = 0
	}
	*n = int(u)
}

func (c *codec) flag(b *bool) {
	var u uint8
	if *b {
		u = 1
	}
	c.u8(&u, 2)
	*b = u == 1
}

// time is to the nanosecond, in UTC. The zero time stays what it is.
func (c *codec) time(t *time.Time) {
	set := !t.IsZero()
	c.flag(&set)
	nanos := int64(0)
	if set {
		nanos = t.UnixNano()
	}
	c.i64(&nanos)
	*t = time.Time{}
	if set {
		*t = time.Unix(0, nanos).UTC()
	}
}

func (c *codec) usual(a *average) {
	c.spreads(&a.mean)
	c.u32(&a.n)
}

func (e *EWMA) code(c *codec) {
	c.f64(&e.alpha)
	if !(e.alpha > 0 && e.alpha <= 1) {
		c.fail("a weight out of range")
		e.alpha = 1
	}
	c.values(&e.mean, &e.value)
	c.spreads(&e.variance)
	c.f64(&e.z)
	c.count(&e.n)
}

func (s *ThreeSigma) code(c *codec) {
	c.values(&s.mean, &s.value)
	c.spreads(&s.n, &s.squares)
	c.f64(&s.z)
}

func (r *Robust) code(c *codec) {
	at, n := uint8(r.at), uint8(r.n)
	c.u8(&at, robustWindow)
	c.u8(&n, robustWindow+1)
	if n < robustWindow && at != n {
		c.fail("an index out of range")
		at, n = 0, 0
	}
	r.at, r.n = int(at), int(n)
	for i := range r.n {
		c.values(&r.ring[i])
	}
	c.values(&r.median, &r.value)
	c.f64(&r.z)
	copy(r.sorted[:], r.ring[:r.n])
	slices.Sort(r.sorted[:r.n])
}

func (s *Season) code(c *codec) {
	c.flag(&s.weekly)
	hours := 24
	if s.weekly {
		hours = len(s.hour)
	}
	for i := range hours {
		h := &s.hour[i]
		c.values(&h.level.mean)
		c.u32(&h.level.n)
		c.usual(&h.spread)
	}
	c.usual(&s.spread)
	c.values(&s.value, &s.usual)
	c.f64(&s.z)
}

func (c *ChangePoint) code(to *codec) {
	to.values(&c.mean, &c.value)
	to.spreads(&c.n, &c.squares, &c.up, &c.down, &c.sum)
	to.count(&c.upRun)
	to.count(&c.downRun)
	to.count(&c.since)
}

func (r *Rate) code(c *codec) {
	c.values(&r.before)
	c.time(&r.at)
	c.flag(&r.has)
	c.usual(&r.usual)
	c.sums(&r.rate)
	c.f64(&r.z)
}

func (t *Trend) code(c *codec) {
	c.spreads(&t.memory)
	if t.memory == 0 {
		c.fail("no memory")
		t.memory = 1
	}
	c.time(&t.at)
	c.values(&t.base)
	c.sums(&t.t, &t.v, &t.tv)
	if t.t > 0 {
		c.fail("points after the last one")
		t.t = 0
	}
	c.spreads(&t.w, &t.tt, &t.vv, &t.first)
	c.count(&t.n)
}

func (c *Counter) code(to *codec) {
	to.spread(&c.before)
	to.time(&c.at)
	to.flag(&c.has)
	to.count(&c.resets)
}
