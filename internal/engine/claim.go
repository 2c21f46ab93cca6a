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
	seen *memory // the run as the claim left it
}

// handle works on one due job.
func (e *Engine) handle(ctx context.Context, d due) {
	var err error
	j := d.job
	switch j.State {
	case jobWake:
		err = e.tick(ctx, j)
	case jobAsleep:
		err = e.finishWait(ctx, j)
	case jobReady:
		err = e.begin(ctx, d)
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
func (e *Engine) postpone(ctx context.Context) { pause(ctx, e.opts.Poll) }

// pause waits, or returns early when ctx ends.
func pause(ctx context.Context, rest time.Duration) {
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (e *Engine) tick(ctx context.Context, j job) error {
	_, err := e.change(ctx, j.Run, nil, func(d *edit) error {
		if err := d.tx.Delete(store.Steps, j.Key); err != nil {
			return gone(err)
		}
		return d.step(Tick{})
	})
	return err
}

func gone(err error) error {
	if heal.Is(err, heal.NotFound) {
		return errGone
	}
	return err
}

// after does what a durable change calls for.
func (e *Engine) after(ctx context.Context, out applied) {
	e.opts.Metrics.ended(ctx, out.was, out.run.Value.State)
	for _, f := range out.committed {
		f()
	}
	if out.interrupt {
		e.interrupt(out.run.Value.ID)
	}
	e.goOn(out)
}

// goOn lets the dispatcher know what a durable change made due.
func (e *Engine) goOn(out applied) {
	for _, j := range out.ready {
		e.hand(due{job: j, seen: &out.memory})
	}
	if out.soon {
		e.Nudge()
	}
}

// begin brings a due try to its driver: conditions first, then the claim, then
// the call. It goes on with what the result makes due.
func (e *Engine) begin(ctx context.Context, d due) error {
	t, err := e.prepare(ctx, d)
	if err != nil {
		return err
	}
	if err := e.claim(ctx, d.job, t); err != nil {
		return err
	}
	return e.carryOn(ctx, t)
}

// carryOn calls the drivers of a claimed try and of those that follow from it.
func (e *Engine) carryOn(ctx context.Context, t *try) (err error) {
	for t != nil && t.job.State != jobAsleep && err == nil {
		t, err = e.perform(ctx, *t)
	}
	return err
}

// prepare makes a try of a due job; errGone if it came to an end instead.
func (e *Engine) prepare(ctx context.Context, d due) (*try, error) {
	key, err := heal.ParseStepKey(d.Key)
	if err != nil {
		return nil, err
	}
	seen := d.seen
	if seen == nil {
		if seen, err = e.recall(ctx, d.job); err != nil {
			return nil, err
		}
	}
	if !key.Undo {
		ok, why, err := e.holds(ctx, seen, key)
		if err != nil {
			return nil, e.stillborn(ctx, d.job, key, err)
		}
		if !ok {
			return nil, e.resolve(ctx, d.job, Skipped{Key: key, Why: why})
		}
		if isGroup(&seen.run.Value, key) {
			return nil, e.enter(ctx, d.job, seen, key)
		}
	}
	t := &try{key: key, seen: seen}
	if err := e.ask(t, &seen.run.Value, seen.book); err != nil {
		return nil, e.stillborn(ctx, d.job, key, err)
	}
	return t, nil
}

// recall reads the run of a job as it is now; errGone if the job is not as it
// was found.
func (e *Engine) recall(ctx context.Context, j job) (*memory, error) {
	var m memory
	err := e.store.View(ctx, func(r store.Reader) (err error) {
		if m, err = e.load(r, j.Run); err != nil {
			return err
		}
		m.own, err = belongingsOf(r, j.Run, j)
		return err
	})
	return &m, err
}

// ask renders what a try asks of which driver.
func (e *Engine) ask(t *try, run *heal.Run, book Book) error {
	work, err := book.Work(run, t.key.Task, t.key.Undo)
	if err != nil {
		return err
	}
	t.work = work
	spec, ok := e.drivers.Spec(work.Action)
	if !ok {
		return heal.Errorf(heal.Invalid, "task "+t.key.Task, "there is no action %q here", work.Action)
	}
	t.spec = spec
	return nil
}

// holds asks the conditions of a task, live ones with a deadline.
func (e *Engine) holds(ctx context.Context, seen *memory, key heal.StepKey) (ok bool, why string, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Lease)
	defer cancel()
	return seen.book.Conditions(ctx, &seen.run.Value, key.Task, e.opts.Live)
}

// stillborn fails a try that could not even be asked of a driver.
func (e *Engine) stillborn(ctx context.Context, j job, key heal.StepKey, cause error) error {
	return e.resolve(ctx, j, e.unaskable(key, cause))
}

func (e *Engine) unaskable(key heal.StepKey, cause error) Failed {
	return Failed{Key: key, Kind: heal.KindOf(cause), Error: cause.Error(), Unstarted: true, Roll: e.roll()}
}

// resolve removes a job and applies what became of it instead of a call; the
// error is then errGone.
func (e *Engine) resolve(ctx context.Context, j job, ev Event) error {
	out, err := e.change(ctx, j.Run, nil, func(d *edit) error {
		if err := d.finish(j); err != nil {
			return err
		}
		return d.step(ev)
	})
	if heal.Is(err, heal.Conflict) {
		return e.discard(ctx, j)
	}
	if err != nil {
		return err
	}
	e.opts.Metrics.step(ctx, actionOf(&out.run.Value, j.Key), ev)
	return errGone
}

// discard removes a job whose run does not want it any more; a paused run
// queues it again when it is resumed. The error is errGone.
func (e *Engine) discard(ctx context.Context, j job) error {
	err := e.store.Update(ctx, func(tx store.Tx) error {
		d := edit{tx: tx}
		return d.finish(j)
	})
	if err != nil {
		return err
	}
	return errGone
}

// claim reserves the guards' budget, claims the job and journals that the try
// starts, in one transaction. A refusal is made durable instead; the error is
// then errGone.
func (e *Engine) claim(ctx context.Context, j job, t *try) error {
	var refused guard.Rule
	out, err := e.change(ctx, j.Run, t.seen, func(d *edit) (err error) {
		if err := d.still(j); err != nil {
			return err
		}
		if refused, err = d.claim(j, t); err != nil || refused == "" {
			return err
		}
		return d.remove(j)
	})
	if heal.Is(err, heal.Conflict) {
		return e.discard(ctx, j)
	}
	if err != nil {
		return err
	}
	t.seen = &out.memory
	if refused != "" {
		e.opts.Metrics.refused(ctx, refused)
		return errGone
	}
	e.opts.Metrics.started(ctx, out.at.Sub(j.Due))
	return nil
}

// claim puts a try to the guards and, unless one refuses, claims its job and
// journals that it starts.
func (d *edit) claim(j job, t *try) (refused guard.Rule, err error) {
	verdict, grant, err := guard.Reserve(d.tx, request(&d.run, t), t.key.Task, d.e.opts.Limits, d.now)
	if err != nil {
		return "", err
	}
	if !verdict.Allowed() {
		return verdict.Rule, d.step(Refused{Key: t.key, Reason: verdict.Reason, Retry: verdict.Retry, Pause: verdict.Pause})
	}
	d.own.addLeases(grant.Resources)
	t.job = d.e.claimOf(j, t, grant.Epoch, d.now)
	if err := d.put(&t.job); err != nil {
		return "", err
	}
	if err := journalStart(d.tx, t, d.now); err != nil {
		return "", err
	}
	d.asleep = d.asleep || t.job.State == jobAsleep && d.e.soon(t.job.Due, d.now)
	return "", d.step(Started{Key: t.key})
}

// goOn begins the first try that the events made due at once, if that needs
// nothing but the guards: no condition on live state, and an engine that is
// not about to stop and has nothing to take over. The others are queued.
func (d *edit) goOn() (next *try, refused guard.Rule, err error) {
	if d.e.stopping.Load() || d.e.takingOver.Load() || len(d.queue) == 0 || d.queue[0].Due.After(d.now) {
		return nil, "", nil
	}
	key := d.queue[0].Key
	if !key.Undo && d.from.book.Conditional(&d.run, key.Task) {
		return nil, "", nil
	}
	next = &try{key: key}
	if err := d.e.ask(next, &d.run, d.from.book); err != nil {
		return nil, "", nil //nolint:nilerr // the queue's worker will find and tell it
	}
	d.queue = d.queue[1:]
	refused, err = d.claim(d.e.readyJob(key, d.now), next)
	if err != nil || refused != "" {
		return nil, refused, err
	}
	return next, "", nil
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

func journalStart(tx store.Tx, t *try, now time.Time) error {
	_, err := journalKind.Put(tx, &Entry{
		Run: t.key.Run, At: now, Phase: PhaseStarted, Step: t.key.String(), Epoch: t.job.Epoch,
		Action: t.work.Action, Target: t.work.Target, Params: printable(t.work.Params),
	}, store.Any)
	return err
}

func request(run *heal.Run, t *try) guard.Request {
	return guard.Request{
		Run: run.ID, Incident: run.IncidentID, Attempt: run.Attempt, Target: t.work.Target, Scope: run.Scope, Playbook: run.Playbook,
		Action: t.work.Action, Impact: t.spec.Impact, Approved: approved(run, t.key.Task), Touches: t.spec.Touches(), Undo: t.key.Undo,
	}
}

// approved reports whether people said yes to the run as a whole, to a task, or
// to what it is part of.
func approved(run *heal.Run, task string) bool {
	if run.Approval != nil && run.Approval.Answer == heal.Approved {
		return true
	}
	for t := run.Task(task); t != nil; t = run.Task(t.Of) {
		if t.Approval != nil && t.Approval.Answer == heal.Approved {
			return true
		}
	}
	return false
}

// finishWait ends a wait whose time is over.
func (e *Engine) finishWait(ctx context.Context, j job) error {
	key, err := heal.ParseStepKey(j.Key)
	if err != nil {
		return err
	}
	return e.resolve(ctx, j, Finished{Key: key})
}
