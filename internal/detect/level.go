package detect

// levelWindow is over how many points a level is taken.
const levelWindow = 96

// level compares the mean of the last points with the mean of all such means,
// in units of how far it usually is from it. It sees shifts too small for any
// single point.
type level struct {
	ring   [levelWindow]float32
	at, n  uint8
	long   average // of the means
	spread average // of how far they are from it
}

// longMemory is what a point weighs at least in what is known of a series in
// the long run: 5,000 points, 17 days of 5 minutes.
const longMemory = 0.0002

func (l *level) observe(v float64) float64 {
	l.ring[l.at] = float32(v)
	l.at = (l.at + 1) % levelWindow
	if l.n < levelWindow {
		l.n++
	}
	if l.n < levelWindow {
		return 0
	}
	mean := l.mean()
	var out float64
	if l.long.n > 0 {
		off := abs(mean - l.long.mean)
		if l.spread.n > 2 && l.spread.mean > 0 {
			out = abs(units(off, l.spread.mean))
		}
		l.spread.add(off, longMemory)
	}
	l.long.add(mean, longMemory)
	return out
}

// mean is summed up anew each time: a sum that is kept would remember for ever
// what it lost beside a huge value.
func (l *level) mean() float64 {
	var a, b, c, d float64
	for i := 0; i < levelWindow; i += 4 {
		a += float64(l.ring[i])
		b += float64(l.ring[i+1])
		c += float64(l.ring[i+2])
		d += float64(l.ring[i+3])
	}
	return (a + b + c + d) / levelWindow
}

// forget drops the last points, as after a gap: a mean over both its sides
// would be of nothing.
func (l *level) forget() { l.n, l.at = 0, 0 }
