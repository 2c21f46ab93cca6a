package sqlite

import (
	"context"
	"slices"
	"sync"

	"github.com/homeostat/homeostat/internal/heal"
)

// turn is a lock with a bounded queue, first come first served. Unlike a
// mutex, its holder can hand it to the next in line without letting go of what
// it guards, which is how updates share one transaction.
type turn struct {
	limit int // most that may wait

	mu      sync.Mutex
	held    bool
	closed  bool
	queue   []chan struct{} // closed to wake the one who waits on it
	refused uint64
}

// take waits for the turn.
func (t *turn) take(ctx context.Context) error {
	const op = "wait for the writer"
	t.mu.Lock()
	switch {
	case t.closed:
		t.mu.Unlock()
		return errClosed(op)
	case !t.held:
		t.held = true
		t.mu.Unlock()
		return nil
	case len(t.queue) >= t.limit:
		t.refused++
		t.mu.Unlock()
		return heal.Errorf(heal.Transient, op, "%d updates wait already; try again", t.limit)
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

// pass hands the turn to the next in line; false if nobody waits, then the
// caller still holds it.
func (t *turn) pass() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) == 0 {
		return false
	}
	close(t.queue[0])
	t.queue = slices.Delete(t.queue, 0, 1)
	return true
}

// free lets go of the turn.
func (t *turn) free() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) == 0 {
		t.held = false
		return
	}
	close(t.queue[0])
	t.queue = slices.Delete(t.queue, 0, 1)
}

// close refuses newcomers and waits for the turn behind all that are in line;
// it is never given back. It reports false if it was closed before.
func (t *turn) close() bool {
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

func (t *turn) stats() (waiting int, refused uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.queue), t.refused
}
