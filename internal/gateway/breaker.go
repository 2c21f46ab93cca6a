package gateway

import (
	"sync"
	"time"
)

// BreakerOptions say when a backend is left alone; a zero field takes its
// default.
type BreakerOptions struct {
	FailureThreshold int           // 5 failures in a row open it
	SuccessThreshold int           // 2 successes in a row close it again
	Timeout          time.Duration // 30 s: how long it stays open
	HalfOpenTimeout  time.Duration // 10 s: how long one trial may take before another one is let through
}

func (o BreakerOptions) withDefaults() BreakerOptions {
	if o.FailureThreshold <= 0 {
		o.FailureThreshold = 5
	}
	if o.SuccessThreshold <= 0 {
		o.SuccessThreshold = 2
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.HalfOpenTimeout <= 0 {
		o.HalfOpenTimeout = 10 * time.Second
	}
	return o
}

// BreakerState is what a breaker does with calls.
type BreakerState uint8

// The states of a breaker.
const (
	BreakerClosed   BreakerState = iota // lets all through
	BreakerOpen                         // lets none through
	BreakerHalfOpen                     // lets one through at a time
)

func (s BreakerState) String() string {
	switch s {
	case BreakerClosed:
		return "closed"
	case BreakerOpen:
		return "open"
	case BreakerHalfOpen:
		return "half_open"
	}
	return "closed"
}

// breaker keeps calls from a backend that fails. Time is an argument.
type breaker struct {
	opts BreakerOptions

	mu        sync.Mutex
	state     BreakerState
	failures  int // in a row, while closed
	successes int // in a row, while half open
	opened    time.Time
	trial     time.Time // begin of the trial that runs, zero if none does
	times     uint64    // it was opened
}

// allow reports whether a call may be made now; whoever makes it must call
// ended. If not, wait is how long at least.
func (b *breaker) allow(now time.Time) (ok bool, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch b.state {
	case BreakerClosed:
		return true, 0
	case BreakerOpen:
		if rest := b.opts.Timeout - now.Sub(b.opened); rest > 0 {
			return false, rest
		}
		b.state, b.successes, b.trial = BreakerHalfOpen, 0, now
		return true, 0
	case BreakerHalfOpen:
		if rest := b.opts.HalfOpenTimeout - now.Sub(b.trial); !b.trial.IsZero() && rest > 0 {
			return false, rest
		}
		b.trial = now
		return true, 0
	}
	return true, 0
}

// ended tells how a call ended.
func (b *breaker) ended(ok bool, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trial = time.Time{}
	switch b.state {
	case BreakerClosed:
		if ok {
			b.failures = 0
			return
		}
		if b.failures++; b.failures >= b.opts.FailureThreshold {
			b.open(now)
		}
	case BreakerHalfOpen:
		if !ok {
			b.open(now)
			return
		}
		if b.successes++; b.successes >= b.opts.SuccessThreshold {
			b.state, b.failures = BreakerClosed, 0
		}
	case BreakerOpen: // a call from before it was opened
	}
}

func (b *breaker) open(now time.Time) {
	b.state, b.opened, b.failures = BreakerOpen, now, 0
	b.times++
}

func (b *breaker) stats() (state BreakerState, opened uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state, b.times
}
