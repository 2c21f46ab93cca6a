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

// Open parses and compiles a playbook, with those it calls.
func (l Playbooks) Open(source []byte) (Book, error) {
	c, err := playbook.Open(source, l.Specs)
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
	for _, s := range c.Steps() {
		plan.Tasks = append(plan.Tasks, taskOf(c, s))
	}
	return plan
}

func taskOf(c *playbook.Compiled, s *playbook.Step) Task {
	t := s.Task
	task := Task{
		ID: s.ID, Name: t.Name, Action: s.Does(), Needs: s.Needs,
		Tries: t.Retries.Attempts, Backoff: t.Retries.Backoff, MaxBackoff: t.Retries.MaxBackoff, Jitter: t.Retries.Jitter,
		OnSuccess: Reaction(t.OnSuccess), OnFailure: Reaction(t.OnFailure), Touches: c.Touches(t),
	}
	if s.In != nil {
		task.Of = s.In.ID
	}
	switch {
	case t.Call != nil:
		task.Group = heal.GroupPlaybook
	case t.Each != nil:
		task.Group, task.Parallel = heal.GroupLoop, t.Each.Parallel
	}
	if ask := c.Asks(s); ask != nil {
		task.Confirm = &Ask{Question: ask.Question, Owner: ask.Owner, Quorum: ask.Quorum, Within: ask.Within}
	}
	if t.Rollback != nil {
		task.UndoAction = t.Rollback.Action
	}
	return task
}

// Vars gives what templates of the playbook itself can see of a run.
func Vars(c *playbook.Compiled, run *heal.Run) (map[string]any, error) {
	scene, err := sceneOf(c, run)
	if err != nil {
		return nil, err
	}
	return c.Vars(scene), nil
}

func sceneOf(c *playbook.Compiled, run *heal.Run) (playbook.Scene, error) {
	params, err := c.ParamValues(run.Params)
	if err != nil {
		return playbook.Scene{}, err
	}
	outputs := map[string]map[string]any{}
	for i := range run.Tasks {
		t := &run.Tasks[i]
		switch {
		case !t.State.Ended():
		case t.Group == heal.GroupLoop:
			if outputs[t.ID], err = loopOutput(run, t.ID); err != nil {
				return playbook.Scene{}, err
			}
		default:
			outputs[t.ID] = t.Output
		}
	}
	return playbook.Scene{
		Params: params, Outputs: outputs, Target: run.Target, Incident: incidentOf(run),
		Run: playbook.Run{ID: run.ID, Attempt: run.Attempt},
	}, nil
}

// loopOutput is what became of each entry of a loop, in the order of its list.
func loopOutput(run *heal.Run, loop string) (map[string]any, error) {
	items := []any{}
	for i := range run.Tasks {
		t := &run.Tasks[i]
		if t.Of != loop {
			continue
		}
		entry, err := playbook.DecodeItem(t.Item)
		if err != nil {
			return nil, err
		}
		output := t.Output
		if output == nil {
			output = map[string]any{}
		}
		items = append(items, map[string]any{"item": entry, "state": string(t.State), "output": output})
	}
	return map[string]any{playbook.LoopItems: items}, nil
}

// vars gives what templates of a task of the run can see.
func (b *bound) vars(run *heal.Run, s *playbook.Step, task string) (map[string]any, error) {
	scene, err := sceneOf(b.compiled, run)
	if err != nil {
		return nil, err
	}
	item := ""
	if t := run.Task(task); t != nil {
		item = t.Item
	}
	return b.compiled.StepVars(s, scene, item)
}

// Items evaluates the list of a loop; a call has none.
func (b *bound) Items(run *heal.Run, task string) ([]string, error) {
	s := b.compiled.Step(task)
	if s == nil || s.Task.Each == nil {
		return nil, nil
	}
	scene, err := sceneOf(b.compiled, run)
	if err != nil {
		return nil, err
	}
	return b.compiled.Items(s, scene)
}

func incidentOf(run *heal.Run) playbook.Incident {
	f := run.Facts
	return playbook.Incident{ID: cmp.Or(run.IncidentID, f.Incident), Severity: f.Severity, Pattern: f.Pattern, Title: f.Title, Values: f.Values, Labels: f.Labels}
}

func (b *bound) Work(run *heal.Run, task string, undo bool) (Work, error) {
	s := b.compiled.Step(task)
	if s == nil {
		return Work{}, heal.Errorf(heal.NotFound, "task "+task, "playbook %s has none", b.compiled.ID)
	}
	t := s.Task
	vars, err := b.vars(run, s, task)
	if err != nil {
		return Work{}, err
	}
	target, err := b.compiled.RenderTarget(t, vars)
	if err != nil {
		return Work{}, err
	}
	work := Work{Action: t.Action, Target: target, Timeout: t.Timeout, Owner: ownerOf(s.Book)}
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
	s := b.compiled.Step(task)
	ask := b.compiled.Asks(s)
	if s.Task.Confirm == nil {
		return ask.Question
	}
	vars, err := b.vars(run, s, task)
	if err != nil {
		return ask.Question
	}
	text, err := b.compiled.Question(s.Task, vars)
	if err != nil {
		return ask.Question
	}
	return text
}

// ownerOf is asked what became of an uncertain try.
func ownerOf(p *playbook.Playbook) string {
	if p.Approval.Owner != "" {
		return p.Approval.Owner
	}
	return "operator"
}

// conditions of a task; those of a loop are of its parts.
func (b *bound) conditions(run *heal.Run, task string) (s *playbook.Step, list []playbook.Condition) {
	s = b.compiled.Step(task)
	t := run.Task(task)
	if s == nil || t == nil || t.Group == heal.GroupLoop {
		return s, nil
	}
	return s, s.Task.Conditions
}

func (b *bound) Conditional(run *heal.Run, task string) bool {
	t := run.Task(task)
	_, list := b.conditions(run, task)
	return len(list) > 0 || t != nil && t.Group != ""
}

func (b *bound) Conditions(ctx context.Context, run *heal.Run, task string, live Live) (ok bool, why string, err error) {
	s, list := b.conditions(run, task)
	if len(list) == 0 {
		return true, "", nil
	}
	vars, err := b.vars(run, s, task)
	if err != nil {
		return false, "", err
	}
	for i := range list {
		c := &list[i]
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
