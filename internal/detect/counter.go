package detect

import "time"

// Counter turns a value that only grows into a rate per second. A value less
// than the one before is a counter that began anew, and what it counted since
// is what it now shows.
type Counter struct {
	before float64
	at     time.Time
	has    bool
	resets int
}

// Observe takes the next value and gives the rate since the one before. There
// is none for the first value, for one that is not finite or negative, nor for
// one not later than the one before.
func (c *Counter) Observe(at time.Time, v float64) (perSecond float64, ok bool) {
	if !finite(v) || v < 0 || c.has && !at.After(c.at) {
		return 0, false
	}
	if !c.has {
		c.before, c.at, c.has = v, at, true
		return 0, false
	}
	grown := v - c.before
	if grown < 0 {
		c.resets++
		grown = v
	}
	perSecond = grown / at.Sub(c.at).Seconds()
	c.before, c.at = v, at
	return perSecond, finite(perSecond)
}

// Resets is how often the counter began anew.
func (c *Counter) Resets() int { return c.resets }
