package wire

import (
	"math"
	"time"
)

// Reason is why a span is kept or not.
type Reason uint8

// The reasons. All from ReasonError on keep.
const (
	ReasonDropped       Reason = iota // its probability was too small
	ReasonError                       // its status is error
	ReasonSlow                        // it took longer than SamplerOptions.Slow
	ReasonProbabilistic               // its trace id was drawn
	ReasonTrace                       // another span of its trace is an error or slow
)

// reasons is how many there are.
const reasons = int(ReasonTrace) + 1

func (r Reason) String() string {
	switch r {
	case ReasonDropped:
		return "dropped"
	case ReasonError:
		return "error"
	case ReasonSlow:
		return "slow"
	case ReasonProbabilistic:
		return "probabilistic"
	case ReasonTrace:
		return "trace"
	}
	return "dropped"
}

// SamplerOptions are what a Sampler keeps.
type SamplerOptions struct {
	Rate     float64            // 0 to 1: the share of ordinary spans that is kept
	Services map[string]float64 // the rate of services that have one of their own
	Slow     time.Duration      // longer spans are always kept; 0 or less: length does not matter
}

// Sampler decides which spans are kept: errors and slow ones always, the others
// by their trace id, consistently in every process that knows the same rate. It
// never changes, so that any number of scanners may use it.
type Sampler struct {
	base     *threshold
	services map[string]*threshold
	slow     time.Duration
}

// threshold is the least randomness that is kept, and how it is told.
type threshold struct {
	least uint64 // of 56 bits; maxThreshold: nothing is kept
	field []byte // a tracestate field of a span that has no other, length included
}

// NewSampler makes a Sampler. Rates outside 0 to 1 are moved to the nearer end.
func NewSampler(o SamplerOptions) *Sampler {
	s := &Sampler{base: newThreshold(o.Rate), services: make(map[string]*threshold, len(o.Services)), slow: o.Slow}
	if s.slow <= 0 {
		s.slow = math.MaxInt64
	}
	for service, rate := range o.Services {
		s.services[service] = newThreshold(rate)
	}
	return s
}

// newThreshold rounds to four digits after the leading f's: more would make
// every kept span longer, and the adjusted count follows what is written.
func newThreshold(rate float64) *threshold {
	t := &threshold{least: thresholdOf(rate)}
	if t.least < maxThreshold {
		text := appendTraceState(nil, nil, t.least)
		t.field = append([]byte{tagTraceState, byte(len(text))}, text...)
	}
	return t
}

func thresholdOf(rate float64) uint64 {
	if !(rate > 0) { // NaN too
		return maxThreshold
	}
	if rate >= 1 {
		return 0
	}
	least := min(uint64(math.Round((1-rate)*maxThreshold)), maxThreshold-1) // a rate above zero keeps something
	digits := 4
	for rest := least; digits < 14 && rest>>52&15 == 15; rest <<= 4 {
		digits++
	}
	unit := uint64(1) << (4 * (14 - digits))
	return (least + unit/2) / unit * unit
}

func (s *Sampler) thresholdOf(service []byte) *threshold {
	if len(s.services) > 0 {
		if t, ok := s.services[string(service)]; ok {
			return t
		}
	}
	return s.base
}

// bad says whether a span is kept whatever its trace id, and why.
func (s *Sampler) bad(span *spanFields) Reason {
	if span.status == StatusError {
		return ReasonError
	}
	if span.duration > s.slow {
		return ReasonSlow
	}
	return ReasonDropped
}

// draw decides on an ordinary span. rewrite says that the threshold must be
// told with it; it is not if the span was sampled with a smaller probability
// before, which is never raised.
func (t *threshold) draw(span *spanFields) (keep, rewrite bool) {
	if t.least == 0 {
		return true, false
	}
	random := span.random()
	if len(span.traceState) == 0 {
		return random >= t.least, true
	}
	state := readTraceState(span.traceState)
	if state.hasRandom {
		random = state.random
	}
	if random < t.least {
		return false, false
	}
	// A threshold above the randomness cannot have let the span through.
	earlier := state.hasThreshold && random >= state.threshold && state.threshold >= t.least
	return true, !earlier
}
