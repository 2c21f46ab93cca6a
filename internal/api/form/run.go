package form

import (
	"encoding/json"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// RunSummary is a run as lists show it.
type RunSummary struct {
	ID          string    `json:"id"`
	Revision    int64     `json:"revision" doc:"Grows with every change of this run."`
	Incident    string    `json:"incident_id,omitempty" doc:"Absent for a person's own run."`
	Scope       string    `json:"scope" example:"default/default/default/cart"`
	Playbook    string    `json:"playbook" example:"restart-service"`
	Target      string    `json:"target" example:"service/cart"`
	DryRun      bool      `json:"dry_run,omitempty"`
	State       string    `json:"state" enum:"pending,waiting_approval,running,paused,succeeded,failed,timed_out,unknown,skipped,rolled_back,cancelled"`
	Reason      string    `json:"reason,omitempty" doc:"Why it is in this state."`
	Rollback    string    `json:"rollback,omitempty" enum:"pending,running,rolled_back,failed" doc:"Of the rollback, apart from the run's own state."`
	Waits       []Waiting `json:"waits" doc:"Questions to people that have no answer yet."`
	RequestedBy string    `json:"requested_by"`
	CreatedAt   time.Time `json:"created_at"`
	StartedAt   time.Time `json:"started_at,omitzero"`
	EndedAt     time.Time `json:"ended_at,omitzero"`
}

// Run is one playbook being carried out, whole.
type Run struct {
	RunSummary
	Decision string            `json:"decision_id,omitempty"`
	Attempt  int               `json:"attempt,omitempty" doc:"Of the case; 1 for the first."`
	Digest   string            `json:"digest" doc:"SHA-256 of the playbook, with those it calls, as it was when the run began, in hex."`
	Params   map[string]string `json:"params,omitempty"`
	RerunOf  string            `json:"rerun_of,omitempty" doc:"The ended run this one goes on with."`
	RerunBy  string            `json:"rerun_by,omitempty" doc:"The run that goes on with this one."`
	Ending   string            `json:"ending,omitempty" doc:"How it will end once steps in flight are done."`
	Tasks    []Task            `json:"tasks" doc:"In the order of the playbook."`
	Approval *Approval         `json:"approval,omitempty" doc:"Of the run as a whole."`
	ActedAt  time.Time         `json:"acted_at,omitzero" doc:"End of the last task that touched the world."`
}

// Task is the state of one task of a run.
type Task struct {
	ID        string         `json:"id" example:"restart"`
	Name      string         `json:"name,omitempty"`
	Action    string         `json:"action" example:"process.restart" doc:"Or the playbook it carries out, as in: playbook drain."`
	Group     string         `json:"group,omitempty" enum:"loop,playbook" doc:"It does nothing itself; the tasks whose of is its id do."`
	Of        string         `json:"of,omitempty" doc:"The loop or call it is part of."`
	Item      any            `json:"item,omitempty" doc:"Of a part of a loop: its entry."`
	State     string         `json:"state" enum:"pending,waiting_approval,running,paused,succeeded,failed,timed_out,unknown,skipped,rolled_back,cancelled"`
	Attempt   int            `json:"attempt" doc:"1 while and after the first try."`
	Output    map[string]any `json:"output,omitempty"`
	Preview   string         `json:"preview,omitempty" doc:"Dry run: what would be done."`
	Guards    []GuardWord    `json:"guards,omitempty" doc:"Dry run: what every guard would say now."`
	Error     string         `json:"error,omitempty"`
	ErrorKind string         `json:"error_kind,omitempty"`
	Refusal   *Reason        `json:"refusal,omitempty" doc:"A guard said no."`
	Approval  *Approval      `json:"approval,omitempty"`
	DueAt     time.Time      `json:"due_at,omitzero" doc:"Next try, or deadline of an approval."`
	StartedAt time.Time      `json:"started_at,omitzero"`
	EndedAt   time.Time      `json:"ended_at,omitzero"`
	Undo      *Undo          `json:"undo,omitempty"`
	Kept      bool           `json:"kept,omitempty" doc:"Completed by the run this one goes on with."`
	DependsOn []string       `json:"depends_on,omitempty" doc:"Tasks that must have ended before, as the playbook said when the run began. Only when one run is asked for."`
}

// GuardWord is what one guard would say.
type GuardWord struct {
	Rule   string `json:"rule" example:"cooldown"`
	Allows bool   `json:"allows"`
	Reason Reason `json:"reason"`
}

// Undo is the compensation of one completed task.
type Undo struct {
	Action    string    `json:"action"`
	State     string    `json:"state"`
	Attempt   int       `json:"attempt"`
	Error     string    `json:"error,omitempty"`
	StartedAt time.Time `json:"started_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
}

// Approval is a question to a person and its answer.
type Approval struct {
	Question string    `json:"question"`
	Owner    string    `json:"owner" doc:"Roles or identities that are asked." example:"approver"`
	Quorum   int       `json:"quorum,omitempty" doc:"How many different people must say yes; absent: one."`
	Votes    []Consent `json:"votes,omitempty" doc:"Each yes so far."`
	AskedAt  time.Time `json:"asked_at"`
	Deadline time.Time `json:"deadline" doc:"Silence until then means no."`
	Answer   string    `json:"answer,omitempty" doc:"approved, denied or expired; for a task nobody was sure of: happened, retry or give_up."`
	By       string    `json:"by,omitempty"`
	Note     string    `json:"note,omitempty"`
	AnswerAt time.Time `json:"answer_at,omitzero"`
}

// Consent is one person's yes.
type Consent struct {
	By   string    `json:"by"`
	Note string    `json:"note,omitempty"`
	At   time.Time `json:"at"`
}

// Waiting is something that waits for a person.
type Waiting struct {
	Run      string    `json:"run_id"`
	Incident string    `json:"incident_id,omitempty"`
	Task     string    `json:"task,omitempty" doc:"Absent: the run as a whole waits."`
	Kind     string    `json:"kind" enum:"approve,settle" doc:"approve: answer yes or no; settle: say what became of a task nobody is sure of."`
	Scope    string    `json:"scope" doc:"Of the run."`
	Playbook string    `json:"playbook"`
	Target   string    `json:"target"`
	Question string    `json:"question"`
	Owner    string    `json:"owner" doc:"Roles or identities that are asked."`
	Quorum   int       `json:"quorum,omitempty" doc:"How many different people must say yes; absent: one."`
	Approved []string  `json:"approved_by,omitempty" doc:"Who said yes so far."`
	AskedAt  time.Time `json:"asked_at,omitzero"`
	Deadline time.Time `json:"deadline,omitzero" doc:"Silence until then means no."`
}

// JournalEntry is one line of a run's journal.
type JournalEntry struct {
	At     time.Time         `json:"at"`
	Phase  string            `json:"phase" enum:"proposed,approved,started,finished,noted"`
	Step   string            `json:"step,omitempty" doc:"run/task/attempt, a ~ before the task of an undo."`
	Action string            `json:"action,omitempty"`
	Target string            `json:"target,omitempty"`
	By     string            `json:"by,omitempty"`
	Text   string            `json:"text,omitempty"`
	Params map[string]string `json:"params,omitempty" doc:"As given to the driver; secrets are references."`
}

// Refusal is a guard's no.
type Refusal struct {
	Task   string    `json:"task"`
	Target string    `json:"target"`
	At     time.Time `json:"at"`
	Rule   string    `json:"rule" example:"cooldown"`
	Reason Reason    `json:"reason"`
}

// OfRunSummary converts a run for lists.
func OfRunSummary(r heal.Run, revision int64) RunSummary {
	return RunSummary{
		ID: string(r.ID), Revision: revision, Incident: string(r.IncidentID), Scope: r.Scope.String(), Playbook: r.Playbook, Target: string(r.Target),
		DryRun: r.DryRun, State: string(r.State), Reason: r.Reason, Rollback: string(r.Rollback), Waits: WaitingOf(r), RequestedBy: r.RequestedBy,
		CreatedAt: r.CreatedAt.UTC(), StartedAt: utc(r.StartedAt), EndedAt: utc(r.EndedAt),
	}
}

// OfRun converts a whole run.
func OfRun(r heal.Run, revision int64) Run {
	return Run{
		RunSummary: OfRunSummary(r, revision), Decision: string(r.DecisionID), Attempt: r.Attempt, Digest: r.Digest, Params: r.Params,
		RerunOf: string(r.RerunOf), RerunBy: string(r.RerunBy), Ending: string(r.Ending), Tasks: list(r.Tasks, ofTask), Approval: ofApproval(r.Approval), ActedAt: utc(r.ActedAt),
	}
}

func ofTask(t heal.TaskRun) Task {
	out := Task{
		ID: t.ID, Name: t.Name, Action: t.Action, Group: string(t.Group), Of: t.Of, Item: itemOf(t.Item), State: string(t.State), Attempt: t.Attempt, Output: t.Output, Preview: t.Preview,
		Error: t.Error, ErrorKind: t.ErrorKind, Approval: ofApproval(t.Approval), DueAt: utc(t.DueAt), StartedAt: utc(t.StartedAt), EndedAt: utc(t.EndedAt), Kept: t.Kept,
	}
	for _, g := range t.Guards {
		out.Guards = append(out.Guards, GuardWord{Rule: g.Rule, Allows: g.Allows, Reason: OfReason(g.Reason)})
	}
	if t.Refusal != nil {
		r := OfReason(*t.Refusal)
		out.Refusal = &r
	}
	if u := t.Undo; u != nil {
		out.Undo = &Undo{Action: u.Action, State: string(u.State), Attempt: u.Attempt, Error: u.Error, StartedAt: utc(u.StartedAt), EndedAt: utc(u.EndedAt)}
	}
	return out
}

// itemOf is an entry of a loop; one that cannot be read stands as it is kept.
func itemOf(text string) any {
	if text == "" {
		return nil
	}
	var out any
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		return text
	}
	return out
}

func ofApproval(a *heal.Approval) *Approval {
	if a == nil {
		return nil
	}
	return &Approval{
		Question: a.Question, Owner: a.Owner, Quorum: a.Quorum, Votes: consents(a.Votes), AskedAt: a.AskedAt.UTC(), Deadline: a.Deadline.UTC(),
		Answer: a.Answer, By: a.By, Note: a.Note, AnswerAt: utc(a.AnswerAt),
	}
}

func consents(votes []heal.Consent) []Consent {
	var out []Consent
	for _, v := range votes {
		out = append(out, Consent{By: v.By, Note: v.Note, At: v.At.UTC()})
	}
	return out
}

// The kinds of waiting.
const (
	WaitApprove = "approve"
	WaitSettle  = "settle"
)

// WaitingOf lists what of a run waits for a person; never nil.
func WaitingOf(r heal.Run) []Waiting {
	out := []Waiting{}
	if r.State.Ended() || r.Ending != "" {
		return out
	}
	add := func(task, kind string, a *heal.Approval) {
		w := Waiting{
			Run: string(r.ID), Incident: string(r.IncidentID), Task: task, Kind: kind, Scope: r.Scope.String(), Playbook: r.Playbook, Target: string(r.Target),
			Question: a.Question, Owner: a.Owner, Quorum: a.Quorum, AskedAt: utc(a.AskedAt), Deadline: utc(a.Deadline),
		}
		for _, v := range a.Votes {
			w.Approved = append(w.Approved, v.By)
		}
		out = append(out, w)
	}
	if a := r.Approval; r.State == heal.RunWaiting && a != nil && a.Answer == "" {
		add("", WaitApprove, a)
	}
	for i := range r.Tasks {
		t := &r.Tasks[i]
		if t.Approval == nil || t.Approval.Answer != "" {
			continue
		}
		if t.State == heal.RunWaiting {
			add(t.ID, WaitApprove, t.Approval)
		}
		if t.State == heal.RunUnknown {
			add(t.ID, WaitSettle, t.Approval)
		}
	}
	return out
}
