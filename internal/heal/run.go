package heal

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// RunState is the state of a run or of one of its tasks (SPEC X1).
type RunState string

// The states of runs and tasks.
const (
	RunPending    RunState = "pending"
	RunWaiting    RunState = "waiting_approval"
	RunRunning    RunState = "running"
	RunPaused     RunState = "paused"
	RunSucceeded  RunState = "succeeded"
	RunFailed     RunState = "failed"
	RunTimedOut   RunState = "timed_out"
	RunUnknown    RunState = "unknown" // whether the effect happened is not known; a person decides
	RunSkipped    RunState = "skipped"
	RunRolledBack RunState = "rolled_back"
	RunCancelled  RunState = "cancelled"
)

// Ended reports whether the state is final.
func (s RunState) Ended() bool {
	switch s {
	case RunSucceeded, RunFailed, RunTimedOut, RunSkipped, RunRolledBack, RunCancelled:
		return true
	case RunPending, RunWaiting, RunRunning, RunPaused, RunUnknown:
		return false
	}
	return false
}

// Run is one playbook being carried out, whole: what the engine needs to go on
// after a crash and what people are shown.
type Run struct {
	ID          RunID             `json:"id"`
	IncidentID  IncidentID        `json:"incident_id,omitempty"`
	DecisionID  DecisionID        `json:"decision_id,omitempty"`
	Attempt     int               `json:"attempt,omitempty"`
	Scope       Scope             `json:"scope"`
	Playbook    string            `json:"playbook"`
	Digest      string            `json:"digest"` // pins the playbook as it was when the run began
	Target      EntityID          `json:"target"`
	Params      map[string]string `json:"params,omitempty"`
	Facts       Facts             `json:"facts,omitzero"` // of the case when the run began, for templates
	DryRun      bool              `json:"dry_run,omitempty"`
	State       RunState          `json:"state"`
	Reason      string            `json:"reason,omitempty"`    // why it is in this state
	Ending      RunState          `json:"ending,omitempty"`    // how it will end once steps in flight are done
	Tasks       []TaskRun         `json:"tasks"`               // in the order of the playbook
	Rollback    RunState          `json:"rollback,omitempty"`  // pending, running, then rolled_back or failed; apart from State
	HandOver    bool              `json:"hand_over,omitempty"` // a failed task wants a person to take the case
	Approval    *Approval         `json:"approval,omitempty"`  // of the run as a whole
	RerunOf     RunID             `json:"rerun_of,omitempty"`  // the ended run it goes on with
	RerunBy     RunID             `json:"rerun_by,omitempty"`  // the run that goes on with this one
	RequestedBy string            `json:"requested_by"`
	CreatedAt   time.Time         `json:"created_at"`
	StartedAt   time.Time         `json:"started_at,omitzero"`
	ActedAt     time.Time         `json:"acted_at,omitzero"` // end of the last task that touched the world
	EndedAt     time.Time         `json:"ended_at,omitzero"`
}

