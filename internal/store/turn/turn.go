// Package turn is a lock with a bounded queue, first come first served. Unlike
// a mutex, its holder can hand it to the next in line without letting go of
// what it guards, which is how updates share one transaction.
//
// Its one invariant: one at a time has the turn, and who gives up waiting for
// it holds up nobody. It is not for locks between processes.
package turn

import (
	"context"
	"slices"
	"sync"

	"github.com/homeostat/homeostat/internal/heal"
)

// Turn is the lock. Set Limit before its first use.
type Turn struct {
	Limit int // most that may wait, more are refused

	mu      sync.Mutex
	held    bool
	closed  bool
	queue   []chan struct{} // closed to wake the one who waits on it
	refused uint64
}

// Take waits for the turn. Every error is Transient: the turn is closed, too
// many wait already, or ctx ended.
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
	case len(t.queue) >= t.Limit:
		t.refused++
		t.mu.Unlock()
		return heal.Errorf(heal.Transient, op, "%d updates wait already; try again", t.Limit)
	}
	mine := make(chan struct{})
	t.queue = append(t.queue, mine)
	t.mu.Unlock()

	select {
	case <-mine:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	at := slices.Index(t.queue, mine)
	if at < 0 {
		return nil // the turn came at the same moment and must be passed on
	}
	t.queue = slices.Delete(t.queue, at, at+1)
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

// next wakes the first in line; the caller holds mu.
func (t *Turn) next() bool {
	if len(t.queue) == 0 {
		return false
	}
	close(t.queue[0])
	t.queue = slices.Delete(t.queue, 0, 1)
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
	t.queue = append(t.queue, mine)
	t.mu.Unlock()
	<-mine
	return true
}

// Stats gives how many wait now and how many were refused so far.
func (t *Turn) Stats() (waiting int, refused uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.queue), t.refused
}
