package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// perform calls the driver of a claimed try and makes its result durable. It
// gives the try that was claimed with the result, nil if there is none.
func (e *Engine) perform(ctx context.Context, t try) (next *try, err error) {
	traced, end := e.span(ctx, &t)
	call, cancel := context.WithTimeout(traced, t.work.Timeout)
	defer cancel()
	began := e.opts.Clock()
	e.fly(t.job, cancel)
	result, err := e.drivers.Do(call, t.call())
	if ctx.Err() != nil {
		end(nil, ctx.Err())
		return nil, errGone // stopping: the next start finds the claim and looks at the world
	}
	ev := e.judge(traced, t, result, err, call.Err())
	next, err = e.record(traced, t, ev)
	end(ev, err)
	if err == nil {
		e.opts.Metrics.called(ctx, t.work.Action, e.opts.Clock().Sub(began))
	}
	return next, err
}

func (t *try) call() action.Call {
	return action.Call{Key: t.key, Epoch: t.job.Fence, Action: t.work.Action, Target: t.work.Target, Params: t.work.Params}
}

// judge says what a driver's answer means for the run. A call that ended
// without a clear answer is looked into according to what its action promises.
func (e *Engine) judge(ctx context.Context, t try, result action.Result, err, ended error) Event {
	if err == nil {
		return Finished{Key: t.key, Output: result.Output}
	}
	late := errors.Is(ended, context.DeadlineExceeded)
	if ended == nil && !heal.Is(err, heal.Unknown) {
		return Failed{Key: t.key, Kind: heal.KindOf(err), Error: err.Error(), Roll: e.roll()}
	}
	text := err.Error()
	if late {
		text = fmt.Sprintf("no answer within %s: %v", t.work.Timeout, err)
	}
	switch t.spec.Effect {
	case action.ReadOnly, action.Idempotent:
		return Failed{Key: t.key, Kind: heal.Transient, Error: text, TimedOut: late, Roll: e.roll()}
	case action.Observable:
		if ev := e.look(ctx, t); ev != nil {
			return ev
		}
		return Failed{Key: t.key, Kind: heal.Transient, Error: text, TimedOut: late, Roll: e.roll()}
	case action.Once:
		return e.doubt(t, text)
	}
	return e.doubt(t, text)
}

// look asks the world what became of a try; nil if it did not happen.
func (e *Engine) look(ctx context.Context, t try) Event {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Lease)
	defer cancel()
	seen, err := e.drivers.Observe(ctx, t.call())
	if err != nil {
		return e.doubt(t, "the target could not be asked: "+err.Error())
	}
	switch seen.State {
	case action.Happened:
		return Finished{Key: t.key, Output: seen.Result.Output}
	case action.NotHappened:
		return nil
	case action.CannotTell:
		return e.doubt(t, "the target cannot tell: "+seen.Detail)
	}
	return e.doubt(t, seen.Detail)
}

func (e *Engine) doubt(t try, text string) Event {
	return Uncertain{Key: t.key, Error: text, Ask: Ask{
		Question: fmt.Sprintf("did %s on %s happen? nobody can tell: %s", t.work.Action, t.work.Target, text),
		Owner:    t.work.Owner,
		Within:   e.opts.AskWithin,
	}}
}

// record makes the outcome of a try durable, and with it the claim of the try
// that it gives. It does not give up while the engine runs: the effect is in
// the world and must be known.
func (e *Engine) record(ctx context.Context, t try, ev Event) (next *try, err error) {
	for {
		next, err = e.recordOnce(ctx, t, ev)
		if err == nil {
			e.opts.Metrics.step(ctx, t.work.Action, ev)
		}
		if err == nil || errors.Is(err, errGone) || heal.Is(err, heal.Conflict) || ctx.Err() != nil {
			return next, err
		}
		e.opts.Logger.Error("record the outcome of a step, will try again", slog.String("step", t.key.String()), slog.Any("error", err))
		e.postpone(ctx)
	}
}

