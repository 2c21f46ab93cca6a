package engine

import (
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Plan is what Step must know of a playbook: the graph of its tasks and how
// each reacts. It is fixed while a run lasts.
type Plan struct {
	Tasks    []Task // in the order of the playbook
	Timeout  time.Duration
	Approval *Ask // of the run as a whole; nil if it may start at once

	// Question words a task's question for a run; nil: as Confirm has it. It is
	// pure.
	Question func(run *heal.Run, task string) string `json:"-"`
}

// Task is one node of the graph.
type Task struct {
	ID         string
	Name       string
	Action     string
	Needs      []string // ids of tasks that must have ended well first
	Tries      int      // at least 1
	Backoff    time.Duration
	MaxBackoff time.Duration
	Jitter     float64 // share of the back-off that is random, 0 to 1
	OnSuccess  Reaction
	OnFailure  Reaction
	Confirm    *Ask
	UndoAction string // empty: nothing to undo
	Touches    bool   // changes the world

	Group    heal.Group // what it holds together; what is said above of tries and undo is then said of the parts of a loop
	Of       string     // the group it is part of; empty: of the playbook itself
	Parallel int        // of a loop: how many parts are worked on at once, at least 1
}

// Reaction says what follows the end of a task. The zero reaction to a failure
// is to abort the run.
type Reaction struct {
	Continue bool
	Notify   bool
	Escalate bool
	Rollback bool
	NextTier bool
}

// Ask is a question to people, with who is asked and a deadline.
type Ask struct {
	Question string
	Owner    string // roles or identities, joined by ", "
	Quorum   int    // how many different people must say yes; 0 and 1: one
	Within   time.Duration
}

// task finds what a task of a run is to do; that of a loop for its parts. It is
// nil if there is none.
func (p *Plan) task(id string) *Task {
	if t := p.exactly(id); t != nil {
		return t
	}
	if at := strings.LastIndexByte(id, '.'); at >= 0 {
		if t := p.exactly(id[:at]); t != nil && t.Group == heal.GroupLoop {
			return t
		}
	}
	return nil
}

func (p *Plan) exactly(id string) *Task {
	for i := range p.Tasks {
		if p.Tasks[i].ID == id {
			return &p.Tasks[i]
		}
	}
	return nil
}

// backoff is the wait before try number attempt (2 for the first retry):
// exponential from Backoff, capped, with roll in [0,1) spreading the jitter.
func (t *Task) backoff(attempt int, roll float64) time.Duration {
	wait := t.Backoff
	for range attempt - 2 {
		if wait *= 2; wait >= t.MaxBackoff && t.MaxBackoff > 0 {
			break
		}
	}
	if t.MaxBackoff > 0 {
		wait = min(wait, t.MaxBackoff)
	}
	return wait - time.Duration(float64(wait)*t.Jitter*roll)
}

// newTasks lays out the tasks of a fresh run.
func newTasks(p *Plan) []heal.TaskRun {
	tasks := make([]heal.TaskRun, len(p.Tasks))
	for i := range p.Tasks {
		tasks[i] = p.Tasks[i].fresh()
	}
	return tasks
}

// fresh is the task before anything of it happened.
func (t *Task) fresh() heal.TaskRun {
	return heal.TaskRun{ID: t.ID, Name: t.Name, Action: t.Action, Group: t.Group, Of: t.Of, State: heal.RunPending}
}

// part is one part of the loop before anything of it happened; n counts from 1.
func (t *Task) part(n int, item string) heal.TaskRun {
	out := t.fresh()
	out.ID, out.Group, out.Of, out.Item = t.ID+"."+strconv.Itoa(n), "", t.ID, item
	return out
}
