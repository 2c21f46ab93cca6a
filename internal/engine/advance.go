package engine

import (
	"fmt"

	"github.com/homeostat/homeostat/internal/heal"
)

// advance carries the run as far as it can go without another event.
func (m *machine) advance() {
	if m.run.State.Ended() {
		return
	}
	if m.run.Ending != "" {
		m.wind()
		return
	}
	if m.run.State == heal.RunPaused || m.run.StartedAt.IsZero() {
		return
	}
	for m.release() || m.join() {
	}
	if m.run.Ending != "" { // a released task may have ended the run
		m.wind()
		return
	}
	m.settle()
}

// release skips or queues every task whose needs have ended, and reports
// whether a skip may have released others.
func (m *machine) release() bool {
	again := false
	for i := range m.run.Tasks {
		t := &m.run.Tasks[i]
		if t.State != heal.RunPending || t.Attempt > 0 {
			continue
		}
		spec := m.plan.task(t.ID)
		switch ready, skip := m.ready(t, spec); {
		case skip != "":
			t.State, t.EndedAt, t.Error = heal.RunSkipped, m.now, skip
			again = true
		case ready && spec.Confirm != nil && t.Item == "":
			t.State = heal.RunWaiting
			ask := *spec.Confirm
			if m.plan.Question != nil {
				ask.Question = m.plan.Question(&m.run, t.ID)
			}
			t.Approval = m.ask(&ask)
		case ready:
			m.enqueue(t)
		}
	}
	return again
}

// ready reports whether a task may start, or why it must be skipped: first by
// the group it is part of, then by what it needs.
func (m *machine) ready(t *heal.TaskRun, spec *Task) (ready bool, skip string) {
	if of := m.run.Task(t.Of); of != nil {
		switch {
		case of.State.Ended() || of.Ending != "":
			return false, fmt.Sprintf("task %s, of which it is part, has ended", of.ID)
		case of.State != heal.RunRunning:
			return false, ""
		case of.Group == heal.GroupLoop: // what the loop needs has ended: it is open
			return m.busy(of.ID) < max(spec.Parallel, 1), ""
		}
	}
	return m.needs(spec)
}

// needs reports whether a task may start, or why it must be skipped.
func (m *machine) needs(spec *Task) (ready bool, skip string) {
	for _, id := range spec.Needs {
		switch need := m.run.Task(id); need.State {
		case heal.RunSucceeded:
			if m.gotNo(need) {
				return false, fmt.Sprintf("a task within %s got no yes", id)
			}
		case heal.RunFailed, heal.RunTimedOut:
			if !m.plan.task(id).OnFailure.Continue {
				return false, ""
			}
			if m.gotNo(need) { // a no ends its branch, whatever goes on beside it
				return false, fmt.Sprintf("task %s got no yes", id)
			}
		case heal.RunSkipped, heal.RunCancelled, heal.RunRolledBack:
			return false, fmt.Sprintf("task %s was %s", id, need.State)
		case heal.RunPending, heal.RunWaiting, heal.RunRunning, heal.RunPaused, heal.RunUnknown:
			return false, ""
		}
	}
	return true, ""
}

func saidNo(a *heal.Approval) bool {
	return a != nil && (a.Answer == heal.DeniedBy || a.Answer == heal.Expired)
}

func (m *machine) enqueue(t *heal.TaskRun) {
	t.State, t.Attempt, t.DueAt = heal.RunPending, t.Attempt+1, m.now
	m.emit(Queue{Key: m.key(t), Due: m.now})
}

// settle gives a run that is going its state: ended, uncertain, waiting for a
// person, or running.
func (m *machine) settle() {
	var live, waiting, unknown int
	for i := range m.run.Tasks {
		if m.open(&m.run.Tasks[i]) {
			continue // its parts say how it stands
		}
		switch m.run.Tasks[i].State {
		case heal.RunWaiting:
			waiting++
		case heal.RunUnknown:
			unknown++
		case heal.RunPending, heal.RunRunning, heal.RunPaused:
			live++
		case heal.RunSucceeded, heal.RunFailed, heal.RunTimedOut, heal.RunSkipped, heal.RunRolledBack, heal.RunCancelled:
		}
	}
	switch {
	case live+waiting+unknown == 0:
		m.finish(heal.RunSucceeded)
	case unknown > 0:
		m.run.State = heal.RunUnknown
	case waiting > 0 && m.idle():
		m.run.State = heal.RunWaiting
	default:
		m.run.State = heal.RunRunning
	}
}

// idle reports whether no try is queued or in flight.
func (m *machine) idle() bool {
	for i := range m.run.Tasks {
		t := &m.run.Tasks[i]
		if t.State == heal.RunRunning && t.Group == "" || t.State == heal.RunPending && t.Attempt > 0 {
			return false
		}
	}
	return true
}

// wind brings a run that is ending to its end: nothing new starts, what is in
// flight ends, completed tasks are undone if that was asked for.
func (m *machine) wind() {
	flying := false
	for i := range m.run.Tasks {
		t := &m.run.Tasks[i]
		switch t.State {
		case heal.RunPending, heal.RunWaiting, heal.RunPaused:
			t.State, t.EndedAt = heal.RunSkipped, m.now
			if m.run.Ending == heal.RunCancelled {
				t.State = heal.RunCancelled
			}
		case heal.RunRunning:
			flying = flying || t.Group == ""
		case heal.RunUnknown:
			// Its question stays on record; the run ends without an answer.
		case heal.RunSucceeded, heal.RunFailed, heal.RunTimedOut, heal.RunSkipped, heal.RunRolledBack, heal.RunCancelled:
		}
	}
	m.fold(flying)
	switch {
	case flying:
		m.run.State = heal.RunRunning
	case m.run.Rollback == heal.RunPending || m.run.Rollback == heal.RunRunning:
		m.run.State = heal.RunRunning
		m.unwind()
	default:
		m.finish(m.run.Ending)
	}
}

func (m *machine) finish(state heal.RunState) {
	m.run.State, m.run.EndedAt = state, m.now
	m.emit(Over{})
}