// Facts are what the templates of a run can say of its case.
type Facts struct {
	Incident IncidentID        `json:"incident,omitempty"` // of a rerun, which stands apart from the case
	Severity Severity          `json:"severity,omitempty"`
	Pattern  Pattern           `json:"pattern,omitempty"`
	Title    string            `json:"title,omitempty"`
	Values   Values            `json:"values,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
}

// Task finds a task by id, nil if there is none.
func (r *Run) Task(id string) *TaskRun {
	for i := range r.Tasks {
		if r.Tasks[i].ID == id {
			return &r.Tasks[i]
		}
	}
	return nil
}

// Parts lists the ids of the tasks that are directly part of a group.
func (r *Run) Parts(group string) []string {
	var out []string
	for i := range r.Tasks {
		if t := &r.Tasks[i]; t.Of == group && group != "" {
			out = append(out, t.ID)
		}
	}
	return out
}

// TaskRun is the state of one task of a run.
type TaskRun struct {
	ID        string         `json:"id"`
	Name      string         `json:"name,omitempty"`
	Action    string         `json:"action"`
	Group     Group          `json:"group,omitempty"` // it does nothing itself, the tasks of it do
	Of        string         `json:"of,omitempty"`    // the group it is part of
	Item      string         `json:"item,omitempty"`  // of a part of a loop: its entry, as JSON
	State     RunState       `json:"state"`
	Ending    RunState       `json:"ending,omitempty"` // of a group: how it will end once its parts in flight are done
	Attempt   int            `json:"attempt"`          // 1 while and after the first try
	Output    map[string]any `json:"output,omitempty"`
	Preview   string         `json:"preview,omitempty"` // dry run: what would be done
	Guards    []GuardWord    `json:"guards,omitempty"`  // dry run: what every guard would say
	Error     string         `json:"error,omitempty"`
	ErrorKind string         `json:"error_kind,omitempty"`
	Refusal   *Reason        `json:"refusal,omitempty"` // a guard said no
	Approval  *Approval      `json:"approval,omitempty"`
	DueAt     time.Time      `json:"due_at,omitzero"` // next try, or deadline of an approval
	StartedAt time.Time      `json:"started_at,omitzero"`
	EndedAt   time.Time      `json:"ended_at,omitzero"`
	Undo      *UndoRun       `json:"undo,omitempty"`
	Kept      bool           `json:"kept,omitempty"`  // completed by the run this one goes on with
	Order     int            `json:"order,omitempty"` // position among completed tasks, for rollback
}

// Group is what holds several tasks of a run together.
type Group string

// The groups.
const (
	GroupLoop     Group = "loop"     // one task for each entry of a list
	GroupPlaybook Group = "playbook" // the tasks of another playbook
)

// GuardWord is what one guard would say to a task now.
type GuardWord struct {
	Rule   string `json:"rule"`
	Allows bool   `json:"allows"`
	Reason Reason `json:"reason"`
}

// UndoRun is the compensation of one completed task.
type UndoRun struct {
	Action    string    `json:"action"`
	State     RunState  `json:"state"`
	Attempt   int       `json:"attempt"`
	Error     string    `json:"error,omitempty"`
	StartedAt time.Time `json:"started_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
}

// Approval is a question to people and its answer.
type Approval struct {
	Question  string    `json:"question"`
	Owner     string    `json:"owner"`            // who is asked: roles or identities, joined by ", "
	Quorum    int       `json:"quorum,omitempty"` // how many different people must say yes; 0 and 1: one
	Votes     []Consent `json:"votes,omitempty"`  // each yes so far, in order
	AskedAt   time.Time `json:"asked_at"`
	Deadline  time.Time `json:"deadline"`
	Answer    string    `json:"answer,omitempty"` // approved, denied, expired
	By        string    `json:"by,omitempty"`
	Note      string    `json:"note,omitempty"`
	AnswerAt  time.Time `json:"answer_at,omitzero"`
	Escalated bool      `json:"escalated,omitempty"`
}

// Consent is one person's yes.
type Consent struct {
	By   string    `json:"by"`
	Note string    `json:"note,omitempty"`
	At   time.Time `json:"at"`
}

// Asks reports whether somebody who may answer under these names, their own
// and those of their roles, is among those who are asked.
func (a *Approval) Asks(names []string) bool {
	for owner := range strings.SplitSeq(a.Owner, ", ") {
		if slices.Contains(names, owner) {
			return true
		}
	}
	return false
}

// Missing is how many more people must say yes.
func (a *Approval) Missing() int { return max(a.Quorum, 1) - len(a.Votes) }

// The answers to an approval.
const (
	Approved = "approved"
	DeniedBy = "denied"
	Expired  = "expired"
)

// StepKey identifies one try of one task: it travels to the target where it
// can, so that the world can be asked whether it happened.
type StepKey struct {
	Run     RunID
	Task    string
	Undo    bool
	Attempt int
}

// String gives "run/task/attempt", with "~" before the task of an undo.
func (k StepKey) String() string {
	task := k.Task
	if k.Undo {
		task = "~" + task
	}
	return fmt.Sprintf("%s/%s/%d", k.Run, task, k.Attempt)
}

// ParseStepKey reads what String wrote.
func ParseStepKey(text string) (StepKey, error) {
	parts := strings.Split(text, "/")
	if len(parts) != 3 {
		return StepKey{}, Errorf(Invalid, "step key", "%q is not run/task/attempt", text)
	}
	key := StepKey{Run: RunID(parts[0]), Task: parts[1]}
	if rest, ok := strings.CutPrefix(key.Task, "~"); ok {
		key.Task, key.Undo = rest, true
	}
	if _, err := fmt.Sscanf(parts[2], "%d", &key.Attempt); err != nil {
		return StepKey{}, Errorf(Invalid, "step key", "%q has no attempt number", text)
	}
	return key, nil
}
