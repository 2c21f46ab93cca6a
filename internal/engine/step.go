// Package engine carries playbooks out, durably: a run survives a crash at any
// point and goes on, and no step is done twice that must be done once.
//
// Its one invariant: a driver is called only after its try was claimed and
// journalled in a durable transaction, and nothing else of the run happens
// before the result of that try is durable. The behaviour of a run is the pure
// Step; the shell around it persists, then performs. The package is not for
// deciding what to run (see decide) nor whether it is allowed (see guard).
package engine

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Step is the whole behaviour of a run: the state before, one event, the state
// after and what must be done about it. It reads no clock and touches nothing.
//
// An event that does not fit the state (a result of a try that is over, an
// answer given twice) is an error of kind Conflict and changes nothing.
func Step(run heal.Run, plan *Plan, ev Event, now time.Time) (heal.Run, []Effect, error) {
	m := machine{run: clone(run), plan: plan, now: now}
	if err := m.apply(ev); err != nil {
		return run, nil, err
	}
	m.advance()
	return m.run, m.effects, nil
}

// machine is one application of Step.
type machine struct {
	run     heal.Run
	plan    *Plan
	now     time.Time
	effects []Effect
}

func clone(run heal.Run) heal.Run {
	run.Tasks = slices.Clone(run.Tasks)
	for i := range run.Tasks {
		t := &run.Tasks[i]
		t.Output = maps.Clone(t.Output)
		t.Approval = copied(t.Approval)
		t.Undo = copied(t.Undo)
		t.Refusal = copied(t.Refusal)
	}
	run.Approval = copied(run.Approval)
	return run
}

func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

func (m *machine) emit(e Effect) { m.effects = append(m.effects, e) }

func (m *machine) conflict(format string, args ...any) error {
	return heal.Errorf(heal.Conflict, "run "+string(m.run.ID), format, args...)
}

func (m *machine) apply(ev Event) error {
	switch ev := ev.(type) {
	case Begin:
		return m.begin()
	case Started:
		return m.started(ev)
	case Entered:
		return m.entered(ev)
	case Finished:
		return m.finished(ev)
	case Failed:
		return m.failed(ev)
	case Uncertain:
		return m.uncertain(ev)
	case Skipped:
		return m.skipped(ev)
	case Refused:
		return m.refused(ev)
	case Answered:
		return m.answered(ev)
	case Settled:
		return m.settled(ev)
	case Tick:
		m.tick()
		return nil
	case PauseAsked:
		return m.pause(ev)
	case ResumeAsked:
		return m.resume()
	case CancelAsked:
		return m.cancel(ev)
	case RollbackAsked:
		return m.rollback(ev)
	}
	return heal.Errorf(heal.Internal, "run "+string(m.run.ID), "event %T is not known", ev)
}

func (m *machine) begin() error {
	if m.run.State != heal.RunPending {
		return m.conflict("has begun already, it is %s", m.run.State)
	}
	if m.plan.Approval != nil {
		m.run.State = heal.RunWaiting
		m.run.Approval = m.ask(m.plan.Approval)
		return nil
	}
	m.start()
	return nil
}

func (m *machine) start() {
	m.run.State = heal.RunRunning
	m.run.StartedAt = m.now
	if m.plan.Timeout > 0 {
		m.emit(Wake{At: m.now.Add(m.plan.Timeout)})
	}
}

// ask puts a question with its deadline; a reminder is due at half time.
func (m *machine) ask(a *Ask) *heal.Approval {
	m.emit(Wake{At: m.now.Add(a.Within / 2)})
	m.emit(Wake{At: m.now.Add(a.Within)})
	of := a.Owner
	if a.Quorum > 1 {
		of = fmt.Sprintf("%d of %s", a.Quorum, a.Owner)
	}
	m.emit(Tell{Text: fmt.Sprintf("%s (asked of %s, until %s)", a.Question, of, m.now.Add(a.Within).UTC().Format(time.RFC3339))})
	return &heal.Approval{Question: a.Question, Owner: a.Owner, Quorum: a.Quorum, AskedAt: m.now, Deadline: m.now.Add(a.Within)}
}

func (m *machine) started(ev Started) error {
	t, err := m.due(ev.Key)
	if err != nil {
		return err
	}
	if ev.Key.Undo {
		t.Undo.State, t.Undo.StartedAt = heal.RunRunning, m.now
		return nil
	}
	if !m.going() || t.Group != "" {
		return m.conflict("is %s, task %s may not start", m.run.State, t.ID)
	}
	t.State, t.StartedAt, t.DueAt, t.Refusal = heal.RunRunning, m.now, time.Time{}, nil
	return nil
}