func (e *Engine) recordOnce(ctx context.Context, t try, ev Event) (next *try, err error) {
	var refused guard.Rule
	out, err := e.change(ctx, t.key.Run, t.seen, func(d *edit) (err error) {
		if err := d.finish(t.job); err != nil {
			return err // somebody with a higher epoch took over
		}
		entry := Entry{Run: t.key.Run, At: d.now, Phase: PhaseFinished, Step: t.key.String(), Epoch: t.job.Epoch, Action: t.work.Action, Target: t.work.Target, Text: wording(ev)}
		if _, err := journalKind.Put(d.tx, &entry, store.Any); err != nil {
			return err
		}
		if err := d.step(ev); err != nil {
			return err
		}
		next, refused, err = d.goOn()
		return err
	})
	if err != nil {
		return nil, err
	}
	if refused != "" {
		e.opts.Metrics.refused(ctx, refused)
	}
	if next != nil {
		next.seen = &out.memory
		e.pass(t.job, next.job)
		e.opts.Metrics.started(ctx, 0)
	}
	return next, nil
}

// wording says an outcome in the journal's words.
func wording(ev Event) string {
	switch ev := ev.(type) {
	case Finished:
		return "succeeded"
	case Failed:
		return "failed: " + ev.Error
	case Uncertain:
		return "unknown: " + ev.Error
	default:
		return fmt.Sprintf("%T", ev)
	}
}

// roll is a random number in [0,1).
func (e *Engine) roll() float64 {
	var b [8]byte
	if _, err := io.ReadFull(e.opts.Entropy, b[:]); err != nil {
		return 0
	}
	return float64(binary.BigEndian.Uint64(b[:])>>11) / (1 << 53)
}

// reclaim ends the leases of every claim found at the start, when no other
// server can hold one.
func (e *Engine) reclaim(ctx context.Context) error {
	return e.store.Update(ctx, func(tx store.Tx) error {
		rows, err := jobKind.All(tx, store.Query{Where: []store.Cond{{Column: "state", Op: store.Eq, Value: string(jobClaimed)}}})
		for _, row := range rows {
			row.Value.Lease = time.Time{}
			if _, err := jobKind.Put(tx, &row.Value, row.Revision); err != nil {
				return err
			}
		}
		return err
	})
}

// takeOver goes on with a try whose claim was left behind: nobody knows how
// far its driver came.
func (e *Engine) takeOver(ctx context.Context, j job) error {
	key, err := heal.ParseStepKey(j.Key)
	if err != nil {
		return err
	}
	seen, err := e.recall(ctx, j)
	if err != nil {
		return err
	}
	t := try{key: key}
	var broken error
	out, err := e.change(ctx, key.Run, seen, func(d *edit) error {
		if err := d.still(j); err != nil {
			return err
		}
		broken = e.ask(&t, &d.run, d.from.book)
		t.job = e.claimOf(j, &t, j.Fence, d.now)
		if err := d.put(&t.job); err != nil {
			return err
		}
		return journalStart(d.tx, &t, d.now)
	})
	if err != nil {
		return err
	}
	t.seen = &out.memory
	e.opts.Metrics.tookOver(ctx)
	e.fly(t.job, func() {})
	next, err := e.settle(ctx, t, broken)
	if err != nil {
		return err
	}
	return e.carryOn(ctx, next)
}

// settle ends a try that was taken over, or makes its call (again) where that
// does no harm.
func (e *Engine) settle(ctx context.Context, t try, broken error) (next *try, err error) {
	if broken != nil {
		return e.record(ctx, t, e.doubt(t, broken.Error()))
	}
	switch t.spec.Effect {
	case action.ReadOnly, action.Idempotent:
		return e.perform(ctx, t)
	case action.Observable:
		if ev := e.look(ctx, t); ev != nil {
			return e.record(ctx, t, ev)
		}
		return e.perform(ctx, t)
	case action.Once:
	}
	return e.record(ctx, t, e.doubt(t, "the server stopped while it was under way"))
}
