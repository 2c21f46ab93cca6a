package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// A group is a task that does nothing itself: a loop, whose parts are one task
// for each entry of its list, or a call, whose parts are the tasks of another
// playbook. It is queued like a try. Entering it opens it, and it ends when the
// last of its parts has.

// entered opens a group.
func (m *machine) entered(ev Entered) error {
	t, err := m.due(ev.Key)
	switch {
	case err != nil:
		return err
	case ev.Key.Undo || t.Group == "":
		return m.conflict("task %s is no group that could be entered", ev.Key.Task)
	case !m.going():
		return m.conflict("is %s, task %s may not start", m.run.State, t.ID)
	}
	t.State, t.StartedAt, t.DueAt = heal.RunRunning, m.now, time.Time{}
	if t.Group == heal.GroupLoop {
		m.expand(t.ID, ev.Items)
	}
	return nil
}

// expand lays out the parts of a loop behind it. A loop that another run began
// keeps its list.
func (m *machine) expand(loop string, items []string) {
	if len(m.run.Parts(loop)) > 0 {
		return
	}
	m.run.Tasks = spread(m.run.Tasks, m.plan.task(loop), items)
}

// spread puts the parts of a loop behind it.
func spread(tasks []heal.TaskRun, loop *Task, items []string) []heal.TaskRun {
	parts := make([]heal.TaskRun, len(items))
	for i, item := range items {
		parts[i] = loop.part(i+1, item)
	}
	at := slices.IndexFunc(tasks, func(t heal.TaskRun) bool { return t.ID == loop.ID })
	return slices.Insert(tasks, at+1, parts...)
}

// open reports whether t is a group whose parts may begin or have begun.
func (m *machine) open(t *heal.TaskRun) bool {
	return t.Group != "" && t.State == heal.RunRunning
}

// busy counts the parts of a loop that are under way: each holds one of its
// places until nobody waits for it any more.
func (m *machine) busy(loop string) int {
	n := 0
	for i := range m.run.Tasks {
		t := &m.run.Tasks[i]
		if t.Of == loop && !t.State.Ended() && (t.State != heal.RunPending || t.Attempt > 0) {
			n++
		}
	}
	return n
}

// gotNo reports whether a person said no to a task, or to one within it.
func (m *machine) gotNo(t *heal.TaskRun) bool {
	if saidNo(t.Approval) {
		return true
	}
	for i := range m.run.Tasks {
		if part := &m.run.Tasks[i]; t.Group != "" && part.Of == t.ID && m.gotNo(part) {
			return true
		}
	}
	return false
}

// callOf is the innermost call that t is within, nil if there is none.
func (m *machine) callOf(t *heal.TaskRun) *heal.TaskRun {
	for of := m.run.Task(t.Of); of != nil; of = m.run.Task(of.Of) {
		if of.Group == heal.GroupPlaybook {
			return of
		}
	}
	return nil
}

// ending reports whether the run, or a group that t is within, lets nothing
// begin any more.
func (m *machine) ending(t *heal.TaskRun) bool {
	for of := m.run.Task(t.Of); of != nil; of = m.run.Task(of.Of) {
		if of.Ending != "" {
			return true
		}
	}
	return m.run.Ending != ""
}

// stop lets nothing more begin within a group. It ends when what is in flight
// and what nobody is sure of has; the first reason stays.
func (m *machine) stop(group *heal.TaskRun, why string) {
	if group.Ending != "" {
		return
	}
	group.Ending, group.Error = heal.RunFailed, why
	for i := range m.run.Tasks {
		t := &m.run.Tasks[i]
		if t.Of != group.ID {
			continue
		}
		switch t.State {
		case heal.RunPending, heal.RunWaiting, heal.RunPaused:
			t.State, t.EndedAt = heal.RunSkipped, m.now
		case heal.RunRunning:
			if t.Group != "" {
				m.stop(t, why)
			}
		case heal.RunUnknown, heal.RunSucceeded, heal.RunFailed, heal.RunTimedOut, heal.RunSkipped, heal.RunRolledBack, heal.RunCancelled:
		}
	}
}

// join ends one open group whose parts have all ended, the innermost first, and
// reports whether there was one.
func (m *machine) join() bool {
	if m.run.Ending != "" {
		return false
	}
	for i := len(m.run.Tasks) - 1; i >= 0; i-- {
		t := &m.run.Tasks[i]
		if !m.open(t) || !m.tally(t.ID).over() {
			continue
		}
		m.conclude(t)
		return true
	}
	return false
}

// conclude ends a group by how its parts ended. The parts of a loop that failed
// have had their reaction already; a call that was stopped has its own now.
func (m *machine) conclude(t *heal.TaskRun) {
	n := m.tally(t.ID)
	switch {
	case t.Group == heal.GroupPlaybook && t.Ending != "":
		m.fail(t, t.Ending, t.Error)
	case t.Group == heal.GroupLoop && n.bad > 0:
		t.State, t.EndedAt, t.Error = heal.RunFailed, m.now, fmt.Sprintf("%d of %d entries failed", n.bad, n.all())
	case t.Group == heal.GroupLoop && n.left > 0 && (t.Ending != "" || n.good == 0):
		t.State, t.EndedAt, t.Error = heal.RunSkipped, m.now, fmt.Sprintf("%d of %d entries were skipped", n.left, n.all())
	default:
		m.succeed(t)
	}
}

// fold ends the groups of a run that is ending, the innermost first; while tries
// are in flight only those of which all has ended.
func (m *machine) fold(flying bool) {
	for i := len(m.run.Tasks) - 1; i >= 0; i-- {
		t := &m.run.Tasks[i]
		n := m.tally(t.ID)
		if !m.open(t) || flying && n.going > 0 {
			continue
		}
		switch {
		case n.bad > 0 || t.Ending != "":
			t.State = heal.RunFailed
		case n.left+n.going == 0:
			t.State = heal.RunSucceeded
		case m.run.Ending == heal.RunCancelled:
			t.State = heal.RunCancelled
		default:
			t.State = heal.RunSkipped
		}
		t.EndedAt = m.now
	}
}

// unfold marks the groups of which something was undone.
func (m *machine) unfold() {
	for i := len(m.run.Tasks) - 1; i >= 0; i-- {
		if t := &m.run.Tasks[i]; t.State == heal.RunSucceeded && m.tally(t.ID).undone > 0 {
			t.State = heal.RunRolledBack
		}
	}
}

// tally is how the parts of a group stand.
type tally struct {
	good, bad, left, undone int // succeeded; failed; skipped or cancelled; rolled back
	going                   int // not ended
}

func (n tally) over() bool { return n.going == 0 }

func (n tally) all() int { return n.good + n.bad + n.left + n.undone + n.going }

func (m *machine) tally(group string) (n tally) {
	for i := range m.run.Tasks {
		t := &m.run.Tasks[i]
		if t.Of != group {
			continue
		}
		switch t.State {
		case heal.RunSucceeded:
			n.good++
		case heal.RunFailed, heal.RunTimedOut:
			n.bad++
		case heal.RunSkipped, heal.RunCancelled:
			n.left++
		case heal.RunRolledBack:
			n.undone++
		case heal.RunPending, heal.RunWaiting, heal.RunRunning, heal.RunPaused, heal.RunUnknown:
			n.going++
		}
	}
	return n
}
