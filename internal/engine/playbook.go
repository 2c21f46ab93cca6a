package engine

import (
	"cmp"
	"context"
	"fmt"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/playbook"
)

// Playbooks is the Library of real playbooks, bound to the actions there are.
type Playbooks struct {
	Specs map[string]action.Spec
}

// Open parses and compiles a playbook.
func (l Playbooks) Open(source []byte) (Book, error) {
	p, problems := playbook.Parse("pinned", source)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	c, err := playbook.Compile(p, l.Specs)
	if err != nil {
		return nil, err
	}
	return NewBook(c), nil
}

// NewBook makes a compiled playbook ready to be carried out.
func NewBook(c *playbook.Compiled) Book {
	b := &bound{compiled: c, plan: planOf(c)}
	b.plan.Question = b.question
	return b
}

// bound is a Book of a compiled playbook.
type bound struct {
	compiled *playbook.Compiled
	plan     *Plan
}

func (b *bound) Plan() *Plan { return b.plan }

func planOf(c *playbook.Compiled) *Plan {
	plan := &Plan{Timeout: c.Timeout}
	if c.Approval.Required == playbook.ApprovalAlways {
		plan.Approval = &Ask{Question: "run playbook " + c.ID + "?", Owner: c.Approval.Owner, Quorum: c.Approval.Quorum, Within: c.Approval.Within}
	}
	for i := range c.Tasks {
		t := &c.Tasks[i]
		task := Task{
			ID: t.ID, Name: t.Name, Action: t.Action, Needs: t.DependsOn,
			Tries: t.Retries.Attempts, Backoff: t.Retries.Backoff, MaxBackoff: t.Retries.MaxBackoff, Jitter: t.Retries.Jitter,
			OnSuccess: Reaction(t.OnSuccess), OnFailure: Reaction(t.OnFailure), Touches: c.Touches(t),
		}
		if t.Confirm != nil {
			task.Confirm = &Ask{Question: t.Confirm.Question, Owner: t.Confirm.Owner, Quorum: t.Confirm.Quorum, Within: t.Confirm.Within}
		}
		if t.Rollback != nil {
			task.UndoAction = t.Rollback.Action
		}
		plan.Tasks = append(plan.Tasks, task)
	}
	return plan
}

// Vars gives what templates of the run can see.
func Vars(p *playbook.Playbook, run *heal.Run) (map[string]any, error) {
	params, err := p.ParamValues(run.Params)
	if err != nil {
		return nil, err
	}
	outputs := map[string]map[string]any{}
	for i := range run.Tasks {
		if t := &run.Tasks[i]; t.State.Ended() {
			outputs[t.ID] = t.Output
		}
	}
	return p.Vars(playbook.Scene{
		Params: params, Outputs: outputs, Target: run.Target, Incident: incidentOf(run),
		Run: playbook.Run{ID: run.ID, Attempt: run.Attempt},
	}), nil
}

func incidentOf(run *heal.Run) playbook.Incident {
	f := run.Facts
	return playbook.Incident{ID: cmp.Or(run.IncidentID, f.Incident), Severity: f.Severity, Pattern: f.Pattern, Title: f.Title, Values: f.Values, Labels: f.Labels}
}

func (b *bound) Work(run *heal.Run, task string, undo bool) (Work, error) {
	t := b.compiled.Task(task)
	if t == nil {
		return Work{}, heal.Errorf(heal.NotFound, "task "+task, "playbook %s has none", b.compiled.ID)
	}
	vars, err := Vars(b.compiled.Playbook, run)
	if err != nil {
		return Work{}, err
	}
	target, err := b.compiled.RenderTarget(t, vars)
	if err != nil {
		return Work{}, err
	}
	work := Work{Action: t.Action, Target: target, Timeout: t.Timeout, Owner: b.owner()}
	if !undo {
		work.Params, err = b.compiled.RenderParams(t, vars)
		return work, err
	}
	if t.Rollback == nil {
		return Work{}, heal.Errorf(heal.Internal, "undo of task "+task, "playbook %s has none", b.compiled.ID)
	}
	work.Action, work.Timeout = t.Rollback.Action, t.Rollback.Timeout
	work.Params, err = b.compiled.RenderUndo(t, vars)
	return work, err
}

// question words what is asked before a task; as it was written if its
// template cannot be rendered.
func (b *bound) question(run *heal.Run, task string) string {
	t := b.compiled.Task(task)
	vars, err := Vars(b.compiled.Playbook, run)
	if err != nil {
		return t.Confirm.Question
	}
	text, err := b.compiled.Question(t, vars)
	if err != nil {
		return t.Confirm.Question
	}
	return text
}

// owner is asked what became of an uncertain try.
func (b *bound) owner() string {
	if b.compiled.Approval.Owner != "" {
		return b.compiled.Approval.Owner
	}
	return "operator"
}

func (b *bound) Conditional(task string) bool {
	t := b.compiled.Task(task)
	return t != nil && len(t.Conditions) > 0
}

func (b *bound) Conditions(ctx context.Context, run *heal.Run, task string, live Live) (ok bool, why string, err error) {
	t := b.compiled.Task(task)
	if t == nil || len(t.Conditions) == 0 {
		return true, "", nil
	}
	vars, err := Vars(b.compiled.Playbook, run)
	if err != nil {
		return false, "", err
	}
	for i := range t.Conditions {
		c := &t.Conditions[i]
		query, err := c.Query(vars)
		if err != nil {
			return false, "", err
		}
		var value float64
		var seen bool
		if query != "" {
			if value, seen, err = live.Value(ctx, query); err != nil {
				return false, "", heal.Wrap("condition "+c.String(), err)
			}
		}
		holds, err := c.Holds(vars, value, seen)
		if err != nil {
			return false, "", heal.Wrap("condition "+c.String(), err)
		}
		if !holds {
			return false, unmet(c, query, value, seen), nil
		}
	}
	return true, "", nil
}

func unmet(c *playbook.Condition, query string, value float64, seen bool) string {
	switch {
	case query == "":
		return fmt.Sprintf("the condition %s does not hold", c)
	case !seen:
		return fmt.Sprintf("the condition %s does not hold: %s has no value", c, query)
	}
	return fmt.Sprintf("the condition %s does not hold: %s is %g", c, query, value)
}
