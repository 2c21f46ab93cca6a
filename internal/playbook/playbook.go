// Package playbook reads playbooks: YAML in, a checked graph of tasks with
// compiled templates and conditions out.
//
// Its one invariant: a Playbook that Parse gave without problems has an acyclic
// graph, known variables in every template and bounds on everything; whatever
// is wrong is reported at once, with its place and what was expected. It is
// not for carrying playbooks out (see engine) nor for choosing one (see
// decide).
package playbook

import (
	"time"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/expr"
	"github.com/homeostat/homeostat/internal/heal"
)

// Playbook is a checked playbook. Templates and conditions are kept as they
// were written beside their compiled form.
type Playbook struct {
	ID            string
	Name          string
	Description   string
	Tier          heal.Tier
	Trust         heal.Trust
	Risk          heal.Risk
	Triggers      []Trigger
	Params        []Param // in the order of the source
	Approval      Approval
	Verification  Verification
	Timeout       time.Duration // of the whole run
	EstimatedTime time.Duration // 0: not said
	Tasks         []Task        // in the order of the source
	Change        Change
	File          string
	Source        []byte
	Digest        string // sha256 of Source, in hex

	at    view
	order []int // of Tasks: each after what it depends on
}

// Task finds a task by id, nil if there is none.
func (p *Playbook) Task(id string) *Task {
	for i := range p.Tasks {
		if p.Tasks[i].ID == id {
			return &p.Tasks[i]
		}
	}
	return nil
}

// Order lists the tasks so that each stands after those it depends on.
func (p *Playbook) Order() []*Task {
	out := make([]*Task, len(p.order))
	for i, k := range p.order {
		out[i] = &p.Tasks[k]
	}
	return out
}

// Change is what a file says of its last change.
type Change struct {
	Author string
	Reason string
}

// Trigger is one description of when a playbook fits: everything said in it
// must be so. An empty part says nothing.
type Trigger struct {
	Patterns    []heal.Pattern
	AlertNames  []string
	FaultTypes  []heal.FaultType
	Service     string // "" for any
	EntityKinds []heal.EntityKind
	Severities  []heal.Severity
	When        string

	when *expr.Program
}

// Param is a declared parameter of the playbook.
type Param struct {
	Name        string
	Type        action.ParamType
	Default     any // in the type, nil if none
	Required    bool
	Description string
}

// Approval says who is asked before a run starts.
type Approval struct {
	Required ApprovalRule
	Owner    string // roles or identities, joined by ", "
	Quorum   int    // how many different people must say yes
	Within   time.Duration
}

// ApprovalRule says when a run needs an approval.
type ApprovalRule string

// The rules of approval.
const (
	ApprovalAlways ApprovalRule = "always"
	ApprovalByRisk ApprovalRule = "by_risk" // as the policy says for the playbook's risk
	ApprovalNever  ApprovalRule = "never"
)

// Verification replaces the fault's own condition when a heal is checked.
type Verification struct {
	Condition string        // PromQL template
	Probe     string        // template of a monitor's name
	Window    time.Duration // 0: the loop's own

	condition *expr.Template
	probe     *expr.Template
}

// TaskType is what kind of step a task is.
type TaskType string

// The types of task. Approval and wait carry out wait.for: the engine makes it
// a durable timer.
const (
	TypeAction   TaskType = "action"
	TypeApproval TaskType = "approval"
	TypeWait     TaskType = "wait"
	TypePlaybook TaskType = "playbook"
)

// waitAction is the action behind approval and wait tasks.
const waitAction = "wait.for"

// Task is one step.
type Task struct {
	ID         string
	Name       string
	Type       TaskType
	Action     string
	Target     string // template
	DependsOn  []string
	Conditions []Condition
	Output     string // second name of the output, "" if none
	Retries    Retries
	Timeout    time.Duration // of one try
	OnSuccess  Reaction
	OnFailure  Reaction
	Rollback   *Rollback
	Confirm    *Confirm
	Each       *Each // the list it goes over; nil: it is done once
	Call       *Call // the playbook it carries out; nil: it carries out an action

	at         view
	target     *expr.Template
	parameters value
	before     map[string]bool // every task that must have ended first
}

// Condition is one thing that must hold for a task to run: a CEL expression,
// or a PromQL query whose value a CEL expression judges.
type Condition struct {
	When   string // CEL, "" if PromQL is set
	PromQL string // template
	Is     string // CEL over value

	program *expr.Program
	query   *expr.Template
}

// Retries says how often and when a task is tried.
type Retries struct {
	Attempts   int // tries in all
	Backoff    time.Duration
	MaxBackoff time.Duration
	Jitter     float64 // share of the back-off that is random, 0 to 1
}

// Reaction is what follows the end of a task. After a failure a run that does
// not continue is aborted.
type Reaction struct {
	Continue bool
	Notify   bool
	Escalate bool
	Rollback bool
	NextTier bool
}

// Rollback undoes a completed task.
type Rollback struct {
	Action  string
	Timeout time.Duration

	at         view
	parameters value
}

// Confirm asks a person before a task.
type Confirm struct {
	Question string // template
	Owner    string // as in Approval
	Quorum   int
	Within   time.Duration

	question *expr.Template
}
