package probe

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// The pace of trying again when the sink refuses, and the longest one call of
// it may take.
const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 10 * time.Second
	sinkTimeout  = 30 * time.Second
)

// outbox hands the transitions of one monitor to the sink. It holds one: a
// newer transition takes the place of one that was not taken yet, because only
// the newest state matters.
type outbox struct {
	set     *Set
	current func() State
	wake    chan struct{} // holds one token while pending is set

	mu      sync.Mutex
	pending *Transition
}

func newOutbox(s *Set, current func() State) *outbox {
	return &outbox{set: s, current: current, wake: make(chan struct{}, 1)}
}

// put never blocks.
func (o *outbox) put(t Transition) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pending != nil {
		o.set.counters.superseded.Add(1)
		t.From = o.pending.From // what the sink knows
	}
	o.pending = &t
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// clear forgets what was not taken yet.
func (o *outbox) clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pending = nil
}

// peek gives the pending transition without taking it out.
func (o *outbox) peek() *Transition {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.pending
}

// taken removes t, unless a newer one has its place already; that one then
// follows from what the sink knows since t.
func (o *outbox) taken(t *Transition) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pending == t {
		o.pending = nil
		return
	}
	if o.pending != nil {
		o.pending.From = t.State.Status
		o.set.counters.superseded.Add(-1) // t was taken after all
	}
}

// run delivers until ctx ends, and reminds while the monitor is down.
func (o *outbox) run(ctx context.Context) {
	remind := time.NewTimer(o.set.opts.Resend)
	defer remind.Stop()
	for {
		if t := o.peek(); t != nil {
			if !o.deliver(ctx) {
				return
			}
			remind.Reset(o.set.opts.Resend)
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-o.wake:
		case <-remind.C:
			o.remind(ctx)
			remind.Reset(o.set.opts.Resend)
		}
	}
}

// deliver calls the sink until it takes what is newest; false if ctx ended.
func (o *outbox) deliver(ctx context.Context) bool {
	for wait := firstBackoff; ; wait = min(2*wait, lastBackoff) {
		t := o.peek()
		err := o.send(ctx, *t)
		if err == nil {
			o.taken(t)
			return true
		}
		o.warn(ctx, *t, err)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
}

// remind repeats a state that still holds. If it is refused, the next reminder
// is its retry.
func (o *outbox) remind(ctx context.Context) {
	s := o.current()
	if s.Status != Down {
		return
	}
	t := Transition{From: Down, State: s, Repeat: true}
	if err := o.send(ctx, t); err != nil {
		o.warn(ctx, t, err)
	}
}

func (o *outbox) send(ctx context.Context, t Transition) error {
	ctx, cancel := context.WithTimeout(ctx, sinkTimeout)
	defer cancel()
	err := o.set.opts.Sink(ctx, t)
	if err != nil {
		o.set.counters.retries.Add(1)
		return err
	}
	o.set.counters.delivered.Add(1)
	return nil
}

func (o *outbox) warn(ctx context.Context, t Transition, err error) {
	o.set.opts.Logger.LogAttrs(ctx, slog.LevelWarn, "state of a monitor was not taken",
		slog.String("monitor", t.State.Name), slog.String("status", string(t.State.Status)), slog.Any("error", err))
}
