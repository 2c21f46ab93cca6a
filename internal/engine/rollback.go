package engine

import (
	"fmt"
	"strings"

	"github.com/homeostat/homeostat/internal/heal"
)

// rollback begins the undoing of what completed, also after the run's end.
func (m *machine) rollback(ev RollbackAsked) error {
	if m.run.Rollback != "" {
		return m.conflict("has been asked to roll back already")
	}
	if err := m.heldElsewhere(); err != nil {
		return err
	}
	if m.run.DryRun {
		return m.conflict("was a dry run, there is nothing to roll back")
	}
	ended := m.run.State.Ended()
	if ended && m.undoable() == nil {
		m.run.Rollback = heal.RunSkipped
		return nil
	}
	m.run.Rollback = heal.RunPending
	why := because("rolled back by "+ev.By, ev.Why)
	if ended {
		m.run.State, m.run.Ending, m.run.Reason = heal.RunRunning, heal.RunFailed, why
		return nil
	}
	m.end(heal.RunFailed, why)
	m.emit(Interrupt{})
	return nil
}

// undoable is the completed task that must be undone next: the last to
// complete of those not undone yet.
func (m *machine) undoable() *heal.TaskRun {
	var last *heal.TaskRun
	for i := range m.run.Tasks {
		t := &m.run.Tasks[i]
		open := t.State == heal.RunSucceeded && t.Group == "" && t.Undo == nil && m.plan.task(t.ID).UndoAction != ""
		if open && (last == nil || t.Order > last.Order) {
			last = t
		}
	}
	return last
}

// unwind queues the next undo, one at a time, and ends the run after the last.
// An undo that failed does not keep the others from being tried.
func (m *machine) unwind() {
	m.run.Rollback = heal.RunRunning
	var failed []string
	for i := range m.run.Tasks {
		u := m.run.Tasks[i].Undo
		switch {
		case u == nil:
		case u.State == heal.RunPending || u.State == heal.RunRunning:
			return
		case u.State == heal.RunFailed:
			failed = append(failed, m.run.Tasks[i].ID)
		}
	}
	if t := m.undoable(); t != nil {
		t.Undo = &heal.UndoRun{Action: m.plan.task(t.ID).UndoAction, State: heal.RunPending, Attempt: 1}
		m.emit(Queue{Key: m.undoKey(t), Due: m.now})
		return
	}
	m.unfold()
	if len(failed) > 0 {
		m.run.Rollback = heal.RunFailed
		m.run.Reason += fmt.Sprintf("; the undo of %s failed, the others were undone", strings.Join(failed, ", "))
		m.emit(Escalate{Text: m.run.Reason})
		m.finish(m.run.Ending)
		return
	}
	m.run.Rollback = heal.RunRolledBack
	m.finish(heal.RunRolledBack)
}
