package detect

// levelWindow is over how many points a level is taken, half of them its newer
// half.
const levelWindow = 96

// longMemory is what a point weighs at least in what is known of a series in
// the long run: 5,000 points, 17 days of 5 minutes.
const longMemory = 0.0002

// level holds the last points. It compares their mean with the mean of all such
// means, and the mean of their newer half with that of the older one, each in
// units of how far these usually are apart. The first sees shifts too small for
// any single point, the second when one began.
type level struct {
	ring   [levelWindow]float32
	at, n  uint8   // the next place; how many are set
	long   average // of the means
	spread average // of how far they are from long
	turns  average // of how far the halves are apart
}

func (l *level) observe(v float64) (shift, turn float64) {
	l.ring[l.at] = float32(v)
	l.at = (l.at + 1) % levelWindow
	if l.n < levelWindow {
		l.n++
	}
	if l.n < levelWindow {
		return 0, 0
	}
	older, newer := l.halves()
	mean := older/2 + newer/2
	if l.long.n > 0 {
		off := abs(mean - l.long.mean)
		shift = against(&l.spread, off)
	}
	l.long.add(mean, longMemory)
	return shift, against(&l.turns, abs(newer-older))
}

// against is a distance in units of what such distances were; it is added to
// them.
func against(usual *average, off float64) float64 {
	out := 0.0
	if usual.n > 2 && usual.mean > 0 {
		out = units(off, usual.mean)
	}
	usual.add(off, longMemory)
	return out
}

// halves are the means of the older and the newer half. They are summed up anew
// each time: a sum that is kept would remember for ever what it lost beside a
// huge value.
func (l *level) halves() (older, newer float64) {
	const half = levelWindow / 2
	at := int(l.at) // the oldest
	var low, high, wrapped float64
	for _, v := range l.ring[:at%half] {
		wrapped += float64(v)
	}
	for _, v := range l.ring[at%half : at%half+half] {
		low += float64(v)
	}
	for _, v := range l.ring[at%half+half:] {
		high += float64(v)
	}
	// The slice in the middle is one half, what is around it the other.
	if at < half {
		return low / half, (high + wrapped) / half
	}
	return (high + wrapped) / half, low / half
}

// forget drops the last points, as after a gap: a mean over both its sides
// would be of nothing.
func (l *level) forget() { l.n, l.at = 0, 0 }
