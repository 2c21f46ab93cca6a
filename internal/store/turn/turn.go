// Package turn is a lock with a bounded queue, first come first served, but for
// those somebody waits for, who go before the others. Unlike a mutex, its
// holder can hand it to the next in line without letting go of what it guards,
// which is how updates share one transaction.
//
// Its one invariant: one at a time has the turn, who gives up waiting for it
// holds up nobody, and nobody in line waits for ever. It is not for locks
// between processes.
package turn

import (
	"context"
	"slices"
	"sync"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// mostAhead is how many awaited ones may go before one who came earlier and is
// not awaited.
const mostAhead = 8

// Turn is the lock. Set Limit before its first use.
type Turn struct {
	Limit int // most that may wait, more are refused

	mu      sync.Mutex
	held    bool
	closed  bool
	awaited []chan struct{} // closed to wake the one who waits on it
	others  []chan struct{}
	ahead   int           // awaited ones that went before others in a row
	closing chan struct{} // who closes waits behind all
	refused uint64
}

// Take waits for the turn; store.Awaited in ctx lets it come earlier. Every
// error is Transient: the turn is closed, too many wait already, or ctx ended.
func (t *Turn) Take(ctx context.Context) error {
	const op = "wait for the writer"
	t.mu.Lock()
	switch {
	case t.closed:
		t.mu.Unlock()
		return heal.Errorf(heal.Transient, op, "the store is closed")
	case !t.held:
		t.held = true
		t.mu.Unlock()
		return nil
	case len(t.awaited)+len(t.others) >= t.Limit:
		t.refused++
		t.mu.Unlock()
		return heal.Errorf(heal.Transient, op, "%d updates wait already; try again", t.Limit)
	}
	line := &t.others
	if store.IsAwaited(ctx) {
		line = &t.awaited
	}
	mine := make(chan struct{})
	*line = append(*line, mine)
	t.mu.Unlock()

	select {
	case <-mine:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	at := slices.Index(*line, mine)
	if at < 0 {
		return nil // the turn came at the same moment and must be passed on
	}
	*line = slices.Delete(*line, at, at+1)
	return heal.Errorf(heal.Transient, op, "%w", ctx.Err())
}

// Pass hands the turn to the next in line; false if nobody waits, then the
// caller still holds it.
func (t *Turn) Pass() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.next()
}

// Free lets go of the turn.
func (t *Turn) Free() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held = t.next()
}

// next wakes the next in line; the caller holds mu.
func (t *Turn) next() bool {
	line := &t.awaited
	switch {
	case len(t.awaited)+len(t.others) == 0:
		return t.last()
	case len(t.others) == 0:
		t.ahead = 0
	case len(t.awaited) == 0 || t.ahead == mostAhead:
		line, t.ahead = &t.others, 0
	default:
		t.ahead++
	}
	close((*line)[0])
	*line = slices.Delete(*line, 0, 1)
	return true
}

// last wakes who closes.
func (t *Turn) last() bool {
	if t.closing == nil {
		return false
	}
	close(t.closing)
	t.closing = nil
	return true
}

// Close refuses newcomers and waits for the turn behind all that are in line;
// it is never given back. It reports false if it was closed before.
func (t *Turn) Close() bool {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return false
	}
	t.closed = true
	if !t.held {
		t.held = true
		t.mu.Unlock()
		return true
	}
	mine := make(chan struct{})
	t.closing = mine
	t.mu.Unlock()
	<-mine
	return true
}

// Stats gives how many wait now and how many were refused so far.
func (t *Turn) Stats() (waiting int, refused uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	waiting = len(t.awaited) + len(t.others)
	if t.closing != nil {
		waiting++
	}
	return waiting, t.refused
}
