package engine

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// errGone says that a job needs no work any more.
var errGone = errors.New("the step is not due any more")

// try is one claimed try, ready for its driver.
type try struct {
	key  heal.StepKey
	job  job
	spec action.Spec
	work Work
}

// handle works on one due job.
func (e *Engine) handle(ctx context.Context, j job) {
	var err error
	switch j.State {
	case jobWake:
		err = e.tick(ctx, j)
	case jobAsleep:
		err = e.finishWait(ctx, j)
	case jobReady:
		err = e.begin(ctx, j)
	case jobClaimed:
		err = e.takeOver(ctx, j)
	}
	if err == nil || errors.Is(err, errGone) || ctx.Err() != nil {
		return
	}
	e.opts.Logger.Error("work on step", slog.String("step", j.Key), slog.String("run", string(j.Run)), slog.Any("error", err))
	e.postpone(ctx)
}

// postpone keeps work that cannot be done now (the store is full, say) from
// spinning.
func (e *Engine) postpone(ctx context.Context) {
	timer := time.NewTimer(e.opts.Poll)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (e *Engine) tick(ctx context.Context, j job) error {
	return e.change(ctx, j.Run, func(tx store.Tx, _ heal.Run) (Event, error) {
		if err := tx.Delete(store.Steps, j.Key); err != nil {
			return nil, gone(err)
		}
		return Tick{}, nil
	})
}

func gone(err error) error {
	if heal.Is(err, heal.NotFound) {
		return errGone
	}
	return err
}

// change applies one event to a run in a transaction of its own.
func (e *Engine) change(ctx context.Context, id heal.RunID, event func(store.Tx, heal.Run) (Event, error)) error {
	var out applied
	err := e.store.Update(ctx, func(tx store.Tx) error {
		run, book, err := e.load(tx, id)
		if err != nil {
			return err
		}
		ev, err := event(tx, run.Value)
		if err != nil {
			return err
		}
		out, err = e.apply(tx, run, book.Plan(), ev, e.opts.Clock())
		return err
	})
	if err == nil {
		e.after(ctx, out)
	}
	return err
}

// after does what a durable change calls for.
func (e *Engine) after(ctx context.Context, out applied) {
	e.opts.Metrics.ended(ctx, out.was, out.run.State)
	for _, f := range out.committed {
		f()
	}
	if out.interrupt {
		e.interrupt(out.run.ID)
	}
	e.goOn(out)
}

// goOn lets the dispatcher know what a durable change made due.
func (e *Engine) goOn(out applied) {
	for _, j := range out.ready {
		e.hand(j)
	}
	if out.soon {
		e.Nudge()
	}
}

// begin brings a due try to its driver: conditions first, then the claim, then
// the call.
func (e *Engine) begin(ctx context.Context, j job) error {
	key, err := heal.ParseStepKey(j.Key)
	if err != nil {
		return err
	}
	var run store.Stored[heal.Run]
	var book Book
	err = e.store.View(ctx, func(r store.Reader) error {
		run, book, err = e.load(r, key.Run)
		return err
	})
	if err != nil {
		return err
	}
	if !key.Undo {
		ok, why, err := e.holds(ctx, book, &run.Value, key)
		if err != nil {
			return e.stillborn(ctx, j, key, err)
		}
		if !ok {
			return e.resolve(ctx, j, func(heal.Run) Event { return Skipped{Key: key, Why: why} })
		}
	}
	work, err := book.Work(&run.Value, key.Task, key.Undo)
	if err != nil {
		return e.stillborn(ctx, j, key, err)
	}
	spec, ok := e.drivers.Spec(work.Action)
	if !ok {
		return e.stillborn(ctx, j, key, heal.Errorf(heal.Invalid, "task "+key.Task, "there is no action %q here", work.Action))
	}
	t := try{key: key, spec: spec, work: work}
	if err := e.claim(ctx, j, &t); err != nil {
		return err
	}
	if t.job.State == jobAsleep {
		return nil
	}
	return e.perform(ctx, t)
}

// holds asks the conditions of a task, live ones with a deadline.
func (e *Engine) holds(ctx context.Context, book Book, run *heal.Run, key heal.StepKey) (ok bool, why string, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Lease)
	defer cancel()
	return book.Conditions(ctx, run, key.Task, e.opts.Live)
}

// stillborn fails a try that could not even be asked of a driver.
func (e *Engine) stillborn(ctx context.Context, j job, key heal.StepKey, cause error) error {
	return e.resolve(ctx, j, func(heal.Run) Event {
		return Failed{Key: key, Kind: heal.KindOf(cause), Error: cause.Error(), Unstarted: true, Roll: e.roll()}
	})
}