// going reports whether tasks may start.
func (m *machine) going() bool {
	if m.run.Ending != "" {
		return false
	}
	switch m.run.State {
	case heal.RunRunning, heal.RunWaiting, heal.RunUnknown: // an uncertain task holds back only what needs it
		return true
	case heal.RunPending, heal.RunPaused, heal.RunSucceeded, heal.RunFailed, heal.RunTimedOut, heal.RunSkipped, heal.RunRolledBack, heal.RunCancelled:
		return false
	}
	return false
}

// due finds the task whose try of that key is queued.
func (m *machine) due(key heal.StepKey) (*heal.TaskRun, error) {
	t := m.run.Task(key.Task)
	switch {
	case t == nil:
		return nil, m.conflict("has no task %q", key.Task)
	case key.Undo && (t.Undo == nil || t.Undo.State != heal.RunPending || t.Undo.Attempt != key.Attempt):
		return nil, m.conflict("undo of task %s, try %d, is not due", key.Task, key.Attempt)
	case !key.Undo && (t.State != heal.RunPending || t.Attempt != key.Attempt):
		return nil, m.conflict("task %s, try %d, is not due: it is %s at try %d", key.Task, key.Attempt, t.State, t.Attempt)
	}
	return t, nil
}

// inFlight finds the task whose try of that key has started.
func (m *machine) inFlight(key heal.StepKey) (*heal.TaskRun, error) {
	t := m.run.Task(key.Task)
	switch {
	case t == nil:
		return nil, m.conflict("has no task %q", key.Task)
	case key.Undo && (t.Undo == nil || t.Undo.State != heal.RunRunning || t.Undo.Attempt != key.Attempt):
		return nil, m.conflict("undo of task %s, try %d, is not in flight", key.Task, key.Attempt)
	case !key.Undo && (t.State != heal.RunRunning || t.Attempt != key.Attempt || t.Group != ""):
		return nil, m.conflict("task %s, try %d, is not in flight: it is %s at try %d", key.Task, key.Attempt, t.State, t.Attempt)
	}
	return t, nil
}

func (m *machine) finished(ev Finished) error {
	t, err := m.inFlight(ev.Key)
	if err != nil {
		return err
	}
	if ev.Key.Undo {
		t.Undo.State, t.Undo.EndedAt = heal.RunSucceeded, m.now
		t.State = heal.RunRolledBack
		return nil
	}
	t.Output = ev.Output
	m.complete(t)
	return nil
}

// complete marks a task as done and gives it its place in the order of
// completion, which rollback walks backwards.
func (m *machine) complete(t *heal.TaskRun) {
	for i := range m.run.Tasks {
		t.Order = max(t.Order, m.run.Tasks[i].Order)
	}
	t.Order++
	if m.plan.task(t.ID).Touches {
		m.run.ActedAt = m.now
	}
	m.succeed(t)
}

// succeed ends a task or a group well and applies its reaction; that of a loop
// is of the whole, not of its parts.
func (m *machine) succeed(t *heal.TaskRun) {
	t.State, t.EndedAt, t.Error, t.ErrorKind = heal.RunSucceeded, m.now, "", ""
	if t.Item != "" {
		return
	}
	spec := m.plan.task(t.ID)
	m.announce(t, spec.OnSuccess, "succeeded")
	if spec.OnSuccess.Rollback {
		m.end(heal.RunFailed, fmt.Sprintf("task %s asks for a rollback on success", t.ID))
		m.run.Rollback = heal.RunPending
	}
}

func (m *machine) announce(t *heal.TaskRun, r Reaction, what string) {
	if r.Notify {
		m.emit(Tell{Text: fmt.Sprintf("task %s %s", t.ID, what)})
	}
	if r.Escalate {
		m.emit(Escalate{Text: fmt.Sprintf("task %s %s", t.ID, what)})
	}
}

