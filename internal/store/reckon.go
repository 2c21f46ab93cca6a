package store

import "time"

// agreeWithin is how far the store's clock may be from the time that passed: a
// store that answers slowly, or a clock that is kept right, is not further off.
const agreeWithin = 10 * time.Second

// freshFor is how old a mark of another server may be to say what it believes
// now: three times as long as servers wait before they leave the next.
const freshFor = 30 * time.Second

// reckoning is the pure part of a Clock. Every passed is the time since the
// clock was made.
//
// What it believes about the store's clock:
//
//   - A difference within agreeWithin is followed: forward at once, back by
//     counting half as fast until the two meet.
//   - Ahead by more: moved. It counts on by itself, and believes the store once
//     the difference was steady for hold. It believes it at once if another
//     server does, since then it is this one that stood still.
//   - Behind by more: moved. It counts half as fast until the store's clock has
//     caught up, because what was said cannot be taken back.
type reckoning struct {
	hold time.Duration

	at     time.Time     // the time agreed on ...
	passed time.Duration // ... then
	excess time.Duration // what is to be lost by counting slowly from then on

	met    bool          // it agreed with the store once
	by     time.Duration // the store's clock is moved by this; 0: it is not
	since  time.Time     // when that was first seen
	first  time.Duration // by, when it began to be steady
	steady time.Duration // when that was
	lost   time.Duration // by counting slowly, since the store's clock was first moved
	leapt  time.Time     // when a move forward was last believed
	slow   time.Time     // when it last counted slowly after a move back
}

func (r *reckoning) now(passed time.Duration) time.Time {
	elapsed := passed - r.passed
	return r.at.Add(elapsed - r.slowed(elapsed))
}

// slowed is how much of the excess is lost while some time passes.
func (r *reckoning) slowed(elapsed time.Duration) time.Duration { return min(elapsed/2, r.excess) }

// moved gives by how much the store's clock is moved, and since when.
func (r *reckoning) moved() (time.Duration, time.Time) { return r.by, r.since }

// begin takes up what was agreed on before this start.
func (r *reckoning) begin(passed time.Duration, told time.Time, doubt time.Duration, last Mark, floor time.Time) {
	r.passed, r.at = passed, told
	switch since := told.Sub(last.Told); {
	case last.Agreed.IsZero():
	case since >= -agreeWithin && since <= r.hold: // servers agreed a moment ago: what was moved then is moved now
		r.at, r.met = last.Agreed.Add(since), true
	case last.Agreed.After(floor):
		floor = last.Agreed
	}
	if floor.Sub(r.at) > agreeWithin {
		r.at, r.met = floor, false
	}
	r.observe(passed, told, doubt, Mark{})
}

// observe takes in that the store told a time, which may be wrong by doubt, and
// what another server believes, if it left a mark.
func (r *reckoning) observe(passed time.Duration, told time.Time, doubt time.Duration, others Mark) {
	now := r.now(passed)
	slowed := r.slowed(passed - r.passed)
	r.at, r.passed, r.excess = now, passed, r.excess-slowed
	if r.by < 0 {
		r.lost, r.slow = r.lost+slowed, now
	}
	off := told.Sub(now)
	switch {
	case off < -agreeWithin:
		r.begun()
		r.by, r.excess = off, -off
	case off <= agreeWithin+r.lost:
		r.agree(off, doubt)
	case !r.met || believes(others, told):
		r.agree(off, doubt)
	default:
		r.ahead(off, passed)
	}
}

// agree ends every move and follows the store's clock, if it is further off
// than can be told.
func (r *reckoning) agree(off, doubt time.Duration) {
	r.met, r.by, r.since, r.lost, r.excess = true, 0, time.Time{}, 0, 0
	switch {
	case off > doubt:
		if r.at = r.at.Add(off); off > agreeWithin {
			r.leapt = r.at
		}
	case off < -doubt:
		r.excess = -off
	}
}

func (r *reckoning) ahead(off, passed time.Duration) {
	r.begun()
	if r.by <= 0 {
		r.first, r.steady = off, passed
	}
	if change := off - r.first; change > agreeWithin || change < -agreeWithin {
		r.first, r.steady = off, passed
	}
	r.by, r.excess = off, 0
	if passed-r.steady >= r.hold {
		r.agree(off, 0)
	}
}

// begun notes the time of the first sign of a move.
func (r *reckoning) begun() {
	if r.by == 0 {
		r.since = r.at
	}
}

// believes reports whether the server that left a mark a moment ago agrees with
// the store's clock.
func believes(m Mark, told time.Time) bool {
	if age := told.Sub(m.Told); m.Agreed.IsZero() || age < 0 || age > freshFor {
		return false
	}
	off := m.Told.Sub(m.Agreed)
	return off <= agreeWithin && off >= -agreeWithin
}
