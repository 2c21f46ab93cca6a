package gateway

import (
	"sync"
	"time"
)

// durationBounds are the upper bounds of the buckets for export durations.
var durationBounds = [...]time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// durations is a histogram.
type durations struct {
	mu    sync.Mutex
	stats DurationStats
}

// DurationStats counts durations.
type DurationStats struct {
	Counts [len(durationBounds) + 1]uint64 // not cumulative; the last is what is above all bounds
	Count  uint64
	Sum    time.Duration
	Last   time.Duration
}

// Bounds gives the upper bounds of Counts.
func (DurationStats) Bounds() []time.Duration { return durationBounds[:] }

func (d *durations) observe(took time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := 0
	for i < len(durationBounds) && took > durationBounds[i] {
		i++
	}
	d.stats.Counts[i]++
	d.stats.Count++
	d.stats.Sum += took
	d.stats.Last = took
}

func (d *durations) load() DurationStats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stats
}
