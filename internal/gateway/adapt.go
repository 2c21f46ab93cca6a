package gateway

import (
	"math"
	"slices"
	"sync"
	"time"
)

// BatchOptions say how large batches are; a zero field takes its default.
type BatchOptions struct {
	Start, Least, Most int           // 1,000, 100 and 10,000 items
	Timeout            time.Duration // 200 ms: an older batch is sent although it is small
	Target             time.Duration // 100 ms: the p95 of export latency above which batches shrink
	Every              time.Duration // 30 s between two changes
	MaxBytes           int           // 3 MiB; one request that is larger is sent alone. Receivers take 4 MiB by default
}

func (o BatchOptions) withDefaults() BatchOptions {
	set := func(field *int, def int) {
		if *field <= 0 {
			*field = def
		}
	}
	setTime := func(field *time.Duration, def time.Duration) {
		if *field <= 0 {
			*field = def
		}
	}
	set(&o.Start, 1000)
	set(&o.Least, 100)
	set(&o.Most, 10_000)
	set(&o.MaxBytes, 3<<20)
	setTime(&o.Timeout, 200*time.Millisecond)
	setTime(&o.Target, 100*time.Millisecond)
	setTime(&o.Every, 30*time.Second)
	o.Most = max(o.Most, o.Least)
	o.Start = min(max(o.Start, o.Least), o.Most)
	return o
}

// maxLatencies bounds how many latencies are remembered between two changes;
// later ones replace the oldest.
const maxLatencies = 1024

// adapter finds the size of batches by how long exports take. Time is an
// argument.
type adapter struct {
	opts BatchOptions

	mu        sync.Mutex
	size      float64
	changed   time.Time
	latencies []time.Duration
	at        int
	p95       time.Duration // at the last change
}

func newAdapter(o BatchOptions, now time.Time) *adapter {
	return &adapter{opts: o, size: float64(o.Start), changed: now}
}

// observe notes one export, and changes the size if it is time to.
func (a *adapter) observe(latency time.Duration, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.latencies) < maxLatencies {
		a.latencies = append(a.latencies, latency)
	} else {
		a.latencies[a.at] = latency
		a.at = (a.at + 1) % maxLatencies
	}
	if now.Sub(a.changed) < a.opts.Every {
		return
	}
	slices.Sort(a.latencies)
	a.p95 = a.latencies[int(math.Ceil(0.95*float64(len(a.latencies))))-1]
	factor := 1.1
	if a.p95 > a.opts.Target {
		factor = 0.9
	}
	a.size = min(max(a.size*factor, float64(a.opts.Least)), float64(a.opts.Most))
	a.latencies, a.at, a.changed = a.latencies[:0], 0, now
}

// now gives the size and the latency it was last judged by.
func (a *adapter) now() (items int, p95 time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return int(a.size), a.p95
}

func (a *adapter) items() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return int(a.size)
}