// resolve removes a ready job and applies what became of it instead of a call.
func (e *Engine) resolve(ctx context.Context, j job, event func(heal.Run) Event) error {
	var ev Event
	var action string
	err := e.change(ctx, j.Run, func(tx store.Tx, run heal.Run) (Event, error) {
		if err := e.still(tx, j); err != nil {
			return nil, err
		}
		if err := tx.Delete(store.Steps, j.Key); err != nil {
			return nil, err
		}
		ev = event(run)
		action = actionOf(&run, j.Key)
		return ev, nil
	})
	if err == nil {
		e.opts.Metrics.step(ctx, action, ev)
	}
	if heal.Is(err, heal.Conflict) {
		return e.discard(ctx, j)
	}
	return err
}

// still checks that the job is as it was when it was found due.
func (e *Engine) still(tx store.Tx, j job) error {
	row, err := jobKind.Get(tx, j.Key)
	if err != nil {
		return gone(err)
	}
	if row.Value.State != j.State || row.Value.Epoch != j.Epoch {
		return errGone
	}
	return nil
}

// discard removes a job whose run does not want it any more; a paused run
// queues it again when it is resumed.
func (e *Engine) discard(ctx context.Context, j job) error {
	return e.store.Update(ctx, func(tx store.Tx) error {
		if err := e.still(tx, j); err != nil {
			return err
		}
		return tx.Delete(store.Steps, j.Key)
	})
}

// claim reserves the guards' budget, claims the job and journals that the try
// starts, in one transaction. A refusal is made durable instead; the error is
// then errGone.
func (e *Engine) claim(ctx context.Context, j job, t *try) error {
	var out applied
	var refused guard.Rule
	var now time.Time
	err := e.store.Update(ctx, func(tx store.Tx) error {
		refused = ""
		if err := e.still(tx, j); err != nil {
			return err
		}
		run, book, err := e.load(tx, j.Run)
		if err != nil {
			return err
		}
		now = e.opts.Clock()
		verdict, fence, err := guard.Reserve(tx, request(&run.Value, t), t.key.Task, e.opts.Limits, now)
		if err != nil {
			return err
		}
		if !verdict.Allowed() {
			refused = verdict.Rule
			if err := tx.Delete(store.Steps, j.Key); err != nil {
				return err
			}
			ev := Refused{Key: t.key, Reason: verdict.Reason, Retry: verdict.Retry, Pause: verdict.Pause}
			out, err = e.apply(tx, run, book.Plan(), ev, now)
			return err
		}
		t.job = e.claimOf(j, t, fence, now)
		if _, err := jobKind.Put(tx, &t.job, store.Any); err != nil {
			return err
		}
		if err := e.journalStart(tx, t, now); err != nil {
			return err
		}
		out, err = e.apply(tx, run, book.Plan(), Started{Key: t.key}, now)
		out.soon = out.soon || t.job.State == jobAsleep && e.soon(t.job.Due, now)
		return err
	})
	if heal.Is(err, heal.Conflict) {
		if err := e.discard(ctx, j); err != nil {
			return err
		}
		return errGone
	}
	if err != nil {
		return err
	}
	e.after(ctx, out)
	if refused != "" {
		e.opts.Metrics.refused(ctx, refused)
		return errGone
	}
	e.opts.Metrics.started(ctx, now.Sub(j.Due))
	return nil
}

// claimOf is the job once claimed. A wait is not claimed but put to sleep: its
// timer is the row itself.
func (e *Engine) claimOf(j job, t *try, fence int64, now time.Time) job {
	j.Epoch++
	j.Fence = fence
	if wait, ok := waiting(t.work); ok {
		j.State, j.Due = jobAsleep, now.Add(wait)
		return j
	}
	j.State, j.Owner, j.Lease = jobClaimed, e.opts.Owner, now.Add(e.opts.Lease)
	return j
}

// ActionWait is the action that the engine carries out itself, as a durable
// timer.
const ActionWait = "wait.for"

func waiting(w Work) (time.Duration, bool) {
	if w.Action != ActionWait {
		return 0, false
	}
	d, ok := w.Params["duration"].(time.Duration)
	return d, ok
}

func (e *Engine) journalStart(tx store.Tx, t *try, now time.Time) error {
	_, err := journalKind.Put(tx, &Entry{
		Run: t.key.Run, At: now, Phase: PhaseStarted, Step: t.key.String(), Epoch: t.job.Epoch,
		Action: t.work.Action, Target: t.work.Target, Params: printable(t.work.Params),
	}, store.Any)
	return err
}

func request(run *heal.Run, t *try) guard.Request {
	return guard.Request{
		Run: run.ID, Incident: run.IncidentID, Attempt: run.Attempt, Target: t.work.Target, Scope: run.Scope,
		Action: t.work.Action, Impact: t.spec.Impact, Touches: t.spec.Touches(), Undo: t.key.Undo,
	}
}

// finishWait ends a wait whose time is over.
func (e *Engine) finishWait(ctx context.Context, j job) error {
	key, err := heal.ParseStepKey(j.Key)
	if err != nil {
		return err
	}
	return e.resolve(ctx, j, func(heal.Run) Event { return Finished{Key: key} })
}
