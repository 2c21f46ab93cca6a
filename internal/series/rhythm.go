package series

// gapsKept is how many of the newest gaps a rhythm is read from.
const gapsKept = 8

// leastPatience is how long even the most frequent sender may be silent, in ms.
const leastPatience = 10_000

// maxGap bounds one gap, in ms. Longer ones all mean the same: nothing that
// seldom is ended before Options.Lookback.
const maxGap = 1 << 30

// rhythm is when something was last heard of and how regularly. Receipt is in
// ms on the store's own clock, timestamps are those of the sender, in ms.
type rhythm struct {
	seen int64 // received
	at   int64 // newest timestamp
	gaps [gapsKept]uint32
	n    uint64 // gaps so far
}

// beat notes news received at now with a timestamp of at. A gap counts by the
// clock that saw the longer one: a batch of many points arrives at once and a
// queue is emptied in no time, but neither is how often there is news.
func (r *rhythm) beat(now, at int64) {
	gap := max(now-r.seen, at-r.at, 0)
	r.gaps[r.n%gapsKept] = uint32(min(gap, maxGap))
	r.n++
	r.seen, r.at = now, max(r.at, at)
}

// patience is how long silence means nothing: three usual gaps, and half as
// long again as the longest of the last few. The usual gap is the second
// longest, so that one pause does not count for much and a habit of pausing
// does; of few gaps it is the longest. It is unknown before the first gap.
func (r *rhythm) patience() (ms int64, known bool) {
	var longest, second int64
	kept := min(r.n, gapsKept)
	for _, g := range r.gaps[:kept] {
		switch gap := int64(g); {
		case gap > longest:
			longest, second = gap, longest
		case gap > second:
			second = gap
		}
	}
	usual := second
	if kept < gapsKept/2 {
		usual = longest
	}
	return max(3*usual, longest*3/2, leastPatience), kept > 0
}