func (m *machine) failed(ev Failed) error {
	find := m.inFlight
	if ev.Unstarted {
		find = m.due
	}
	t, err := find(ev.Key)
	if err != nil {
		return err
	}
	spec := m.plan.task(t.ID)
	again := ev.Key.Attempt < spec.Tries && (ev.Kind == heal.Transient || ev.TimedOut)
	if ev.Key.Undo {
		t.Undo.Error = ev.Error
		if again {
			t.Undo.State, t.Undo.Attempt = heal.RunPending, t.Undo.Attempt+1
			m.emit(Queue{Key: m.undoKey(t), Due: m.now.Add(spec.backoff(t.Undo.Attempt, ev.Roll))})
			return nil
		}
		t.Undo.State, t.Undo.EndedAt = heal.RunFailed, m.now
		m.emit(Escalate{Text: fmt.Sprintf("undo of task %s failed: %s", t.ID, ev.Error)})
		return nil
	}
	t.Error, t.ErrorKind = ev.Error, ev.Kind.String()
	if again && !m.ending(t) {
		t.Attempt++
		t.State, t.DueAt = heal.RunPending, m.now.Add(spec.backoff(t.Attempt, ev.Roll))
		m.emit(Queue{Key: m.key(t), Due: t.DueAt})
		return nil
	}
	state := heal.RunFailed
	if ev.TimedOut {
		state = heal.RunTimedOut
	}
	m.fail(t, state, ev.Error)
	return nil
}

// fail ends a task badly and applies its reaction.
func (m *machine) fail(t *heal.TaskRun, state heal.RunState, why string) {
	t.State, t.EndedAt, t.Error = state, m.now, why
	r := m.plan.task(t.ID).OnFailure
	m.announce(t, r, fmt.Sprintf("%s: %s", state, why))
	m.run.HandOver = m.run.HandOver || r.Escalate
	if r.Continue && !r.Rollback {
		return
	}
	reason := fmt.Sprintf("task %s %s: %s", t.ID, state, why)
	if r.NextTier {
		reason += "; the next tier is asked for"
	}
	if call := m.callOf(t); call != nil && !r.Rollback {
		m.stop(call, reason)
		return
	}
	m.end(heal.RunFailed, reason)
	if r.Rollback {
		m.run.Rollback = heal.RunPending
	}
}

// end marks how the run will end; the first mark stays.
func (m *machine) end(as heal.RunState, why string) {
	if m.run.Ending == "" {
		m.run.Ending, m.run.Reason = as, why
	}
}

func (m *machine) uncertain(ev Uncertain) error {
	t, err := m.inFlight(ev.Key)
	if err != nil {
		return err
	}
	if ev.Key.Undo {
		t.Undo.State, t.Undo.EndedAt = heal.RunFailed, m.now
		t.Undo.Error = "it is not known whether it happened: " + ev.Error
		m.emit(Escalate{Text: fmt.Sprintf("undo of task %s: %s", t.ID, t.Undo.Error)})
		return nil
	}
	t.State, t.Error, t.ErrorKind = heal.RunUnknown, ev.Error, heal.Unknown.String()
	t.Approval = m.ask(&ev.Ask)
	m.emit(Escalate{Text: ev.Ask.Question})
	return nil
}

func (m *machine) skipped(ev Skipped) error {
	t, err := m.due(ev.Key)
	if err != nil {
		return err
	}
	t.State, t.EndedAt, t.Error = heal.RunSkipped, m.now, ev.Why
	return nil
}

func (m *machine) refused(ev Refused) error {
	t, err := m.due(ev.Key)
	if err != nil {
		return err
	}
	reason := ev.Reason
	switch {
	case ev.Key.Undo && ev.Retry.IsZero():
		t.Undo.State, t.Undo.EndedAt, t.Undo.Error = heal.RunFailed, m.now, reason.Text
		m.emit(Escalate{Text: fmt.Sprintf("undo of task %s refused: %s", t.ID, reason.Text)})
	case ev.Key.Undo:
		m.emit(Queue{Key: ev.Key, Due: ev.Retry})
	case ev.Pause:
		t.Refusal = &reason
		m.run.State, m.run.Reason = heal.RunPaused, reason.Text
	case ev.Retry.IsZero():
		t.Refusal, t.ErrorKind = &reason, heal.Denied.String()
		m.fail(t, heal.RunFailed, reason.Text)
	default:
		t.Refusal, t.DueAt = &reason, ev.Retry
		m.emit(Queue{Key: ev.Key, Due: ev.Retry})
	}
	return nil
}

func (m *machine) key(t *heal.TaskRun) heal.StepKey {
	return heal.StepKey{Run: m.run.ID, Task: t.ID, Attempt: t.Attempt}
}

func (m *machine) undoKey(t *heal.TaskRun) heal.StepKey {
	return heal.StepKey{Run: m.run.ID, Task: t.ID, Attempt: t.Undo.Attempt, Undo: true}
}
