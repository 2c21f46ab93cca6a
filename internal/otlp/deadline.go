package otlp

import (
	"context"
	"sync"
	"time"
)

// lazyDeadline is a context with a deadline whose timer is made when somebody
// first waits for it. Most requests are taken without waiting, and a timer of
// each would cost more than taking a small one.
type lazyDeadline struct {
	context.Context // the parent

	at     time.Time
	mu     sync.Mutex
	timed  context.Context // nil until Done is asked for
	cancel context.CancelFunc
	ended  bool
}

// within is context.WithTimeout for those who seldom wait. The cancel function
// must be called, as that of context.WithTimeout.
func within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	at := time.Now().Add(limit)
	if earlier, ok := ctx.Deadline(); ok && earlier.Before(at) {
		at = earlier
	}
	d := &lazyDeadline{Context: ctx, at: at}
	return d, d.end
}

func (d *lazyDeadline) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended = true
	if d.cancel != nil {
		d.cancel()
	}
}

// Deadline gives the earlier of the parent's and its own.
func (d *lazyDeadline) Deadline() (time.Time, bool) { return d.at, true }

// Done makes the timer.
func (d *lazyDeadline) Done() <-chan struct{} { return d.timer().Done() }

// Err says whether the time is over, the parent has ended, or it was cancelled.
func (d *lazyDeadline) Err() error {
	d.mu.Lock()
	timed, ended := d.timed, d.ended
	d.mu.Unlock()
	switch {
	case timed != nil:
		return timed.Err()
	case d.Context.Err() != nil:
		return d.Context.Err()
	case !time.Now().Before(d.at):
		return d.timer().Err()
	case ended:
		return context.Canceled
	}
	return nil
}

// Value lets contexts made from this one find the timer, and so hang on it
// without a goroutine of their own.
func (d *lazyDeadline) Value(key any) any {
	d.mu.Lock()
	from := d.timed
	d.mu.Unlock()
	if from == nil {
		from = d.Context
	}
	return from.Value(key)
}

func (d *lazyDeadline) timer() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timed == nil {
		d.timed, d.cancel = context.WithDeadline(d.Context, d.at)
		if d.ended {
			d.cancel()
		}
	}
	return d.timed
}
